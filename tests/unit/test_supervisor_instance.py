"""Law: one supervisor per instance; its note finds what runs; only its holder removes its files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aegis.config import Config, load
from aegis.errors import ConfigError
from aegis.live.supervisor_instance import Instance, Note, child_environ, read_note


def config(tmp_path: Path, **more: str) -> Config:
    return load(None, {}, {"aegis.shm_dir": str(tmp_path / "shm"), **more}).config


def note(pid: int) -> Note:
    return Note(
        pid=pid,
        mode="paper",
        account="paper-1",
        state_dir="s",
        rest_url="http://127.0.0.1:1",
        stream_url="",
        ws_api_url="",
        keys_file="k",
        started_ns=5,
        processes={"feed": 7},
    )


def test_second_holder_is_refused_and_a_third_after_the_first_left(tmp_path: Path) -> None:
    """The lock dies with its holder, and leaves nothing."""
    first = Instance(config(tmp_path))
    first.write_note(note(os.getpid()))
    with pytest.raises(ConfigError, match=f"already running .pid {os.getpid()}"):
        Instance(config(tmp_path))
    first.remove()
    assert not (tmp_path / "shm").exists()
    Instance(config(tmp_path)).remove()


def test_paper_starts_from_nothing(tmp_path: Path) -> None:
    """Files of a run that was killed are removed, for the venue they speak of is gone."""
    root = config(tmp_path).shm_path()
    root.mkdir(parents=True)
    (root / "market").write_bytes(b"old")
    held = Instance(config(tmp_path))
    assert sorted(p.name for p in root.iterdir()) == ["lock"]
    held.remove()


def test_the_latch_survives_outside_paper(tmp_path: Path) -> None:
    """The operator's halt is not forgotten by a restart of the whole."""
    live = config(tmp_path, **{"aegis.mode": "testnet", "venue.keys_file": "k"})
    held = Instance(live)
    for name in ("control", "market"):
        (live.shm_path() / name).write_bytes(b"x")
    held.remove()
    assert [p.name for p in live.shm_path().iterdir()] == ["control"]


def test_note_of_a_dead_supervisor_is_none(tmp_path: Path) -> None:
    """A note proves nothing once its writer is gone."""
    held = Instance(config(tmp_path))
    root = config(tmp_path).shm_path()
    assert read_note(root) is None
    held.write_note(note(os.getpid()))
    assert read_note(root) == note(os.getpid())
    held.write_note(note(2**22 + 1))
    assert read_note(root) is None
    held.remove()


def test_children_see_the_same_settings() -> None:
    """Every effective value travels by environment and comes out equal; foreign AEGIS variables do not travel."""
    overrides = {"symbols.list": "BTCUSDT,ETHUSDT", "brain.params": '{"k": [1, 2]}', "feed.gap_fill": "false"}
    made = load(None, {}, overrides | {"feed.stale_s": "1.25", "aegis.account": "a-1"}).config
    environ = child_environ(made, {"PATH": "/bin", "AEGIS_FEED_STALE_S": "9", "NOTIFY_SOCKET": "x"})
    assert load(None, environ).config == made
    assert (environ["PATH"], environ.get("NOTIFY_SOCKET")) == ("/bin", None)
