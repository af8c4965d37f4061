"""One WebSocket connection whose data frames are read in C and whose manners are kept by `websockets`.

Problem: a Python WebSocket library costs 5 us a frame (DESIGN 5), yet handshake, ping, pong and close are exactly
what such a library gets right. So the socket reads straight into the C pump's buffer; the pump hands back the raw
control frames, and `websockets`' sans-I/O protocol answers them.
What must stay true: bytes that follow the handshake response in the same read go to the pump, not to the library;
the pump is the only reader of data frames; no compression is offered, for the pump reads plain frames only.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any
from typing import Protocol as Shape

from websockets.client import ClientProtocol
from websockets.exceptions import WebSocketException
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

from aegis.errors import BadMessage, Unreachable

HANDSHAKE_BYTES = 65536
_END_OF_HEAD = b"\r\n\r\n"


class Pump(Shape):
    """What a connection needs of the C pump."""

    def buffer(self) -> memoryview:
        """Writable room for the next read."""

    def consume(self, n: int, recv_ns: int) -> Sequence[tuple[str, Any]]:
        """Take `n` bytes just written; returns ("control", raw frame), ("text", payload), ("bad", reason)."""


class Link(asyncio.BufferedProtocol):
    """
    A connection: open it with `open_link`.

    Args:
        url: ws:// or wss:// address with path.
        pump: C receiver of everything after the handshake.
        now_ns: wall clock, read once per socket read.
        on_text: called with each text message that is no market data (answers, user events).
        tap: sees every chunk of raw data bytes before the pump; may be set and cleared at any time.

    Attributes:
        closed: future of the reason text, done when the connection is gone.
        heard_ns: time of the last byte; bytes_in: how many came after the handshake.
    """

    def __init__(self, url: str, pump: Pump, now_ns: Callable[[], int], on_text: Callable[[bytes, int], None]) -> None:
        loop = asyncio.get_running_loop()
        self.uri = parse_uri(url)
        self._ws = ClientProtocol(self.uri, max_size=None)
        self._pump, self._now_ns, self._on_text = pump, now_ns, on_text
        self.tap: Callable[[memoryview], None] | None = None
        self.opened: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[str] = loop.create_future()
        self.heard_ns, self.bytes_in = 0, 0
        self._pongs: dict[bytes, asyncio.Future[None]] = {}
        self._head, self._room = b"", bytearray(HANDSHAKE_BYTES)
        self._view: memoryview | None = None
        self._transport: asyncio.Transport | None = None

    # -- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ws.send_request(self._ws.connect())
        self._flush()

    def get_buffer(self, sizehint: int) -> memoryview | bytearray:  # noqa: ARG002  asyncio gives it
        if self._room:
            return self._room
        self._view = self._pump.buffer()
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        self.heard_ns = self._now_ns()
        if self._room:
            self._shake(bytes(self._room[:nbytes]))
            return
        self._take(nbytes)

    def eof_received(self) -> bool:
        self._finish("end of stream")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish(f"lost: {exc}" if exc else "closed")

    # -- the handshake

    def _shake(self, data: bytes) -> None:
        """Collect the response; what follows its head belongs to the pump."""
        self._head += data
        at = self._head.find(_END_OF_HEAD)
        if at < 0 and len(self._head) <= HANDSHAKE_BYTES:
            return
        cut = at + len(_END_OF_HEAD)
        self._ws.receive_data(self._head[:cut])
        if self._ws.handshake_exc is not None or self._ws.state is not State.OPEN:
            answer = next((e for e in self._ws.events_received() if isinstance(e, Response)), None)
            status = f"HTTP {answer.status_code}" if answer else self._head[:80].decode("latin-1")
            self._finish(f"handshake refused: {status}: {self._ws.handshake_exc or ''}")
            return
        self._ws.events_received()
        rest, self._head, self._room = self._head[cut:], b"", bytearray()
        if not self.opened.done():
            self.opened.set_result(None)
        self.replay(rest, self.heard_ns)

    # -- data and control

    def replay(self, data: bytes, recv_ns: int) -> None:
        """Give bytes that were read earlier, at `recv_ns`, to the pump."""
        self.heard_ns = recv_ns
        at = 0
        while at < len(data) and not self.closed.done():
            self._view = self._pump.buffer()
            n = min(len(data) - at, len(self._view))
            self._view[:n] = data[at : at + n]
            at += n
            self._take(n)

    def _take(self, n: int) -> None:
        """Give `n` fresh bytes to the pump and act on what it hands back."""
        self.bytes_in += n
        if self.tap is not None and self._view is not None:
            self.tap(self._view[:n])
        self._view = None
        for what, body in self._pump.consume(n, self.heard_ns):
            if what == "control":
                self._control(bytes(body))
            elif what == "text":
                self._on_text(bytes(body), self.heard_ns)
            else:
                self._finish(f"bad frame: {body}")
                return

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

    def use(self, pump: Pump) -> None:
        """Give what comes from now on to another pump (frames must not be cut between the two)."""
        self._pump = pump

    def ping(self, payload: bytes = b"aegis") -> None:
        """Ask for a pong; any byte back moves `heard_ns`."""
        if not self.closed.done() and self._ws.state is State.OPEN:
            self._ws.send_ping(payload)
            self._flush()

    async def drained(self, timeout_s: float) -> bool:
        """
        Wait until the venue answered a ping sent now: everything it wrote here before that ping has been taken.

        Returns:
            False when the connection ended or `timeout_s` passed first.
        """
        payload = b"drain%d" % self._now_ns()
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pongs[payload] = waiter
        self.ping(payload)
        ends: list[asyncio.Future[Any]] = [waiter, self.closed]
        await asyncio.wait(ends, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        self._pongs.pop(payload, None)
        return waiter.done()

    def close(self, reason: str = "closed by us") -> None:
        """Say goodbye and drop the connection without waiting for the answer."""
        if not self.closed.done():
            if self._ws.state is State.OPEN:
                self._ws.send_close(1000)
                self._flush()
            self._finish(reason)

    def _flush(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        for data in self._ws.data_to_send():
            if data:
                self._transport.write(data)

    def _finish(self, reason: str) -> None:
        """Settle both futures once and let the socket go."""
        if not self.opened.done():
            self.opened.set_exception(Unreachable(reason))
            self.opened.exception()  # seen: nobody may be waiting any more
        if not self.closed.done():
            self.closed.set_result(reason)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()


async def open_link(
    url: str, pump: Pump, now_ns: Callable[[], int], on_text: Callable[[bytes, int], None], timeout_s: float = 10.0
) -> Link:
    """
    Connect and shake hands.

    Raises:
        Unreachable: no connection, no handshake, or not within `timeout_s`.
    """
    try:
        link = Link(url, pump, now_ns, on_text)
    except (WebSocketException, ValueError) as exc:
        raise BadMessage(f"not a WebSocket address: {url[:80]!r}") from exc
    secure = ssl.create_default_context() if link.uri.secure else None
    try:
        async with asyncio.timeout(timeout_s):
            await asyncio.get_running_loop().create_connection(
                lambda: link,
                link.uri.host,
                link.uri.port,
                ssl=secure,
                server_hostname=link.uri.host if secure else None,
            )
            await link.opened
    except (OSError, TimeoutError) as exc:
        link.close("handshake failed")
        raise Unreachable(f"{link.uri.host}:{link.uri.port}: {exc or 'no answer in time'}") from exc
    except asyncio.CancelledError:
        link.close("cancelled")
        raise
    return link
