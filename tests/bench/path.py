"""Tick to order on the wire, end to end: the real feed and brain beside a bare C loop, on the sockets of one C peer.

Problem: a ratio is only fair when both sides meet the same venue, the same kind of waiting and the same processor, and
when what is faster also does the work. So one peer process (`c/peer.c`) is the venue of both, stamps both ends, and
judges each mark: one order, neither none nor two. The bare loop (`c/bare.c`) runs just before and just after each
measured run; a pair whose limit changed meanwhile is dropped.
What must stay true: a mark missed or doubled fails the run, whoever missed it; nobody measures itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from path_tools import build, certificate, cpu_s, until

from aegis.native.latency import Histogram, LatencyPage

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SECRET, KEY = "path-bench-secret", "path-bench-key-" + 49 * "0"  # as long as a real one, and as the bare loop's
STOP_S = 5.0
GRACE_S, TRY_S = 20.0, 2.0  # how long an order may take before it counts as missed: judged runs, tries
STEADY = 1.15  # the limit of a pair may differ by this factor before and after
HOPS_OF = {
    "feed": ("receive", "parsed", "published"),
    "brain": ("taken", "decided", "gated", "written", "acknowledged", "tick_to_wire"),
}
LIMIT = 0  # the bare loop's number at the peer
TRIES = 2  # pairs tried for each one wanted
PACE = 0.9  # part of the wanted ticks that must have been sent
EVERY = {100: 2, 5_000: 25, 20_000: 100}  # one mark in so many ticks: 50 to 200 a second
PROCESS = (
    "import os, sys\nfrom aegis.config import load\nfrom aegis.live.{0} import run\n"
    "sys.exit(run(load(None, os.environ).config))"
)


@dataclass(frozen=True)
class Cores:
    """Processor of each program; the bare loop sits where the feed sits."""

    venue: int
    feed: int
    brain: int


def cores(wait: str) -> Cores | None:
    """Places for a way of waiting, or None when this machine has not enough: who spins needs a core of its own."""
    here = sorted(os.sched_getaffinity(0))
    if wait == "block":
        return Cores(here[0], here[1 % len(here)], here[1 % len(here)])
    return Cores(here[0], here[1], here[2]) if len(here) >= 4 else None


@dataclass
class Run:
    """What became of one run of ticks."""

    rate: int
    ns: list[int]
    facts: dict[str, int]
    cpu_us: dict[str, float] = field(default_factory=dict)  # per tick and process
    hops: dict[str, int] = field(default_factory=dict)  # median ns of each hop, as the product itself counted

    @property
    def on_pace(self) -> bool:
        """Whether the venue's side could keep the rate (it gives up what it is late for)."""
        return self.facts["sent"] * 1e9 >= PACE * self.rate * self.facts["took_ns"]

    def at(self, part: float) -> float:
        """Quantile of tick to order in us; nan when nothing was timed."""
        return quantile(self.ns, part)


def quantile(ns: Sequence[int], part: float) -> float:
    """Quantile in us; nan of nothing."""
    rows = sorted(ns)
    return rows[min(len(rows) - 1, int(part * len(rows)))] / 1000 if rows else float("nan")


class Lost(AssertionError):
    """A mark without its order, or with two."""


class Unmarked(AssertionError):
    """A run in which the venue had no time for a single mark: it says nothing."""


