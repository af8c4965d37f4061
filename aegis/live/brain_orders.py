"""Orders on their way: recorded, sent, answered, asked about, settled.

Problem: an answer may be lost after the order arrived. So the INTENT record is in the ring before the first byte
leaves, an unanswered order is UNKNOWN (never sent again), and only evidence settles it: an event, a query, or -2013
repeated after recvWindow and margin with openOrders agreeing (PROTOCOL 5.7).
What must stay true: WebSocket API first; REST only when the frame was certainly not written; every change of state is
a record; a contradiction halts the symbol, not the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from aegis.errors import AegisError, IllegalTransition, RateLimited, Unreachable, VenueError
from aegis.live.clock import Clock
from aegis.live.log import Log
from aegis.messages import Cancel, Halt, OrderRecord, OrderStep, OrderUpdate, Place, Refusal, Tif, TradeLite
from aegis.native import orders as wire
from aegis.orders.book import Order, WorkingOrders
from aegis.orders.ids import PREFIX, ClientIds
from aegis.orders.states import Event, State
from aegis.units import ZERO
from aegis.venue.report import order_from_rest
from aegis.venue.request import cancel_params, order_params

MS = 1_000_000
ASK_FIRST_NS = 1_000 * MS
ASK_NS_MAX = 5_000 * MS
AUDIT_NS = 30_000 * MS
MARGIN_NS = 2_000 * MS
ABSENT_ANSWERS = 3
SEND_S = 3.0
_IN_DOUBT = {-1006, -1007, -4116}
_GONE = -2013
_STEP_OF = {State.UNKNOWN: OrderStep.UNKNOWN, State.SENT: OrderStep.SENT, State.CANCEL_SENT: OrderStep.CANCEL_SENT}


class Asking:
    """How an order's questioning stands."""

    __slots__ = ("absent", "at_ns", "busy", "pause_ns")

    def __init__(self, at_ns: int) -> None:
        self.at_ns, self.pause_ns, self.absent, self.busy = at_ns, ASK_FIRST_NS, 0, False


