"""Candles of every interval: the past and what traded since, joined.

Problem: weeks start on Mondays, months have their own lengths, the opening minute lies half in the past, and minutes
without a trade exist on the venue as flat candles. So an interval is only a pair of functions (where the candle of a
time opens, where the next one opens), and a candle is the merge of whole units of past and present inside it.
What must stay true: candles of an interval follow each other without a gap from the listing of the contract to now;
any interval equals the merge of the shorter ones it is made of.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, datetime

from aegis.exchange.instrument import DAY_MS, HOUR_MS, MINUTE_MS, QUARTER_MS, WATCH_MS, Candle, Market
from aegis.exchange.past import before_opening, merged

FIXED_MS = {
    "1m": MINUTE_MS, "3m": 3 * MINUTE_MS, "5m": 5 * MINUTE_MS, "15m": QUARTER_MS, "30m": 2 * QUARTER_MS,
    "1h": HOUR_MS, "2h": 2 * HOUR_MS, "4h": 4 * HOUR_MS, "6h": 6 * HOUR_MS, "8h": 8 * HOUR_MS, "12h": 12 * HOUR_MS,
    "1d": DAY_MS, "3d": 3 * DAY_MS,
}  # fmt: skip
INTERVALS = (*FIXED_MS, "1w", "1M")
WEEK_MS = 7 * DAY_MS
MONDAY_MS = 4 * DAY_MS  # the first Monday after the epoch


def opens_at(interval: str, at_ms: int) -> int:
    """Opening time of the candle that holds `at_ms`."""
    if interval == "1w":
        return (at_ms - MONDAY_MS) // WEEK_MS * WEEK_MS + MONDAY_MS
    if interval == "1M":
        return _month(datetime.fromtimestamp(at_ms // 1000, UTC), 0)
    span = FIXED_MS[interval]
    return at_ms // span * span


def next_open(interval: str, open_ms: int) -> int:
    """Opening time of the following candle."""
    if interval == "1w":
        return open_ms + WEEK_MS
    if interval == "1M":
        return _month(datetime.fromtimestamp(open_ms // 1000, UTC), 1)
    return open_ms + FIXED_MS[interval]


def _month(day: datetime, later: int) -> int:
    count = day.year * 12 + day.month - 1 + later
    return int(datetime(count // 12, count % 12 + 1, 1, tzinfo=UTC).timestamp()) * 1000


def unit_of(interval: str) -> int:
    """Length of the units candles of an interval are made of."""
    span = FIXED_MS.get(interval, DAY_MS)
    return next(unit for unit in (DAY_MS, WATCH_MS, HOUR_MS, QUARTER_MS, MINUTE_MS) if span % unit == 0)


def opens(interval: str, low_ms: int, high_ms: int, limit: int, newest: bool) -> list[int]:
    """Up to `limit` opening times within low..high, ascending; the newest ones or the oldest ones."""
    found: list[int] = []
    if low_ms > high_ms:
        return found
    if newest:
        at = opens_at(interval, high_ms)
        while at >= low_ms and len(found) < limit:
            found.append(at)
            at = opens_at(interval, at - 1)
        return found[::-1]
    at = opens_at(interval, low_ms)
    at = at if at == low_ms else next_open(interval, at)
    while at <= high_ms and len(found) < limit:
        found.append(at)
        at = next_open(interval, at)
    return found


class Chart:
    """Candles of one market, as of now."""

    def __init__(self, m: Market) -> None:
        self.m, self.past = m, before_opening(m)
        self.first_ms = m.spec.onboard_ms if self.past else m.candles[0].open_ms if m.candles else m.opened_ms
        self.live: list[Candle] = []
        self.live_opens: list[int] = []

    def load(self, from_ms: int) -> None:
        """Collect what traded since `from_ms`, hours of long ago first."""
        recent: list[Candle] = []
        for c in reversed(self.m.candles):
            if c.open_ms < from_ms:
                break
            recent.append(c)
        hours = [c for c in self.m.candles.hours if c.open_ms + HOUR_MS > from_ms]
        self.live = hours + recent[::-1]
        self.live_opens = [c.open_ms for c in self.live]

    def one(self, open_ms: int, end_ms: int, unit_ms: int) -> Candle | None:
        """The candle of open..end (exclusive), None when nothing is known of that time."""
        parts: list[Candle] = []
        if self.past is not None:
            for at in range(open_ms, min(end_ms, self.m.opened_ms + 1), unit_ms):
                part = self.past.unit(unit_ms, at)
                if part is not None:
                    parts.append(part)
        low, high = bisect_left(self.live_opens, open_ms), bisect_left(self.live_opens, end_ms)
        parts += self.live[low:high]
        if not parts:
            return None
        found = merged(parts)
        found.open_ms = open_ms
        return found

    def series(self, interval: str, places: list[int]) -> list[Candle]:
        """Candles at opening times, ascending; a time without a trade is flat at the close before it."""
        if not places:
            return []
        unit = unit_of(interval)
        self.load(places[0])
        out: list[Candle] = []
        for at in places:
            found = self.one(at, next_open(interval, at), unit)
            if found is None:
                close = out[-1].c if out else self._close_before(at)
                found = Candle(at, 0, 0, close, close, close, close)
            out.append(found)
        return out

    def _close_before(self, at_ms: int) -> int:
        for c in (*reversed(self.m.candles), *reversed(self.m.candles.hours)):
            if c.open_ms < at_ms:
                return c.c
        return self.m.spec.start_px

    def query(self, interval: str, low_ms: int | None, high_ms: int, limit: int) -> list[Candle]:
        """
        Candles as the venue pages them: from `low_ms` on when it is given, else the last ones up to `high_ms`.

        Args:
            low_ms, high_ms: bounds of opening times; `high_ms` not after now.
        """
        first = opens_at(interval, self.first_ms)
        low = first if low_ms is None else max(low_ms, first)
        return self.series(interval, opens(interval, low, high_ms, limit, newest=low_ms is None))
