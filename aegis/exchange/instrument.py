"""One symbol's public state: its book as others see it, its trades, candles, marks and depth feeds.

Problem: matching, prices, streams and public queries all look at the same symbol, and each must find the same numbers.
What must stay true: prices are ints at the spec's `px_exp`, except mark and index, which are ints of 1e-8 because the
venue shows them with eight places; nothing here publishes anything.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from aegis.exchange.clock import now_ms
from aegis.exchange.matching import BUY, SELL
from aegis.exchange.symbols import Spec

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
QUARTER_MS = 15 * MINUTE_MS
WATCH_MS = 2 * HOUR_MS
DAY_MS = 24 * HOUR_MS
MINUTES_KEPT = 1500


class BookView(Protocol):
    """What this module needs of a book, matched or replayed."""

    touched: set[tuple[int, int]]

    def best(self, side: int) -> tuple[int, int]: ...
    def level(self, side: int, px: int) -> int: ...
    def top(self, side: int, count: int) -> list[tuple[int, int]]: ...


@dataclass(slots=True)
class Candle:
    """One minute; volumes in integer units, `quote` the sum of price times quantity."""

    open_ms: int
    first: int
    last: int
    o: int
    h: int
    l: int  # noqa: E741 - the venue's own letter
    c: int
    v: int = 0
    n: int = 0
    quote: int = 0
    taker_v: int = 0
    taker_quote: int = 0

    def add(self, px: int, qty: int, trade_id: int, buyer_taker: bool) -> None:
        """Book one trade."""
        self.h, self.l, self.c, self.last = max(self.h, px), min(self.l, px), px, trade_id
        self.v, self.n, self.quote = self.v + qty, self.n + 1, self.quote + px * qty
        if buyer_taker:
            self.taker_v, self.taker_quote = self.taker_v + qty, self.taker_quote + px * qty

    def merge(self, other: Candle) -> None:
        """Append a later candle."""
        self.h, self.l, self.c, self.last = max(self.h, other.h), min(self.l, other.l), other.c, other.last
        self.v, self.n, self.quote = self.v + other.v, self.n + other.n, self.quote + other.quote
        self.taker_v, self.taker_quote = self.taker_v + other.taker_v, self.taker_quote + other.taker_quote


class Minutes(deque[Candle]):
    """The last minutes that traded; what falls out of them stays as hours, so that nothing seen is forgotten."""

    def __init__(self) -> None:
        super().__init__(maxlen=MINUTES_KEPT)
        self.hours: list[Candle] = []

    def append(self, candle: Candle) -> None:
        """Add the newest minute."""
        if len(self) == MINUTES_KEPT:
            old = self[0]
            start = old.open_ms // HOUR_MS * HOUR_MS
            if self.hours and self.hours[-1].open_ms == start:
                self.hours[-1].merge(old)
            else:
                self.hours.append(replace(old, open_ms=start))
        super().append(candle)


@dataclass(slots=True)
class Bar:
    """Open, high, low and close of a minute of something that is not traded (mark, index: 1e-8; premium: 1e-8)."""

    open_ms: int
    o: int
    h: int
    l: int  # noqa: E741 - the venue's own letter
    c: int
    n: int = 0

    def see(self, value: int) -> None:
        """Book one observation."""
        self.h, self.l, self.c, self.n = max(self.h, value), min(self.l, value), value, self.n + 1


@dataclass(frozen=True, slots=True)
class Trade:
    """A market trade; `buyer_maker` means the aggressor sold. `first`/`last` span trade ids of an aggregate."""

    id: int
    px: int
    qty: int
    time_ms: int
    buyer_maker: bool
    first: int = 0
    last: int = 0


@dataclass(slots=True)
class DepthFeed:
    """Pending diff of one (symbol, interval)."""

    prev_u: int
    first_u: int = 0
    pending: set[tuple[int, int]] = field(default_factory=set)


@dataclass(slots=True)
class Market:
    """
    One symbol's public state.

    Attributes:
        lower: its name in stream names.
        rate_e8: funding rate as of now.
        interval_ms: time between settlements; 0 when there are none (a dated contract).
        settle_e8: estimated settlement price, 1e-8.
        seed, opened_ms, first_trade, first_agg: what its past is made of; `past` is that past, once asked for.
        has_past: false in a replay, which shows only what it replayed.
        settled: (time, rate, mark) of settlements since the venue opened, oldest first.
    """

    spec: Spec
    book: BookView
    last_u: int
    next_trade: int
    next_agg: int
    lower: str = ""
    last_px: int = 0
    mark_e8: int = 0
    index_e8: int = 0
    settle_e8: int = 0
    best: tuple[int, int, int, int] = (0, 0, 0, 0)
    rate_e8: int = 10_000
    interval_ms: int = 0
    time_ms: int = 0
    trades: deque[Trade] = field(default_factory=lambda: deque(maxlen=20_000))
    aggs: deque[Trade] = field(default_factory=lambda: deque(maxlen=20_000))
    candles: Minutes = field(default_factory=Minutes)
    mark_bars: deque[Bar] = field(default_factory=lambda: deque(maxlen=1500))
    index_bars: deque[Bar] = field(default_factory=lambda: deque(maxlen=1500))
    premium_bars: deque[Bar] = field(default_factory=lambda: deque(maxlen=1500))
    settled: deque[tuple[int, int, int]] = field(default_factory=lambda: deque(maxlen=1000))
    feeds: dict[str, DepthFeed] = field(default_factory=dict)
    seed: int = 1
    opened_ms: int = field(default_factory=now_ms)
    first_trade: int = 0
    first_agg: int = 0
    has_past: bool = True
    past: Any = None

    def __post_init__(self) -> None:
        self.lower = self.spec.name.lower()
        self.first_trade, self.first_agg = self.next_trade, self.next_agg
        self.interval_ms = self.spec.funding_h * HOUR_MS

    def mid(self) -> int:
        """Middle of the best prices, rounded down; the last price when a side is empty."""
        bid, ask = self.book.best(BUY)[0], self.book.best(SELL)[0]
        return (bid + ask) // 2 if bid and ask else self.last_px or self.spec.start_px

    def mark(self) -> int:
        """Mark price in 1e-8, never 0: the middle of the book until the first mark is made."""
        return self.mark_e8 or self.spec.px_e8(self.mid())

    def index(self) -> int:
        """Index price in 1e-8, never 0."""
        return self.index_e8 or self.spec.px_e8(self.mid())

    def settle(self) -> int:
        """Estimated settlement price in 1e-8, never 0."""
        return self.settle_e8 or self.index()

    def next_funding_ms(self, now_ms: int) -> int:
        """The next settlement after `now_ms`; 0 when the contract has none."""
        return (now_ms // self.interval_ms + 1) * self.interval_ms if self.interval_ms else 0
