"""Book snapshots: every book that asks for one gets one, within a share of the venue's weight.

Problem: after a reconnect all books ask at once, a snapshot costs 20 weight, and an address that asks too fast is
banned (PROTOCOL 2.4, 10 T19). So requests pass a token bucket that holds half of the minute's weight; the other
processes of this host need the rest.
What must stay true: a snapshot is given to the book unjudged: joining it to the stream is the book's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aegis.errors import AegisError, RateLimited
from aegis.market.streams import NS

SNAPSHOT_LIMIT = 1000
SNAPSHOT_WEIGHT = 20
LOOK_S = 0.05
AT_ONCE = 4
AGAIN_S = 1.0  # a book that still asks after its snapshot has to wait for the next event to join it


class WeightBucket:
    """
    Tokens that refill evenly.

    Args:
        per_minute: capacity, and refill in one minute; > 0.
    """

    def __init__(self, per_minute: int, now_ns: int) -> None:
        self._most, self._level, self._at_ns = per_minute, float(per_minute), now_ns

    def take(self, weight: int, now_ns: int) -> float:
        """Take `weight` if it is there and return 0, else take nothing and return seconds until it may be."""
        self._level = min(self._most, self._level + max(0, now_ns - self._at_ns) * self._most / (60 * NS))
        self._at_ns = now_ns
        if self._level >= weight:
            self._level -= weight
            return 0.0
        return (weight - self._level) * 60 / self._most

    def punish(self) -> None:
        """The venue says too fast: start again from empty."""
        self._level = 0.0


class Budget:
    """A bucket that can be waited for."""

    def __init__(self, per_minute: int, mono_ns: Callable[[], int]) -> None:
        self._bucket, self._mono_ns = WeightBucket(per_minute, mono_ns()), mono_ns

    async def spend(self, weight: int) -> None:
        """Wait until `weight` may be used."""
        while wait_s := self._bucket.take(weight, self._mono_ns()):  # noqa: ASYNC110  tokens come with time, not by event
            await asyncio.sleep(min(wait_s, 5.0))

    async def rest(self, retry_after_s: float) -> None:
        """Obey a 429 or 418."""
        self._bucket.punish()
        await asyncio.sleep(retry_after_s)


class Books:
    """
    Fetches what `wanted()` names.

    Args:
        wanted: symbols whose book needs a snapshot now.
        fetch: gets one snapshot and gives it to the book; raises AegisError.
        failed: told of each failure (symbol, error).
    """

    def __init__(
        self,
        budget: Budget,
        mono_ns: Callable[[], int],
        wanted: Callable[[], list[str]],
        fetch: Callable[[str], Awaitable[None]],
        failed: Callable[[str, AegisError], None],
    ) -> None:
        self._budget, self._mono_ns = budget, mono_ns
        self._wanted, self._fetch, self._failed = wanted, fetch, failed
        self._next_ns: dict[str, int] = {}
        self._busy: set[str] = set()

    async def run(self) -> None:
        """Look for asking books until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                for symbol in self._wanted():
                    if len(self._busy) >= AT_ONCE:
                        break
                    if symbol not in self._busy and self._next_ns.get(symbol, 0) <= self._mono_ns():
                        self._busy.add(symbol)
                        group.create_task(self._one(symbol))
                await asyncio.sleep(LOOK_S)

    async def _one(self, symbol: str) -> None:
        try:
            await self._budget.spend(SNAPSHOT_WEIGHT)
            await self._fetch(symbol)
        except RateLimited as exc:
            self._failed(symbol, exc)
            await self._budget.rest(exc.retry_after_s)
        except AegisError as exc:
            self._failed(symbol, exc)
        finally:
            self._next_ns[symbol] = self._mono_ns() + int(AGAIN_S * NS)
            self._busy.discard(symbol)
