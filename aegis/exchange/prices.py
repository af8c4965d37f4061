"""Mark price, index price and funding rate of every symbol, once a second.

Problem: positions are valued, liquidated and charged by prices nobody trades at. Taking the last trade would let one
sweep of a thin book liquidate everybody; taking the index alone would never show a premium, so funding would be dull.
So this follows the venue: the index is the book's middle seen through a slow average and a wandering basis (the other
exchanges), the mark is the median of three estimates, the rate comes from the average premium and is clamped.
What must stay true: mark and index are never 0 and never far from the middle of the book, save a mark that was pinned;
a settlement is told once, with the rate and mark that were in force before it; a dated contract has no rate.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from aegis.exchange.instrument import MINUTE_MS, Bar, Market
from aegis.exchange.symbols import E8, dec

SECOND_MS = 1000
PPM = 1_000_000
INTEREST_E8 = 10_000  # 0.01 % per 8 h
DAMPER_E8 = 50_000  # how much of the premium the interest term may take back
FAR_PPM = 10_000  # mark and index keep within 1 % of the middle of the book
INDEX_STEPS = 8  # the index takes an eighth of the way to the book each second
SETTLE_STEPS = 1800
PREMIUM_STEPS = 600
BASIS_STEP_PPM = 12


class Settlement(NamedTuple):
    """A funding settlement that became due: boundary, and rate and mark in force until then (1e-8)."""

    market: Market
    at_ms: int
    rate_e8: int
    mark_e8: int


@dataclass(slots=True)
class _State:
    """What the next second of a symbol depends on; averages are kept with six more places."""

    rng: random.Random
    centre_ppm: int
    basis_ppm: int = 0
    level: int = 0
    settle: int = 0
    premium: int = 0
    next_ms: int = 0
    gaps: deque[int] = field(default_factory=lambda: deque(maxlen=30))


class Prices:
    """
    Mark, index and rate of all symbols.

    Args:
        markets: the seed of each decides its basis; the n-th second is the same in every run of one book.
    """

    def __init__(self, markets: Mapping[str, Market]) -> None:
        self.markets = markets
        self.pins: dict[str, int] = {}
        self.last_ms = 0
        self.state: dict[str, _State] = {}
        for name, m in markets.items():
            rng = random.Random(f"{m.seed}/prices/{name}")
            wide = 60 if m.spec.rate_cap_e8 < 2_000_000 else 600
            self.state[name] = _State(rng, rng.randrange(-wide, wide + 1))
            m.rate_e8 = interest_e8(m)

    def pin(self, symbol: str, mark_e8: int | None) -> None:
        """
        Hold the mark of a symbol at a value from now on; None lets it go with the next second.

        Raises:
            ValueError: the symbol is not listed, or the mark is not above 0.
        """
        m = self.markets.get(symbol)
        if m is None or (mark_e8 is not None and mark_e8 <= 0):
            raise ValueError(f"cannot pin the mark of {symbol!r} at {mark_e8}")
        if mark_e8 is None:
            self.pins.pop(symbol, None)
        else:
            self.pins[symbol] = m.mark_e8 = mark_e8

    def advance(self, now_ms: int) -> list[Settlement]:
        """Make the prices of this second, once; returns the settlements that became due, oldest rates intact."""
        if now_ms // SECOND_MS <= self.last_ms // SECOND_MS:
            return []
        self.last_ms = now_ms
        due: list[Settlement] = []
        for name, m in self.markets.items():
            state = self.state[name]
            if m.interval_ms and state.next_ms and now_ms >= state.next_ms:
                found = Settlement(m, state.next_ms, m.rate_e8, m.mark())
                m.settled.append((found.at_ms, found.rate_e8, found.mark_e8))
                due.append(found)
            state.next_ms = m.next_funding_ms(now_ms)
            self._second(m, state, now_ms)
        return due

    def _second(self, m: Market, state: _State, now_ms: int) -> None:
        mid = m.spec.px_e8(m.mid())
        m.index_e8 = self._index(m, state, mid)
        state.gaps.append(mid - m.index_e8)
        m.mark_e8 = self.pins.get(m.spec.name) or self._mark(m, state, mid, now_ms)
        if not state.settle:
            state.settle = m.index_e8 * PPM
        state.settle += (m.index_e8 * PPM - state.settle) // SETTLE_STEPS
        m.settle_e8 = state.settle // PPM
        premium = (mid - m.index_e8) * 10**E8 // m.index_e8
        state.premium += (premium * PPM - state.premium) // PREMIUM_STEPS
        m.rate_e8 = rate_e8(m, state.premium // PPM)
        minute = now_ms // MINUTE_MS * MINUTE_MS
        for bars, value in ((m.mark_bars, m.mark_e8), (m.index_bars, m.index_e8), (m.premium_bars, premium)):
            if not bars or bars[-1].open_ms < minute:
                bars.append(Bar(minute, value, value, value, value))
            bars[-1].see(value)

    def _index(self, m: Market, state: _State, mid: int) -> int:
        """The other exchanges: of the perpetual contract when this one is dated or follows another quote."""
        state.basis_ppm += state.rng.randint(-BASIS_STEP_PPM, BASIS_STEP_PPM)
        state.basis_ppm += (state.centre_ppm - state.basis_ppm) // 16
        if not state.level:
            state.level = mid * PPM
        state.level += (mid * PPM - state.level) // INDEX_STEPS
        twin = self.markets.get(m.spec.pair) if m.spec.dated else None
        if twin is not None:
            return twin.index()
        return _near(state.level * (PPM - state.basis_ppm) // (PPM * PPM), mid)

    def _mark(self, m: Market, state: _State, mid: int, now_ms: int) -> int:
        """Median of the index with the funding still to come, the index with the average gap, and the last trade."""
        averaged = m.index_e8 + sum(state.gaps) // len(state.gaps)
        if not m.interval_ms:
            return _near(averaged, mid)
        left_ms = m.next_funding_ms(now_ms) - now_ms
        carried = m.index_e8 + m.index_e8 * m.rate_e8 * left_ms // (m.interval_ms * 10**E8)
        last = m.spec.px_e8(m.last_px) if m.last_px else mid
        return _near(sorted((carried, averaged, last))[1], mid)


def _near(value: int, mid: int) -> int:
    """`value` held within FAR_PPM of `mid`, above 0."""
    room = mid * FAR_PPM // PPM
    return max(min(max(value, mid - room), mid + room), 1)


def interest_e8(m: Market) -> int:
    """Interest part of the rate for one interval, 1e-8; 0 for a dated contract."""
    return INTEREST_E8 * m.spec.funding_h // 8


def rate_e8(m: Market, premium_e8: int) -> int:
    """
    Funding rate of an average premium: the premium, plus interest as far as it does not take back more than the
    damper, held inside the symbol's cap.

    Source: the venue's funding formula; PROTOCOL 2.3.
    """
    if not m.interval_ms:
        return 0
    cap = m.spec.rate_cap_e8
    pull = min(max(interest_e8(m) - premium_e8, -DAMPER_E8), DAMPER_E8)
    return min(max(premium_e8 + pull, -cap), cap)


def rate_text(m: Market) -> str:
    """The rate as the venue writes it; empty for a dated contract."""
    return dec(m.rate_e8, E8) if m.interval_ms else ""


def settled_rate_e8(m: Market, at_ms: int) -> int:
    """Rate of a settlement before the venue opened: made up, the same each time."""
    rng = random.Random(f"{m.seed}/{m.spec.name}/settled/{at_ms}")
    return rate_e8(m, rng.randint(-2, 2) * DAMPER_E8 * 3 // 5 + rng.randint(-3000, 3000))
