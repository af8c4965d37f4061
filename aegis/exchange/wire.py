"""WebSocket frames as bytes, ready for a socket: header and payload in one piece.

Problem: one market event goes to many readers, and a library that frames it again for each of them spends more time
on headers than the venue on matching. Server frames carry no mask (RFC 6455 §5.1), so the same bytes serve all.
What must stay true: lengths use the shortest form (§5.2); control payloads are at most 125 bytes (§5.5).
"""

from __future__ import annotations

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
_FIN = 0x80
_LONG = [bytes((_FIN | TEXT, 126)) + n.to_bytes(2, "big") for n in range(4096)]
_SHORT = [bytes((_FIN | TEXT, n)) for n in range(126)]


def frame(payload: bytes, op: int = TEXT) -> bytes:
    """One final frame of `payload`, at most 2**63 bytes of it."""
    n = len(payload)
    if n < 126:
        return bytes((_FIN | op, n)) + payload
    if n < 1 << 16:
        return bytes((_FIN | op, 126)) + n.to_bytes(2, "big") + payload
    return bytes((_FIN | op, 127)) + n.to_bytes(8, "big") + payload


def text_frame(text: str) -> bytes:
    """A text frame; headers of usual lengths are looked up."""
    payload = text.encode()
    n = len(payload)
    if n < 126:
        return _SHORT[n] + payload
    return _LONG[n] + payload if n < 4096 else frame(payload)


def close_frame(code: int) -> bytes:
    """A close frame with its status code and no reason."""
    return frame(code.to_bytes(2, "big"), CLOSE)
