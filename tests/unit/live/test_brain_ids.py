"""The file of id epochs: a number that was taken is never given again, whoever writes the file last."""

from __future__ import annotations

from pathlib import Path

import msgspec

from aegis.live.brain_ids import open_ids


def test_each_start_takes_a_new_epoch_and_reserves_before_use(tmp_path: Path) -> None:
    """Epochs rise; what is handed out is below what the file says."""
    path = tmp_path / "deep" / "ids.json"
    first, second = open_ids(path), open_ids(path)
    assert second.epoch == first.epoch + 1
    second.take()
    found = msgspec.json.decode(path.read_bytes())
    assert found["epoch"] == second.epoch and found["reserved"] >= 1


def test_an_older_start_that_still_lives_takes_no_epoch_back(tmp_path: Path) -> None:
    """Two processes of one account: the older one's next block must not make the third repeat the second's ids."""
    path = tmp_path / "ids.json"
    first, second = open_ids(path), open_ids(path)
    first.reserve(1024)
    second.reserve(1024)
    first.reserve(2048)
    assert open_ids(path).epoch > second.epoch
