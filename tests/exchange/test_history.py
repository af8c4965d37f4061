"""Pages of the past: every row once, in order, whatever the page's size; and a page's cost is the page's."""

from __future__ import annotations

import csv
import random
from urllib.request import urlopen

import pytest
from core import Venue

from aegis.errors import VenueError
from aegis.exchange import downloads, history, orders

LIMIT = {"symbol": "BTCUSDT", "type": "LIMIT", "timeInForce": "GTC", "side": "BUY", "quantity": "0.010"}


@pytest.fixture(scope="module")
def venue() -> Venue:
    """Forty orders in two symbols, a second apart, most of them cancelled, every fourth filled."""
    it = Venue({"main": 1_000_000})
    it.quote("BTCUSDT", "61799.90", "61800.00")
    it.quote("ETHUSDT", "2463.00", "2463.10")
    for i in range(40):
        it.now += 1000
        if i % 4 == 0:
            it.place(symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.010")
        elif i % 4 == 1:
            it.place(symbol="ETHUSDT", side="SELL", type="MARKET", quantity="0.100")
        else:
            placed = it.place(**LIMIT, price="61000")
            orders.cancel(it.ex, it.acc(), {"symbol": "BTCUSDT", "orderId": str(placed["orderId"])})
    return it


@pytest.mark.parametrize("limit", [1, 3, 7, 1000])
def test_orders_and_fills_page_by_id(venue: Venue, limit: int) -> None:
    """From the first id on, page by page, every order and every fill comes once and in order."""
    for ask, key, name in ((history.all_orders, "orderId", "orderId"), (history.user_trades, "fromId", "id")):
        got: list[int] = []
        start = 1
        while rows := ask(venue.ex, venue.acc(), {"symbol": "BTCUSDT", key: str(start), "limit": str(limit)}):
            got += [row[name] for row in rows]
            start = got[-1] + 1
        assert got == sorted(got)
        assert len(got) == (30 if key == "orderId" else 10)


@pytest.mark.parametrize("past", ["income", "order", "trade"])
def test_a_file_of_the_past_holds_the_rows_of_its_endpoint(venue: Venue, past: str) -> None:
    """The official clients order a file by a window and fetch it by its id; a window of nothing is an empty file."""
    ex, acc, low, high = venue.ex, venue.acc(), venue.now - 30_000, venue.now - 5_000
    window = {"startTime": str(low), "endTime": str(high)}
    wide = window | {"limit": "1000"}
    trades = [r for s in ("BTCUSDT", "ETHUSDT") for r in history.user_trades(ex, acc, wide | {"symbol": s})]
    rows = {
        "income": history.income(ex, acc, wide),
        "order": history.all_orders(ex, acc, wide),
        "trade": sorted(trades, key=lambda r: (r["time"], r["id"])),
    }[past]
    made = downloads.order_of(ex, acc, window)["downloadId"]
    done = downloads.link_of(past)(ex, acc, {"downloadId": made})
    assert done["status"] == "completed"
    with urlopen(done["url"]) as r:
        told = list(csv.DictReader(r.read().decode().splitlines()))
    assert rows and told == [{k: str(v) for k, v in row.items()} for row in rows]
    none = downloads.order_of(ex, acc, {"startTime": "1", "endTime": "2"})["downloadId"]
    with urlopen(downloads.link_of(past)(ex, acc, {"downloadId": none})["url"]) as r:
        assert not r.read().strip()


@pytest.mark.parametrize(("low", "high"), [("5", "4"), ("1", "90000000000"), ("1", "10000000000000"), ("-1", "4")])
def test_a_window_that_no_file_can_have(venue: Venue, low: str, high: str) -> None:
    """Turned round, over a year, past the last day, before the first; and an id that was never given."""
    with pytest.raises(VenueError) as e:
        downloads.order_of(venue.ex, venue.acc(), {"startTime": low, "endTime": high})
    assert e.value.code == -4165
    with pytest.raises(VenueError) as e:
        downloads.link_of("income")(venue.ex, venue.acc(), {"downloadId": low})
    assert e.value.code == -1130


def test_windows_of_time_hold_what_lies_in_them(venue: Venue) -> None:
    """Against a plain scan, for random windows of orders, fills and cash flows."""
    acc, rng = venue.acc(), random.Random(7)
    for _ in range(50):
        low = venue.now - rng.randrange(45_000)
        high = low + rng.randrange(20_000)
        ask = {"startTime": str(low), "endTime": str(high)}
        placed = [o.id for o in acc.orders.values() if low <= o.time_ms <= high]
        assert [r["orderId"] for r in history.all_orders(venue.ex, acc, ask)] == placed
        fills = [t.id for t in acc.executions if t.symbol == "ETHUSDT" and low <= t.time_ms <= high]
        assert [r["id"] for r in history.user_trades(venue.ex, acc, ask | {"symbol": "ETHUSDT"})] == fills
        flows = [r.tran_id for r in acc.income if low <= r.time_ms <= high]
        assert [r["tranId"] for r in history.income(venue.ex, acc, ask | {"limit": "1000"})] == flows


def test_without_bounds_the_newest_come_oldest_first(venue: Venue) -> None:
    """The last three orders over all symbols, and the last three fills of one."""
    acc = venue.acc()
    newest = [o.id for o in acc.orders.values()][-3:]
    assert [r["orderId"] for r in history.all_orders(venue.ex, acc, {"limit": "3"})] == newest
    fills = [t.id for t in acc.executions if t.symbol == "BTCUSDT"][-3:]
    assert [r["id"] for r in history.user_trades(venue.ex, acc, {"symbol": "BTCUSDT", "limit": "3"})] == fills
