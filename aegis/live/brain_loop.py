"""An asyncio loop whose selector is the brain's wait: hot turns run inside `select`, asyncio sees only what is cold.

Problem: a tick that travels through a thread, a wake-up of the event loop and a task costs more than the decision. So
the one busy thread waits in C for rings and asyncio's own epoll descriptor at once, decides at once, and returns to
asyncio when a descriptor is ready, a deadline is due, or a turn left work for it.
What must stay true: under full load asyncio still gets its turn after each of ours that finds it wanting, and whatever
queues work for asyncio ends the turns; a fault of a turn ends the process as a fault of a task would; the garbage
collector never runs while something is waiting, unless the young objects became too many.
"""

from __future__ import annotations

import asyncio
import gc
import os
import selectors
import time
from collections.abc import Callable

from aegis.native.turn import NEVER

Hot = Callable[[int], None]
YOUNG_MAX = 200_000  # some 20 MB of young objects: then collect in the middle of work
IDLE_MIN = 2_000


class HotSelector(selectors.EpollSelector):
    """
    `select` runs hot turns until asyncio is wanted.

    Attributes:
        hot: turns until asyncio is wanted (its argument, a monotonic ns, at the latest); None waits as any selector
            does. fault: called with what a turn raised.
    """

    def __init__(self) -> None:
        super().__init__()
        self.hot: Hot | None = None
        self.fault: Callable[[BaseException], None] = _raise

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready among asyncio's descriptors."""
        hot = self.hot
        if hot is None:
            return super().select(timeout)
        try:
            hot(NEVER if timeout is None else time.monotonic_ns() + int(timeout * 1e9) + 1 if timeout > 0 else 0)
        except BaseException as e:  # asyncio cannot carry it: whoever waits for the turns does
            self.hot = None
            self.fault(e)
        return super().select(0)


def _raise(fault: BaseException) -> None:
    raise fault


class HotLoop(asyncio.SelectorEventLoop):
    """An event loop over a HotSelector, which stands in `hot`."""

    def __init__(self) -> None:
        self.hot = HotSelector()
        super().__init__(self.hot)


class Collector:
    """Takes the collector's work out of the way: what exists is frozen, what comes is collected when idle."""

    def __init__(self) -> None:
        gc.collect()
        gc.freeze()
        gc.disable()

    def idle(self) -> None:
        """Nothing is waiting."""
        if gc.get_count()[0] > IDLE_MIN:
            gc.collect(1)

    def busy(self) -> None:
        """Something may be; called now and then."""
        if gc.get_count()[0] > YOUNG_MAX:
            gc.collect(0)

    def stop(self) -> None:
        """As before."""
        gc.enable()
        gc.unfreeze()


def pin(cpu: int) -> None:
    """
    Run on this processor only; -1 on any.

    Raises:
        OSError: there is no such processor for us.
    """
    if cpu >= 0:
        os.sched_setaffinity(0, {cpu})
