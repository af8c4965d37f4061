"""Every stream kind: same keys in the same order, same types and the same digits as frames seen on the wire."""

from __future__ import annotations

import argparse
import gzip
import json
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aegis.exchange import public
from aegis.exchange.candles import INTERVALS
from aegis.exchange.conn import Conn
from aegis.exchange.instrument import Candle
from aegis.exchange.marketdata import ForceOrder
from aegis.exchange.matching import SELL
from aegis.exchange.server import Venue
from aegis.exchange.symbols import dec

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
captured = pytest.mark.skipif(not DATA.is_dir(), reason="no captures in ../shared/data")
START_MS = 1_790_755_200_000


class Screen:
    """A venue without sockets, its clock in our hand, and what one reader of each stream was sent."""

    def __init__(self, **options: object) -> None:
        self.venue = Venue(argparse.Namespace(seed=3, events_per_s=200, **options))
        self.ex, self.now = self.venue.ex, START_MS
        self.ex.clock = lambda: self.now
        for m in self.ex.markets.values():
            m.opened_ms = self.now
        self.conns: dict[str, Conn] = {}

    def read(self, *names: str) -> None:
        """Subscribe to each stream on a connection of its own."""
        for name in names:
            conn = self.conns[name] = Conn("any", False)
            self.venue.hub.unrouted = "all"
            self.venue.hub.subscribe(conn, [name])

    def run(self, ms: int, step_ms: int = 50) -> None:
        """Let time pass, with two market events per step."""
        assert self.venue.flow is not None
        for _ in range(ms // step_ms):
            self.now += step_ms
            self.venue.flow.step()
            self.venue.flow.step()
            self.ex.md.tick(self.now)

    def texts(self, name: str) -> list[str]:
        """Payloads sent on a stream so far."""
        return [payload(data) for data in self.conns[name].queue]


def payload(data: bytes) -> str:
    """The text of one frame."""
    size = data[1]
    return data[{126: 4, 127: 10}.get(size, 2) :].decode()


def skeleton(text: str) -> str:
    """A frame without its values: keys, order, types and white space remain."""
    text = re.sub(r'"-?\d+(\.\d+)?"', '"#"', text)
    text = re.sub(r':( ?)"(?!#")[^"]*"', r':\1"$"', text)
    text = re.sub(r"(?<=[:,\[])-?\d+(?=[,}\]])", "0", text)
    text = re.sub(r":(true|false)", ":B", text)
    text = re.sub(r'\["#","#"\](,\["#","#"\])*', "L", text)
    return re.sub(r'"(b|a)":\[L?\]', r'"\1":[]', text)


def places(value: Any, key: str = "") -> dict[str, int]:
    """Decimal places by key of everything that is a decimal text."""
    if isinstance(value, dict):
        return {k: n for name, one in value.items() for k, n in places(one, f"{key}.{name}").items()}
    if isinstance(value, list):
        return {k: n for one in value[:1] for k, n in places(one, key).items()}
    if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value):
        return {key: len(value.partition(".")[2])}
    return {}


def wire(name: str) -> list[dict[str, Any]]:
    """Raw frames of a file as {"text", "row"} without their wrapper."""
    out = []
    for line in (DATA / "wire_2026" / name).read_text().splitlines():
        if line.startswith('{"stream"'):
            line = line[line.index('"data":') + 7 : -1]
        if line.startswith('{"e"'):
            out.append({"text": line, "row": json.loads(line)})
    return out


KINDS = {
    "bookTicker": "btcusdt@bookTicker",
    "trade": "btcusdt@trade",
    "aggTrade": "btcusdt@aggTrade",
    "depthUpdate": "btcusdt@depth@100ms",
    "markPriceUpdate": "btcusdt@markPrice@1s",
    "24hrTicker": "btcusdt@ticker",
    "forceOrder": "btcusdt@forceOrder",
    "kline": "btcusdt@kline_1m",
}


@pytest.fixture(scope="module")
def screen() -> Screen:
    """BTCUSDT alone, every kind read for five seconds, with one liquidation."""
    it = Screen(symbols=1)
    it.read(*KINDS.values(), "!forceOrder@arr")
    it.run(4000)
    btc = it.ex.markets["BTCUSDT"]
    it.ex.md.liquidated(btc, ForceOrder(SELL, 10, 6_100_000, 6_110_000, 5, 10), it.now)
    it.ex.md.liquidated(btc, ForceOrder(SELL, 190, 6_120_000, 6_130_000, 155, 190), it.now)
    it.ex.md.liquidated(btc, ForceOrder(SELL, 20, 6_100_000, 6_110_000, 5, 20), it.now)
    it.run(1500)
    return it


