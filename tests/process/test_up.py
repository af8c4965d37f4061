"""Law: one command starts everything, keeps it running, and leaves nothing: no process, no memory, no open order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Eventually = Callable[..., Any]


FEED_HOPS = {"receive", "parsed", "published"}
ORDER_HOPS = {"taken", "decided", "gated", "written", "acknowledged", "tick_to_wire"}


class Up:
    """A running `aegis up --json` in an instance of its own."""

    def __init__(self, tmp_path: Path, *words: str) -> None:
        self.instance = f"test-{os.getpid()}-{time.monotonic_ns() % 10**9}"
        self.shm = Path("/dev/shm/aegis") / self.instance
        clean = {k: v for k, v in os.environ.items() if not k.startswith("AEGIS_")}
        self.environ = clean | {
            "AEGIS_AEGIS_INSTANCE": self.instance,
            "AEGIS_AEGIS_STATE_DIR": str(tmp_path / "state"),
        }
        self.events: list[dict[str, Any]] = []
        self.log = (tmp_path / "log").open("wb")
        command = [sys.executable, "-m", "aegis.cli.main", "up", "--json", "--symbols", "3", *words]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, env=self.environ, text=True)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def pids(self) -> dict[str, int]:
        return {e["process"]: e["pid"] for e in list(self.events) if e["event"] == "started"}

    def ready(self) -> set[str]:
        now = self.pids()
        return {e["process"] for e in list(self.events) if e["event"] == "ready" and e["pid"] == now[e["process"]]}

    def all_ready(self) -> bool:
        assert self.process.poll() is None, f"ended: {self.events}"
        return self.ready() == {"venue", "feed", "brain", "orchestrator"}

    def venue(self, what: str, body: dict[str, Any] | None = None) -> Any:
        url = json.loads((self.shm / "up.json").read_text())["control_url"] + "/control/" + what
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(url, data), timeout=5) as answer:
            return json.load(answer)

    def filled(self) -> bool:
        assert self.process.poll() is None, f"ended: {self.events}"
        return bool(self.venue("books")["fills"])

    def aegis(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "aegis.cli.main", *words]
        return subprocess.run(command, env=self.environ, capture_output=True, text=True, timeout=60, check=False)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(6)


@pytest.fixture
def up(request: pytest.FixtureRequest, tmp_path: Path, eventually: Eventually) -> Iterator[Up]:
    """A whole AEGIS that is ready (a parameter holds further words); ended whatever the test does."""
    run = Up(tmp_path, *getattr(request, "param", ()))
    try:
        eventually(run.all_ready, 40)
        yield run
    finally:
        if run.process.poll() is None:
            run.process.terminate()
            try:
                run.process.wait(8)
            except subprocess.TimeoutExpired:
                run.process.kill()
        run.log.close()


def test_trades_and_leaves_nothing_behind(up: Up, eventually: Eventually) -> None:
    """Ready, orders and fills on the venue; Ctrl-C: under five seconds, nothing open, nothing left."""
    eventually(up.filled, 40)
    ring = next(e for e in up.events if e["event"] == "ring")
    assert ring["bytes"] == (up.shm / "market").stat().st_size
    pids = up.pids()
    began = time.monotonic()
    assert up.stop() == 0
    assert time.monotonic() - began < 5
    last = eventually(lambda: [e for e in up.events if e["event"] == "stopped"])[-1]
    assert last["open_orders"] == 0
    assert set(last["latency"]["feed"]) >= FEED_HOPS
    assert not up.shm.exists()
    assert [name for name, pid in pids.items() if Path(f"/proc/{pid}").exists()] == []


@pytest.mark.parametrize("up", [("--set", "paper.tls=true")], indirect=True, ids=["tls"])
def test_trades_over_tls(up: Up, eventually: Eventually) -> None:
    """The same, with every socket over a certificate made at the start and trusted by its authority's file alone."""
    note = json.loads((up.shm / "up.json").read_text())
    assert [note[f"{n}_url"].split(":")[0] for n in ("rest", "stream", "ws_api")] == ["https", "wss", "wss"]
    assert Path(note["ca_file"]).is_file()
    test_trades_and_leaves_nothing_behind(up, eventually)


