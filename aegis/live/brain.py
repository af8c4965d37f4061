"""The brain process: what a start needs (rules, sockets, orders left by an earlier brain), then turns until a stop.

What must stay true: a start is a recovery (orders of earlier processes are settled, never forgotten); the supervisor
hears of it while it waits for the venue; a stop is asked for once and leaves no order working.
"""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from aegis.config import Config
from aegis.errors import AegisError, ConfigError
from aegis.limits import ORDERS_SLOTS
from aegis.live import caps, keys, log
from aegis.live.brain_ids import open_ids
from aegis.live.brain_loop import Collector, HotLoop, pin
from aegis.live.brain_orders import Entry
from aegis.live.brain_rings import Tail
from aegis.live.brain_turn import Brain
from aegis.live.clock import Clock
from aegis.live.feed_rest import choose
from aegis.live.notify import Notifier
from aegis.live.rest import Rest
from aegis.live.wsapi import WsApi
from aegis.messages import Rules
from aegis.native import orders as wire
from aegis.native.control import ControlPage
from aegis.native.desk import Desk
from aegis.native.encoder import Encoder
from aegis.native.gate import Gate
from aegis.native.ring import RingWriter
from aegis.native.turn import memory_lock
from aegis.venue.rules import parse_exchange_info

ORDER_BYTES = 256
RETRY_S = 0.2


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
            await entry.settler.leftovers()
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


async def _turns(brain: Brain, stop: asyncio.Event) -> None:
    """Turn until the stop; raises what a turn raised."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, HotLoop)
    failed = loop.create_future()
    brain.turns.wait.watch(loop.hot.fileno())
    brain.collector = Collector()
    brain.log.info("brain ready", strategy=brain.config.brain.strategy, symbols=len(brain.rules),
                   wait=brain.config.brain.wait, in_memory=memory_lock())  # fmt: skip
    caps.publish(brain.block, brain.desk.gate)
    for symbol, why in brain.desk.gate.left_out.items():
        brain.log.warn("cannot be traded", symbol=symbol, why=why)
    loop.hot.fault = failed.set_exception
    loop.hot.hot = brain.turn
    await _first(failed, stop)


async def _work(config: Config, clock: Clock, notifier: Notifier, stop: asyncio.Event) -> None:
    shm = config.shm_path()
    shm.mkdir(parents=True, exist_ok=True, mode=0o700)
    creds = keys.load(config)
    rest, ws = Rest(config.venue, creds, clock), WsApi(config.venue, creds, clock)
    ids = open_ids(config.state_path() / "order-ids.json")
    entry = Entry(rest, ws, config.venue.recv_window_ms, clock=clock, log=log.get("brain"))
    ring = entry.ring = _recover(config, entry, clock.now_ns())
    tasks: list[asyncio.Task[None]] = []
    brain: Brain | None = None
    try:
        tasks.append(beat := asyncio.create_task(_beat(notifier, clock)))
        rules = await _first(_rules(rest, config), stop)
        encoder = Encoder(creds.api_key, creds.secret, config.venue.recv_window_ms, ids.epoch)
        desk = Desk(Gate(config.risk, rules, forever=True), encoder, ring, ids.reserve)
        brain = Brain(config, desk, entry, ControlPage(str(shm / "control"), create=True), clock, notifier)
        tasks.append(asyncio.create_task(_connected(ws)))
        entry.spawn(_leftovers(entry))
        beat.cancel()
        notifier.ready("trading when reconciled")
        await _turns(brain, stop)
        notifier.stopping()
        await brain.stop()
    except _Stopped:
        notifier.stopping()
    finally:
        for task in tasks:
            task.cancel()
        entry.drop()
        if brain is not None:
            brain.close()
        await asyncio.gather(ws.close(), rest.close(), return_exceptions=True)
        if brain is not None:
            brain.desk.close()
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
    try:
        pin(config.brain.cpu)
    except OSError as e:
        raise ConfigError(f"config: brain.cpu = {config.brain.cpu}: {e.strerror}") from e
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
        with asyncio.Runner(loop_factory=HotLoop) as runner:
            return runner.run(_main(caps.enforce(config, Clock().now_ns(), log.get("brain"))))
    except ConfigError as e:
        log.get("brain").error("cannot start", why=e)
        return 2
    except AegisError as e:
        log.get("brain").error("fault", why=repr(e))
        return 1
