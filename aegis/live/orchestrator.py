"""The orchestrator: keeps the books, and keeps them true.

Problem: the process that trades must not be the one that vouches for the result. This one reads what the feed and
the brain wrote, folds it into the ledger, stores it, publishes positions, and compares all of it with the venue.
What must stay true: folding never waits for the network; every step that may fail (REST, SQLite, a ring that is not
there yet) leaves the rest running; a stop commits what was read and takes less than a second.
"""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

from aegis.config import Config
from aegis.errors import AegisError
from aegis.live import keys, log
from aegis.live.clock import Clock
from aegis.live.notify import Notifier
from aegis.live.orchestrator_books import Keeper
from aegis.live.orchestrator_guard import ClockOffset, DeadMan
from aegis.live.orchestrator_keys import ListenKey
from aegis.live.orchestrator_pass import reconcile_once
from aegis.live.orchestrator_recon import Reconciler, Schedule, lots
from aegis.live.rest import Rest
from aegis.live.store import Store
from aegis.messages import Halt
from aegis.native.control import ControlPage

__all__ = ["reconcile_once", "run"]

TURN_S = 0.005
FRESH_NS = 500_000_000
STATUS_TURNS = 400


class Latch:
    """Our halt word: several reasons may hold at once; the page shows the lowest. The operator's resume clears all."""

    def __init__(self, page: ControlPage) -> None:
        self._page, self._block = page, page.block("orchestrator")
        self._reasons: set[Halt] = set()
        self._epoch = self._resume_epoch()

    def _resume_epoch(self) -> int:
        return self._page.resume_epoch

    def hold(self, reason: Halt) -> None:
        """Halt entries for this reason."""
        if reason not in self._reasons:
            self._reasons.add(reason)
            self._show()

    def release(self, reason: Halt) -> None:
        """This reason is gone."""
        if reason in self._reasons:
            self._reasons.discard(reason)
            self._show()

    def look(self) -> None:
        """Clear everything when the operator resumed."""
        epoch = self._resume_epoch()
        if epoch != self._epoch:
            self._epoch = epoch
            self._reasons.clear()
            self._block.clear_halt()

    def _show(self) -> None:
        if self._reasons:
            self._block.halt(min(self._reasons))
        else:
            self._block.clear_halt()


