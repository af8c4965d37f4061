"""Routes, names, caps and user channels of the stream hub."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest
from exchange_client import DEADLINE_S, receive, running, until

from aegis.exchange.address import parse, route_of
from aegis.exchange.commands import answer
from aegis.exchange.conn import QUEUE_MAX, Conn
from aegis.exchange.streams import Hub
from aegis.exchange.tickers import session


@pytest.mark.parametrize(
    ("stream", "route"),
    [
        ("btcusdt@bookTicker", "public"),
        ("!bookTicker", "public"),
        ("btcusdt@depth@100ms", "public"),
        ("btcusdt@depth20@500ms", "public"),
        ("币安人生usdt@trade", "public"),
        ("btcusdt@aggTrade", "market"),
        ("btcusdt@markPrice@1s", "market"),
        ("btcusdt@kline_1m", "market"),
        ("!forceOrder@arr", "market"),
    ],
)
def test_route_of_every_family(stream: str, route: str) -> None:
    """Each stream family has one route."""
    assert route_of(stream) == route


@pytest.mark.parametrize(
    ("path", "query", "route", "combined", "names"),
    [
        ("/public/ws/a@trade/b@trade", "", "public", False, ["a@trade", "b@trade"]),
        ("/market/stream", "streams=a@aggTrade/b@aggTrade", "market", True, ["a@aggTrade", "b@aggTrade"]),
        ("/private/ws/KEY", "", "private", False, ["KEY"]),
        ("/private/stream", "listenKey=K1&listenKey=K2", "private", True, ["K1", "K2"]),
        ("/public/ws/%E5%B8%81@trade", "", "public", False, ["币@trade"]),
        ("/stream", "", "any", True, []),
        ("/", "", "any", False, []),
    ],
)
def test_address_forms(path: str, query: str, route: str, combined: bool, names: list[str]) -> None:
    """Every documented address form names its route, its wrapping and its streams."""
    conn, found, _ = parse(path, query)
    assert (conn.route, conn.combined, found) == (route, combined, names)


def test_caps_and_wrong_requests() -> None:
    """1024 streams fit, one more is refused whole; nonsense is answered, not fatal."""
    hub, conn = Hub(), Conn("public", False)
    names = [f"s{i}@trade" for i in range(1024)]
    assert (
        json.loads(answer(hub, conn, json.dumps({"method": "SUBSCRIBE", "params": names, "id": 1})))["result"] is None
    )
    assert "error" in json.loads(answer(hub, conn, '{"method":"SUBSCRIBE","params":["one@more"],"id":2}'))
    assert not hub.wants("one@more")
    for text in ("", "[]", '{"method":5}', '{"method":"SUBSCRIBE","params":[5],"id":1}', '{"method":"X","id":"q"}'):
        assert "error" in json.loads(answer(hub, conn, text))
    hub.unsubscribe(conn, names)
    assert not any(hub.readers.values())


def test_a_reader_too_slow_is_closed_not_thinned() -> None:
    """Beyond the queue's bound the connection is told to close, and nothing more is queued."""
    conn, block = Conn("public", False), b"x" * (QUEUE_MAX // 64)
    for _ in range(64):
        conn.push(block)
    assert (conn.closing, conn.queued) == (0, QUEUE_MAX)
    conn.push(b"x")
    assert (conn.closing, conn.queued) == (1008, 0)
    conn.push(b"x")
    assert conn.queued == 0


def test_every_socket_of_a_key_gets_its_events(tmp_path: Path) -> None:
    """Two sockets of one key both hear; one that asked for other events does not; a planned end closes with 1001."""

    async def main() -> None:
        async with running(tmp_path, events_per_s=0, lifetime_s=1.5) as client:
            key = (await client.ok("POST", "/fapi/v1/listenKey"))["listenKey"]  # type: ignore[index,call-overload]
            forms = (f"ws/{key}", f"stream?listenKey={key}", f"ws?listenKey={key}&events=ORDER_TRADE_UPDATE")
            sockets = [await client.http.ws_connect(f"{client.base}/private/{form}") for form in forms]
            conns = client.venue.hub.conns
            await until(lambda: sum(key in c.keys for c in conns) == 3, "private subscriptions")
            client.venue.ex.clockwork.transfer(client.venue.ex.account, "USDT", 100, silent=False)
            plain, wrapped = [json.loads(await receive(ws)) for ws in sockets[:2]]
            assert wrapped == {"stream": key, "data": plain}
            assert plain["a"]["m"] == "DEPOSIT"
            last = await asyncio.wait_for(sockets[2].receive(), DEADLINE_S)
            assert (last.type, last.data) == (aiohttp.WSMsgType.CLOSE, 1001)
            for ws in sockets:
                await ws.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("at_ms", "kind", "hours"),
    [
        (1_790_780_400_000, "REGULAR", 6.5),  # Wednesday 2026-09-30 11:00 in New York
        (1_790_755_199_999, "OVERNIGHT", 8),  # the same day, one millisecond before 04:00
        (1_790_755_200_000, "PRE_MARKET", 5.5),
        (1_791_046_800_000, "NO_TRADING", 48),  # Saturday
    ],
)
def test_trading_session(at_ms: int, kind: str, hours: float) -> None:
    """The session named covers the moment, and has its usual length."""
    row = json.loads(session(at_ms))
    assert row["t"] <= at_ms < row["T"]
    assert (row["S"], (row["T"] - row["t"]) / 3_600_000) == (kind, hours)
