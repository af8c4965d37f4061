"""Rows of the ring: round trip, throughput, drain into Python, and what a latency hop costs.

Problem: two cores pass a line in 100 ns today and in 500 ns tomorrow on one rented machine. So only ratios count, each
taken within one round of some milliseconds, and rounds in which the limit itself changed between before and after are
dropped. What must stay true: the rival queue is our own writing in its style, and says so in its row.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from table import Row

from aegis.live.brain_context import ticks_of
from aegis.native import abi
from aegis.native.ring import RingReader, RingWriter
from aegis.native.take import Taker

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "bench"
BARE, RING, SPSC, BARE_AGAIN, LINES, RING_1, RING_16, SPSC_STREAM, LINES_AGAIN, WORDS = range(10)
DRIFT = 0.15  # of the limit, between just before and just after
DRAIN = 256
ROUNDS_MIN = 5


def build(name: str, *sources: str) -> Path:
    """Compile tests/bench/c/<name>.c with some of csrc, as the extension is compiled."""
    BUILD.mkdir(parents=True, exist_ok=True)
    out = BUILD / name
    files = [str(ROOT / "tests" / "bench" / "c" / f"{name}.c"), *(str(ROOT / "csrc" / s) for s in sources)]
    compiler = shutil.which("cc") or "cc"
    subprocess.run([compiler, "-std=c11", "-O2", f"-I{ROOT / 'csrc'}", *files, "-pthread", "-o", str(out)], check=True)
    return out


def measured(program: Path, *words: str) -> list[list[float]]:
    """Its rounds, one list of nanoseconds each."""
    done = subprocess.run([str(program), *words], capture_output=True, text=True, check=True, timeout=120)
    return [[float(word) for word in line.split()] for line in done.stdout.splitlines()]


def against(rounds: list[list[float]], at: int, before: int, after: int) -> tuple[float, str]:
    """Median ratio of column `at` to the limit around it, and both medians."""
    kept = [r for r in rounds if abs(r[before] - r[after]) <= DRIFT * min(r[before], r[after])]
    if len(kept) < ROUNDS_MIN:
        raise RuntimeError(f"the limit held still in {len(kept)} of {len(rounds)} rounds only")
    ratio = statistics.median(2 * r[at] / (r[before] + r[after]) for r in kept)
    ours, limit = statistics.median(r[at] for r in kept), statistics.median(r[before] for r in kept)
    return ratio, f"{ours:.1f} against {limit:.1f} ns, {len(kept)} of {len(rounds)} rounds"


def ring_rows(quick: bool) -> list[Row]:
    """Round trip and throughput."""
    rounds = measured(build("ring", "ring.c"), "30" if quick else "200", "1000", "20000")
    trip, trip_said = against(rounds, RING, BARE, BARE_AGAIN)
    queue, queue_said = against(rounds, SPSC, BARE, BARE_AGAIN)
    one, one_said = against(rounds, RING_1, LINES, LINES_AGAIN)
    many, many_said = against(rounds, RING_16, LINES, LINES_AGAIN)
    stream, stream_said = against(rounds, SPSC_STREAM, LINES, LINES_AGAIN)
    rival = statistics.median(r[RING] / r[SPSC] for r in rounds)
    words = statistics.median(r[WORDS] for r in rounds)
    said = f"{words:.1f} ns when only one word of the line is written"
    queue_name = "SPSC queue in the style of rigtorp (ours, for comparison)"
    return [
        Row("ring, cross-core round trip, 64-byte records", "bare cache-line ping-pong", trip, 1.45, detail=trip_said),
        Row("ring, cross-core round trip", queue_name, rival, 0.85, detail=f"median of {len(rounds)} rounds"),
        Row("ring throughput, one reader keeping up", "whole-line hand-over", one, 1.7, detail=f"{one_said}; {said}"),
        Row("ring throughput in batches of 16", "whole-line hand-over", many, 1.3, detail=many_said),
        Row(f"{queue_name}, round trip", "bare cache-line ping-pong", queue, detail=queue_said),
        Row(f"{queue_name}, throughput", "whole-line hand-over", stream, detail=stream_said),
    ]


def timed(work: Callable[[], Any], times: int) -> float:
    """Nanoseconds of one call: the quickest of `times`, for a stall only ever adds."""
    best = 1 << 62
    for _ in range(times):
        begun = time.perf_counter_ns()
        work()
        best = min(best, time.perf_counter_ns() - begun)
    return float(best)


def objects_of(batch: Any, names: list[str]) -> list[Any]:
    """One object a tick, as the product makes them for a strategy that asks."""
    return list(ticks_of(batch, names.__getitem__))


def drain_row(quick: bool) -> Row:
    """A batch into a numpy view against one object a tick from the same view."""
    with tempfile.TemporaryDirectory() as root:
        writer = RingWriter(Path(root) / "ring", 4096, 64, "ring")
        records = np.zeros(DRAIN, abi.TICK)
        records["kind"], records["symbol"] = abi.KIND_BOOK_TICKER, np.arange(DRAIN) % 50
        taker = Taker(RingReader(writer.path), DRAIN)
        names = [f"S{i}USDT" for i in range(50)]
        ratios, views, objects = [], [], []
        for _ in range(30 if quick else 200):
            drains = []
            for _ in range(5):
                writer.publish(records)
                begun = time.perf_counter_ns()
                batch = taker.take()
                drains.append(time.perf_counter_ns() - begun)
            assert len(batch) == DRAIN
            one = timed(partial(objects_of, batch, names), 3)
            views.append(min(drains))
            objects.append(one)
            ratios.append(min(drains) / one)
        writer.close()
    said = f"{statistics.median(views) / DRAIN:.1f} against {statistics.median(objects) / DRAIN:.0f} ns a tick"
    return Row(
        f"drain a batch of {DRAIN} into a numpy view",
        "per-tick Python objects",
        statistics.median(ratios),
        1 / 60,
        detail=said,
    )


def hop_row(quick: bool) -> Row:
    """One hop with its clock against the cheapest way to time anything at all."""
    rounds = measured(build("hist", "hist.c"), "20" if quick else "200", "20000")
    hop, pair, add = (statistics.median(r[i] for r in rounds) for i in range(3))
    said = f"{hop:.1f} against {pair:.1f} ns; the add alone {add:.1f} ns; goal of the issue < 100 ns a hop"
    return Row("latency hop: clock and histogram", "a pair of clock_gettime", hop / pair, 1.0, detail=said)


def rows(quick: bool) -> list[Row]:
    """All rows of the ring."""
    return [*ring_rows(quick), drain_row(quick), hop_row(quick)]
