"""One supervised process: started, listened to, killed when silent, started again.

Problem: a process that hangs is worse than one that died, for nothing reports it. So each child has its own notify
socket and must ping; what goes silent is killed and comes back by the ordinary start. A supervisor that was itself
asleep must not kill healthy children: the silence is counted only while the supervisor was awake to hear.
What must stay true: one child's death touches no other child; a child never outlives its supervisor; a child is in
its own process group, so that Ctrl-C reaches the supervisor alone; back-off doubles up to its cap and starts anew
after `HEALTHY_S` of good service.
"""

from __future__ import annotations

import asyncio
import ctypes
import functools
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import IO

import msgspec

from aegis.errors import ConfigError
from aegis.live.clock import Clock

READY_S = 30.0  # imports of three processes at once on a small machine, and a slow venue
HEALTHY_S = 10.0
_DATAGRAM_BYTES = 4096
_SOCKET_PATH_MAX = 107  # sun_path of Linux
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
EXIT_CONFIG = 2


class State(IntEnum):
    """Where a child is in its life."""

    STOPPED = 0
    STARTING = 1
    READY = 2
    BACKOFF = 3
    STOPPING = 4


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to run: `watchdog_ms` 0 expects no notify messages (readiness is then told by `Child.mark_ready`)."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str]
    watchdog_ms: int
    backoff_min_s: float
    backoff_max_s: float
    restart: bool = True
    logs: Path | None = None
    read_out: bool = False


class Child:
    """
    A supervised process; `run` is its life, `tick` its watchdog.

    Args:
        plan: command, environment and deadlines.
        socket_dir: where the notify socket is made.
        clock: monotonic time.
        tell: called with (child, event, facts) on "started", "ready", "exited", "killed".
    """

    def __init__(self, plan: Plan, socket_dir: Path, clock: Clock, tell: Callable[..., None]) -> None:
        self.plan, self._clock, self._tell = plan, clock, tell
        self.state, self.pid, self.restarts, self.status = State.STOPPED, 0, 0, ""
        self.exit_code: int | None = None
        self.started_ns = self.ready_ns = self.heard_ns = 0
        self.out: asyncio.StreamReader | None = None
        self.ready, self.gone = asyncio.Event(), asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._stop = asyncio.Event()
        self._backoff_s = plan.backoff_min_s
        self._why = ""
        self._socket_path = socket_dir / f"notify.{plan.name}"
        self._socket = self._listen() if plan.watchdog_ms else None

    def _listen(self) -> socket.socket:
        if len(str(self._socket_path)) > _SOCKET_PATH_MAX:
            raise ConfigError(f"config: aegis.shm_dir is too long for a socket: {self._socket_path}")
        self._socket_path.unlink(missing_ok=True)
        link = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        link.bind(str(self._socket_path))
        asyncio.get_running_loop().add_reader(link.fileno(), self._hear)
        return link

    def _hear(self) -> None:
        assert self._socket is not None
        while True:
            try:
                text = self._socket.recv(_DATAGRAM_BYTES).decode("ascii", "replace")
            except BlockingIOError:
                return
            for line in text.splitlines():
                self._take(line)

    def _take(self, line: str) -> None:
        key, _, value = line.partition("=")
        self.heard_ns = self._clock.mono_ns() if key in ("WATCHDOG", "READY") else self.heard_ns
        if key == "STATUS":
            self.status = value
        elif key == "READY" and self.state is State.STARTING:
            self.mark_ready()

    def mark_ready(self) -> None:
        """The child said that it does its work."""
        self.state, self.ready_ns = State.READY, self._clock.mono_ns()
        self.heard_ns = self.ready_ns
        self.ready.set()
        self._tell(self, "ready", after_ms=(self.ready_ns - self.started_ns) // 1_000_000)

    async def run(self) -> None:
        """Start, wait for the end, start again with back-off; returns once stopped, or dead without restart."""
        try:
            while not self._stop.is_set():
                await self._live_once()
                if self._stop.is_set() or not self.plan.restart or self._hopeless():
                    break
                await self._pause()
                self.restarts += 1
        finally:
            self.state = State.STOPPED
            self.close()
            self.gone.set()

    def _hopeless(self) -> bool:
        return self.exit_code == EXIT_CONFIG and not self.ready_ns

    async def _live_once(self) -> None:
        self.state, self.ready_ns, self.exit_code, self._why = State.STARTING, 0, None, ""
        self.ready.clear()
        self.started_ns = self.heard_ns = self._clock.mono_ns()
        environ = dict(self.plan.environ)
        if self.plan.watchdog_ms:
            environ["NOTIFY_SOCKET"] = str(self._socket_path)
            environ["WATCHDOG_USEC"] = str(self.plan.watchdog_ms * 1000)
        log = self._open_log()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self.plan.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if self.plan.read_out else (log or 2),
                stderr=log,
                env=environ,
                start_new_session=True,
                preexec_fn=functools.partial(_die_with_parent, os.getpid()),
            )
        finally:
            if log is not None:
                log.close()
        self.pid, self.out = self._process.pid, self._process.stdout
        self._tell(self, "started", pid=self.pid, restarts=self.restarts)
        code = await self._process.wait()
        self.exit_code = code
        self.state = State.STOPPING if self._stop.is_set() else State.BACKOFF
        self._tell(self, "exited", pid=self.pid, code=code, why=self._why or _cause(code))

    def _open_log(self) -> IO[bytes] | None:
        if self.plan.logs is None:
            return None
        self.plan.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        return (self.plan.logs / f"{self.plan.name}.log").open("ab")

    async def _pause(self) -> None:
        served_s = (self._clock.mono_ns() - self.ready_ns) / 1e9 if self.ready_ns else 0.0
        if served_s >= HEALTHY_S:
            self._backoff_s = self.plan.backoff_min_s
        try:
            await asyncio.wait_for(self._stop.wait(), self._backoff_s)
        except TimeoutError:
            self._backoff_s = min(self._backoff_s * 2, self.plan.backoff_max_s)

    def tick(self, forgive: bool) -> None:
        """
        Kill what is silent or not ready in time.

        Args:
            forgive: the supervisor itself was late; silence starts counting now.
        """
        now = self._clock.mono_ns()
        if forgive:
            self.heard_ns = now
        if not self.plan.watchdog_ms:
            return
        if self.state is State.READY and now - self.heard_ns > self.plan.watchdog_ms * 1_000_000:
            self.kill(f"silent for {(now - self.heard_ns) // 1_000_000} ms")
        elif self.state is State.STARTING and now - self.started_ns > READY_S * 1e9:
            self.kill(f"not ready after {READY_S:g} s")

    def kill(self, why: str) -> None:
        """SIGKILL, which also ends a stopped process; the ordinary restart follows."""
        if self._process is not None and self._process.returncode is None and not self._why:
            self._why = why
            self._tell(self, "killed", pid=self.pid, why=why)
            self._process.kill()

    async def stop(self, limit_s: float) -> None:
        """SIGTERM, then SIGKILL after `limit_s`; returns when the process is gone."""
        self._stop.set()
        if self._process is not None and self._process.returncode is None:
            self.state = State.STOPPING
            self._process.terminate()
            try:
                await asyncio.wait_for(self.gone.wait(), limit_s)
            except TimeoutError:
                self.kill(f"did not stop in {limit_s:.1f} s")
        await self.gone.wait()

    def close(self) -> None:
        """Let go of the notify socket."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None
            self._socket_path.unlink(missing_ok=True)


def _die_with_parent(parent: int) -> None:
    """In the child, before exec: ask the kernel for SIGTERM when the supervisor `parent` is gone."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def _cause(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