class Peer:
    """
    The venue process. `tls`: file of its certificate and key. Attribute `one`: a mark waits until the one before it was
    answered (for orders armed ahead, of which one lies ready at a time); True for both sides of a pair or for none.
    """

    def __init__(self, cpu: int, tls: Path | None = None) -> None:
        words = [str(build("peer")), str(cpu), *map(str, (tls, tls) if tls else ())]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.secure, self.one = tls is not None, False
        self.port = int(json.loads(self._line())["port"])

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"peer ended: {self._process.wait()}"
        return line

    def _say(self, line: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._line()

    def connected(self, client: int) -> bool:
        """Whether a client has its stream and its order connection open."""
        return all(json.loads(self._say(f"ready {client}")).values())

    def frames(self, client: int) -> int:
        """How many ticks its stream connection was sent so far."""
        return int(json.loads(self._say(f"frames {client}"))["frames"])

    def sample(self, client: int) -> bytes:
        """Text of the last order."""
        return bytes.fromhex(self._say(f"sample {client}"))

    def ticks(self, client: int, rate: int, ms: int, every: int = 0, *, grace_s: float = TRY_S) -> Run:
        """Send ticks for `ms`; does not judge. Orders may come until `grace_s` after the last."""
        words = (client, rate, ms, every or EVERY[rate], int(self.one), int(1000 * grace_s))
        facts = json.loads(self._say(" ".join(map(str, ("run", *words)))))
        return Run(rate, facts.pop("ns"), facts)

    def run(self, client: int, rate: int, ms: int, every: int = 0, *, grace_s: float = GRACE_S) -> Run:
        """
        Send ticks for `ms`.

        Raises:
            Lost: a mark was not answered by exactly one order, or an order answers no mark.
            Unmarked: there was none.
        """
        run = self.ticks(client, rate, ms, every, grace_s=grace_s)
        bad = {k: v for k, v in run.facts.items() if k in ("missed", "doubled", "stray", "rest_orders") and v}
        if bad or run.facts["orders"] != run.facts["marks"]:
            raise Lost(f"client {client} at {rate}/s: {bad} of {run.facts}")
        if not run.facts["marks"]:
            raise Unmarked(f"client {client} at {rate}/s: {run.facts}")
        return run

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait(STOP_S)


class Bare:
    """The limit: `c/bare.c` as a client of the peer; wait "relay" is its two processes. `ca`: certificate to trust."""

    def __init__(self, peer: Peer, cpu: int, wait: str, ca: Path | None = None, *, client: int = LIMIT) -> None:
        self.client = client
        words = [str(build("bare")), str(peer.port), f"c{self.client}", wait, str(cpu), *map(str, (ca,) if ca else ())]
        self._process = subprocess.Popen(words)
        until(lambda: peer.connected(self.client), "bare client", self._process)

    def run(self, peer: Peer, rate: int, ms: int, every: int = 0) -> Run:
        """One run; raises Lost."""
        return peer.run(self.client, rate, ms, every)

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait(STOP_S)


class Product:
    """
    Feed and brain as processes of their own, with all the settings of production but the addresses and the caps.

    Args:
        at: cpu of each, -1 leaves it free. wait: of both processes. strategy: `module:Class` found beside this file.
        ca: certificate to trust. client: its number at the peer. warm: wait until marks are answered without loss.
    """

    def __init__(
        self, peer: Peer, at: Cores, wait: str, strategy: str, *, ca: Path | None = None, client: int = 1,
        warm: bool = True,
    ) -> None:  # fmt: skip
        self.client = client
        self.dir = Path(tempfile.mkdtemp(prefix="path-bench-", dir="/dev/shm"))
        self.shm = self.dir / "shm" / "t"
        self.shm.mkdir(parents=True, mode=0o700)
        self._log = (self.dir / "log").open("w")
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._stop = threading.Event()
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        keys = self.dir / "keys.json"
        keys.touch(mode=0o600)
        keys.write_text(json.dumps({"api_key": KEY, "secret": SECRET}))
        (self.shm / "positions.json").write_text(json.dumps({"reconciled": True, "reconciled_ns": time.time_ns()}))
        env = _environment(peer, self.dir, keys, wait, at, strategy, self.client)
        if ca is not None:
            env["AEGIS_VENUE_CA_FILE"] = str(ca)
        try:
            self._keeper.start()
            for name, cpu in (("feed", at.feed), ("brain", at.brain)):
                pinned = ["taskset", "-c", str(cpu)] if cpu >= 0 else []
                command = [*pinned, sys.executable, "-c", self.code(name)]
                self._processes[name] = subprocess.Popen(command, env=env, stderr=self._log)
            until(lambda: peer.connected(self.client), "feed and brain", *self._processes.values(), said=self.said)
            until(lambda: self._answers(peer, warm), "first orders", *self._processes.values(), said=self.said)
        except BaseException:
            self.close()
            raise

    def code(self, name: str) -> str:
        """Program of a process."""
        return PROCESS.format(name)

    def _answers(self, peer: Peer, all_of_them: bool) -> bool:
        """Whether a short run loses nothing: books trusted, reconciled, everything warm."""
        facts = peer.ticks(self.client, 100, 400, 10).facts
        return bool(facts["orders"]) and (not all_of_them or facts["marks"] == facts["orders"])

    def _keep(self) -> None:
        """What the orchestrator does while all is well: the positions page stays young."""
        while not self._stop.wait(1.0):
            os.utime(self.shm / "positions.json")

    def said(self) -> str:
        """End of the log."""
        return (self.dir / "log").read_text()[-3000:]

    def pids(self) -> dict[str, int]:
        """Process ids by name."""
        return {name: p.pid for name, p in self._processes.items()}

    def run(self, peer: Peer, rate: int, ms: int, every: int = 0) -> Run:
        """One run with the processor time it took; raises Lost."""
        before, hops = {name: cpu_s(pid) for name, pid in self.pids().items()}, self._hops()
        try:
            run = peer.run(self.client, rate, ms, every)
        except Lost as e:
            raise Lost(f"{e}\n{self.said()}") from None
        since = {name: after.minus(hops[name]) for name, after in self._hops().items()}
        run.hops = {name: part.at(0.5) for name, part in since.items() if part.count}
        for name, pid in self.pids().items():
            run.cpu_us[name] = 1e6 * (cpu_s(pid) - before[name]) / max(run.facts["sent"], 1)
        return run

    def _hops(self) -> dict[str, Histogram]:
        page = LatencyPage(self.shm / "latency")
        return {hop: page.block(who).histogram(hop) for who, hops in HOPS_OF.items() for hop in hops}

    def close(self) -> None:
        """Stop both and remove what they left."""
        self._stop.set()
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S)
            if process.poll() is None:
                process.kill()
                process.wait()
        if self._keeper.is_alive():
            self._keeper.join(STOP_S)
        self._log.close()
        shutil.rmtree(self.dir, ignore_errors=True)


