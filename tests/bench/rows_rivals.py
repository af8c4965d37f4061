"""Rows for comparison: what the usual Python means cost for the same work, in an environment of their own.

Problem: "fast" says nothing without a neighbour. So the parsers, queues, signers and socket libraries that people use
do the same work in the same minute: trading programs on the sockets of the path bench, between runs of the bare loop;
parsers, queues and signers in turn with ours.
What must stay true: nothing of theirs is installed beside the product (`.bench/`, pinned in `rival/requirements.txt`);
what cannot be installed is a row that says so; rivals have no goal.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import re
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import path
from aegis.native._aegis import ffi, lib
from table import Row

from aegis.native.encoder import Encoder
from aegis.native.ring import RingReader, RingWriter

HERE = Path(__file__).resolve().parent
HOMES = path.ROOT / ".bench"
LIST = HERE / "rival" / "requirements.txt"
BUILD_S, RUN_S = 300.0, 120.0
RECORD = struct.Struct("<8q")


class NotToBeHad(Exception):
    """The rivals cannot be installed here; the text says why."""


def interpreter() -> Path:
    """Python of the rivals' environment, made once per list of packages; raises NotToBeHad."""
    mark = hashlib.sha256(LIST.read_bytes() + sys.version.encode()).hexdigest()[:12]
    home = HOMES / f"env-{mark}"
    python = home / "bin" / "python"
    if (home / "whole").exists():
        return python
    words = ["-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", str(LIST)]
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True, capture_output=True)
        subprocess.run([str(python), *words], check=True, capture_output=True, timeout=BUILD_S, text=True)
    except (OSError, subprocess.SubprocessError) as e:
        said = str(getattr(e, "stderr", "") or e).strip().splitlines()
        raise NotToBeHad(said[-1] if said else repr(e)) from e
    (home / "whole").touch()
    return python


def told(python: Path, script: str, n: int) -> dict[str, float]:
    """What a script of `rival/` measured."""
    command = [str(python), str(HERE / "rival" / script), str(n)]
    return dict(json.loads(subprocess.check_output(command, timeout=RUN_S)))


class Bot:
    """A rival's trading program as a client of the peer."""

    client = 3

    def __init__(self, peer: path.Peer, python: Path, kind: str, cpu: int) -> None:
        command = [str(python), str(HERE / "rival" / "bot.py"), kind, str(peer.port), f"c{self.client}"]
        pinned = ["taskset", "-c", str(cpu)] if cpu >= 0 else []
        self._process = subprocess.Popen([*pinned, *command])
        path.until(lambda: peer.connected(self.client), kind, self._process)

    def run(self, peer: path.Peer, rate: int, ms: int, every: int = 0) -> path.Run:
        """One run; raises Lost."""
        before = path.cpu_s(self._process.pid)
        run = peer.run(self.client, rate, ms, every)
        run.cpu_us["bot"] = 1e6 * (path.cpu_s(self._process.pid) - before) / max(run.facts["sent"], 1)
        return run

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


def bots(python: Path, quick: bool) -> list[Row]:
    """Tick to order of rivals, against the bare loop."""
    at, found = path.cores("block"), []
    assert at is not None
    peer = path.Peer(at.venue)
    bare = path.Bare(peer, at.feed, "block")
    try:
        for kind, what in (("picows", "picows, uvloop, orjson by hand"), ("websockets", "websockets and json")):
            bot = Bot(peer, python, kind, at.brain)
            try:
                peer.ticks(bot.client, 1000, 500, 20)
                pairs = path.pairs(peer, bot, 5_000, 600 if quick else 2000, 2 if quick else 5)
            finally:
                bot.close()
            steady = [p for p in pairs if p.steady]
            cpu = path.median([p.run.cpu_us["bot"] for p in pairs])
            tail, limit_tail = path.pooled(steady, 0.99)
            took = path.median([p.run.at(0.5) for p in steady])
            detail = f"{took:.0f} us; {len(steady)} of {len(pairs)}; no book, gate, journal; CPU us/tick: {cpu:.1f}"
            name, against = f"rival: tick → order, {what}, 5000/s", "bare recv→send loop"
            found.append(Row(f"{name} p50", against, path.median([p.ratio(0.5) for p in steady]), detail=detail))
            found.append(Row(f"{name} p99", against, tail / limit_tail, detail=f"{tail:.0f} us to {limit_tail:.0f} us"))
    finally:
        bare.close()
        peer.close()
    return found


