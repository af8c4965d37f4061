"""The synthetic market: lawful, the same again, near the captured one, and never stuck."""

from __future__ import annotations

import argparse
import random
from collections import Counter

import pytest
from compare_market import CAPTURE, JUDGED, QUANTILES, captured, measure, near, quantiles, simulated, unit_of

from aegis.exchange.market import LEVELS_MIN, style_of
from aegis.exchange.matching import BUY, SELL
from aegis.exchange.server import Venue
from aegis.exchange.symbols import listing


def make(**options: object) -> Venue:
    """A venue without sockets."""
    return Venue(argparse.Namespace(**options))


@pytest.mark.skipif(not CAPTURE.exists(), reason="the captured market is not at hand")
def test_what_a_client_sees_is_near_the_capture() -> None:
    """Median and 90th percentile of gaps, spreads, sizes, levels and trades are within a factor of two."""
    real, made = measure(captured(CAPTURE)), measure(simulated(60, 1300, seed=1))
    assert set(real) == set(made) and len(real) == 10
    for name in real:
        rows = zip(QUANTILES, quantiles(real[name]), quantiles(made[name]), strict=True)
        far = [(q, a, b) for q, a, b in rows if q in JUDGED and not near(a, b, unit_of(name))]
        assert not far, (name, far)


def test_the_judge_of_nearness_can_say_no() -> None:
    """The canary: thrice and a third are not near, twice is, also below one; a clock's own step is."""
    assert not near(10, 30) and not near(10, 3) and near(10, 20) and near(10, 5) and not near(5, 0)
    assert not near(0.01, 0.03) and near(0, 1, 1.0) and not near(0, 2, 1.0)


def test_the_clock_decides_how_many_events_not_which() -> None:
    """The same count of events in steps of any length gives the same books."""
    venues = [make(symbols=4, events_per_s=800, seed=5) for _ in range(2)]
    counts = []
    for venue, step_ns in zip(venues, (1_000_000, 17_000_000), strict=True):
        assert venue.flow is not None
        counts.append(sum(venue.flow.advance(step_ns) for _ in range(4_000_000_000 // step_ns)))
    least = min(counts)
    for venue, count in zip(venues, counts, strict=True):
        assert venue.flow is not None and count > 2500
        for _ in range(least + 500 - count):
            venue.flow.step()
    digests = [[(m.book.top(BUY, 50), m.last_px) for m in v.ex.markets.values()] for v in venues]
    assert digests[0] == digests[1]


def test_the_rate_is_kept() -> None:
    """Clumps and bursts are paid for: over a minute the flow runs what it owes."""
    venue = make(symbols=3, events_per_s=500)
    assert venue.flow is not None
    done = sum(venue.flow.advance(10_000_000) for _ in range(6000))
    assert 30_000 - 100 <= done <= 30_000 + 1000


def test_every_symbol_trades_and_keeps_its_depth_and_band() -> None:
    """Ten seconds at a low rate: each of forty symbols trades; sides are deep, in band, lawful."""
    venue = make(symbols=40, events_per_s=2000)
    assert venue.flow is not None
    for _ in range(1000):
        venue.flow.advance(10_000_000)
    for name, m in venue.ex.markets.items():
        assert m.next_trade > m.first_trade, name
        m.book.check()  # type: ignore[attr-defined]
        for side in (BUY, SELL):
            assert len(m.book.top(side, LEVELS_MIN)) == LEVELS_MIN, name
        low, high = m.spec.band
        assert all(low <= px <= high for side in (BUY, SELL) for px, _ in m.book.top(side, 5000)), name


def test_a_swept_side_comes_back() -> None:
    """After a user took everything on one side the spread closes again and trading goes on."""
    venue = make(symbols=1, events_per_s=1000)
    assert venue.flow is not None
    m, agents, rng = venue.ex.markets["BTCUSDT"], venue.flow.agents[0], random.Random(1)
    for _ in range(20):
        side = rng.choice((BUY, SELL))
        agents.ex.agent(m, agents.order(side, "MARKET", 0, agents.book.available(side, 0)))
        before = m.next_trade
        for _ in range(4000):
            venue.flow.step()
        for _ in range(1000):
            if not agents.apart():
                break
            venue.flow.step()
        assert not agents.apart() and m.next_trade > before


def test_contracts_of_one_base_stay_together() -> None:
    """The USDC and the dated contract follow the USDT one: moves since the start differ by less than 0.2 %."""
    venue = make(symbols=6, events_per_s=3000)
    assert venue.flow is not None
    agents = {a.spec.name: a for a in venue.flow.agents if a.spec.base == "BTC"}
    lead, farthest = agents["BTCUSDT"], 0
    for _ in range(60):
        for _ in range(3000):
            venue.flow.step()
        for a in agents.values():
            apart = a.fair * lead.spec.start_px - lead.fair * a.spec.start_px
            farthest = max(farthest, abs(apart) * 1_000_000 // (lead.fair * a.spec.start_px))
    assert len(agents) == 3 and 0 < farthest < 2000


def test_styles_are_of_money_not_of_ticks() -> None:
    """Every symbol's ordinary order is worth about what its class says, and no move is larger than its reach."""
    seen: Counter[int] = Counter()
    for s in listing(200):
        style = style_of(s, 100, 200)
        worth = s.notional_e8(s.start_px, style.order * s.step) // 10**8
        assert style.jump <= style.reach and 30 <= style.orders <= 700, s.name
        assert 75 <= worth <= 5000 or style.order == 1, (s.name, worth)
        seen[s.brackets[0].leverage] += 1
    assert len(seen) >= 4
