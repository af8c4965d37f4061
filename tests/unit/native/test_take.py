"""Law: a lagging reader gets the newest of what replaces itself and all of the rest, in order, and each record left out
is counted. The oracle is a plain reading of that sentence.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aegis.native._aegis import lib
from hypothesis import given, settings
from hypothesis import strategies as st

from aegis.errors import RingRefused
from aegis.native import abi
from aegis.native.books import LAYOUT, BooksReader
from aegis.native.ring import RingReader, RingWriter
from aegis.native.take import Taker

SLOTS, SYMBOLS, WITH_BOOK = 1024, 3, {0, 1}
LATEST = {abi.KIND_BOOK_TICKER, abi.KIND_MARK, abi.KIND_TICKER_24H, abi.KIND_DEPTH_SNAPSHOT}
PAIRS = {abi.KIND_KLINE, abi.KIND_TICKER_24H}
RUNS = PAIRS | {abi.KIND_DEPTH, abi.KIND_DEPTH_SNAPSHOT}
Event = tuple[int, int, int]  # kind, symbol, records


def event() -> st.SearchStrategy[Event]:
    """One event of any kind; runs have any length that their kind may have."""
    kinds = st.sampled_from(sorted(abi.KINDS))
    return st.tuples(kinds, st.integers(0, SYMBOLS - 1), st.integers(1, 5)).map(_sized)


def _sized(row: Event) -> Event:
    kind, symbol, length = row
    return (kind, symbol, 2) if kind in PAIRS else (kind, symbol, length if kind in RUNS else 1)


def records(events: list[Event]) -> Any:
    """The events' records; field a numbers them."""
    rows = [
        (kind, symbol, (i == 0) * abi.FLAG_BEGIN + (i == length - 1) * abi.FLAG_END if kind in RUNS else 0)
        for kind, symbol, length in events
        for i in range(length)
    ]
    out = np.zeros(len(rows), abi.TICK)
    for field, column in zip(("kind", "symbol", "flags"), zip(*rows, strict=True) if rows else [()] * 3, strict=True):
        out[field] = column
    out["a"] = np.arange(len(rows))
    return out


def conflated(events: list[Event]) -> list[int]:
    """The oracle: numbers of the records that stay."""
    newest = {(kind, symbol): i for i, (kind, symbol, _) in enumerate(events) if kind in LATEST}
    stay, at = [], 0
    for i, (kind, symbol, length) in enumerate(events):
        left_out = (kind == abi.KIND_DEPTH and symbol in WITH_BOOK) or newest.get((kind, symbol), i) != i
        stay += [] if left_out else range(at, at + length)
        at += length
    return stay


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> BooksReader:
    """A page where some symbols have a book."""
    data = np.zeros(LAYOUT.bytes, np.uint8)
    header = data[: abi.BOOKS_HEADER.itemsize].view(abi.BOOKS_HEADER)
    for field, value in LAYOUT.fields.items():
        header[field] = value
    header["count"] = SYMBOLS
    entries = data[lib.AE_BOOKS_HEADER_BYTES :].view(abi.BOOK_ENTRY)
    entries["with_book"][list(WITH_BOOK)] = 1
    path = tmp_path_factory.mktemp("books") / "books"
    path.write_bytes(data.tobytes())
    return BooksReader(path)


class Rig:
    """A ring with its writer and a reader that takes."""

    def __init__(self, root: Path, room: int, books: BooksReader | None) -> None:
        self.writer = RingWriter(root / "ring", SLOTS, 64, "ring")
        self.taker = Taker(RingReader(root / "ring"), room, books)

    def publish(self, events: list[Event]) -> None:
        self.writer.publish(records(events))

    def all(self, lag: int) -> list[Any]:
        """Batches until there is nothing left."""
        batches = []
        while self.taker.reader.cursor < self.writer.newest:
            batches.append(self.taker.take(lag).copy())
        return batches


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


@given(st.lists(event(), max_size=150))
@settings(max_examples=300)
def test_conflation_against_the_oracle(
    tmp_path_factory: pytest.TempPathFactory, books: BooksReader, events: list[Event]
) -> None:
    """A batch with room for everything is exactly what the oracle keeps; the rest is counted."""
    rig = Rig(tmp_path_factory.mktemp("take"), SLOTS, books)
    rig.publish(events)
    batch = rig.taker.take(1)
    wanted = conflated(events) if len(records(events)) > 1 else list(range(len(records(events))))
    assert batch["a"].tolist() == wanted
    assert rig.taker.conflated == rig.writer.newest - len(wanted)
    rig.writer.close()


