"""Law: whoever waits learns of every record and of the descriptor, and of nothing else."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from aegis.errors import Ours
from aegis.native.ring import RingReader, RingWriter
from aegis.native.wait import FD, HOW, RINGS, Wait

SHORT_NS, LONG_NS = 1_000_000, 10_000_000_000


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[RingWriter]:
    made = RingWriter(tmp_path / "ring", 64, 64, "ring")
    yield made
    made.close()


@pytest.fixture(params=list(HOW))
def wait(request: pytest.FixtureRequest) -> Iterator[Wait]:
    made = Wait(request.param)
    yield made
    made.close()


def test_rings_by_their_bits(wait: Wait, writer: RingWriter) -> None:
    """A ring is ready while its reader has not taken all."""
    first, last = RingReader(writer.path), RingReader(writer.path)
    wait.ring(0, first)
    wait.ring(RINGS - 1, last)
    assert wait.any(0) == wait.any(SHORT_NS) == 0
    writer.publish(bytes(64))
    assert wait.any(LONG_NS) == 1 | 1 << RINGS - 1
    first.read()
    assert wait.any(LONG_NS) == 1 << RINGS - 1
    wait.ring(RINGS - 1, None)
    assert wait.any(SHORT_NS) == 0


def test_a_sleeper_is_woken(wait: Wait, writer: RingWriter) -> None:
    """By a record published while it waits, long before the time is up."""
    reader = RingReader(writer.path)
    wait.ring(0, reader)
    later = threading.Timer(0.02, writer.publish, [bytes(64)])
    later.start()
    assert wait.any(LONG_NS) == 1
    later.join()


def test_descriptor_stays_ready_until_drained(wait: Wait) -> None:
    """Level-triggered as the loop expects, though the helper is told of edges only."""
    inner = select.epoll()
    come, go = os.pipe()
    inner.register(come, select.EPOLLIN)
    wait.watch(inner.fileno())
    assert wait.any(SHORT_NS) == 0
    later = threading.Timer(0.02, os.write, [go, b"abc"])
    later.start()
    for _ in range(3):
        assert wait.any(LONG_NS) == FD
        assert os.read(come, 1)
    later.join()
    assert wait.any(SHORT_NS) == 0
    os.write(go, b"d")
    assert wait.any(LONG_NS) == FD
    wait.close()
    assert wait.any(SHORT_NS) == 0
    inner.close()
    os.close(come)
    os.close(go)


def test_descriptor_that_was_ready_before(wait: Wait) -> None:
    """Readiness from before `watch` is not missed."""
    inner = select.epoll()
    come, go = os.pipe()
    os.write(go, b"a")
    inner.register(come, select.EPOLLIN)
    wait.watch(inner.fileno())
    assert wait.any(LONG_NS) == FD
    wait.close()
    inner.close()
    os.close(come)
    os.close(go)


def test_a_signal_ends_the_sleep(writer: RingWriter) -> None:
    """The interpreter must get its turn: a sleeping wait returns when a signal comes, and its handler runs."""
    seen: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: seen.append(number))
    wait = Wait("block")
    wait.ring(0, RingReader(writer.path))
    later = threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGUSR1])
    later.start()
    assert wait.any(LONG_NS) == 0
    later.join()
    signal.signal(signal.SIGUSR1, before)
    assert seen == [signal.SIGUSR1]


def test_refusals(wait: Wait) -> None:
    """One descriptor, four places."""
    inner = select.epoll()
    wait.watch(inner.fileno())
    with pytest.raises(Ours):
        wait.watch(inner.fileno())
    with pytest.raises(Ours):
        wait.ring(RINGS, None)
    wait.close()
    with pytest.raises(Ours):
        wait.watch(-1)
    inner.close()
