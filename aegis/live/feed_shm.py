"""The feed's shared memory: both rings, the books page, the control block, and the C market that fills them.

Problem: readers keep symbol indices across a restart of the feed, so an index must never change its meaning. The old
books page is read before it is taken over; its symbols keep their places, new ones are appended.
What must stay true: this process is the only writer of these files; the size in the log is the file's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from aegis.errors import RingRefused
from aegis.limits import ACCOUNT_SLOTS, MARKET_SLOTS
from aegis.live.feed_klines import KlineCell, interval_of
from aegis.live.log import Log
from aegis.market.streams import ascii_lower, kind_of
from aegis.native import abi, account
from aegis.native.books import BooksReader
from aegis.native.control import ControlPage
from aegis.native.latency import FILE, LatencyPage
from aegis.native.market import Market
from aegis.native.ring import RingReader, RingWriter

MARKET_BYTES = 64
ACCOUNT_BYTES = 256
KINDS = {
    "bookTicker": abi.KIND_BOOK_TICKER,
    "trade": abi.KIND_TRADE,
    "aggTrade": abi.KIND_AGG_TRADE,
    "depth": abi.KIND_DEPTH,
    "markPrice": abi.KIND_MARK,
    "kline": abi.KIND_KLINE,
    "forceOrder": abi.KIND_FORCE_ORDER,
    "ticker": abi.KIND_TICKER_24H,
}
SNAPSHOT_KINDS = {"depth5", "depth10", "depth20"}
Listed = tuple[str, int, int]  # name, px_exp, qty_exp


def with_old_places(page: Path, listed: list[Listed]) -> list[Listed]:
    """`listed`, but symbols of an existing books page first, in its order, with the larger exponents."""
    if not page.exists():
        return listed
    try:
        old = BooksReader(str(page))
        places = [(name, old.px_exp(i), old.qty_exp(i)) for i, name in enumerate(old.symbols())]
    except RingRefused:
        return listed
    now = {name: (px_exp, qty_exp) for name, px_exp, qty_exp in listed}
    kept = [(n, max(p, now.get(n, (0, 0))[0]), max(q, now.get(n, (0, 0))[1])) for n, p, q in places]
    known = {name for name, _, _ in kept}
    return kept + [row for row in listed if row[0] not in known]


class Shared:
    """
    Everything the feed writes.

    Args:
        root: directory of the instance.
        listed: symbols wanted now.
        books_max: how many of them get a book.
    """

    def __init__(self, root: Path, listed: list[Listed], books_max: int, log: Log) -> None:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.table = with_old_places(root / "books", listed)
        self.index = {name: i for i, (name, _, _) in enumerate(self.table)}
        self.market_ring = RingWriter(str(root / "market"), MARKET_SLOTS, MARKET_BYTES, "market")
        self.account_ring = RingWriter(str(root / "account"), ACCOUNT_SLOTS, ACCOUNT_BYTES, "account")
        for name in ("market", "account"):
            log.info(f"Ring buffer ready: {(root / name).stat().st_size} bytes", ring=name)
        self.booked = {name for name, _, _ in listed[:books_max]}
        self.market = Market(self.table, self.market_ring, str(root / "books"), self.booked)
        self.page = ControlPage(str(root / "control"), create=True)
        self.block = self.page.block("feed")
        latency = LatencyPage(root / FILE, create=True).block("feed")
        latency.begin()
        self.market.measure(latency)
        self._lower = {ascii_lower(name): name for name in self.index}
        self._cells = {
            (ascii_lower(name), kind): (code, index)
            for name, index in self.index.items()
            for kind, code in KINDS.items()
        }

    def cell(self, stream: str) -> tuple[int, int] | None:
        """(record kind, symbol index) of a stream; None for streams over all symbols."""
        symbol, _, _ = stream.partition("@")
        kind = kind_of(stream)
        if kind in SNAPSHOT_KINDS:
            index = self._cells.get((symbol, "depth"))
            return (abi.KIND_DEPTH_SNAPSHOT, index[1]) if index else None
        return self._cells.get((symbol, kind))

    def evidence(self, stream: str) -> int:
        """How many records of a stream the pump has taken; 0 for streams over all symbols."""
        cell = self.cell(stream)
        return int(self.market.counts[cell]) if cell else 0

    def kline_cells(self, streams: Iterable[str]) -> list[KlineCell]:
        """The candle streams among `streams`."""
        cells = []
        for stream in streams:
            name, interval = self._lower.get(stream.partition("@")[0], ""), interval_of(stream)
            if name and interval:
                index = self.index[name]
                cells.append(KlineCell(name, index, self.table[index][1], self.table[index][2], interval))
        return cells

    def reader(self) -> RingReader:
        """A reader of our own market ring, at its newest record."""
        return RingReader(self.market_ring.path)

    def publish_account(self, message: Any) -> None:
        """Put one noun on the account ring; raises Inexact when a number does not fit."""
        self.account_ring.publish(account.pack(message))

    def reset_books(self, prefixes: list[str]) -> None:
        """The diff streams of these symbols (first part of their names) have a hole: their books start anew."""
        self.market.reset([self._lower[p] for p in prefixes], [abi.KIND_DEPTH])

    def fill(self, kind: int, index: int, rows: list[Any], recv_ns: int) -> int:
        """Publish missed trades with the FILLED flag; returns how many."""
        return int(self.market.fill_trades(kind, index, rows, recv_ns))

    def snapshot(self, symbol: str, last_update_id: int, bids: np.ndarray, asks: np.ndarray) -> None:
        """Give a book its snapshot."""
        self.market.book_snapshot(symbol, last_update_id, bids, asks)

    def copy_counters(self, pump: dict[str, int]) -> None:
        """Bring the counters of the market and of the pump thread to the control page."""
        for name, value in (self.market.counters() | pump).items():
            self.block.set(name, int(value))

    def close(self) -> None:
        """Let go of all files; they stay for their readers and for the next feed."""
        self.market.close()
        self.market_ring.close()
        self.account_ring.close()
