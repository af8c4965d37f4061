"""What became of a REST request: each way an answer can be missing or wrong gives the one error that is true.

A small server on loopback plays the venue; it records the exact bytes of the target, so a re-encoded query shows.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from aegis.config import Venue
from aegis.errors import OrderUnknown, RateLimited, Unreachable, VenueError
from aegis.live.clock import Clock
from aegis.live.keys import Creds
from aegis.live.rest import Rest
from aegis.venue.sign import hmac_signer

ORDER = "/fapi/v1/order"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SECRET = secrets.token_hex(16).encode()


def with_server(handler: Handler, use: Callable[[Rest], Awaitable[Any]]) -> Any:
    """Run `use` with a client of a server that answers everything by `handler`."""

    async def run() -> Any:
        runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        rest = Rest(Venue(rest_url=f"http://{host}:{port}"), Creds(api_key="k", secret=SECRET), Clock())
        try:
            async with asyncio.timeout(10):
                return await use(rest)
        finally:
            await rest.close()
            await runner.cleanup()

    return asyncio.run(run())


def answer(status: int, text: str, **headers: str) -> Handler:
    async def handler(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text, headers=headers)

    return handler


def post(rest: Rest) -> Awaitable[Any]:
    return rest.post(ORDER, {"symbol": "币安人生USDT", "note": "a b+c&d"}, signed=True, timeout_s=1.0)


def test_the_bytes_on_the_wire_are_the_bytes_signed() -> None:
    seen: list[tuple[str, str | None]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append((request.raw_path, request.headers.get("X-MBX-APIKEY")))
        return web.Response(text='{"a":"0.10","b":0.10,"c":8389765739703625592}', headers={"X-MBX-USED-WEIGHT-1M": "7"})

    async def use(rest: Rest) -> Any:
        return await post(rest), rest.weights.used

    found, used = with_server(handler, use)
    assert found == {"a": "0.10", "b": "0.10", "c": 8389765739703625592}
    assert used == 7
    ((target, key),) = seen
    payload, _, signature = target.partition("?")[2].rpartition("&signature=")
    assert key == "k"
    assert signature == hmac_signer(SECRET)(payload)
    assert "%E5%B8%81" in payload
    assert "a%20b%2Bc%26d" in payload


async def _cut(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def _never(_request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    return web.Response()


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        (_cut, OrderUnknown),
        (_never, OrderUnknown),
        (
            answer(503, '{"code":-1000,"msg":"Unknown error, please check your request or try again later."}'),
            OrderUnknown,
        ),
        (answer(503, ""), OrderUnknown),
        (answer(408, '{"code":-1007,"msg":"Timeout"}'), OrderUnknown),
        (answer(200, "<html>"), OrderUnknown),
        (answer(503, "Service Unavailable."), VenueError),
        (answer(503, '{"code":-1008,"msg":"Server is currently overloaded"}'), VenueError),
        (answer(400, '{"code":-5022,"msg":"post only"}'), VenueError),
        (answer(429, '{"code":-1003,"msg":"Too many"}', **{"Retry-After": "3"}), RateLimited),
        (answer(418, '{"code":-1003,"msg":"banned"}'), RateLimited),
    ],
)
def test_a_write_is_unknown_unless_its_failure_is_proven(handler: Handler, error: type[Exception]) -> None:
    with pytest.raises(error):
        with_server(handler, post)


def test_a_refused_connection_wrote_nothing() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: refused, and nobody else can take it
        port = taken.getsockname()[1]

        async def run() -> None:
            rest = Rest(Venue(rest_url=f"http://127.0.0.1:{port}"), Creds(api_key="k", secret=SECRET), Clock())
            try:
                await post(rest)
            finally:
                await rest.close()

        with pytest.raises(Unreachable):
            asyncio.run(run())


@pytest.mark.parametrize(("fails", "calls"), [(1, 2), (9, 2)])
def test_a_wrong_clock_is_measured_and_the_order_sent_once_more(fails: int, calls: int) -> None:
    orders: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path == "/fapi/v1/time":
            return web.json_response({"serverTime": Clock().now_ns() // 1_000_000 + 90_000})
        orders.append(request.query["timestamp"])
        wrong = len(orders) <= fails
        body = {"code": -1021, "msg": "outside of recvWindow"} if wrong else {}
        return web.json_response(body, status=400 if wrong else 200)

    async def use(rest: Rest) -> int:
        try:
            await post(rest)
        except VenueError as e:
            assert e.code == -1021
        return rest.clock_offset_ms

    assert abs(with_server(handler, use) - 90_000) < 2_000
    assert len(orders) == calls
    assert int(orders[1]) - int(orders[0]) > 80_000
