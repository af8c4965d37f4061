"""The C market context (csrc/pump.c): symbols, books, counters, what is published besides the sockets' records.

Problem: records must be made where the bytes arrive, without Python in between. Python gives memory and symbols, and
the pump thread (loop.py) fills them.
What must stay true: ring and books page are written by this context alone, under its lock; what is looked at here
without it (counts, times, counters) are single words.
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from aegis.errors import Inexact, Ours, RingRefused
from aegis.native import abi
from aegis.native._aegis import ffi, lib
from aegis.native.books import LAYOUT
from aegis.native.counters import MARKET
from aegis.native.latency import LatencyBlock
from aegis.native.ring import RingWriter
from aegis.native.shm import Mapping, check_header, write_header

_AT_HAND = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE  # no page is missing when a frame comes


class Market:
    """
    Args:
        symbols: (name, px_exp, qty_exp) in index order; an existing books page must agree on the names.
        ring: the market ring's writer.
        books_path: the books page, made when missing.
        books: names that keep a book; None = all.

    Attributes:
        counts, recv_ns: numpy views [kind, symbol index]: frames taken, and wall ns of the last one.

    Raises:
        RingRefused: the page is another build's, has a living writer, or holds other names.
    """

    def __init__(
        self,
        symbols: Iterable[tuple[str, int, int]],
        ring: RingWriter,
        books_path: str | Path,
        books: Iterable[str] | None = None,
    ) -> None:
        self._ring, self._file = ring, Mapping(books_path, LAYOUT.bytes, lock=True)
        try:
            self._open_page()
        except BaseException:
            self._file.close()
            raise
        self._page = ffi.from_buffer(self._file.map)
        self._memory = mmap.mmap(-1, lib.ae_market_bytes(), flags=_AT_HAND)
        self._raw = ffi.from_buffer(self._memory)
        self.context = ffi.cast("ae_market_t *", self._raw)
        lib.ae_market_init(self.context, ring.ring, self._page)
        self._books: dict[int, tuple[Any, ...]] = {}
        self._names: list[str] = []
        self._index: dict[str, int] = {}
        wanted = None if books is None else set(books)
        for name, px_exp, qty_exp in symbols:
            self.append(name, px_exp, qty_exp, wanted is None or name in wanted)
        cells = self._view(lib.ae_market_cells(self.context), abi.CELL, (lib.AE_KINDS, lib.AE_SYMBOLS_MAX))
        self.counts, self.recv_ns = cells["count"], cells["recv_ns"]
        self._counters = self._view(lib.ae_market_counters(self.context), np.dtype(np.uint64), (lib.AE_C_COUNT,))

    def _open_page(self) -> None:
        if self._file.fresh:
            write_header(self._file, LAYOUT)
        header = check_header(self._file, LAYOUT)
        header["writer_pid"] = os.getpid()
        header["epoch"] += np.uint64(1)

    @staticmethod
    def _view(pointer: Any, dtype: Any, shape: tuple[int, ...]) -> Any:
        size = int(np.prod(shape)) * dtype.itemsize
        return np.frombuffer(ffi.buffer(pointer, size), dtype).reshape(shape)

    def append(self, name: str, px_exp: int, qty_exp: int, with_book: bool = True) -> int:
        """Add a symbol at the end (known names keep their place); returns its index."""
        word = name.encode("utf-8")
        book, keep = ffi.NULL, None
        if with_book and name not in self._index:
            memory = mmap.mmap(-1, ffi.sizeof("ae_book_t"), flags=_AT_HAND)
            keep = (memory, ffi.from_buffer(memory))
            book = ffi.cast("ae_book_t *", keep[1])
        index = int(lib.ae_market_append(self.context, word, len(word), px_exp, qty_exp, book))
        if index < 0:
            raise RingRefused(f"{self._file.path}: no place for symbol {name!r} at index {len(self._names)}")
        if index == len(self._names):
            self._names.append(name)
            self._index[name] = index
            if keep is not None:
                self._books[index] = (*keep, book)
        return index

    def symbols(self) -> list[str]:
        """Names in index order."""
        return list(self._names)

    def measure(self, block: LatencyBlock) -> None:
        """Measure the hops receive, parsed and published into `block`, which is this context's alone from now on."""
        self._measured = block
        lib.ae_market_measure(self.context, block.block)

    def publish(self, records: Any) -> int:
        """Publish records (array of abi.TICK) as they are and wake readers; returns how many."""
        if not len(records):
            return 0
        pointer = ffi.cast("ae_tick_t *", ffi.from_buffer(records))
        return int(lib.ae_market_publish(self.context, pointer, len(records)))

    def counters(self) -> dict[str, int]:
        """Counters by name, `refused` (sum) and `refused_<reason>` where not zero."""
        values = [int(v) for v in self._counters]
        found = {name: values[at] for name, at in MARKET}
        refused = {f"refused_{r}": values[lib.AE_C_REFUSED + at] for at, r in abi.REASONS.items() if at}
        return found | {name: n for name, n in refused.items() if n}

    def book_wanted(self) -> list[str]:
        """Symbols whose book needs a snapshot now (it has buffered events to join it with)."""
        return [self._names[i] for i, keep in self._books.items() if keep[2].wants]

    def book_snapshot(self, symbol: str, last_update_id: int, bids: Any, asks: Any) -> int:
        """
        Give a book its snapshot: (n, 2) int64 arrays at the symbol's exponents.

        Returns:
            2 joined, 0 waits for its first event, -1 does not fit (the book asks again).
        """
        index = self._index[symbol]
        sides = [np.ascontiguousarray(s, np.int64).reshape(-1, 2) for s in (bids, asks)]
        levels = [ffi.cast("ae_level_t *", ffi.from_buffer(s)) for s in sides]
        args = (levels[0], len(sides[0]), levels[1], len(sides[1]), time.time_ns())
        return int(lib.ae_market_snapshot(self.context, index, last_update_id, *args))

    def reset(self, symbols: Iterable[str], kinds: Iterable[int]) -> None:
        """A gap nobody bridged: forget the last ids; KIND_DEPTH also starts the books anew."""
        now_ns, kinds = time.time_ns(), list(kinds)
        for symbol in symbols:
            for kind in kinds:
                lib.ae_market_reset(self.context, self._index[symbol], kind, now_ns)

    def fill_trades(self, kind: int, index: int, rows: Iterable[Any], recv_ns: int) -> int:
        """
        Publish missed trades with FILLED.

        Args:
            rows: objects with id, price (Num), qty (Num), ms, side (+1/-1).

        Raises:
            Inexact: a number does not fit int64 at the symbol's exponent.
        """
        rows = list(rows)
        records = np.zeros(len(rows), abi.TICK)
        symbol = lib.ae_market_symbols(self.context).symbols[index]
        for record, row in zip(records, rows, strict=True):
            record["exch_ns"], record["recv_ns"] = row.ms * 1_000_000, recv_ns
            record["symbol"], record["kind"] = index, kind
            record["c"], record["d"] = row.id, row.side
            for value, exp, field, least in (
                (row.price.trim(), "px_exp", "a", symbol.px_exp),
                (row.qty.trim(), "qty_exp", "b", symbol.qty_exp),
            ):
                record[exp] = max(value.e, least)
                mantissa = value.at(int(record[exp]))
                if abs(mantissa) >= 2**63 or value.e > lib.AE_EXP_MAX:
                    raise Inexact(f"{value} does not fit a record")
                record[field] = mantissa
        if not len(rows):
            return 0
        pointer = ffi.cast("ae_tick_t *", ffi.from_buffer(records))
        got = int(lib.ae_market_fill(self.context, pointer, len(rows)))
        if got != len(rows):
            raise Ours(f"filled {got} of {len(rows)} records")
        return got

    def close(self) -> None:
        """Give up the page's lock."""
        self._file.close()
