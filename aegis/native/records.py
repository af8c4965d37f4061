"""What account and orders records share: numbers as int64 + exponent, strings as length byte + UTF-8.

What must stay true: what does not fit is refused (Inexact), never cut or rounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aegis.errors import Inexact
from aegis.native._aegis import ffi
from aegis.units import Num

_INT64_MAX = 2**63 - 1


def pair(number: Num) -> tuple[int, int]:
    """Mantissa and exponent as a record holds them; raises Inexact when they need more than int64 or 255 places."""
    n = number
    if abs(n.m) > _INT64_MAX or n.e > 255:
        n = n.trim()
        if abs(n.m) > _INT64_MAX or n.e > 255:
            raise Inexact(f"{number} does not fit a record (64 bits)")
    return n.m, n.e


def put_nums(c: Any, numbers: Sequence[Num]) -> None:
    """Write `numbers` to c.num / c.exp; raises Inexact."""
    for i, number in enumerate(numbers):
        c.num[i], c.exp[i] = pair(number)


def get_nums(c: Any, count: int) -> list[Num]:
    """The first `count` numbers."""
    return [Num(c.num[i], c.exp[i]) for i in range(count)]


def texts(room: int, words: Sequence[str]) -> bytes:
    """Strings as a record holds them; raises Inexact when they do not fit."""
    data = [t.encode("utf-8") for t in words]
    if sum(map(len, data)) + len(data) > room or max(map(len, data)) > 255:
        raise Inexact(f"strings of {sum(map(len, data))} bytes do not fit a record: {words!r:.120}")
    return b"".join([bytes((len(w),)) + w for w in data])


def put_texts(c: Any, room: int, words: Sequence[str]) -> None:
    """Write strings to c.text; raises Inexact."""
    data = texts(room, words)
    ffi.memmove(c.text, data, len(data))


def get_texts(data: bytes, count: int) -> list[str]:
    """`count` strings."""
    texts, at = [], 0
    for _ in range(count):
        end = at + 1 + data[at]
        texts.append(data[at + 1 : end].decode("utf-8"))
        at = end
    return texts
