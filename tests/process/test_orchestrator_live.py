"""The orchestrator as a process against the simulator: killed while fills arrive, and told of a hand trade."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aegis.config import Config, load
from aegis.ledger.ledger import Ledger
from aegis.live.orchestrator import reconcile_once
from aegis.live.store import Store
from aegis.messages import ExecType, Note, OrderStatus, OrderType, OrderUpdate, Side, Tif
from aegis.native import account
from aegis.native.ring import RingWriter
from aegis.units import ZERO, Num

DEADLINE_S = 20.0


def wait(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, f"not within {DEADLINE_S} s: {what}"
        time.sleep(0.01)


class World:
    """Simulator and orchestrator as processes; this test is the feed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        keys = root / "keys.json"
        keys.write_text(json.dumps({"api_key": "k" * 64, "secret": "s" * 64}))
        keys.chmod(0o600)
        argv = ("-m", "aegis.exchange", "--port", "0", "--seed", "3", "--symbols", "3", "--keys", str(keys))
        self.venue = subprocess.Popen([sys.executable, *argv], stdout=subprocess.PIPE, text=True)
        assert self.venue.stdout is not None
        ready = json.loads(self.venue.stdout.readline())
        self.url, self.control = (f"http://127.0.0.1:{ready[p]}" for p in ("port", "control_port"))
        self.environ = {
            "AEGIS_AEGIS_STATE_DIR": str(root / "state"),
            "AEGIS_AEGIS_SHM_DIR": str(root / "shm"),
            "AEGIS_VENUE_REST_URL": self.url,
            "AEGIS_VENUE_KEYS_FILE": str(keys),
        }
        self.config: Config = load(None, self.environ).config
        shm = self.config.shm_path()
        shm.mkdir(parents=True)
        self.ring = RingWriter(shm / "account", 8192, 256, "account")
        self.ring.publish(account.pack(Note(what="STREAM_UP")))
        self.start()

    def start(self) -> None:
        code = "import os,sys; from aegis.config import load; from aegis.live.orchestrator import run"
        run = f"{code}; sys.exit(run(load(None, os.environ).config))"
        self.process = subprocess.Popen([sys.executable, "-c", run], env=os.environ | self.environ)

    def call(self, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.control + path, data), timeout=10) as answer:
            return json.loads(answer.read())

    def trade(self, qty: str, told: bool = True) -> None:
        """A trade at the venue; `told`: its event reaches the account ring."""
        row = self.call("/control/position", {"symbol": "BTCUSDT", "qty": qty, "silent": True})
        if not told:
            return
        number = {k: Num.parse(row[k]) for k in ("qty", "price", "commission", "realizedPnl")}
        update = OrderUpdate(
            symbol="BTCUSDT", client_id=f"t{row['id']}", order_id=row["orderId"], side=Side[row["side"]],
            type=OrderType.MARKET, tif=Tif.GTC, exec_type=ExecType.TRADE, status=OrderStatus.FILLED, qty=number["qty"],
            price=ZERO, filled_qty=number["qty"], last_qty=number["qty"], last_price=number["price"],
            trade_id=row["id"], commission=number["commission"], commission_asset=row["commissionAsset"],
            realised=number["realizedPnl"], exch_ns=row["time"] * 1_000_000,
        )  # fmt: skip
        self.ring.publish(account.pack(update))

    def page(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.config.shm_path() / "positions.json").read_text())
        except FileNotFoundError:
            return {}
        return found

    def reconciled_since(self, start_ns: int) -> bool:
        page = self.page()
        return bool(page.get("reconciled")) and page["reconciled_ns"] > start_ns

    def close(self) -> None:
        for process in (self.process, self.venue):
            process.kill()
            process.wait()
        self.ring.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    try:
        wait(lambda: made.page().get("reconciled"), "first reconciliation")
        yield made
    finally:
        made.close()


@pytest.mark.timeout(90)
def test_killed_while_fills_arrive_the_books_equal_the_venues(world: World) -> None:
    for i in range(60):
        if i % 20 == 10:
            world.process.kill()
            world.process.wait()
        if i % 20 == 15:
            world.start()
        world.trade("0.003" if i % 3 else "-0.004")
    started = time.time_ns()
    wait(lambda: world.reconciled_since(started) or world.page().get("account_seq") == world.ring.newest, "catch-up")
    wait(lambda: world.page().get("reconciled"), "reconciled again")
    truth = world.call("/control/books")
    store = Store(world.config.state_path() / "store.sqlite", read_only=True)
    ledger = store.load(Ledger())
    assert [f.trade_id for f in store.fills("BTCUSDT")] == [f["id"] for f in truth["fills"]]
    assert ledger.wallets["USDT"] == Num.parse(truth["wallets"]["USDT"])
    assert ledger.qty("BTCUSDT") == Num.parse(truth["positions"]["BTCUSDT"]["qty"])
    store.close()
    world.process.send_signal(signal.SIGTERM)
    assert world.process.wait(timeout=2) == 0


@pytest.mark.timeout(60)
def test_a_hand_trade_is_reported_resolved_and_gone(world: World) -> None:
    world.trade("0.010")
    wait(lambda: world.page()["account_seq"] == world.ring.newest, "fill booked")
    assert reconcile_once(world.config)["result"] == "ok"
    world.trade("-0.004", told=False)
    report = reconcile_once(world.config)
    assert report["result"] == "mismatch"
    assert {(m["kind"], m["name"]) for m in report["mismatches"]} == {("position", "BTCUSDT"), ("wallet", "USDT")}
    resolved = reconcile_once(world.config, resolve=True)
    assert (resolved["result"], resolved["action"], resolved["adopted"]) == ("ok", "adopt", 1)
    assert reconcile_once(world.config)["result"] == "ok"
