"""Small clients that notice faults, and the proof that a test's fault really struck.

What must stay true: a client here knows the venue only by its sockets; a test marked with `notices` fails when the
fault it is about was not injected or never struck.
"""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from exchange_client import Client, receive, running, until

from aegis.exchange.faults.injection import Injection
from aegis.exchange.faults.injector import Injector
from aegis.exchange.faults.plan import Row

SYMBOL, STREAM = "BTCUSDT", "btcusdt@bookTicker"
SILENCE_S = 0.15  # far above what a frame takes on loopback
TEST_S = 30.0
NOTICED: dict[str, str] = {}  # fault -> test
Test = Callable[..., Coroutine[Any, Any, None]]


def notices(*names: str) -> Callable[[Test], Callable[..., None]]:
    """The test shows a client noticing these faults; each of them must have struck in it."""

    def mark(test: Test) -> Callable[..., None]:
        for name in names:
            NOTICED[name] = test.__name__

        @functools.wraps(test)
        def run(*args: Any, **kwargs: Any) -> None:
            seen: list[Injection] = []
            original = Injector.inject

            def inject(self: Injector, row: Row) -> Injection:
                made = original(self, row)
                seen.append(made)
                return made

            Injector.inject = inject  # type: ignore[method-assign]
            try:
                asyncio.run(asyncio.wait_for(test(*args, **kwargs), TEST_S))
            finally:
                Injector.inject = original  # type: ignore[method-assign]
            assert set(names) <= {i.name for i in seen if i.hits}

        return run

    return mark


@asynccontextmanager
async def quiet(tmp: Path, **options: object) -> AsyncIterator[Client]:
    """A venue with one symbol in which nothing moves by itself."""
    async with running(tmp, **{"symbols": 1, "events_per_s": 0} | options) as client:
        yield client


async def inject(client: Client, name: str, **params: object) -> None:
    """Inject a fault by the control port."""
    await client.operate("fault", name=name, **params)


@asynccontextmanager
async def reading(client: Client, path: str = f"public/ws/{STREAM}") -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A stream connection that the venue serves."""
    count = len(client.venue.hub.conns)
    async with client.http.ws_connect(f"{client.base}/{path}", autoping=False) as ws:
        await until(lambda: len(client.venue.hub.conns) > count, "the connection")
        yield ws


@asynccontextmanager
async def user_stream(client: Client) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A user stream."""
    row: Any = await client.ok("POST", "/fapi/v1/listenKey")
    async with reading(client, f"private/ws/{row['listenKey']}") as ws:
        yield ws


def publish(client: Client, *numbers: int, stream: str = STREAM) -> None:
    """Send numbered frames on a stream."""
    for u in numbers:
        client.venue.hub.publish(stream, json.dumps({"e": "bookTicker", "u": u}))


async def numbers(ws: aiohttp.ClientWebSocketResponse, count: int) -> list[int]:
    """The numbers of the next frames."""
    return [json.loads(await receive(ws))["u"] for _ in range(count)]


async def silent(ws: aiohttp.ClientWebSocketResponse) -> bool:
    """The silence alarm: nothing at all came in time, no close either."""
    try:
        await asyncio.wait_for(ws.receive(), SILENCE_S)
    except TimeoutError:
        return True
    return False


async def events(ws: aiohttp.ClientWebSocketResponse, count: int) -> list[dict[str, Any]]:
    """The next user events."""
    return [json.loads(await receive(ws)) for _ in range(count)]


def limit(client: Client, ident: str, percent: int = 98) -> dict[str, str]:
    """A buy order that rests below the market."""
    m = client.venue.ex.market(SYMBOL)
    price = m.mid() * percent // 100 // m.spec.tick * m.spec.tick
    base = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.010"}
    return base | {"price": m.spec.px(price), "newClientOrderId": ident}


def market(ident: str, side: str = "BUY", **more: str) -> dict[str, str]:
    """An order that fills at once."""
    base = {"symbol": SYMBOL, "side": side, "type": "MARKET", "quantity": "0.004", "newClientOrderId": ident}
    return base | more


async def place(client: Client, order: dict[str, str]) -> tuple[int, int]:
    """(status, code) of POST order; code 0 when it was taken."""
    status, row = await client.call("POST", "/fapi/v1/order", **order)
    return status, row.get("code", 0)  # type: ignore[attr-defined]


def live(client: Client, ident: str) -> bool:
    """The truth: does the venue have this order open?"""
    return any(o.client_id == ident for o in client.venue.ex.account.open[SYMBOL].values())
