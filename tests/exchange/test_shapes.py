"""Everything captured and everything the protocol notes print has the shape of what the simulator sends."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from scene import kind_of, play
from shapes import Grid, Shape, blanks, differences, grid, nearest, signature

SHARED = Path(__file__).resolve().parents[3] / "shared"
DATA, NOTES = SHARED / "data", SHARED / "PROTOCOL.md"
captured = pytest.mark.skipif(not DATA.is_dir(), reason="no captures in ../shared/data")
printed = pytest.mark.skipif(not NOTES.is_file(), reason="no protocol notes in ../shared")
ENOUGH = 200  # messages of one kind and symbol that are taken from one file
WRAPPER = re.compile(r'^\{"stream":"[^"]*","data":(.*)\}$')
ASKED = re.compile(r"symbol=(\w+)")
EVENT = re.compile(r'"e":"(\w+)".*?"s":"([^"]+)"')

PLACES = {  # (price, quantity) places of symbols in the captures
    "BTCUSDT": (2, 3), "ETHUSDT": (2, 3), "ETHUSDC": (2, 3), "SOLUSDT": (4, 2), "XRPUSDT": (4, 1), "DOGEUSDT": (6, 0),
    "1000PEPEUSDT": (7, 0), "MANTAUSDT": (7, 1), "LPTUSDT": (3, 1), "DOTUSDT": (4, 1),
    "SUSHIUSDT": (4, 0), "AKROUSDT": (5, 0), "KEEPUSDT": (4, 0), "CTKUSDT": (5, 0), "BNBUSDT": (2, 2),
}  # fmt: skip
DEMO = {"BTCUSDT": (2, 4)}
FROM_DEMO = re.compile(r'"E":1785048[45]')  # samples printed from the demo venue, whose grid is finer


def day(text: str) -> int:
    """Midnight of a date in ms."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


# The simulator speaks November 2026. Keys that came into a message, and when: before that they may be missing.
CAME = {
    r"ps|o\.(ps|st)": "2026-06-30",
    r"st": "2026-08-12",  # on 2026-08-11 frames with `ps` alone were still seen
    r"nq": "2025-12-31",
    r"ap": "2026-03-16",
    r"o\.er": "2025-10-23",
    r"a\.S": "2026-08-31",
    r"maxMoveOrderLimit|permissionSets": "2026-01-01",
}
WENT = {
    r"settlePlan": "2026-09-01",
    r"contractType": "2026-09-01",
}  # dropped since; types were empty for closed symbols
LEFT = {"exchangeInfo MAX_NUM_ALGO_ORDERS"}  # a filter the venue has dropped since
FREE_ORDER = "exchangeInfo "  # filters have their keys in any order
WRITTEN_SINCE = day("2026-01-01")  # user events were padded before; blanks in klines came later too
NOT_MADE = {"trade RPI": "trade MARKET", "trade NA": "trade MARKET"}  # the synthetic market has no such prints


@dataclass(frozen=True)
class Sample:
    """Messages of one kind, symbol and signature out of one source, with the time of the latest."""

    kind: str
    source: str
    at_ms: int
    shape: Shape

    @property
    def name(self) -> str:
        """What a failure is called."""
        return f"{self.kind} of {self.source}"


def known(table: dict[str, str], at_ms: int) -> Callable[[str], bool]:
    """Does the table name this place with a date after `at_ms`?"""
    rows = [re.compile(pattern) for pattern, since in table.items() if day(since) > at_ms]
    return lambda place: any(row.fullmatch(place) for row in rows)


def time_of(value: Any, source: str) -> int:
    """When a message was made: its own time, else the date in its file's name."""
    row = value if isinstance(value, dict) else {}
    found = row.get("E") or row.get("serverTime")
    if found:
        return int(found)
    date = re.search(r"(\d{4})-(\d\d)(?:-(\d\d))?", source)
    assert date, f"no time in {source}"
    return day(f"{date[1]}-{date[2]}-{date[3] or '28'}")


def symbol_of(value: Any) -> str:
    """The symbol a message is about, "" for none or many."""
    row = value if isinstance(value, dict) else {}
    for inner in (row, row.get("o"), *(row.get("a", {}).get("P", []) if row.get("e") == "ACCOUNT_UPDATE" else ())):
        if isinstance(inner, dict) and isinstance(inner.get("s"), str):
            return str(inner["s"])
    return ""


