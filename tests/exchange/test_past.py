"""The past of a symbol: full, on the grid, the same again, and every interval the merge of shorter ones."""

from __future__ import annotations

from collections import Counter
from dataclasses import astuple
from datetime import UTC, datetime
from itertools import pairwise
from random import Random

import pytest
from core import Venue

from aegis.exchange.candles import FIXED_MS, INTERVALS, Chart, next_open, opens_at
from aegis.exchange.instrument import DAY_MS, HOUR_MS, MINUTE_MS, MINUTES_KEPT, Candle, Market
from aegis.exchange.market import make_markets
from aegis.exchange.past import Past, apportion, before_opening, merged, split, spread
from aegis.exchange.symbols import listing

OPENED = 1_790_000_123_456
NAMES = ("BTCUSDT", "1000SHIBUSDT", "BTCUSDT_260925", "牛来USDT")


def market(name: str, seed: int = 1, opened_ms: int = OPENED) -> Market:
    """A market that opened at a known time."""
    m = make_markets(listing(12, at_ms=OPENED), 10**9, seed)[name]
    m.opened_ms = opened_ms
    return m


def lawful(c: Candle, tick: int, step: int) -> bool:
    """A candle's own laws: range, grid, sums inside their bounds."""
    return (
        c.l <= min(c.o, c.c) <= max(c.o, c.c) <= c.h
        and not any(p % tick for p in (c.o, c.h, c.l, c.c))
        and not c.v % step
        and c.l * c.v <= c.quote <= c.h * c.v
        and 0 <= c.taker_v <= c.v
        and 0 <= c.taker_quote <= c.quote
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_interval_is_full_lawful_and_without_gaps(name: str) -> None:
    """1500 candles, or all since the listing; each opens where the one before closed; the newest ends at the start."""
    m = market(name)
    chart = Chart(m)
    for interval in INTERVALS:
        rows = chart.query(interval, None, OPENED, 1500)
        known = OPENED - m.spec.onboard_ms
        assert len(rows) == 1500 or (rows[0].open_ms <= m.spec.onboard_ms and known < 1500 * 31 * DAY_MS), interval
        assert all(lawful(c, m.spec.tick, m.spec.step) for c in rows), interval
        for a, b in pairwise(rows):
            assert next_open(interval, a.open_ms) == b.open_ms and a.n > 0
            assert a.c == b.o or b.open_ms > OPENED - 20 * MINUTE_MS  # minutes of single trades open where they trade
        assert rows[-1].open_ms <= OPENED and rows[-1].c == m.spec.start_px


@pytest.mark.parametrize(("long", "short"), [("1h", "1m"), ("1d", "1h"), ("8h", "30m"), ("1w", "1d"), ("1M", "12h")])
def test_long_candles_are_the_merge_of_short_ones(long: str, short: str) -> None:
    """Every field, over candles before, across and after the opening."""
    m = market("BTCUSDT")
    chart = Chart(m)
    for minute in range(200):
        at = OPENED // MINUTE_MS * MINUTE_MS + minute * MINUTE_MS
        if minute % 7:
            m.candles.append(Candle(at, minute, minute, 6_180_000, 6_180_000, 6_180_000, 6_180_000))
            m.candles[-1].add(6_180_000 + minute * 10, 5, minute, minute % 2 == 0)
    now = OPENED + 200 * MINUTE_MS
    for c in chart.query(long, None, now, 4):
        end = next_open(long, c.open_ms)
        parts = [p for p in chart.query(short, c.open_ms, min(end - 1, now), 1500) if p.n]
        whole = merged(parts)
        fields = ("o", "h", "l", "c", "v", "n", "quote", "taker_v", "taker_quote")
        assert [getattr(c, f) for f in fields] == [getattr(whole, f) for f in fields]


def test_the_past_is_the_same_again_and_another_with_another_seed() -> None:
    """What was forgotten comes back equal, in whatever order it is asked for."""
    months = [astuple(c) for c in Chart(market("BTCUSDT")).query("1M", None, OPENED, 100)]
    again = Chart(market("BTCUSDT"))
    minutes = again.query("1m", OPENED - 90 * DAY_MS, OPENED, 60)
    assert months == [astuple(c) for c in again.query("1M", None, OPENED, 100)]
    first = Chart(market("BTCUSDT")).query("1m", OPENED - 90 * DAY_MS, OPENED, 60)
    other = Chart(market("BTCUSDT", seed=2)).query("1m", OPENED - 90 * DAY_MS, OPENED, 60)
    assert minutes == first != other


def test_paging_follows_the_venue() -> None:
    """From a start forwards, without a start backwards from the end, both ends included, nothing from the future."""
    chart, hour = Chart(market("BTCUSDT")), OPENED // HOUR_MS * HOUR_MS
    assert [c.open_ms for c in chart.query("1h", hour - 5 * HOUR_MS, hour - 2 * HOUR_MS, 10)] == [
        hour - n * HOUR_MS for n in (5, 4, 3, 2)
    ]
    assert [c.open_ms for c in chart.query("1h", hour - 5 * HOUR_MS + 1, hour, 2)] == [
        hour - n * HOUR_MS for n in (4, 3)
    ]
    assert [c.open_ms for c in chart.query("1h", None, hour - 1, 2)] == [hour - n * HOUR_MS for n in (2, 1)]
    assert chart.query("1h", OPENED + 1, OPENED, 10) == []
    assert chart.query("1M", 0, OPENED, 1)[0].open_ms == opens_at("1M", chart.m.spec.onboard_ms)


def test_calendars() -> None:
    """Weeks open on Mondays, months on their first day, everything else on multiples from the epoch."""
    for interval in ("1w", "1M"):
        day = datetime.fromtimestamp(opens_at(interval, OPENED) // 1000, UTC)
        assert (day.weekday() == 0 if interval == "1w" else day.day == 1) and day.hour == 0
        assert opens_at(interval, next_open(interval, opens_at(interval, OPENED)) - 1) == opens_at(interval, OPENED)
    assert all(opens_at(i, OPENED) % span == 0 for i, span in FIXED_MS.items())
    december = int(datetime(2026, 12, 5, tzinfo=UTC).timestamp()) * 1000
    assert datetime.fromtimestamp(next_open("1M", opens_at("1M", december)) // 1000, UTC).year == 2027


def test_minutes_without_trades_are_flat() -> None:
    """They repeat the close before them and trade nothing."""
    m = market("BTCUSDT")
    at = OPENED // MINUTE_MS * MINUTE_MS + 5 * MINUTE_MS
    m.candles.append(Candle(at, 1, 1, 6_200_000, 6_200_000, 6_200_000, 6_200_000))
    m.candles[-1].add(6_200_000, 3, 1, True)
    rows = Chart(m).query("1m", None, at + 3 * MINUTE_MS, 7)
    assert [(c.c, c.v) for c in rows] == [*[(6_180_000, 0)] * 3, (6_200_000, 3), *[(6_200_000, 0)] * 3]
    assert [c.open_ms for c in rows[:4]] == [at - n * MINUTE_MS for n in (3, 2, 1, 0)]


def test_minutes_of_long_ago_stay_as_hours() -> None:
    """Volume seen by the venue is still in the daily candle when its minutes have been dropped."""
    m = market("BTCUSDT", opened_ms=OPENED // DAY_MS * DAY_MS)
    start, count = m.opened_ms, MINUTES_KEPT + 300
    chart = Chart(m)
    seen = chart.query("1d", None, start, 1)[0].v
    for n in range(count):
        m.candles.append(Candle(start + n * MINUTE_MS, n, n, 6_180_000, 6_180_000, 6_180_000, 6_180_000))
        m.candles[-1].add(6_180_000, 1, n, True)
    now = start + count * MINUTE_MS - 1
    assert sum(c.v for c in chart.query("1d", start, now, 10)) == count + seen
    assert len(m.candles) == MINUTES_KEPT and [c.v for c in m.candles.hours] == [60] * 5


def test_trades_before_the_opening() -> None:
    """A thousand trades, ids consecutive up to the first live one, the last at the start price, none after opening."""
    m = market("1000SHIBUSDT")
    past = before_opening(m)
    assert isinstance(past, Past) and before_opening(m) is past
    assert [t.id for t in m.trades] == list(range(m.next_trade - 1000, m.next_trade))
    assert [t.id for t in m.aggs] == list(range(m.next_agg - 1000, m.next_agg))
    assert m.trades[-1].px == m.spec.start_px and m.trades[-1].time_ms < OPENED
    assert all(a.time_ms <= b.time_ms for a, b in pairwise(m.trades))
    assert all((a.px, a.first, a.last) == (t.px, t.id, t.id) for a, t in zip(m.aggs, m.trades, strict=True))


def test_a_split_keeps_every_sum_on_any_parent() -> None:
    """Random parents, extreme ones among them: the parts are lawful and merge to exactly the parent."""
    rng, widths = Random(3), Counter[bool]()
    for _ in range(300):
        low = rng.randrange(100, 1000)
        high = low + rng.choice((0, 1, 5, 400))
        o, c = rng.randint(low, high), rng.randint(low, high)
        v = rng.randrange(200, 5000)
        quote = rng.choice((low * v, high * v, (low + high) * v // 2))
        parent = Candle(0, 0, 0, o, high, low, c, v, 300, quote, v // 3, quote // 3)
        parts = split(parent, 15, MINUTE_MS, rng, 1, 1)
        assert all(lawful(p, 1, 1) for p in parts) and [p.open_ms for p in parts] == [i * MINUTE_MS for i in range(15)]
        assert astuple(merged(parts)) == astuple(parent)
        widths[len({p.c for p in parts}) > 5] += 1
    assert widths[True] > 50


def test_one_market_a_turn_is_made_ready() -> None:
    """The clock makes past and day of each symbol in turn, so that nobody who asks for all has to wait for all."""
    it = Venue({"main": 1}, symbols=5)
    for turn in range(5):
        assert (sum(m.past is not None for m in it.ex.markets.values()), len(it.ex.md.tickers.days)) == (turn, turn)
        it.tick(10)
    assert set(it.ex.md.tickers.days) == set(it.ex.markets)


def test_spread_refuses_what_bounds_forbid() -> None:
    """The canary: a total outside the bounds has no answer, one inside is met exactly."""
    assert spread(31, [5, 5, 5], [0, 0, 0], [10, 10, 10]) is None
    assert spread(-1, [5, 5, 5], [0, 0, 0], [10, 10, 10]) is None
    found = spread(29, [5, 9, 0], [0, 0, 0], [10, 10, 10])
    assert found is not None and sum(found) == 29 and all(0 <= x <= 10 for x in found)
    assert sum(apportion(1000, [3, 5, 7, 1])) == 1000