class Orchestrator:
    """Everything of one run that the tasks share."""

    def __init__(self, config: Config, rest: Any, clock: Clock, notifier: Notifier) -> None:
        self.config, self.rest, self.clock, self.notifier = config, rest, clock, notifier
        self.log = log.get("orchestrator")
        shm = config.shm_path()
        shm.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.store = Store(config.state_path() / "store.sqlite")
        self.page = ControlPage(str(shm / "control"), create=True)
        self.block = self.page.block("orchestrator")
        self.latch = Latch(self.page)
        self.keeper = Keeper(shm, self.store, {})
        self.listen_key = ListenKey(rest, shm / "listen_key", self.log)
        brain = self.page.block("brain")
        self.deadman = DeadMan(rest, self.keeper, lambda: int(brain.beat_ns), config.deadman.countdown_s, self.log)
        self.offset = ClockOffset(rest, clock, self.latch.hold, self.latch.release)
        self.reconciler: Reconciler | None = None
        self._published_ns = 0

    async def fold(self) -> None:
        """The main loop: fold, commit, publish; its progress feeds the watchdog."""
        turn = 0
        while True:
            turn += 1
            now, mono = self.clock.now_ns(), self.clock.mono_ns()
            if self.keeper.ledger.opened_ns:
                self.keeper.turn(now)
                self._act_on_notes()
            if self.keeper.changed is False and mono - self._published_ns > FRESH_NS:
                self.keeper.publish()
                self._published_ns = mono
            self.latch.look()
            self.block.progress()
            self.notifier.ping(turn, mono)
            if turn % STATUS_TURNS == 0:
                self._status()
            await asyncio.sleep(TURN_S)

    def _act_on_notes(self) -> None:
        notes, self.keeper.notes = self.keeper.notes, []
        for note in notes:
            if note.what == "listenKeyExpired":
                self.listen_key.expired.set()
            if note.what in ("listenKeyExpired", "MARGIN_CALL", "ACCOUNT_CONFIG_UPDATE"):
                self.keeper.incident(self.clock.now_ns(), note.what, note.detail)
                self.log.warn("notice of the venue", what=note.what, detail=note.detail)

    def _status(self) -> None:
        k, r = self.keeper, self.reconciler
        counts = {
            "fills": k.fills,
            "reconciliations": r.passes if r else 0,
            "reconcile_failures": r.failures if r else 0,
            "listen_key_rotations": self.listen_key.rotations,
            "deadman_refreshes": self.deadman.refreshes,
            "clock_offset_us": self.offset.offset_ns // 1000,
        }
        for name, value in counts.items():
            try:
                self.block.set(name, value)
            except (KeyError, ValueError, AegisError):
                continue
        self.notifier.status(f"reconciled={k.reconciled} private_up={k.private_up} fills={k.fills}")

    async def reconcile(self) -> None:
        """exchangeInfo, then the schedule of passes; READY after the first one."""
        pause = self.config.recon.retry_s
        while True:
            try:
                tolerance, margins = await lots(self.rest)
                break
            except (AegisError, OSError, TimeoutError, KeyError) as e:
                self.log.warn("exchangeInfo failed, will retry", why=repr(e))
            await asyncio.sleep(min(pause, 0.5))
        self.keeper.ledger.margin_assets.update(margins)
        halt = self.latch.hold
        self.reconciler = Reconciler(self.keeper, self.rest, self.clock, self.log, halt, tolerance)
        async with asyncio.TaskGroup() as group:
            group.create_task(Schedule(self.reconciler, self.config).run())
            group.create_task(self._ready(self.reconciler))

    async def _ready(self, reconciler: Reconciler) -> None:
        """READY once the first pass is through: only then do the books mean something."""
        await reconciler.first_pass.wait()
        self.notifier.ready("books reconciled with the venue")
        self.log.info("orchestrator ready", pid=os.getpid())

    async def stop(self) -> None:
        """Final fold and commit, page, disarm."""
        self.notifier.stopping()
        if self.keeper.ledger.opened_ns:
            self.keeper.drain(self.clock.now_ns())
            self.keeper.publish()
        try:
            async with asyncio.timeout(0.4):
                await self.deadman.disarm()
        except TimeoutError:
            self.log.warn("countdowns not disarmed in time")
        self.store.close()


async def _main(config: Config) -> int:
    clock, notifier, stop = Clock(), Notifier(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    rest = Rest(config.venue, keys.load(config), clock)
    me = Orchestrator(config, rest, clock, notifier)
    parts = (me.fold, me.reconcile, me.listen_key.run, me.deadman.run, me.offset.run)
    tasks = [asyncio.create_task(part(), name=part.__qualname__) for part in parts]
    stopped = asyncio.create_task(stop.wait())
    code = 0
    while not stopped.done():
        done, _ = await asyncio.wait({*tasks, stopped}, return_when=asyncio.FIRST_COMPLETED)
        tasks = [t for t in tasks if t not in done]
        failed = next((t for t in done if t is not stopped and t.exception() is not None), None)
        if failed is not None:
            me.log.error("task ended", task=failed.get_name(), why=repr(failed.exception()))
            code = 1
            break
    for task in (*tasks, stopped):
        task.cancel()
    await asyncio.wait({*tasks, stopped}, timeout=0.2)
    try:
        await me.stop()
    finally:
        await rest.close()
    return code


def run(config: Config) -> int:
    """
    Run until SIGTERM or SIGINT.

    Returns:
        0 after an orderly stop; 1 when a part ended by itself (the supervisor starts anew).
    """
    return asyncio.run(_main(config))
