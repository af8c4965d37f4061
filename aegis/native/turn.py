"""The brain's turn in C (csrc/turn.c): one call waits, takes a batch of the market and folds its features.

What must stay true: a batch is a view of memory that the next step overwrites, so it is read-only and good during one
call of a strategy only; the rings and blocks handed in live as long as they are attached.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from aegis.native import abi
from aegis.native._aegis import ffi, lib
from aegis.native.books import BooksReader
from aegis.native.desk import Desk
from aegis.native.features import Features
from aegis.native.ring import RingReader
from aegis.native.wait import Wait

MARKET: int = lib.AE_TURN_MARKET
ACCOUNT: int = lib.AE_TURN_ACCOUNT
OTHERS: int = lib.AE_TURN_OTHERS
LOOK: int = lib.AE_TURN_LOOK
TIMER: int = lib.AE_TURN_TIMER
IDLE: int = lib.AE_TURN_IDLE
ANEW: int = lib.AE_TURN_ANEW
ENDED: int = lib.AE_TURN_ENDED
DUE: int = lib.AE_TURN_DUE
NEVER = 2**63 - 1
step = lib.ae_turn_step  # for whoever turns in a loop: (c, until_ns)


def memory_lock() -> bool:
    """Keep this process in memory; False where the machine does not permit it."""
    return bool(lib.ae_memory_lock() == 0)


class Turn:
    """
    One thread's waiting and taking.

    Args:
        wait: its place 0 is the market ring, place 1 the account ring. timer_ms: between two TIMER.
        budget_us: what a strategy may take for a batch. lag: more records behind, and batches are conflated; 0 never.
        block: ae_control_block_t * for progress; hist: ae_hist_block_t *; either may be None.

    Attributes:
        c: the C state: `now_ns` (wall clock of the batch), `mono_ns`, `count`, counters.
        features: columns folded from every batch.
        batches: a view for each number of records, for slicing costs more than most batches.
    """

    def __init__(
        self, wait: Wait, timer_ms: int, budget_us: int, *, lag: int = 0, block: Any = None, hist: Any = None
    ) -> None:
        self.wait, self.features = wait, Features()
        self.c = ffi.new("ae_turn_t *")
        lib.ae_turn_init(self.c, wait.state, self.features.c, timer_ms * 1_000_000, budget_us * 1000)
        self.c.block, self.c.hist, self.c.lag = block or ffi.NULL, hist or ffi.NULL, lag
        whole = np.frombuffer(ffi.buffer(self.c), np.uint8)
        at = ffi.offsetof("ae_turn_t", "batch")
        self._batch = whole[at : at + lib.AE_TURN_BATCH * abi.TICK.itemsize].view(abi.TICK)
        self._batch.flags.writeable = False
        self.batches = [self._batch[:n] for n in range(lib.AE_TURN_BATCH + 1)]
        self._readers: list[RingReader | None] = [None, None]
        self._books: BooksReader | None = None
        self._desk: Desk | None = None

    def step(self, until_ns: int) -> int:
        """Wait until then at most (monotonic; 0: only look, NEVER) and take what came; bits of what was found."""
        return int(lib.ae_turn_step(self.c, until_ns))

    def decided(self) -> int:
        """The strategy has answered for this batch (the next step says so by itself); returns the wall clock."""
        return int(lib.ae_turn_decided(self.c))

    def batch(self) -> Any:
        """The records of the last step, dtype abi.TICK."""
        return self.batches[self.c.count]

    def market(self, reader: RingReader, books: BooksReader | None = None) -> None:
        """Read this ring from its reader's cursor on, its depth runs thinned by this page; a new ring starts anew."""
        if reader is not self._readers[0] or books is not self._books:
            self.wait.ring(0, reader)
            self._readers[0], self._books = reader, books
            lib.ae_turn_market(self.c, reader.ring, reader.place, books.base if books else ffi.NULL)

    def account(self, reader: RingReader) -> None:
        """Wake up for this ring; its owner reads it."""
        if reader is not self._readers[1]:
            self.wait.ring(1, reader)
            self._readers[1] = reader

    def desk(self, desk: Desk) -> None:
        """Show every batch to this desk: its gate folds quotes, its triggers fire; its orders are kept warm."""
        self._desk = desk
        self.c.desk, self.c.gate = desk.c, desk.gate.c
