"""The supervisor: one command that starts, watches, restarts and stops everything.

Problem: the processes know how to do their work and how to stop; somebody has to know the order. Stopping goes brain
(which cancels its orders), orchestrator, feed, venue, and before the venue goes it is asked whether anything of ours
is still open. What must stay true: the whole stop takes less than five seconds, whoever hangs; nothing of the
instance is left behind in shared memory; the supervisor trades nothing and decides nothing but life and death.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec

from aegis.config import Config
from aegis.errors import AegisError, ConfigError, Unreachable
from aegis.live import supervisor_paper as paper
from aegis.live.clock import Clock
from aegis.live.supervisor_child import EXIT_CONFIG, Child, Plan, State
from aegis.live.supervisor_instance import Instance, Note, child_environ, forget_old_paper
from aegis.live.supervisor_replay import ReplayRun
from aegis.live.supervisor_voice import Voice
from aegis.native import latency

TICK_S = 0.05
VENUE_READY_S = 20.0
PROCESSES = ("orchestrator", "feed", "brain")
STOP_SHARE = {"brain": 0.4, "orchestrator": 0.5, "feed": 0.5, "check": 0.6, "venue": 0.9}  # of what stop_s has left


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How `aegis up` was asked for; everything else is configuration."""

    json: bool = False
    exit_at_end: bool = False
    duration_s: float = 0.0
    live: bool = False


