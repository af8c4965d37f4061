"""The loop whose selector takes hot turns: both kinds of work get their turn, deadlines hold, faults come out."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("aegis.native._aegis")

from aegis.live.brain_loop import HotLoop
from aegis.native import abi, turn
from aegis.native.ring import RingReader, RingWriter
from aegis.native.turn import Turn
from aegis.native.wait import Wait


def drive(work: Callable[[HotLoop], Coroutine[Any, Any, Any]]) -> Any:
    """Run one coroutine on a HotLoop."""

    async def main() -> Any:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, HotLoop)
        try:
            async with asyncio.timeout(30):
                return await work(loop)
        finally:
            loop.hot.hot = None

    with asyncio.Runner(loop_factory=HotLoop) as runner:
        return runner.run(main())


class Rig:
    """A turn over real rings."""

    def __init__(self, root: Path, how: str) -> None:
        self.market, self.account = (
            RingWriter(root / name, 1024, size, name) for name, size in (("market", 64), ("account", 256))
        )
        self.turn = Turn(Wait(how), 100, 1000)
        self.turn.market(RingReader(root / "market"))
        self.turn.account(RingReader(root / "account"))

    def publish(self, *recv_ns: int) -> None:
        """One bookTicker record per stamp."""
        batch = np.zeros(len(recv_ns), abi.TICK)
        batch["kind"], batch["a"], batch["c"], batch["recv_ns"] = 1, 100, 101, recv_ns
        self.market.publish(batch)


@pytest.fixture(params=["block", "adaptive", "spin"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    """Each way of waiting."""
    made = Rig(tmp_path, request.param)
    yield made
    made.turn.wait.close()


def test_asyncio_lives_beside_turns_that_never_rest(rig: Rig) -> None:
    """Every turn finds a record; tasks, timers and sockets go on all the same."""
    turns = [0]

    def hot(until_ns: int) -> None:
        found = turn.MARKET
        while found == turn.MARKET:
            rig.publish(1)
            found = rig.turn.step(until_ns)
            turns[0] += 1

    async def work(loop: HotLoop) -> None:
        here, there = socket.socketpair()
        here.setblocking(False)
        rig.turn.wait.watch(loop.hot.fileno())
        loop.hot.hot = hot
        for _ in range(20):
            await asyncio.sleep(0.001)
            await asyncio.sleep(0)
            there.send(b"x")
            assert await loop.sock_recv(here, 1) == b"x"
        here.close()
        there.close()

    drive(work)
    assert turns[0] > 100


def test_a_fault_of_a_turn_reaches_who_waits() -> None:
    """And ends the turns."""

    async def work(loop: HotLoop) -> None:
        failed = loop.create_future()
        loop.hot.fault = failed.set_exception

        def hot(_until_ns: int) -> None:
            raise ZeroDivisionError("planted")

        loop.hot.hot = hot
        try:
            await failed
        finally:
            assert loop.hot.hot is None

    with pytest.raises(ZeroDivisionError, match="planted"):
        drive(work)


def test_records_descriptors_and_timers_wake_the_same_wait(rig: Rig) -> None:
    """One after the other, whatever the loop sleeps on."""

    async def work(loop: HotLoop) -> list[int]:
        seen: list[int] = []
        waiting = asyncio.Event()

        def hot(until_ns: int) -> None:
            if rig.turn.step(until_ns) & turn.MARKET:
                seen.extend(rig.turn.batch()["recv_ns"].tolist())
                waiting.set()

        rig.turn.wait.watch(loop.hot.fileno())
        loop.hot.hot = hot
        here, there = socket.socketpair()
        here.setblocking(False)
        for i in range(50):
            loop.run_in_executor(None, rig.publish, i + 1)
            await waiting.wait()
            waiting.clear()
            loop.run_in_executor(None, there.send, b"x")
            await loop.sock_recv(here, 1)
            await asyncio.sleep(0)
        here.close()
        there.close()
        return seen

    assert drive(work) == list(range(1, 51))


def test_a_turn_says_what_it_found(rig: Rig) -> None:
    """Nothing, a batch, account news beside it; progress moves with each step; features follow."""
    step = rig.turn.step
    step(0)
    assert step(0) & (turn.MARKET | turn.ACCOUNT) == 0
    rig.publish(5, 6)
    rig.account.publish(bytes(256))
    found = step(turn.NEVER)
    assert found & turn.MARKET
    assert found & turn.ACCOUNT
    assert rig.turn.batch()["recv_ns"].tolist() == [5, 6]
    assert rig.turn.features.touch(0) is not None
    assert not rig.turn.batch().flags.writeable
    assert rig.turn.c.turns == 3


def test_a_look_and_a_timer_come_due_without_any_record(rig: Rig) -> None:
    """The wait ends for them by itself."""
    found = 0
    while found & (turn.LOOK | turn.TIMER) != turn.LOOK | turn.TIMER:
        found |= rig.turn.step(turn.NEVER)
    assert not found & turn.MARKET


def test_a_new_writer_makes_features_start_anew(rig: Rig) -> None:
    """What an earlier feed said does not count."""
    rig.publish(5)
    rig.turn.step(turn.NEVER)
    path = rig.market.path
    rig.market.close()
    rig.market = RingWriter(path, 1024, 64, "market")
    rig.publish(6)
    assert rig.turn.step(turn.NEVER) & turn.ANEW
    touch = rig.turn.features.touch(0)
    assert touch is not None
    assert touch.recv_ns == 6
    assert rig.turn.features.c.row[0].quotes == 1


def test_a_strategy_over_its_budget_is_counted(rig: Rig) -> None:
    """Time from the batch to the next step, or to `decided`."""
    rig.publish(5)
    rig.turn.step(turn.NEVER)
    rig.turn.decided()
    rig.turn.c.budget_ns = -1
    rig.publish(6)
    rig.turn.step(turn.NEVER)
    before = rig.turn.c.over_budget
    rig.turn.step(0)
    assert rig.turn.c.over_budget == before + 1
    rig.turn.step(0)
    assert rig.turn.c.over_budget == before + 1
