"""Writers and readers of the broadcast rings (csrc/ring.c).

Problem: readers of one ring run at their own pace in other processes, and one that was overtaken has to know it.
What must stay true: a record is returned whole or counted in `lost`; numbers rise across restarts of the writer.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from aegis.errors import Inexact, RingRefused
from aegis.native import abi
from aegis.native._aegis import ffi, lib
from aegis.native.shm import Mapping, boot_id

_FIELDS = ("", "size", "magic", "abi", "header_bytes", "slot_bytes", "capacity", "name")
_DTYPES = {64: abi.TICK}


def _refuse(path: str, code: int) -> None:
    if code:
        raise RingRefused(f"{path}: {_FIELDS[code]} differs from what this build expects")


class RingWriter:
    """
    The one writer of a ring file; takes over a dead writer's file.

    Args:
        path: the file, made when missing.
        slots: power of two. slot_bytes: multiple of 8. name: <= 15 ASCII characters.

    Raises:
        RingRefused: living writer, or a header field differs (named).
    """

    def __init__(self, path: str | Path, slots: int, slot_bytes: int, name: str) -> None:
        self._file = Mapping(path, lib.ae_ring_bytes(slots, slot_bytes), lock=True)
        self.path, self.slot_bytes, self.slots = self._file.path, slot_bytes, slots
        self._base = ffi.from_buffer(self._file.map)
        word = name.encode("ascii")
        if self._file.fresh:
            lib.ae_ring_init(self._base, slots, slot_bytes, word)
        try:
            _refuse(self.path, lib.ae_ring_check(self._base, self._file.bytes, slots, slot_bytes, word))
        except RingRefused:
            self._file.close()
            raise
        self.ring = ffi.new("ae_ring_t *")
        lib.ae_ring_take(self.ring, self._base, os.getpid())
        ffi.memmove(self.ring.header.boot_id, boot_id()[:39], len(boot_id()[:39]))

    def publish(self, records: Any) -> int:
        """
        Publish whole records (bytes or array, n * slot_bytes) and wake readers; their first word becomes the sequence.

        Returns:
            Sequence number of the last one.

        Raises:
            Inexact: the length is no multiple of slot_bytes.
        """
        if self._file._fd < 0:
            raise RingRefused(f"{self.path}: closed")
        data = ffi.from_buffer(records)
        count, rest = divmod(len(data), self.slot_bytes)
        if rest:
            raise Inexact(f"{len(data)} bytes are no whole records of {self.slot_bytes}")
        seq = int(lib.ae_ring_publish(self.ring, data, count))
        lib.ae_ring_wake(self.ring)
        return seq

    @property
    def newest(self) -> int:
        """Last sequence number published, 0 when none."""
        return int(lib.ae_ring_newest(self.ring))

    @property
    def epoch(self) -> int:
        """How many writers this file has had."""
        return int(self.ring.header.epoch)

    def close(self) -> None:
        """Give up the lock; the file stays for its readers."""
        self._file.close()


class RingReader:
    """
    A reader with its own cursor.

    Args:
        path: the file.
        from_seq: last number already taken: reading goes on after it (0 = from the oldest kept); None = now.

    Attributes (properties):
        cursor: last number taken; give it as from_seq to go on.
        laps, lost: how often this reader was overtaken, and how many records it missed.

    `ring` and `place` are the C state and cursor, for whoever waits or takes in C; they live as long as the reader.

    Raises:
        RingRefused: missing file, or a header field differs (named).
    """

    def __init__(self, path: str | Path, from_seq: int | None = None) -> None:
        self._file = Mapping(path)
        self.path = self._file.path
        self._base = ffi.from_buffer(self._file.map)
        try:
            _refuse(self.path, lib.ae_ring_check(self._base, self._file.bytes, 0, 0, ffi.NULL))
        finally:
            self._file.close()
        self.ring, self.place = ffi.new("ae_ring_t *"), ffi.new("ae_cursor_t *")
        lib.ae_ring_attach(self.ring, self._base)
        self.slot_bytes = int(self.ring.slot_bytes)
        self._dtype = _DTYPES.get(self.slot_bytes, np.dtype(f"V{self.slot_bytes}"))
        if from_seq == 0:
            from_seq = self.oldest - 1
        self.place.taken = self.newest if from_seq is None else from_seq

    def read(self, limit: int = 4096) -> np.ndarray:
        """Up to `limit` records after the cursor, as a fresh array (dtype abi.TICK, or opaque 256-byte items)."""
        out = np.empty(min(limit, max(0, self.newest - self.cursor)), self._dtype)
        if not len(out):
            return out
        got = lib.ae_ring_read(self.ring, self.place, ffi.from_buffer(out), len(out))
        return out[:got]

    def wait(self, timeout_ms: float) -> bool:
        """Sleep (without the interpreter lock) until a record is there; False after the time-out or a signal."""
        return bool(lib.ae_ring_wait(self.ring, self.place, int(timeout_ms * 1_000_000)))

    @property
    def cursor(self) -> int:
        return int(self.place.taken)

    @property
    def laps(self) -> int:
        return int(self.place.laps)

    @property
    def lost(self) -> int:
        return int(self.place.lost)

    @property
    def epoch(self) -> int:
        """Rises when the writer was replaced."""
        return int(self.ring.header.epoch)

    @property
    def writer_pid(self) -> int:
        return int(self.ring.header.writer_pid)

    @property
    def newest(self) -> int:
        return int(lib.ae_ring_newest(self.ring))

    @property
    def oldest(self) -> int:
        return int(lib.ae_ring_oldest(self.ring))

    @property
    def bytes(self) -> int:
        """True size of the file."""
        return self._file.bytes
