"""The feed process: what the venue says, from sockets to shared memory.

Problem: one slow or dead part must not silence the others, and the watchdog must see a stuck loop. So each socket, the
private channel, the snapshots and the gap filling are tasks of their own; the main loop only counts progress, and it
counts because the event loop turned, which a stuck reader would prevent.
What must stay true: a restart is the ordinary start (nothing is kept but the shared files); SIGTERM ends within a
second; an error nobody expected ends the process with a non-zero code instead of running half.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any

from aegis.config import Config
from aegis.errors import AegisError, ConfigError, Machine, Venue
from aegis.live import keys, log
from aegis.live.clock import Clock
from aegis.live.dial import Dialer
from aegis.live.feed_books import Books, Budget
from aegis.live.feed_fill import Filler, Gap, Marks
from aegis.live.feed_klines import KlineCell
from aegis.live.feed_klines import fill as fill_klines
from aegis.live.feed_private import Private
from aegis.live.feed_rest import AGG_WEIGHT, HISTORY_WEIGHT, TRADES_WEIGHT, agg_trades, choose, depth, levels, trades
from aegis.live.feed_shm import Shared
from aegis.live.feed_sockets import Backoff, Socket, Timing
from aegis.live.net import Receiver
from aegis.live.notify import Notifier
from aegis.live.rest import Rest
from aegis.market.streams import SocketPlan, StreamState, socket_plans, stream_names
from aegis.messages import Rules
from aegis.native import abi
from aegis.native.loop import Loop
from aegis.native.turn import memory_lock
from aegis.venue.report import decode_user_event
from aegis.venue.rules import parse_exchange_info

SNAPSHOT_LEVELS = 1000
TURN_S = 0.1
STATUS_TURNS = 10
FEED_SHARE = 2  # the feed uses at most 1/2 of the address's weight


class Feed:
    """Hub of all tasks: counts, logs, and connects losses with their repair."""

    def __init__(
        self, config: Config, rest: Rest, shared: Shared, receiver: Receiver, rules: list[Rules], clock: Clock
    ) -> None:
        feed = config.feed
        self.timing = Timing(
            feed.first_frame_s, feed.stale_s, feed.rotate_s, feed.reconnect_min_s, feed.reconnect_max_s
        )
        self.stream_url = config.venue.stream_url
        self.now_ns, self.mono_ns = clock.now_ns, clock.mono_ns
        self._rest, self.shared, self.receiver, self._log = rest, shared, receiver, log.get("feed")
        self.evidence = shared.evidence
        names = stream_names([r.symbol for r in rules], feed.streams)
        self.sockets = [Socket(self, plan) for plan in socket_plans(names, feed.sockets_streams_max)]
        self._budget = Budget(config.venue.weight_per_minute // FEED_SHARE, clock.mono_ns)
        self.marks = Marks(shared.reader(), (abi.KIND_TRADE, abi.KIND_AGG_TRADE), abi.FLAG_FILLED)
        self._filler = Filler(self.marks, self, self._budget, clock.mono_ns, lambda e, **f: self.say("warn", e, **f))
        self._gap_fill = feed.gap_fill
        self.books = Books(
            self._budget, clock.mono_ns, shared.market.book_wanted, self._snapshot, self._snapshot_failed
        )
        self.private = Private(self, config.shm_path() / "listen_key", decode_user_event, shared.publish_account)
        self.tasks: asyncio.TaskGroup

    # -- what sockets ask for

    def count(self, name: str, n: int = 1) -> None:
        """Add to a counter of the feed's block."""
        self.shared.block.count(name, n)

    def say(self, level: str, event: str, **facts: object) -> None:
        """One log line."""
        getattr(self._log, level)(event, **facts)

    def lost(self, plan: SocketPlan) -> tuple[Gap, int]:
        """A connection ended unbridged: its books are not to be trusted; note where its trades stood."""
        wanted: dict[int, set[int]] = {kind: set() for kind in (abi.KIND_TRADE, abi.KIND_AGG_TRADE)}
        for stream in plan.streams:
            cell = self.shared.cell(stream)
            if cell and cell[0] in wanted:
                wanted[cell[0]].add(cell[1])
        depths = [
            s.partition("@")[0] for s in plan.streams if (cell := self.shared.cell(s)) and cell[0] == abi.KIND_DEPTH
        ]
        if depths:
            self.shared.reset_books(depths)
        return self.marks.open_gap(wanted), self.now_ns() // 1_000_000

    def back(self, plan: SocketPlan, mark: tuple[Gap, int], settled: Callable[[], bool]) -> None:
        """The replacement has asked for its streams: fetch the trades and candles that were missed."""
        gap, lost_ms = mark
        if self._gap_fill:
            self.tasks.create_task(self._repair(gap, settled))
            if cells := self.shared.kline_cells(plan.streams):
                self.tasks.create_task(self._repair_klines(cells, lost_ms))
        else:
            self.marks.close_gap(gap)

    async def _repair(self, gap: Gap, settled: Callable[[], bool]) -> None:
        filled = await self._filler.fill(gap, settled)
        self.count("gap_filled", filled)
        self.say("info", "gap filled", records=filled)

    async def _repair_klines(self, cells: list[KlineCell], lost_ms: int) -> None:
        try:
            done = await fill_klines(
                self._rest, self._budget, cells, lost_ms, self.now_ns, self.shared.market.publish
            )
        except AegisError as exc:
            self.say("warn", "candles not filled", why=exc)
            return
        self.count("gap_filled", done)

    # -- what the filler asks for

    async def page(self, kind: int, index: int, from_id: int) -> list[tuple[int, Any]]:
        """One page of missed trades."""
        symbol = self.shared.table[index][0]
        return await (trades if kind == abi.KIND_TRADE else agg_trades)(self._rest, symbol, from_id)

    def weight(self, kind: int) -> int:
        """Weight of `page`, at most."""
        return TRADES_WEIGHT + HISTORY_WEIGHT if kind == abi.KIND_TRADE else AGG_WEIGHT

    def publish(self, kind: int, index: int, rows: list[Any]) -> int:
        """Missed trades to the ring, marked FILLED."""
        return self.shared.fill(kind, index, rows, self.now_ns())

    # -- what the books ask for

    async def _snapshot(self, symbol: str) -> None:
        update_id, bids, asks = await depth(self._rest, symbol, SNAPSHOT_LEVELS)
        _, px_exp, qty_exp = self.shared.table[self.shared.index[symbol]]
        self.shared.snapshot(symbol, update_id, levels(bids, px_exp, qty_exp), levels(asks, px_exp, qty_exp))
        self.count("book_snapshots")

    def _snapshot_failed(self, symbol: str, exc: AegisError) -> None:
        self.count("book_snapshots_failed")
        self.say("warn", "snapshot failed", symbol=symbol, why=exc)

    # -- the main loop

    async def watch(self, notifier: Notifier) -> None:
        """Count progress and say how it stands; until cancelled."""
        turn, told_ready = 0, False
        while True:
            turn += 1
            self.shared.block.progress()
            self.receiver.check(self.mono_ns())
            self.shared.copy_counters(self.receiver.counters())
            if turn % 2 == 0:
                self.marks.catch_up()
            if not told_ready and all(s.conn is not None and s.conn.trust.settled() for s in self.sockets):
                notifier.ready(self.status())
                self.say("info", "feed ready", sockets=len(self.sockets), symbols=len(self.shared.index))
                told_ready = True
            if turn % STATUS_TURNS == 0:
                notifier.status(self.status())
            await asyncio.sleep(TURN_S)

    def status(self) -> str:
        """One line for people."""
        states = dict.fromkeys(StreamState, 0)
        for socket in self.sockets:
            if socket.conn is not None:
                for state, n in socket.conn.trust.counts().items():
                    states[state] += n
        shown = " ".join(f"{state.name.lower()}={n}" for state, n in states.items() if n)
        private = "up" if self.private.up else "down"
        return f"{len(self.sockets)} sockets, streams {shown or 'none'}, private {private}"