class Supervisor:
    """
    One run of an instance.

    Args:
        config: effective settings.
        options: how it was asked for.
        instance: held lock and directory.
    """

    def __init__(self, config: Config, options: Options, instance: Instance) -> None:
        self.config, self.options, self._instance = config, options, instance
        self.clock = Clock()
        self.voice = Voice(json=options.json, quiet_out=options.exit_at_end)
        self.children: dict[str, Child] = {}
        self.control: paper.Control | None = None
        self._control_url = ""
        self._lives: list[asyncio.Task[None]] = []
        self._over = asyncio.Event()
        self._exit_code = 0
        self._started_ns = self.clock.now_ns()
        self._ring_told = False
        self._stop_ns = 0

    async def run(self) -> int:
        """Start everything, serve until asked to stop, stop everything; returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._over.set)
        report: dict[str, Any] | None = None
        watch = self._vital(self._watch())
        try:
            if self.config.aegis.mode == "paper":
                await self._start_venue()
            if not self._over.is_set():
                for name in PROCESSES:
                    self._start(name, [name])
                report = await self._serve()
        except AegisError as e:
            self.voice.line("error", "supervisor", {"why": str(e)})
            self._exit_code = EXIT_CONFIG if isinstance(e, ConfigError) else 1
        finally:
            watch.cancel()
            await self._stop_all()
        if report is not None:
            self.voice.result(report)
        return self._exit_code

    async def _serve(self) -> dict[str, Any] | None:
        """Until the end: a signal, the duration, a fatal child, or the end of the replay."""
        ends = [asyncio.create_task(self._over.wait())]
        if self.options.duration_s:
            ends.append(asyncio.create_task(asyncio.sleep(self.options.duration_s, True)))
        replay = None
        if self.config.paper.replay and self.control is not None:
            run = ReplayRun(self.config, self.control, self.children, self.clock)
            replay = asyncio.create_task(run.to_the_end() if self.options.exit_at_end else run.start())
        screen = asyncio.create_task(self.voice.screen(self))
        waiting: set[asyncio.Task[Any]] = {*ends, *([replay] if replay and self.options.exit_at_end else [])}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            return replay.result() if replay and self.options.exit_at_end and replay.done() else None
        finally:
            rest = [t for t in (*ends, screen, replay) if t is not None and not t.done()]
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

    # -- starting

    def _plan(self, name: str, args: list[str], **more: Any) -> Plan:
        limits = self.config.supervisor
        live = ["--live"] if self.options.live else []
        return Plan(
            name=name,
            command=[sys.executable, "-m", "aegis.cli.main", *args, *live],
            environ=child_environ(self.config, dict(os.environ)),
            backoff_min_s=limits.backoff_min_s,
            backoff_max_s=limits.backoff_max_s,
            logs=self.config.state_path() / "log" if self.voice.on_screen else None,
            **{"watchdog_ms": limits.watchdog_ms} | more,
        )

    def _start(self, name: str, args: list[str], **more: Any) -> Child:
        child = Child(self._plan(name, args, **more), self._instance.root, self.clock, self._tell)
        self.children[name] = child
        self._lives.append(self._vital(child.run()))
        return child

    def _vital(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task whose failure ends the run: without it nobody would watch."""
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self.voice.line("error", "supervisor", {"why": repr(task.exception())})
            self._exit_code = 1
            self._over.set()

    async def _start_venue(self) -> None:
        """The simulator first: its ready line gives the address all others need."""
        keys_file = Path(self.config.venue.keys_file)
        paper.write_keys(keys_file)
        tls = "s" if self.config.paper.tls else ""
        trust = ["--tls-dir", str(self._instance.root)] if tls else []
        venue = self._start("venue", ["venue", "--json", *trust], watchdog_ms=0, restart=False, read_out=True)
        ready = await self._venue_ready(venue)
        venue.mark_ready()
        where = f"127.0.0.1:{ready['port']}"
        urls = {
            "rest_url": f"http{tls}://{where}",
            "stream_url": f"ws{tls}://{where}",
            "ws_api_url": f"ws{tls}://{where}/ws-fapi/v1",
            "ca_file": ready.get("ca_file", ""),
        }
        self.config = msgspec.structs.replace(self.config, venue=msgspec.structs.replace(self.config.venue, **urls))
        self._control_url = f"http://127.0.0.1:{ready['control_port']}"
        self.control = paper.Control(self._control_url)

    async def _venue_ready(self, venue: Child) -> dict[str, Any]:
        """Its ready line: port, control_port, with TLS also ca_file."""
        deadline_ns = self.clock.mono_ns() + int(VENUE_READY_S * 1e9)
        while not venue.gone.is_set() and self.clock.mono_ns() < deadline_ns and not self._over.is_set():
            if venue.out is None:
                await asyncio.sleep(TICK_S)
                continue
            try:
                line = await asyncio.wait_for(venue.out.readline(), 1.0)
            except TimeoutError:
                continue
            if line.startswith(b"{") and b'"ready"' in line:
                self._lives.append(asyncio.create_task(_drain(venue.out)))
                return dict(msgspec.json.decode(line))
            if not line:
                break
        raise Unreachable(f"the paper venue did not start (exit code {venue.exit_code})")

    # -- watching

    def _tell(self, child: Child, event: str, **facts: Any) -> None:
        """Something happened to a child: say it, note it, and end when it cannot go on."""
        name = child.plan.name
        self.voice.line(event, name, {"pid": child.pid} | facts)
        if event in ("started", "ready"):
            self._write_note()
        if event == "ready" and name == "feed" and not self._ring_told:
            self._ring_told = True
            size = (self._instance.root / "market").stat().st_size
            self.voice.line("ring", "feed", {"bytes": size}, f"Ring buffer ready: {size} bytes")
        hopeless = name == "venue" or (child.exit_code == EXIT_CONFIG and not child.ready_ns)
        if event == "exited" and hopeless and child.state is not State.STOPPING and not self._over.is_set():
            self._exit_code = EXIT_CONFIG if child.exit_code == EXIT_CONFIG else 1
            self._over.set()

    def _write_note(self) -> None:
        venue, aegis = self.config.venue, self.config.aegis
        self._instance.write_note(
            Note(
                pid=os.getpid(),
                mode=aegis.mode,
                account=aegis.account,
                state_dir=aegis.state_dir,
                rest_url=venue.rest_url,
                stream_url=venue.stream_url,
                ws_api_url=venue.ws_api_url,
                ca_file=venue.ca_file,
                keys_file=venue.keys_file,
                control_url=self._control_url,
                started_ns=self._started_ns,
                processes={name: child.pid for name, child in self.children.items()},
                symbols=self.config.symbols.list,
            )
        )

    async def _watch(self) -> None:
        """The watchdog's turn; when it comes late itself, nobody is blamed."""
        last_ns = self.clock.mono_ns()
        while True:
            await asyncio.sleep(TICK_S)
            now_ns = self.clock.mono_ns()
            late = now_ns - last_ns > self.config.supervisor.watchdog_ms * 500_000
            last_ns = now_ns
            for child in self.children.values():
                child.tick(late)

    # -- stopping

    async def _stop_all(self) -> None:
        """Brain, orchestrator, feed, the check of open orders, venue; then the files."""
        began_ns = self._stop_ns = self.clock.mono_ns()
        self._over.set()
        for name in ("brain", "orchestrator", "feed"):
            await self._stop_one(name)
        open_left = 0
        if self.control is not None:
            try:
                async with asyncio.timeout(self._limit_s("check")):
                    open_left = await paper.cancel_all(self.config, self.control, self.voice.note)
            except TimeoutError:
                open_left = -1
            await self.control.close()
        await self._stop_one("venue")
        await asyncio.gather(*self._lives, return_exceptions=True)
        times = latency.report(self._instance.root)
        self._instance.remove()
        took_ms = (self.clock.mono_ns() - began_ns) // 1_000_000
        self._exit_code = self._exit_code or (1 if open_left else 0)
        self._last_words(open_left, took_ms, times)

    def _last_words(self, open_left: int, took_ms: int, times: dict[str, Any]) -> None:
        restarts = sum(child.restarts for child in self.children.values())
        facts = {"took_ms": took_ms, "open_orders": open_left, "restarts": restarts, "latency": times}
        count = "not verified" if self.control is None or open_left < 0 else str(open_left)
        self.voice.line("stopped", "supervisor", facts, f"stopped in {took_ms} ms, open orders {count}")

    async def _stop_one(self, name: str) -> None:
        child = self.children.get(name)
        if child is not None:
            await child.stop(self._limit_s(name))

    def _limit_s(self, name: str) -> float:
        used_s = (self.clock.mono_ns() - self._stop_ns) / 1e9
        return max(0.1, STOP_SHARE[name] * (self.config.supervisor.stop_s - used_s))