@given(st.lists(event(), max_size=150), st.integers(1, 40), st.integers(0, 60))
@settings(max_examples=300)
def test_small_batches_keep_the_law(
    tmp_path_factory: pytest.TempPathFactory, books: BooksReader, events: list[Event], room: int, lag: int
) -> None:
    """In any room: order kept, what never conflates is there, runs whole, the newest arrives, all counted."""
    rig = Rig(tmp_path_factory.mktemp("take"), room, books)
    rig.publish(events)
    given_out = np.concatenate([np.zeros(0, abi.TICK), *rig.all(lag)])
    numbers = given_out["a"].tolist()
    everything = records(events)
    assert numbers == sorted(set(numbers))
    assert set(numbers) >= set(conflated(events))
    assert len(numbers) + rig.taker.conflated == len(everything)
    assert rig.taker.cut == 0
    at = 0
    for _, _, length in events:
        assert sum(n in set(numbers) for n in range(at, at + length)) in (0, length)
        at += length
    if not lag:
        assert numbers == list(range(len(everything)))
    rig.writer.close()


@given(st.lists(event(), min_size=1, max_size=60), st.lists(event(), max_size=700), st.integers(0, 8))
@settings(max_examples=100)
def test_after_a_lap_no_torso(
    tmp_path_factory: pytest.TempPathFactory, before: list[Event], after: list[Event], taken: int
) -> None:
    """A reader that was overtaken gets whole runs only, and everything is given, cut or lost."""
    rig = Rig(tmp_path_factory.mktemp("take"), max(taken, 1), None)
    rig.publish(before)
    head = rig.taker.take() if taken else records([])
    first = len(head)
    open_run = first and head[-1]["kind"] in RUNS and not head[-1]["flags"] & abi.FLAG_END
    rig.publish(after)
    batches = rig.all(0)
    given_out = np.concatenate([np.zeros(0, abi.TICK), *batches])
    lost = rig.taker.reader.lost
    assert first + len(given_out) + lost + rig.taker.cut == rig.writer.newest
    within = bool(open_run) and not lost
    for row in given_out[["kind", "flags"]]:
        kind, flags = int(row["kind"]), int(row["flags"])
        if kind in RUNS:
            assert within != bool(flags & abi.FLAG_BEGIN) or bool(open_run)
            within = not flags & abi.FLAG_END
        else:
            assert not within or bool(open_run)
            within = False
    rig.writer.close()


def test_without_a_page_depth_stays(root: Path) -> None:
    """Only a book on the page allows to leave out its depth runs."""
    rig = Rig(root, SLOTS, None)
    rig.publish([(abi.KIND_DEPTH, 0, 3)] * 5)
    assert len(rig.taker.take(1)) == 15
    rig.writer.close()


def test_many_replaced_records_fit_a_small_batch(root: Path, books: BooksReader) -> None:
    """A backlog many times the room comes as one batch when it replaces itself."""
    rig = Rig(root, 16, books)
    rig.publish([(abi.KIND_BOOK_TICKER, i % SYMBOLS, 1) for i in range(900)])
    assert rig.taker.take(100)["a"].tolist() == [897, 898, 899]
    rig.writer.close()


def test_the_view_is_read_only_and_reused(root: Path) -> None:
    """One memory for all batches, which nobody writes by accident."""
    rig = Rig(root, 4, None)
    rig.publish([(abi.KIND_TRADE, 0, 1)] * 8)
    first = rig.taker.take()
    assert first["a"].tolist() == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="read-only"):
        first["a"] = 0
    rig.taker.take()
    assert first["a"].tolist() == [4, 5, 6, 7]
    rig.writer.close()


def test_another_ring_is_refused(root: Path) -> None:
    """Only market records conflate."""
    writer = RingWriter(root / "other", 8, 256, "other")
    with pytest.raises(RingRefused):
        Taker(RingReader(root / "other"), 8)
    writer.close()
