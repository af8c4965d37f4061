"""The pump under a blast: nothing allocated, nothing lost, nothing torn; and what one frame costs in instructions.

Each law is proven by a planted fault that has to turn it red: an allocation, a dropped record, a torn one,
parsing everything twice. Counts only, so a busy machine blurs nothing.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(__file__).resolve().parent / "blast_pump.c"
FLAGS = "-std=c11 -O2 -g -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror -pthread".split()
FRAME_MAX = 610  # instructions from a frame in memory to its record on the ring; callgrind runs the AVX2 kernels
FRAMES = 20_000

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")


def compiled(at: Path, *arguments: str) -> None:
    """One call of the compiler, in a directory."""
    subprocess.run(["cc", *FLAGS, f"-I{ROOT / 'csrc'}", *arguments], check=True, timeout=100, cwd=at)


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The product's C sources, compiled once."""
    at = tmp_path_factory.mktemp("objects")
    compiled(at, "-c", *sorted(str(p) for p in (ROOT / "csrc").glob("*.c")))
    return at


def built(product: Path, plant: str = "", wraps: str = "") -> Path:
    """The program, with a planted fault or without."""
    program = product / f"blast_pump{plant}"
    planted = [f"-D{plant}", f"-Wl,--wrap={wraps}"] if plant else []
    objects = sorted(str(p) for p in product.glob("*.o"))
    compiled(product, *planted, str(PROGRAM), *objects, "-lssl", "-lcrypto", "-lm", "-o", str(program))
    return program


def blast(program: Path, seconds: int) -> dict[str, Any]:
    """One run's counts."""
    done = subprocess.run([str(program), "blast", str(seconds)], capture_output=True, text=True, timeout=60, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def faults(run: dict[str, Any]) -> list[str]:
    """Every law that does not hold."""
    found = []
    if run["allocations"]:
        found.append("allocations")
    if not run["sent"] == run["records"] == run["newest"]:
        found.append("records missing on the ring")
    for reader in run["readers"]:
        if reader["wrong"]:
            found.append("torn or out of order")
        if reader["got"] + reader["lost"] != run["newest"] or reader["lost"] != reader["gap_records"]:
            found.append("losses not counted exactly")
        if reader["laps"] < reader["gaps"] or bool(reader["laps"]) != bool(reader["lost"]):
            found.append("laps not counted exactly")
        if reader["lost"] and not reader["slow"]:
            found.append("lost for a reader that keeps up")
        if reader["slow"] and not reader["lost"]:
            found.append("the slow reader was never overtaken")
    return found


def test_ten_seconds_of_blast_lose_tear_and_allocate_nothing(product: Path) -> None:
    """Three readers of different speeds: those that keep up have every record, the slow one knows what it missed."""
    run = blast(built(product), 10)
    slow = run["readers"][2]
    print(f"blast: {run['sent']} frames; slow reader: {slow['laps']} laps, {slow['lost']} lost")
    assert faults(run) == []
    assert run["sent"] > 10 * 65536


@pytest.mark.parametrize(
    ("plant", "wraps", "seen"),
    [
        ("PLANT_ALLOC", "ae_pump_room", "allocations"),
        ("PLANT_LOSS", "ae_ring_publish", "records missing on the ring"),
        ("PLANT_TORN", "ae_ring_publish", "torn or out of order"),
    ],
)
def test_a_planted_fault_is_seen(product: Path, plant: str, wraps: str, seen: str) -> None:
    """The canaries."""
    assert seen in faults(blast(built(product, plant, wraps), 1))


def per_frame(program: Path) -> float:
    """Instructions of one frame: two runs of different length, so that start and end of the program cancel out."""
    counts = []
    for frames in (FRAMES, 3 * FRAMES):
        command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", str(program), "count", str(frames)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        assert int(done.stdout) == frames
        found = re.search(r"Collected : (\d+)", done.stderr)
        assert found is not None, done.stderr[-500:]
        counts.append(int(found.group(1)))
    return (counts[1] - counts[0]) / (2 * FRAMES)


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="no valgrind")
def test_a_frame_costs_no_more_instructions_than_its_budget(product: Path) -> None:
    """Frame header, parsing, duplicate check, record on the ring: bookTickers and aggTrades, 256 frames a read."""
    cost = per_frame(built(product))
    print(f"instructions a frame: {cost:.0f} of {FRAME_MAX}")
    assert cost <= FRAME_MAX


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="no valgrind")
def test_the_budget_notices_a_frame_parsed_twice(product: Path) -> None:
    """The planted fault goes red."""
    assert per_frame(built(product, "PLANT_TWICE", "ae_tick_parse")) > FRAME_MAX
