"""Intents to signed frames, and the whole way in memory, against the compression of the blocks they hash.

Problem: a signature cannot be made with less than its blocks of SHA-256, so those blocks are the limit of an order, and
with each byte of the tick looked at once they are the limit of the whole way. Both are taken just before and just after
what is measured, in one process.
What must stay true: the blocks counted are those one order really hashes (its preparation included, the API key's block
not); rounds whose limit changed are dropped; the frames are the product's, checked byte for byte by the tests.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from table import Row

from aegis.messages import Place, Side, Tif
from aegis.units import Num
from aegis.venue import request
from aegis.venue.sign import hmac_signer

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent / "c"
PROGRAM = ROOT / "build" / "bench" / "order"
STEADY = 1.05
WINDOW_MS, KEY = 5000, "k" * 64
SAMPLE = Place(symbol="BTCUSDT", side=Side.BUY, qty=Num(12, 3), price=Num(6700020, 2), tif=Tif.IOC)
CLIENT_ID = "ae-tu3n0g-6h4"  # of the length the program's ids have


def built() -> Path:
    """The C program, as the product is built."""
    PROGRAM.parent.mkdir(parents=True, exist_ok=True)
    sources = [HERE / "order.c", HERE / "classify.c", *sorted((ROOT / "csrc").glob("*.c"))]
    flags = ["-std=c11", "-O2", "-g", f"-I{ROOT / 'csrc'}"]
    libraries = ["-lssl", "-lcrypto", "-lpthread", "-lm"]
    subprocess.run(["cc", *flags, *map(str, sources), *libraries, "-o", str(PROGRAM)], check=True)
    return PROGRAM


def ran(*arguments: object) -> list[list[float]]:
    """The program's lines, on the last core this process may use."""
    core = max(os.sched_getaffinity(0))
    command = [str(PROGRAM), *map(str, arguments)]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, preexec_fn=lambda: os.sched_setaffinity(0, {core})
    )
    return [[float(word) for word in line.split()] for line in done.stdout.splitlines()]


def fields() -> dict[str, object]:
    """Params of the sample, signed by nobody yet."""
    return request.ws_params(request.order_params(SAMPLE, CLIENT_ID), time.time_ns() // 1_000_000, WINDOW_MS)


def blocks() -> int:
    """Blocks of 64 bytes hashed for one order: padded payload and digest, without the key's block, hashed once."""
    payload = request.ws_payload(fields() | {"apiKey": KEY})
    return (len(payload) + 8) // 64 + 1 - 1 + 1


def timed(work: Callable[[], object], times: int) -> float:
    """ns of one call, the best of several rounds."""
    rounds = []
    for _ in range(7):
        start = time.perf_counter_ns()
        for _ in range(times):
            work()
        rounds.append((time.perf_counter_ns() - start) / times)
    return min(rounds)


def rows(quick: bool) -> list[Row]:
    """Signed, logged on, the whole way; Python's hmac and the Python stations for comparison; warmth after idling."""
    built()
    count = blocks()
    lines = ran(60 if quick else 600, count)
    steady = [x for x in lines if max(x[3:6]) <= STEADY * min(x[3:6])] or lines
    order, logon, way, *limits, classify = (statistics.median(column) for column in zip(*steady, strict=True))
    limit = statistics.median(limits)
    payload = request.ws_payload(fields() | {"apiKey": KEY}).encode()
    secret = secrets.token_bytes(64)
    sign = timed(lambda: hmac.digest(secret, payload, hashlib.sha256).hex(), 2000)
    signer = hmac_signer(secret)

    def stations() -> bytes:
        return msgspec.json.encode({"method": "order.place", "params": request.ws_signed(fields(), KEY, signer)})

    python = timed(stations, 500)
    cold, warm = ran("idle", 50, 10 if quick else 40)[0]
    against = f"SHA-256 of the same {count} blocks"
    floor = limit + classify

    def row(measure: str, ours: float, goal: float | None = None, more: str = "") -> Row:
        return Row(measure, against, ours / limit, goal, detail=f"{ours:.0f} / {limit:.0f} ns{more}")

    return [
        row("intent → signed order.place frame", order, 2.0, f"; {len(steady)} of {len(lines)} rounds steady"),
        row("the same after session.logon", logon, 0.6),
        Row("frame bytes → record → ring → intent → gate → signed frame", "each byte seen once, and the same blocks",
            way / floor, 2.2, detail=f"{way:.0f} / {floor:.0f} ns"),
        row("rival: Python hmac, signature alone", sign),
        row("rival: the Python stations, message unmasked", python),
        Row("intent → signed frame after 50 ms of idling, kept warm", "not kept warm", warm / cold,
            detail=f"{warm:.0f} / {cold:.0f} ns"),
    ]  # fmt: skip
