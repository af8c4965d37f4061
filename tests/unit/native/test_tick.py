"""tick.c and pump.c against the oracle: same records or refused by both, on every captured frame, however cut."""

from __future__ import annotations

import json
import random
from pathlib import Path

import native_rig as rig
import pytest

from aegis.market.book import Book
from aegis.market.decode import Refused, decode
from aegis.native import abi
from aegis.native.books import BooksReader
from aegis.units import Num

SUSHI = [("SUSHIUSDT", 4, 0), ("AKROUSDT", 5, 0), ("KEEPUSDT", 4, 0), ("CTKUSDT", 5, 0)]
WIRE = [(n, 1, 1) for n in "BTCUSDT ETHUSDT LPTUSDT DOGEUSDT 1000PEPEUSDT MANTAUSDT XRPUSDT".split()]
EDGES = [
    b'{"e":"trade","E":1,"T":1,"s":"X","t":9223372036854775807,"p":"0.100","q":"5","X":"MARKET","m":true}',
    b'{"e":"trade","E":1,"T":1,"s":"X","t":9223372036854775808,"p":"0.100","q":"5","X":"MARKET","m":true}',
    b' { "m" : false , "q" : "1.50000000000000000000000" , "p" : "92233720368547758.07", "t" : 2,"s":"X","T":3,'
    b'"e":"trade","new":{"a":[1,{"b":null}]}, "E":1 } ',
    b'{"e":"trade","E":1,"T":1,"s":"X","t":3,"p":"92233720368547758.08","q":"5","m":true}',
    b'{"e":"trade","E":1,"T":1,"s":"X","t":3,"p":"0.0000000000000000001","q":"5","m":true}',
    b'{"e":"trade","E":1,"T":1,"s":"X","t":3,"p":"0.000000000000000001","q":"5","m":true}',
    b'{"e":"trade","E":1,"T":1,"s":"X","t":4,"p":"1e5","q":"5","m":true}',
    b'{"e":"trade","E":1,"T":1,"s":"X","t":4,"p":".5","q":"5","m":true}',
    b'{"e":"trade","E":1,"T":1,"s":"Y","t":5,"p":"5","q":"5","m":true}',
    '{"stream":"币安人生usdt@trade","data":{"e":"trade","E":1,"T":1,"s":"币安人生USDT","t":5,"p":"5","q":"5","m":true}}'.encode(),
    b'{"data":{"e":"depthUpdate","E":1,"T":2,"s":"X","U":1,"u":2,"pu":0,"b":[],"a":[]},"stream":"x@depth5@100ms"}',
    b'{"data":{"e":"depthUpdate","E":1,"T":2,"s":"X","U":1,"u":2,"pu":0,"b":[["1"]],"a":[]},"stream":"x@depth"}',
    b'{"e":"markPriceUpdate","E":5,"s":"X","p":"1","i":"2","r":"","T":0}',
    b'{"e":"trade","E":1,"T":1,"s":"X","t":3,"p":"1","q":"5","m":true',
    b'{"e":"kline","E":5,"s":"X","k":{"t":1,"i":"7m","o":"1","h":"1","l":"1","c":"1","v":"1","q":"1","n":1,"x":true}}',
    b'{"result":null,"id":1}',
]


def expected(frame: bytes, symbols: rig.Listed) -> tuple[str, list]:
    try:
        records = decode(frame, symbols)
    except Refused:
        return "refused", []
    return ("text", []) if records is None else ("taken", records)


def agree(bench: rig.Bench, frame: bytes, chunks: list[bytes]) -> None:
    """One frame, cut into chunks, gives what the oracle says."""
    bench.market.reset([n for n, _, _ in bench.symbols], range(1, 10))
    before = sum(n for k, n in bench.market.counters().items() if k.startswith("refused_"))
    events = [event for chunk in chunks for event in bench.feed(chunk)]
    got = bench.records()
    refused = sum(n for k, n in bench.market.counters().items() if k.startswith("refused_")) - before
    verdict, records = expected(frame, bench.symbols)
    assert got == records, frame
    assert (verdict == "refused") == bool(refused), frame
    assert events == ([("text", frame)] if verdict == "text" else []), frame


@pytest.fixture
def make(tmp_path: Path):
    return lambda symbols: rig.Bench(tmp_path, symbols)


def test_edges_whole_and_split_at_every_byte(make) -> None:
    """Exact limits of numbers, key order, white space, UTF-8 names, unknown keys; wherever the bytes are cut."""
    bench = make([("X", 2, 1), ("币安人生USDT", 4, 0)])
    for frame in EDGES:
        raw = rig.wrap(frame)
        for cut in range(len(raw)):
            agree(bench, frame, [raw[:cut], raw[cut:]])


@pytest.mark.parametrize("source", ["wire", "multi"])
def test_small_captures_whole_and_split_at_every_byte(make, source: str) -> None:
    """wire_2026 and multi_2021: every frame, every cut (of the larger capture, seeded cuts after 60 frames)."""
    frames = rig.wire_frames() if source == "wire" else rig.multi_frames()
    bench, dice = make(WIRE if source == "wire" else SUSHI), random.Random(2)
    assert len(frames) > 20
    for number, frame in enumerate(frames):
        raw = rig.wrap(frame)
        every = number < 60 and len(raw) < 600
        for cut in range(len(raw)) if every else [0, *dice.sample(range(len(raw)), 2)]:
            agree(bench, frame, [raw[:cut], raw[cut:]])


