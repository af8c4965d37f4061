"""Client ids `ae-<epoch36>-<seq36>`: unique for ever, and all that can exist are known after a crash.

Problem: an id used twice hides an order; an id nobody remembers cannot be asked about. So each start takes a new epoch,
and sequence numbers come from blocks written to disk before their first use.
What must stay true: `reserve` has returned (fsynced) before any id of its block is handed out.
"""

from __future__ import annotations

from collections.abc import Callable

from aegis.limits import CLIENT_ID_CHARS

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
PREFIX = "ae-"
BLOCK = 1024


def base36(n: int) -> str:
    """Digits of `n` >= 0."""
    text = ""
    while True:
        n, r = divmod(n, 36)
        text = _DIGITS[r] + text
        if not n:
            return text


class ClientIds:
    """
    Hands out ids of one epoch.

    Args:
        epoch: this start's number, never used before.
        reserve: called with the first number NOT covered; must make it durable before it returns.
        block: numbers per reservation.
    """

    def __init__(self, epoch: int, reserve: Callable[[int], None], block: int = BLOCK) -> None:
        self.epoch, self.reserve, self._block = epoch, reserve, block
        self._next, self._limit = 0, 0

    def take(self) -> str:
        """The next id, at most 36 characters of `[a-z0-9-]`."""
        if self._next >= self._limit:
            self._limit += self._block
            self.reserve(self._limit)
        name = f"{PREFIX}{base36(self.epoch)}-{base36(self._next)}"
        assert len(name) <= CLIENT_ID_CHARS
        self._next += 1
        return name
