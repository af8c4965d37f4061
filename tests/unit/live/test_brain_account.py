"""Laws of the brain's positions: the newest page counts, however soon it follows the one before."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from aegis.live.brain_account import Positions
from aegis.live.orchestrator_books import write_atomic


def test_a_second_page_within_one_tick_of_the_clock_is_read(tmp_path: Path) -> None:
    """Two pages with the same time of change: the second one is what the brain goes by."""
    path = tmp_path / "positions.json"
    positions = Positions(path)
    for reconciled in (False, True):
        write_atomic(path, msgspec.json.encode({"reconciled": reconciled}))
        os.utime(path, ns=(10**18, 10**18))
        assert positions.refresh() is True
        assert positions.page.reconciled is reconciled
    assert positions.refresh() is False
