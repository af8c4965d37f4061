"""The orchestrator against a scripted venue: opening, adoption, correction, halt, restart, key and countdown."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aegis.errors import Unreachable, VenueError
from aegis.live import orchestrator_recon
from aegis.live.clock import Clock
from aegis.live.log import Log
from aegis.live.orchestrator_books import Keeper
from aegis.live.orchestrator_guard import ClockOffset, DeadMan
from aegis.live.orchestrator_keys import ListenKey
from aegis.live.orchestrator_recon import Reconciler
from aegis.live.store import Store
from aegis.messages import (
    BalanceUpdate,
    ExecType,
    Halt,
    Note,
    OrderRecord,
    OrderStatus,
    OrderStep,
    OrderType,
    OrderUpdate,
    Side,
    Tif,
    TradeLite,
)
from aegis.native import account, orders
from aegis.native.ring import RingWriter
from aegis.recon.resolve import Tolerance
from aegis.units import ZERO, Num

N = Num.parse
BTC = "BTCUSDT"
MS = 1_000_000
START_MS = 1_700_000_000_000
Params = dict[str, Any]


class Venue:
    """Answers REST from a tiny account; `calls` are kept, `fail` raises."""

    def __init__(self) -> None:
        self.wallet, self.positions, self.trades = N("10000"), {"ETHUSDT": N("2")}, []
        self.incomes: list[Params] = []
        self.open: dict[str, str] = {}
        self.ended: dict[str, str] = {}
        self.calls: list[tuple[str, str, Params]] = []
        self.now_ms = START_MS
        self.fail: Callable[[str, str], Exception | None] = lambda _m, _p: None
        self.keys = 0

    async def get(self, path: str, params: Params, **_options: bool) -> Any:
        return self._answer("GET", path, params)

    async def post(self, path: str, params: Params, **_options: bool) -> Any:
        return self._answer("POST", path, params)

    async def put(self, path: str, params: Params, **_options: bool) -> Any:
        return self._answer("PUT", path, params)

    def _answer(self, method: str, path: str, params: Params) -> Any:
        self.calls.append((method, path, params))
        if (error := self.fail(method, path)) is not None:
            raise error
        name = path.rsplit("/", 1)[1]
        match method, name:
            case "GET", "time":
                return {"serverTime": self.now_ms}
            case "GET", "positionRisk":
                return [{"symbol": s, "positionAmt": str(q), "entryPrice": "100"} for s, q in self.positions.items()]
            case "GET", "balance":
                return [{"asset": "USDT", "balance": str(self.wallet)}, {"asset": "BNB", "balance": "0.00"}]
            case "GET", "openOrders":
                return [{"clientOrderId": c, "symbol": s} for c, s in self.open.items()]
            case "GET", "userTrades":
                rows = [t for t in self.trades if t["symbol"] == params["symbol"]]
                return [t for t in rows if t["id"] >= params.get("fromId", 0)]
            case "GET", "income":
                return self.incomes
            case "GET", "order":
                if params["origClientOrderId"] in self.ended:
                    return {"status": self.ended[params["origClientOrderId"]]}
                raise VenueError(-2013, "Order does not exist.")
            case "POST", "listenKey":
                self.keys += 1
                return {"listenKey": f"key{self.keys}"}
        return {}

    def trade(self, trade_id: int, qty: str, price: str, fee: str, rp: str = "0", symbol: str = BTC) -> OrderUpdate:
        """Execute at the venue and return the event it would have sent."""
        self.now_ms += 1000
        side = Side.SELL if qty.startswith("-") else Side.BUY
        self.positions[symbol] = self.positions.get(symbol, ZERO) + N(qty)
        self.wallet = self.wallet + N(rp) - N(fee)
        row = {
            "symbol": symbol, "id": trade_id, "orderId": trade_id, "side": side.name, "qty": str(abs(N(qty))),
            "price": price, "commission": fee, "commissionAsset": "USDT", "marginAsset": "USDT", "realizedPnl": rp,
            "maker": False, "time": self.now_ms,
        }  # fmt: skip
        self.trades.append(row)
        return OrderUpdate(
            symbol=symbol, client_id=f"c{trade_id}", order_id=trade_id, side=side, type=OrderType.MARKET, tif=Tif.GTC,
            exec_type=ExecType.TRADE, status=OrderStatus.FILLED, qty=abs(N(qty)), price=ZERO, filled_qty=abs(N(qty)),
            last_qty=abs(N(qty)), last_price=N(price), trade_id=trade_id, commission=N(fee), commission_asset="USDT",
            realised=N(rp), exch_ns=self.now_ms * MS,
        )  # fmt: skip


class Bench:
    """Keeper, rings and reconciler in a directory."""

    def __init__(self, root: Path) -> None:
        self.root, self.venue, self.halts = root, Venue(), list[Halt]()
        self.ring = RingWriter(str(root / "account"), 8192, 256, "account")
        self.steps = RingWriter(str(root / "orders"), 8192, 256, "orders")
        self.start()

    def start(self) -> None:
        self.store = Store(self.root / "state" / "store.sqlite")
        self.keeper = Keeper(self.root, self.store, {})
        tolerance = Tolerance(lots={"BTCUSDT": N("0.001")})
        self.recon = Reconciler(self.keeper, self.venue, Clock(), Log("test"), self.halts.append, tolerance)

    def tell(self, *messages: Any) -> None:
        for m in messages:
            self.ring.publish(account.pack(m))

    def step(self, record: OrderRecord) -> None:
        self.steps.publish(orders.pack(record))

    def open(self) -> None:
        self.tell(Note(what="STREAM_UP"))
        asyncio.run(self.recon.open_books())
        self.keeper.turn(0)
        assert self.run()["result"] == "ok"

    def run(self, kind: str = "full") -> dict[str, Any]:
        return asyncio.run(self.recon.run_pass(kind))

    def page(self) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.decode((self.root / "positions.json").read_bytes())
        return found


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(orchestrator_recon, "SETTLE_S", 0.001)
    made = Bench(tmp_path)
    yield made
    made.store.close()


def test_opening_takes_over_and_older_fills_are_inside(bench: Bench) -> None:
    before = bench.venue.trade(5, "0.5", "100", "0.02")
    bench.tell(before)
    bench.open()
    page = bench.page()
    assert page["reconciled"] is True and page["wallets"] == {"USDT": "9999.98"}
    assert page["positions"]["BTCUSDT"] == {"qty": "0.5", "entry": "100"}
    assert bench.keeper.ledger.qty("BTCUSDT") == N("0.5") and bench.store.fills() == []


def test_stream_fills_need_no_adoption_and_restart_doubles_nothing(bench: Bench) -> None:
    bench.open()
    update = bench.venue.trade(7, "-0.25", "110", "0.011", "2.5")
    lite = TradeLite(
        symbol="BTCUSDT", client_id="c7", order_id=7, side=Side.SELL, qty=N("0.25"), last_qty=N("0.25"),
        last_price=N("110"), trade_id=7, exch_ns=update.exch_ns,
    )  # fmt: skip
    balance = BalanceUpdate(
        asset="USDT", wallet=bench.venue.wallet, cross_wallet=bench.venue.wallet, change=ZERO, reason="ORDER",
        exch_ns=update.exch_ns,
    )  # fmt: skip
    bench.tell(lite, balance, update)
    report = bench.run("cheap")
    assert (report["result"], report["adopted"]) == ("ok", 0)
    bench.store.close()
    bench.start()
    assert bench.keeper.turn(0) == 0
    report = bench.run()
    assert (report["result"], report["adopted"], len(bench.store.fills())) == ("ok", 0, 1)
    assert bench.page()["wallets"]["USDT"] == "10002.489" and bench.page()["last_trade"] == {"BTCUSDT": 7}


def test_a_fill_behind_our_back_is_reported_then_adopted_then_gone(bench: Bench) -> None:
    bench.open()
    bench.venue.trade(9, "1", "100", "0.04", symbol="BTCUSDT")
    report = bench.run("cheap")
    assert report["result"] == "mismatch" and report["action"] == "adopt" and report["adopted"] == 1
    assert [(m["kind"], m["name"], m["ours"], m["theirs"]) for m in report["mismatches"]] == [
        ("position", "BTCUSDT", "0", "1"),
        ("wallet", "USDT", "10000", "9999.96"),
    ]
    assert report["result_after"] == "ok" and bench.halts == []
    again = bench.run("cheap")
    assert (again["result"], again["action"]) == ("ok", "none")


def test_missed_funding_is_adopted_from_income_once(bench: Bench) -> None:
    bench.open()
    bench.venue.wallet = bench.venue.wallet - N("0.5")
    bench.venue.incomes = [
        {"asset": "USDT", "incomeType": "FUNDING_FEE", "income": "-0.50", "time": START_MS + 60_000, "tranId": 1,
         "symbol": "ETHUSDT"},
    ]  # fmt: skip
    assert bench.run("cheap")["result_after"] == "ok"
    assert bench.run("cheap")["result"] == "ok"
    assert bench.keeper.ledger.wallets["USDT"] == N("9999.5") and bench.halts == []


def test_dust_is_corrected_with_a_label_more_halts(bench: Bench) -> None:
    bench.open()
    bench.venue.wallet = bench.venue.wallet + N("0.005")
    assert bench.run("cheap")["result_after"] == "ok" and bench.halts == []
    bench.venue.wallet = bench.venue.wallet + N("5")
    report = bench.run("cheap")
    assert (report["action"], report["result_after"]) == ("halt", "mismatch")
    assert bench.halts == [Halt.RECONCILIATION] and bench.page()["reconciled"] is False


def test_orders_of_other_hands_and_orders_that_ended_unseen(bench: Bench) -> None:
    bench.open()
    bench.venue.open["web_1"] = "BTCUSDT"
    bench.step(OrderRecord(step=OrderStep.ACKED, now_ns=1, client_id="ours", symbol="BTCUSDT", order_id=4, qty=N("1")))
    bench.step(OrderRecord(step=OrderStep.SENT, now_ns=1, client_id="maybe", symbol="BTCUSDT", qty=N("1")))
    bench.venue.ended["ours"] = "CANCELED"
    report = bench.run("cheap")
    assert [(m["kind"], m["name"]) for m in report["mismatches"]] == [
        ("order_missing", "ours"),
        ("order_foreign", "web_1"),
    ]
    assert report["result_after"] == "ok"
    assert sorted(bench.keeper.orders) == ["maybe", "web_1"] and bench.store.order_phase("ours") == "done"


def test_lost_stream_is_not_reconciled_until_a_pass_after_its_return(bench: Bench) -> None:
    bench.open()
    bench.tell(Note(what="STREAM_DOWN"))
    bench.keeper.turn(0)
    assert bench.page()["reconciled"] is False
    assert bench.run()["result"] == "ok" and bench.page()["reconciled"] is False
    bench.venue.trade(11, "1", "100", "0")
    bench.tell(Note(what="STREAM_UP"))
    bench.keeper.turn(0)
    assert bench.keeper.gap
    assert bench.run()["adopted"] == 1 and bench.page()["reconciled"] is True


def test_api_failure_leaves_the_books_alone(bench: Bench) -> None:
    bench.open()
    bench.venue.fail = lambda _m, p: Unreachable("down") if p.endswith("balance") else None
    with pytest.raises(Unreachable):
        bench.run()
    bench.venue.fail = lambda _m, _p: None
    assert bench.run()["result"] == "ok"


def test_books_that_cannot_be_checked_are_not_called_reconciled_for_ever(bench: Bench) -> None:
    """Failing passes: still reconciled while the last proof is young, not when it is old, again after a clean pass."""
    bench.open()
    bench.recon.failed("cheap", evidence_s=60.0)
    assert bench.page()["reconciled"] is True
    bench.recon.failed("cheap", evidence_s=0.0)
    assert bench.page()["reconciled"] is False
    assert bench.run("cheap")["result"] == "ok"
    assert bench.page()["reconciled"] is True


def until(condition: Callable[[], bool], task: Callable[[], Awaitable[None]], deadline_s: float = 5.0) -> None:
    """Run a task until a condition holds."""

    async def both() -> None:
        runner = asyncio.ensure_future(task())
        async with asyncio.timeout(deadline_s):
            while not condition():
                await asyncio.sleep(0)
        runner.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await runner

    asyncio.run(both())


def test_listen_key_is_rotated_when_the_venue_forgot_it(tmp_path: Path) -> None:
    venue = Venue()
    venue.fail = lambda m, _p: VenueError(-1125, "This listenKey does not exist.") if m == "PUT" else None
    until(lambda: venue.keys >= 2, lambda: ListenKey(venue, tmp_path / "listen_key", Log("test"), 0.01).run())
    assert (tmp_path / "listen_key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "listen_key").read_text().startswith("key")


def test_countdown_is_refreshed_only_while_the_brain_moves(bench: Bench) -> None:
    bench.open()
    bench.step(OrderRecord(step=OrderStep.ACKED, now_ns=1, client_id="ours", symbol="BTCUSDT", qty=N("1")))
    bench.keeper.turn(0)
    still = DeadMan(bench.venue, bench.keeper, lambda: 1, 0.03, Log("test"))
    loops = iter(range(10**9))
    moving = DeadMan(bench.venue, bench.keeper, lambda: next(loops), 0.03, Log("test"))
    until(lambda: moving.refreshes >= 3, moving.run)

    async def compare() -> None:
        tasks = [asyncio.ensure_future(still.run()), asyncio.ensure_future(moving.run())]
        before = moving.refreshes
        async with asyncio.timeout(5):
            while moving.refreshes < before + 3:
                await asyncio.sleep(0)
        for t in tasks:
            t.cancel()

    asyncio.run(compare())
    assert still.refreshes <= 1
    asyncio.run(moving.disarm())
    assert bench.venue.calls[-1][2] == {"symbol": "BTCUSDT", "countdownTime": 0} and moving.armed == {}


def test_clock_offset_by_fastest_round_trip() -> None:
    held: list[Halt] = []
    guard = ClockOffset(None, Clock(), held.append, lambda r: held.remove(r) if r in held else None)
    guard.sample(1000 * MS, 1002 * MS, 2 * MS, 1001)
    assert held == [] and abs(guard.offset_ns) <= MS
    guard.sample(1000 * MS, 1900 * MS, 900 * MS, 2900)
    assert held == []
    for _ in range(8):
        guard.sample(1000 * MS, 1001 * MS, MS, 1700)
    assert Halt.CLOCK in held
    for _ in range(8):
        guard.sample(1000 * MS, 1001 * MS, MS, 1000)
    assert held.count(Halt.CLOCK) <= 7


def test_two_measurements_after_a_step_of_the_clock_count() -> None:
    """A step is believed at its second measurement, to and fro, however fast the answers before it were."""
    held: set[Halt] = set()
    guard = ClockOffset(None, Clock(), held.add, held.discard)
    for server_ms, halted in ((1001, False), (6001, True), (1001, False)):
        guard.sample(1000 * MS, 1004 * MS, 4 * MS, server_ms)
        guard.sample(1000 * MS, 1004 * MS, 4 * MS, server_ms)
        assert (Halt.CLOCK in held) is halted
