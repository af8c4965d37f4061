"""The pump thread (csrc/loop.c): many connections read, decoded and published in C, without the interpreter.

Problem: what is no market data (pongs, answers, user events, ends) still belongs to Python, and must reach it without
Python ever being waited for. So C keeps it in a queue of fixed size and makes a descriptor readable; `take` fetches
all of it in one call.
What must stay true: a connection on the loop is used through its `Line` alone, from one thread; `close` ends the C
thread before the memory it works on goes.
"""

from __future__ import annotations

import contextlib
import enum
import mmap
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from aegis.errors import Machine, Unreachable
from aegis.limits import FRAME_BYTES_MAX
from aegis.native import abi
from aegis.native._aegis import ffi, lib
from aegis.native.conn import Conn
from aegis.native.counters import LOOP
from aegis.native.market import Market

BUFFER_BYTES = 1 << 20  # a connection's receive buffer and its largest frame; seen: 70 KiB
HALF_BYTES = FRAME_BYTES_MAX * 2  # each half of the event queue: seconds of tapped bytes
WAITS = {"block": lib.AE_WAIT_BLOCK, "adaptive": lib.AE_WAIT_ADAPTIVE, "spin": lib.AE_WAIT_SPIN}
_EVENT_BYTES = ffi.sizeof("ae_event_t")


class Kind(enum.IntEnum):
    """What an event says."""

    CONTROL = lib.AE_EVENT_CONTROL
    TEXT = lib.AE_EVENT_TEXT
    TAP = lib.AE_EVENT_TAP
    HELD = lib.AE_EVENT_HELD
    CLOSED = lib.AE_EVENT_CLOSED


class Mode(enum.IntEnum):
    """What happens to the bytes of a connection: left in the socket, pumped, or handed out to be given back later."""

    PAUSED = lib.AE_LINK_PAUSED
    RUNS = lib.AE_LINK_RUNS
    HOLDS = lib.AE_LINK_HOLDS


class Event(NamedTuple):
    """
    One thing a connection had to say.

    Attributes:
        line: id of the connection's `Line`.
        body: a raw control frame, a text, raw bytes (TAP, HELD), or why it closed.
        cut: taps before this one were dropped.
    """

    line: int
    kind: Kind
    body: bytes
    recv_ns: int
    cut: bool


