"""Instruction budgets of reading a frame, and the canary that has to break them.

Problem: times on a shared machine blur, instructions do not. Callgrind counts two runs that differ only in the number
of frames, so start and learning fall out. It knows no AVX-512, so what is judged is the AVX2 and the scalar twin.
What must stay true: a budget is what was counted plus a tenth; a build without prediction misses every one of them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [ROOT / "csrc" / f"{n}.c" for n in ("scan", "digits", "levels", "decimal", "predict", "tick", "symbols")]
FLAGS = ["-std=c11", "-O2", "-g", f"-I{ROOT / 'csrc'}"]  # as the extension is built
BUDGETS = {
    ("ticker", "avx2"): 320,
    ("trade", "avx2"): 310,
    ("depth", "avx2"): 16_100,
    ("ticker", "scalar"): 1_360,
    ("depth", "scalar"): 55_200,
    ("ticker", "general"): 3_820,
}

pytestmark = [
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler"),
    pytest.mark.skipif(shutil.which("valgrind") is None, reason="no valgrind to count instructions"),
    pytest.mark.timeout(120),
]


def build(target: Path, *flags: str) -> Path:
    """The counting program."""
    source = ROOT / "tests" / "bench" / "c" / "tick_count.c"
    subprocess.run(["cc", *FLAGS, *flags, str(source), *map(str, SOURCES), "-o", str(target)], check=True)
    return target


def instructions(program: Path, kind: str, reader: str, frames: int) -> int:
    """Instructions of a whole run."""
    tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    done = subprocess.run([*tool, str(program), kind, reader, str(frames)], capture_output=True, text=True)
    if done.returncode == 77:
        pytest.skip(f"no {reader} on this machine")
    found = re.search(r"Collected\s*:\s*(\d+)", done.stderr)
    assert done.returncode == 0 and found, done.stderr
    return int(found[1])


def per_frame(program: Path, kind: str, reader: str) -> int:
    """Instructions of one more frame, when everything is learned."""
    few, many = 512, 1024
    return (instructions(program, kind, reader, many) - instructions(program, kind, reader, few)) // (many - few)


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("tick") / "count")


@pytest.mark.parametrize(("kind", "reader"), BUDGETS)
def test_a_frame_costs_no_more_than_its_budget(counted: Path, kind: str, reader: str) -> None:
    """No more instructions than were counted when the budget was set, plus a tenth."""
    assert per_frame(counted, kind, reader) <= BUDGETS[kind, reader]


def test_without_prediction_the_budgets_break(tmp_path: Path) -> None:
    """The canary: a reader that forgets what it saw is over every budget of a predicted frame."""
    forgetful = build(tmp_path / "forgetful", "-DAE_MUTANT_FORGETFUL")
    for kind in ("ticker", "trade", "depth"):
        assert per_frame(forgetful, kind, "avx2") > BUDGETS[kind, "avx2"]


def test_nothing_is_allocated(counted: Path) -> None:
    """A thousand frames more, not one allocation more."""
    found = []
    for frames in (500, 1500):
        done = subprocess.run(["valgrind", str(counted), "depth", "best", str(frames)], capture_output=True, text=True)
        usage = re.search(r"total heap usage: ([\d,]+) allocs", done.stderr)
        assert done.returncode == 0 and usage, done.stderr
        found.append(usage[1])
    assert found[0] == found[1]
