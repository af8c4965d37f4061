"""Rows of the feed: ticks taken in at full blast against a bare receive loop, its CPU, and what a huge frame holds up.

Problem: how many ticks a second a loopback socket gives depends on how the sender writes, and the more a write holds,
the less the kernel hides of us. So both are measured: a frame a write, as the venue sends, and 16 KiB a write, where
the bare loop takes 10 million frames a second and every instruction of ours shows.
What must stay true: a round in which a frame was lost is an error, not a row; the limit runs just before and just after
each of our runs, and rounds in which it moved by more than a tenth are dropped.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from table import Row

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build" / "bench" / "feed"
BURSTS = ((1, "a frame a write"), (16384, "16 KiB a write"))
STEADY = 0.10
Round = dict[str, int]


def rows(quick: bool) -> list[Row]:
    """Throughput and CPU for each way of sending; the longest turn of one connection."""
    _build()
    found = []
    for burst, name in BURSTS:
        frames, rounds = (100_000, 5) if quick else (600_000, 15)
        found += _blast(_run("blast", frames, rounds, burst), frames, name)
    return [*found, _huge(_run("huge", 200 if quick else 2000))]


def _build() -> None:
    PROGRAM.parent.mkdir(parents=True, exist_ok=True)
    sources = [str(ROOT / "tests" / "bench" / "c" / "feed.c"), *sorted(str(p) for p in (ROOT / "csrc").glob("*.c"))]
    flags = ["-std=c11", "-O2", "-g", "-Wall", "-Wextra", "-pthread", f"-I{ROOT / 'csrc'}"]
    subprocess.run(["cc", *flags, *sources, "-lssl", "-lcrypto", "-lm", "-o", str(PROGRAM)], check=True)


def _run(*arguments: object) -> list[Round]:
    done = subprocess.run([str(PROGRAM), *map(str, arguments)], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def _steady(rounds: list[Round], first: str, last: str) -> list[Round]:
    """Rounds whose limit stood still; all of them when it never did (then the row says 0 steady)."""
    still = [r for r in rounds if abs(r[first] - r[last]) <= STEADY * min(r[first], r[last])]
    return still or rounds


def _blast(rounds: list[Round], frames: int, name: str) -> list[Row]:
    lost = sum(r["lost"] for r in rounds)
    if lost:
        raise AssertionError(f"{lost} of {frames * len(rounds)} frames are not on the ring")

    def pick(values: Callable[[Round], Any], kind: str) -> tuple[float, list[Round]]:
        still = _steady(rounds, f"bare_{kind}", f"again_{kind}")
        return median(values(r) for r in still), still

    speed, still = pick(lambda r: (r["bare_ns"] + r["again_ns"]) / 2 / r["ours_ns"], "ns")
    rates = [frames * 1e3 / median(r[key] for r in still) for key in ("ours_ns", "bare_ns")]
    cost, calm = pick(lambda r: 2 * r["ours_cpu_ns"] / (r["bare_cpu_ns"] + r["again_cpu_ns"]), "cpu_ns")
    cpu = [median(r[key] for r in calm) / frames for key in ("ours_cpu_ns", "bare_cpu_ns")]
    said = f"{rates[0]:.2f} of {rates[1]:.2f} million/s, 0 of {frames * len(rounds)} lost; "
    spent = f"{cpu[0]:.0f} to {cpu[1]:.0f} ms a million ticks; "
    return [
        Row(f"ticks/s at full blast, parsed, published, {name}", "bare C receive loop", speed, 0.6, True,
            said + f"{len(still)} of {len(rounds)} rounds"),
        Row(f"feed CPU per million ticks, {name}", "bare C receive loop", cost, 2.0,
            detail=spent + f"{len(calm)} of {len(rounds)} rounds"),
    ]  # fmt: skip


def _huge(rounds: list[Round]) -> Row:
    depth, read = (median(r[key] for r in rounds) for key in ("depth_ns", "read_ns"))
    worst = sorted(r["depth_ns"] for r in rounds)[int(len(rounds) * 0.99)]
    said = f"{rounds[0]['depth_bytes']} bytes: others wait {depth / 1e3:.0f} us (p99 {worst / 1e3:.0f}), "
    return Row("stall by one depth frame of 2259 levels, book applied", "one 64 KiB read of bookTickers", depth / read,
               detail=said + f"by a full read {read / 1e3:.0f} us; nothing holds the thread longer")  # fmt: skip
