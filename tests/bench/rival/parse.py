"""What one best-price frame costs other parsers in Python: text to the four exact numbers, symbol and times.

`python parse.py ROUNDS` prints {"name": ns a frame}, medians of rounds that take turns. The frame is the one a venue
sends; each way ends with the same fields as integers, as a program that trades must have them.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable

import msgspec
import orjson
import simdjson

FRAME = (
    b'{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":429012276615,"s":"BTCUSDT","ps":"BTCUSDT",'
    b'"b":"76947.30","B":"0.374","a":"76968.30","A":"2.237","T":1789469121938,"E":1789469121959,"st":1}}'
)
LOOPS = 2000


class Data(msgspec.Struct):
    """The fields of a best price."""

    u: int
    s: str
    b: str
    B: str
    a: str
    A: str
    T: int
    E: int


class Frame(msgspec.Struct):
    """A frame with its stream's name."""

    stream: str
    data: Data


def exact(text: str) -> int:
    """A decimal text as an integer of its digits."""
    return int(text.replace(".", ""))


def by_json() -> tuple[object, ...]:
    """The standard library."""
    d = json.loads(FRAME)["data"]
    return d["s"], exact(d["b"]), exact(d["B"]), exact(d["a"]), exact(d["A"]), d["T"], d["E"], d["u"]


def by_orjson() -> tuple[object, ...]:
    """orjson."""
    d = orjson.loads(FRAME)["data"]
    return d["s"], exact(d["b"]), exact(d["B"]), exact(d["a"]), exact(d["A"]), d["T"], d["E"], d["u"]


_typed = msgspec.json.Decoder(Frame).decode


def by_msgspec() -> tuple[object, ...]:
    """msgspec into a typed struct."""
    d = _typed(FRAME).data
    return d.s, exact(d.b), exact(d.B), exact(d.a), exact(d.A), d.T, d.E, d.u


_parser = simdjson.Parser()


def by_simdjson() -> tuple[object, ...]:
    """pysimdjson, only the fields asked for."""
    d = _parser.parse(FRAME)["data"]
    return d["s"], exact(d["b"]), exact(d["B"]), exact(d["a"]), exact(d["A"]), d["T"], d["E"], d["u"]


WAYS: dict[str, Callable[[], tuple[object, ...]]] = {
    "json": by_json, "orjson": by_orjson, "msgspec, typed": by_msgspec, "pysimdjson": by_simdjson,
}  # fmt: skip


def main(rounds: int) -> dict[str, float]:
    """Every way in turn, `rounds` times."""
    assert len({way() for way in WAYS.values()}) == 1, "the ways disagree"
    took: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, way in WAYS.items():
            began = time.perf_counter_ns()
            for _ in range(LOOPS):
                way()
            took[name].append((time.perf_counter_ns() - began) / LOOPS)
    return {name: statistics.median(rows) for name, rows in took.items()}


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]))))
