"""The one place of the venue that reads a clock."""

from __future__ import annotations

import time


def now_ms() -> int:
    """Wall clock, milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def mono_ns() -> int:
    """Monotonic clock in nanoseconds, for deadlines."""
    return time.monotonic_ns()
