"""REST client: limits are learned and kept, and the paper venue accepts what REST and WebSocket API sign."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import certs
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from aegis.config import Aegis, Config, Venue
from aegis.errors import BadMessage, ConfigError, RateLimited, Unreachable, VenueError
from aegis.live import keys
from aegis.live.clock import Clock
from aegis.live.keys import Creds
from aegis.live.rest import Rest
from aegis.live.wsapi import WsApi
from aegis.messages import Cancel, OrderStatus, Place, Side
from aegis.units import Num
from aegis.venue.report import order_from_rest
from aegis.venue.request import cancel_params, order_params
from aegis.venue.rules import parse_exchange_info, quantise_price, quantise_qty

CREDS = Creds(api_key="k", secret=b"s")


class Door:
    """Answers everything with one text, and counts."""

    def __init__(self, status: int, text: str, headers: dict[str, str]) -> None:
        self.status, self.text, self.headers = status, text, headers
        self.seen: list[web.BaseRequest] = []

    async def __call__(self, asked: web.BaseRequest) -> web.StreamResponse:
        self.seen.append(asked)
        return web.Response(status=self.status, text=self.text, headers=self.headers)


def with_door(door: Door, use: Callable[[Rest], Awaitable[None]], creds: Creds | None = CREDS) -> None:
    async def run() -> None:
        runner = web.ServerRunner(web.Server(door))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        rest = Rest(Venue(rest_url=f"http://127.0.0.1:{runner.addresses[0][1]}/"), creds, Clock())
        try:
            async with asyncio.timeout(10):
                await use(rest)
        finally:
            await rest.close()
            await runner.cleanup()

    asyncio.run(run())


def test_weight_is_learned_and_the_reserve_is_for_exits() -> None:
    """Law: above 80 % of the venue's own count others are refused unsent, essential calls go on."""
    door = Door(200, "{}", {"X-MBX-USED-WEIGHT-1M": "2399"})

    async def use(rest: Rest) -> None:
        await rest.get("/fapi/v1/ping")
        assert rest.weights.used == 2399
        with pytest.raises(RateLimited):
            await rest.get("/fapi/v1/ping", timeout_s=0.001)
        await rest.delete("/fapi/v1/order", {"symbol": "A"}, signed=True, essential=True)
        assert [r.method for r in door.seen] == ["GET", "DELETE"]

    with_door(door, use)


def test_a_limit_closes_for_as_long_as_the_venue_says() -> None:
    """Law: after 429 nothing is sent before Retry-After is over, exits included."""
    door = Door(429, '{"code":-1003,"msg":"Too many requests"}', {"Retry-After": "30"})

    async def use(rest: Rest) -> None:
        for _ in range(3):
            with pytest.raises(RateLimited) as told:
                await rest.get("/fapi/v1/ping", essential=True)
            assert 29 < told.value.retry_after_s <= 30
        assert len(door.seen) == 1

    with_door(door, use)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("good", ""),
        ("wrong_host", "Hostname mismatch"),
        ("expired", "certificate has expired"),
        ("self_signed", "self-signed certificate"),
    ],
)
def test_rest_trusts_the_authority_it_was_given(tmp_path: Path, kind: str, why: str) -> None:
    """Law: over https a trusted certificate serves; each other one is refused in one line, and nothing was sent."""
    door = Door(200, "{}", {})

    async def run() -> None:
        ca, runner = certs.make(tmp_path), web.ServerRunner(web.Server(door))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=certs.server_context(tmp_path, kind)).start()
        rest = Rest(Venue(rest_url=f"https://localhost:{runner.addresses[0][1]}", ca_file=str(ca)), CREDS, Clock())
        try:
            if not why:
                assert await rest.get("/x") == {}
                return
            with pytest.raises(Unreachable, match=why) as refused:
                await rest.post("/x")
            assert "\n" not in str(refused.value) and not door.seen
        finally:
            await rest.close()
            await runner.cleanup()

    asyncio.run(run())


def test_numbers_keep_their_digits() -> None:
    """Law: a JSON number with a point becomes text, never a float."""

    async def use(rest: Rest) -> None:
        assert await rest.get("/x") == {"p": "0.10", "i": 8389765739703625592}

    with_door(Door(200, '{"p":0.10,"i":8389765739703625592}', {}), use)


