"""What the fold of one record may cost in instructions (callgrind counts, so a busy machine blurs nothing)."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
QUOTE_MAX, TRADE_MAX, ROUNDS = 440, 310, 4000
FLAGS = "-std=c11 -O2 -g -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror".split()


def built(tmp_path: Path, *defines: str) -> Path:
    """The counting program."""
    program = tmp_path / "fold"
    sources = [str(HERE / "fold_features.c"), str(ROOT / "csrc" / "features.c")]
    subprocess.run(["cc", *FLAGS, *defines, f"-I{ROOT / 'csrc'}", *sources, "-lm", "-o", str(program)], check=True)
    return program


def counted(program: Path, rounds: int, trades: int) -> int:
    """Instructions of a whole run."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", str(program), str(rounds), str(trades)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    assert found is not None, done.stderr[-500:]
    return int(found.group(1))


def per_record(program: Path, trades: int) -> float:
    """Instructions of one record: two runs of different length, so that the start of the program cancels out."""
    return (counted(program, 2 * ROUNDS, trades) - counted(program, ROUNDS, trades)) / ROUNDS


needs = pytest.mark.skipif(
    shutil.which("valgrind") is None or shutil.which("cc") is None, reason="no valgrind or C compiler"
)


@needs
def test_a_record_is_folded_within_its_budget(tmp_path: Path) -> None:
    """One quote or trade in a batch of its own, the list of changed symbols and its copy included."""
    program = built(tmp_path)
    quote, trade = per_record(program, 0), per_record(program, 1)
    print(f"instructions: quote {quote:.0f} of {QUOTE_MAX}, trade {trade:.0f} of {TRADE_MAX}")
    assert quote <= QUOTE_MAX
    assert trade <= TRADE_MAX


@needs
def test_the_budget_notices_a_fold_done_twice(tmp_path: Path) -> None:
    """The planted fault goes red."""
    assert per_record(built(tmp_path, "-DAE_MUTANT_SLOW"), 0) > QUOTE_MAX
