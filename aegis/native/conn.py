"""Connections owned by C (csrc/conn.c, csrc/tls.c): a socket given away, plain bytes in and out.

Problem: whoever owns the socket decides what a byte costs and whether its receive stamp is kept. So C owns it, for the
feed's pump and the order path; Python opens it, shakes hands over it, and reads and writes it where speed is no matter.
What must stay true: the descriptor is closed exactly once, by the connection; a `Tls` outlives its connections; one
thread at a time uses a connection (C code that shares it holds a lock).
"""

from __future__ import annotations

import enum
import mmap
from typing import Any

from aegis.errors import ConfigError, Unreachable
from aegis.native._aegis import ffi, lib


class Want(enum.IntEnum):
    """What a handshake waits for."""

    NOTHING = 0
    READ = lib.AE_WANT_READ
    WRITE = lib.AE_WANT_WRITE


class Tls:
    """
    Whom to trust and how to speak: verification on, TLS 1.3 or 1.2, AES-128-GCM first, sessions kept for resumption.

    Args:
        ca_file: PEM file of the authorities to trust; "" = the system's.

    Raises:
        ConfigError: the file cannot be used.
    """

    def __init__(self, ca_file: str = "") -> None:
        said = ffi.new("char[]", 512)
        made = lib.ae_tls_new(ca_file.encode() or ffi.NULL, said, len(said))
        if made == ffi.NULL:
            raise ConfigError(ffi.string(said).decode("utf-8", "replace"))
        self.pointer: Any = ffi.gc(made, lib.ae_tls_free)


class Conn:
    """
    A connection over a connected socket, which it owns from now on.

    Args:
        fd: the descriptor (detached from its Python socket).
        host: the name to verify, and in error lines.
        tls: None for plain TCP.

    Attributes:
        pointer: `ae_conn_t *` for C code that reads or writes on it.
        stamp_ns: wall ns at which the kernel received the newest byte of the last `read`.

    Raises:
        Unreachable: the descriptor is no socket, or the name cannot be verified.
    """

    def __init__(self, fd: int, host: str, tls: Tls | None = None) -> None:
        self._tls = tls  # outlives the connection
        self._memory = mmap.mmap(-1, lib.ae_conn_bytes())
        self._raw = ffi.from_buffer(self._memory)
        self.pointer: Any = ffi.cast("ae_conn_t *", self._raw)
        self._stamp = ffi.new("int64_t *")
        self.stamp_ns = 0
        if lib.ae_conn_init(self.pointer, fd, tls.pointer if tls else ffi.NULL, host.encode()) < 0:
            self.close()
            raise Unreachable(self.error)

    @property
    def fd(self) -> int:
        """The descriptor, for waiting on; -1 after close."""
        return int(lib.ae_conn_fd(self.pointer))

    @property
    def error(self) -> str:
        """Why the connection ended or refused: one line."""
        return bytes(ffi.string(lib.ae_conn_error(self.pointer))).decode("utf-8", "replace")

    @property
    def about(self) -> str:
        """TLS version and cipher, and "resumed" when a session was; "" for plain TCP."""
        return bytes(ffi.string(lib.ae_conn_about(self.pointer))).decode("ascii")

    @property
    def pending(self) -> int:
        """Bytes a read would give that no poll announces (TLS)."""
        return int(lib.ae_conn_pending(self.pointer))

    @property
    def unsent(self) -> int:
        """Bytes kept for `flush`; while there are any, wait for the socket to be writable."""
        return int(lib.ae_conn_unsent(self.pointer))

    def busy_poll(self, us: int) -> bool:
        """Let receiving spin in the driver; False where the kernel does not permit it."""
        return int(lib.ae_conn_busy_poll(self.pointer, us)) == 0

    def handshake(self) -> Want:
        """
        One step of the opening; NOTHING when it is done.

        Raises:
            Unreachable: refused, with the reason.
        """
        got = lib.ae_conn_handshake(self.pointer)
        if got == lib.AE_BAD:
            raise Unreachable(self.error)
        return Want(got)

    def read(self, room: bytearray | memoryview) -> int:
        """
        Bytes that have come, into `room`; 0 when there are none now.

        Raises:
            Unreachable: the connection ended, with the reason.
        """
        got = int(lib.ae_conn_read(self.pointer, ffi.from_buffer("uint8_t[]", room), len(room), self._stamp))
        if got > 0:
            self.stamp_ns = self._stamp[0]
            return got
        if got == lib.AE_MORE:
            return 0
        raise Unreachable(self.error)

    def write(self, data: bytes) -> bool:
        """
        Write a whole message.

        Returns:
            Whether all of it is with the kernel; if not, the rest waits for `flush`.

        Raises:
            Unreachable: nothing of it was sent: the connection is gone or its buffer full.
        """
        got = lib.ae_conn_write(self.pointer, data, len(data))
        if got == lib.AE_BAD:
            raise Unreachable(self.error)
        return bool(got == 0)

    def flush(self) -> bool:
        """Send what was kept; True when nothing is left. Raises Unreachable when the connection is gone."""
        got = lib.ae_conn_flush(self.pointer)
        if got == lib.AE_BAD:
            raise Unreachable(self.error)
        return bool(got == 0)

    def close(self) -> None:
        """Say goodbye and close the socket; may be called twice."""
        lib.ae_conn_close(self.pointer)

    def __del__(self) -> None:
        if hasattr(self, "pointer"):
            lib.ae_conn_close(self.pointer)
