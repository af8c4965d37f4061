"""The venue as a whole: a busy account keeps its identity, faults happen, keys expire, the process stops quickly."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import aiohttp
import pytest
from exchange_client import Client, receive, running, until

from aegis.errors import VenueError
from aegis.exchange import orders
from aegis.exchange.control import books
from aegis.exchange.instrument import Market
from aegis.exchange.matching import BUY, SELL, Book
from aegis.exchange.server import Venue


def make(**options: object) -> Venue:
    """A venue without sockets."""
    return Venue(argparse.Namespace(**options))


def digest(venue: Venue) -> list[object]:
    """What the market looks like, without ids and times."""
    return [(m.spec.name, m.book.top(BUY, 50), m.book.top(SELL, 50), m.last_px) for m in venue.ex.markets.values()]


def run_steps(venue: Venue, count: int) -> None:
    """Advance the background by `count` events."""
    assert venue.flow is not None
    for _ in range(count):
        venue.flow.step()


def test_the_seed_decides_everything() -> None:
    """Two venues of one seed have equal books after equal events; another seed differs; all books are lawful."""
    one, same, other = make(seed=7, symbols=16), make(seed=7, symbols=16), make(seed=8, symbols=16)
    for venue in (one, same, other):
        run_steps(venue, 4000)
    assert digest(one) == digest(same) != digest(other)
    for m in one.ex.markets.values():
        assert isinstance(m.book, Book)
        m.book.check()
        assert m.spec.band[0] <= m.book.best(BUY)[0] < m.book.best(SELL)[0] <= m.spec.band[1]


def random_order(rng: random.Random, m: Market) -> dict[str, str]:
    """Parameters of some order near the market."""
    spec, mid = m.spec, m.mid()
    px = (mid + rng.randrange(-8, 9) * spec.tick) // spec.tick * spec.tick
    need = spec.min_notional_e8 // spec.notional_e8(px, spec.step) * 11 // 10 + 1
    p = {"symbol": spec.name, "side": rng.choice(("BUY", "SELL")), "quantity": spec.qty(spec.step * need)}
    p["reduceOnly"] = rng.choice(("true", "false"))
    if rng.random() < 0.3:
        return p | {"type": "MARKET"}
    return p | {"type": "LIMIT", "price": spec.px(px), "timeInForce": rng.choice(("GTC", "IOC", "FOK", "GTX"))}


@pytest.mark.parametrize("seed", range(4))
def test_a_busy_account_keeps_its_books(seed: int) -> None:
    """Positions equal the sum of fills, executed quantities agree, the identity holds."""
    venue, rng = make(seed=seed, symbols=6, wallet="1000000"), random.Random(seed)
    ex = venue.ex
    for _ in range(1500):
        run_steps(venue, 3)
        p = random_order(rng, rng.choice(list(ex.markets.values())))
        try:
            if rng.random() < 0.3 and (mine := [o for rows in ex.account.open.values() for o in rows.values()]):
                orders.cancel(ex, ex.account, {"symbol": (o := rng.choice(mine)).symbol, "orderId": str(o.id)})
            else:
                orders.place(ex, ex.account, p)
        except VenueError as e:
            assert e.code in (-5021, -5022, -2022, -2025, -2019, -4118), e
    truth = books(ex)
    assert len(truth["fills"]) > 200
    per_order: dict[int, int] = {}
    per_symbol: dict[str, int] = {}
    for f in ex.account.executions:
        per_order[f.order_id] = per_order.get(f.order_id, 0) + f.qty
        per_symbol[f.symbol] = per_symbol.get(f.symbol, 0) + f.side * f.qty
    assert all(o.filled == per_order.get(o.id, 0) for o in ex.account.orders.values())
    assert {s: p.qty for (s, _), p in ex.account.positions.items()} == per_symbol
    assert {o.id for o in ex.account.orders.values() if o.is_open} == {
        i for rows in ex.account.open.values() for i in rows
    }
    for m in ex.markets.values():
        assert isinstance(m.book, Book)
        m.book.check()
        working = sum(o.left for o in ex.account.open[m.spec.name].values() if o.reduce_only)
        assert working <= abs(ex.account.position(m.spec.name).qty)


def test_a_position_gone_takes_its_reduce_only_orders_along() -> None:
    """A resting reduce-only order ends (er 4) when another order closes what it would have reduced."""
    ex = make(symbols=1, events_per_s=0).ex
    told: list[str] = []
    ex.account.listen_key = "key"
    ex.tell = lambda _acc, text: told.append(text)  # type: ignore[method-assign]
    base = {"symbol": "BTCUSDT", "quantity": "0.002"}
    orders.place(ex, ex.account, base | {"side": "BUY", "type": "MARKET"})
    exit_at = {
        "type": "LIMIT",
        "timeInForce": "GTC",
        "price": "62500.0",
        "reduceOnly": "true",
        "newClientOrderId": "exit",
    }
    orders.place(ex, ex.account, base | {"side": "SELL"} | exit_at)
    orders.place(ex, ex.account, base | {"side": "SELL", "type": "MARKET"})
    last = json.loads(told[-1])["o"]
    assert (last["c"], last["x"], last["X"], last["er"]) == ("exit", "EXPIRED", "EXPIRED", "4")
    assert ex.account.open["BTCUSDT"] == {}


async def private(client: Client) -> tuple[str, aiohttp.ClientWebSocketResponse]:
    """A listen key and a socket that is known to get its events."""
    key = (await client.ok("POST", "/fapi/v1/listenKey"))["listenKey"]  # type: ignore[index,call-overload]
    ws = await client.http.ws_connect(f"{client.base}/private/ws/{key}")
    await until(lambda: any(key in c.keys for c in client.venue.hub.conns), "private subscription")
    return key, ws


def test_listen_key_expires_in_band(tmp_path: Path) -> None:
    """At its end the key is announced once, a keepalive then says -1125, and a new one is another."""

    async def main() -> None:
        async with running(tmp_path, events_per_s=0, listen_key_s=0.2) as client:
            key, ws = await private(client)
            event = json.loads(await receive(ws))
            assert (event["e"], event["listenKey"]) == ("listenKeyExpired", key)
            assert (await client.call("PUT", "/fapi/v1/listenKey"))[1]["code"] == -1125  # type: ignore[index,call-overload]
            assert (await client.ok("POST", "/fapi/v1/listenKey"))["listenKey"] != key  # type: ignore[index,call-overload]
            await ws.close()

    asyncio.run(main())


def test_hand_trade_is_silent_but_recorded(tmp_path: Path) -> None:
    """A trade behind the client's back moves position, trades and income, and sends no event when silent."""

    async def main() -> None:
        async with running(tmp_path, events_per_s=0) as client:
            _, ws = await private(client)
            for silent, qty in ((True, "0.010"), (False, "-0.004")):
                body = {"symbol": "BTCUSDT", "qty": qty, "price": "61000.1", "silent": silent}
                await client.operate("position", **body)
            first = json.loads(await receive(ws))
            assert (first["e"], first["l"]) == ("TRADE_LITE", "0.004")
            (row,) = await client.ok("GET", "/fapi/v3/positionRisk")  # type: ignore[misc]
            assert (row["positionAmt"], row["entryPrice"]) == ("0.006", "61000.1")
            assert len(await client.ok("GET", "/fapi/v1/userTrades", symbol="BTCUSDT")) == 2  # type: ignore[arg-type]
            await ws.close()

    asyncio.run(main())


