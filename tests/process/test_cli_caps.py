"""`aegis caps` says what stands and what a start would refuse; the acts are on record."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from aegis.config import load
from aegis.live import caps
from aegis.live.log import Log


def aegis(root: Path, *words: str, collar: int) -> subprocess.CompletedProcess[str]:
    """Run the real command for an account under `root` whose collar is set to `collar`."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("AEGIS_")}
    more = [f"aegis.state_dir={root}", f"aegis.shm_dir={root}/shm", f"risk.collar_bps={collar}"]
    command = [sys.executable, "-m", "aegis.cli.main", *words, *(w for m in more for w in ("--set", m))]
    return subprocess.run(command, env=clean, capture_output=True, text=True, timeout=60, check=False)


def start(root: Path, collar: int) -> int:
    """The collar a brain's start trades with."""
    config = load(overrides={"aegis.state_dir": str(root), "risk.collar_bps": collar}).config
    return caps.enforce(config, 1, Log("brain")).risk.collar_bps


def test_a_raise_from_the_command_line(tmp_path: Path) -> None:
    """Shown as refused, raised with a reason, taken by the next start, listed for ever."""
    assert aegis(tmp_path, "caps", collar=50).returncode == 0
    assert start(tmp_path, 50) == 50
    assert start(tmp_path, 80) == 50
    shown = aegis(tmp_path, "caps", collar=80)
    assert shown.returncode == 1
    assert "refused" in next(line for line in shown.stdout.splitlines() if line.startswith("collar_bps"))
    silent = aegis(tmp_path, "caps", "raise", collar=80)
    assert (silent.returncode, silent.stderr.count("\n")) == (2, 1)
    assert "--reason" in silent.stderr
    raised = aegis(tmp_path, "caps", "raise", "--reason", "thin books at night", collar=80)
    assert raised.returncode == 0
    assert "collar_bps 50 -> 80" in raised.stdout
    assert start(tmp_path, 80) == 80
    view = json.loads(aegis(tmp_path, "caps", "--json", collar=80).stdout)
    assert view["caps"]["collar_bps"] == {
        "setting": "80", "remembered": "80", "in_force": None, "next_start": "80",
    }  # fmt: skip
    assert [a["reason"] for a in view["acts"]] == ["thin books at night"]
    again = aegis(tmp_path, "caps", "raise", "--reason", "once more", collar=80)
    assert (again.returncode, "nothing to raise" in again.stdout) == (0, True)