def test_second_up_of_the_instance_is_refused(up: Up) -> None:
    """One line with the PID of the first, exit code 2, the first undisturbed."""
    done = up.aegis("up")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert f"already running (pid {up.process.pid})" in done.stderr
    assert up.all_ready()


def test_commands_see_what_runs(up: Up, eventually: Eventually) -> None:
    """status, positions, orders, halt and resume speak to the running instance."""
    eventually(up.filled, 40)
    seen = json.loads(up.aegis("status", "--json").stdout)
    assert {name: row["pid"] for name, row in seen["processes"].items()} == up.pids()
    assert seen["halted"] == {}
    assert set(seen["latency"]["feed"]) >= FEED_HOPS
    assert set(seen["latency"]["brain"]) >= ORDER_HOPS
    for hops in seen["latency"].values():
        for row in hops.values():
            assert row["count"] > 0
            assert row["p50"] <= row["p90"] <= row["p99"] <= row["p999"] <= row["max"]
    table = up.aegis("status", "--latency").stdout.splitlines()
    assert {line.split()[1] for line in table[1:]} >= FEED_HOPS | ORDER_HOPS
    assert json.loads(up.aegis("positions", "--json").stdout)["reconciled"] is True
    assert "orders" in json.loads(up.aegis("orders", "--json").stdout)
    assert json.loads(up.aegis("halt", "--json").stdout)["halted"] == {"operator": "OPERATOR"}
    halted = up.aegis("status", "--json")
    assert (halted.returncode, json.loads(halted.stdout)["halted"]) == (1, {"operator": "OPERATOR"})
    assert json.loads(up.aegis("resume", "--json").stdout)["halted"] == {}
    verified = up.aegis("venue", "verify")
    assert verified.returncode == 0 and ", 0 broken" in verified.stdout, verified.stderr


def test_reconcile_reports_and_resolves_a_difference(up: Up, eventually: Eventually) -> None:
    """A position changed behind our back: reported with exit 2; after resolution exit 0."""
    eventually(up.filled, 40)
    assert up.aegis("halt").returncode == 0
    symbol = next(iter(up.venue("books")["positions"]), "BTCUSDT")
    up.venue("position", {"symbol": symbol, "qty": "1", "silent": True})
    found = up.aegis("reconcile", "--once", "--json")
    assert found.returncode == 2, found.stdout + found.stderr
    assert "Position mismatches detected" in found.stdout
    up.aegis("reconcile", "--once", "--resolve", "--json")
    again = up.aegis("reconcile", "--once", "--json")
    assert again.returncode == 0, again.stdout + again.stderr


@pytest.mark.parametrize("name", ["feed", "brain", "orchestrator"])
def test_a_killed_process_comes_back_alone(up: Up, eventually: Eventually, name: str) -> None:
    """A new PID for it, the same for all others."""
    before = up.pids()
    os.kill(before[name], signal.SIGKILL)
    eventually(lambda: up.pids()[name] != before[name] and up.all_ready(), 30)
    after = up.pids()
    assert {n: p for n, p in after.items() if n != name} == {n: p for n, p in before.items() if n != name}


def test_own_capture_replays_to_the_end(tmp_path: Path, data_dir: Path) -> None:
    """Every stream frame of a capture is received; no book breaks; one JSON on standard output."""
    capture = data_dir / "btcusdt_2022-08-11" / "capture.gz"
    clean = {k: v for k, v in os.environ.items() if not k.startswith("AEGIS_")}
    clean |= {"AEGIS_AEGIS_INSTANCE": f"test-replay-{os.getpid()}", "AEGIS_AEGIS_STATE_DIR": str(tmp_path)}
    words = ("up", "--replay", str(capture), "--speed", "max", "--exit-at-end", "--json")
    command = [sys.executable, "-m", "aegis.cli.main", *words]
    done = subprocess.run(command, env=clean, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout)
    assert report["frames_received"] == report["frames_in_capture"] == 1532
    assert (report["book_breaks"], report["refused"]) == (0, {})
    assert set(report["latency"]["feed"]) >= FEED_HOPS
    assert set(report["top_of_book"]) == {"BTCUSDT"}
