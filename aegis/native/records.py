"""What account and orders records share: numbers as int64 + exponent, strings as length byte + UTF-8.

What must stay true: what does not fit is refused (Inexact), never cut or rounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aegis.errors import Inexact
from aegis.units import Num

_INT64_MAX = 2**63 - 1


def put_nums(c: Any, numbers: Sequence[Num]) -> None:
    """Write `numbers` to c.num / c.exp; raises Inexact when one needs more than int64 or 255 places."""
    for i, number in enumerate(numbers):
        n = number
        if abs(n.m) > _INT64_MAX or n.e > 255:
            n = n.trim()
        if abs(n.m) > _INT64_MAX or n.e > 255:
            raise Inexact(f"{number} does not fit a record (64 bits)")
        c.num[i], c.exp[i] = n.m, n.e


def get_nums(c: Any, count: int) -> list[Num]:
    """The first `count` numbers."""
    return [Num(c.num[i], c.exp[i]) for i in range(count)]


def put_texts(c: Any, room: int, texts: Sequence[str]) -> None:
    """Write strings to c.text; raises Inexact when they do not fit."""
    words = [t.encode("utf-8") for t in texts]
    data = b"".join(bytes((len(w),)) + w for w in words if len(w) < 256)
    if len(data) > room or any(len(w) > 255 for w in words):
        raise Inexact(f"strings of {sum(map(len, words))} bytes do not fit a record: {texts!r:.120}")
    for i, byte in enumerate(data):
        c.text[i] = byte


def get_texts(data: bytes, count: int) -> list[str]:
    """`count` strings."""
    texts, at = [], 0
    for _ in range(count):
        end = at + 1 + data[at]
        texts.append(data[at + 1 : end].decode("utf-8"))
        at = end
    return texts
