"""The C tests under their sanitizers; the weakened rings must fail (the canaries of both judges)."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


@pytest.mark.skipif(shutil.which("make") is None or shutil.which("cc") is None, reason="no C compiler or make")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("target", ["checks", "asan", "tsan", "mutants", "fuzz"])
def test_c(target: str) -> None:
    """`make -C tests/c <target>` says yes (mutants: their failure is what is asked for)."""
    env = {**os.environ, "RUNS": "200000"}
    done = subprocess.run(["make", "-C", str(HERE), target], env=env, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
