"""The features in plain Python, record by record: the oracle of csrc/features.c, equal to the last bit.

Written from the columns' definitions with the same order of operations, for binary floats are rounded at each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

HALF_NS, HALVES_MAX, LN2 = 10_000_000_000, 64, 0.6931471805599453
SERIES = [1.0 / math.factorial(n) for n in range(10)]
NAMES = (
    "middle micro_price lean spread_bps flow_100ms flow_1s flow_10s trade_flow_100ms trade_flow_1s trade_flow_10s "
    "traded_1s volatility_1s volatility_10s"
).split()
BOOK_TICKER, TRADE, AGG_TRADE, FILLED = 1, 2, 3, 4


def tenth_power(x: float) -> float:
    two = x * x
    four = two * two
    return four * four * two


def decays(ns: int) -> tuple[float, float, float]:
    """What `ns` leave of a sum that halves every 0.1, 1 and 10 s."""
    if ns <= 0:
        return 1.0, 1.0, 1.0
    halves, rest = divmod(ns, HALF_NS)
    if halves >= HALVES_MAX:
        return 0.0, 0.0, 0.0
    x = (0.5 - float(rest) / float(HALF_NS)) * LN2
    series = SERIES[9]
    for i in range(8, -1, -1):
        series = series * x + SERIES[i]
    slow = series * math.ldexp(0.7071067811865476, -halves)
    second = tenth_power(slow)
    return tenth_power(second), second, slow


def ratio(total: float, size: float) -> float:
    return total / size if size > 0 else 0.0


@dataclass
class Symbol:
    """What is known of one symbol."""

    value: dict[str, float] = field(default_factory=lambda: dict.fromkeys(NAMES, 0.0))
    last: tuple[float, float, float, float] | None = None
    quoted_ns: int = 0
    traded_ns: int = 0
    trades: int = 0
    single: bool = False
    flow: list[list[float]] = field(default_factory=lambda: [[0.0, 0.0] for _ in range(3)])
    trade: list[list[float]] = field(default_factory=lambda: [[0.0, 0.0] for _ in range(3)])
    squares: list[float] = field(default_factory=lambda: [0.0, 0.0])

    def take(self, tick: Any) -> bool:
        """Fold one record (a row of abi.TICK); whether a column may have changed."""
        kind, a, b, c, d = (int(tick[name]) for name in ("kind", "a", "b", "c", "d"))
        px, qty = int(tick["px_exp"]), int(tick["qty_exp"])
        if px > 18 or qty > 18:
            return False
        if kind == BOOK_TICKER:
            if a <= 0 or c <= 0 or b < 0 or d < 0 or a > c:
                return False
            price, size = float(10**px), float(10**qty)
            self._quote(float(a) / price, float(b) / size, float(c) / price, float(d) / size, int(tick["recv_ns"]))
            return True
        if kind not in (TRADE, AGG_TRADE):
            return False
        if kind == TRADE:
            self.single = True
        elif self.single:
            return False
        if b <= 0 or int(tick["flags"]) & FILLED:
            return False
        self._trade(float(b) / float(10**qty), (d > 0) - (d < 0), int(tick["recv_ns"]))
        return True

    def _quote(self, bid: float, bid_qty: float, ask: float, ask_qty: float, recv_ns: int) -> None:
        value, both, middle = self.value, bid_qty + ask_qty, (bid + ask) * 0.5
        if self.last is None:
            self.flow = [[0.0, both] for _ in range(3)]
        else:
            bid0, bid_qty0, ask0, ask_qty0 = self.last
            keep = decays(recv_ns - self.quoted_ns)
            bought = (bid_qty if bid >= bid0 else 0.0) - (bid_qty0 if bid <= bid0 else 0.0)
            sold = (ask_qty if ask <= ask0 else 0.0) - (ask_qty0 if ask >= ask0 else 0.0)
            stood = max(both, bid_qty0 + ask_qty0)
            moved = max(-stood, min(stood, bought - sold))
            for sums, left in zip(self.flow, keep, strict=True):
                sums[0], sums[1] = sums[0] * left + moved, sums[1] * left + stood
            change = (middle - value["middle"]) / value["middle"]
            for i in (0, 1):
                self.squares[i] = self.squares[i] * keep[i + 1] + change * change
        self.last = (bid, bid_qty, ask, ask_qty)
        self.quoted_ns = max(self.quoted_ns, recv_ns)
        value["middle"] = middle
        value["micro_price"] = (bid * ask_qty + ask * bid_qty) / both if both > 0 else middle
        value["lean"] = ratio(bid_qty - ask_qty, both)
        value["spread_bps"] = (ask - bid) / middle * 10000.0
        for name, (total, size) in zip(("100ms", "1s", "10s"), self.flow, strict=True):
            value[f"flow_{name}"] = ratio(total, size)
        value["volatility_1s"] = math.sqrt(self.squares[0] * LN2)
        value["volatility_10s"] = math.sqrt(self.squares[1] * (LN2 / 10.0))

    def _trade(self, size: float, side: int, recv_ns: int) -> None:
        keep = decays(recv_ns - self.traded_ns if self.trades else 0)
        for name, sums, left in zip(("100ms", "1s", "10s"), self.trade, keep, strict=True):
            sums[0], sums[1] = sums[0] * left + side * size, sums[1] * left + size
            self.value[f"trade_flow_{name}"] = ratio(*sums)
        self.value["traded_1s"] = self.trade[1][1] * LN2
        self.traded_ns = max(self.traded_ns, recv_ns)
        self.trades += 1


class Oracle:
    """All symbols."""

    def __init__(self) -> None:
        self.symbols: dict[int, Symbol] = {}

    def fold(self, batch: Any) -> list[int]:
        """Fold records; the symbols that changed, each once, first come first."""
        changed: dict[int, None] = {}
        for tick in batch:
            index = int(tick["symbol"])
            if index < 1024 and self.symbols.setdefault(index, Symbol()).take(tick):
                changed[index] = None
        return list(changed)

    def row(self, index: int) -> list[float]:
        """Columns in their order."""
        return [self.symbols.setdefault(index, Symbol()).value[name] for name in NAMES]