@captured
@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"kline"}))
def test_production_frames_of_2026(screen: Screen, kind: str) -> None:
    """Keys, order, types and, for BTCUSDT, every number of decimal places."""
    rows = [r for r in wire("misc_prod_frames.jsonl") if r["row"]["e"] == kind]
    rows = [r for r in rows if '"st":1' in r["text"] and r["row"].get("X") != "NA"]
    assert rows
    ours = screen.texts(KINDS[kind])
    assert {skeleton(t) for t in ours} == {skeleton(r["text"]) for r in rows}
    btc = [r["row"] for r in rows if "BTCUSDT" in r["text"]]
    shown = {key: n for t in ours for key, n in places(json.loads(t)).items()}  # a diff may have one side only
    assert shown == places(btc[-1])


@captured
def test_demo_frames_of_2026(screen: Screen) -> None:
    """The kline with its blanks, open and closed, and everything else the demo venue sent."""
    for r in wire("misc_demo_frames_2026-07-26.jsonl"):
        name = KINDS.get(r["row"]["e"])
        if name is not None:
            assert skeleton(screen.texts(name)[-1]) == skeleton(r["text"])


@captured
def test_funding_rollover_frames(screen: Screen) -> None:
    """Marks on the second, with eight places and the next boundary."""
    ours = screen.texts("btcusdt@markPrice@1s")
    rows = wire("prod_2026-09-30_markprice_funding_rollover.jsonl")
    assert rows
    assert {skeleton(r["text"]) for r in rows} == {skeleton(t) for t in ours}
    assert all(json.loads(t)["E"] % 1000 == 0 for t in ours)
    assert json.loads(ours[-1])["T"] == START_MS + 8 * 3_600_000


