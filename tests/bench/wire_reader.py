"""A bare reader for measurements: handshake by hand, then bytes into one buffer, counted and not looked at.

`python wire_reader.py PORT TARGET BYTES` prints {"bytes", "seconds"}: from the first byte after the handshake to the
last of BYTES; fewer bytes when the sender closed.
"""

from __future__ import annotations

import json
import socket
import sys
import time

ASK = (
    "GET {} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
END = b"\r\n\r\n"


def connect(port: int, target: str) -> tuple[socket.socket, bytes]:
    """A WebSocket on loopback after its handshake, and the bytes that came behind it."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(ASK.format(target).encode())
    head = b""
    while END not in head:
        head += sock.recv(65536)
    answer, _, more = head.partition(END)
    assert b" 101 " in answer.splitlines()[0], answer
    return sock, more


def count(port: int, target: str, wanted: int) -> tuple[int, float]:
    """(bytes, seconds) of reading up to `wanted` bytes."""
    sock, more = connect(port, target)
    buffer, got = bytearray(1 << 20), len(more)
    if not got:
        got = sock.recv_into(buffer)
    began = time.perf_counter()
    while got < wanted:
        size = sock.recv_into(buffer)
        if not size:
            break
        got += size
    return got, time.perf_counter() - began


if __name__ == "__main__":
    total, took_s = count(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    print(json.dumps({"bytes": total, "seconds": took_s}))
