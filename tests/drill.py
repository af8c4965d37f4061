"""The drill: kill and stop each process while it trades, then compare our books with the venue's to the last digit.

Per seed one `aegis up` on the synthetic venue, in an instance and a state directory of its own. Each of feed, brain
and orchestrator is ended by SIGKILL and by SIGSTOP; it must be back in time while the others keep their PIDs, and
trading must go on. Then the operator's halt stops the flow, and store and positions page are compared with the
venue's own account of everything. This file shares no code with the product: it reads the store with sqlite3 and the
venue with urllib, so that it cannot agree by construction.

Run: python tests/drill.py --seeds 20 [--seed0 1] [--verbose]; exit code 1 on any difference.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

NAMES = ("feed", "brain", "orchestrator")
WATCHDOG_S = 2.0
NOTICE_S = 0.7  # from the watchdog's limit to the kill, on a busy two-core machine
START_S = 15.0  # from death to READY again: an interpreter, its imports, the first answers of the venue
TRADE_S = 60.0
QUIET_S = 30.0
STOP_S = 5.0


class Failed(Exception):
    """One law of the drill did not hold."""


class Run:
    """One `aegis up --json` and what it says."""

    def __init__(self, seed: int, verbose: bool) -> None:
        self.instance = f"drill-{os.getpid()}-{seed}"
        self.state = Path(tempfile.mkdtemp(prefix="aegis-drill-"))
        self.shm = Path("/dev/shm/aegis") / self.instance
        self.events: list[dict[str, Any]] = []
        environ = {k: v for k, v in os.environ.items() if not k.startswith("AEGIS_")}
        environ |= {"AEGIS_AEGIS_INSTANCE": self.instance, "AEGIS_AEGIS_STATE_DIR": str(self.state)}
        environ |= {"AEGIS_SUPERVISOR_WATCHDOG_MS": str(int(WATCHDOG_S * 1000))}
        self.environ = environ
        self.log = (self.state / "log").open("wb")
        command = [sys.executable, "-m", "aegis.cli.main", "up", "--json", "--seed", str(seed), "--symbols", "3"]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=None if verbose else self.log, env=environ, text=True
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.append(json.loads(line) | {"heard": time.monotonic()})

    def pids(self) -> dict[str, int]:
        """The newest PID of each process."""
        return {e["process"]: e["pid"] for e in list(self.events) if e["event"] == "started"}

    def has(self, event: str, process: str, pid: int) -> dict[str, Any] | None:
        """The event of this very process, if it was told."""
        found = [e for e in list(self.events) if (e["event"], e["process"], e.get("pid")) == (event, process, pid)]
        return found[0] if found else None

    def note(self) -> dict[str, Any]:
        """The supervisor's note."""
        note: dict[str, Any] = json.loads((self.shm / "up.json").read_text())
        return note

    def venue(self) -> dict[str, Any]:
        """The venue's whole truth."""
        with urllib.request.urlopen(self.note()["control_url"] + "/control/books", timeout=5) as answer:
            books: dict[str, Any] = json.load(answer)
        return books

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Another `aegis` command on this instance."""
        line = [sys.executable, "-m", "aegis.cli.main", *words]
        return subprocess.run(line, env=self.environ, capture_output=True, text=True, timeout=30, check=False)

    def close(self, keep: bool) -> None:
        """End it whatever happened; keep its state for a look when asked to."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_S * 2)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()
        if not keep:
            shutil.rmtree(self.state, ignore_errors=True)


def until(look: Callable[[], Any], limit_s: float, what: str) -> Any:
    """First truthy value of `look`; Failed after `limit_s`."""
    deadline = time.monotonic() + limit_s
    while True:
        try:
            seen = look()
        except (OSError, ValueError, KeyError):
            seen = None
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {limit_s:g} s")
        time.sleep(0.02)


