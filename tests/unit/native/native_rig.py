"""What the tests of the native package share: captures, WebSocket bytes, a market context with its reader."""

from __future__ import annotations

import gzip
import mmap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aegis.native._aegis import ffi, lib

from aegis.market.decode import Record
from aegis.native import abi
from aegis.native.market import Market
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


class Pump:
    """The C pump without a socket: write into buffer(), then consume()."""

    def __init__(self, market: Market, capacity: int = 1 << 20) -> None:
        self._market = market  # outlives the pump
        self._data, self._joined = mmap.mmap(-1, capacity), mmap.mmap(-1, capacity)
        self._view = memoryview(self._data)
        self._pump = ffi.new("ae_pump_t *")
        self._keep = (ffi.from_buffer(self._data), ffi.from_buffer(self._joined))
        data, joined = (ffi.cast("uint8_t *", k) for k in self._keep)
        lib.ae_pump_init(self._pump, data, joined, capacity, market.context)

    def buffer(self) -> memoryview:
        """Writable room for the next read."""
        room = lib.ae_pump_room(self._pump)
        at = self._pump.write
        return self._view[at : at + room]

    def consume(self, n: int, recv_ns: int) -> list[tuple[str, Any]]:
        """
        Take `n` bytes just written.

        Returns:
            ("control", raw frame), ("text", payload), ("bad", reason) in order; after "bad" the connection is over.
        """
        events: list[tuple[str, Any]] = []
        while what := lib.ae_pump_step(self._pump, n, recv_ns):
            n = 0
            if what == lib.AE_PUMP_BAD:
                events.append(("bad", abi.WS_REASONS.get(self._pump.reason, str(self._pump.reason))))
                break
            events.append((_EVENTS[what], bytes(ffi.buffer(self._pump.event, self._pump.event_bytes))))
        return events


_EVENTS = {1: "control", 2: "text"}


class Bench:
    """A market with ring, page and one pump."""

    def __init__(self, root: Path, symbols: Listed, slots: int = 65536) -> None:
        self.root, self.symbols = root, symbols
        self.ring = RingWriter(root / "market", slots, 64, "market")
        self.market = Market(symbols, self.ring, root / "books")
        self.reader = RingReader(root / "market", 0)
        self.pump = Pump(self.market)

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