def test_without_credentials_nothing_is_signed_nor_sent() -> None:
    """Law: public calls carry no key; a signed call fails before the socket; a page that is no JSON is said."""
    door = Door(200, "<html>", {})

    async def use(rest: Rest) -> None:
        with pytest.raises(VenueError):
            await rest.get("/fapi/v1/order", signed=True)
        with pytest.raises(BadMessage):
            await rest.get("/fapi/v1/ping")
        assert len(door.seen) == 1 and "X-MBX-APIKEY" not in door.seen[0].headers

    with_door(door, use, None)


@asynccontextmanager
async def paper(tmp: Path, pem: str | None) -> AsyncIterator[tuple[Venue, Creds]]:
    """The paper venue as its own process, with fresh keys."""
    file = tmp / "keys.json"
    file.write_text(json.dumps({"api_key": "k", "secret": secrets.token_hex(16), "ed25519_pem": pem}))
    file.chmod(0o600)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "aegis.exchange", "--symbols", "2", "--keys", str(file), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        host = f"127.0.0.1:{json.loads(await process.stdout.readline())['port']}"
        venue = Venue(rest_url=f"http://{host}", ws_api_url=f"ws://{host}/ws-fapi/v1", keys_file=str(file))
        yield venue, keys.load(Config(venue=venue))
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.parametrize("logged_on", [False, True])
def test_the_paper_venue_takes_our_orders(tmp_path: Path, logged_on: bool) -> None:
    """Law: place, query and cancel are accepted by REST (HMAC) and by the WebSocket API (HMAC, Ed25519 logon)."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode() if logged_on else None

    async def run() -> None:
        async with paper(tmp_path, pem) as (venue, creds), asyncio.timeout(30):
            rest, api = Rest(venue, creds, Clock()), WsApi(venue, creds, Clock())
            try:
                await api.connect()
                await round_trip(rest, api)
            finally:
                await api.close()
                await rest.close()

    asyncio.run(run())


async def round_trip(rest: Rest, api: WsApi) -> None:
    rules = next(iter(parse_exchange_info(await rest.get("/fapi/v1/exchangeInfo")).values()))
    mark = Num.parse((await rest.get("/fapi/v1/premiumIndex", {"symbol": rules.symbol}))["markPrice"])
    price = quantise_price(rules, Side.BUY, mark * Num.parse("0.97"))
    qty = quantise_qty(rules, Num.parse("500").div_floor(price, 8))
    place = Place(symbol=rules.symbol, side=Side.BUY, qty=qty, price=price)
    calls: dict[str, tuple[Callable[..., Awaitable[Any]], ...]] = {
        "by-rest": tuple(
            lambda p, verb=verb: verb("/fapi/v1/order", p, signed=True) for verb in (rest.post, rest.get, rest.delete)
        ),
        "by-ws": tuple(lambda p, m=m: api.call(m, p) for m in ("order.place", "order.status", "order.cancel")),
    }
    for client_id, (send, ask, stop) in calls.items():
        assert order_from_rest(await send(order_params(place, client_id))).client_id == client_id
        name = cancel_params(Cancel(symbol=rules.symbol, client_id=client_id))
        found = order_from_rest(await ask(name))
        assert (found.status, found.qty, found.price) == (OrderStatus.NEW, qty, price)
        assert order_from_rest(await stop(name)).status is OrderStatus.CANCELED
        with pytest.raises(VenueError) as refused:
            await stop(name)
        assert refused.value.code == -2011


def test_keys_are_refused_unless_private_and_whole(tmp_path: Path) -> None:
    """Law: one line says which file and why; no value of it is repeated."""
    file = tmp_path / "keys.json"
    config = Config(venue=Venue(keys_file=str(file)))
    with pytest.raises(ConfigError, match="cannot read"):
        keys.load(config)
    with pytest.raises(ConfigError, match="keys_file is empty"):
        keys.load(Config(aegis=Aegis(mode="live")))
    good = '{"api_key": "name", "secret": "hidden-value"}'
    for text, mode, why in (
        (good, 0o640, "chmod 600"),
        ('{"secret": "hidden-value"}', 0o600, "expected JSON"),
        ('{"api_key": "name"}', 0o600, "must not be empty"),
        ('{"api_key": "name", "ed25519_pem": "hidden-value"}', 0o600, "ed25519_pem"),
    ):
        file.write_text(text)
        file.chmod(mode)
        with pytest.raises(ConfigError, match=why) as told:
            keys.load(config)
        assert "hidden-value" not in str(told.value) and "\n" not in str(told.value)
    file.write_text(good)
    file.chmod(0o600)
    creds = keys.load(config)
    assert (creds.api_key, creds.secret, creds.ed25519_pem) == ("name", b"hidden-value", None)
    assert "hidden" not in repr(creds)
