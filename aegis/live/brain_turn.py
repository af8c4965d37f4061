"""The brain itself: account news, market, strategy, gate, orders; turn after turn, each one call of C first.

Problem: a decision must be made on all that is known, and be explainable later; and most turns decide nothing, so what
they cost is what the next decision waits for. So a turn is one step in C (wait, batch, features) and one call of the
strategy; everything else is looked at only when the step says that it is there, or a hundred times a second.
What must stay true: account news is told before the batch that came with it; the strategy touches nothing but its
Context; nothing is sent that the gate did not accept; a turn that decided anything writes its cursors, its time and the
hash of its decisions to the orders ring; a fault of the strategy or a lost record halts entries and leaves exits; a
stop leaves no order working.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any

from aegis.config import Config
from aegis.live import log
from aegis.live.brain_account import Positions
from aegis.live.brain_context import Context, ticks_of
from aegis.live.brain_loop import Collector, HotLoop
from aegis.live.brain_market import MarketView
from aegis.live.brain_orders import Entry
from aegis.live.brain_rings import Tail
from aegis.live.brain_truth import Truth
from aegis.live.clock import Clock
from aegis.live.notify import Notifier
from aegis.messages import Halt, Intent, Note, OrderRecord, OrderStep, OrderUpdate, Place, Refusal, Side, TradeLite
from aegis.native import account, turn
from aegis.native.control import ControlPage
from aegis.native.desk import Desk, End, Placed
from aegis.native.latency import HOP, LatencyPage
from aegis.native.wait import Wait
from aegis.strategy.base import load
from aegis.units import Num

STOP_S = 1.3
TOLD_NS = 1_000_000_000
NOTHING: tuple[Intent, ...] = ()
METHODS = ("on_batch", "on_order", "on_timer", "on_trigger")


class Brain:
    """Everything one turn needs; see the module."""

    def __init__(
        self, config: Config, desk: Desk, entry: Entry, page: ControlPage, clock: Clock, notifier: Notifier
    ) -> None:
        shm = config.shm_path()
        self.config, self.entry, self.desk, self.clock, self.page = config, entry, desk, clock, page
        self.block, self.log, self.notifier = page.block("brain"), log.get("brain"), notifier
        self.latency = LatencyPage(shm / "latency", create=True).block("brain")
        self.latency.begin()
        self.turns = turn.Turn(
            Wait(config.brain.wait), config.brain.timer_ms, config.brain.budget_us, lag=config.brain.conflate_lag,
            block=self.block.pointer(), hist=self.latency.block,
        )  # fmt: skip
        self.rules = {r.symbol: r for r in desk.gate.rules}
        self.market = MarketView(shm / "books", self.rules, self.turns)
        self.positions = Positions(shm / "positions.json")
        self.truth = Truth(desk.gate, self.positions, entry, self.market)
        self.ring_market, self.ring_account = Tail(shm / "market"), Tail(shm / "account", from_oldest=True)
        self.strategy = load(config.brain.strategy, config.brain.params)
        self.ctx = Context(self, config)
        self._asked = {name: getattr(self.strategy, name, self._nothing) for name in METHODS}
        if not callable(getattr(self.strategy, "on_batch", None)):
            self._asked["on_batch"] = self._ticks
        self.halted, self.stopping, self.faulted = True, False, False
        self.ended = asyncio.Event()  # stopping, and no order works any more
        self.collector: Collector | None = None
        self._resume_epoch = self.page.resume_epoch
        self._told_ns = self._over_told = 0
        self._beyond: list[bytes] = []  # what was armed, disarmed or fired in this turn, for its digest
        self.refused: dict[str, int] = {}
        self._step = turn.step
        self._listen()
        self._join()

    def _join(self) -> None:
        """Everybody is told of everybody."""
        entry, latency = self.entry, self.latency
        entry.desk = self.desk
        entry.acknowledged = lambda ns: latency.add(HOP["acknowledged"], ns)
        entry.ws.on_answer, entry.ws.on_state = self._on_answer, entry.on_state
        self.desk.hist(latency.block)
        self.desk.gate.control(self.page)
        self.turns.desk(self.desk)
        entry.touched |= {order.symbol for order in entry.orders.live.values()}  # an earlier brain's may still fill
        self.truth.push()
        self.block.progress()

    def _on_answer(self, name: str, answer: dict[str, Any]) -> None:
        self.entry.on_answer(name, answer)
        self.truth.push()

    # -- halts

    def halt(self, reason: Halt, why: str) -> None:
        """Latch: no entries until the operator resumes."""
        self.halted = True
        self.block.halt(reason)
        self.desk.disarm_all(End.HALTED)
        self.log.error("halted", reason=reason.name, why=why)

    # -- one turn

    def turn(self, until_ns: int) -> None:
        """Turns, until one leaves work for asyncio or `until_ns` (monotonic) is past. Nearly all are market only."""
        step, c, ctx, batches = self._step, self.turns.c, self.ctx, self.turns.batches
        while True:
            found = step(c, until_ns)
            if found != turn.MARKET:
                self._beside(found)
                return
            try:
                intents = self._decide(ctx, batches[c.count])
                if intents:
                    intents = list(intents)
            except Exception as e:  # whatever a user's code raises
                intents = self._fault("on_batch", e)
            if intents or self._beyond:
                self._act(intents)
                return

    def _beside(self, found: int) -> None:
        """A turn with more than market news. What may decide comes first, housekeeping after it."""
        intents: list[Intent] = []
        if found & turn.ENDED:
            intents += self._triggers()
        if found & turn.ACCOUNT:
            updates = self._account()
            self.truth.push()
            for update in updates:
                intents += self._ask("on_order", update)
        if found & turn.MARKET:
            intents += self._ask("on_batch", self.turns.batch())
            self.turns.decided()
        if intents or self._beyond:
            self._act(intents)
        if found & turn.LOOK:
            self._look()
        if found & turn.TIMER and ((intents := [*self._ask("on_timer")]) or self._beyond):
            self._act(intents)
        if self.collector is not None:
            (self.collector.idle if found & turn.IDLE else self.collector.busy)()
        if found & turn.IDLE:
            self._reserve()

    def _look(self) -> None:
        """Latch of all processes, resume, positions page, appended symbols, rings made anew, supervisor."""
        c = self.turns.c
        epoch = self.page.resume_epoch
        if epoch != self._resume_epoch:
            self._resume_epoch, self.faulted = epoch, False
            self._listen()
            self.entry.touched |= set(self.entry.halted)
            self.entry.halted.clear()
            self.block.clear_halt()
        self.halted = bool(self.page.halted())
        self.market.refresh()
        books = self.market.page
        if books is not None:
            self.desk.gate.books(books, self.market.names)
            self.desk.gate.look()
        self.ring_market.look()
        self.ring_account.look()
        market, account_ = self.ring_market.reader(), self.ring_account.reader()
        if market is not None:
            self.turns.market(market, books)
        if account_ is not None:
            self.turns.account(account_)
        self.entry.settle()
        self.truth.entries = self.entry.tidy and not self.stopping
        self.truth.look(c.now_ns)
        if self.stopping and not self.entry.orders.live:
            self.ended.set()
        self.notifier.ping(c.turns, c.mono_ns)
        if c.mono_ns - self._told_ns > TOLD_NS:
            self._told_ns = c.mono_ns
            self._tell()

    def _reserve(self) -> None:
        """Ids ahead; a disk that refuses ends entries, and leaves what is left to exits."""
        try:
            self.desk.refill()
        except OSError as e:
            if self.block.halt_reason is Halt.NONE:
                self.halt(Halt.STORE, f"no ids can be reserved: {e}")

    def _tell(self) -> None:
        """Counters and status, once a second; and ids, for under full load no moment is idle."""
        c, block = self.turns.c, self.block
        self._reserve()
        for name, value in self.entry.counts.items():
            block.set(name, value)
        block.set("market_records", c.records)
        block.set("market_lost", self.ring_market.lost_n())
        block.set("market_conflated", c.conflated)
        block.set("batches_over_budget", c.over_budget)
        block.set("batch_worst_us", c.worst_ns // 1000)
        if c.over_budget != self._over_told:
            self.log.warn("strategy over its budget", batches=c.over_budget - self._over_told,
                          budget_us=c.budget_ns // 1000, worst_us=c.worst_ns // 1000)  # fmt: skip
            self._over_told = c.over_budget
        self.notifier.status(self.status())

    def _account(self) -> list[OrderUpdate]:
        """Account records: fills move positions, reports move orders. Returns the strategy's part."""
        ours: list[OrderUpdate] = []
        before = self.ring_account.seq
        slots = self.ring_account.read()
        first = self.ring_account.seq - len(slots) + 1
        if self.ring_account.lost:
            self.ring_account.lost = False
            self.halt(Halt.LAPPED, f"account ring: records lost after {before}")
            self.entry.settler.ask_all()
        for i, slot in enumerate(slots):
            news = account.unpack(slot)
            if isinstance(news, OrderUpdate | TradeLite):
                self.positions.apply(news, self.ring_account.epoch, first + i)
                self.entry.touched.add(news.symbol)
                if self.entry.apply(news) and isinstance(news, OrderUpdate):
                    ours.append(news)
            elif isinstance(news, Note) and news.what == "STREAM_UP":
                self.entry.settler.ask_all()
        return ours

    # -- the strategy

    def _listen(self) -> None:
        """Whom a batch is shown to: the strategy, unless it has failed or the stop has begun."""
        self._decide = self._nothing if self.stopping or self.faulted else self._asked["on_batch"]

    def _nothing(self, *_: Any) -> Sequence[Intent]:
        return NOTHING

    def _ticks(self, ctx: Context, batch: Any) -> Sequence[Intent]:
        """For a strategy that asks for single records."""
        found: list[Intent] = []
        for tick in ticks_of(batch, self.market.name):
            found += self.strategy.on_tick(ctx, tick)
        return found

    def _ask(self, method: str, *args: Any) -> Sequence[Intent]:
        """Call the strategy; its fault is a halt, not ours to die of."""
        if self.stopping or self.faulted:
            return NOTHING
        try:
            return list(self._asked[method](self.ctx, *args))
        except Exception as e:  # whatever a user's code raises
            return self._fault(method, e)

    def _fault(self, method: str, e: Exception) -> Sequence[Intent]:
        self.faulted = True
        self._listen()
        self.halt(Halt.STRATEGY_FAULT, f"{method}: {type(e).__name__}: {e}")
        return NOTHING

    def arm(self, place: Place, best: Side, price: Num, until_ns: int, above: bool) -> int:
        """An order that fires by itself; -1 when it is refused."""
        market = self.market.index.get(place.symbol)
        handle, reason = -1, Refusal.UNKNOWN_SYMBOL
        if market is not None:
            handle, reason = self.desk.arm(
                place, market, best, price, above=above, until_ns=until_ns, now_ns=self.ctx.now_ns
            )
        self._beyond.append(f"arm {_said(place)} {best:d} {price} {until_ns} {above:d} {reason:d}".encode())
        if reason is not Refusal.ACCEPTED:
            self._refuse(place, reason)
        return handle

    def disarm(self, handle: int) -> bool:
        """Take an armed order back."""
        done = self.desk.disarm(handle)
        self._beyond.append(f"disarm {handle} {done:d}".encode())
        return done

    def _triggers(self) -> list[Intent]:
        """Armed orders that are over: fired ones are orders like any other."""
        intents: list[Intent] = []
        for ended in self.desk.ended():
            self._beyond.append(f"ended {ended.handle} {ended.why:d}".encode())
            name = f"triggers_{ended.why.name.lower()}"
            self.entry.counts[name] = self.entry.counts.get(name, 0) + 1
            if ended.placed is not None:
                self._follow(ended.place, ended.placed)
            intents += self._ask("on_trigger", ended)
        self.truth.push()
        return intents

    # -- orders

    def _act(self, intents: Sequence[Intent]) -> None:
        """Send first, then write down: each byte leaves before the books of the one before are done."""
        entry, place, now = self.entry, self.desk.place, self.turns.decided()
        done: list[Placed | None] = []
        try:
            for intent in intents:
                if isinstance(intent, Place):
                    done.append(place(intent, now))
                else:
                    entry.cancel(intent)
                    done.append(None)
        except Exception as e:  # whatever a user's code calls an intent; what left before it is followed below
            self._fault("intent", e)
        digest = hashlib.blake2b(digest_size=7)
        for said in self._beyond:
            digest.update(said)
        self._beyond.clear()
        for intent, placed in zip(intents, done, strict=False):
            if not isinstance(intent, Place):
                digest.update(f"cancel {intent.symbol} {intent.client_id}".encode())
            if not isinstance(intent, Place) or placed is None:
                continue
            digest.update(f"{_said(intent)} {placed.refusal:d}".encode())
            self._follow(intent, placed)
            if placed.sent and self.turns.c.count:
                self._measure(placed)
        entry.write(
            OrderRecord(
                step=OrderStep.TURN, now_ns=self.ctx.now_ns, market_seq=self.ring_market.taken(),
                account_seq=self.ring_account.seq, digest=int.from_bytes(digest.digest(), "little"),
            )
        )  # fmt: skip
        self.truth.push()

    def _measure(self, placed: Placed) -> None:
        """From the first record of the batch, for it waited longest."""
        received = self.turns.c.batch[0].recv_ns
        if received > 0:
            self.latency.add(HOP["tick_to_wire"], placed.written_ns - received)

    def _follow(self, place: Place, placed: Placed) -> None:
        if placed.refusal is Refusal.ACCEPTED:
            self.turns.c.warm_slot = self.desk.gate.slots[place.symbol]
            self.entry.follow(place, placed)
        else:
            self._refuse(place, placed.refusal)

    def _refuse(self, place: Place, reason: Refusal) -> None:
        self.refused[reason.name] = self.refused.get(reason.name, 0) + 1
        self.entry.refuse(place, reason)

    # -- stop

    async def stop(self) -> None:
        """No more decisions; every order cancelled and its end read, within `STOP_S`."""
        self.stopping, self.truth.entries = True, False
        self._listen()
        self.desk.disarm_all(End.ASKED)
        self.truth.push()
        deadline = self.clock.mono_ns() + int(STOP_S * 1e9)
        await self.entry.pending(STOP_S / 4)
        symbols = {o.symbol for o in self.entry.orders.live.values()}
        if symbols:
            await asyncio.wait({asyncio.ensure_future(self.entry.cancel_all(symbols))}, timeout=STOP_S / 2)
        if self.entry.orders.live:
            await asyncio.wait({ended := asyncio.ensure_future(self.ended.wait())}, timeout=self._left_s(deadline))
            ended.cancel()
        self.log.info("stopped", orders_left=len(self.entry.orders.live), **self.entry.counts)

    def _left_s(self, deadline: int) -> float:
        return max(0.0, (deadline - self.clock.mono_ns()) / 1e9)

    def close(self) -> None:
        """No more turns."""
        loop = asyncio.get_running_loop()
        if isinstance(loop, HotLoop):
            loop.hot.hot = None
        self.turns.wait.close()
        if self.collector is not None:
            self.collector.stop()

    def status(self) -> str:
        """One line for people."""
        held = {s: str(self.positions.position(s)) for s in self.positions.held()}
        counts = " ".join(f"{k}={v}" for k, v in (self.entry.counts | self.refused).items() if v)
        return f"{'halted' if self.halted else 'trading'} live={len(self.entry.orders.live)} {counts} {held}"


def _said(p: Place) -> str:
    """An intent as text for a digest: all of it, cheaper than its repr."""
    price = "" if p.price is None else f"{p.price.m}e{p.price.e}"
    return f"{p.symbol} {p.side:d} {p.type:d} {p.tif:d} {p.reduce_only:d} {p.qty.m}e{p.qty.e} {price} {p.tag}"
