"""Laws of gap filling: each missed id once, none beyond the first live one, unfinished gaps survive."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np

from aegis.errors import Unreachable
from aegis.live.feed_books import Budget, WeightBucket
from aegis.live.feed_fill import Filler, Marks
from aegis.market.streams import NS

TRADE, FILLED = 2, 4
DTYPE = np.dtype([("symbol", "<u2"), ("kind", "u1"), ("flags", "u1"), ("c", "<i8")])


class Ring:
    """Records published so far, read by the marks."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, int, int]] = []
        self._at = 0

    def live(self, symbol: int, *ids: int) -> None:
        self.rows += [(symbol, TRADE, 0, i) for i in ids]

    def read(self, most: int) -> np.ndarray:
        rows = self.rows[self._at : self._at + most]
        self._at += len(rows)
        return np.array(rows, DTYPE)

    def ids(self, symbol: int) -> list[int]:
        return sorted(i for s, _, _, i in self.rows if s == symbol)


class Venue:
    """Answers pages of trades up to `newest`; fails the first `failures` times."""

    def __init__(self, ring: Ring, newest: int, failures: int = 0) -> None:
        self.ring, self.newest, self.failures = ring, newest, failures
        self.asked: list[tuple[int, int]] = []

    async def page(self, kind: int, index: int, from_id: int) -> list[tuple[int, Any]]:
        self.asked.append((index, from_id))
        if self.failures:
            self.failures -= 1
            raise Unreachable("cut")
        return [(i, i) for i in range(from_id, min(from_id + 1000, self.newest + 1))]

    def publish(self, kind: int, index: int, rows: list[Any]) -> int:
        self.ring.rows += [(index, kind, FILLED, i) for i in rows]
        return len(rows)

    def weight(self, kind: int) -> int:
        return 1


def scene(ring: Ring, venue: Venue) -> tuple[Marks, Filler, list[str]]:
    told: list[str] = []
    marks = Marks(ring, (TRADE,), FILLED)
    budget = Budget(100_000, time.monotonic_ns)
    return marks, Filler(marks, venue, budget, time.monotonic_ns, lambda event, **_: told.append(event)), told


def test_the_hole_is_filled_once_and_exactly() -> None:
    """Ids between the last before and the first after, over pages and a failure; no hole costs nothing."""
    ring = Ring()
    venue = Venue(ring, newest=9_000, failures=1)
    marks, filler, _ = scene(ring, venue)
    ring.live(0, 10, 11)
    ring.live(1, 70)
    ring.live(2)
    gap = marks.open_gap({TRADE: {0, 1, 2}})
    ring.live(0, 2_500, 2_501)
    ring.live(1, 71)
    assert asyncio.run(filler.fill(gap, lambda: True)) == 2_500 - 12
    assert ring.ids(0) == list(range(10, 2_502))
    assert ring.ids(1) == [70, 71]
    assert {index for index, _ in venue.asked} == {0} and marks.gaps == []


def test_a_symbol_that_stays_quiet_is_filled_up_to_what_the_venue_has() -> None:
    """Without a first live id the page's end is the end."""
    ring = Ring()
    marks, filler, _ = scene(ring, Venue(ring, newest=15))
    ring.live(3, 12)
    assert asyncio.run(filler.fill(marks.open_gap({TRADE: {3}}), lambda: True)) == 3
    assert ring.ids(3) == [12, 13, 14, 15]


def test_a_second_loss_does_not_fill_a_hole_twice() -> None:
    """A gap still open for a symbol keeps it; the next gap does not take it again."""
    ring = Ring()
    marks, filler, _ = scene(ring, Venue(ring, newest=100))
    ring.live(0, 5)
    first, second = marks.open_gap({TRADE: {0}}), marks.open_gap({TRADE: {0}})
    assert second.todo == set()
    ring.live(0, 9)

    async def both() -> None:
        await asyncio.gather(filler.fill(first, lambda: True), filler.fill(second, lambda: True))

    asyncio.run(both())
    assert ring.ids(0) == [5, 6, 7, 8, 9]


def test_what_cannot_be_fetched_is_said() -> None:
    """The venue fails for good: nothing is published, and it is told."""
    ring = Ring()
    marks, filler, told = scene(ring, Venue(ring, newest=100, failures=99))
    ring.live(0, 5)
    gap = marks.open_gap({TRADE: {0}})
    ring.live(0, 9)
    assert asyncio.run(filler.fill(gap, lambda: True)) == 0
    assert "gap not fully filled" in told and ring.ids(0) == [5, 9]


def test_weight_is_spent_only_when_there() -> None:
    """A bucket empties, names the wait, and refills evenly."""
    bucket = WeightBucket(60, 0)
    assert bucket.take(60, 0) == 0.0
    assert bucket.take(20, 0) == 20.0
    assert bucket.take(20, 20 * NS) == 0.0
    bucket.punish()
    assert bucket.take(1, 20 * NS) > 0
