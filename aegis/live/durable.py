"""Small files that are on the disk before the next line runs.

What must stay true: after a power cut a file holds its old content or its new one, and an appended line is whole or
not there; the folder's entry is on the disk as well.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def replace(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Give a file new content; its folder is made when missing. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    _write(fresh, data, os.O_TRUNC, mode)
    fresh.replace(path)
    _sync_folder(path.parent)


def append(path: Path, line: bytes, mode: int = 0o600) -> None:
    """Add a line; writers take turns. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _write(path, line, os.O_APPEND, mode)
    _sync_folder(path.parent)


def _write(path: Path, data: bytes, flag: int, mode: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flag, mode)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        while data:
            data = data[os.write(handle, data) :]
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
