"""The market as the strategy and the gate see it: quotes from the ring, trust and depth from the books page.

What must stay true: a quote is shown only while its book is trusted and evidence of it is younger than `QUOTE_NS`;
after the feed's ring came anew nothing is shown until it is received again (the turn resets its features then).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aegis.errors import AegisError
from aegis.messages import Rules
from aegis.native.books import BooksReader
from aegis.native.turn import Turn
from aegis.strategy.base import Quote
from aegis.units import Num

QUOTE_NS = 5_000_000_000


class MarketView:
    """
    Latest quote and book per symbol.

    Args:
        page: path of the books page; it may not exist yet.
        rules: symbol -> filters.
        turn: whose features hold the newest quotes, and whose clock is the present.
    """

    def __init__(self, page: Path, rules: dict[str, Rules], turn: Turn) -> None:
        self._page, self.rules, self._turn = page, rules, turn
        self._books: BooksReader | None = None
        self._inode = 0
        self._tops: dict[str, Any] = {}
        self._turned = 0
        self.names: list[str] = []
        self.index: dict[str, int] = {}

    def refresh(self) -> None:
        """Open the page, again when the feed made a new one; take appended symbols."""
        try:
            inode = self._page.stat().st_ino
            if self._books is None or inode != self._inode:
                self._books, self._inode = BooksReader(str(self._page)), inode
                self.names = []  # as many as before may be others
            names = self._books.symbols()
        except (OSError, AegisError):
            return
        if len(names) != len(self.names):
            self.names = list(names)
            self.index = {name: i for i, name in enumerate(self.names)}

    @property
    def page(self) -> BooksReader | None:
        """The books page, once there is one."""
        return self._books

    def name(self, index: int) -> str:
        """Symbol of an index; "" when the page does not show it yet."""
        if index >= len(self.names):
            self.refresh()
        return self.names[index] if index < len(self.names) else ""

    def top(self, symbol: str) -> Any:
        """Top of the book as the page shows it (None: no such symbol or page)."""
        if self._turned != self._turn.c.turns:  # depth read in an earlier turn is old
            self._turned = self._turn.c.turns
            self._tops.clear()
        if symbol not in self._tops:
            index = self.index.get(symbol)
            if index is None or self._books is None:
                return None
            try:
                self._tops[symbol] = self._books.top(index)
            except AegisError:
                self._tops[symbol] = None
        return self._tops[symbol]

    def _ticker(self, index: int) -> Quote | None:
        touch = self._turn.features.touch(index)
        if touch is None:
            return None
        bid, bid_qty, ask, ask_qty, px, qty, recv_ns = touch
        return Quote(Num(bid, px), Num(bid_qty, qty), Num(ask, px), Num(ask_qty, qty), recv_ns)

    def last(self, symbol: str) -> Quote | None:
        """The newest quote known, of ticker or book, whatever its age and trust; for valuation."""
        index = self.index.get(symbol)
        quote, top = self._ticker(index) if index is not None else None, self.top(symbol)
        if top is None or not top.bids or not top.asks or (quote is not None and quote.recv_ns >= top.recv_ns):
            return quote
        assert self._books is not None and index is not None
        px, qty = self._books.px_exp(index), self._books.qty_exp(index)
        (bid, bid_qty), (ask, ask_qty) = top.bids[0], top.asks[0]
        return Quote(_num(bid, px), _num(bid_qty, qty), _num(ask, px), _num(ask_qty, qty), top.recv_ns)

    def quote(self, symbol: str) -> Quote | None:
        """The newest quote if it may be traded on."""
        quote, top = self.last(symbol), self.top(symbol)
        if quote is None or top is None or not top.trusted or self._turn.c.now_ns - quote.recv_ns > QUOTE_NS:
            return None
        return quote


def _num(value: Any, e: int) -> Num:
    return value if isinstance(value, Num) else Num(int(value), e)
