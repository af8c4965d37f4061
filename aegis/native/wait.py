"""Waiting for several rings and one epoll descriptor at once, without the interpreter lock (csrc/wait.c).

Problem: an event loop that sleeps in epoll learns of a record only through a thread that sleeps on the ring, and that
is a second wake-up on the way of every tick. Here the loop's own thread sleeps on the rings, and what is for the loop
(its epoll descriptor) wakes it just as well.
What must stay true: one thread calls `any`; a reader that is waited on is kept alive here until it is replaced.
"""

from __future__ import annotations

from typing import Any

from aegis.errors import Ours
from aegis.native._aegis import ffi, lib
from aegis.native.ring import RingReader

HOW = {"block": lib.AE_WAIT_BLOCK, "adaptive": lib.AE_WAIT_ADAPTIVE, "spin": lib.AE_WAIT_SPIN}
FD: int = lib.AE_WAIT_FD
RINGS: int = lib.AE_WAIT_RINGS


class Wait:
    """
    One thread's waiting.

    Args:
        how: "block" sleeps, "spin" never does, "adaptive" spins `spin_us` and then sleeps.

    Attributes:
        state: the C state, for C code that waits and takes in one call.
    """

    def __init__(self, how: str = "block", spin_us: int = 50) -> None:
        raw = ffi.new("ae_wait_t *")
        lib.ae_wait_init(raw, HOW[how], spin_us * 1000)
        self.state = ffi.gc(raw, lib.ae_wait_close)
        self._readers: list[Any] = [None] * RINGS

    def watch(self, fd: int) -> None:
        """
        Wait also for this epoll descriptor; it must stay open until `close`.

        Raises:
            Ours: there is one already, or no helper thread could be started.
        """
        if lib.ae_wait_watch(self.state, fd) < 0:
            raise Ours(f"descriptor {fd} cannot be watched")

    def ring(self, at: int, reader: RingReader | None) -> None:
        """
        Wait also for records that `reader` has not taken; None: no more. Place 0 is the hot ring.

        Raises:
            Ours: no such place.
        """
        if not 0 <= at < RINGS:
            raise Ours(f"no place {at} for a ring, there are {RINGS}")
        null = ffi.NULL
        lib.ae_wait_ring(self.state, at, reader.ring if reader else null, reader.place if reader else null)
        self._readers[at] = reader

    def any(self, timeout_ns: int) -> int:
        """Bits of what is ready: 1 << place of a ring, FD; 0 after the time-out (below 0: never) or a signal."""
        return int(lib.ae_wait_any(self.state, timeout_ns))

    def close(self) -> None:
        """End the helper thread and forget descriptor and rings."""
        lib.ae_wait_close(self.state)
        for at in range(RINGS):
            self.ring(at, None)
