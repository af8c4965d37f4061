"""The brain process: account news, market, strategy, gate, orders; one turn after another.

Problem: a decision must be made on all that is known, and be explainable later. So each turn takes the account ring
first, then one batch of the market, then asks the strategy, and a turn that decided anything writes its cursors, its
time and the hash of its decisions to the orders ring.
What must stay true: the strategy touches nothing but its Context; nothing is sent that the gate did not accept; a
start is a recovery (orders of earlier processes are settled, never forgotten); a fault of the strategy or a lost
record halts entries and leaves exits; a stop leaves no order working.
"""

from __future__ import annotations

import asyncio
import hashlib
import signal
from typing import Any

from aegis.config import Config
from aegis.errors import AegisError, ConfigError
from aegis.limits import ORDERS_SLOTS, TURN_BATCH_MAX
from aegis.live import caps, keys, log
from aegis.live.brain_account import Positions
from aegis.live.brain_context import Context, limits_of, ticks_of
from aegis.live.brain_ids import open_ids
from aegis.live.brain_market import MarketView
from aegis.live.brain_orders import Entry
from aegis.live.brain_rings import Tail, Waker
from aegis.live.clock import Clock
from aegis.live.feed_rest import choose
from aegis.live.notify import Notifier
from aegis.live.rest import Rest
from aegis.live.wsapi import WsApi
from aegis.messages import Halt, Intent, Note, OrderRecord, OrderStep, OrderUpdate, Place, Refusal, Rules, TradeLite
from aegis.native import account
from aegis.native import orders as wire
from aegis.native.control import ControlPage
from aegis.native.ring import RingWriter
from aegis.risk.gate import Gate, View
from aegis.strategy.base import load
from aegis.venue.rules import check_order, parse_exchange_info

ORDER_BYTES = 256
IDLE_S = 0.05
LOOK_NS = 10_000_000
STOP_S = 1.3
RETRY_S = 0.2


