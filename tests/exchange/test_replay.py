"""A capture goes out byte for byte, in order, and the user's orders meet its book."""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import random
from pathlib import Path

import pytest
from exchange_client import receive, running, until

from aegis.exchange.capture import lines, nanoseconds
from aegis.exchange.matching import BUY, SELL, Order
from aegis.exchange.replay_book import ReplayBook
from aegis.exchange.server import Venue

SNAPSHOT = {
    "lastUpdateId": 100,
    "E": 1,
    "T": 1,
    "bids": [["61800.00", "2.000"], ["61799.90", "1.000"]],
    "asks": [["61800.10", "0.500"]],
}


def depth(first: int, last: int, prev: int, bids: list[list[str]], asks: list[list[str]]) -> str:
    """A wrapped depth frame with the odd white space that a re-encoder would lose."""
    body = f'"U":{first},"u":{last},"pu":{prev}, "b":{json.dumps(bids)},"a":{json.dumps(asks)}'
    return f'{{"stream":"btcusdt@depth@0ms","data":{{"e":"depthUpdate","E":2,"T":2,"s":"BTCUSDT",{body}}}}}'


def trade(ident: int, px: str, qty: str) -> str:
    """A wrapped trade frame."""
    body = f'"e":"trade","E":3,"T":3,"s":"BTCUSDT","t":{ident},"p":"{px}","q":"{qty}","X":"MARKET","m":true'
    return f'{{"stream":"btcusdt@trade","data":{{{body}}}}}'


def make_capture(path: Path, frames: list[str], snapshot_at: int) -> list[str]:
    """Write a capture; returns its stream frames."""
    rows = [*frames[:snapshot_at], json.dumps(SNAPSHOT), *frames[snapshot_at:]]
    path.write_bytes(gzip.compress("".join(f"{1723161255030314667 + i} {r}\n" for i, r in enumerate(rows)).encode()))
    return frames


def test_frames_go_out_byte_for_byte(tmp_path: Path) -> None:
    """A combined reader gets the lines' own bytes; the state counts them; the book is the last one."""
    frames = [depth(90, 101, 80, [["61799.90", "0.000"]], [])]
    frames += [trade(i, "61800.00", "0.001") for i in range(3000)]
    frames += [depth(102 + i, 102 + i, 101 + i, [["61700.00", f"{i}.000"]], []) for i in range(1, 50)]
    make_capture(tmp_path / "c.gz", frames, 2)

    async def main() -> None:
        async with running(tmp_path, replay=str(tmp_path / "c.gz"), speed="max") as client:
            url = f"{client.base}/public/stream?streams=btcusdt@depth@0ms/btcusdt@trade"
            before = (await client.call("GET", "/fapi/v1/depth", signed=False, symbol="BTCUSDT", limit=1000))[1]
            assert before == SNAPSHOT
            async with client.http.ws_connect(url) as ws:
                assert [await receive(ws) for _ in frames] == frames
            await until(lambda: client.venue.state()["replay_done"], "end of replay")
            assert client.venue.state()["frames_in_capture"] == len(frames)
            after = (await client.call("GET", "/fapi/v1/depth", signed=False, symbol="BTCUSDT", limit=1000))[1]
            assert (after["lastUpdateId"], after["bids"][-1]) == (151, ["61700.00", "49.000"])  # type: ignore[index,call-overload]

    asyncio.run(main())


