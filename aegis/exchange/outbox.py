"""Frames from the venue to one WebSocket client, written together.

Problem: a client that pipelines its requests gets as many answers as it sent, and one write a piece spends more time
in the kernel than the orders in the book. So frames are kept until the loop has taken in what had arrived, and leave
in one write.
What must stay true: frames leave whole and in order, unless a fault asks for a cut; a client that does not read is
cut off before it fills the memory.
"""

from __future__ import annotations

import asyncio

from aegis.exchange.wire import TEXT, frame

BACKLOG_BYTES_MAX = 16 << 20  # what a client may leave unread


class Outbox:
    """
    The way to one client.

    Args:
        transport: of the upgraded connection; this class writes to it, nobody else does but for the close handshake.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport, self.loop = transport, asyncio.get_running_loop()
        self.parts: list[bytes] = []
        self.frozen = False

    def send(self, payload: bytes, opcode: int = TEXT) -> None:
        """Queue one frame; it leaves in this turn of the loop."""
        if not self.parts:
            self.loop.call_soon(self.flush)
        self.parts.append(frame(payload, opcode))

    def flush(self) -> None:
        """Write what is queued."""
        parts, self.parts = self.parts, []
        if not parts or self.frozen or self.transport.is_closing():
            return
        self.transport.write(b"".join(parts))
        if self.transport.get_write_buffer_size() > BACKLOG_BYTES_MAX:
            self.transport.abort()

    def freeze(self) -> None:
        """Half-open, by a planted fault: nothing is sent or read, the socket stays; what was to be sent is lost."""
        self.frozen = True
        self.transport.pause_reading()

    def thaw(self) -> None:
        """End `freeze`."""
        self.frozen = False
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def cut(self, payload: bytes, count: int) -> None:
        """Let `count` bytes of a text frame leave, then break the connection; 0 breaks it at once."""
        if not count:
            self.transport.abort()
            return
        self.flush()
        self.transport.write(frame(payload)[:count])
        self.transport.close()