def trading(run: Run, orders: int, fills: int) -> dict[str, Any]:
    """Wait for more orders than `orders`, and at least `fills` fills."""

    def look() -> dict[str, Any] | None:
        if run.process.poll() is not None:
            raise Failed(f"aegis up ended with exit code {run.process.returncode}")
        books = run.venue()
        return books if len(books["orders"]) > orders and len(books["fills"]) >= fills else None

    found: dict[str, Any] = until(look, TRADE_S, f"trading (more than {orders} orders, {fills} fills)")
    return found


def strike(run: Run, name: str, number: signal.Signals) -> float:
    """End one process, wait for its successor; seconds from the blow to READY."""
    before = run.pids()
    old = before[name]
    blow = time.monotonic()
    os.kill(old, number)
    limit = NOTICE_S + (WATCHDOG_S if number == signal.SIGSTOP else 0.0)
    ended = until(lambda: run.has("exited", name, old), limit, f"{name} after {number.name}: seen dead")
    until(lambda: run.pids()[name] != old, START_S, f"{name} after {number.name}: started again")
    fresh = run.pids()[name]
    ready = until(lambda: run.has("ready", name, fresh), START_S, f"{name} after {number.name}: ready again")
    for other, pid in run.pids().items():
        if other != name and pid != before[other]:
            raise Failed(f"{other} changed its PID when {name} got {number.name}")
    if ended["heard"] < blow:
        raise Failed(f"{name} had already ended by itself")
    return float(ready["heard"] - blow)


def dec(text: object) -> Decimal:
    """Value of decimal text, so that 1.50 equals 1.5."""
    return Decimal(str(text))


def venue_fills(books: dict[str, Any]) -> dict[tuple[str, int], tuple[Any, ...]]:
    """Fills by (symbol, trade id), with every number that is money or size."""
    return {
        (f["symbol"], int(f["id"])): (
            f["side"],
            dec(f["qty"]),
            dec(f["price"]),
            dec(f["commission"]),
            dec(f["realizedPnl"]),
            f["clientOrderId"],
        )
        for f in books["fills"]
    }


def stored(run: Run) -> dict[str, Any]:
    """What our store and positions page hold."""
    path = run.state / run.note()["account"] / "store.sqlite"
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
    try:
        db.execute("BEGIN")
        rows = db.execute("SELECT symbol,trade_id,side,qty,price,commission,realised,client_id FROM fills").fetchall()
        fills = {
            (s, int(t)): ("BUY" if side > 0 else "SELL", dec(q), dec(p), dec(c), dec(r), client)
            for s, t, side, q, p, c, r, client in rows
        }
        orders = dict(db.execute("SELECT client_id, phase FROM orders").fetchall())
        wallets = {a: dec(w) for a, w in db.execute("SELECT asset, wallet FROM wallets").fetchall()}
    finally:
        db.close()
    page = json.loads((run.shm / "positions.json").read_text())
    return {
        "fills": fills,
        "orders": orders,
        "wallets": wallets,
        "page_wallets": {a: dec(w) for a, w in page["wallets"].items()},
        "page_positions": {s: dec(p["qty"]) for s, p in page["positions"].items() if dec(p["qty"])},
        "reconciled": page["reconciled"],
    }


