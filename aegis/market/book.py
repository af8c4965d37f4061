"""Oracle of csrc/book.c: one L2 book in plain dictionaries, by PROTOCOL 2.4.

What must stay true: no level bound and no bounded buffer here, so the two can only agree where the C bounds do not
bite (the top of the book).
"""

from __future__ import annotations

from collections.abc import Iterable

from aegis.market.decode import Record

Levels = dict[int, int]


class Book:
    """
    Args:
        px_exp, qty_exp: exponents all levels are kept at (records must not need more).

    Attributes:
        live: every event since the snapshot was applied. breaks: times the `pu` chain broke.
    """

    def __init__(self, px_exp: int, qty_exp: int) -> None:
        self.px_exp, self.qty_exp = px_exp, qty_exp
        self.sides: tuple[Levels, Levels] = ({}, {})
        self.u, self.breaks = 0, 0
        self.live = self.waiting = False
        self._buffer: list[list[Record]] = []

    def apply(self, run: list[Record]) -> None:
        """Take one depth event: header record and its levels."""
        self._buffer.append(run)
        if self.live or self.waiting:
            self._drain()

    def snapshot(self, last_id: int, bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]]) -> None:
        """Take a snapshot of mantissas at the book's exponents."""
        self.sides = (dict(bids), dict(asks))
        self.u, self.live, self.waiting = last_id, False, True
        self._drain()

    def _drain(self) -> None:
        while self._buffer:
            head = self._buffer[0][0]
            if self.waiting and head.b < self.u:
                self._buffer.pop(0)
                continue
            joins = self.waiting and head.a <= self.u <= head.b
            if not joins and head.c != self.u:
                self.breaks += self.live
                self.live = self.waiting = False
                return
            for record in self._buffer.pop(0)[1:]:
                side = self.sides[record.c]
                price = record.a // 10 ** (record.px_exp - self.px_exp)
                if record.b:
                    side[price] = record.b // 10 ** (record.qty_exp - self.qty_exp)
                else:
                    side.pop(price, None)
            self.u, self.live, self.waiting = head.b, True, False

    def top(self, n: int = 20) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Best `n` bids and asks, best first."""
        bids, asks = (sorted(side.items()) for side in self.sides)
        return bids[: -n - 1 : -1], asks[:n]
