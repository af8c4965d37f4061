"""Order-flow imbalance with micro-price: an honest example, not a promise of profit.

Idea: when buyers add at the bid faster than sellers at the ask, and the size-weighted price leans above the middle, the
next move is a little more often up. Entries take the touch with a small IOC order; without a strong signal a post-only
quote may rest at the bid or ask. Positions are closed by a reduce-only IOC after `hold_ms`, or when the signal turns.
What must stay true: at most one unfinished order per symbol, at most one entry's size of position; the signal may be
float, prices and sizes never are; a batch costs one vector operation, and more only for symbols that may act.

Parameters (brain.params):
    notional        quote money per entry, decimal text                         "150"
    threshold       strength of signal (-1..1) that opens                       0.15
    flow            the flow's column: flow_100ms, flow_1s or flow_10s          "flow_1s"
    hold_ms         longest time a position is held                             1500
    pause_ms        least time between two entries on a symbol                  300
    quote_ms        life of a resting post-only order; 0 quotes never           800
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aegis.messages import Cancel, Intent, OrderUpdate, Place, Rules, Side, Tif
from aegis.native.features import SYMBOLS, weights
from aegis.strategy.base import Context, Quote
from aegis.units import Num

MS = 1_000_000


class Imbalance:
    """The example strategy; see the module."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.notional = Num.parse(str(params.get("notional", "150")))
        self.threshold = float(params.get("threshold", 0.15))
        self.hold_ns = int(params.get("hold_ms", 1500)) * MS
        self.pause_ns = int(params.get("pause_ms", 300)) * MS
        self.quote_ns = int(params.get("quote_ms", 800)) * MS
        self._weights = weights(**{str(params.get("flow", "flow_1s")): 0.5, "lean": 0.5})
        self._next_ns = [0] * SYMBOLS  # by index: until then a symbol is left alone
        self._entered_ns: dict[str, int] = {}

    def on_batch(self, ctx: Context, batch: Any) -> Sequence[Intent]:  # noqa: ARG002  # the features hold what it says
        """Decide once per symbol that changed and may act."""
        out: list[Intent] = []
        signals = (ctx.rows @ self._weights).tolist()
        now, next_ns = ctx.now_ns, self._next_ns
        for index, signal in zip(ctx.changed.tolist(), signals, strict=True):
            if now >= next_ns[index]:
                out += self._decide(ctx, ctx.name(index), index, signal)
        return out

    def on_order(self, ctx: Context, update: OrderUpdate) -> Sequence[Intent]:  # noqa: ARG002  # protocol
        """The next quote decides; nothing to do at once."""
        return []

    def on_timer(self, ctx: Context) -> Sequence[Intent]:
        """Close what was held long enough, also when no quote arrives."""
        out: list[Intent] = []
        for name in ctx.open():
            index = ctx.index(name)
            if index is not None:
                out += self._decide(ctx, name, index, float(ctx.features.row(index) @ self._weights))
        return out

    def _decide(self, ctx: Context, name: str, index: int, signal: float) -> list[Intent]:
        """What to do with a symbol; signal: -1..1, half the averaged flow, half the lean of the sizes at the touch."""
        working = ctx.working(name)
        if working:
            return [
                Cancel(symbol=name, client_id=o.client_id)
                for o in working
                if o.tag == "quote"
                and o.state.name in ("WORKING", "PARTIAL")
                and ctx.now_ns - o.since_ns > self.quote_ns
            ]
        quote, rules = ctx.quote(name), ctx.rules(name)
        if quote is None or rules is None:
            return []
        position, resting = ctx.position(name), ctx.now_ns < self._next_ns[index]
        if position:
            entered_ns = self._entered_ns.setdefault(name, ctx.now_ns)
            turned = signal * position.sign() < -self.threshold
            if resting or not (turned or ctx.now_ns - entered_ns > self.hold_ns):
                return []
            self._next_ns[index] = ctx.now_ns + self.pause_ns
            side = Side.SELL if position.sign() > 0 else Side.BUY
            return [_take(name, side, min(abs(position), _qty_max(rules)), quote, "exit", reduce_only=True)]
        self._entered_ns.pop(name, None)
        if resting:
            return []
        self._next_ns[index] = ctx.now_ns + self.pause_ns
        side = Side.BUY if signal > 0 else Side.SELL
        qty = _size(self.notional, quote.ask, rules)
        if abs(signal) >= self.threshold:
            return [_take(name, side, qty, quote, "entry")]
        if not self.quote_ns:
            return []
        price = quote.bid if side is Side.BUY else quote.ask
        return [Place(symbol=name, side=side, qty=qty, price=price, tif=Tif.GTX, tag="quote")]


def _take(name: str, side: Side, qty: Num, quote: Quote, tag: str, *, reduce_only: bool = False) -> Place:
    price = quote.ask if side is Side.BUY else quote.bid
    return Place(symbol=name, side=side, qty=qty, price=price, tif=Tif.IOC, reduce_only=reduce_only, tag=tag)


def _qty_max(rules: Rules) -> Num:
    return rules.qty_max if rules.qty_max else Num(10**12)


def _size(notional: Num, price: Num, rules: Rules) -> Num:
    """Smallest number of lots worth at least `notional` and the venue's minimum (with 2 % to spare)."""
    floor = rules.min_notional * Num(102, 2)
    wanted = max(notional, floor).div_floor(price, 12)
    lot = rules.lot if rules.lot else Num(1, rules.qty_exp)
    return max(wanted.floor_to(lot) + lot, rules.qty_min)
