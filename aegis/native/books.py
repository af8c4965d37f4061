"""Reader of the books page: names, exponents and the top 20 levels per symbol.

What must stay true: a top is a consistent copy (seqlock in C), best level first; an index never changes its symbol.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from aegis.native import abi
from aegis.native._aegis import ffi, lib
from aegis.native.shm import Layout, Mapping, check_header

Levels = list[tuple[int, int]]
LAYOUT = Layout(
    abi.BOOKS_HEADER.itemsize + lib.AE_SYMBOLS_MAX * abi.BOOK_ENTRY.itemsize,
    abi.BOOKS_HEADER,
    abi.BOOK_ENTRY,
    {
        "abi": lib.AE_ABI_VERSION,
        "header_bytes": lib.AE_BOOKS_HEADER_BYTES,
        "entry_bytes": abi.BOOK_ENTRY.itemsize,
        "capacity": lib.AE_SYMBOLS_MAX,
        "magic": lib.AE_BOOKS_MAGIC,
    },
)


class Top(NamedTuple):
    """Top of one book; (mantissa at px_exp, mantissa at qty_exp), best first; `breaks` of its pu chain so far."""

    name: str
    trusted: bool
    u: int
    recv_ns: int
    bids: Levels
    asks: Levels
    exch_ns: int = 0
    breaks: int = 0


class BooksReader:
    """
    Args:
        path: the books page.

    Raises:
        RingRefused: missing, or of another build (field named).
    """

    def __init__(self, path: str | Path) -> None:
        self._file = Mapping(path)
        try:
            self._header = check_header(self._file, LAYOUT)
        finally:
            self._file.close()
        self._rows = np.frombuffer(self._file.map, abi.BOOK_ENTRY, lib.AE_SYMBOLS_MAX, lib.AE_BOOKS_HEADER_BYTES)
        self.base = ffi.from_buffer(self._file.map)  # the page, for C; it lives as long as this object
        self._entries = ffi.cast("ae_book_entry_t *", ffi.cast("uint8_t *", self.base) + lib.AE_BOOKS_HEADER_BYTES)
        self._copy = ffi.new("ae_book_entry_t *")
        self._names: list[str] = []

    def symbols(self) -> list[str]:
        """Names in index order."""
        for i in range(len(self._names), int(self._header["count"][0])):
            self._names.append(bytes(self._rows["name"][i]).decode("utf-8"))
        return list(self._names)

    def px_exp(self, i: int) -> int:
        return int(self._rows["px_exp"][i])

    def qty_exp(self, i: int) -> int:
        return int(self._rows["qty_exp"][i])

    def top(self, i: int) -> Top:
        """A consistent copy of symbol i's top; untrusted and empty when its writer died in the middle of a write."""
        if i >= len(self._names):
            self.symbols()
        copy = self._copy
        if lib.ae_book_read(self._entries + i, copy) < 0:
            return Top(self._names[i], False, 0, 0, [], [])
        return Top(
            self._names[i],
            bool(copy.trusted),
            copy.u,
            copy.recv_ns,
            [(copy.bid[k].px, copy.bid[k].qty) for k in range(copy.bids)],
            [(copy.ask[k].px, copy.ask[k].qty) for k in range(copy.asks)],
            copy.exch_ns,
            copy.breaks,
        )
