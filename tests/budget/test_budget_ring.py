"""Instruction budgets of ring, batches and latency hops, and the canary that has to break them.

Problem: times on a shared machine blur, instructions do not. Callgrind counts two runs that differ only in how many
records they move, so start-up falls out.
What must stay true: a budget is what was counted plus a tenth; a build that moves its payload word by word, as other
machines have to, misses those of the ring.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [ROOT / "csrc" / f"{n}.c" for n in ("ring", "take", "wait", "hist")]
FLAGS = ["-std=c11", "-O2", "-g", f"-I{ROOT / 'csrc'}", "-pthread"]
BUDGETS = {"publish": 44, "publish16": 24, "read": 38, "take": 38, "conflate": 136, "hop": 49, "ready": 105}

pytestmark = [
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler"),
    pytest.mark.skipif(shutil.which("valgrind") is None, reason="no valgrind to count instructions"),
    pytest.mark.timeout(120),
]


def build(target: Path, *flags: str) -> Path:
    """The counting program."""
    source = ROOT / "tests" / "budget" / "count_ring.c"
    subprocess.run(["cc", *FLAGS, *flags, str(source), *map(str, SOURCES), "-o", str(target)], check=True)
    return target


def instructions(program: Path, what: str, times: int) -> int:
    """Instructions of a whole run."""
    tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    done = subprocess.run([*tool, str(program), what, str(times)], capture_output=True, text=True, check=False)
    found = re.search(r"Collected\s*:\s*(\d+)", done.stderr)
    assert done.returncode == 0 and found, done.stderr
    return int(found[1])


def per_record(program: Path, what: str) -> float:
    """Instructions of one more record."""
    few, many = 512, 1536
    return (instructions(program, what, many) - instructions(program, what, few)) / (many - few)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("count") / "count_ring")


@pytest.mark.parametrize("what", list(BUDGETS))
def test_budget(program: Path, what: str) -> None:
    """One record more costs no more than it did."""
    assert per_record(program, what) <= BUDGETS[what]


def test_the_canary(tmp_path: Path) -> None:
    """A build without the plain copy misses the budgets of publishing and reading."""
    slow = build(tmp_path / "count_words", "-D__SANITIZE_THREAD__")
    for what in ("publish", "publish16", "read"):
        assert per_record(slow, what) > BUDGETS[what]
