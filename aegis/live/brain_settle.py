"""Settling what is not known of an order: questions to the venue, paced, until evidence ends the doubt.

Problem: an answer may be lost after the order arrived, and so may a report of the stream. So an order that says nothing
for longer than it should is asked about, and only evidence settles it: an event, a query, or -2013 repeated after
recvWindow and margin with openOrders agreeing (PROTOCOL 5.7).
What must stay true: one question about an order at a time; an order is ended as absent only by proof.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aegis.errors import AegisError, VenueError
from aegis.messages import Cancel, OrderStep, Place, Tif
from aegis.orders.book import Order
from aegis.orders.ids import PREFIX
from aegis.orders.states import Event, State
from aegis.units import ZERO
from aegis.venue.report import order_from_rest

MS = 1_000_000
ASK_FIRST_NS = 1_000 * MS
ASK_NS_MAX = 5_000 * MS
AUDIT_NS = 30_000 * MS
MARGIN_NS = 2_000 * MS
ABSENT_ANSWERS = 3
SEND_S = 3.0
PASS_NS = 10_000 * MS  # a pass of reconciliation may have looked so long before its end
_GONE = -2013


class Asking:
    """How an order's questioning stands."""

    __slots__ = ("absent", "at_ns", "busy", "pause_ns")

    def __init__(self, at_ns: int) -> None:
        self.at_ns, self.pause_ns, self.absent, self.busy = at_ns, ASK_FIRST_NS, 0, False


class Settler:
    """
    Questions about the orders of an Entry.

    Args:
        entry: whose orders; its `rest` is asked and its `event` and `take` are told.
        proof_ns: age from which -2013 may prove absence.

    Attributes:
        unseen: symbol -> client id -> (order with fills that an answer told of and no trade yet, when the newest was).
    """

    def __init__(self, entry: Any, proof_ns: int) -> None:
        self._entry, self._proof_ns = entry, proof_ns
        self._asking: dict[str, Asking] = {}
        self._held: set[str] = set()
        self.unseen: dict[str, dict[str, tuple[Order, int]]] = {}

    def ask(self, client_id: str, at_ns: int) -> None:
        """Ask about this order from `at_ns` on."""
        self._asking[client_id] = Asking(at_ns)

    def ask_all(self) -> None:
        """The private channel was away: ask about every unfinished order now."""
        now = self._entry.clock.now_ns()
        for client_id in self._entry.orders.live:
            self._asking.setdefault(client_id, Asking(now)).at_ns = now

    def hold(self, client_id: str) -> None:
        """It is still being sent: until `release` its absence proves nothing."""
        self._held.add(client_id)

    def release(self, client_id: str) -> None:
        """Its sending has ended."""
        self._held.discard(client_id)

    def forget(self, client_id: str) -> None:
        """The order has ended."""
        self._asking.pop(client_id, None)
        self._held.discard(client_id)

    def settle(self) -> None:
        """Send the questions that are due."""
        entry = self._entry
        if not entry.orders.live and not self.unseen:
            return
        now = entry.clock.now_ns()
        for order in list(entry.orders.live.values()):
            if order.client_id in self._held:
                continue
            asking = self._asking.get(order.client_id)
            if asking is None:
                asking = self._asking[order.client_id] = Asking(order.since_ns + _patience(order))
            if not asking.busy and now >= asking.at_ns:
                asking.busy = True
                entry.spawn(self._ask(order, asking))
        for symbol, orders in list(self.unseen.items()):
            for client_id, (order, _) in list(orders.items()):
                if sum(order.trades.values(), ZERO) >= order.filled:
                    del orders[client_id]
            if not orders:
                del self.unseen[symbol]
                entry.touched.add(symbol)

    def told(self, order: Order) -> None:
        """An answer was the first to tell of a fill of this order: it is no longer open, and not yet position."""
        self.unseen.setdefault(order.symbol, {})[order.client_id] = (order, self._entry.clock.now_ns())
        self._entry.touched.add(order.symbol)

    def untold(self, symbol: str, reconciled_ns: int) -> bool:
        """Whether a fill is missing here that the pass which ended then need not have seen."""
        orders = self.unseen.get(symbol, {})
        return any(told_ns + PASS_NS >= reconciled_ns for _, told_ns in orders.values())

    async def leftovers(self) -> None:
        """Book and cancel what an earlier brain left open on the venue, and ask about all that is recorded."""
        entry = self._entry
        async with asyncio.timeout(SEND_S):
            rows = await entry.rest.get("/fapi/v1/openOrders", {}, signed=True)
        ours = entry.desk.encoder.client_id.rpartition("-")[0] + "-"
        for row in rows:
            name = row.get("clientOrderId", "")
            if name.startswith(PREFIX) and not name.startswith(ours):
                self._adopt(name, row)
                entry.spawn(entry.cancel_slowly(Cancel(symbol=row["symbol"], client_id=name)))
        self.ask_all()
        entry.tidy = True

    def _adopt(self, name: str, row: dict[str, Any]) -> None:
        """An open order that no ring remembers counts like any other until it ends."""
        entry = self._entry
        if entry.orders.get(name) is not None:
            return
        news = order_from_rest(row)
        place = Place(
            symbol=news.symbol, side=news.side, qty=news.qty, price=news.price, type=news.type, tif=news.tif,
            reduce_only=news.reduce_only,
        )  # fmt: skip
        entry.orders.add(name, place, entry.clock.now_ns()).cumulative = news.filled_qty
        entry.event(name, Event.LOST)
        entry.apply(news)

    async def _ask(self, order: Order, asking: Asking) -> None:
        entry = self._entry
        query = {"symbol": order.symbol, "origClientOrderId": order.client_id}
        try:
            async with asyncio.timeout(SEND_S):
                answer = await entry.rest.get("/fapi/v1/order", query, signed=True)
            asking.absent = 0
            entry.take(answer)
        except VenueError as e:
            if e.code == _GONE:
                await self._absent(order, asking)
        except (AegisError, TimeoutError, OSError) as e:
            entry.log.warn("order query failed", order=order.client_id, why=repr(e))
        finally:
            asking.busy = False
            settled = order.state in (State.WORKING, State.PARTIAL)
            asking.pause_ns = min(asking.pause_ns * 3 // 2, ASK_NS_MAX)
            asking.at_ns = entry.clock.now_ns() + (_patience(order) if settled else asking.pause_ns)

    async def _absent(self, order: Order, asking: Asking) -> None:
        """-2013 again: proof only late, repeated, and when openOrders agrees."""
        entry = self._entry
        if order.client_id in self._held:
            return
        asking.absent += 1
        if order.state is not State.UNKNOWN:
            entry.event(order.client_id, Event.CANCEL_DOUBT if order.state is State.CANCEL_SENT else Event.LOST)
        if asking.absent < ABSENT_ANSWERS or entry.clock.now_ns() - order.since_ns < self._proof_ns:
            return
        rows = await entry.rest.get("/fapi/v1/openOrders", {"symbol": order.symbol}, signed=True)
        if all(row.get("clientOrderId") != order.client_id for row in rows) and not order.filled:
            entry.event(order.client_id, Event.ABSENT, OrderStep.SETTLED, _GONE)


def _patience(order: Order) -> int:
    """How long an order may say nothing before it is asked about."""
    if order.state in (State.WORKING, State.PARTIAL) and order.tif in (Tif.GTC, Tif.GTX, Tif.GTD):
        return AUDIT_NS
    return ASK_FIRST_NS if order.state is not State.SENT else int(SEND_S * 1e9) + ASK_FIRST_NS
