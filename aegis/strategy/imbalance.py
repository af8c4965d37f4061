"""Order-flow imbalance with micro-price: an honest example, not a promise of profit.

Idea: when buyers add at the bid faster than sellers at the ask, and the size-weighted price leans above the middle, the
next move is a little more often up. Entries take the touch with a small IOC order; without a strong signal a post-only
quote may rest at the bid or ask. Positions are closed by a reduce-only IOC after `hold_ms`, or when the signal turns.
What must stay true: at most one unfinished order per symbol, at most one entry's size of position; the signal may be
float, prices and sizes never are.

Parameters (brain.params):
    notional        quote money per entry, decimal text                         "150"
    threshold       strength of signal (-1..1) that opens                       0.15
    decay           weight of the newest quote in the flow average (0..1)       0.2
    hold_ms         longest time a position is held                             1500
    pause_ms        least time between two entries on a symbol                  300
    quote_ms        life of a resting post-only order; 0 quotes never           800
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aegis.messages import Cancel, Intent, OrderUpdate, Place, Rules, Side, Tif
from aegis.strategy.base import Context, Quote
from aegis.units import Num

BOOK_TICKER = 1
MS = 1_000_000


class _Flow:
    """What is remembered of one symbol."""

    __slots__ = ("acted_ns", "entered_ns", "flow", "last")

    def __init__(self) -> None:
        self.flow = 0.0
        self.last: tuple[int, int, int, int] | None = None
        self.acted_ns = 0
        self.entered_ns = 0


class Imbalance:
    """The example strategy; see the module."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.notional = Num.parse(str(params.get("notional", "150")))
        self.threshold = float(params.get("threshold", 0.15))
        self.decay = float(params.get("decay", 0.2))
        self.hold_ns = int(params.get("hold_ms", 1500)) * MS
        self.pause_ns = int(params.get("pause_ms", 300)) * MS
        self.quote_ns = int(params.get("quote_ms", 800)) * MS
        self._flows: dict[str, _Flow] = {}

    def on_batch(self, ctx: Context, batch: Any) -> Sequence[Intent]:
        """Fold quotes into the flow of each symbol, then decide once per symbol seen."""
        quotes = batch[batch["kind"] == BOOK_TICKER]
        touched = []
        for row in quotes[["symbol", "a", "b", "c", "d"]].tolist():
            name = ctx.name(row[0])
            self._fold(name, row[1:])
            touched.append(name)
        out: list[Intent] = []
        for name in dict.fromkeys(touched):
            out += self._decide(ctx, name)
        return out

    def on_order(self, ctx: Context, update: OrderUpdate) -> Sequence[Intent]:  # noqa: ARG002  # protocol
        """The next quote decides; nothing to do at once."""
        return []

    def on_timer(self, ctx: Context) -> Sequence[Intent]:
        """Close what was held long enough, also when no quote arrives."""
        out: list[Intent] = []
        for name in ctx.symbols:
            if ctx.position(name) or ctx.working(name):
                out += self._decide(ctx, name)
        return out

    def _fold(self, name: str, now: tuple[int, int, int, int]) -> None:
        flow = self._flows.setdefault(name, _Flow())
        bid, bid_qty, ask, ask_qty = now
        if flow.last is not None:
            bid0, bid_qty0, ask0, ask_qty0 = flow.last
            bought = (bid_qty if bid >= bid0 else 0) - (bid_qty0 if bid <= bid0 else 0)
            sold = (ask_qty if ask <= ask0 else 0) - (ask_qty0 if ask >= ask0 else 0)
            scale = max(bid_qty + ask_qty, bid_qty0 + ask_qty0, 1)
            flow.flow += self.decay * (max(-1.0, min(1.0, (bought - sold) / scale)) - flow.flow)
        flow.last = now

    def _signal(self, flow: _Flow, quote: Quote) -> float:
        """-1..1: half the averaged flow, half the lean of the micro-price (size imbalance at the touch)."""
        e = max(quote.bid_qty.e, quote.ask_qty.e)
        bid, ask = quote.bid_qty.at(e), quote.ask_qty.at(e)
        return 0.5 * flow.flow + 0.5 * (bid - ask) / max(bid + ask, 1)

    def _decide(self, ctx: Context, name: str) -> list[Intent]:
        flow = self._flows.setdefault(name, _Flow())
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
        signal, position = self._signal(flow, quote), ctx.position(name)
        if position:
            if not flow.entered_ns:
                flow.entered_ns = ctx.now_ns
            turned = signal * position.sign() < -self.threshold
            old = ctx.now_ns - flow.entered_ns > self.hold_ns
            if ctx.now_ns - flow.acted_ns < self.pause_ns or not (turned or old):
                return []
            flow.acted_ns = ctx.now_ns
            side = Side.SELL if position.sign() > 0 else Side.BUY
            return [_take(name, side, min(abs(position), _qty_max(rules)), quote, "exit", reduce_only=True)]
        flow.entered_ns = 0
        if ctx.now_ns - flow.acted_ns < self.pause_ns:
            return []
        flow.acted_ns = ctx.now_ns
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
