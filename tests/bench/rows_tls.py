"""TLS: from a record on the socket to a tick record, against bare AES-128-GCM decryption of the same bytes.

Problem: what TLS costs beyond its cipher is bookkeeping, and it is paid for each record; venues send one frame a record
when quiet and several in a burst. Both sides only compute, so the time of the thread is taken, which other programs on
the machine do not blur. What must stay true: the limit is measured just before and just after each measure, and pairs
whose limits disagree by more than a tenth are dropped.
"""

from __future__ import annotations

import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from table import Row

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "bench"
FLAGS = "-std=c11 -O2 -g -Wall -Wextra -Wpedantic -Wshadow -Werror -Wno-unused-function".split()
GOAL = 2.8
AGREE = 0.1


def program() -> Path:
    """Build the C side."""
    BUILD.mkdir(parents=True, exist_ok=True)
    sources = [ROOT / "tests/bench/c/tls.c", *sorted((ROOT / "csrc").glob("*.c"))]
    command = ["cc", *FLAGS, f"-I{ROOT / 'csrc'}", *map(str, sources), "-lssl", "-lcrypto", "-lm", "-pthread"]
    subprocess.run([*command, "-o", str(BUILD / "tls")], check=True)
    return BUILD / "tls"


def rounds_of(binary: Path, rounds: int, per_record: int) -> list[tuple[float, float, float]]:
    """(ours, limit before, limit after) in ns a frame, of the rounds whose limits agree."""
    done = subprocess.run([str(binary), str(rounds), str(per_record)], capture_output=True, text=True, check=True)
    found = [tuple(map(float, line.split())) for line in done.stdout.splitlines()]
    return [(m, b, a) for m, b, a in found if abs(b - a) <= AGREE * min(a, b)]


def row(binary: Path, rounds: int, per_record: int, measure: str, goal: float | None) -> Row:
    """Median ratio of the rounds that count."""
    kept = rounds_of(binary, rounds, per_record)
    if not kept:
        raise RuntimeError(f"tls: the limit disagreed with itself in all of {rounds} rounds")
    ratio = statistics.median(m / min(b, a) for m, b, a in kept)
    ours, limit = statistics.median(m for m, _, _ in kept), statistics.median(min(b, a) for _, b, a in kept)
    detail = f"{ours:.0f} ns against {limit:.0f} ns a frame, thread time, {len(kept)} of {rounds} rounds agreed"
    return Row(measure, "bare AES-128-GCM decryption of the same bytes", ratio, goal, detail=detail)


def python_ns(frames: int) -> float:
    """ns a record that Python's `ssl` takes to read `frames` records from memory, parsing nothing."""
    sys.path.insert(0, str(ROOT / "tests"))
    import certs

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        context = ssl.create_default_context(cafile=certs.make(folder))
        to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = context.wrap_bio(to_client, to_server, server_hostname="localhost")
        server = certs.server_context(folder).wrap_bio(to_server, to_client, server_side=True)
    waiting = {client, server}
    while waiting:
        for side in list(waiting):
            try:
                side.do_handshake()
                waiting.discard(side)
            except ssl.SSLWantReadError:
                continue
    for _ in range(frames):
        server.write(b"x" * 230)
    begin = time.thread_time_ns()
    for _ in range(frames):
        client.read(65536)
    return (time.thread_time_ns() - begin) / frames


def python_row(binary: Path, rounds: int) -> Row:
    """Python's ssl, with the limit measured just before and just after."""
    ratios, times = [], []
    for _ in range(rounds):
        before = rounds_of(binary, 3, 0)
        taken = python_ns(4000)
        limits = [min(b, a) for _, b, a in before + rounds_of(binary, 3, 0)]
        if limits:
            ratios.append(taken / statistics.median(limits))
            times.append(taken)
    if not ratios:
        raise RuntimeError("tls: the limit disagreed with itself in all rounds")
    detail = f"{statistics.median(times):.0f} ns a record, read from memory, nothing parsed"
    return Row(
        "Python ssl, one frame a record", "bare AES-128-GCM decryption", statistics.median(ratios), detail=detail
    )


def rows(quick: bool) -> list[Row]:
    """The row with a goal, bursts, and Python for comparison."""
    binary, rounds = program(), 12 if quick else 60
    return [
        row(binary, rounds, 1, "TLS frame to record, one frame a record", GOAL),
        row(binary, rounds, 16, "TLS frame to record, 16 frames a record", None),
        python_row(binary, 3 if quick else 9),
    ]