def _memory(size: int, *, populate: bool = False) -> Any:
    """Zeroed memory of our own, as the pair (map, pointer); `populate`: its pages are there before the first use."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | (mmap.MAP_POPULATE if populate else 0)
    memory = mmap.mmap(-1, size, flags=flags)
    return memory, ffi.from_buffer("uint8_t[]", memory)


def _events(at: Any, size: int) -> Iterator[Event]:
    """The events in `size` bytes at a pointer."""
    done = 0
    while done < size:
        head = ffi.cast("ae_event_t *", at + done)
        body = bytes(ffi.buffer(at + done + _EVENT_BYTES, head.bytes))
        if head.kind == Kind.CLOSED and head.reason:
            body = f"bad frame: {abi.WS_REASONS.get(head.reason, head.reason)}".encode()
        yield Event(int(head.link), Kind(head.kind), body, int(head.recv_ns), bool(head.cut))
        done += _EVENT_BYTES + (int(head.bytes) + 7) // 8 * 8


class Line:
    """One connection on the loop, PAUSED at first. Made by `Loop.add`."""

    def __init__(self, loop: Loop, conn: Conn, market: bool) -> None:
        self._loop, self.conn = loop, conn
        self._data = _memory(BUFFER_BYTES, populate=True)
        self._joined = _memory(BUFFER_BYTES)
        self._link = ffi.new("ae_link_t *")
        context = loop.market.context if market else ffi.NULL
        lib.ae_link_init(self._link, conn.pointer, self._data[1], self._joined[1], BUFFER_BYTES, context)
        self.id = int(lib.ae_loop_add(loop.pointer, self._link))
        if self.id < 0:
            raise Machine(f"no room for another connection, {lib.AE_LOOP_LINKS} are in use")

    @property
    def bytes_in(self) -> int:
        """How many bytes came since it was added."""
        return int(self._link.bytes_in)

    def mode(self, mode: Mode, *, tap: bool = False) -> None:
        """From now on; `tap`: raw bytes are shown as well (not in mode HOLDS, which hands them out anyway)."""
        lib.ae_loop_mode(self._loop.pointer, self._link, mode, tap)

    def write(self, data: bytes) -> None:
        """
        Write a whole message; what the socket does not take at once follows by itself.

        Raises:
            Unreachable: nothing of it was sent: the connection is over or its buffer full.
        """
        if lib.ae_loop_write(self._loop.pointer, self._link, data, len(data)) == lib.AE_BAD:
            raise Unreachable(self.conn.error or "connection is closed")

    def replay(self, data: bytes, recv_ns: int) -> int:
        """Give the pump of a PAUSED line bytes read earlier; fewer than all when events must be taken first."""
        return int(lib.ae_loop_replay(self._loop.pointer, self._link, data, len(data), recv_ns))

    def close(self) -> None:
        """Take it off the loop and close the connection; may be called twice."""
        lib.ae_loop_remove(self._loop.pointer, self._link)
        self.conn.close()


class Loop:
    """
    The thread; `start` it.

    Args:
        market: what lines opened with market=True feed; its lock is the loop's lock.

    Attributes:
        fd: readable when there are events.
    """

    def __init__(self, market: Market) -> None:
        self.market = market  # outlives the loop
        self._memory = _memory(lib.ae_loop_bytes(), populate=True)
        self._queue = _memory(2 * HALF_BYTES)
        self.pointer = ffi.cast("ae_loop_t *", self._memory[1])
        self._lines: dict[int, Line] = {}
        self._at = ffi.new("uint8_t **")
        if lib.ae_loop_init(self.pointer, market.context, self._queue[1], HALF_BYTES) < 0:
            raise Machine("no descriptors left for the pump thread")
        self.fd = int(lib.ae_loop_fd(self.pointer))
        self._open = True

    def start(self, wait: str = "block", cpu: int = -1) -> bool:
        """
        Begin to receive.

        Args:
            wait: "block", "adaptive" or "spin". cpu: processor to stay on, -1 any.

        Returns:
            Whether it stays on the processor asked for.

        Raises:
            Machine: no thread could be made.
        """
        got = int(lib.ae_loop_start(self.pointer, WAITS[wait], cpu))
        if got < 0:
            raise Machine("the pump thread could not be started")
        return got == 0

    def add(self, conn: Conn, *, market: bool = True) -> Line:
        """Take a connection whose handshake is done; `market` False hands every message out as text."""
        line = Line(self, conn, market)
        self._lines = {k: v for k, v in self._lines.items() if v.conn.fd >= 0} | {line.id: line}
        return line

    def take(self) -> list[Event]:
        """All events there are, oldest first of each line."""
        if not self._open:
            return []
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.fd)
        size = int(lib.ae_loop_take(self.pointer, self._at))
        return list(_events(self._at[0], size))

    def counters(self) -> dict[str, int]:
        """What the thread counts, by name."""
        words = lib.ae_loop_counters(self.pointer)
        return {name: int(words[at]) for name, at in LOOP}

    @property
    def turns(self) -> int:
        """How often the thread looked around; ten times a second at least, while it lives."""
        return int(lib.ae_loop_counters(self.pointer)[lib.AE_LOOP_TURNS])

    def close(self) -> None:
        """End the thread; close what is still on it. May be called twice."""
        if not self._open:
            return
        self._open = False
        lib.ae_loop_stop(self.pointer)
        for line in self._lines.values():
            line.close()
        lib.ae_loop_close(self.pointer)

    def __del__(self) -> None:
        if getattr(self, "_open", False):
            self.close()