def places(symbol: str, source: str) -> Grid:
    """The grid of a symbol at the venue a file is from."""
    table = PLACES | DEMO if "demo" in source else PLACES
    return grid(*table[symbol or "BTCUSDT"])


def parts(text: str, source: str) -> Iterator[tuple[str, str, Grid, Any]]:
    """(kind, symbol, grid, value) of what is compared of a message: itself, of exchangeInfo each row and filter."""
    value = json.loads(text)
    asked = ASKED.search(source)
    kind, symbol = kind_of(value), asked[1] if asked else symbol_of(value)
    if kind == "GET exchangeInfo":
        for row in value["symbols"]:
            own = grid(row["pricePrecision"], row["quantityPrecision"])
            for rule in row.pop("filters"):
                yield f"exchangeInfo {rule['filterType']}", row["symbol"], own, rule
            yield "exchangeInfo", row["symbol"], own, row
        value["symbols"] = []
    yield kind, symbol, places(symbol, source), value


def samples(rows: Iterable[tuple[str, str]], only: str = "") -> list[Sample]:
    """Rows of (source, text) grouped; `only` leaves out messages about another symbol."""
    found: dict[tuple[str, str, str, str], tuple[Shape, int]] = {}
    for source, text in rows:
        spaces = blanks(text)
        if only and symbol_of(json.loads(text)) not in ("", only):
            continue
        at_ms = time_of(json.loads(text), source)
        for kind, symbol, own, value in parts(text, source):
            key = (kind, source, symbol, signature(value))
            shape, before = found.get(key, (Shape(own), 0))
            shape.spaces |= spaces
            found[key] = shape.take(value), max(before, at_ms)
    return [Sample(k[0], f"{k[1]} {k[2]}".strip(), at, shape) for k, (shape, at) in found.items()]


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """(symbol that was asked for, message) of a capture file, without what its recorder put around them."""
    with path.open("rb") as f:
        for row in gzip.GzipFile(fileobj=f) if path.suffix == ".gz" else f:
            line = row.decode()
            start = min((i for i in (line.find("{"), line.find("[")) if i >= 0), default=-1)
            if start >= 0 and not line.startswith("configuration"):
                text = line[start:].strip()
                wrapped = WRAPPER.match(text)
                asked = ASKED.search(line[:start])
                yield asked[0] if asked else "", wrapped[1] if wrapped else text


def in_the_data() -> Iterator[tuple[str, str]]:
    """(file, message) of everything captured; of what repeats, the first ENOUGH."""
    seen: dict[tuple[object, ...], int] = {}
    for path in sorted(DATA.glob("*/*")):
        source = str(path.relative_to(DATA))
        for asked, text in lines(path):
            event = EVENT.search(text[:120])
            part = re.search(r'"[xXm]":"(\w+)"', text)
            key = (source, event and event.groups(), part and part[1])
            seen[key] = seen.get(key, 0) + 1
            if seen[key] <= ENOUGH or event is None:
                yield f"{source} {asked}".strip(), text


def in_the_notes() -> Iterator[tuple[str, str]]:
    """(section, message) of every sample the protocol notes print."""
    section, inside = "", False
    for line in NOTES.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            section = line.strip("# ")
        elif line.startswith("```"):
            inside = not inside
        elif inside and line.startswith("{"):
            wrapped = WRAPPER.match(line)
            text = wrapped[1] if wrapped else line
            yield f"§{section}" + " demo" * bool(FROM_DEMO.search(text)), text


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Shape]]:
    """Shapes of everything a running venue sends, by kind; one for each signature."""
    told = {kind_of(json.loads(text)) for _, text in in_the_data() if "ACCOUNT_UPDATE" in text[:40]}
    reasons = sorted({k.partition(" ")[2] for k in told} - {"ORDER", "FUNDING_FEE", "DEPOSIT", "WITHDRAW"})
    texts = asyncio.run(play(tmp_path_factory.mktemp("scene"), reasons))
    rows = [("2026-11-25", text) for found in texts.values() for text in found]
    out: dict[str, list[Shape]] = {}
    for sample in samples(rows, only="BTCUSDT"):
        out.setdefault(sample.kind, []).append(sample.shape)
    return out


