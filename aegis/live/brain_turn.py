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
from aegis.live.brain_context import Context, limits_of, ticks_of
from aegis.live.brain_loop import Collector, HotLoop
from aegis.live.brain_market import MarketView
from aegis.live.brain_orders import Entry
from aegis.live.brain_rings import Tail
from aegis.live.clock import Clock
from aegis.live.notify import Notifier
from aegis.messages import Halt, Intent, Note, OrderRecord, OrderStep, OrderUpdate, Place, Refusal, Rules, TradeLite
from aegis.native import account, turn
from aegis.native.control import ControlPage
from aegis.native.latency import LatencyPage
from aegis.native.wait import Wait
from aegis.risk.gate import Gate, View
from aegis.strategy.base import load
from aegis.venue.rules import check_order

STOP_S = 1.3
TOLD_NS = 1_000_000_000
NOTHING: tuple[Intent, ...] = ()


class Brain:
    """Everything one turn needs; see the module."""

    def __init__(
        self, config: Config, rules: list[Rules], entry: Entry, page: ControlPage, clock: Clock, notifier: Notifier
    ) -> None:
        shm = config.shm_path()
        self.config, self.entry, self.clock, self.page = config, entry, clock, page
        self.block, self.log, self.notifier = page.block("brain"), log.get("brain"), notifier
        latency = LatencyPage(shm / "latency", create=True).block("brain")
        latency.begin()
        self.turns = turn.Turn(
            Wait(config.brain.wait), config.brain.timer_ms, config.brain.budget_us,
            block=self.block.pointer(), hist=latency.block,
        )  # fmt: skip
        self._keep = latency
        self.rules = {r.symbol: r for r in rules}
        self.market = MarketView(shm / "books", self.rules, self.turns)
        self.positions = Positions(shm / "positions.json")
        self.ring_market, self.ring_account = Tail(shm / "market"), Tail(shm / "account", from_oldest=True)
        self.gate = Gate(limits_of(config.risk), lambda place, rules, price: check_order(rules, place, price))
        self.strategy = load(config.brain.strategy, config.brain.params)
        self.ctx = Context(self, config)
        self._on_batch = getattr(self.strategy, "on_batch", None)
        self.halted, self.stopping, self.faulted = True, False, False
        self.ended = asyncio.Event()  # stopping, and no order works any more
        self.collector: Collector | None = None
        self._resume_epoch = self.page.resume_epoch
        self._told_ns = self._over_told = 0
        self.refused: dict[str, int] = {}
        self.block.progress()

    # -- halts

    def halt(self, reason: Halt, why: str) -> None:
        """Latch: no entries until the operator resumes."""
        self.halted = True
        self.block.halt(reason)
        self.log.error("halted", reason=reason.name, why=why)

    # -- one turn

    def turn(self, wait_ns: int) -> bool:
        """Wait at most so long (ns; -1: no limit), take what came, decide, send. Whether it left work for asyncio."""
        c = self.turns.c
        found = self.turns.step(wait_ns)
        self.ctx.now_ns = c.now_ns
        if found == turn.MARKET:  # nearly always
            intents = self._on_market()
            if not intents:
                return False
        else:
            intents = self._beside(found)
        if intents:
            self._act(intents, c.now_ns)
        return True

    def _beside(self, found: int) -> Sequence[Intent]:
        """A turn with more than market news."""
        if found & turn.LOOK:
            self._look()
        intents: list[Intent] = []
        if found & turn.ACCOUNT:
            for update in self._account():
                intents += self._ask("on_order", update)
        if found & turn.MARKET:
            intents += self._on_market()
        if found & turn.TIMER:
            intents += self._ask("on_timer")
        if self.collector is not None:
            (self.collector.idle if found & turn.IDLE else self.collector.busy)()
        return intents

    def _look(self) -> None:
        """Latch of all processes, resume, positions page, appended symbols, rings made anew, supervisor."""
        epoch = self.page.resume_epoch
        if epoch != self._resume_epoch:
            self._resume_epoch, self.faulted = epoch, False
            self.entry.halted.clear()
            self.block.clear_halt()
        self.halted = bool(self.page.halted())
        self.positions.refresh()
        self.market.refresh()
        for tail, attach in ((self.ring_market, self.turns.market), (self.ring_account, self.turns.account)):
            tail.look()
            reader = tail.reader()
            if reader is not None:
                attach(reader)
        self.entry.settle()
        if self.stopping and not self.entry.orders.live:
            self.ended.set()
        self.notifier.ping(self.turns.c.turns, self.turns.c.mono_ns)
        if self.turns.c.mono_ns - self._told_ns > TOLD_NS:
            self._told_ns = self.turns.c.mono_ns
            self._tell()

    def _tell(self) -> None:
        """Counters and status, once a second."""
        c, block = self.turns.c, self.block
        for name, value in self.entry.counts.items():
            block.set(name, value)
        block.set("market_records", c.records)
        block.set("market_lost", self.ring_market.lost_n())
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
            self.entry.ask_all()
        for i, slot in enumerate(slots):
            news = account.unpack(slot)
            if isinstance(news, OrderUpdate | TradeLite):
                self.positions.apply(news, self.ring_account.epoch, first + i)
                if self.entry.apply(news) and isinstance(news, OrderUpdate):
                    ours.append(news)
            elif isinstance(news, Note) and news.what == "STREAM_UP":
                self.entry.ask_all()
        return ours

    def _on_market(self) -> Sequence[Intent]:
        """What the strategy makes of the batch."""
        batch = self.turns.batch()
        if self._on_batch is None:
            found: list[Intent] = []
            for tick in ticks_of(batch, self.market.name):
                found += self._ask("on_tick", tick)
            return found
        if self.stopping or self.faulted:
            return NOTHING
        try:
            intents = self._on_batch(self.ctx, batch)
            return list(intents) if intents else NOTHING
        except Exception as e:  # whatever a user's code raises
            return self._fault("on_batch", e)

    def _ask(self, method: str, *args: Any) -> Sequence[Intent]:
        """Call the strategy; its fault is a halt, not ours to die of."""
        if self.stopping or self.faulted:
            return NOTHING
        try:
            return list(getattr(self.strategy, method)(self.ctx, *args))
        except Exception as e:  # whatever a user's code raises
            return self._fault(method, e)

    def _fault(self, method: str, e: Exception) -> Sequence[Intent]:
        self.faulted = True
        self.halt(Halt.STRATEGY_FAULT, f"{method}: {type(e).__name__}: {e}")
        return NOTHING

    def _act(self, intents: Sequence[Intent], now: int) -> None:
        digest = hashlib.blake2b(digest_size=7)
        for intent in intents:
            digest.update(repr(intent).encode())
            reason = self.gate.check(intent, self.view(intent.symbol), now)
            digest.update(bytes([reason]))
            if not isinstance(intent, Place):
                self.entry.cancel(intent)
            elif reason is Refusal.ACCEPTED:
                self.entry.place(intent)
            else:
                self.refused[reason.name] = self.refused.get(reason.name, 0) + 1
                self.entry.refuse(intent, reason)
        self.entry.write(
            OrderRecord(
                step=OrderStep.TURN, now_ns=now, market_seq=self.ring_market.taken(), account_seq=self.ring_account.seq,
                digest=int.from_bytes(digest.digest(), "little"),
            )
        )  # fmt: skip

    def view(self, symbol: str) -> View:
        """What the gate has to know now."""
        quote, open_ = self.market.quote(symbol), self.entry.orders.exposure(symbol)
        unseen = self.entry.unseen.get(symbol)
        settled = unseen is None or self.positions.page.reconciled_ns > unseen[1]
        return View(
            rules=self.rules.get(symbol), bid=quote.bid if quote else None, ask=quote.ask if quote else None,
            trusted=quote is not None, reconciled=settled and self.positions.reconciled(self.ctx.now_ns),
            halted=self.halted or self.stopping, symbol_halted=symbol in self.entry.halted,
            connected=self.ctx.now_ns >= self.entry.paused_until_ns, position=self.positions.position(symbol),
            open_buy=open_.buy, open_sell=open_.sell, reduce_buy=open_.buy_reduce, reduce_sell=open_.sell_reduce,
            open_orders=len(self.entry.orders.live), pnl=self.positions.pnl(self.market),
        )  # fmt: skip

    # -- stop

    async def stop(self) -> None:
        """No more decisions; every order cancelled and its end read, within `STOP_S`."""
        self.stopping = True
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
