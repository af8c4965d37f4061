"""Law: what dies or falls silent comes back with back-off; nothing else is touched; nothing outlives its supervisor."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from aegis.live.clock import Clock
from aegis.live.supervisor_child import Child, Plan, State

HEAD = "import os,sys,time,signal\nfrom aegis.live.notify import Notifier\nn=Notifier()\n"
GOOD = HEAD + "n.ready('fine')\ni=0\nwhile True:\n i+=1\n n.ping(i,time.monotonic_ns())\n time.sleep(0.05)\n"
MUTE = HEAD + "n.ready()\nsignal.pause()\n"
STUCK = HEAD + "n.ready()\nwhile True:\n n.ping(7,time.monotonic_ns())\n time.sleep(0.05)\n"
DEAF = HEAD + "signal.signal(signal.SIGTERM,signal.SIG_IGN)\n" + GOOD.removeprefix(HEAD)
WRONG = "import sys\nsys.exit(2)\n"


class Stage:
    """A child with its watchdog ticking, and what it told."""

    def __init__(self, tmp_path: Path, code: str, **more: Any) -> None:
        environ = {k: v for k, v in os.environ.items() if k != "NOTIFY_SOCKET"}
        plan = {"watchdog_ms": 400, "backoff_min_s": 0.05, "backoff_max_s": 0.4} | more
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.child = Child(
            Plan(name="it", command=[sys.executable, "-c", code], environ=environ, **plan), tmp_path, Clock(), self.tell
        )

    def tell(self, _child: Child, event: str, **facts: Any) -> None:
        self.told.append((event, facts))

    def events(self) -> list[str]:
        return [event for event, _ in self.told]

    async def __aenter__(self) -> Stage:
        self.life = asyncio.create_task(self.child.run())
        self.dog = asyncio.create_task(self.tick())
        return self

    async def tick(self) -> None:
        while True:
            await asyncio.sleep(0.02)
            self.child.tick(False)

    async def __aexit__(self, *_: object) -> None:
        await self.child.stop(1.0)
        self.dog.cancel()
        await self.life

    async def until(self, event: str, count: int = 1) -> None:
        async with asyncio.timeout(20):
            while self.events().count(event) < count:
                await asyncio.sleep(0.01)


def test_killed_child_comes_back(tmp_path: Path) -> None:
    """SIGKILL: a new PID, ready again, status heard."""

    async def play() -> None:
        async with Stage(tmp_path, GOOD) as stage:
            await stage.until("ready")
            first = stage.child.pid
            os.kill(first, signal.SIGKILL)
            await stage.until("ready", 2)
            assert stage.child.pid != first
            assert (stage.child.restarts, stage.child.status) == (1, "fine")
        assert stage.child.state is State.STOPPED
        assert not (tmp_path / "notify.it").exists()

    asyncio.run(play())


@pytest.mark.parametrize("code", [MUTE, STUCK], ids=["mute", "pings-without-progress"])
def test_silent_child_is_killed(tmp_path: Path, code: str) -> None:
    """No ping, or pings that stop because progress did: killed by the watchdog, started again."""

    async def play() -> None:
        async with Stage(tmp_path, code) as stage:
            await stage.until("killed")
            await stage.until("ready", 2)
            assert "silent" in next(f["why"] for e, f in stage.told if e == "killed")

    asyncio.run(play())


def test_stopped_child_is_killed_and_replaced(tmp_path: Path) -> None:
    """SIGSTOP: silence, SIGKILL, restart."""

    async def play() -> None:
        async with Stage(tmp_path, GOOD) as stage:
            await stage.until("ready")
            os.kill(stage.child.pid, signal.SIGSTOP)
            await stage.until("ready", 2)

    asyncio.run(play())


def test_healthy_child_is_left_alone(tmp_path: Path) -> None:
    """Several watchdog periods of good service: one start, no kill."""

    async def play() -> None:
        async with Stage(tmp_path, GOOD) as stage:
            await stage.until("ready")
            ready_ns = stage.child.ready_ns
            async with asyncio.timeout(20):
                while stage.child.heard_ns - ready_ns < 1_500_000_000:
                    await asyncio.sleep(0.02)
            assert stage.events() == ["started", "ready"]

    asyncio.run(play())


def test_deaf_child_is_killed_at_the_stop_limit(tmp_path: Path) -> None:
    """SIGTERM ignored: SIGKILL after the limit, and `stop` returns."""

    async def play() -> None:
        async with Stage(tmp_path, DEAF) as stage:
            await stage.until("ready")
            await stage.child.stop(0.3)
            assert stage.events()[-2:] == ["killed", "exited"]

    asyncio.run(play())


def test_backoff_doubles_to_its_cap(tmp_path: Path) -> None:
    """A child that always dies is started with growing pauses, not in a storm."""

    async def play() -> None:
        async with Stage(tmp_path, "import sys\nsys.exit(1)\n") as stage:
            await stage.until("started", 5)
            assert stage.child._backoff_s == 0.4

    asyncio.run(play())


def test_configuration_fault_is_not_retried(tmp_path: Path) -> None:
    """Exit code 2 before READY: nothing a restart could mend."""

    async def play() -> None:
        async with Stage(tmp_path, WRONG) as stage:
            async with asyncio.timeout(20):
                await stage.child.gone.wait()
            assert stage.events() == ["started", "exited"]

    asyncio.run(play())


def test_child_dies_with_its_supervisor(tmp_path: Path) -> None:
    """SIGKILL of the supervisor leaves no child behind."""
    script = f"""
import asyncio, sys, os
from pathlib import Path
from aegis.live.clock import Clock
from aegis.live.supervisor_child import Child, Plan
async def main():
    plan = Plan(name="it", command=[sys.executable, "-c", {GOOD!r}], environ=dict(os.environ), watchdog_ms=1000,
                backoff_min_s=1, backoff_max_s=1)
    child = Child(plan, Path({str(tmp_path)!r}), Clock(), lambda c, e, **f: print(e, c.pid, flush=True))
    await child.run()
asyncio.run(main())
"""

    async def play() -> None:
        parent = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
        assert parent.stdout is not None
        async with asyncio.timeout(20):
            line = b""
            while not line.startswith(b"ready"):
                line = await parent.stdout.readline()
            pid = int(line.split()[1])
            parent.kill()
            await parent.wait()
            while _runs(pid):
                await asyncio.sleep(0.02)

    asyncio.run(play())


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except OSError:
        return False