def test_orders_meet_the_captured_book(tmp_path: Path) -> None:
    """A taker takes what is displayed, only once; a maker fills when a capture trade prints at its price."""
    make_capture(tmp_path / "c.gz", [trade(1, "61800.00", "0.004")], 0)

    async def main() -> None:
        async with running(tmp_path, replay=str(tmp_path / "c.gz"), speed="max", wallet="1000000") as client:
            order = {
                "symbol": "BTCUSDT",
                "side": "BUY",
                "type": "LIMIT",
                "timeInForce": "IOC",
                "quantity": "0.400",
                "price": "61800.10",
                "newOrderRespType": "RESULT",
            }
            assert (await client.ok("POST", "/fapi/v1/order", **order))["executedQty"] == "0.400"  # type: ignore[index]
            rest = await client.ok("POST", "/fapi/v1/order", **order)
            assert (rest["executedQty"], rest["status"]) == ("0.100", "EXPIRED")  # type: ignore[index]
            maker = await client.ok(
                "POST", "/fapi/v1/order", **order | {"timeInForce": "GTX", "price": "61800.00", "quantity": "0.010"}
            )
            await client.operate("replay/start")
            await until(lambda: client.venue.state()["replay_done"], "end of replay")
            row = await client.ok("GET", "/fapi/v1/order", symbol="BTCUSDT", orderId=maker["orderId"])  # type: ignore[index]
            assert (row["status"], row["executedQty"]) == ("PARTIALLY_FILLED", "0.004")  # type: ignore[index]

    asyncio.run(main())


def test_looking_late_shows_the_same(tmp_path: Path) -> None:
    """A book looked at after every line and one looked at once at the end are equal, and so are their trades."""
    rng = random.Random(5)
    frames = []
    for i in range(2000):
        if rng.random() < 0.3:
            frames.append(trade(i, f"{61800 + rng.randrange(9)}.00", "0.001"))
            continue
        bids = [[f"{61700 + rng.randrange(90)}.00", f"{rng.randrange(4)}.000"] for _ in range(rng.randrange(1, 6))]
        asks = [[f"{61801 + rng.randrange(90)}.00", f"{rng.randrange(4)}.000"] for _ in range(rng.randrange(6))]
        frames.append(depth(101 + i, 101 + i, 100 + i, bids, asks))
    make_capture(tmp_path / "c.gz", frames, 1)

    def shown(eager: bool) -> list[object]:
        venue = Venue(argparse.Namespace(replay=str(tmp_path / "c.gz"), speed="max"))
        assert venue.replay is not None
        m = venue.ex.markets["BTCUSDT"]
        for i, row in enumerate(venue.replay.capture.rows):
            venue.replay.step(i, row)
            if eager:
                m.book.top(BUY, 5)
        waiting = len(venue.replay.books["BTCUSDT"].late)
        assert (waiting == 0) == eager
        return [m.book.top(BUY, 1000), m.book.top(SELL, 1000), m.last_u, m.time_ms, m.last_px, list(m.trades), m.mid()]

    assert shown(True) == shown(False)


@pytest.mark.parametrize("text", ["1723161255030314667", "1723161255030314", "1723161255030", "1723161255.030314:"])
def test_every_unit_of_time_stamps(text: str) -> None:
    """Seconds, milli-, micro- and nanoseconds mean the same instant."""
    assert nanoseconds(text) // 10**6 == 1723161255030


def test_capture_lines_keep_the_frame(tmp_path: Path) -> None:
    """What follows the time stamp is the frame; the payload is its inside."""
    make_capture(tmp_path / "c.gz", [trade(1, "1.0", "1.000")], 1)
    first, snap = lines(str(tmp_path / "c.gz"))
    assert (first.frame, first.stream) == (trade(1, "1.0", "1.000"), "btcusdt@trade")
    assert (json.loads(first.data)["t"], snap.stream) == (1, "")


@pytest.mark.parametrize("by_print", [True, False])
def test_captured_prices_never_turn_a_reduce_only_order_into_an_entry(by_print: bool) -> None:
    """With 3 held, two exits of 2 that one captured line goes through trade 3 together."""
    book = ReplayBook()
    book.room = lambda _order, fills: 3 - sum(f.qty for f in fills)
    for ident in (1, 2):
        book.submit(Order(ident, f"c{ident}", 1, "BTCUSDT", SELL, "LIMIT", "GTC", 100, 2, reduce_only=True))
    book.set(BUY, 101, 50)
    out = book.printed(101, 50) if by_print else book.crossed()
    assert [f.qty for f in out.fills] == [2, 1]