class Brain:
    """Everything one turn needs; see the module."""

    def __init__(self, config: Config, rules: list[Rules], entry: Entry, page: ControlPage, clock: Clock) -> None:
        shm = config.shm_path()
        self.config, self.entry, self.clock, self.page = config, entry, clock, page
        self.block, self.log = page.block("brain"), log.get("brain")
        self.rules = {r.symbol: r for r in rules}
        self.market = MarketView(shm / "books", self.rules)
        self.positions = Positions(shm / "positions.json")
        self.ring_market, self.ring_account = Tail(shm / "market"), Tail(shm / "account", from_oldest=True)
        self.gate = Gate(limits_of(config.risk), lambda place, rules, price: check_order(rules, place, price))
        self.strategy = load(config.brain.strategy, config.brain.params)
        self.ctx = Context(self, config)
        self.by_batch = callable(getattr(self.strategy, "on_batch", None))
        self.halted, self.stopping, self.faulted = True, False, False
        self._resume_epoch = self.page.resume_epoch
        self._looked_ns = self._timer_ns = self._market_restarts = 0
        self.refused: dict[str, int] = {}

    # -- halts

    def halt(self, reason: Halt, why: str) -> None:
        """Latch: no entries until the operator resumes."""
        self.halted = True
        self.block.halt(reason)
        self.log.error("halted", reason=reason.name, why=why)

    def look(self) -> None:
        """Latch of all processes, resume, positions page, appended symbols; a hundred times a second."""
        epoch = self.page.resume_epoch
        if epoch != self._resume_epoch:
            self._resume_epoch, self.faulted = epoch, False
            self.entry.halted.clear()
            self.block.clear_halt()
        self.halted = bool(self.page.halted())
        self.positions.refresh()
        self.market.refresh()
        self.ring_market.look()
        self.ring_account.look()
        self.entry.settle()

    # -- one turn

    def turn(self) -> bool:
        """Take what came, decide, send. Returns whether more is waiting."""
        mono, now = self.clock.mono_ns(), self.clock.now_ns()
        self.ctx.now_ns = now
        self.market.begin(now)
        if mono - self._looked_ns >= LOOK_NS:
            self._looked_ns = mono
            self.look()
        intents: list[Intent] = []
        for update in self._account():
            intents += self._ask("on_order", update)
        batch = self.ring_market.read(TURN_BATCH_MAX)
        if self.ring_market.restarts != self._market_restarts:
            self._market_restarts = self.ring_market.restarts
            self.market.forget()
        if len(batch):
            self.market.fold(batch)
            intents += self._on_market(batch)
        if mono - self._timer_ns >= self.config.brain.timer_ms * 1_000_000:
            self._timer_ns = mono
            intents += self._ask("on_timer")
        if intents:
            self._act(intents, now)
        self.block.progress()
        return len(batch) == TURN_BATCH_MAX

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

    def _on_market(self, batch: Any) -> list[Intent]:
        if self.by_batch:
            return self._ask("on_batch", batch)
        found: list[Intent] = []
        for tick in ticks_of(batch, self.market.name):
            found += self._ask("on_tick", tick)
        return found

    def _ask(self, method: str, *args: Any) -> list[Intent]:
        """Call the strategy; its fault is a halt, not ours to die of."""
        if self.stopping or self.faulted:
            return []
        try:
            return list(getattr(self.strategy, method)(self.ctx, *args))
        except Exception as e:  # whatever a user's code raises
            self.faulted = True
            self.halt(Halt.STRATEGY_FAULT, f"{method}: {type(e).__name__}: {e}")
            return []

    def _act(self, intents: list[Intent], now: int) -> None:
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
                step=OrderStep.TURN, now_ns=now, market_seq=self.ring_market.seq, account_seq=self.ring_account.seq,
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
        while self.entry.orders.live and self.clock.mono_ns() < deadline:
            self.turn()
            await asyncio.sleep(0.01)
        self.log.info("stopped", orders_left=len(self.entry.orders.live), **self.entry.counts)

    def status(self) -> str:
        """One line for people."""
        held = {s: str(self.positions.position(s)) for s in self.positions.held()}
        counts = " ".join(f"{k}={v}" for k, v in (self.entry.counts | self.refused).items() if v)
        return f"{'halted' if self.halted else 'trading'} live={len(self.entry.orders.live)} {counts} {held}"


async def _beat(notifier: Notifier, clock: Clock) -> None:
    """Ping while the start waits for the venue; the loop's own turns take over."""
    turn = 0
    while True:
        turn -= 1
        notifier.ping(turn, clock.mono_ns())
        await asyncio.sleep(notifier.interval_s / 3)


async def _rules(rest: Any, config: Config) -> list[Rules]:
    """exchangeInfo, asked again until the venue answers."""
    while True:
        try:
            return choose(parse_exchange_info(await rest.get("/fapi/v1/exchangeInfo", {})), config.symbols)
        except ConfigError:
            raise
        except AegisError as e:
            log.get("brain").warn("exchangeInfo failed", why=e)
        await asyncio.sleep(RETRY_S)


async def _connected(ws: Any) -> None:
    """Keep the order socket open; until cancelled. REST serves meanwhile."""
    while True:
        if not ws.ready:
            try:
                await ws.connect()
            except (AegisError, OSError, TimeoutError) as e:
                log.get("brain").warn("order socket", why=e)
        await asyncio.sleep(RETRY_S)


async def _leftovers(entry: Entry) -> None:
    while True:
        try:
            await entry.leftovers()
            return
        except (AegisError, OSError, TimeoutError) as e:
            log.get("brain").warn("openOrders failed", why=repr(e))
        await asyncio.sleep(RETRY_S)


def _recover(config: Config, entry: Entry, now_ns: int) -> Any:
    """Read the orders ring an earlier brain left, then take it over."""
    path = config.shm_path() / "orders"
    old = Tail(path, from_oldest=True)
    records = []
    while len(slots := old.read()):
        records += [wire.unpack(slot) for slot in slots]
    left = entry.orders.recover(records, now_ns)
    if left:
        log.get("brain").info("orders to settle", orders=len(left))
    return RingWriter(str(path), ORDERS_SLOTS, ORDER_BYTES, "orders")


