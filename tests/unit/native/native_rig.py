"""What the tests of the native package share: captures, WebSocket bytes, a market context with its reader."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aegis.market.decode import Record
from aegis.native.market import Market, Pump
from aegis.native.ring import RingReader, RingWriter

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
Listed = list[tuple[str, int, int]]


def need(*parts: str) -> Path:
    """A capture, or a skip that says what is missing."""
    path = DATA.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no capture at ../shared/data/{'/'.join(parts)}")
    return path


def gz_frames(path: Path) -> list[bytes]:
    """Frames of a `<time> <frame>` capture."""
    with gzip.open(path) as file:
        return [line.split(b" ", 1)[1].rstrip(b"\n") for line in file if b" " in line]


def multi_frames() -> list[bytes]:
    lines = need("multi_2021-07-22", "frames.txt").read_bytes().splitlines()[1:]
    return [line.split(b": ", 1)[1] for line in lines if b": {" in line]


def wire_frames() -> list[bytes]:
    """Every one-line frame of wire_2026."""
    files = sorted(need("wire_2026").glob("*.jsonl"))
    return [line for file in files for line in file.read_bytes().splitlines() if line.strip()]


def wrap(body: bytes, opcode: int = 1, fin: bool = True) -> bytes:
    """One unmasked WebSocket frame."""
    first, n = bytes([opcode | (0x80 if fin else 0)]), len(body)
    if n < 126:
        return first + bytes([n]) + body
    if n < 65536:
        return first + b"\x7e" + n.to_bytes(2, "big") + body
    return first + b"\x7f" + n.to_bytes(8, "big") + body


class Bench:
    """A market with ring, page and one pump."""

    def __init__(self, root: Path, symbols: Listed, slots: int = 65536) -> None:
        self.root, self.symbols = root, symbols
        self.ring = RingWriter(root / "market", slots, 64, "market")
        self.market = Market(symbols, self.ring, root / "books")
        self.reader = RingReader(root / "market", 0)
        self.pump = self.market.pump()

    def feed(self, data: bytes, pump: Pump | None = None) -> list[tuple[str, Any]]:
        """Give raw bytes to the pump."""
        pump, at, events = pump or self.pump, 0, []
        while at < len(data):
            room = pump.buffer()
            n = min(len(room), len(data) - at)
            room[:n] = data[at : at + n]
            events += pump.consume(n, 7)
            at += n
        return events

    def records(self) -> list[Record]:
        """Market records published since the last call, without book states."""
        rows = self.reader.read(65536)
        return [record(row) for row in rows if row["kind"] != 10]


def record(row: np.void) -> Record:
    return Record(*(int(row[name]) for name in Record._fields))
