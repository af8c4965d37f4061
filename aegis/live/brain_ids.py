"""The file of order-id epochs: what no later process may use again.

What must stay true: a number is on the disk (fsync of file and directory) before an id that carries it exists; the
epoch in the file never falls, though two processes of one account write it.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from aegis.live import durable
from aegis.orders.ids import ClientIds


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Between reading the file and writing it nobody else writes."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _newest(path: Path) -> int:
    """The newest epoch taken; without a readable file from the wall clock (seconds)."""
    try:
        return int(msgspec.json.decode(path.read_bytes())["epoch"])
    except (FileNotFoundError, msgspec.DecodeError, KeyError, TypeError, ValueError):
        return int(time.time())


def _store(path: Path, epoch: int, reserved: int) -> None:
    durable.replace(path, msgspec.json.encode({"epoch": epoch, "reserved": reserved}), 0o644)


def open_ids(path: Path) -> ClientIds:
    """Take the next epoch."""
    with _alone(path):
        epoch = _newest(path) + 1
        _store(path, epoch, 0)

    def reserve(limit: int) -> None:
        with _alone(path):
            _store(path, max(epoch, _newest(path)), limit)

    return ClientIds(epoch, reserve)
