"""Open a WebSocket connection whose socket belongs to C: one way for the feed's streams and the order connection.

Problem: asyncio finds and connects well, OpenSSL in C makes TLS and keeps the receive stamps, and `websockets` knows
the upgrade; each must stop where the next begins. So asyncio hands the connected descriptor over, every later byte
goes through `Conn`, and the sans-I/O protocol shakes hands over its reads and writes.
What must stay true: what follows the upgrade's head in the same read is handed on, with its stamp, before anything is
read again; no extension is offered; whatever fails, the descriptor is closed and one line says why.
"""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import dataclass

from websockets.client import ClientProtocol
from websockets.exceptions import WebSocketException
from websockets.protocol import State
from websockets.uri import WebSocketURI, parse_uri

from aegis.errors import BadMessage, Unreachable
from aegis.native.conn import Conn, Tls, Want

HEAD_BYTES = 65536
OPEN_S = 10.0
_END_OF_HEAD = b"\r\n\r\n"


@dataclass(frozen=True)
class Dialled:
    """
    An open WebSocket connection.

    Attributes:
        conn: the socket; it may hold decrypted bytes that no poll announces, so read until 0 before waiting.
        ws: the protocol in state OPEN: answers control frames, makes close frames.
        rest: bytes that came after the upgrade's head, to be taken before any read; rest_ns: their receive stamp.
    """

    conn: Conn
    ws: ClientProtocol
    rest: bytes
    rest_ns: int


class Dialer:
    """
    Opens connections with one trust and one store of TLS sessions.

    Args:
        ca_file: authorities to trust for wss, "" = the system's.
        busy_poll_us: let receiving spin in the driver, where the kernel permits it; 0 = not.

    Raises:
        ConfigError: the file cannot be used (the system's authorities are looked up at the first wss address).
    """

    def __init__(self, ca_file: str = "", busy_poll_us: int = 0) -> None:
        self._ca_file, self._busy_poll_us = ca_file, busy_poll_us
        self._tls = Tls(ca_file) if ca_file else None

    async def open(self, url: str, timeout_s: float = OPEN_S) -> Dialled:
        """
        Connect, make TLS (wss), upgrade.

        Raises:
            BadMessage: not a WebSocket address.
            ConfigError: the system's authorities cannot be used.
            Unreachable: no connection, refused certificate, no upgrade, or not within `timeout_s`: one line.
        """
        try:
            uri = parse_uri(url)
            ws = ClientProtocol(uri, max_size=None)
        except (WebSocketException, ValueError) as e:
            raise BadMessage(f"not a WebSocket address: {url[:80]!r}") from e
        if uri.secure and self._tls is None:
            self._tls = Tls(self._ca_file)
        try:
            async with asyncio.timeout(timeout_s):
                conn = await self._connect(uri)
                try:
                    return await _upgrade(conn, ws)
                except BaseException:
                    conn.close()
                    raise
        except TimeoutError as e:
            raise Unreachable(f"{uri.host}:{uri.port}: no answer within {timeout_s:g} s") from e

    async def _connect(self, uri: WebSocketURI) -> Conn:
        """A connection with TLS done, over the first address that takes one."""
        loop = asyncio.get_running_loop()
        why = "no address"
        try:
            found = await loop.getaddrinfo(uri.host, uri.port, type=socket.SOCK_STREAM)
        except OSError as e:
            raise Unreachable(f"{uri.host}:{uri.port}: {e.strerror or e}") from e
        for family, kind, proto, _, address in found:
            try:
                sock = socket.socket(family, kind, proto)
            except OSError as e:
                why = e.strerror or str(e)
                continue
            try:
                sock.setblocking(False)
                await loop.sock_connect(sock, address)
            except OSError as e:
                why = os.strerror(e.errno) if e.errno else str(e)
                sock.close()
                continue
            except BaseException:
                sock.close()
                raise
            conn = Conn(sock.detach(), uri.host, self._tls if uri.secure else None)
            try:
                if self._busy_poll_us:
                    conn.busy_poll(self._busy_poll_us)
                while (want := conn.handshake()) is not Want.NOTHING:
                    await _ready(conn.fd, want)
            except BaseException:
                conn.close()
                raise
            return conn
        raise Unreachable(f"{uri.host}:{uri.port}: {why[:1].lower()}{why[1:]}")


async def _ready(fd: int, want: Want) -> None:
    """Wait until the descriptor can be read or written."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    add, remove = (loop.add_writer, loop.remove_writer) if want is Want.WRITE else (loop.add_reader, loop.remove_reader)
    add(fd, wake)
    try:
        await ready
    finally:
        remove(fd)


async def _upgrade(conn: Conn, ws: ClientProtocol) -> Dialled:
    """Ask for the WebSocket and read the answer's head."""
    ws.send_request(ws.connect())
    done = conn.write(b"".join(ws.data_to_send()))
    while not done:
        await _ready(conn.fd, Want.WRITE)
        done = conn.flush()
    room, head, at = bytearray(HEAD_BYTES), b"", -1
    while at < 0:
        if len(head) > HEAD_BYTES:
            raise Unreachable(f"{ws.uri.host}: the answer to the upgrade has no end")
        got = conn.read(room)
        if not got:
            await _ready(conn.fd, Want.READ)
            continue
        head += room[:got]
        at = head.find(_END_OF_HEAD)
    cut = at + len(_END_OF_HEAD)
    ws.receive_data(head[:cut])
    ws.events_received()
    if ws.handshake_exc is not None or ws.state is not State.OPEN:
        status = repr(head.split(b"\r\n", 1)[0][:80].decode("latin-1"))
        why = f": {ws.handshake_exc}" if ws.handshake_exc else ""
        raise Unreachable(f"{ws.uri.host}: upgrade refused: {status}{why}")
    return Dialled(conn, ws, head[cut:], conn.stamp_ns)
