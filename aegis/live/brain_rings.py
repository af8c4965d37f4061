"""The brain's and the orchestrator's ends of the rings: readers that survive restarts of their writer.

What must stay true: a record that was lost is said so (`lost`), never skipped in silence.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aegis.errors import RingRefused
from aegis.native.ring import RingReader

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

    def reader(self) -> RingReader | None:
        """The reader itself, for whoever reads in C with its cursor; None while there is no file."""
        if self._reader is None:
            self._open()
        return self._reader

    def taken(self) -> int:
        """Number of the last record taken, in C or here."""
        return self._reader.cursor if self._reader is not None else self.seq

    def lost_n(self) -> int:
        """How many records this reader was overtaken by."""
        return self._reader.lost if self._reader is not None else 0

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