@captured
def test_the_second_of_a_settlement_still_tells_the_old_period() -> None:
    """As captured: at the boundary time and rate are those just settled, a second later both are the next ones."""
    rows = [r["row"] for r in wire("prod_2026-09-30_markprice_funding_rollover.jsonl") if r["row"]["s"] == "BTCUSDT"]
    theirs = {(r["E"] // 1000 - START_MS // 1000, r["T"] - START_MS) for r in rows}
    it = Screen(symbols=1)
    it.read("btcusdt@markPrice@1s")
    it.now += 8 * 3_600_000 - 2000
    while it.now < START_MS + 8 * 3_600_000 + 3000:
        it.now += 50
        it.ex.prices.advance(it.now)
        it.ex.md.tick(it.now)
    frames = [json.loads(t) for t in it.texts("btcusdt@markPrice@1s")]
    due = START_MS + 8 * 3_600_000
    assert theirs and theirs <= {((f["E"] - due) // 1000, f["T"] - due) for f in frames}
    rates = {f["E"] - due: f["r"] for f in frames}
    assert rates[0] == dec(it.ex.markets["BTCUSDT"].settled[-1][1], 8)


@captured
def test_older_captures_hold_nothing_we_lack(screen: Screen) -> None:
    """Each key of the frames of 2021 and 2024 is in ours, in the same order and of the same type."""
    texts = [line.partition(" ")[2] for line in (DATA / "multi_2021-07-22/frames.txt").read_text().splitlines()[1:]]
    with gzip.open(DATA / "btcusdt_2024-08-08/capture.gz", "rt") as file:
        texts += [next(file).rstrip().partition(" ")[2] for _ in range(3000)]
    seen = set()
    for text in texts:
        theirs = json.loads(text).get("data") or {}
        name = KINDS.get(theirs.get("e", ""))
        if name is None:
            continue
        seen.add(theirs["e"])
        mine = json.loads(screen.texts(name)[-1])
        for a, b in ((theirs, mine), (theirs.get("k", {}), mine.get("k", {}))):
            assert [k for k in b if k in a] == list(a)
            assert all(type(a[k]) is type(b[k]) for k in a)
    assert seen == {"bookTicker", "trade", "aggTrade", "depthUpdate", "kline"}


def test_only_the_largest_liquidation_of_a_second_is_shown(screen: Screen) -> None:
    """Three in one second give one frame, on the symbol's stream and on the array's, the largest."""
    (one,) = screen.texts("btcusdt@forceOrder")
    assert screen.texts("!forceOrder@arr") == [one]
    o = json.loads(one)["o"]
    assert (o["S"], o["q"], o["p"], o["ap"], o["l"], o["z"]) == (
        "SELL",
        "0.190",
        "61200.00",
        "61300.00",
        "0.155",
        "0.190",
    )


def test_documented_examples_of_the_rest() -> None:
    """Kinds nobody captured have the documented keys, in order."""
    it = Screen(symbols=6)
    names = {
        "btcusdt_perpetual@continuousKline_1m": ["e", "E", "ps", "ct", "k"],
        "btcusdt@miniTicker": ["e", "E", "s", "ps", "c", "o", "h", "l", "v", "q", "st"],
        "btcusd@assetIndex": ["e", "E", "s", "i", "b", "a", "B", "A", "q", "g", "Q", "G"],
        "!contractInfo": ["e", "E", "s", "ct", "dt", "ot", "cs", "bks", "st"],
        "tradingSession": ["e", "E", "t", "T", "S"],
        "!bookTicker": ["e", "u", "s", "ps", "b", "B", "a", "A", "T", "E", "st"],
        "btcusdt@rpiDepth@500ms": ["e", "E", "T", "s", "ps", "U", "u", "pu", "b", "a", "st"],
        "btcusdt@depth20": ["e", "E", "T", "s", "ps", "U", "u", "pu", "b", "a", "st"],
    }
    it.read(*names)
    it.ex.md.contract(it.ex.markets["BTCUSDT"], it.now)
    it.run(6000)
    for name, keys in names.items():
        assert list(json.loads(it.texts(name)[-1])) == keys, name
    assert list(json.loads(it.texts("!contractInfo")[0])["bks"][0]) == ["bs", "bnf", "bnc", "mmr", "cf", "mi", "ma"]
    inner = json.loads(it.texts("btcusdt_perpetual@continuousKline_1m")[-1])["k"]
    assert "s" not in inner and inner["i"] == "1m"


def test_arrays_hold_what_changed() -> None:
    """Mark arrays name every symbol; ticker arrays only those that traded since the last frame."""
    it = Screen(symbols=6)
    it.read("!markPrice@arr@1s", "!miniTicker@arr", "!ticker@arr", "!assetIndex@arr")
    it.run(3000)
    assert {len(json.loads(t)) for t in it.texts("!markPrice@arr@1s")} == {6}
    before = [len(it.texts(name)) for name in it.conns]
    for _ in range(40):
        it.now += 50
        it.ex.md.tick(it.now)
    after = [len(it.texts(name)) for name in it.conns]
    assert after[1:3] == before[1:3]
    assert after[0] > before[0]


def test_candles_close_once_and_never_go_back() -> None:
    """Over two minutes every candle shown open is shown closed exactly once, after all its trades."""
    it = Screen(symbols=1)
    it.read("btcusdt@kline_1m", "btcusdt@trade")
    it.run(130_000)
    rows = [json.loads(t)["k"] for t in it.texts("btcusdt@kline_1m")]
    closed = [k["t"] for k in rows if k["x"]]
    assert len(closed) == len(set(closed)) == 2
    assert [k["t"] for k in rows] == sorted(k["t"] for k in rows)
    trades = [json.loads(t) for t in it.texts("btcusdt@trade")]
    for k in (k for k in rows if k["x"]):
        inside = [t for t in trades if k["t"] <= t["T"] <= k["T"]]
        assert (k["n"], k["f"], k["L"], k["c"]) == (len(inside), inside[0]["t"], inside[-1]["t"], inside[-1]["p"])


def test_every_interval_has_a_stream() -> None:
    """Each listed interval answers, with as many trade ids as trades; an unknown one is silent."""
    it = Screen(symbols=1)
    names = [f"btcusdt@kline_{i}" for i in INTERVALS]
    it.read(*names, "btcusdt@kline_7m")
    it.run(3000)
    for name in names:
        k = json.loads(it.texts(name)[-1])["k"]
        assert (k["i"], k["t"] <= it.now <= k["T"]) == (name.partition("_")[2], True)
        assert 0 < k["f"] == k["L"] - k["n"] + 1
    assert it.texts("btcusdt@kline_7m") == []


def test_a_minute_without_trades_has_no_ids() -> None:
    """Nothing traded is told by -1, as an id of 0 would be one."""
    it = Screen(symbols=1)
    it.read("btcusdt@kline_1m")
    it.run(1000)
    it.now += 120_000
    it.ex.md.tick(it.now)
    k = json.loads(it.texts("btcusdt@kline_1m")[-1])["k"]
    assert (k["n"], k["f"], k["L"]) == (0, -1, -1)


def test_aggregates_join_equal_fills_and_lose_none() -> None:
    """Aggregates tile the trade ids; each has one price and side and spans under 100 ms."""
    it = Screen(symbols=1)
    it.read("btcusdt@aggTrade", "btcusdt@trade")
    it.run(20_000, step_ms=10)
    it.run(200)
    trades = {(t := json.loads(text))["t"]: t for text in it.texts("btcusdt@trade")}
    aggs = [json.loads(t) for t in it.texts("btcusdt@aggTrade")]
    assert [a["f"] for a in aggs[1:]] == [a["l"] + 1 for a in aggs[:-1]]
    assert any(a["l"] > a["f"] for a in aggs)
    for a in aggs:
        inside = [trades[i] for i in range(a["f"], a["l"] + 1)]
        assert {(t["p"], t["m"]) for t in inside} == {(a["p"], a["m"])}
        assert inside[-1]["T"] - inside[0]["T"] < 100
        assert round(sum(float(t["q"]) for t in inside), 3) == float(a["q"])


def test_the_day_rolls() -> None:
    """The ticker equals a plain sum over its window's trades, and old minutes leave it."""
    it = Screen(symbols=1)
    it.read("btcusdt@ticker", "btcusdt@trade")
    it.run(150_000, step_ms=500)
    it.now += 86_400_000 - 90_000
    it.run(60_000, step_ms=500)
    day = json.loads(it.texts("btcusdt@ticker")[-1])
    trades = [json.loads(t) for t in it.texts("btcusdt@trade")]
    inside = [t for t in trades if t["T"] >= day["O"] and t["T"] <= day["C"]]
    assert 0 < len(inside) < len(trades)
    prices = [float(t["p"]) for t in inside]
    assert day["n"] == len(inside)
    assert (day["F"], day["L"]) == (inside[0]["t"], inside[-1]["t"])
    assert (float(day["h"]), float(day["l"])) == (max(prices), min(prices))
    assert (float(day["o"]), float(day["c"])) == (prices[0], prices[-1])
    assert float(day["v"]) == round(sum(float(t["q"]) for t in inside), 3)
    assert float(day["P"]) == pytest.approx((prices[-1] / prices[0] - 1) * 100, abs=0.0006)
    assert day["O"] % 60_000 == 0


def test_rest_and_stream_tell_the_same_day() -> None:
    """Every number of the 24 h ticker is the same text at both doors, at the same moment."""
    pairs = dict(
        zip(
            "p P w c Q o h l v q O C F L n".split(),
            "priceChange priceChangePercent weightedAvgPrice lastPrice lastQty openPrice highPrice lowPrice volume "
            "quoteVolume openTime closeTime firstId lastId count".split(),
            strict=True,
        )
    )
    it = Screen(symbols=6)
    for _ in range(5):
        it.run(1000)
        for name, m in it.ex.markets.items():
            frame = json.loads(it.ex.md.tickers.ticker(m, it.now))
            row = public.ticker_day(it.ex, {"symbol": name})
            assert {full: frame[key] for key, full in pairs.items()} == {full: row[full] for full in pairs.values()}


def test_a_day_is_walked_once_a_minute() -> None:
    """Between two minutes a ticker costs no look at the minutes of its day, however many there are."""

    class Walked(deque[Candle]):
        walks = 0

        def __iter__(self) -> Iterator[Candle]:
            Walked.walks += 1
            return super().__iter__()

    it = Screen(symbols=1)
    it.read("btcusdt@ticker")
    it.run(125_000, step_ms=500)
    day = it.ex.md.tickers.days["BTCUSDT"]
    day.minutes = Walked(day.minutes)
    Walked.walks = 0
    it.run(50_000, step_ms=500)
    assert Walked.walks == 0
    it.run(10_000, step_ms=500)
    assert Walked.walks == 2


def test_depth_chain_and_late_readers() -> None:
    """`pu` is the previous `u`; a stream left and joined again goes on; sizes are those of the book."""
    it = Screen(symbols=2)
    it.read("btcusdt@depth@100ms")
    it.run(2000)
    first = it.conns["btcusdt@depth@100ms"]
    it.venue.hub.drop(first)
    it.read("btcusdt@depth@100ms")
    it.run(2000)
    events = [json.loads(t) for t in it.texts("btcusdt@depth@100ms")]
    assert len(events) > 5
    assert [e["pu"] for e in events[1:]] == [e["u"] for e in events[:-1]]
    assert all(e["U"] <= e["u"] and e["pu"] < e["U"] for e in events)
    it.venue.hub.drop(it.conns["btcusdt@depth@100ms"])
    it.run(1000)
    assert it.ex.markets["BTCUSDT"].feeds == {}
