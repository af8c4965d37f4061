"""A WebSocket connection read by the event loop: whole messages in, text out, manners kept by `websockets`.

Problem: the order connection belongs to C (orders leave without Python), yet its answers are few and read by Python.
So the loop watches the descriptor, `Conn` reads, and the sans-I/O protocol cuts frames and answers control frames.
What must stay true: the end is told exactly once, with a reason, before the socket closes (C code may hold a pointer to
it until then); a connection that stays silent after a ping is ended; bytes that TLS holds back from the poll are read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from websockets.frames import Frame, Opcode
from websockets.protocol import State

from aegis.errors import Unreachable
from aegis.live.dial import Dialled

READ_BYTES = 65536
WATCH_S = 5.0
SILENT_PING_NS = 15_000_000_000
SILENT_DROP_NS = 40_000_000_000


class Channel:
    """
    Args:
        dialled: an open connection; owned from now on.
        on_message: called with each whole text or binary message.
        on_end: called once with the reason, at once, while `conn` still exists.
        mono_ns: monotonic clock, for the deadlines of silence.

    Attributes:
        over: whether the connection has ended; `ended` waits for it.
        conn: the C connection; whoever writes whole frames on it calls `kick` when a rest was kept.
    """

    def __init__(
        self,
        dialled: Dialled,
        on_message: Callable[[bytes], None],
        on_end: Callable[[str], None],
        mono_ns: Callable[[], int],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.conn, self._ws, self._fd = dialled.conn, dialled.ws, dialled.conn.fd
        self._on_message, self._on_end, self._mono_ns = on_message, on_end, mono_ns
        self.over = False
        self._ended: asyncio.Future[str] = self._loop.create_future()
        self._room, self._parts, self._writing = bytearray(READ_BYTES), b"", False
        self._heard_ns = self._pinged_ns = mono_ns()
        self._watch = self._loop.call_later(WATCH_S, self._look)
        self._loop.add_reader(self._fd, self._readable)
        self._loop.call_soon(self._first, dialled.rest)

    @property
    def open(self) -> bool:
        """Whether messages can be sent."""
        return not self.over and self._ws.state is State.OPEN

    async def ended(self) -> str:
        """Wait for the end of the connection; returns the reason."""
        return await asyncio.shield(self._ended)  # whoever stops waiting ends the waiting, not the connection

    def send(self, text: bytes) -> None:
        """
        Send one text message.

        Raises:
            Unreachable: nothing of it was sent.
        """
        if not self.open:
            raise Unreachable("the connection is closed")
        self._ws.send_text(text)
        self._flush()

    def kick(self) -> None:
        """Somebody's write left a rest behind: send it as soon as the socket takes it."""
        if self.conn.unsent and not self._writing and not self.over:
            self._writing = True
            self._loop.add_writer(self._fd, self._writable)

    def close(self, reason: str = "closed by us") -> None:
        """Say goodbye and close; may be called twice."""
        if self.over:
            return
        try:
            if self._ws.state is State.OPEN:
                self._ws.send_close(1000)
                self._flush()
        except Unreachable:
            pass  # it is gone already, which is what was asked for
        self._finish(reason)

    def _first(self, rest: bytes) -> None:
        """What came with the upgrade, and what TLS already holds."""
        if rest:
            self._take(rest)
        self._readable()

    def _readable(self) -> None:
        if self.over:
            return
        try:
            if got := self.conn.read(self._room):
                self._take(bytes(self._room[:got]))
        except Unreachable as e:
            self._finish(str(e))
            return
        if not self.over and self.conn.pending:
            self._loop.call_soon(self._readable)

    def _take(self, data: bytes) -> None:
        """Cut frames; give out whole messages; answer what wants an answer."""
        self._heard_ns = self._mono_ns()
        self._ws.receive_data(data)
        for event in self._ws.events_received():
            if not isinstance(event, Frame) or event.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                continue
            self._parts += bytes(event.data)
            if event.fin:
                whole, self._parts = self._parts, b""
                self._on_message(whole)
        try:
            self._flush()
        except Unreachable as e:
            self._finish(str(e))
        if self._ws.state in (State.CLOSING, State.CLOSED):
            code, words = self._ws.close_code, self._ws.close_reason or self._ws.parser_exc or ""
            self._finish(f"closed by the venue: {code} {words}".rstrip())

    def _flush(self) -> None:
        """What the protocol has to say goes out; raises Unreachable."""
        if not self.over and (data := b"".join(self._ws.data_to_send())) and not self.conn.write(data):
            self.kick()

    def _writable(self) -> None:
        try:
            if not self.conn.flush():
                return
        except Unreachable as e:
            self._finish(str(e))
            return
        self._writing = False
        self._loop.remove_writer(self._fd)

    def _look(self) -> None:
        """From time to time: ping a silent connection, end one that stays silent."""
        now_ns = self._mono_ns()
        if now_ns - self._heard_ns > SILENT_DROP_NS:
            self._finish("no answer to a ping")
            return
        if now_ns - max(self._heard_ns, self._pinged_ns) > SILENT_PING_NS and self.open:
            self._pinged_ns = now_ns
            self._ws.send_ping(b"aegis")
            try:
                self._flush()
            except Unreachable as e:
                self._finish(str(e))
                return
        self._watch = self._loop.call_later(WATCH_S, self._look)

    def _finish(self, reason: str) -> None:
        """Tell the end once; the socket closes after everybody has been told."""
        if self.over:
            return
        self.over = True
        self._ended.set_result(reason)
        self._on_end(reason)
        self._watch.cancel()
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._loop.call_soon(self.conn.close)
