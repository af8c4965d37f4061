"""One WebSocket connection whose data frames are read in C and whose manners are kept by `websockets`.

Problem: a Python WebSocket library costs 5 us a frame (DESIGN 5), yet handshake, ping, pong and close are exactly
what such a library gets right. So the pump thread reads the socket (csrc/loop.c); it hands back the raw control frames,
and `websockets`' sans-I/O protocol answers them.
What must stay true: bytes that follow the handshake response in the same read go to the pump, not to the library;
held bytes reach the pump before any later byte, with the times they came at; no compression is offered, for the pump
reads plain frames only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State

from aegis.errors import Machine, Unreachable
from aegis.live.dial import Dialer
from aegis.market.streams import NS
from aegis.native.loop import Event, Kind, Line, Loop, Mode

HELD_BYTES_MAX = 64 * 1024 * 1024  # some seconds of a burst on one socket
SILENT_S = 5.0  # the pump thread turns ten times a second

Tap = Callable[[bytes, bool], None]


class Receiver:
    """
    The pump thread as an event loop sees it: opens links, brings them what the thread has to say.

    Args:
        loop: not started yet; closed by `close`.
    """

    def __init__(self, loop: Loop, dialer: Dialer) -> None:
        self._loop, self._dialer = loop, dialer
        self._links: dict[int, Link] = {}
        self._turns, self._turned_ns = -1, 0

    def start(self, wait: str = "block", cpu: int = -1) -> bool:
        """Begin, in a running event loop; False when the thread could not be pinned to `cpu`."""
        asyncio.get_running_loop().add_reader(self._loop.fd, self.drain)
        return self._loop.start(wait, cpu)

    async def open(
        self, url: str, on_text: Callable[[bytes, int], None], *, market: bool = True, held: bool = False
    ) -> Link:
        """
        Connect and shake hands.

        Args:
            on_text: called with each text message that is no market data (answers, user events), and its time.
            market: its frames are market data; else all are text.
            held: keep the bytes until `Link.release`.

        Raises:
            BadMessage: not a WebSocket address.
            Unreachable: no connection or no handshake, in time.
        """
        dialled = await self._dialer.open(url)
        try:
            line = self._loop.add(dialled.conn, market=market)
        except BaseException:
            dialled.conn.close()
            raise
        link = Link(self, line, dialled.ws, on_text)
        self._links[line.id] = link
        link.begin(dialled.rest, dialled.rest_ns, held=held)
        return link

    def drain(self) -> None:
        """Hand out what the thread has to say. A handler's error ends its own link, and is raised after all others."""
        failed: Exception | None = None
        for event in self._loop.take():
            link = self._links.get(event.line)
            if link is None:
                continue
            try:
                link.hear(event)
            except Exception as exc:  # raised below: one link's bug must not cost the others their events
                link.close(f"failed: {exc!r}")
                failed = failed or exc
        if failed is not None:
            raise failed

    @property
    def turns(self) -> int:
        """How often the thread looked around."""
        return self._loop.turns

    def check(self, now_ns: int) -> None:
        """
        Look whether the thread turns; call it every second or so.

        Raises:
            Machine: it has not for `SILENT_S`.
        """
        turns = self.turns
        if turns != self._turns:
            self._turns, self._turned_ns = turns, now_ns
        elif now_ns - self._turned_ns > SILENT_S * NS:
            raise Machine(f"the pump thread has not turned for {SILENT_S:g} s")

    def counters(self) -> dict[str, int]:
        """What the thread counts, by name."""
        return self._loop.counters()

    def gone(self, line: int) -> None:
        """A link is over."""
        self._links.pop(line, None)

    def close(self) -> None:
        """End the thread and every connection."""
        asyncio.get_running_loop().remove_reader(self._loop.fd)
        for link in list(self._links.values()):
            link.close()
        self._loop.close()


