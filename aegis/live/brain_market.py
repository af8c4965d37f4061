"""The market as the strategy and the gate see it: quotes from the ring, trust and depth from the books page.

What must stay true: a quote is shown only while its book is trusted and evidence of it is younger than `QUOTE_NS`;
after the feed's ring came anew nothing is shown until it is received again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aegis.errors import AegisError
from aegis.messages import Rules
from aegis.native import abi
from aegis.native.books import BooksReader
from aegis.strategy.base import Quote
from aegis.units import Num

QUOTE_NS = 5_000_000_000


class MarketView:
    """
    Latest quote and book per symbol.

    Args:
        page: path of the books page; it may not exist yet.
        rules: symbol -> filters.
    """

    def __init__(self, page: Path, rules: dict[str, Rules]) -> None:
        self._page, self.rules = page, rules
        self._books: BooksReader | None = None
        self._inode = 0
        self._quotes: dict[int, Quote] = {}
        self._tops: dict[str, Any] = {}
        self.names: list[str] = []
        self.index: dict[str, int] = {}
        self.now_ns = 0

    def begin(self, now_ns: int) -> None:
        """A new turn: depth read in the last one is old."""
        self.now_ns = now_ns
        self._tops.clear()

    def refresh(self) -> None:
        """Open the page, again when the feed made a new one; take appended symbols."""
        try:
            inode = self._page.stat().st_ino
            if self._books is None or inode != self._inode:
                self._books, self._inode = BooksReader(str(self._page)), inode
            names = self._books.symbols()
        except (OSError, AegisError):
            return
        if len(names) != len(self.names):
            self.names = list(names)
            self.index = {name: i for i, name in enumerate(self.names)}

    def forget(self) -> None:
        """The feed is a new one: nothing seen before counts."""
        self._quotes.clear()

    def fold(self, batch: Any) -> None:
        """Take the newest quote of each symbol in a batch of records."""
        rows = batch[batch["kind"] == abi.KIND_BOOK_TICKER]
        if not len(rows):
            return
        latest = {r[0]: r for r in rows[["symbol", "px_exp", "qty_exp", "a", "b", "c", "d", "recv_ns"]].tolist()}
        for index, px, qty, a, b, c, d, recv in latest.values():
            self._quotes[index] = Quote(Num(a, px), Num(b, qty), Num(c, px), Num(d, qty), recv)

    def name(self, index: int) -> str:
        """Symbol of an index; "" when the page does not show it yet."""
        if index >= len(self.names):
            self.refresh()
        return self.names[index] if index < len(self.names) else ""

    def top(self, symbol: str) -> Any:
        """Top of the book as the page shows it (None: no such symbol or page)."""
        if symbol not in self._tops:
            index = self.index.get(symbol)
            if index is None or self._books is None:
                return None
            try:
                self._tops[symbol] = self._books.top(index)
            except AegisError:
                self._tops[symbol] = None
        return self._tops[symbol]

    def last(self, symbol: str) -> Quote | None:
        """The newest quote known, of ticker or book, whatever its age and trust; for valuation."""
        index = self.index.get(symbol)
        quote, top = self._quotes.get(index, None) if index is not None else None, self.top(symbol)
        if top is None or not top.bids or not top.asks or (quote is not None and quote.recv_ns >= top.recv_ns):
            return quote
        assert self._books is not None and index is not None
        px, qty = self._books.px_exp(index), self._books.qty_exp(index)
        (bid, bid_qty), (ask, ask_qty) = top.bids[0], top.asks[0]
        return Quote(_num(bid, px), _num(bid_qty, qty), _num(ask, px), _num(ask_qty, qty), top.recv_ns)

    def quote(self, symbol: str) -> Quote | None:
        """The newest quote if it may be traded on."""
        quote, top = self.last(symbol), self.top(symbol)
        if quote is None or top is None or not top.trusted or self.now_ns - quote.recv_ns > QUOTE_NS:
            return None
        return quote


def _num(value: Any, e: int) -> Num:
    return value if isinstance(value, Num) else Num(int(value), e)