def _fill(where: str, records: int, go: str) -> None:
    ring = RingWriter(where, 1 << 17, RECORD.size, "market")
    Path(go).touch()
    began = time.perf_counter_ns()
    for i in range(records):
        ring.publish(RECORD.pack(0, i, began, 0, 1, 2, 3, 4))


def our_ring(records: int) -> float:
    """ns a record: one at a time from one Python process, batches as arrays in another."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as made:
        where, go = f"{made}/market", f"{made}/go"
        writer = multiprocessing.Process(target=_fill, args=(where, records, go))
        writer.start()
        while not Path(go).exists():
            time.sleep(0.001)
        reader = RingReader(where, from_seq=0)
        began = got = total = 0
        while got < records:
            if not reader.wait(1000):
                continue
            batch = reader.read(4096)
            got, total, began = got + len(batch), total + int(batch["exch_ns"].sum()), int(batch["recv_ns"][0])
        took = (time.perf_counter_ns() - began) / records
        writer.join()
        assert not reader.lost and total == records * (records - 1) // 2, "records lost or torn"
        return took


def per_call(call: Callable[[], object], loops: int = 5_000) -> float:
    """ns of one call from Python."""
    began = time.perf_counter_ns()
    for _ in range(loops):
        call()
    return (time.perf_counter_ns() - began) / loops


def our_parse() -> float:
    """ns a best-price frame into a record, one call of C from Python each."""
    frame = re.search(rb'b\'(\{"stream.*)\'\n.*b\'(.*)\'', (HERE / "rival" / "parse.py").read_bytes())
    assert frame is not None
    text = frame[1] + frame[2]
    symbols, parsed, out = ffi.new("ae_symtab_t *"), ffi.new("ae_parsed_t *"), ffi.new("ae_tick_t[]", 4)
    predict = ffi.cast("ae_predict_t *", ffi.from_buffer(room := bytearray(lib.ae_predict_bytes())))
    lib.ae_predict_init(predict, 0)
    assert lib.ae_symtab_add(symbols, b"BTCUSDT", 7, 1, 3) == 0
    took = per_call(lambda: lib.ae_tick_parse(text, len(text), symbols, predict, out, 4, parsed))
    assert (out[0].a, out[0].b, out[0].c, out[0].d) == (769473, 374, 769683, 2237) and room
    return took


def our_order() -> float:
    """ns a signed order frame, one call of C from Python each."""
    with Encoder("k" * 64, b"s" * 64, 5000, 1) as encoder:
        assert encoder.slot(0, "BTCUSDT", 1, 3)
        intent = ffi.new("ae_intent_t *", {"side": 1, "type": 1, "tif": 2, "px": 769603, "qty": 1234})
        now_ms = time.time_ns() // 1_000_000
        assert len(encoder.frame(intent, now_ms) or b"") > 300, "no signed order"
        return per_call(lambda: (encoder.frame(intent, now_ms), encoder.next()))


def compared(what: str, ours: Callable[[], float], theirs: Callable[[], dict[str, float]], rounds: int) -> list[Row]:
    """Rows of rivals in turn with ours; the ratio says how many times ours they take."""
    mine, others = [], []
    for _ in range(rounds):
        mine.append(ours())
        others.append(theirs())
    base = statistics.median(mine)
    found = []
    for name in others[0]:
        took = statistics.median(o[name] for o in others)
        ratio = statistics.median(o[name] / m for o, m in zip(others, mine, strict=True))
        found.append(Row(f"rival: {what}, {name}", "ours", ratio, detail=f"{took:.0f} ns to {base:.0f} ns"))
    return found


def rows(quick: bool) -> list[Row]:
    """All comparisons, or one row that says why there are none."""
    try:
        python = interpreter()
    except NotToBeHad as e:
        return [Row("rivals", "ours", float("nan"), detail=f"not to be had here: {e}")]
    rounds, records = (1, 5_000) if quick else (5, 20_000)
    found = bots(python, quick)
    found += compared("parse a best price", our_parse, lambda: told(python, "parse.py", 3), rounds)
    found += compared("a signed order", our_order, lambda: told(python, "sign.py", 3), rounds)
    found += compared("a record from process to process", lambda: our_ring(records),
                      lambda: told(python, "transport.py", records), rounds)  # fmt: skip
    return found
