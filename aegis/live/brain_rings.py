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
        epoch, seq: where we stand; `seq` is the next record. restarts: how often the writer came anew.
    """

    def __init__(self, path: Path, *, from_oldest: bool = False) -> None:
        self.path, self._from_oldest = path, from_oldest
        self.epoch = self.seq = self.restarts = 0
        self.lost = False
        self._reader: RingReader | None = None
        self._inode, self._lost_n = 0, 0

    def read(self, most: int = READ_MAX) -> Any:
        """What came since, oldest first; `self.first` is the sequence number of the first one."""
        if self._reader is None and not self._open():
            return ()
        assert self._reader is not None
        found = self._reader.read(most)
        if self._reader.lost != self._lost_n:
            self._lost_n, self.lost = self._reader.lost, True
        self.seq = self._reader.cursor
        if not len(found) and self._stale():
            self.close()
        return found

    @property
    def first(self) -> int:
        """Cursor before the next read."""
        return self._reader.cursor if self._reader is not None else self.seq

    def _stale(self) -> bool:
        assert self._reader is not None
        return self._reader.epoch != self.epoch or _inode(self.path) != self._inode

    def _open(self) -> bool:
        if not self.path.exists():
            return False
        try:
            inode, reader = _inode(self.path), RingReader(str(self.path), None)
            start = reader.cursor
            if inode == self._inode and reader.oldest <= self.seq <= reader.newest + 1:
                start = self.seq
            elif self._inode or self._from_oldest:
                start = reader.oldest
            if start != reader.cursor:
                reader.close()
                reader = RingReader(str(self.path), start)
        except RingRefused:
            return False
        self.restarts += bool(self._inode)
        self._reader, self._inode = reader, inode
        self.epoch, self.seq, self._lost_n = reader.epoch, reader.cursor, reader.lost
        return True

    def close(self) -> None:
        """Let go of the file."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None


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
            if not len(self._tail.read()):
                reader = self._tail._reader
                if reader is None:
                    self._stop.wait(WAIT_MS / 1000)
                else:
                    reader.wait(WAIT_MS)
                continue
            self._taken.clear()
            try:
                self._loop.call_soon_threadsafe(self._wake.set)
            except RuntimeError:
                return
            self._taken.wait(WAIT_MS / 1000)
        self._tail.close()

    def stop(self) -> None:
        """End the thread; takes one wait at most."""
        self._stop.set()
        self._taken.set()
        self._thread.join(2 * WAIT_MS / 1000)
