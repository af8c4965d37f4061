"""Frames to records, against yyjson, simdjson on-demand and the limit: every byte classified once with AVX-512.

Problem: a parser is easily faster than another one that does more. So all read the same captured frames into the same
records with the same exact decimals, and are first compared record for record (`tests/bench/c/tick_rivals.cpp`).
What must stay true: others come from the source distributions of their Python packages, fetched when first measured,
built with everything the machine has (-O3 -march=native); ours as it is shipped (-O2).
"""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import statistics
import struct
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

from table import Row

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "bench"
RIVALS = ROOT / ".bench" / "rivals"
SOURCES = ("scan", "digits", "levels", "decimal", "predict", "tick", "symbols")
PACKAGES = {"pysimdjson": ("7.0.2", "simdjson/simdjson"), "yyjson": ("4.0.6", "yyjson/yyjson")}
RUNS = 7
AGAINST = {
    "simdjson": "simdjson on-demand",
    "simdjson_unordered": "simdjson on-demand, unordered",
    "classify": "every byte classified once (AVX-512)",
}


def fetched(name: str) -> Path:
    """Folder with the C or C++ sources that a package bundles."""
    version, inside = PACKAGES[name]
    folder = RIVALS / f"{name}-{version}"
    if not folder.is_dir():
        RIVALS.mkdir(parents=True, exist_ok=True)
        ask = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "-d", str(RIVALS)]
        subprocess.run([*ask, f"{name}=={version}"], check=True, capture_output=True)
        with tarfile.open(next(RIVALS.glob(f"{name}-{version}.tar.gz"))) as archive:
            archive.extractall(RIVALS, filter="data")
    return (folder / inside).parent


def built() -> Path:
    """The program of all contenders."""
    simdjson, yyjson = fetched("pysimdjson"), fetched("yyjson")
    BUILD.mkdir(parents=True, exist_ok=True)
    fast = ["-O3", "-march=native", "-DNDEBUG"]
    cpp = ["c++", "-std=c++17", *fast]
    here = ROOT / "tests" / "bench" / "c"
    wanted = {
        "simdjson": [*cpp, str(simdjson / "simdjson.cpp")],
        "yyjson": ["cc", *fast, str(yyjson / "yyjson.c")],
        "classify": ["cc", "-O2", str(here / "classify.c")],
        **{name: ["cc", "-std=c11", "-O2", "-g", str(ROOT / "csrc" / f"{name}.c")] for name in SOURCES},
    }
    includes = [f"-I{simdjson}", f"-I{yyjson}", f"-I{ROOT / 'csrc'}"]
    objects = []
    for name, command in wanted.items():
        target = BUILD / f"tick_{name}.o"
        objects.append(str(target))
        if name not in ("simdjson", "yyjson") or not target.exists():
            subprocess.run([*command, *includes, "-c", "-o", str(target)], check=True)
    program = BUILD / "tick_rivals"
    subprocess.run([*cpp, *includes, str(here / "tick_rivals.cpp"), *objects, "-o", str(program)], check=True)
    ours = [str(BUILD / f"tick_{name}.o") for name in SOURCES]
    book = ["cc", "-std=c11", "-O2", *includes, str(here / "book_turn.c"), str(ROOT / "csrc" / "book.c"), *ours]
    subprocess.run([*book, "-o", str(BUILD / "book_turn")], check=True)
    return program


def captured() -> list[bytes]:
    """Frames of a day of BTCUSDT."""
    path = ROOT.parent / "shared" / "data" / "btcusdt_2024-08-08" / "capture.gz"
    if not path.exists():
        raise FileNotFoundError("no capture at ../shared/data/btcusdt_2024-08-08: nothing real to measure with")
    with gzip.open(path) as file:
        return [line.split(b" ", 1)[1].strip() for line in file if b'"data"' in line]


def shuffled(frames: list[bytes]) -> list[bytes]:
    """The same events with their keys in another order in every frame."""
    dice, found = random.Random(4), []
    for frame in frames:
        body = json.loads(frame)
        members = list(body["data"].items())
        dice.shuffle(members)
        found.append(json.dumps({"stream": body["stream"], "data": dict(members)}, separators=(",", ":")).encode())
    return found