def _environment(
    peer: Peer, home: Path, keys: Path, wait: str, at: Cores, strategy: str, client: int
) -> dict[str, str]:
    s = "s" if peer.secure else ""
    host = "localhost" if peer.secure else "127.0.0.1"
    settings: dict[str, Any] = {
        "AEGIS_INSTANCE": "t", "AEGIS_SHM_DIR": home / "shm", "AEGIS_STATE_DIR": home / "state",
        "VENUE_REST_URL": f"http{s}://{host}:{peer.port}/c{client}",
        "VENUE_STREAM_URL": f"ws{s}://{host}:{peer.port}/c{client}",
        "VENUE_WS_API_URL": f"ws{s}://{host}:{peer.port}/c{client}/ws-api/v1",
        "VENUE_KEYS_FILE": keys, "SYMBOLS_LIST": "BTCUSDT", "FEED_STREAMS": "bookTicker,depth@100ms,trade",
        "FEED_GAP_FILL": "false", "FEED_STALE_S": "3600", "FEED_WAIT": wait, "FEED_CPU": at.feed,
        "BRAIN_WAIT": wait, "BRAIN_CPU": at.brain, "BRAIN_STRATEGY": strategy, "BRAIN_CONFLATE_LAG": 0,
        "RISK_ORDER_NOTIONAL_MAX": "10000000", "RISK_POSITION_NOTIONAL_MAX": "1000000000",
        "RISK_TOTAL_NOTIONAL_MAX": "1000000000", "RISK_ORDERS_PER_S": 1000, "RISK_OPEN_ORDERS_MAX": 10000,
        "RISK_LOSS_LIMIT": "1000000000",
    }  # fmt: skip
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, **{f"AEGIS_{k}": str(v) for k, v in settings.items()}}


@dataclass
class Pair:
    """A measured run between two of the limit."""

    before: Run
    run: Run
    after: Run

    @property
    def steady(self) -> bool:
        """Whether the limit stayed what it was, and all three runs had the ticks they were asked to have."""
        a, b = self.before.at(0.5), self.after.at(0.5)
        return max(a, b) <= STEADY * min(a, b) and all(r.on_pace for r in (self.before, self.run, self.after))

    def limit(self, part: float) -> float:
        """Middle of the limit before and after, us."""
        return (self.before.at(part) + self.after.at(part)) / 2

    def ratio(self, part: float) -> float:
        """Measured to limit."""
        return self.run.at(part) / self.limit(part)


class Runner(Protocol):
    """What can be measured between two runs of the limit."""

    def run(self, peer: Peer, rate: int, ms: int, every: int = 0) -> Run:
        """One run; raises Lost."""


def pairs(peer: Peer, runner: Runner, rate: int, ms: int, wanted: int) -> list[Pair]:
    """Bare, measured, bare, measured, ..., bare, until `wanted` pairs were steady or three times as many were tried."""
    found: list[Pair] = []
    before = peer.run(LIMIT, rate, ms)
    while sum(p.steady for p in found) < wanted and len(found) < TRIES * wanted:
        run = runner.run(peer, rate, ms)
        after = peer.run(LIMIT, rate, ms)
        found.append(Pair(before, run, after))
        before = after
    return found


def pooled(found: Sequence[Pair], part: float) -> tuple[float, float]:
    """(measured, limit) quantile over all marks of all pairs, us: a tail of one short run is a handful of events."""
    runs = [n for p in found for n in p.run.ns]
    limits = [n for p in found for run in (p.before, p.after) for n in run.ns]
    return quantile(runs, part), quantile(limits, part)


def median(values: Sequence[float]) -> float:
    """Median; nan of nothing, which meets no goal."""
    return statistics.median(values) if values else float("nan")


@contextlib.contextmanager
def arena(wait: str, strategy: str, *, secure: bool = False, free: bool = False) -> Iterator[tuple[Peer, Product]]:
    """Peer, bare loop and product, connected and warm; ended afterwards. `free`: not pinned, for tests of losses."""
    at = Cores(-1, -1, -1) if free else cores(wait)
    assert at is not None
    with tempfile.TemporaryDirectory() as made, contextlib.ExitStack() as ends:
        shown, ca = certificate(Path(made)) if secure else (None, None)
        peer = Peer(at.venue, shown)
        ends.callback(peer.close)
        peer.one = strategy.endswith(":Armed")
        ends.callback(Bare(peer, at.feed, wait, ca).close)
        product = Product(peer, at, wait, strategy, ca=ca)
        ends.callback(product.close)
        yield peer, product