async def _drain(out: asyncio.StreamReader) -> None:
    while await out.read(65536):
        pass


def prepare(config: Config) -> Config:
    """
    Settings of this run: an account of its own in paper mode, a capture's own symbols and streams in replay.

    Raises:
        ConfigError: a mode that this build does not run, or a capture that cannot be read.
    """
    mode = config.aegis.mode
    if mode == "paper-live":
        raise ConfigError("config: aegis.mode 'paper-live' cannot run: no simulated orders on real market data yet")
    if mode != "paper":
        return config
    account = f"paper-{secrets.token_hex(4)}"
    changed: dict[str, Any] = {"aegis": msgspec.structs.replace(config.aegis, account=account)}
    if config.paper.replay:
        path = Path(config.paper.replay).resolve()
        symbols, streams = paper.peek_capture(path)
        changed["paper"] = msgspec.structs.replace(config.paper, replay=str(path))
        changed["symbols"] = msgspec.structs.replace(config.symbols, list=symbols)
        changed["feed"] = msgspec.structs.replace(config.feed, streams=streams)
    forget_old_paper(Path(config.aegis.state_dir).expanduser())
    return msgspec.structs.replace(config, **changed)


def run(config: Config, options: Options) -> int:
    """
    Serve until SIGTERM, SIGINT, the duration, or the end of the replay.

    Returns:
        0 after an orderly stop with no open order; 1 after a fault.

    Raises:
        ConfigError: already running, or a configuration that cannot run.
    """
    if options.exit_at_end and not config.paper.replay:
        raise ConfigError("up: --exit-at-end needs --replay")
    config = prepare(config)
    return asyncio.run(Supervisor(config, options, Instance(config)).run())