def huge(frame: bytes, levels: int) -> bytes:
    """One depth frame of so many changed levels, made of the levels of a real one."""
    body = json.loads(frame)
    some = body["data"]["b"] + body["data"]["a"]
    many = [some[i % len(some)] for i in range(levels)]
    body["data"]["b"], body["data"]["a"] = many[: levels // 2], many[levels // 2 :]
    return json.dumps(body, separators=(",", ":")).encode()


def stored(name: str, frames: list[bytes]) -> Path:
    path = BUILD / f"{name}.frames"
    path.write_bytes(b"".join(struct.pack("<I", len(f)) + f for f in frames))
    return path


def measured(program: Path, *words: object) -> dict[str, Any]:
    """Medians of several processes, pinned to one processor."""
    pin = ["taskset", "-c", str(max(os.sched_getaffinity(0)))] if shutil.which("taskset") else []
    runs = []
    for _ in range(RUNS):
        done = subprocess.run([*pin, str(program), *map(str, words)], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{program.name}: {done.stderr[-400:]}")
        runs.append(json.loads(done.stdout))
    return {k: statistics.median(r[k] for r in runs) if isinstance(v, int | float) else v for k, v in runs[0].items()}


def row(found: dict[str, Any], what: str, ours: str, against: str, goal: float | None) -> Row:
    limit = AGAINST.get(against, against)
    mine, theirs = found[ours], found[against]
    detail = f"{mine:.1f} / {theirs:.1f} ns, {found['digits']}, {found['rounds']:g} rounds kept of each of {RUNS} runs"
    return Row(what, limit, mine / theirs, goal, detail=detail)


def stall(parsed: dict[str, Any]) -> Row:
    """How long one huge frame holds up all others: parsed, and every price new to a full book."""
    found = measured(BUILD / "book_turn", 2259, 41)
    whole = found["parse"] + found["into"]
    detail = f"{whole / 1000:.1f} µs ({found['parse'] / 1000:.1f} parsed, {found['into'] / 1000:.1f} into a full book)"
    what = "2 259 new prices parsed and in the book: the stall of other symbols"
    return Row(what, "yyjson, parse alone", whole / parsed["yyjson"], detail=detail)


def rows(quick: bool) -> list[Row]:
    """bookTicker, depth of 120 levels, trade, one huge frame; the general path; the twins for comparison."""
    program, rounds, frames = built(), 5 if quick else 60, captured()
    tickers = [f for f in frames if b'"bookTicker"' in f][:1500]
    trades = [f for f in frames if b'"trade"' in f][:1500]
    depths = [f for f in frames if 115 <= f.count(b'["') <= 125][:100]
    kinds = {"ticker": tickers, "trade": trades, "depth": depths, "huge": [huge(depths[0], 2259)] * 4}
    found = {k: measured(program, stored(k, v), rounds) for k, v in kinds.items()}
    plain = measured(program, stored("ticker", tickers), rounds, "general")
    mixed = measured(program, stored("mixed", shuffled(tickers)), rounds, "general")
    return [
        row(found["ticker"], "bookTicker frame → record", "predicted", "yyjson", 0.25),
        row(found["ticker"], "bookTicker frame → record", "predicted", "simdjson", 0.25),
        row(found["ticker"], "bookTicker frame → record", "predicted", "classify", 4.5),
        row(found["depth"], "depth frame of 120 levels", "predicted", "yyjson", 0.30),
        row(found["depth"], "depth frame of 120 levels", "predicted", "simdjson", 0.45),
        row(plain, "general path, no prediction", "general", "simdjson_unordered", 1.0),
        row(mixed, "general path after failed predictions, keys in any order", "failed", "simdjson_unordered", 1.0),
        row(found["huge"], "depth frame of 2 259 levels", "predicted", "yyjson", None),
        stall(found["huge"]),
        row(found["trade"], "trade frame → record", "predicted", "yyjson", None),
        row(found["ticker"], "bookTicker, AVX2 kernels", "avx2", "yyjson", None),
        row(found["ticker"], "bookTicker, scalar kernels", "scalar", "yyjson", None),
        row(found["depth"], "120 levels, AVX2 kernels", "avx2", "simdjson", None),
        row(found["depth"], "120 levels, scalar kernels", "scalar", "simdjson", None),
    ]
