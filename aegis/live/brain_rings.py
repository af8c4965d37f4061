"""Rings as the brain follows them: over restarts of their writer, and asleep until something comes.

What must stay true: a record that was lost is said so (`lost`), never skipped in silence; the thread that sleeps has a
reader of its own, so that closing one never pulls memory from under the other.
"""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

from aegis.errors import RingRefused
from aegis.native.ring import RingReader

WAIT_MS = 100
READ_MAX = 4096


class Tail:
    """
    One ring, read to its end again and again.

    Args:
        path: may not exist yet.
        from_oldest: start at the oldest record kept instead of the newest.

    Attributes:
        epoch, seq: where we stand; `seq` is the last record taken. restarts: how often the writer came anew.
    """

    def __init__(self, path: Path, *, from_oldest: bool = False) -> None:
        self.path, self._from_oldest = path, from_oldest
        self.epoch = self.seq = self.restarts = 0
        self.lost = False
        self._reader: RingReader | None = None
        self._inode, self._lost_n = 0, 0

    def read(self, most: int = READ_MAX) -> Any:
        """What came since, oldest first; afterwards `seq` is the number of the last one."""
        if self._reader is None and not self._open():
            return ()
        assert self._reader is not None
        found = self._reader.read(most)
        self.seq = self._reader.cursor
        if self._reader.lost != self._lost_n:
            self._lost_n, self.lost = self._reader.lost, True
        if self._reader.epoch != self.epoch:
            self.epoch, self.restarts = self._reader.epoch, self.restarts + 1
        return found

    def look(self) -> None:
        """Notice that the file was made anew (not merely taken over); call it now and then."""
        if self._reader is not None and _inode(self.path) not in (0, self._inode):
            self._reader = None

    def wait(self, timeout_ms: int) -> bool:
        """Sleep until something is there; False after the time-out, at once without a file."""
        return self._reader is not None and self._reader.wait(timeout_ms)

    def _open(self) -> bool:
        try:
            inode = _inode(self.path)
            again = bool(self._inode)
            reader = RingReader(str(self.path), 0 if again or self._from_oldest else None)
        except (RingRefused, OSError):
            return False
        self.restarts += again
        self._reader, self._inode = reader, inode
        self.epoch, self.seq, self._lost_n = reader.epoch, reader.cursor, reader.lost
        return True


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0


class Waker:
    """A thread that sleeps on a ring and wakes the event loop; one at most is on its way until `taken`."""

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop, wake: asyncio.Event) -> None:
        self._tail, self._loop, self._wake = Tail(path), loop, wake
        self._stop, self._taken = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"wait-{path.name}", daemon=True)
        self._thread.start()

    def taken(self) -> None:
        """The loop has read; wake it again for what comes next."""
        self._taken.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            if len(self._tail.read()):
                self._taken.clear()
                try:
                    self._loop.call_soon_threadsafe(self._wake.set)
                except RuntimeError:  # the loop is closed
                    return
                self._taken.wait(WAIT_MS / 1000)
            elif not self._tail.wait(WAIT_MS):
                self._tail.look()
                self._stop.wait(WAIT_MS / 10_000)

    def stop(self) -> None:
        """End the thread; takes one wait at most."""
        self._stop.set()
        self._taken.set()
        self._thread.join(2 * WAIT_MS / 1000)
