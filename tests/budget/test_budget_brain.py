"""What a record may cost the brain in C: its features, and a whole turn (counted, so a busy machine blurs nothing)."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
QUOTE_MAX, TRADE_MAX, TURN_MAX, ROUNDS = 440, 310, 1000, 4000
FLAGS = "-std=c11 -O2 -g -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror".split()


def built(tmp_path: Path, name: str, *defines: str) -> Path:
    """A counting program."""
    program = tmp_path / name
    sources = [str(HERE / f"{name}.c"), *map(str, sorted((ROOT / "csrc").glob("*.c")))]
    libs = ["-lssl", "-lcrypto", "-lm", "-pthread"]
    subprocess.run(["cc", *FLAGS, *defines, f"-I{ROOT / 'csrc'}", *sources, *libs, "-o", str(program)], check=True)
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
    program = built(tmp_path, "fold_features")
    quote, trade = per_record(program, 0), per_record(program, 1)
    print(f"instructions: quote {quote:.0f} of {QUOTE_MAX}, trade {trade:.0f} of {TRADE_MAX}")
    assert quote <= QUOTE_MAX
    assert trade <= TRADE_MAX


@needs
def test_the_budget_notices_a_fold_done_twice(tmp_path: Path) -> None:
    """The planted fault goes red."""
    assert per_record(built(tmp_path, "fold_features", "-DAE_MUTANT_SLOW"), 0) > QUOTE_MAX


def per_turn(program: Path) -> float:
    """Instructions of one step that takes a quote, without its publishing."""
    return per_record(program, 1) - per_record(program, 0)


@needs
def test_a_turn_is_taken_within_its_budget(tmp_path: Path) -> None:
    """Wait, take, fold, stamp: one quote."""
    spent = per_turn(built(tmp_path, "turn_brain"))
    print(f"instructions: turn {spent:.0f} of {TURN_MAX}")
    assert spent <= TURN_MAX


@needs
def test_the_budget_notices_a_turn_too_many(tmp_path: Path) -> None:
    """The planted fault goes red."""
    assert per_turn(built(tmp_path, "turn_brain", "-DAE_MUTANT_SLOW")) > TURN_MAX
