"""The synthetic market beside a captured one: quantiles of what a client sees of BTCUSDT, and their ratios.

    python tests/exchange/compare_market.py [--seconds 120] [--events-per-s 1300] [--seed 1] [--capture FILE]

The venue runs without sockets on a clock of its own, a millisecond at a time; depth events are taken every 52 ms, as
in the capture. A ratio marked `!` is outside a factor of two at the median or the 90th percentile.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from aegis.exchange.server import Venue

CAPTURE = Path(__file__).resolve().parents[3] / "shared" / "data" / "btcusdt_2024-08-08" / "capture.gz"
QUANTILES = (10, 25, 50, 75, 90, 99)
JUDGED = (50, 90)
DEPTH_MS = 52
TICK = 0.1
START_MS = 1_790_000_000_000


def captured(path: Path) -> Iterator[dict[str, Any]]:
    """Payloads of a capture, in its order."""
    with gzip.open(path, "rt") as lines:
        for line in lines:
            body = line.strip().partition(" ")[2]
            if '"data"' in body:
                yield json.loads(body)["data"]


def simulated(seconds: int, rate: int, seed: int) -> Iterator[dict[str, Any]]:
    """Payloads of the simulator's streams over so many seconds of its own clock."""
    venue = Venue(argparse.Namespace(symbols=1, events_per_s=rate, seed=seed))
    now = START_MS
    venue.ex.clock = lambda: now
    sent: list[str] = []
    names = {f"btcusdt@{kind}" for kind in ("bookTicker", "trade", "depth@0ms")}
    venue.hub.wants = names.__contains__  # type: ignore[method-assign]
    venue.hub.publish = lambda _name, text: sent.append(text)  # type: ignore[assignment, misc]
    venue.ex.md.timetable.add("btcusdt@depth@0ms")
    assert venue.flow is not None
    for _ in range(seconds * 1000):
        now += 1
        venue.flow.advance(1_000_000)
        if now % DEPTH_MS == 0:
            venue.ex.md.tick(now)
        yield from (json.loads(text) for text in sent)
        sent.clear()


def measure(frames: Iterable[dict[str, Any]]) -> dict[str, list[float]]:
    """What is compared, by name."""
    out: dict[str, list[float]] = {}
    takers: Counter[tuple[int, bool]] = Counter()
    last = 0
    bid = ask = 0.0
    for f in frames:
        if f["e"] == "bookTicker":
            bid_before, bid, ask = bid, float(f["b"]), float(f["a"])
            if last:
                out.setdefault("bookTicker gap, ms", []).append(f["T"] - last)
            last = f["T"]
            out.setdefault("spread, ticks", []).append(round((ask - bid) / TICK))
            out.setdefault("best size", []).extend((float(f["B"]), float(f["A"])))
            if bid_before and bid != bid_before:
                out.setdefault("best bid move, ticks", []).append(abs(round((bid - bid_before) / TICK)))
        elif f["e"] == "depthUpdate":
            out.setdefault("levels per depth event", []).append(len(f["b"]) + len(f["a"]))
            for px, qty in f["b"] + f["a"]:
                if bid:
                    out.setdefault("level distance, ticks", []).append(abs(float(px) - (bid + ask) / 2) / TICK)
                if float(qty):
                    out.setdefault("level size", []).append(float(qty))
        elif f["e"] == "trade" and float(f["q"]):
            takers[f["T"], f["m"]] += 1
            out.setdefault("trade size", []).append(float(f["q"]))
    out["trades per taker"] = [float(n) for n in takers.values()]
    times = sorted(t for t, _ in takers)
    out["taker gap, ms"] = [float(b - a) for a, b in pairwise(times)]
    return out


def quantiles(values: list[float]) -> list[float]:
    """The quantiles shown."""
    rows = sorted(values)
    return [rows[min(len(rows) * q // 100, len(rows) - 1)] for q in QUANTILES]


def near(real: float, made: float, unit: float = 0.0) -> bool:
    """Within a factor of two; what both measure as at most one `unit` of their clock is near, too."""
    return max(real, made) <= unit or 0.5 <= made / max(real, 1e-9) <= 2


def unit_of(name: str) -> float:
    """The step in which a quantity is measured: times are whole milliseconds, sizes have no such floor."""
    return 1.0 if name.endswith(", ms") else 0.0


def compare(real: dict[str, list[float]], made: dict[str, list[float]]) -> list[str]:
    """Print the table; returns what is not near."""
    print(f"{'':26}{'':10}" + "".join(f"{f'p{q}':>11}" for q in QUANTILES) + f"{'count':>10}")
    far = []
    for name in real:
        a, b = quantiles(real[name]), quantiles(made.get(name) or [0.0])
        for label, row, count in (("capture", a, len(real[name])), ("simulator", b, len(made.get(name, [])))):
            print(f"{name if row is a else '':26}{label:10}" + "".join(f"{x:>11.3f}" for x in row) + f"{count:>10}")
        marks = [near(x, y, unit_of(name)) for x, y in zip(a, b, strict=True)]
        print(f"{'':26}{'ratio':10}" + "".join(
            f"{f'{y / x:.2f}' if x else '-':>10}{' ' if ok else '!'}" for x, y, ok in zip(a, b, marks, strict=True)
        ))  # fmt: skip
        far += [f"{name} p{q}" for q, ok in zip(QUANTILES, marks, strict=True) if q in JUDGED and not ok]
    return far


def main() -> int:
    """Compare; 1 when the capture is missing."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--seconds", type=int, default=120)
    p.add_argument("--events-per-s", dest="rate", type=int, default=1300)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--capture", type=Path, default=CAPTURE)
    o = p.parse_args()
    if not o.capture.exists():
        print(f"no capture at {o.capture}", file=sys.stderr)
        return 1
    real = measure(captured(o.capture))
    began = time.monotonic()
    made = measure(simulated(o.seconds, o.rate, o.seed))
    took = time.monotonic() - began
    far = compare(real, made)
    print(f"{o.seconds * o.rate} events in {took:.1f} s with all three streams read and parsed")
    print("not within a factor of two at p50 or p90: " + (", ".join(far) or "nothing"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
