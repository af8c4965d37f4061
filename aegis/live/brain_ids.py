"""The file of order-id epochs: what no later process may use again.

What must stay true: a number is on the disk (fsync of file and directory) before an id that carries it exists.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec

from aegis.orders.ids import ClientIds


def _store(path: Path, epoch: int, reserved: int) -> None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        os.write(handle, msgspec.json.encode({"epoch": epoch, "reserved": reserved}))
        os.fsync(handle)
    finally:
        os.close(handle)
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def open_ids(path: Path) -> ClientIds:
    """Take the next epoch. Without a readable file it comes from the wall clock (seconds)."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        last = int(msgspec.json.decode(path.read_bytes())["epoch"])
    except (FileNotFoundError, msgspec.DecodeError, KeyError, TypeError, ValueError):
        last = int(time.time())
    epoch = last + 1
    _store(path, epoch, 0)
    return ClientIds(epoch, lambda limit: _store(path, epoch, limit))
