"""The file of order-id epochs: what no later process may use again.

What must stay true: a number is on the disk (fsync of file and directory) before an id that carries it exists.
"""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from aegis.live import durable
from aegis.orders.ids import ClientIds


def _store(path: Path, epoch: int, reserved: int) -> None:
    durable.replace(path, msgspec.json.encode({"epoch": epoch, "reserved": reserved}), 0o644)


def open_ids(path: Path) -> ClientIds:
    """Take the next epoch. Without a readable file it comes from the wall clock (seconds)."""
    try:
        last = int(msgspec.json.decode(path.read_bytes())["epoch"])
    except (FileNotFoundError, msgspec.DecodeError, KeyError, TypeError, ValueError):
        last = int(time.time())
    epoch = last + 1
    _store(path, epoch, 0)
    return ClientIds(epoch, lambda limit: _store(path, epoch, limit))
