"""Gap filling: trades and candles missed while a socket was down are fetched by REST and published as FILLED.

Problem: the venue replays nothing after a reconnect (PROTOCOL 10 T5). The hole of a symbol lies between the last id
published before the loss and the first id published after it; both are read from our own market ring, so that
there is no second account of what was published.
What must stay true: an id is published once; the hole's upper end is looked up again right before publishing; an
unfinished gap survives further losses (its upper end just moves to the next first record).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np

from aegis.errors import AegisError, RateLimited
from aegis.limits import SYMBOLS_MAX
from aegis.live.feed_books import Budget
from aegis.market.streams import NS

READ_MAX = 65536
PAGE = 1000
HISTORY_PAGE = 500
PAGES_MAX = 20  # per symbol and gap: beyond 20 000 trades the hole is reported, not filled
FIRST_WAIT_S = 3.0  # a symbol that has not traded that long after the reconnect is asked about anyway
LOOK_S = 0.1
ATTEMPTS = 3


class Marks:
    """
    Last trade ids per (kind, symbol index), read from the ring itself.

    Args:
        reader: a reader of the market ring, at its newest record.
        kinds: record kinds whose field `c` is a rising id.
        filled: bit of `flags` that marks filled records; they are not counted.
    """

    def __init__(self, reader: Any, kinds: Iterable[int], filled: int) -> None:
        self._reader, self._filled = reader, filled
        self.last = {kind: np.zeros(SYMBOLS_MAX, np.int64) for kind in kinds}
        self.gaps: list[Gap] = []

    def catch_up(self) -> None:
        """Take everything published so far."""
        while len(rows := self._reader.read(READ_MAX)):
            for kind, last in self.last.items():
                mine = rows[(rows["kind"] == kind) & (rows["flags"] & self._filled == 0)]
                if not len(mine):
                    continue
                symbols, ids = mine["symbol"], mine["c"]
                last[symbols] = ids  # of repeated indices the last one stays
                for gap in self.gaps:
                    gap.note(kind, symbols, ids)

    def open_gap(self, wanted: dict[int, set[int]]) -> Gap:
        """Start a gap for kind -> symbol indices, from the last ids known; never twice for one hole."""
        self.catch_up()
        gap = Gap({kind: self.last[kind].copy() for kind in wanted})
        for kind, indices in wanted.items():
            for index in indices:
                open_already = any(g.waits_for(kind, index) for g in self.gaps)
                if gap.before[kind][index] and not open_already:
                    gap.todo.add((kind, index))
        self.gaps.append(gap)
        return gap

    def close_gap(self, gap: Gap) -> None:
        """Forget a gap whose work is done."""
        if gap in self.gaps:
            self.gaps.remove(gap)


class Gap:
    """One loss: last ids before it, first ids after it (0 = none yet), and what is still to do."""

    def __init__(self, before: dict[int, np.ndarray]) -> None:
        self.before = before
        self.after = {kind: np.zeros(SYMBOLS_MAX, np.int64) for kind in before}
        self.todo: set[tuple[int, int]] = set()

    def note(self, kind: int, symbols: np.ndarray, ids: np.ndarray) -> None:
        """Keep the first id of each symbol after the loss."""
        after = self.after.get(kind)
        if after is None:
            return
        firsts, at = np.unique(symbols, return_index=True)
        fresh = after[firsts] == 0
        after[firsts[fresh]] = ids[at[fresh]]

    def waits_for(self, kind: int, index: int) -> bool:
        """Whether this gap still waits for the first id of a symbol."""
        return (kind, index) in self.todo and self.after[kind][index] == 0

    def hole(self, kind: int, index: int) -> tuple[int, int]:
        """First missing id and first id not missing; the latter 0 while unknown."""
        return int(self.before[kind][index]) + 1, int(self.after[kind][index])


class Source(Protocol):
    """Where missed records come from and go to."""

    async def page(self, kind: int, index: int, from_id: int) -> list[tuple[int, Any]]:
        """(id, row) from `from_id` on, rising; empty when the venue has none. Raises AegisError."""

    def publish(self, kind: int, index: int, rows: list[Any]) -> int:
        """Put rows on the ring with FILLED; returns how many."""

    def weight(self, kind: int) -> int:
        """Weight of one page."""


class Filler:
    """Works off gaps one after the other; `told(event, facts)` hears of what could not be filled."""

    def __init__(
        self, marks: Marks, source: Source, budget: Budget, mono_ns: Callable[[], int], told: Callable[..., None]
    ) -> None:
        self._marks, self._source, self._budget = marks, source, budget
        self._mono_ns, self._told = mono_ns, told

    async def fill(self, gap: Gap, settled: Callable[[], bool]) -> int:
        """Fill one gap once its streams are subscribed again; returns the number of records published."""
        done, until_ns, ready_ns = 0, self._mono_ns() + 60 * NS, 0
        try:
            while gap.todo and self._mono_ns() < until_ns + 600 * NS:
                self._marks.catch_up()
                if not ready_ns and (settled() or self._mono_ns() > until_ns):
                    ready_ns = self._mono_ns()
                ripe = ready_ns and self._mono_ns() - ready_ns > FIRST_WAIT_S * NS
                for kind, index in sorted(gap.todo):
                    first, end = gap.hole(kind, index)
                    if not end and not ripe:
                        continue
                    if not end or end > first:
                        done += await self._symbol(gap, kind, index)
                    gap.todo.discard((kind, index))
                await asyncio.sleep(LOOK_S)
        finally:
            self._marks.close_gap(gap)
        return done

    async def _symbol(self, gap: Gap, kind: int, index: int) -> int:
        """Fetch and publish one symbol's hole."""
        first, _ = gap.hole(kind, index)
        rows: dict[int, Any] = {}
        at, failures = first, 0
        for _ in range(PAGES_MAX):
            try:
                await self._budget.spend(self._source.weight(kind))
                page = await self._source.page(kind, index, at)
            except RateLimited as exc:
                await self._budget.rest(exc.retry_after_s)
                continue
            except AegisError as exc:
                failures += 1
                self._told("gap page failed", kind=kind, symbol=index, why=exc)
                if failures >= ATTEMPTS:
                    break
                continue
            rows.update(page)
            self._marks.catch_up()
            end = gap.hole(kind, index)[1]
            if not page or (end and page[-1][0] >= end - 1) or len(page) < HISTORY_PAGE:
                break
            at = page[-1][0] + 1
        self._marks.catch_up()  # no await between here and publish: the upper end cannot move
        end = gap.hole(kind, index)[1]
        missed = [row for number, row in sorted(rows.items()) if number >= first and (not end or number < end)]
        if end and len(missed) < end - first:
            self._told("gap not fully filled", kind=kind, symbol=index, missing=end - first, found=len(missed))
        return self._source.publish(kind, index, missed) if missed else 0