class Entry:
    """
    All traffic about orders.

    Args:
        rest, ws: clients; recv_window_ms: of signed requests; ring: writer of the orders ring (set before the first
            order when it is opened later).
    """

    def __init__(
        self, rest: Any, ws: Any, ids: ClientIds, recv_window_ms: int, *, clock: Clock, log: Log, ring: Any = None
    ) -> None:
        self.rest, self.ws, self.ring, self.ids, self.clock, self._log = rest, ws, ring, ids, clock, log
        self.orders = WorkingOrders()
        self.halted: dict[str, Halt] = {}
        self.unseen: dict[str, tuple[Order, int]] = {}  # symbol -> ended by a query, its fills not yet read
        self.counts = {"orders_sent": 0, "orders_acked": 0, "orders_rejected": 0, "orders_unknown": 0}
        self._proof_ns = recv_window_ms * MS + MARGIN_NS
        self._asking: dict[str, Asking] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.paused_until_ns = 0

    # -- records

    def write(self, record: OrderRecord) -> None:
        """Put a record on the orders ring."""
        self.ring.publish(wire.pack(record))

    def _changed(self, order: Order | None, step: OrderStep | None = None) -> None:
        if order is None:
            return
        if step is None:
            step = OrderStep.SETTLED if order.done else _STEP_OF.get(order.state, OrderStep.STATE)
        self.write(order.record(step, self.clock.now_ns()))
        if order.done:
            self._asking.pop(order.client_id, None)

    def _event(self, client_id: str, event: Event, step: OrderStep | None = None, reason: int = 0) -> None:
        try:
            self._changed(self.orders.event(client_id, event, self.clock.now_ns(), reason), step)
        except IllegalTransition as e:
            self._contradiction(client_id, e)

    def _contradiction(self, client_id: str, why: IllegalTransition) -> None:
        order = self.orders.get(client_id)
        symbol = order.symbol if order else ""
        self.halted[symbol] = Halt.ILLEGAL_TRANSITION
        self._log.error("symbol halted", symbol=symbol, order=client_id, why=why)

    def apply(self, news: OrderUpdate | TradeLite) -> bool:
        """News of an order from stream or query; True when it is ours and changed something."""
        try:
            order = self.orders.apply(news, self.clock.now_ns())
        except IllegalTransition as e:
            self._contradiction(news.client_id, e)
            return False
        self._changed(order)
        return order is not None

    # -- intents

    def refuse(self, place: Place, reason: Refusal) -> None:
        """Record a refusal of the gate."""
        self.write(
            OrderRecord(
                step=OrderStep.REFUSED, now_ns=self.clock.now_ns(), symbol=place.symbol, side=place.side,
                type=place.type, tif=place.tif, qty=place.qty, reason=int(reason), tag=place.tag,
                price=place.price or ZERO, reduce_only=place.reduce_only,
            )
        )  # fmt: skip

    def place(self, place: Place) -> str:
        """Record and send an accepted intent; returns its client id."""
        client_id = self.ids.take()
        order = self.orders.add(client_id, place, self.clock.now_ns())
        self._changed(order, OrderStep.INTENT)
        self.spawn(self._send(client_id, order_params(place, client_id)))
        return client_id

    def cancel(self, cancel: Cancel) -> None:
        """Ask for the end of an unfinished order of ours; others are ignored."""
        order = self.orders.live.get(cancel.client_id)
        if order is None or order.state in (State.CANCEL_SENT, State.INTENT, State.SENT):
            return
        self._event(cancel.client_id, Event.CANCEL, OrderStep.CANCEL_SENT)
        self.spawn(self._cancel(cancel))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run beside the loop; errors nobody expected are logged."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._log.error("order task failed", why=repr(task.exception()))

    async def _send(self, client_id: str, params: dict[str, Any]) -> None:
        self._event(client_id, Event.SEND)
        self.counts["orders_sent"] += 1
        try:
            answer = await self._call("order.place", params, self.rest.post)
        except VenueError as e:
            if e.code in _IN_DOUBT:
                self._lost(client_id)
                return
            self.counts["orders_rejected"] += 1
            self._event(client_id, Event.REJECT, OrderStep.REJECTED, e.code)
        except RateLimited as e:
            self.paused_until_ns = self.clock.now_ns() + int(e.retry_after_s * 1e9)
            self._event(client_id, Event.REJECT, OrderStep.REJECTED, 429)
        except Unreachable:
            self._event(client_id, Event.UNSENT, OrderStep.REJECTED)
        except (AegisError, TimeoutError, OSError):
            self._lost(client_id)
        else:
            self.counts["orders_acked"] += 1
            self._event(client_id, Event.ACK, OrderStep.ACKED)
            self._take(answer)

    async def _call(self, method: str, params: dict[str, Any], rest_call: Any) -> Any:
        """WebSocket API; REST when the frame was not written."""
        if self.ws.ready:
            try:
                return await self.ws.call(method, params, SEND_S)
            except Unreachable:
                pass
        essential = method == "order.cancel" or "reduceOnly" in params
        return await rest_call("/fapi/v1/order", params, signed=True, timeout_s=SEND_S, essential=essential)

    def _lost(self, client_id: str) -> None:
        self.counts["orders_unknown"] += 1
        self._asking[client_id] = Asking(self.clock.now_ns() + ASK_FIRST_NS)
        self._event(client_id, Event.LOST)

    async def _cancel(self, cancel: Cancel) -> None:
        try:
            answer = await self._call("order.cancel", cancel_params(cancel), self.rest.delete)
        except (AegisError, TimeoutError, OSError):
            self._asking[cancel.client_id] = Asking(self.clock.now_ns())
            self._event(cancel.client_id, Event.CANCEL_DOUBT)
        else:
            self._take(answer)

    def _take(self, answer: Any) -> None:
        """An answer that shows the order is news like any other; what cannot be read is left to the stream."""
        try:
            self.apply(order_from_rest(answer))
        except (AegisError, KeyError, TypeError):
            self._log.warn("answer without an order")

    # -- settlement

    def ask_all(self) -> None:
        """The private channel was away: ask about every unfinished order now."""
        now = self.clock.now_ns()
        for client_id in self.orders.live:
            self._asking.setdefault(client_id, Asking(now)).at_ns = now

    def settle(self) -> None:
        """Send the questions that are due; call it every turn or timer."""
        now = self.clock.now_ns()
        for order in list(self.orders.live.values()):
            asking = self._asking.get(order.client_id)
            if asking is None:
                asking = self._asking[order.client_id] = Asking(order.since_ns + _patience(order))
            if not asking.busy and now >= asking.at_ns:
                asking.busy = True
                self.spawn(self._ask(order, asking))
        for symbol, (order, _) in list(self.unseen.items()):
            if sum(order.trades.values(), ZERO) >= order.filled:
                del self.unseen[symbol]

    async def _ask(self, order: Order, asking: Asking) -> None:
        query = {"symbol": order.symbol, "origClientOrderId": order.client_id}
        try:
            async with asyncio.timeout(SEND_S):
                answer = await self.rest.get("/fapi/v1/order", query, signed=True)
            asking.absent = 0
            self._take(answer)
            if order.done and order.filled > sum(order.trades.values(), ZERO):
                self.unseen[order.symbol] = (order, self.clock.now_ns())
        except VenueError as e:
            if e.code == _GONE:
                await self._absent(order, asking)
        except (AegisError, TimeoutError, OSError) as e:
            self._log.warn("order query failed", order=order.client_id, why=repr(e))
        finally:
            asking.busy = False
            settled = order.state in (State.WORKING, State.PARTIAL)
            asking.pause_ns = min(asking.pause_ns * 3 // 2, ASK_NS_MAX)
            asking.at_ns = self.clock.now_ns() + (_patience(order) if settled else asking.pause_ns)

    async def _absent(self, order: Order, asking: Asking) -> None:
        """-2013 again: proof only late, repeated, and when openOrders agrees."""
        asking.absent += 1
        if order.state is not State.UNKNOWN:
            self._event(order.client_id, Event.CANCEL_DOUBT if order.state is State.CANCEL_SENT else Event.LOST)
        if asking.absent < ABSENT_ANSWERS or self.clock.now_ns() - order.since_ns < self._proof_ns:
            return
        rows = await self.rest.get("/fapi/v1/openOrders", {"symbol": order.symbol}, signed=True)
        if all(row.get("clientOrderId") != order.client_id for row in rows) and not order.filled:
            self._event(order.client_id, Event.ABSENT, OrderStep.SETTLED, _GONE)

    # -- start and stop

    async def leftovers(self) -> None:
        """Cancel what an earlier brain left working on the venue, and ask about all that is recorded."""
        async with asyncio.timeout(SEND_S):
            rows = await self.rest.get("/fapi/v1/openOrders", {}, signed=True)
        for row in rows:
            name = row.get("clientOrderId", "")
            if name.startswith(PREFIX):
                self.spawn(self._cancel(Cancel(symbol=row["symbol"], client_id=name)))
        self.ask_all()

    async def cancel_all(self, symbols: set[str]) -> None:
        """REST cancel-all per symbol; refusals and silence are logged, the rest goes on."""

        async def one(symbol: str) -> None:
            try:
                await self.rest.delete("/fapi/v1/allOpenOrders", {"symbol": symbol}, signed=True, essential=True)
            except (AegisError, OSError) as e:
                self._log.warn("cancel-all failed", symbol=symbol, why=repr(e))

        await asyncio.gather(*(one(s) for s in symbols))

    async def pending(self, seconds: float) -> None:
        """Wait for sends that are on their way; then end what remains."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    def drop(self) -> None:
        """End all tasks."""
        for task in self._tasks:
            task.cancel()


def _patience(order: Order) -> int:
    """How long an order may say nothing before it is asked about."""
    if order.state in (State.WORKING, State.PARTIAL) and order.tif in (Tif.GTC, Tif.GTX, Tif.GTD):
        return AUDIT_NS
    return ASK_FIRST_NS if order.state is not State.SENT else int(SEND_S * 1e9) + ASK_FIRST_NS
