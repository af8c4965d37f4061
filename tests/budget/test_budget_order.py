"""What an order may cost in instructions, and the laws of the desk on every order, each proved by a planted fault.

Problem: the tool that counts instructions has no SHA instructions and runs the plain twin. So a signed order is counted
without its blocks: the same number of blocks is counted apart and taken off.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
SIGNED_MAX, LOGON_MAX, LOOK_MAX, ROUNDS = 2850, 2500, 600, 500
BLOCKS = 5  # of one signed order of BTCUSDT with a key of 64 characters, its preparation included
FLAGS = "-std=c11 -O2 -g -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror".split()


def built(tmp_path: Path, *defines: str) -> Path:
    """The counting program."""
    program = tmp_path / "desk_order"
    sources = [str(ROOT / "csrc" / f"{name}.c") for name in ("desk", "order", "sha256", "gate", "ring", "hist")]
    command = ["cc", *FLAGS, *defines, f"-I{ROOT / 'csrc'}", str(HERE / "desk_order.c"), *sources, "-o", str(program)]
    subprocess.run(command, check=True)
    return program


def counted(program: Path, what: str, rounds: int) -> int:
    """Instructions of a whole run."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", str(program), what, str(rounds)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    assert found is not None, done.stderr[-500:]
    return int(found.group(1))


def each(program: Path, what: str) -> float:
    """Instructions of one: two runs of different length, so that the start of the program cancels out."""
    return (counted(program, what, 2 * ROUNDS) - counted(program, what, ROUNDS)) / ROUNDS


needs_valgrind = pytest.mark.skipif(shutil.which("valgrind") is None, reason="no valgrind")
needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")


@needs_cc
@needs_valgrind
def test_an_order_is_placed_within_its_budget(tmp_path: Path) -> None:
    """Gate, id, record, frame and next id; signed: without the blocks; and a look at eight triggers that wait."""
    program = built(tmp_path)
    logon, look = each(program, "logon"), each(program, "look")
    signed = each(program, "signed") - BLOCKS * each(program, "blocks")
    print(f"instructions: signed {signed:.0f} of {SIGNED_MAX}, logon {logon:.0f} of {LOGON_MAX}, look {look:.0f}")
    assert signed <= SIGNED_MAX
    assert logon <= LOGON_MAX
    assert look <= LOOK_MAX


@needs_cc
@needs_valgrind
def test_the_budget_notices_a_key_hashed_again(tmp_path: Path) -> None:
    """Planted: the beginning of the payload is not hashed ahead but with every order."""
    program = built(tmp_path, "-DAE_MUTANT_NOT_AHEAD")
    assert each(program, "signed") - BLOCKS * each(program, "blocks") > SIGNED_MAX


@needs_cc
@pytest.mark.parametrize("flags", [(), ("-DAE_SANITIZED", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")])
def test_laws_of_the_desk(tmp_path: Path, flags: tuple[str, ...]) -> None:
    """Record before bytes, nothing while halted, ids in a row, no allocation, each accepted order written once."""
    program = built(tmp_path, *flags)
    done = subprocess.run([program, "laws", "4000"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


@needs_cc
@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("AE_MUTANT_RECORD_LATE", "ring"),
        ("AE_MUTANT_NO_GATE", "halted"),
        ("AE_MUTANT_FIRES_TWICE", ""),
    ],
)
def test_planted_faults_break_a_law(tmp_path: Path, fault: str, says: str) -> None:
    """Each is noticed, by name."""
    program = built(tmp_path, f"-D{fault}")
    done = subprocess.run([program, "laws", "4000"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and says in done.stderr, done.stderr
