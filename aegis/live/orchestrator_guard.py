"""Two guards: the dead-man countdown at the venue, and the distance of our clock from the venue's.

Problem: when this whole machine stops, only the venue can cancel its orders; so per symbol with working orders a
countdown is kept armed, and refreshed only while the brain makes progress. And a clock that is off makes every signed
request and every age wrong; so the offset is measured by the fastest of the last round trips.
What must stay true: a hung brain never keeps the countdown alive; a disarm happens only on an orderly stop.

Source: PROTOCOL 5.4 (countdownCancelAll, heartbeat at most a third of the countdown).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from aegis.live.clock import Clock
from aegis.live.log import Log
from aegis.live.orchestrator_books import Keeper
from aegis.messages import Halt

COUNTDOWN = "/fapi/v1/countdownCancelAll"
OFFSET_MAX_NS = 500_000_000
SAMPLE_S = 5.0
SAMPLES = 8
DRIFT_NS = 20_000_000  # that two honest clocks may part while SAMPLES are taken


class DeadMan:
    """
    Args:
        progress: the brain's progress number, changing while it works.
        countdown_s: after which the venue cancels.
    """

    def __init__(self, rest: Any, keeper: Keeper, progress: Callable[[], int], countdown_s: float, log: Log) -> None:
        self._rest, self._keeper, self._progress, self._log = rest, keeper, progress, log
        self._countdown_ms = int(countdown_s * 1000)
        self.armed: dict[str, float] = {}
        self.refreshes = 0

    async def run(self) -> None:
        """Arm what is new at once, refresh at a third of the countdown; until cancelled."""
        loop, seen, due, moved_at = asyncio.get_running_loop(), -1, 0.0, 0.0
        while True:
            now = loop.time()
            progress = self._progress()
            if progress != seen:
                seen, moved_at = progress, now
            alive = now - moved_at < self._countdown_ms / 3000
            working = {o.symbol for o in self._keeper.orders.values()}
            wanted = working if now >= due else working - self.armed.keys()
            if alive and wanted:
                await self._refresh(sorted(wanted), now)
            if now >= due:
                due = now + self._countdown_ms / 3000
                self.armed = {s: t for s, t in self.armed.items() if s in working}
            await asyncio.sleep(0.05)

    async def _refresh(self, symbols: list[str], now: float) -> None:
        query = {"countdownTime": self._countdown_ms}
        calls = (self._rest.post(COUNTDOWN, query | {"symbol": s}, signed=True, essential=True) for s in symbols)
        for symbol, result in zip(symbols, await asyncio.gather(*calls, return_exceptions=True), strict=True):
            if isinstance(result, BaseException):
                self._log.warn("countdown not armed", symbol=symbol, why=repr(result))
            else:
                self.armed[symbol] = now
                self.refreshes += 1

    async def disarm(self) -> None:
        """Switch all armed countdowns off; on an orderly stop."""
        query = {"countdownTime": 0}
        calls = [self._rest.post(COUNTDOWN, query | {"symbol": s}, signed=True, essential=True) for s in self.armed]
        await asyncio.gather(*calls, return_exceptions=True)
        self.armed.clear()


class ClockOffset:
    """Venue time minus ours in `offset_ns`, by the fastest of the last round trips; halts beyond 500 ms."""

    def __init__(self, rest: Any, clock: Clock, halt: Callable[[Halt], None], clear: Callable[[Halt], None]) -> None:
        self._rest, self._clock, self._halt, self._clear = rest, clock, halt, clear
        self._samples: deque[tuple[int, int]] = deque(maxlen=SAMPLES)
        self.offset_ns = 0

    def sample(self, sent_ns: int, got_ns: int, rtt_ns: int, server_ms: int) -> None:
        """Take one measurement and judge the best; two in a row outvote older ones that they contradict."""
        offset = server_ms * 1_000_000 + 500_000 - (sent_ns + got_ns) // 2
        agree = [s for s in self._samples if abs(s[1] - offset) <= (s[0] + rtt_ns) // 2 + DRIFT_NS]
        if agree and agree[-1] is self._samples[-1]:  # two in a row: what contradicts both is of before a step
            self._samples = deque(agree, maxlen=SAMPLES)
        self._samples.append((rtt_ns, offset))
        self.offset_ns = min(self._samples)[1]
        (self._halt if abs(self.offset_ns) > OFFSET_MAX_NS else self._clear)(Halt.CLOCK)

    async def run(self) -> None:
        """Measure for ever; a failed request is no sample."""
        while True:
            sent, mono = self._clock.now_ns(), self._clock.mono_ns()
            try:
                found = await self._rest.get("/fapi/v1/time", {})
                rtt = self._clock.mono_ns() - mono
                self.sample(sent, self._clock.now_ns(), rtt, int(found["serverTime"]))
                self._rest.clock_offset_ms = self.offset_ns // 1_000_000  # signed requests carry venue time
            except Exception:  # reported by whoever needs the API; here only a missing sample
                pass
            await asyncio.sleep(SAMPLE_S if len(self._samples) >= 3 else 0.3)