async def _loop(brain: Brain, notifier: Notifier, wake: asyncio.Event, wakers: list[Waker]) -> None:
    """Turns for ever: as soon as something comes, at least every IDLE_S."""
    turn = told = 0
    while True:
        turn += 1
        wake.clear()
        more = brain.turn()
        for waker in wakers:
            waker.taken()
        mono = brain.clock.mono_ns()
        notifier.ping(turn, mono)
        if mono - told > 1_000_000_000:
            told = mono
            for name, value in brain.entry.counts.items():
                brain.block.set(name, value)
            notifier.status(brain.status())
        if more:
            await asyncio.sleep(0)
            continue
        try:
            await asyncio.wait_for(wake.wait(), min(IDLE_S, brain.config.brain.timer_ms / 1000))
        except TimeoutError:
            continue


async def _work(config: Config, clock: Clock, notifier: Notifier, stop: asyncio.Event) -> None:
    shm = config.shm_path()
    shm.mkdir(parents=True, exist_ok=True, mode=0o700)
    creds = keys.load(config)
    rest, ws = Rest(config.venue, creds, clock), WsApi(config.venue, creds, clock)
    entry = Entry(rest, ws, open_ids(config.state_path() / "order-ids.json"), config.venue.recv_window_ms,
                  clock=clock, log=log.get("brain"))  # fmt: skip
    ring = entry.ring = _recover(config, entry, clock.now_ns())
    wake, loop = asyncio.Event(), asyncio.get_running_loop()
    tasks: list[asyncio.Task[None]] = []
    wakers: list[Waker] = []
    try:
        tasks.append(beat := asyncio.create_task(_beat(notifier, clock)))
        rules = await _first(_rules(rest, config), stop)
        brain = Brain(config, rules, entry, ControlPage(str(shm / "control"), create=True), clock)
        tasks.append(asyncio.create_task(_connected(ws)))
        entry.spawn(_leftovers(entry))
        wakers += [Waker(shm / name, loop, wake) for name in ("market", "account")]
        turns = asyncio.create_task(_loop(brain, notifier, wake, wakers))
        tasks.append(turns)
        beat.cancel()
        notifier.ready("trading when reconciled")
        brain.log.info("brain ready", strategy=config.brain.strategy, symbols=len(brain.rules), epoch=entry.ids.epoch)
        await _first(turns, stop)
        turns.cancel()
        notifier.stopping()
        await brain.stop()
    except _Stopped:
        notifier.stopping()
    finally:
        for task in tasks:
            task.cancel()
        entry.drop()
        for waker in wakers:
            waker.stop()
        await asyncio.gather(ws.close(), rest.close(), return_exceptions=True)
        ring.close()


class _Stopped(Exception):
    """Asked to stop before there was anything to stop."""


async def _first(work: Any, stop: asyncio.Event) -> Any:
    """The result of `work`; raises _Stopped when the stop comes first and `work` was a coroutine."""
    task = asyncio.ensure_future(work)
    stopped = asyncio.ensure_future(stop.wait())
    await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if task.done():
        return task.result()
    task.cancel()
    if task is not work:
        raise _Stopped
    return None


async def _main(config: Config) -> int:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await _work(config, Clock(), Notifier(), stop)
    return 0


def run(config: Config) -> int:
    """
    Run the brain until SIGTERM or SIGINT.

    Returns:
        0 after a stop that was asked for, 1 after a fault, 2 when the configuration cannot work.
    """
    try:
        return asyncio.run(_main(caps.enforce(config, Clock().now_ns(), log.get("brain"))))
    except ConfigError as e:
        log.get("brain").error("cannot start", why=e)
        return 2
    except AegisError as e:
        log.get("brain").error("fault", why=repr(e))
        return 1
