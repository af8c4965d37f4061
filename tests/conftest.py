"""What all tests share: waiting on a condition with a deadline, and where the recorded traffic lies.

Nothing here sleeps for a fixed time: `eventually` looks again and again until its deadline. No property test judges how
long an example took: on a busy machine that is the machine's time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("aegis", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("aegis")

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[1]


def shared_data() -> Path:
    """Directory of recorded venue traffic: AEGIS_TEST_DATA, or `shared/data` beside the tree."""
    return Path(os.environ.get("AEGIS_TEST_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture
def data_dir() -> Path:
    """Recorded traffic; the test is skipped where it is missing."""
    path = shared_data()
    if not path.is_dir():
        pytest.skip(f"recorded traffic is missing: {path.name} beside the tree")
    return path


def eventually(look: Callable[[], T], limit_s: float = 10.0) -> T:
    """First truthy value `look` gives, or a failure naming what it gave last."""
    deadline = time.monotonic() + limit_s
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {limit_s:g} s: {getattr(look, '__name__', look)}; last seen {seen!r}")
        time.sleep(0.02)


@pytest.fixture(name="eventually")
def eventually_fixture() -> Callable[..., object]:
    """`eventually` for tests that take it as a fixture."""
    return eventually
