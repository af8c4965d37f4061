"""Faults of single frames on the streams: each public function is one.

`stream` is a pattern of stream names ("btcusdt@depth*", "*" for all), "user" for user events. Of the frames it means,
`skip` pass, then `percent` of them are hit, `count` in all; a count of 0 goes on until the operator clears it.
"""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING

from aegis.exchange.faults.injection import Injection

if TYPE_CHECKING:
    from aegis.exchange.conn import Conn, Tamper


def _means(conn: Conn, stream: str, pattern: str) -> bool:
    """Is a frame of this stream on this connection meant?"""
    return fnmatch.fnmatchcase("user" if stream in conn.keys else stream, pattern)


def frame_drop(f: Injection, *, stream: str = "*", count: int = 1, skip: int = 0, percent: int = 100) -> None:
    """Frames are lost; those before and after them arrive."""
    f.stand(count, skip, percent)

    def make(conn: Conn) -> Tamper:
        return lambda name, text: [] if _means(conn, name, stream) and f.strikes() else [(0.0, text)]

    f.tamper(make)


def frame_delay(f: Injection, *, ms: int, stream: str = "*", count: int = 1, skip: int = 0, percent: int = 100) -> None:
    """Frames arrive `ms` late; later ones overtake them."""
    f.stand(count, skip, percent)
    late = ms / 1000

    def make(conn: Conn) -> Tamper:
        return lambda name, text: [(late if _means(conn, name, stream) and f.strikes() else 0.0, text)]

    f.tamper(make)


def frame_repeat(f: Injection, *, stream: str = "*", count: int = 1, skip: int = 0, percent: int = 100) -> None:
    """Frames arrive twice in a row."""
    f.stand(count, skip, percent)

    def make(conn: Conn) -> Tamper:
        return lambda name, text: [(0.0, text)] * (2 if _means(conn, name, stream) and f.strikes() else 1)

    f.tamper(make)


def frame_reorder(f: Injection, *, stream: str = "*", count: int = 1, skip: int = 0, percent: int = 100) -> None:
    """A frame arrives after the next one of its stream instead of before it."""
    f.stand(0, skip, percent)

    def make(conn: Conn) -> Tamper:
        held: dict[str, str] = {}

        def swap(name: str, text: str) -> list[tuple[float, str]]:
            if name in held:
                rows = [(0.0, text), (0.0, held.pop(name))]
                if count and f.hits >= count and not held:
                    f.end()
                return rows
            if _means(conn, name, stream) and not (count and f.hits >= count) and f.strikes():
                held[name] = text
                return []
            return [(0.0, text)]

        return swap

    f.tamper(make)


def pu_hole(f: Injection, *, symbol: str, count: int = 1) -> None:
    """Diff depth events of a symbol are lost, so that the next one's pu is not the last u seen."""
    f.ex.market(symbol)
    frame_drop(f, stream=f"{symbol.lower()}@depth*", count=count)


def stream_silent(f: Injection, *, stream: str) -> None:
    """A stream is acknowledged and never sends a frame, on present and future connections."""
    f.stand()
    hub = f.ex.hub

    def mute(conn: Conn) -> None:
        f.hits += 1
        conn.muted.add(stream)

    def unmute() -> None:
        hub.on_open.remove(mute)
        for conn in hub.conns:
            conn.muted.discard(stream)

    for conn in hub.conns:
        mute(conn)
    hub.on_open.append(mute)
    f.undo(unmute)
