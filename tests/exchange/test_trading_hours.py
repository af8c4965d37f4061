"""Sessions of the markets behind equity, commodity and currency perpetuals."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from aegis.exchange.trading_hours import DAY_MS, DAYTIME, day_session, schedule, us_session


def ms(*at: int) -> int:
    """A UTC instant in ms."""
    return int(datetime(*at, tzinfo=UTC).timestamp()) * 1000  # type: ignore[arg-type]


@pytest.mark.parametrize("now_ms", [ms(2026, 11, 1, 5, 30), ms(2026, 11, 25, 20, 42), ms(2026, 3, 8, 7)])
def test_sessions_of_a_market_touch_each_other_and_cover_two_weeks(now_ms: int) -> None:
    """No gap, no overlap, also across a change of clocks; the session now is one of them."""
    found = schedule(now_ms)["marketSchedules"]
    assert {"EQUITY", *DAYTIME} == set(found)
    for market, rows in ((m, found[m]["sessions"]) for m in found):
        assert all(a["endTime"] == b["startTime"] for a, b in pairwise(rows)), market
        assert rows[0]["startTime"] <= now_ms - 7 * DAY_MS
        assert rows[-1]["endTime"] >= now_ms + 5 * DAY_MS
        kind, begin, end = us_session(now_ms) if market == "EQUITY" else day_session(market, now_ms)
        assert begin <= now_ms < end
        assert {"startTime": begin, "endTime": end, "type": kind} in rows


@pytest.mark.parametrize(
    ("now_ms", "kind"),
    [
        (ms(2026, 7, 1, 13, 29), "PRE_MARKET"),  # 09:29 in New York, summer
        (ms(2026, 7, 1, 13, 30), "REGULAR"),
        (ms(2026, 12, 1, 14, 29), "PRE_MARKET"),  # 09:29 in New York, winter
        (ms(2026, 12, 1, 14, 30), "REGULAR"),
        (ms(2026, 11, 28, 12), "NO_TRADING"),  # a Saturday
        (ms(2026, 11, 30, 1), "OVERNIGHT"),  # Sunday evening in New York
    ],
)
def test_us_equities_keep_new_york_time(now_ms: int, kind: str) -> None:
    """The same minute of the day in New York opens the same session in summer and in winter."""
    assert us_session(now_ms)[0] == kind
