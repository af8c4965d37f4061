"""Opening shared files: mapping, size, and the writer's lock.

Problem: a dead writer must be replaceable at once, a living one never. A file lock (flock) says which: the kernel
drops it with the process. What must stay true: the lock is held for as long as the writer's object lives.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from aegis.errors import RingRefused


class Mapping:
    """
    A shared file in memory.

    Args:
        path: the file.
        bytes_new: size to give a new or empty file; 0 = must exist.
        lock: take the writer's lock; a living holder is refused. A writer has all pages at hand from the start.

    Raises:
        RingRefused: missing, empty, or written by a living process.
    """

    def __init__(self, path: str | Path, bytes_new: int = 0, lock: bool = False) -> None:
        self.path = str(path)
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if bytes_new else 0)
        try:
            self._fd = os.open(self.path, flags, 0o600)
        except OSError as exc:
            raise RingRefused(f"{self.path}: {exc.strerror}") from exc
        try:
            if lock:
                self._lock()
            self.fresh = bool(bytes_new) and os.fstat(self._fd).st_size == 0
            if self.fresh:
                os.ftruncate(self._fd, bytes_new)
            size = os.fstat(self._fd).st_size
            if not size:
                raise RingRefused(f"{self.path}: empty")
            self.map = mmap.mmap(self._fd, size, flags=mmap.MAP_SHARED | (mmap.MAP_POPULATE if lock else 0))
        except BaseException:
            os.close(self._fd)
            raise
        self.bytes = size

    def _lock(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise RingRefused(f"{self.path}: its writer lives") from exc

    def close(self) -> None:
        """Give up the lock; the map goes with its last view."""
        if self._fd >= 0:
            fcntl.flock(self._fd, fcntl.LOCK_UN)  # mmap keeps a duplicate, so closing alone would keep the lock
            os.close(self._fd)
            self._fd = -1


def boot_id() -> bytes:
    """The kernel's boot id, or empty."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()
    except OSError:
        return b""


class Layout(NamedTuple):
    """What a page of this build is: its size, the dtypes of header and rows, the header's fields, `magic` last."""

    bytes: int
    header: Any
    row: Any
    fields: dict[str, int]


def check_header(file: Mapping, layout: Layout) -> Any:
    """Header of a page (array of one); raises RingRefused naming what differs."""
    if file.bytes != layout.bytes:
        raise RingRefused(f"{file.path}: size is {file.bytes}, expected {layout.bytes}")
    header = np.frombuffer(file.map, layout.header, 1)
    for field, value in layout.fields.items():
        if int(header[field][0]) != value:
            raise RingRefused(f"{file.path}: {field} differs from what this build expects")
    return header


def write_header(file: Mapping, layout: Layout) -> None:
    """Fields of a fresh page; the magic comes last, so that a half-made file is refused."""
    header = np.frombuffer(file.map, layout.header, 1)
    for field, value in layout.fields.items():
        header[field] = value


def open_page(path: str | Path, layout: Layout, names: Sequence[str], *, create: bool) -> Mapping:
    """
    A page that several processes share, each with a block of its own.

    Args:
        names: whose the blocks are, in their order. create: make it when missing.

    Raises:
        RingRefused: missing, or of another build (field named).
    """
    file = Mapping(path, layout.bytes if create else 0)
    try:
        fcntl.flock(file._fd, fcntl.LOCK_EX)
        if create and file.bytes == layout.bytes and not int(np.frombuffer(file.map, layout.header, 1)["magic"][0]):
            rows = np.frombuffer(file.map, layout.row, len(names), layout.header.itemsize)
            rows["name"][:] = [name.encode() for name in names]
            write_header(file, layout)
        check_header(file, layout)
    finally:
        file.close()
    return file
