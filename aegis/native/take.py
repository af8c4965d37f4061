"""Batches of the market ring in memory of our own, as a numpy view, conflated when the reader lags (csrc/take.c).

Problem: an object a record costs more than all the rest of a turn, and a reader that lags is late with everything. So
one call copies a batch into memory that stays, and Python looks at it through one array that is cut to length.
What must stay true: the view is valid until the next `take` and is read-only; nothing is left out uncounted.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from aegis.errors import RingRefused
from aegis.native import abi
from aegis.native._aegis import ffi, lib
from aegis.native.books import BooksReader
from aegis.native.ring import RingReader


class Taker:
    """
    Batches of one reader.

    Args:
        reader: of the market ring; its cursor moves.
        room: records one batch holds at most.
        books: page of the books; symbols with a book there may lose their depth runs when conflating.

    Attributes:
        state, out: the C state and the batch's memory, for C code that takes.

    Raises:
        RingRefused: the ring holds no market records.
    """

    def __init__(self, reader: RingReader, room: int, books: BooksReader | None = None) -> None:
        if reader.slot_bytes != abi.TICK.itemsize:
            raise RingRefused(f"{reader.path}: slots of {reader.slot_bytes} bytes are no market records")
        self.reader, self.room, self._books = reader, room, books
        self.state = ffi.new("ae_take_t *")
        lib.ae_take_init(self.state, books.base if books else ffi.NULL)
        self._batch = np.zeros(room, abi.TICK)
        self.out = ffi.cast("ae_tick_t *", ffi.from_buffer(self._batch))
        self._batch.flags.writeable = False

    def take(self, lag: int = 0) -> Any:
        """
        The next records, oldest first, dtype abi.TICK.

        Args:
            lag: conflate when more than this many records are behind; 0 gives all.
        """
        got = lib.ae_take(self.state, self.reader.ring, self.reader.place, self.out, self.room, lag)
        return self._batch[:got]

    @property
    def conflated(self) -> int:
        """Records left out so far because newer ones, or the books page, say the same."""
        return int(self.state.conflated)

    @property
    def cut(self) -> int:
        """Records left out so far because a lap took the rest of their run."""
        return int(self.state.cut)
