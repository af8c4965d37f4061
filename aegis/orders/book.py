"""Working orders: what we asked for, what became of it, and how much of it may still fill.

Problem: one fill is told up to three times (TRADE_LITE, ORDER_TRADE_UPDATE, a query), in any order and before the ack.
So a fill counts once by trade id, cumulative quantities only grow, and the state follows the table in states.py.
What must stay true: an UNKNOWN order counts in full; a terminal order counts nothing; events for ids that are not ours
are ignored here (the position is moved elsewhere).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from aegis.messages import OrderRecord, OrderStep, OrderType, OrderUpdate, Place, Side, Tif, TradeLite
from aegis.orders.states import TERMINAL, Event, State, event_of, step
from aegis.units import ZERO, Num

DONE_KEPT = 4096


@dataclass(slots=True)
class Order:
    """One order of ours. `since_ns`: when it entered `state`; `told_ns`: venue time of the newest report of size."""

    client_id: str
    symbol: str
    side: Side
    type: OrderType
    tif: Tif
    qty: Num
    price: Num
    reduce_only: bool = False
    tag: str = ""
    state: State = State.INTENT
    order_id: int = 0
    reason: int = 0
    since_ns: int = 0
    cumulative: Num = ZERO
    told_ns: int = 0
    trades: dict[int, Num] = field(default_factory=dict)

    @property
    def filled(self) -> Num:
        """Filled quantity known by any way."""
        return max(self.cumulative, sum(self.trades.values(), ZERO))

    @property
    def open_qty(self) -> Num:
        """What may still fill; 0 once terminal."""
        return ZERO if self.state in TERMINAL else max(self.qty - self.filled, ZERO)

    @property
    def done(self) -> bool:
        """True in a terminal state."""
        return self.state in TERMINAL

    def record(self, what: OrderStep, now_ns: int) -> OrderRecord:
        """This order as an orders-ring record."""
        return OrderRecord(
            step=what, now_ns=now_ns, client_id=self.client_id, symbol=self.symbol, side=self.side, type=self.type,
            tif=self.tif, reduce_only=self.reduce_only, state=int(self.state), reason=self.reason,
            order_id=self.order_id, qty=self.qty, price=self.price, filled_qty=self.filled, tag=self.tag,
        )  # fmt: skip


@dataclass(slots=True)
class Exposure:
    """Quantities that may still fill, per direction; the reduce-only part of each; how many orders."""

    buy: Num = ZERO
    sell: Num = ZERO
    buy_reduce: Num = ZERO
    sell_reduce: Num = ZERO
    count: int = 0


class WorkingOrders:
    """All orders of this process and the unfinished ones of earlier ones."""

    def __init__(self) -> None:
        self.live: dict[str, Order] = {}
        self.done: OrderedDict[str, Order] = OrderedDict()

    def get(self, client_id: str) -> Order | None:
        """An order of ours, finished or not; None when it is not (or no longer) known."""
        return self.live.get(client_id) or self.done.get(client_id)

    def add(self, client_id: str, place: Place, now_ns: int) -> Order:
        """Take an accepted intent; its state is INTENT."""
        order = Order(
            client_id, place.symbol, place.side, place.type, place.tif, place.qty, place.price or ZERO,
            place.reduce_only, place.tag, since_ns=now_ns,
        )  # fmt: skip
        self.live[client_id] = order
        return order

    def event(self, client_id: str, event: Event, now_ns: int, reason: int = 0) -> Order | None:
        """
        Something happened on our side or in an answer. Returns the order when its state changed.

        Raises:
            IllegalTransition: from the table.
        """
        order = self.get(client_id)
        if order is None:
            return None
        after = step(order.state, event)
        if reason:
            order.reason = reason
        if after is order.state:
            return None
        order.state, order.since_ns = after, now_ns
        self._file(order)
        return order

    def apply(self, news: OrderUpdate | TradeLite, now_ns: int) -> Order | None:
        """
        Fold a stream event or query answer. Returns the order when anything changed.

        Raises:
            IllegalTransition: from the table.
        """
        order = self.get(news.client_id)
        if order is None or order.symbol != news.symbol:
            return None
        before = (order.state, order.filled, order.order_id, order.qty, order.price)
        order.order_id = order.order_id or news.order_id
        if news.trade_id and news.last_qty:
            order.trades.setdefault(news.trade_id, news.last_qty)
        if isinstance(news, OrderUpdate):
            order.cumulative = max(order.cumulative, news.filled_qty)
            if news.exch_ns >= order.told_ns and news.qty:  # another hand may have amended it
                order.told_ns, order.qty, order.price = news.exch_ns, news.qty, news.price
            event = event_of(news.status)
            if event is not None:
                self.event(order.client_id, event, now_ns)
        after = (order.state, order.filled, order.order_id, order.qty, order.price)
        return order if before != after else None

    def exposure(self, symbol: str) -> Exposure:
        """What may still fill on `symbol`; UNKNOWN in full."""
        out = Exposure()
        for order in self.live.values():
            if order.symbol != symbol:
                continue
            out.count += 1
            rest = order.open_qty
            if order.side is Side.BUY:
                out.buy += rest
                out.buy_reduce += rest if order.reduce_only else ZERO
            else:
                out.sell += rest
                out.sell_reduce += rest if order.reduce_only else ZERO
        return out

    def of(self, symbol: str) -> list[Order]:
        """Unfinished orders of `symbol`, oldest first."""
        return [o for o in self.live.values() if o.symbol == symbol]

    def recover(self, records: Iterable[OrderRecord], now_ns: int) -> list[Order]:
        """
        Rebuild from the orders ring of an earlier process; what is unfinished becomes UNKNOWN, to be asked about.

        Returns:
            The unfinished orders.
        """
        for r in records:
            if not r.client_id or r.step in (OrderStep.TURN, OrderStep.REFUSED):
                continue
            order = self.get(r.client_id)
            if order is None:
                order = Order(r.client_id, r.symbol, r.side, r.type, r.tif, r.qty, r.price, r.reduce_only, r.tag)
                self.live[r.client_id] = order
            order.state = State(r.state) if r.state else order.state
            order.order_id = r.order_id or order.order_id
            order.cumulative = max(order.cumulative, r.filled_qty)
            self._file(order)
        for order in self.live.values():
            order.state, order.since_ns = State.UNKNOWN, now_ns
        return list(self.live.values())

    def _file(self, order: Order) -> None:
        if not order.done:
            return
        self.live.pop(order.client_id, None)
        self.done[order.client_id] = order
        while len(self.done) > DONE_KEPT:
            self.done.popitem(last=False)