async def _beat(notifier: Notifier, clock: Clock) -> None:
    """Ping the watchdog for as long as the event loop turns; a stuck reader stops the turning and so the pings."""
    turn = 0
    while True:
        turn += 1
        notifier.ping(turn, clock.mono_ns())
        await asyncio.sleep(notifier.interval_s / 3)


async def _load_rules(rest: Rest, config: Config) -> list[Rules]:
    """exchangeInfo, asked again until the venue answers."""
    backoff = Backoff(config.feed.reconnect_min_s, config.feed.reconnect_max_s)
    while True:
        try:
            return choose(parse_exchange_info(await rest.get("/fapi/v1/exchangeInfo", {})), config.symbols)
        except (Venue, Machine) as exc:
            log.get("feed").warn("exchangeInfo failed", why=exc)
        await asyncio.sleep(backoff.next())


async def _main(config: Config) -> int:
    clock, notifier = Clock(), Notifier()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    work = asyncio.create_task(_work(config, clock, notifier))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
    notifier.stopping()
    stopped.cancel()
    if work.done():
        work.result()  # raises what ended it: a feed never ends by itself
        return 1
    work.cancel()
    await asyncio.wait({work}, timeout=0.8)
    return 0


async def _work(config: Config, clock: Clock, notifier: Notifier) -> None:
    """Everything from the first request to cancellation."""
    beat = asyncio.create_task(_beat(notifier, clock))
    rest = Rest(config.venue, keys.load(config), clock)
    try:
        rules = await _load_rules(rest, config)
        listed = [(r.symbol, r.px_exp, r.qty_exp) for r in rules]
        shared = Shared(config.shm_path(), listed, config.feed.book_symbols_max, log.get("feed"))
        receiver = Receiver(Loop(shared.market), Dialer(config.venue.ca_file, config.feed.busy_poll_us))
        try:
            pinned = receiver.start(config.feed.wait, config.feed.cpu)
            log.get("feed").info("pump started", wait=config.feed.wait, cpu=config.feed.cpu if pinned else "not pinned",
                                 in_memory=memory_lock())  # fmt: skip
            feed = Feed(config, rest, shared, receiver, rules, clock)
            async with asyncio.TaskGroup() as group:
                feed.tasks = group
                for socket in feed.sockets:
                    group.create_task(socket.run())
                group.create_task(feed.private.run())
                group.create_task(feed.books.run())
                group.create_task(feed.watch(notifier))
        finally:
            receiver.close()
            shared.close()
    finally:
        beat.cancel()
        await rest.close()


def run(config: Config) -> int:
    """
    Run the feed until SIGTERM or SIGINT.

    Returns:
        0 after a stop that was asked for, 1 after a fault, 2 when the configuration cannot work.
    """
    try:
        return asyncio.run(_main(config))
    except BaseExceptionGroup as group:
        return _fault(group)
    except AegisError as exc:
        return _fault(exc)


def _fault(exc: BaseException) -> int:
    """Log what ended the process; bugs are raised again, with their trace."""
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    if not isinstance(exc, AegisError):
        raise exc
    log.get("feed").error("configuration" if isinstance(exc, ConfigError) else "fault", why=exc)
    return 2 if isinstance(exc, ConfigError) else 1