class Link:
    """
    A connection: open it with `Receiver.open`.

    Attributes:
        closed: future of the reason text, done when the connection is gone.
    """

    def __init__(
        self, receiver: Receiver, line: Line, ws: ClientProtocol, on_text: Callable[[bytes, int], None]
    ) -> None:
        self._receiver, self._line, self._ws, self._on_text = receiver, line, ws, on_text
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._tap: Tap | None = None
        self._held: list[tuple[bytes, int]] | None = None
        self._held_bytes = 0
        self._pongs: dict[bytes, asyncio.Future[None]] = {}
        self._drains = 0

    @property
    def bytes_in(self) -> int:
        """How many bytes came after the handshake."""
        return self._line.bytes_in

    @property
    def tap(self) -> Tap | None:
        """Sees raw bytes, in order, and whether some before them were dropped; may be set and cleared at any time."""
        return self._tap

    @tap.setter
    def tap(self, tap: Tap | None) -> None:
        if (tap is None) != (self._tap is None) and self._held is None and not self.closed.done():
            self._line.mode(Mode.RUNS, tap=tap is not None)
        self._tap = tap

    # -- data and control

    def begin(self, rest: bytes, recv_ns: int, *, held: bool) -> None:
        """Take what came with the handshake's answer, then all that follows."""
        if held:
            self._held = [(rest, recv_ns)] if rest else []
            self._line.mode(Mode.HOLDS)
        else:
            self._replay(rest, recv_ns)
            self._line.mode(Mode.RUNS)

    def release(self) -> None:
        """Let the held bytes into the pump, in order, with the times they came at; from now on it is fed directly."""
        self._line.mode(Mode.PAUSED)
        self._receiver.drain()  # what the thread read before it paused
        held, self._held = self._held or [], None
        for data, recv_ns in held:
            self._replay(data, recv_ns)
        if not self.closed.done():
            self._line.mode(Mode.RUNS, tap=self._tap is not None)

    def _replay(self, data: bytes, recv_ns: int) -> None:
        while data and not self.closed.done():
            data = data[self._line.replay(data, recv_ns) :]
            if data:
                self._receiver.drain()  # the queue is full, or says that this line is over

    def hear(self, event: Event) -> None:
        """One event of the pump thread."""
        if event.kind is Kind.CONTROL:
            self._control(event.body)
        elif event.kind is Kind.TEXT:
            self._on_text(event.body, event.recv_ns)
        elif event.kind is Kind.CLOSED:
            self._finish(event.body.decode("utf-8", "replace"))
        else:
            if event.kind is Kind.HELD and self._held is not None:
                self._held.append((event.body, event.recv_ns))
                self._held_bytes += len(event.body)
            if self._tap is not None:
                self._tap(event.body, event.cut)
            if self._held_bytes > HELD_BYTES_MAX:
                self._finish("too much held")

    def _control(self, raw: bytes) -> None:
        """Ping, pong and close are the library's business."""
        self._ws.receive_data(raw)
        for event in self._ws.events_received():
            if isinstance(event, Frame) and event.opcode is Opcode.PONG:
                waiter = self._pongs.pop(bytes(event.data), None)
                if waiter is not None and not waiter.done():
                    waiter.set_result(None)
        self._flush()
        if self._ws.state in (State.CLOSING, State.CLOSED):
            self._finish(f"closed by venue: {self._ws.close_code} {self._ws.close_reason or ''}".rstrip())

    def send_text(self, body: bytes) -> None:
        """
        Write one text message.

        Raises:
            Unreachable: the connection is gone; nothing was written.
        """
        if self.closed.done() or self._ws.state is not State.OPEN:
            raise Unreachable("connection is closed")
        self._ws.send_text(body)
        self._flush()
        if self.closed.done():
            raise Unreachable(self.closed.result())

    def ping(self, payload: bytes = b"aegis") -> None:
        """Ask for a pong; any byte back moves `bytes_in`."""
        if not self.closed.done() and self._ws.state is State.OPEN:
            self._ws.send_ping(payload)
            self._flush()

    async def drained(self, timeout_s: float) -> bool:
        """
        Wait until the venue answered a ping sent now: everything it wrote here before that ping has been taken.

        Returns:
            False when the connection ended or `timeout_s` passed first.
        """
        self._drains += 1
        payload = b"drain%d" % self._drains
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pongs[payload] = waiter
        self.ping(payload)
        ends: list[asyncio.Future[Any]] = [waiter, self.closed]
        await asyncio.wait(ends, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        self._pongs.pop(payload, None)
        return waiter.done()

    def close(self, reason: str = "closed by us") -> None:
        """Say goodbye and drop the connection without waiting for the answer; its bytes reach nobody from now on."""
        if not self.closed.done():
            if self._ws.state is State.OPEN:
                self._ws.send_close(1000)
                self._flush()
            self._finish(reason)

    def _flush(self) -> None:
        data = b"".join(self._ws.data_to_send())
        if data and not self.closed.done():
            try:
                self._line.write(data)
            except Unreachable as exc:
                self._finish(str(exc))

    def _finish(self, reason: str) -> None:
        """Settle `closed` once and let the socket go."""
        if not self.closed.done():
            self.closed.set_result(reason)
            self._receiver.gone(self._line.id)
            self._line.close()