def against(ours: dict[str, list[Shape]], sample: Sample) -> list[str]:
    """How the simulator's messages of a sample's kind differ from it."""
    found = ours.get(NOT_MADE.get(sample.kind, sample.kind))
    if not found:
        return [] if sample.kind in LEFT else ["the simulator sends none"]
    young = sample.at_ms >= WRITTEN_SINCE
    return nearest(
        differences(
            shape,
            sample.shape,
            later=known(CAME, sample.at_ms),
            gone=known(WENT, sample.at_ms),
            any_order=lambda _at: sample.kind.startswith(FREE_ORDER),
            numbers=sample.kind != "trade NA" and (young or not sample.kind.startswith(("ORDER_", "ACCOUNT_"))),
            spaces=young,
        )
        for shape in found
    )


def report(ours: dict[str, list[Shape]], found: list[Sample]) -> str:
    """All differences, one line each."""
    return "\n".join(f"{s.name}: {'; '.join(told)}" for s in found if (told := against(ours, s)))


@captured
def test_captured_messages(ours: dict[str, list[Shape]]) -> None:
    """Every kind in the captures, whatever file it is in, is sent in the same shape."""
    found = samples(in_the_data())
    assert len({s.kind for s in found}) > 20
    assert not (told := report(ours, found)), told


@printed
def test_printed_samples(ours: dict[str, list[Shape]]) -> None:
    """Every sample message of the protocol notes."""
    found = samples(in_the_notes())
    assert len(found) > 10
    assert not (told := report(ours, found)), told


MARK = '{"e":"aggTrade","E":1790046465702,"s":"BTCUSDT","p":"85595.90","q":"0.410","m":false,"st":1}'


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"0.410"', '"12.000"', ""),
        (',"q":"0.410"', "", "q: missing"),
        (',"st":1', ',"st":1,"x":1', "x: should not be there"),
        ('"E":1790046465702,"s":"BTCUSDT"', '"s":"BTCUSDT","E":1790046465702', "top keys in the order e s E"),
        ('"0.410"', "0.410", "q: number, should be decimal"),
        ('"0.410"', '"0.41"', "q: number written as 2 places or price or trimmed, should be 3 places or quantity"),
        ('"0.410"', '""', "q: empty, should be decimal"),
        ("1790046465702", '"1790046465702"', "E: decimal, should be integer"),
        (":false", ":null", "m: null, should be boolean"),
        (',"m"', ', "m"', "blanks after ',' before m, should be nowhere"),
    ],
)
def test_planted_differences_ring(old: str, new: str, told: str) -> None:
    """Each kind of difference is told, with its place; other values in the same shape ring nothing."""
    shape = Shape(grid(2, 3)).add(MARK)
    found = differences(Shape(grid(2, 3)).add(MARK.replace(old, new)), shape)
    assert len(found) == bool(told), found
    assert not told or found[0].startswith(told)


def test_numbers_are_judged_by_their_own_grid() -> None:
    """A price of four places agrees with one of two when these are the places of their symbols, and only then."""
    two, four = ('{"p":"1.50"}', grid(2, 3)), ('{"p":"1.5000"}', grid(4, 1))
    assert not differences(Shape(two[1]).add(two[0]), Shape(four[1]).add(four[0]))
    assert differences(Shape(grid(3, 3)).add(two[0]), Shape(four[1]).add(four[0]))
    mixed = Shape(grid(2, 3)).add('{"p":"1.50"}').add('{"p":"1.5"}')
    assert differences(mixed, Shape(two[1]).add(two[0]))[0].startswith("p: number written as in no one way")


def test_only_what_came_later_may_be_missing() -> None:
    """A key of the era table is excused before its day and not after it; no other key ever is."""
    old, new = Shape(grid(2, 3)).add('{"s":"X"}'), Shape(grid(2, 3)).add('{"s":"X","nq":"1.000"}')
    assert not differences(new, old, later=known(CAME, day("2025-12-30")))
    assert differences(new, old, later=known(CAME, day("2026-01-01"))) == ["nq: should not be there"]
    assert differences(old, new, later=known(CAME, day("2025-12-30"))) == ["nq: missing"]


@captured
def test_a_field_of_the_simulator_taken_away_rings(ours: dict[str, list[Shape]]) -> None:
    """Of every kind compared, a missing key and a changed order in the simulator's message are told."""
    for sample in samples(in_the_data()):
        for shape in ours.get(NOT_MADE.get(sample.kind, sample.kind), []):
            keys = shape.keys.get("", ())
            lost = [k for k in keys if k in sample.shape.keys.get("", ())][1:2]
            if lost:
                less = Shape(shape.places, shape.keys | {"": tuple(k for k in keys if k != lost[0])}, shape.types)
                assert against(ours | {NOT_MADE.get(sample.kind, sample.kind): [less]}, sample), sample.name