def test_planted_faults(tmp_path: Path) -> None:
    """A refused write did nothing; a dropped reply did everything."""

    async def main() -> None:
        order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.002"}
        async with running(tmp_path, events_per_s=0) as client:
            await client.operate("fault", name="error", path="POST /fapi/v1/order", status=503, code=-1008)
            assert (await client.call("POST", "/fapi/v1/order", **order))[0] == 503
            assert client.venue.ex.account.executions == []
            await client.operate("fault", name="answer_lost", path="POST /fapi/v1/order")
            with pytest.raises(aiohttp.ClientError):
                await client.call("POST", "/fapi/v1/order", **order)
            assert len(client.venue.ex.account.executions) >= 1

    asyncio.run(main())


def test_weight_limit_answers_429(tmp_path: Path) -> None:
    """Beyond the minute's weight the venue refuses with Retry-After and says what was used."""

    async def main() -> None:
        async with running(tmp_path, events_per_s=0, weight=10) as client:
            url = f"{client.base}/fapi/v1/depth?symbol=BTCUSDT&limit=1000"
            async with client.http.get(url) as r:
                assert (r.status, r.headers["X-MBX-USED-WEIGHT-1M"]) == (429, "20")
                assert 0 < int(r.headers["Retry-After"]) <= 60

    asyncio.run(main())


def test_the_process_says_ready_and_stops_in_time() -> None:
    """One JSON line on standard output, an answer on the port, exit code 0 soon after SIGTERM."""
    with subprocess.Popen([sys.executable, "-m", "aegis.exchange", "--symbols", "3"], stdout=subprocess.PIPE) as venue:
        assert venue.stdout is not None
        ready = json.loads(venue.stdout.readline())
        assert ready["event"] == "ready"
        with urllib.request.urlopen(f"http://127.0.0.1:{ready['port']}/fapi/v1/time", timeout=5) as r:
            assert "serverTime" in json.loads(r.read())
        venue.send_signal(signal.SIGTERM)
        assert venue.wait(timeout=2) == 0
