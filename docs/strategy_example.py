"""A strategy of one's own, from start to end: follow strong order flow in, leave by a trigger that waits in C.

Name it in the settings (`brain.strategy = "strategy_example:Follow"`, this directory on PYTHONPATH) and run
`aegis up`. It shows the interface; it is no advice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aegis.messages import Intent, OrderStatus, OrderUpdate, Place, Side, Tif
from aegis.native.desk import Ended
from aegis.native.features import weights
from aegis.strategy.base import Context
from aegis.units import Num

SECOND_NS = 1_000_000_000


class Follow:
    """
    Parameters (brain.params): qty, decimal text; threshold, strength of signal that enters (0 to 1); hold_s.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.qty = Num.parse(str(params.get("qty", "0.01")))
        self.threshold = float(params.get("threshold", 0.6))
        self.hold_ns = int(params.get("hold_s", 10)) * SECOND_NS
        self.signal = weights(flow_1s=0.6, trade_flow_1s=0.4)

    def on_batch(self, ctx: Context, batch: Any) -> Sequence[Intent]:
        """One vector operation over the symbols that changed; Python only for those that stand out."""
        strong = ctx.changed[(ctx.rows @ self.signal) > self.threshold]
        return [place for index in strong.tolist() for place in self._enter(ctx, ctx.name(index))]

    def _enter(self, ctx: Context, name: str) -> list[Intent]:
        quote = ctx.quote(name)  # exact, and None unless it may be traded on
        if quote is None or ctx.position(name) or ctx.working(name):
            return []
        return [Place(symbol=name, side=Side.BUY, qty=self.qty, price=quote.ask, tif=Tif.IOC, tag="enter")]

    def on_order(self, ctx: Context, update: OrderUpdate) -> Sequence[Intent]:
        """Bought: leave as soon as the best bid falls below what was paid; the order lies ready in C."""
        rules = ctx.rules(update.symbol)
        if update.status is OrderStatus.FILLED and update.side is Side.BUY and rules is not None:
            stop = update.avg_price.floor_to(rules.tick) - rules.tick
            leave = Place(
                symbol=update.symbol, side=Side.SELL, qty=update.filled_qty, price=stop - rules.tick, tif=Tif.IOC,
                reduce_only=True, tag="stop",
            )  # fmt: skip
            ctx.arm(leave, Side.BUY, stop, ctx.now_ns + self.hold_ns)
        return []

    def on_trigger(self, ctx: Context, ended: Ended) -> Sequence[Intent]:
        """The stop is over, fired or not: whatever is still held is sold now."""
        return self._leave(ctx, ended.place.symbol)

    def on_timer(self, ctx: Context) -> Sequence[Intent]:
        """Time does nothing here: the stop has its own hour."""
        return []

    def _leave(self, ctx: Context, name: str) -> list[Intent]:
        quote, held = ctx.quote(name), ctx.position(name)
        if quote is None or held.sign() <= 0 or ctx.working(name):
            return []
        return [Place(symbol=name, side=Side.SELL, qty=held, price=quote.bid, tif=Tif.IOC, reduce_only=True)]