def differences(books: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    """Everything in which our books and the venue's disagree."""
    out = []
    theirs = venue_fills(books)
    for key in sorted(theirs.keys() | ours["fills"].keys()):
        left, right = theirs.get(key), ours["fills"].get(key)
        if left and right and not right[-1]:
            left = (*left[:-1], "")  # fetched by userTrades, which names no client id
        if left != right:
            out.append(f"fill {key}: venue {left}, ours {right}")
    positions = {s: dec(p["qty"]) for s, p in books["positions"].items() if dec(p["qty"])}
    if positions != ours["page_positions"]:
        out.append(f"positions: venue {positions}, ours {ours['page_positions']}")
    wallets = {a: dec(w) for a, w in books["wallets"].items()}
    for source in ("wallets", "page_wallets"):
        for asset in sorted(wallets.keys() | ours[source].keys()):
            if wallets.get(asset, dec(0)) != ours[source].get(asset, dec(0)):
                out.append(f"{source} {asset}: venue {wallets.get(asset)}, ours {ours[source].get(asset)}")
    out += [f"client id {c} used {n} times" for c, n in Counter(books["client_ids"]).items() if n > 1]
    out += [f"order {c} is on the venue, not in our store" for c in books["client_ids"] if c not in ours["orders"]]
    working = {o["clientOrderId"] for o in books["open_orders"]}
    open_here = {c for c, phase in ours["orders"].items() if phase != "done"}
    out += [f"order {c} works on the venue, not in our books" for c in sorted(working - open_here)]
    out += [f"order {c} works in our books, not on the venue" for c in sorted(open_here - working)]
    if not ours["reconciled"]:
        out.append("our books call themselves not reconciled")
    return out


def compared(run: Run) -> tuple[dict[str, Any], list[str]]:
    """Differences at a moment at which the venue stood still around our reading; the last found at the deadline."""
    deadline = time.monotonic() + QUIET_S
    found = ["the venue never stood still"]
    books = run.venue()
    while time.monotonic() < deadline:
        ours = stored(run)
        again = run.venue()
        if again == books:
            found = differences(books, ours)
            if not found:
                break
        books = again
        time.sleep(0.1)
    return books, found


def stopped(run: Run) -> float:
    """SIGTERM: gone in time, nothing open, nothing left; seconds it took."""
    began = time.monotonic()
    pids = run.pids()
    run.process.terminate()
    try:
        code = run.process.wait(STOP_S)
    except subprocess.TimeoutExpired as e:
        raise Failed(f"stop took more than {STOP_S:g} s") from e
    took = time.monotonic() - began
    last = until(lambda: [e for e in run.events if e["event"] == "stopped"], 2, "the last line")[-1]
    if code or last["open_orders"]:
        raise Failed(f"exit code {code}, open orders {last['open_orders']}")
    if run.shm.exists():
        raise Failed(f"{run.shm} is left behind: {sorted(p.name for p in run.shm.iterdir())}")
    alive = [name for name, pid in pids.items() if Path(f"/proc/{pid}").exists()]
    if alive:
        raise Failed(f"still alive: {alive}")
    return took


def drill(run: Run) -> str:
    """All blows, then the comparison and the stop; a line about it."""
    books = trading(run, 0, 1)
    back: dict[str, float] = {}
    for number in (signal.SIGKILL, signal.SIGSTOP):
        for name in NAMES:
            back[f"{number.name[3:].lower()} {name}"] = strike(run, name, number)
            books = trading(run, len(books["orders"]), len(books["fills"]))
    done = run.command("halt", "--json")
    if done.returncode:
        raise Failed(f"aegis halt: exit code {done.returncode}: {done.stderr.strip()[-200:]}")
    books, found = compared(run)
    if found:
        raise Failed(f"{len(found)} differences: " + "; ".join(found[:6]))
    took = stopped(run)
    blows = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in back.items())
    counts = f"{len(books['orders'])} orders, {len(books['fills'])} fills, 0 differences"
    return f"{counts}; back after: {blows}; stopped in {took:.1f} s"


def main() -> int:
    """Every seed; 1 when any failed."""
    p = argparse.ArgumentParser(description="kill and stop each process while trading, then compare the books")
    p.add_argument("--seeds", type=int, default=20, help="how many")
    p.add_argument("--seed0", type=int, default=1, help="the first")
    p.add_argument("--verbose", action="store_true", help="logs of all processes on standard error")
    p.add_argument("--keep", action="store_true", help="keep the state of failed seeds and say where")
    args = p.parse_args()
    failed = []
    for seed in range(args.seed0, args.seed0 + args.seeds):
        run = Run(seed, args.verbose)
        kept = False
        try:
            print(f"seed {seed:>4} ok: {drill(run)}", flush=True)
        except Failed as e:
            failed.append(seed)
            kept = args.keep
            print(f"seed {seed:>4} FAILED: {e}" + (f" (state in {run.state})" if kept else ""), flush=True)
        finally:
            run.close(kept)
    shown = f", failed: {failed}" if failed else ""
    print(f"{args.seeds} seeds, {args.seeds - len(failed)} equal to the last digit{shown}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
