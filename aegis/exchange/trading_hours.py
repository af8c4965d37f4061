"""When the markets behind equity, commodity and currency perpetuals trade.

Problem: those contracts trade round the clock while their underlyings do not, and clients ask for both the session now
(a stream) and two weeks of sessions (REST). Fixed hours in UTC would be wrong half of the year, so each market keeps
its own clock.
What must stay true: sessions of a market touch each other without gap or overlap; the one now is in the schedule.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

DAY_MS, AROUND_DAYS = 86_400_000, 7
NEW_YORK = ZoneInfo("America/New_York")
US_HOURS = ((4 * 60, "OVERNIGHT"), (9 * 60 + 30, "PRE_MARKET"), (16 * 60, "REGULAR"), (20 * 60, "AFTER_MARKET"))
DAYTIME = {  # market: its clock, first and last minute of the day it trades; weekends it does not
    "COMMODITY": (NEW_YORK, 0, 17 * 60),
    "KR_EQUITY": (ZoneInfo("Asia/Seoul"), 9 * 60, 15 * 60 + 30),
    "HK_EQUITY": (ZoneInfo("Asia/Hong_Kong"), 9 * 60 + 30, 16 * 60),
    "CN_EQUITY": (ZoneInfo("Asia/Shanghai"), 9 * 60 + 30, 15 * 60),
    "FX": (NEW_YORK, 0, 17 * 60),
}

Session = tuple[str, int, int]


def us_session(now_ms: int) -> Session:
    """(kind, begin ms, end ms) of the US equity session at an instant; a weekend is one session without trading."""
    at = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(NEW_YORK)
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    minute = at.hour * 60 + at.minute
    if at.weekday() == 5 or (at.weekday() == 4 and minute >= 20 * 60) or (at.weekday() == 6 and minute < 20 * 60):
        friday = midnight - timedelta(days=(at.weekday() - 4) % 7)
        return "NO_TRADING", _ms(friday + timedelta(hours=20)), _ms(friday + timedelta(days=2, hours=20))
    bounds = [-4 * 60, *(until for until, _ in US_HOURS), 28 * 60]
    kinds = [*(kind for _, kind in US_HOURS), "OVERNIGHT"]
    i = next(i for i, until in enumerate(bounds[1:]) if minute < until)
    begin, end = (midnight + timedelta(minutes=bounds[i + n]) for n in (0, 1))
    return kinds[i], _ms(begin), _ms(end)


def day_session(market: str, now_ms: int) -> Session:
    """(kind, begin ms, end ms) at an instant of a market with one session a weekday."""
    zone, opens, closes = DAYTIME[market]
    at = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(zone)
    today = at.replace(hour=0, minute=0, second=0, microsecond=0)
    days = [today + timedelta(days=n) for n in range(-4, 5)]
    edges = [(_ms(d + timedelta(minutes=opens)), _ms(d + timedelta(minutes=closes))) for d in days if d.weekday() < 5]
    for begin, end in edges:
        if begin <= now_ms < end:
            return "REGULAR", begin, end
    return "NO_TRADING", max(end for _, end in edges if end <= now_ms), min(b for b, _ in edges if b > now_ms)


def schedule(now_ms: int) -> dict[str, Any]:
    """GET tradingSchedule: each market's sessions from a week before yesterday's midnight to a week after it."""
    midnight = (now_ms // DAY_MS - 1) * DAY_MS
    first, last = midnight - AROUND_DAYS * DAY_MS, midnight + AROUND_DAYS * DAY_MS
    found = {"EQUITY": us_session} | {m: lambda t, m=m: day_session(m, t) for m in DAYTIME}
    out = {}
    for market, at in found.items():
        rows, t = [], first
        while t < last:
            kind, begin, end = at(t)
            rows.append({"startTime": begin, "endTime": end, "type": kind})
            t = end
        out[market] = {"sessions": rows}
    return {"updateTime": midnight, "marketSchedules": out}


def _ms(at: datetime) -> int:
    return int(at.astimezone(UTC).timestamp()) * 1000
