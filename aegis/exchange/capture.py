"""Reading a capture: lines of `<receipt time> <frame>`, frames untouched.

Problem: recorders write the time in seconds, milliseconds, microseconds or nanoseconds, with or without a colon, and
put the REST snapshot among the frames. The frame must go out byte for byte, so it is kept as text and never re-
encoded.
What must stay true: `Line.frame` is exactly what followed the time stamp and one blank.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from aegis.exchange.symbols import Spec, make_spec
from aegis.units import Num

KNOWN = {"BTCUSDT": ("0.10", "0.001", "100")}
QUOTES = ("USDT", "USDC", "BUSD")


@dataclass(frozen=True, slots=True)
class Line:
    """One line; `stream` is "" for a snapshot, `data` the frame without its wrapper."""

    at_ns: int
    frame: str
    stream: str
    data: str


def nanoseconds(text: str) -> int:
    """A time stamp of any unit in ns: the unit follows from its size."""
    whole, _, part = text.rstrip(":").partition(".")
    value = int(whole)
    for below, unit in ((10**11, 10**9), (10**14, 10**6), (10**17, 10**3)):
        if value < below:
            return value * unit + int((part + "0" * 9)[:9]) * unit // 10**9 if part else value * unit
    return value


def lines(path: str) -> Iterator[Line]:
    """All frames and snapshots of a capture in order; lines without one (an address, settings) are passed over."""
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8", newline="\n") as file:
        for text in file:
            stamp, _, frame = text.rstrip("\n").partition(" ")
            if not frame.startswith("{"):
                continue
            if frame.startswith('{"stream":"'):
                end = frame.index('"', 11)
                yield Line(nanoseconds(stamp), frame, frame[11:end], frame[end + 9 : -1])
            elif '"lastUpdateId"' in frame[:40]:
                yield Line(nanoseconds(stamp), frame, "", frame)


class DepthEvent(msgspec.Struct):
    """What the venue's own book needs of a depthUpdate."""

    U: int
    u: int
    pu: int
    T: int
    s: str
    b: list[tuple[str, str]]
    a: list[tuple[str, str]]


class TradeEvent(msgspec.Struct):
    """What matching needs of a trade."""

    T: int
    s: str
    t: int
    p: str
    q: str
    m: bool
    X: str = "MARKET"


depth_decoder = msgspec.json.Decoder(DepthEvent)
trade_decoder = msgspec.json.Decoder(TradeEvent)


@dataclass(slots=True)
class Capture:
    """
    A whole capture in memory.

    Attributes:
        frames: number of stream frames (snapshots not counted).
        snapshots: per symbol (line index, decoded snapshot).
    """

    rows: list[Line]
    streams: set[str]
    symbols: list[str]
    frames: int
    snapshots: dict[str, tuple[int, dict[str, Any]]]


def places(texts: Iterator[str]) -> int:
    """Most decimal places seen, trailing zeros included."""
    return max((len(t.partition(".")[2]) for t in texts), default=0)


def load(path: str) -> Capture:
    """
    Read a capture.

    Raises:
        OSError: not readable. ValueError: it holds no stream frame.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no capture at {path}")
    rows = list(lines(path))
    streams = {r.stream for r in rows if r.stream}
    symbols = sorted({s.partition("@")[0].upper() for s in streams if "@" in s and not s.startswith("!")})
    if not symbols:
        raise ValueError(f"{path} holds no stream frame")
    snapshots: dict[str, tuple[int, dict[str, Any]]] = {}
    for i, row in enumerate(rows):
        if not row.stream:
            snap = msgspec.json.decode(row.data)
            snapshots.setdefault(snap.get("symbol", symbols[0]), (i, snap))
    return Capture(rows, streams, symbols, sum(1 for r in rows if r.stream), snapshots)


def spec_of(capture: Capture, symbol: str) -> Spec:
    """Contract rules of a captured symbol: known ones, or the grid its digits show."""
    samples: list[tuple[str, str]] = []
    lower = symbol.lower()
    for row in capture.rows:
        if row.stream == f"{lower}@trade" or row.stream == f"{lower}@aggTrade":
            trade = msgspec.json.decode(row.data)
            samples.append((trade["p"], trade["q"]))
        elif row.stream.startswith(f"{lower}@depth"):
            event = depth_decoder.decode(row.data)
            samples += event.b + event.a
        if len(samples) > 5000:
            break
    if not samples:
        raise ValueError(f"{symbol}: the capture has neither trades nor depth")
    quote = next((q for q in QUOTES if symbol.endswith(q)), "USDT")
    samples = [s for s in samples if Num.parse(s[0])]
    px_exp, qty_exp = places(p for p, _ in samples), places(q for _, q in samples)
    tick, lot, least = KNOWN.get(symbol, (str(Num(1, px_exp)), str(Num(1, qty_exp)), "5"))
    start = samples[-1][0]
    if symbol in capture.snapshots:
        start = capture.snapshots[symbol][1]["bids"][0][0]
    return make_spec(symbol, quote, start, tick, lot, least)
