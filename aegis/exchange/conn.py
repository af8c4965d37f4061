"""One stream connection: what it asked for, what it is owed, and how its bytes leave.

Problem: a reader that stops reading must cost the others nothing, and must not be served a thinned stream either. So
each connection queues ready frames (shared between connections, encoded once), a writer of its own sends them in
batches as far as the socket takes them, and too long a queue ends the connection.
What must stay true: frames leave in the order they were queued; at most QUEUE_MAX bytes wait; a close frame is the
last thing a client gets, unless a planted fault cut the socket.

Planted faults come in here and nowhere else: `tampers` see every payload before it is framed; `muted` streams are
acknowledged and silent; `break_after` and `break_next` end or stall the socket at a byte; `freeze` makes it half-open.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from aegis.exchange.clock import mono_ns, now_ms
from aegis.exchange.wire import PING, close_frame, frame, text_frame

MESSAGES_PER_S = 10
QUEUE_MAX = 64 << 20  # bytes; minutes of a busy connection
BATCH = 128 << 10  # bytes handed to the socket at once
CLOSE_WAIT_S = 1.0
PING_S, PONG_S = 180.0, 600.0
OVERFLOW = 1008

# (stream, payload) -> what goes out instead: pairs of (delay in seconds, payload), in order
Tamper = Callable[[str, str], list[tuple[float, str]]]


class Conn:
    """
    One WebSocket of the stream doors.

    Args:
        route: "public", "market", "private", or "any" for an address without one.
        combined: payloads are wrapped with their stream's name.

    Attributes:
        keys: listen keys, each with the heads of the only user events it asked for (empty for all).
        queued: bytes waiting in `queue`.
        closing: close code once closing was asked for, else 0.
        tampers: planted changes of outgoing payloads, applied in order.
        muted: streams that are silent by a planted fault.
    """

    def __init__(self, route: str, combined: bool) -> None:
        self.route, self.combined = route, combined
        self.names: dict[str, None] = {}
        self.keys: dict[str, tuple[str, ...]] = {}
        self.queue: deque[bytes] = deque()
        self.queued = 0
        self.wake = asyncio.Event()
        self.closing = 0
        self.stamps: deque[int] = deque()
        self.tampers: list[Tamper] = []
        self.muted: set[str] = set()
        self.transport: asyncio.Transport | None = None
        self._frozen = self._overflowed = False
        self._fuse: tuple[int, bool] | None = None
        self._ping_s, self._pong_s = PING_S, PONG_S
        self._timers: list[asyncio.TimerHandle] = []
        self._pings: dict[bytes, asyncio.TimerHandle] = {}

    # outgoing ---------------------------------------------------------------
    def push(self, data: bytes) -> None:
        """Queue one ready frame (or any bytes)."""
        if self._frozen or self._overflowed:
            return
        self.queue.append(data)
        self.queued += len(data)
        if self.queued > QUEUE_MAX:
            self._overflowed = True
            self.close(OVERFLOW)
        self.wake.set()

    def deliver(self, stream: str, payload: str) -> None:
        """Queue a payload of a stream in this connection's form, after its planted faults."""
        if stream in self.muted:
            return
        rows = [(0.0, payload)]
        for tamper in self.tampers:
            rows = [(late + more, text) for late, one in rows for more, text in tamper(stream, one)]
        for late, text in rows:
            data = text_frame(f'{{"stream":"{stream}","data":{text}}}' if self.combined else text)
            if late > 0:
                asyncio.get_running_loop().call_later(late, self.push, data)
            else:
                self.push(data)

    def close(self, code: int) -> None:
        """Close with `code` after what is queued; at once for 1008 (what is queued is dropped then)."""
        if self.closing:
            return
        self.closing = code
        if code == OVERFLOW:
            self.queue.clear()
            self.queued = 0
            self._give_up()
        self.wake.set()

    def _give_up(self) -> None:
        if self.transport is not None:
            self._timers.append(asyncio.get_running_loop().call_later(CLOSE_WAIT_S, self.transport.abort))

    def _take(self) -> bytes:
        """The next batch, at least one frame."""
        if self.queued <= BATCH:
            data = b"".join(self.queue)
            self.queue.clear()
            self.queued = 0
            return data
        rows, size = [], 0
        while self.queue and size < BATCH:
            rows.append(self.queue.popleft())
            size += len(rows[-1])
        self.queued -= size
        return b"".join(rows)

    async def write(self, writer: asyncio.StreamWriter) -> None:
        """Send what is queued until closed; returns after the close frame, or when the peer is gone."""
        try:
            while True:
                await self.wake.wait()
                self.wake.clear()
                while self.queue:
                    if self._fuse is not None:
                        self._burn(writer)
                    else:
                        writer.write(self._take())
                    await writer.drain()
                if self.closing and not self._frozen:
                    writer.write(close_frame(self.closing))
                    self._give_up()
                    return
        except ConnectionError:
            return

    # planted faults of the socket ---------------------------------------------
    def break_after(self, count: int, stall: bool = False) -> None:
        """After `count` more bytes the socket is cut (no close frame), or with `stall` says nothing more."""
        self._fuse = (count, stall)

    def break_next(self, stall: bool = False) -> None:
        """Half of the next frame goes out, then the socket is cut or, with `stall`, silent."""
        self._fuse = (-1, stall)

    def _burn(self, writer: asyncio.StreamWriter) -> None:
        """Send one frame under a fuse."""
        assert self._fuse is not None
        left, stall = self._fuse
        data = self.queue.popleft()
        self.queued -= len(data)
        left = len(data) // 2 if left < 0 else left
        writer.write(data[:left])
        self._fuse = (left - len(data), stall)
        if left <= len(data):
            self._fuse = None
            self.freeze(reading=False)
            if not stall:
                writer.close()  # what was written before goes out first

    def freeze(self, reading: bool = True) -> None:
        """Half-open: nothing is sent any more (and nothing read), the socket stays; its frames are lost."""
        self._frozen = True
        self.queue.clear()
        self.queued = 0
        if reading and self.transport is not None:
            self.transport.pause_reading()

    def thaw(self) -> None:
        """End `freeze`: from now on frames go out again."""
        self._frozen = False
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()
        self.wake.set()

    # life -----------------------------------------------------------------------
    def begin(self, transport: asyncio.Transport, lifetime_s: float, ping_s: float, pong_s: float) -> None:
        """Start the clocks of a connection: forced end, pings, and the wait for their pongs."""
        self.transport, self._ping_s, self._pong_s = transport, ping_s, pong_s
        loop = asyncio.get_running_loop()
        self._timers = [loop.call_later(lifetime_s, self.close, 1001), loop.call_later(ping_s, self._ping)]

    def _ping(self) -> None:
        loop = asyncio.get_running_loop()
        payload = str(now_ms()).encode()
        self.push(frame(payload, PING))
        self._pings[payload] = loop.call_later(self._pong_s, self.close, OVERFLOW)
        self._timers[1] = loop.call_later(self._ping_s, self._ping)

    def ponged(self, payload: bytes) -> None:
        """A pong came: it answers the ping it copies and all before it; an unsolicited one answers none."""
        if payload not in self._pings:
            return
        for sent in list(self._pings):
            self._pings.pop(sent).cancel()
            if sent == payload:
                return

    def end(self) -> None:
        """Stop every clock; nothing is queued any more."""
        self._frozen = True
        for timer in (*self._timers, *self._pings.values()):
            timer.cancel()

    def flooded(self) -> bool:
        """Count one client message (pings and pongs too); true when it is over the allowed rate."""
        now = mono_ns()
        self.stamps.append(now)
        while self.stamps[0] < now - 1_000_000_000:
            self.stamps.popleft()
        return len(self.stamps) > MESSAGES_PER_S