def replay(bench: rig.Bench, frames: list[bytes], dice: random.Random) -> dict[str, Book]:
    """All frames in order, cut at random, through pump and oracle; records compared frame by frame."""
    books = {name: Book(p, q) for name, p, q in bench.symbols}
    names = [name for name, _, _ in bench.symbols]
    for frame in frames:
        if b'"lastUpdateId"' in frame:
            body = json.loads(frame)
            snapshot(bench, books, names[0], body.get("data", body))
            continue
        raw = rig.wrap(frame)
        cut = dice.randrange(len(raw))
        bench.feed(raw[:cut])
        bench.feed(raw[cut:])
        wanted = decode(frame, bench.symbols)
        assert bench.records() == (wanted or []), frame
        if wanted and wanted[0].kind == abi.KIND_DEPTH:
            books[names[wanted[0].symbol]].apply(wanted)
    return books


def snapshot(bench: rig.Bench, books: dict[str, Book], name: str, body: dict) -> None:
    book = books[name]
    px_exp, qty_exp = book.px_exp, book.qty_exp
    sides = [[(Num.parse(p).at(px_exp), Num.parse(q).at(qty_exp)) for p, q in body[s]] for s in ("bids", "asks")]
    book.snapshot(body["lastUpdateId"], *sides)
    bench.market.book_snapshot(name, body["lastUpdateId"], *sides)


def same_tops(bench: rig.Bench, books: dict[str, Book]) -> None:
    page = BooksReader(bench.root / "books")
    for i, name in enumerate(page.symbols()):
        top = page.top(i)
        assert top.trusted and books[name].live and top.u == books[name].u, name
        assert (top.bids, top.asks) == books[name].top(20), name
    counters = bench.market.counters()
    assert counters["book_breaks"] == 0 and counters["top_mismatch"] == 0 and sum(b.breaks for b in books.values()) == 0


@pytest.mark.parametrize("day", ["2024-08-08", "2022-08-11"])
def test_btcusdt_capture_and_its_book(make, day: str) -> None:
    """Every frame's records equal the oracle's; the top after the last frame too; no break."""
    frames = rig.gz_frames(rig.need(f"btcusdt_{day}", "capture.gz"))
    bench = make([("BTCUSDT", 2, 3)])
    books = replay(bench, frames, random.Random(1))
    same_tops(bench, books)
    stream_frames = sum(b'"lastUpdateId"' not in frame for frame in frames)
    assert bench.market.counters()["frames"] == stream_frames
    if day == "2024-08-08":
        assert stream_frames == 93_953


def test_four_books_of_2021(make) -> None:
    """Four symbols on one socket; snapshots arrive after the first events and join."""
    bench, frames = make(SUSHI), rig.multi_frames()
    books = {name: Book(p, q) for name, p, q in SUSHI}
    names = [n for n, _, _ in SUSHI]
    for frame in frames:
        bench.feed(rig.wrap(frame))
        wanted = decode(frame, SUSHI)
        if wanted and wanted[0].kind == abi.KIND_DEPTH:
            books[names[wanted[0].symbol]].apply(wanted)
    for line in rig.need("multi_2021-07-22", "depth_snapshots.txt").read_text().splitlines():
        if "symbol=" in line and "{" in line:
            name = line.split("symbol=", 1)[1].split("&", 1)[0]
            snapshot(bench, books, name, json.loads(line[line.index("{") :]))
    same_tops(bench, books)


def test_duplicates_and_na_trades_are_counted_not_published(make) -> None:
    """Overlapping sockets: the second copy is counted; X=NA is dropped and counted; reset forgets."""
    bench = make([("X", 2, 1)])
    for _ in range(2):
        bench.feed(rig.wrap(EDGES[0]))
    bench.feed(rig.wrap(b'{"e":"trade","E":1,"T":1,"s":"X","t":7,"p":"0","q":"0","X":"NA","m":true}'))
    counters = bench.market.counters()
    assert (counters["duplicates"], counters["dropped_na"], len(bench.records())) == (1, 1, 1)
    bench.market.reset(["X"], [abi.KIND_TRADE])
    bench.feed(rig.wrap(EDGES[0]))
    assert len(bench.records()) == 1 and int(bench.market.counts[abi.KIND_TRADE, 0]) == 4


def test_fragments_control_frames_and_large_frames(make) -> None:
    """A 300 KiB event in fragments with a ping between them is one event; bad framing ends the connection."""
    bench = make([("X", 2, 1)])
    levels = ",".join(f'["{n}.5","1"]' for n in range(12_000))
    body = b'{"e":"depthUpdate","E":1,"T":1,"s":"X","U":1,"u":2,"pu":0,"pad":"' + b" " * 150_000
    body += b'","b":[' + levels.encode() + b'],"a":[]}'
    assert len(body) > 300_000
    ping = b"\x89\x02hi"
    raw = rig.wrap(body[:100], 1, False) + ping + rig.wrap(body[100:200_000], 0, False) + rig.wrap(body[200_000:], 0)
    assert bench.feed(raw) == [("control", ping)]
    assert bench.records() == decode(body, bench.symbols)
    for data, why in ((b"\xc1\x00", "reserved_bits"), (b"\x81\x80abcd", "masked"), (b"\x80\x00", "continuation")):
        assert bench.feed(data, rig.Pump(bench.market)) == [("bad", why)]
