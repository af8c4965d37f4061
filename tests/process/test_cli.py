"""Law: bad input is one clear line and exit code 2; a command says what it knows and no more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def aegis(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the real command in an environment without other settings."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("AEGIS_")}
    command = [sys.executable, "-m", "aegis.cli.main", *words]
    return subprocess.run(command, env=clean | environ, capture_output=True, text=True, timeout=60, check=False)


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a refusal."""
    lines = done.stderr.splitlines()
    assert (done.returncode, len(lines), done.stdout) == (2, 1, ""), done
    return lines[0]


@pytest.mark.parametrize("command", [("config", "check"), ("up",), ("feed",), ("brain",), ("orchestrator",)])
def test_unknown_key_is_refused_by_every_command(tmp_path: Path, command: tuple[str, ...]) -> None:
    """One line that names file and key; nothing is started."""
    path = tmp_path / "a.toml"
    path.write_text("[feed]\nstail_s = 3\n", encoding="utf-8")
    assert "unknown key feed.stail_s" in refused(aegis(*command, "--config", str(path)))


def test_wrong_type_is_refused(tmp_path: Path) -> None:
    """One line that names key, value and type."""
    path = tmp_path / "a.toml"
    path.write_text('[paper]\nseed = "many"\n', encoding="utf-8")
    line = refused(aegis("config", "check", "--config", str(path)))
    assert "paper.seed = 'many'" in line
    assert "int" in line


@pytest.mark.parametrize("keys_file", [None, "absent.json"])
def test_missing_credential_in_live_is_refused(tmp_path: Path, keys_file: str | None) -> None:
    """No keys file named, or one that is not there."""
    path = tmp_path / "a.toml"
    keys = f'[venue]\nkeys_file = "{tmp_path / keys_file}"\n' if keys_file else ""
    path.write_text('[aegis]\nmode = "live"\n' + keys, encoding="utf-8")
    for command in (("config", "check"), ("up", "--live")):
        assert "credentials" in refused(aegis(*command, "--config", str(path)))


def test_live_without_its_flag_is_refused(tmp_path: Path) -> None:
    """Real money only on an explicit word, for each process."""
    path = tmp_path / "a.toml"
    path.write_text('[aegis]\nmode = "live"\n[venue]\nkeys_file = "k.json"\n', encoding="utf-8")
    for command in ("up", "feed", "brain", "orchestrator"):
        assert "--live" in refused(aegis(command, "--config", str(path)))


def test_exit_at_end_needs_a_replay() -> None:
    """An end that never comes is refused."""
    assert "--replay" in refused(aegis("up", "--exit-at-end", AEGIS_AEGIS_INSTANCE="cli-test-end"))


def test_unreadable_capture_is_refused(tmp_path: Path) -> None:
    """A capture that is none."""
    path = tmp_path / "empty"
    path.write_text("nothing\n", encoding="utf-8")
    assert "no stream frame" in refused(aegis("up", "--replay", str(path), AEGIS_AEGIS_INSTANCE="cli-test-replay"))


def test_config_check_shows_value_and_origin(tmp_path: Path) -> None:
    """Each effective value with where it came from, as lines and as JSON."""
    path = tmp_path / "a.toml"
    path.write_text("[feed]\nstale_s = 12.5\n", encoding="utf-8")
    done = aegis("config", "check", "--config", str(path), "--json", "--set", "paper.seed=9", AEGIS_PAPER_PORT="77")
    found = json.loads(done.stdout)
    assert found["feed.stale_s"] == {"value": 12.5, "origin": str(path)}
    assert found["paper.seed"] == {"value": 9, "origin": "command line"}
    assert found["paper.port"] == {"value": 77, "origin": "AEGIS_PAPER_PORT"}
    assert found["feed.gap_fill"] == {"value": True, "origin": "default"}
    text = aegis("config", "check", "--config", str(path)).stdout
    assert [line.split()[-1] for line in text.splitlines() if line.startswith("feed.stale_s ")] == [str(path)]


@pytest.mark.parametrize("command", ["status", "positions", "orders", "halt", "resume"])
def test_commands_work_when_nothing_runs(tmp_path: Path, command: str) -> None:
    """They say so, and exit 3: nothing is known."""
    environ = {"AEGIS_AEGIS_SHM_DIR": str(tmp_path / "shm"), "AEGIS_AEGIS_STATE_DIR": str(tmp_path / "state")}
    done = aegis(command, "--json", **environ)
    assert done.returncode == 3, done.stderr
    assert json.loads(done.stdout)["running"] is False
    assert aegis(command, **environ).stdout.strip()


def test_usage_errors_exit_2() -> None:
    """argparse's own refusals."""
    assert aegis("no-such-command").returncode == 2
    assert aegis("reconcile").returncode == 2
