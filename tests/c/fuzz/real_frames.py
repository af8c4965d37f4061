"""Real frames for the fuzzer: real_frames.py OUT writes every captured frame, each after its length (u32).

What must stay true: nothing is made up; without captures it says so and writes nothing.
"""

from __future__ import annotations

import gzip
import struct
import sys
from pathlib import Path

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


def captured() -> list[bytes]:
    """Every frame of every capture, snapshots left out."""
    lines: list[bytes] = []
    for path in sorted(DATA.glob("btcusdt_*/capture.gz")):
        with gzip.open(path) as file:
            lines += [line.split(b" ", 1)[1] for line in file if b" " in line]
    for path in sorted(DATA.glob("multi_*/frames.txt")):
        lines += [line.split(b": ", 1)[1] for line in path.read_bytes().splitlines()[1:] if b": {" in line]
    for path in sorted(DATA.glob("wire_*/*.jsonl")):
        lines += path.read_bytes().splitlines()
    return [line.strip() for line in lines if line.strip() and b"lastUpdateId" not in line]


def main(target: Path) -> None:
    """Write them, the rare kinds as often as the common ones in all."""
    frames = captured()
    if not frames:
        print("fuzz: no captures at ../shared/data, built-in frames alone")
        return
    rare = [f for f in frames if b"bookTicker" not in f and b'"trade"' not in f]
    common = [f for f in frames if b"bookTicker" in f or b'"trade"' in f]
    frames = rare * max(1, len(common) // max(1, len(rare))) + common
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(b"".join(struct.pack("<I", len(f)) + f for f in frames))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
