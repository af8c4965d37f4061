"""The one place that reads the clock.

Wall time says when something happened (comparable with the venue's stamps); monotonic time says how long something
took and drives deadlines. What must stay true: a deadline is never computed from wall time, which may jump.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class Clock:
    """
    Both clocks in nanoseconds; tests hand in their own sources.

    Args:
        wall: wall-clock nanoseconds since 1970 UTC.
        mono: monotonic nanoseconds.
    """

    __slots__ = ("mono_ns", "now_ns")

    def __init__(self, wall: Callable[[], int] = time.time_ns, mono: Callable[[], int] = time.monotonic_ns) -> None:
        self.now_ns: Callable[[], int] = wall
        self.mono_ns: Callable[[], int] = mono
