"""Orders on their way: placed by the desk in C, then followed: recorded, answered, asked about, settled.

Problem: an answer may be lost after the order arrived. So the INTENT record is in the ring before the first byte leaves
(the desk's law), an unanswered order is UNKNOWN (never sent again), and only evidence settles it (brain_settle.py). And
what is written down about an order must not stand before the bytes of the next: the desk sends first, this follows.
What must stay true: WebSocket API first; REST only when the frame was certainly not written; an order is sent once more
only under its own id and only after the venue refused its timestamp, which proves that it was not executed; every
change of state is a record; a contradiction halts the symbol, not the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import msgspec

from aegis.errors import AegisError, IllegalTransition, Inexact, RateLimited, Unreachable, VenueError
from aegis.limits import ORDERS_SLOTS
from aegis.live.brain_settle import ASK_FIRST_NS, MARGIN_NS, MS, SEND_S, Settler
from aegis.live.clock import Clock
from aegis.live.log import Log
from aegis.messages import Cancel, Halt, OrderRecord, OrderStep, OrderUpdate, Place, Refusal, TradeLite
from aegis.native import orders as wire
from aegis.native.desk import Placed, Sent
from aegis.native.gate import tag_of
from aegis.orders.book import Order, WorkingOrders
from aegis.orders.states import Event, State
from aegis.units import ZERO
from aegis.venue.errors import CLOCK_CODE
from aegis.venue.report import order_from_rest
from aegis.venue.request import cancel_params, order_params

SEND_NS = int(SEND_S * 1e9)
_IN_DOUBT = {-1006, -1007, -4116}
SAID_AGAIN = ORDERS_SLOTS // 4  # records after which every unfinished order stands on the ring anew
SYMBOL_CHARS = 24  # of a refused intent's; no venue's is longer
_CANCEL = "c-"  # an answer's name: of the cancel of the order behind it
_STEP_OF = {State.UNKNOWN: OrderStep.UNKNOWN, State.SENT: OrderStep.SENT, State.CANCEL_SENT: OrderStep.CANCEL_SENT}


@dataclass(slots=True)
class Flight:
    """A message written whose answer is awaited until `due_ns` (monotonic); `place` None for a cancel."""

    client_id: str
    place: Place | None
    written_ns: int
    due_ns: int


class Entry:
    """
    All traffic about orders.

    Args:
        rest, ws: clients; recv_window_ms: of signed requests; ring: writer of the orders ring (set before the first
            order when it is opened later).

    Attributes:
        desk: places orders; set before the first one.
        touched: symbols of which something changed that the gate has to be told.
        accepted: the gate's number of the newest order that these books hold.
        tidy: whether what earlier brains left open on the venue is in these books.
        acknowledged: called with the ns from an order's last byte to its answer.
    """

    def __init__(self, rest: Any, ws: Any, recv_window_ms: int, *, clock: Clock, log: Log, ring: Any = None) -> None:
        self.rest, self.ws, self.ring, self.clock, self.log = rest, ws, ring, clock, log
        self.desk: Any = None
        self.orders = WorkingOrders()
        self.settler = Settler(self, recv_window_ms * MS + MARGIN_NS)
        self.halted: dict[str, Halt] = {}
        self.touched: set[str] = set()
        self.counts = {"orders_sent": 0, "orders_acked": 0, "orders_rejected": 0, "orders_unknown": 0}
        self.paused_until_ns, self.accepted, self.tidy = 0, 0, False
        self.acknowledged: Callable[[int], None] = lambda _ns: None
        self._flights: dict[str, Flight] = {}  # by the answer's name, in the order of their writing
        self._landed = asyncio.Event()
        self._said_again = 0
        self._tasks: set[asyncio.Task[None]] = set()

    # -- records

    def write(self, record: OrderRecord) -> None:
        """Put a record on the orders ring; what is unfinished is said again before the ring could forget it."""
        newest = self.ring.publish(wire.pack(record))
        if newest - self._said_again >= SAID_AGAIN:
            self._said_again = newest
            for order in self.orders.live.values():
                self.ring.publish(wire.pack(order.record(OrderStep.STATE, self.clock.now_ns())))

    def _changed(self, order: Order | None, step: OrderStep | None = None) -> None:
        if order is None:
            return
        if step is None:
            step = OrderStep.SETTLED if order.done else _STEP_OF.get(order.state, OrderStep.STATE)
        self.touched.add(order.symbol)
        self.write(order.record(step, self.clock.now_ns()))
        if order.done:
            self.settler.forget(order.client_id)

    def event(self, client_id: str, event: Event, step: OrderStep | None = None, reason: int = 0) -> None:
        """Something happened to an order, on our side or in an answer."""
        try:
            self._changed(self.orders.event(client_id, event, self.clock.now_ns(), reason), step)
        except IllegalTransition as e:
            self._contradiction(client_id, e)

    def _contradiction(self, client_id: str, why: IllegalTransition) -> None:
        order = self.orders.get(client_id)
        symbol = order.symbol if order else ""
        self.halted[symbol] = Halt.ILLEGAL_TRANSITION
        self.touched.add(symbol)
        self.log.error("symbol halted", symbol=symbol, order=client_id, why=why)

    def apply(self, news: OrderUpdate | TradeLite) -> bool:
        """News of an order from stream or query; True when it is ours and changed something."""
        try:
            order = self.orders.apply(news, self.clock.now_ns())
        except IllegalTransition as e:
            self._contradiction(news.client_id, e)
            return False
        self._changed(order)
        return order is not None

    def take(self, answer: Any) -> None:
        """
        An answer that shows the order is news like any other; what cannot be read is left to the stream. A fill it is
        the first to tell of is no longer open and not yet position: no entries there until its trade or a pass is read.
        """
        try:
            news = order_from_rest(answer)
        except (AegisError, KeyError, TypeError):
            self.log.warn("answer without an order")
            return
        order = self.orders.get(news.client_id)
        before = order.filled if order is not None and not order.done else None
        self.apply(news)
        if order is None or before is None:
            return
        read = sum(order.trades.values(), ZERO)
        if order.filled > read and (order.done or order.filled > before):
            self.settler.told(order)

    # -- intents

    def follow(self, place: Place, placed: Placed) -> None:
        """Write down what the desk did with an intent; send it by REST when no byte of it left."""
        if placed.refusal is not Refusal.ACCEPTED:
            self.refuse(place, placed.refusal)
            return
        client_id = placed.client_id
        self.orders.add(client_id, place, self.clock.now_ns()).tag = tag_of(place)
        self.accepted = placed.accepted
        self.touched.add(place.symbol)
        if placed.sent is Sent.UNSENT:
            self.settler.hold(client_id)
            self.spawn(self._send(client_id, place, self._by_rest))
            return
        if placed.sent is Sent.PART:
            self.ws.kick()
        self.event(client_id, Event.SEND)
        self.counts["orders_sent"] += 1
        self._fly(client_id, client_id, place, placed.written_ns)

    def refuse(self, place: Place, reason: Refusal) -> None:
        """Record a refusal of the gate; of what no record holds, all but its numbers."""
        record = OrderRecord(
            step=OrderStep.REFUSED, now_ns=self.clock.now_ns(), symbol=place.symbol[:SYMBOL_CHARS], side=place.side,
            type=place.type, tif=place.tif, qty=place.qty, reason=int(reason), tag=tag_of(place),
            price=place.price or ZERO, reduce_only=place.reduce_only,
        )  # fmt: skip
        try:
            self.write(record)
        except Inexact:
            self.write(msgspec.structs.replace(record, qty=ZERO, price=ZERO))

    def cancel(self, cancel: Cancel) -> None:
        """Ask for the end of an unfinished order of ours; others are ignored. Its bytes leave here and now."""
        order = self.orders.live.get(cancel.client_id)
        if order is None or order.state in (State.CANCEL_SENT, State.INTENT, State.SENT):
            return
        self.event(cancel.client_id, Event.CANCEL, OrderStep.CANCEL_SENT)
        name = _CANCEL + cancel.client_id
        try:
            self.ws.send(name, "order.cancel", cancel_params(cancel))
        except Unreachable:
            self.spawn(self.cancel_slowly(cancel))
        else:
            self._fly(name, cancel.client_id, None, self.clock.now_ns())

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run beside the loop; errors nobody expected are logged."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self.log.error("order task failed", why=repr(task.exception()))

    # -- answers of what was written on the order connection

    def _fly(self, name: str, client_id: str, place: Place | None, written_ns: int) -> None:
        self._flights[name] = Flight(client_id, place, written_ns, self.clock.mono_ns() + SEND_NS)
        self._landed.clear()

    def _land(self, name: str) -> Flight | None:
        flight = self._flights.pop(name, None)
        if not self._flights:
            self._landed.set()
        return flight

    def on_answer(self, name: str, answer: dict[str, Any]) -> None:
        """The venue's answer to a message of this name; of a late one only what it shows of the order counts."""
        flight = self._land(name)
        good = answer.get("status") == 200 and "error" not in answer
        if flight is None or flight.place is None:
            if good:
                self.take(answer.get("result"))
            elif flight is not None:
                self._not_canceled(flight.client_id, answer)
            return
        self.acknowledged(self.clock.now_ns() - flight.written_ns)
        if good:
            self._acked(flight.client_id, answer.get("result"))
            return
        e = self.ws.refusal(answer, write=True)
        if isinstance(e, VenueError) and e.code == CLOCK_CODE:
            self.settler.hold(flight.client_id)
            self.spawn(self._again(flight.client_id, flight.place))
        elif isinstance(e, Unreachable):  # it was written
            self._lost(flight.client_id)
        else:
            self._failed(flight.client_id, e)

    def _not_canceled(self, client_id: str, answer: dict[str, Any]) -> None:
        """A cancel was refused; by its timestamp: again, by a measured clock, for nobody else would measure it."""
        e, order = self.ws.refusal(answer, write=True), self.orders.get(client_id)
        if isinstance(e, VenueError) and e.code == CLOCK_CODE and order is not None and not order.done:
            self.spawn(self.cancel_slowly(Cancel(symbol=order.symbol, client_id=client_id)))
        else:
            self._cancel_doubt(client_id)

    def on_state(self, conn: Any) -> None:
        """The order connection is up (conn), or gone (None): then what it carried is unknown."""
        if conn is not None:
            self.desk.clock(self.ws.clock_offset_ms)
            self.desk.link(conn, self.ws.logged_on)
            return
        self.desk.link(None)
        for name in list(self._flights):
            self._unanswered(name)

    def _unanswered(self, name: str) -> None:
        flight = self._land(name)
        if flight is not None:
            (self._cancel_doubt if flight.place is None else self._lost)(flight.client_id)

    def _acked(self, client_id: str, answer: Any) -> None:
        self.counts["orders_acked"] += 1
        self.event(client_id, Event.ACK, OrderStep.ACKED)
        self.take(answer)

    def _failed(self, client_id: str, e: BaseException) -> None:
        """What an order's refusal, or the lack of an answer, means for it."""
        if isinstance(e, VenueError) and e.code not in _IN_DOUBT:
            self.counts["orders_rejected"] += 1
            self.event(client_id, Event.REJECT, OrderStep.REJECTED, e.code)
        elif isinstance(e, RateLimited):
            self.paused_until_ns = self.clock.now_ns() + int(e.retry_after_s * 1e9)
            self.event(client_id, Event.REJECT, OrderStep.REJECTED, 429)
        elif isinstance(e, Unreachable):
            self.event(client_id, Event.UNSENT, OrderStep.REJECTED)
        else:
            self._lost(client_id)

    def _lost(self, client_id: str) -> None:
        self.counts["orders_unknown"] += 1
        self.settler.ask(client_id, self.clock.now_ns() + ASK_FIRST_NS)
        self.event(client_id, Event.LOST)

    def _cancel_doubt(self, client_id: str) -> None:
        self.settler.ask(client_id, self.clock.now_ns())
        self.event(client_id, Event.CANCEL_DOUBT)

    # -- the slow ways

    async def _send(self, client_id: str, place: Place, way: Callable[..., Any]) -> None:
        """An order of which no byte left."""
        self.event(client_id, Event.SEND)
        self.counts["orders_sent"] += 1
        await self._ask_for(client_id, place, way)

    async def _again(self, client_id: str, place: Place) -> None:
        """
        Refused by its timestamp: certainly not executed, so once more, under the same id and a measured clock; but no
        entry after a halt, and nothing whose absence was asked about meanwhile.
        """
        try:
            await self.ws.sync(SEND_S)
            self.desk.clock(self.ws.clock_offset_ms)
        except (AegisError, TimeoutError, OSError) as e:
            self.log.warn("clock not measured", why=repr(e))
        order = self.orders.get(client_id)
        if order is None or order.state is not State.SENT:
            self.settler.release(client_id)
            return
        if self.desk.gate.halted and not place.reduce_only:
            self._failed(client_id, VenueError(CLOCK_CODE, "not sent once more: halted", 400))
            return
        await self._ask_for(client_id, place, self._by_any)

    async def _ask_for(self, client_id: str, place: Place, way: Callable[..., Any]) -> None:
        try:
            answer = await way("order.place", order_params(place, client_id), self.rest.post)
        except (AegisError, TimeoutError, OSError) as e:
            self._failed(client_id, e)
        else:
            self._acked(client_id, answer)
        finally:
            self.settler.release(client_id)

    async def _by_rest(self, method: str, params: dict[str, Any], rest_call: Any) -> Any:
        essential = method == "order.cancel" or "reduceOnly" in params
        return await rest_call("/fapi/v1/order", params, signed=True, timeout_s=SEND_S, essential=essential)

    async def _by_any(self, method: str, params: dict[str, Any], rest_call: Any) -> Any:
        """WebSocket API; REST when the frame was not written."""
        if self.ws.ready:
            try:
                return await self.ws.call(method, params, SEND_S)
            except Unreachable:
                pass
            finally:
                self.desk.clock(self.ws.clock_offset_ms)  # it may have been measured
        return await self._by_rest(method, params, rest_call)

    async def cancel_slowly(self, cancel: Cancel) -> None:
        """Ask for the end of any order, by whatever way answers; doubt is asked about."""
        try:
            answer = await self._by_any("order.cancel", cancel_params(cancel), self.rest.delete)
        except (AegisError, TimeoutError, OSError):
            self._cancel_doubt(cancel.client_id)
        else:
            self.take(answer)

    def settle(self) -> None:
        """End the waiting for answers that are overdue, and send the questions that are due; call it now and then."""
        if self._flights:
            now = self.clock.mono_ns()
            for name, flight in list(self._flights.items()):
                if flight.due_ns > now:
                    break
                self._unanswered(name)
        self.settler.settle()

    # -- stop

    async def cancel_all(self, symbols: set[str]) -> None:
        """REST cancel-all per symbol; refusals and silence are logged, the rest goes on."""

        async def one(symbol: str) -> None:
            try:
                await self.rest.delete("/fapi/v1/allOpenOrders", {"symbol": symbol}, signed=True, essential=True)
            except (AegisError, OSError) as e:
                self.log.warn("cancel-all failed", symbol=symbol, why=repr(e))

        await asyncio.gather(*(one(s) for s in symbols))

    async def pending(self, seconds: float) -> None:
        """Wait for sends that are on their way and answers that are awaited, at most so long."""
        landed = asyncio.ensure_future(self._landed.wait()) if self._flights else None
        waits = {*self._tasks, *([landed] if landed else [])}
        if waits:
            await asyncio.wait(waits, timeout=seconds)
        if landed:
            landed.cancel()

    def drop(self) -> None:
        """End all tasks."""
        for task in self._tasks:
            task.cancel()
