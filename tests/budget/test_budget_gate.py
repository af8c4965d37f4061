"""Instruction budgets of the gate, and the canary that breaks them (callgrind counts: a busy machine blurs nothing).

What must stay true: a budget is what was counted plus a tenth; what is counted is a check that passes every limit, its
counting, and the moment the books have seen it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLAGS = "-std=c11 -O2 -g -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror".split()
BUDGETS = {"entry": 1_120, "exit": 850, "over": 520, "tick": 275, "idle": 120}
FEW, MANY = 512, 1024
ONCE = "    settle(g);\n    if (t.have"
OFTEN = "    for (int i = 0; i < 16; i++)\n        revalue(g, in->symbol);\n    if (t.have"

pytestmark = [
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler"),
    pytest.mark.skipif(shutil.which("valgrind") is None, reason="no valgrind to count instructions"),
]


def built(folder: Path, source: Path = ROOT / "csrc" / "gate.c") -> Path:
    """The counting program."""
    program = folder / "count"
    main = ROOT / "tests" / "budget" / "gate_count.c"
    subprocess.run(["cc", *FLAGS, f"-I{ROOT / 'csrc'}", str(main), str(source), "-o", str(program)], check=True)
    return program


def counted(program: Path, kind: str, rounds: int) -> int:
    """Instructions of a whole run."""
    tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    done = subprocess.run([*tool, str(program), kind, str(rounds)], capture_output=True, text=True, check=True)
    found = re.search(r"Collected\s*:\s*(\d+)", done.stderr)
    assert found is not None, done.stderr
    return int(found[1])


def per_round(program: Path, kind: str) -> int:
    """Instructions of one more round."""
    return (counted(program, kind, MANY) - counted(program, kind, FEW)) // (MANY - FEW)


def test_within_the_budgets(tmp_path: Path) -> None:
    """Orders accepted and refused, ticks of a symbol that is held and of one that is not."""
    program = built(tmp_path)
    found = {kind: per_round(program, kind) for kind in BUDGETS}
    print(f"instructions: {found} of {BUDGETS}")
    assert all(found[kind] <= BUDGETS[kind] for kind in BUDGETS), found


def test_the_budgets_break(tmp_path: Path) -> None:
    """The canary: a gate that values its slot over and over is seen."""
    text = (ROOT / "csrc" / "gate.c").read_text(encoding="utf-8")
    assert text.count(ONCE) == 1
    slow = tmp_path / "gate.c"
    slow.write_text(text.replace(ONCE, OFTEN), encoding="utf-8")
    program = built(tmp_path, slow)
    assert per_round(program, "entry") > BUDGETS["entry"]


def test_nothing_is_allocated(tmp_path: Path) -> None:
    """A thousand orders more, not one allocation more."""
    program, found = built(tmp_path), []
    for rounds in (10, 1000):
        done = subprocess.run(["valgrind", str(program), "entry", str(rounds)], capture_output=True, text=True)
        usage = re.search(r"total heap usage: ([\d,]+) allocs", done.stderr)
        assert done.returncode == 0 and usage, done.stderr
        found.append(usage[1])
    assert found[0] == found[1]
