"""What only the C gate has: sealed pages, pages of other processes, rounding, what it counts until it is told."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from aegis.config import Risk
from aegis.errors import ConfigError
from aegis.messages import Halt, OrderType, Place, Refusal, Rules, Side
from aegis.native import abi
from aegis.native.books import BooksReader
from aegis.native.control import ControlPage
from aegis.native.gate import Gate
from aegis.native.market import Market
from aegis.native.ring import RingWriter
from aegis.orders.book import Exposure
from aegis.units import ZERO, Num

N = Num.parse
NOW = 1_000_000_000_000
RISK = Risk(order_notional_max="1000", position_notional_max="2000", total_notional_max="3000", collar_bps=50,
            orders_per_s=100, open_orders_max=100, loss_limit="10")  # fmt: skip
RULES = Rules(
    symbol="X", base_asset="X", quote_asset="USDT", margin_asset="USDT", status="TRADING", contract_type="PERPETUAL",
    tick=N("0.1"), price_min=ZERO, price_max=ZERO, lot=N("0.01"), qty_min=N("0.01"), qty_max=N("1000"),
    market_lot=N("0.01"), market_qty_min=N("0.01"), market_qty_max=N("1000"), min_notional=N("5"), multiplier_up=ZERO,
    multiplier_down=ZERO, orders_max=200, px_exp=1, qty_exp=2,
)  # fmt: skip


def buy(qty: str = "1", **more: Any) -> Place:
    """A limit buy at 100."""
    return Place(symbol="X", side=Side.BUY, qty=N(qty), price=N("100.0"), **more)


def tick(gate: Gate, bid: int, ask: int, px_exp: int = 1) -> None:
    """A bookTicker of market symbol 0."""
    batch = np.zeros(1, abi.TICK)
    batch["kind"], batch["px_exp"], batch["a"], batch["c"], batch["recv_ns"] = 1, px_exp, bid, ask, NOW
    gate.ticks(batch)


class Bench:
    """Real pages of a feed and a control page, and a gate bound to them."""

    def __init__(self, root: Path, risk: Risk = RISK) -> None:
        self.market = Market([("X", 1, 2)], RingWriter(root / "market", 1024, 64, "market"), root / "books")
        self.control = ControlPage(root / "control", create=True)
        self.books = BooksReader(root / "books")
        self.gate = Gate(risk, [RULES])
        self.gate.control(self.control)
        self.gate.books(self.books, self.books.symbols())
        self.entry = np.frombuffer(self.books._file.map, abi.BOOK_ENTRY, 1, abi.BOOKS_HEADER.itemsize)
        self.entry["trusted"], self.entry["recv_ns"] = 1, NOW
        self.account()
        self.hold(ZERO)
        tick(self.gate, 999, 1000)

    def account(self, **facts: Any) -> None:
        """Good, but for `facts`."""
        self.gate.account(**({"open_orders": 0, "pnl": ZERO, "reconciled_until_ns": NOW + 1} | facts))

    def hold(self, position: Num, open_: Exposure | None = None) -> None:
        """The truth of X."""
        self.gate.exposure("X", position, open_ or Exposure())

    def ask(self, place: Place) -> Refusal:
        """The verdict now."""
        return self.gate.check(place, NOW)


@pytest.fixture(name="bench")
def bench_fixture(tmp_path: Path) -> Bench:
    """A gate that accepts."""
    return Bench(tmp_path)


def test_every_latch_is_seen_at_once(bench: Bench) -> None:
    """The halt word of any process stops the next entry; no turn in between."""
    for process in ("feed", "brain", "orchestrator", "supervisor", "operator", "venue"):
        bench.control.block(process).halt(Halt.OPERATOR)
        assert bench.ask(buy()) is Refusal.HALTED
        assert bench.gate.halted
        bench.control.block(process).clear_halt()
        assert bench.ask(buy("0.1")) is Refusal.ACCEPTED


def test_trust_is_read_from_the_page(bench: Bench) -> None:
    """Untrusted, too old, or held by a dead writer: no entry."""
    assert bench.gate.quote("X", NOW) == (N("99.9"), N("100.0"))
    bench.entry["trusted"] = 0
    assert bench.ask(buy()) is Refusal.BOOK_UNTRUSTED
    bench.entry["trusted"] = 1
    assert bench.gate.check(buy(), NOW + 5_000_000_001) is Refusal.NOT_RECONCILED
    bench.account(reconciled_until_ns=2**62)
    assert bench.gate.check(buy(), NOW + 5_000_000_001) is Refusal.BOOK_UNTRUSTED
    bench.entry["lock"] += 1
    assert bench.ask(buy()) is Refusal.BOOK_UNTRUSTED
    bench.entry["lock"] += 1
    assert bench.ask(buy()) is Refusal.ACCEPTED


def test_a_new_feed_is_waited_for(bench: Bench) -> None:
    """After forget() nothing is known until it is received again."""
    bench.gate.forget()
    assert bench.ask(buy()) is Refusal.BOOK_UNTRUSTED
    tick(bench.gate, 999, 1000)
    assert bench.ask(buy()) is Refusal.ACCEPTED


def test_the_same_symbol_elsewhere_on_a_new_page(bench: Bench, tmp_path: Path) -> None:
    """Indices are taken anew with a new page: what was X is another symbol now."""
    other = tmp_path / "other"
    other.mkdir()
    Market([("Y", 1, 2), ("X", 1, 2)], RingWriter(other / "market", 1024, 64, "market"), other / "books")
    page = BooksReader(other / "books")
    bench.gate.books(page, page.symbols())
    tick(bench.gate, 999, 1000)
    assert bench.gate.quote("X", NOW) is None
    assert bench.ask(buy()) is Refusal.BOOK_UNTRUSTED


def test_accepted_orders_count_until_the_truth_holds_them(bench: Bench) -> None:
    """Two orders of 10 fill the position's cap; the third waits for news that one is gone."""
    assert [bench.ask(buy("10")) for _ in range(3)] == [0, 0, Refusal.POSITION_NOTIONAL]
    bench.hold(ZERO, Exposure(buy=N("10"), count=1))
    bench.gate.seen(1)
    assert bench.ask(buy("0.1")) is Refusal.POSITION_NOTIONAL
    bench.gate.seen(99)
    assert (bench.ask(buy("10")), bench.gate.accepted) == (Refusal.ACCEPTED, 3)
    assert bench.ask(buy("0.1")) is Refusal.POSITION_NOTIONAL


def test_refused_orders_count_nothing(bench: Bench) -> None:
    """A refusal leaves no trace."""
    for _ in range(200):
        assert bench.ask(buy("10.01")) is Refusal.ORDER_NOTIONAL
    assert (bench.gate.accepted, bench.ask(buy("10"))) == (0, Refusal.ACCEPTED)


def test_unseen_orders_are_bounded(tmp_path: Path) -> None:
    """When more orders wait to be seen than can be kept apart, no further one passes: none is forgotten."""
    wide = msgspec.structs.replace(
        RISK, position_notional_max="1" + "0" * 9, total_notional_max="1" + "0" * 9, orders_per_s=1024,
        open_orders_max=5000,
    )  # fmt: skip
    bench = Bench(tmp_path, wide)
    bench.account(reconciled_until_ns=2**62)
    assert {bench.gate.check(buy("0.05"), NOW) for _ in range(1024)} == {Refusal.ACCEPTED}
    assert bench.gate.check(buy("0.05"), NOW) is Refusal.ORDER_RATE
    assert bench.gate.check(buy("0.05"), NOW + 1_000_000_000) is Refusal.OPEN_ORDERS
    bench.gate.seen(1)
    assert bench.gate.check(buy("0.05"), NOW + 1_000_000_000) is Refusal.ACCEPTED


def test_dust_is_rounded_against_us(bench: Bench) -> None:
    """A position between two lots is the larger one for the cap and the smaller one for an exit."""
    bench.hold(N("10.001"))
    assert bench.ask(buy("10")) is Refusal.POSITION_NOTIONAL
    assert bench.ask(buy("9.99")) is Refusal.ACCEPTED
    leave = Place(symbol="X", side=Side.SELL, qty=N("10.01"), type=OrderType.MARKET, reduce_only=True)
    assert bench.ask(leave) is Refusal.REDUCE_ONLY
    assert bench.ask(msgspec.structs.replace(leave, qty=N("10"))) is Refusal.ACCEPTED


def test_a_sum_with_more_digits_than_it_keeps_is_rounded_up(tmp_path: Path) -> None:
    """10 less 0.00000001 beside 0.00000001000000000001 held elsewhere is over 10, in the twentieth place."""
    fine = msgspec.structs.replace(RULES, tick=N("0.00000001"), min_notional=ZERO, lot=N("1"), px_exp=8, qty_exp=0,
                                   qty_min=N("1"), market_lot=N("1"), market_qty_min=N("1"))  # fmt: skip
    dust = msgspec.structs.replace(
        RULES, symbol="D", tick=N("0.000000000001"), lot=N("0.00000001"), px_exp=12, qty_exp=8, qty_min=ZERO,
        market_qty_min=ZERO, market_lot=N("0.00000001"),
    )  # fmt: skip
    market = Market([("X", 8, 0)], RingWriter(tmp_path / "market", 1024, 64, "market"), tmp_path / "books")
    assert market is not None
    for held, said in (("0", Refusal.ACCEPTED), ("0.00000001", Refusal.TOTAL_NOTIONAL)):
        gate = Gate(msgspec.structs.replace(RISK, total_notional_max="10"), [fine, dust])
        page = BooksReader(tmp_path / "books")
        gate.books(page, page.symbols())
        entry = np.frombuffer(page._file.map, abi.BOOK_ENTRY, 1, abi.BOOKS_HEADER.itemsize)
        entry["trusted"], entry["recv_ns"] = 1, NOW
        gate.account(open_orders=0, pnl=ZERO, reconciled_until_ns=2**62)
        gate.exposure("D", N(held), Exposure(), price=N("1.000000000001"))
        tick(gate, 999999998, 999999999, 8)
        assert gate.check(Place(symbol="X", side=Side.BUY, qty=N("1"), price=N("9.99999999")), NOW) is said


@pytest.mark.parametrize(("bid", "ask", "px_exp", "quote"), [
    (99, 100, 0, ("99.0", "100.0")), (9999, 10001, 2, ("99.9", "100.1")), (99999, 100000, 3, ("99.9", "100.0")),
    (0, 1000, 1, None), (999, 0, 1, None), (999, 1000, 200, None), (2**62, 2**62, 0, None),
])  # fmt: skip
def test_quotes_of_other_exponents(bench: Bench, bid: int, ask: int, px_exp: int, quote: Any) -> None:
    """Exact where that can be, else away from trading; nonsense is no quote."""
    tick(bench.gate, bid, ask, px_exp)
    assert bench.gate.quote("X", NOW) == (tuple(N(q) for q in quote) if quote else None)


def test_what_cannot_be_said_exactly_has_no_slot() -> None:
    """A minimum with digits of its own: the symbol is left out by name, its orders refused."""
    odd = msgspec.structs.replace(RULES, market_qty_min=N("0.015"))
    gate = Gate(RISK, [odd])
    assert (list(gate.left_out), gate.check(buy(), NOW)) == (["X"], Refusal.UNKNOWN_SYMBOL)


def test_an_intent_is_never_rounded(bench: Bench) -> None:
    """More digits than the symbol has, or too many for a word, are a refusal."""
    assert bench.ask(buy("0.101")) is Refusal.BAD_LOT
    assert bench.ask(Place(symbol="X", side=Side.BUY, qty=N("1"), price=N("100.05"))) is Refusal.BAD_TICK
    assert bench.ask(Place(symbol="X", side=Side.BUY, qty=N("1"), price=ZERO)) is Refusal.BAD_TICK
    assert bench.ask(buy(str(2**63))) is Refusal.BAD_INTENT
    assert bench.ask(buy(type=OrderType.LIQUIDATION)) is Refusal.BAD_INTENT


def test_an_exit_beside_other_orders(bench: Bench) -> None:
    """Long 10 with sells of 20 beside it: leaving could end 20 short, which is the cap; one lot more is not."""
    leave = Place(symbol="X", side=Side.SELL, qty=N("10"), type=OrderType.MARKET, reduce_only=True)
    bench.hold(N("10"), Exposure(sell=N("20.01"), count=1))
    assert bench.ask(leave) is Refusal.POSITION_NOTIONAL
    bench.hold(N("10"), Exposure(sell=N("20"), count=1))
    assert bench.ask(leave) is Refusal.ACCEPTED


def test_a_limit_that_rounds_to_nothing_is_refused() -> None:
    """No gate without limits."""
    with pytest.raises(ConfigError):
        Gate(msgspec.structs.replace(RISK, loss_limit="0.000000001"), [RULES])


def test_the_caps_are_the_settings() -> None:
    """Rounded down where they have more digits."""
    gate = Gate(msgspec.structs.replace(RISK, order_notional_max="1.234567899"), [RULES])
    assert str(gate.caps()["order_notional"]) == "1.23456789"
    assert gate.caps()["orders_per_s"] == Num(100)


PROBE = """
import ctypes, os, sys
from aegis.config import Risk
from aegis.native.gate import Gate
from aegis.native._aegis import ffi, lib
gate = Gate(Risk(), [], forever=True)
caps = ffi.cast("ae_caps_t *", lib.ae_gate_caps(gate.c))
act = sys.argv[1]
if act == "undo":
    c = ctypes.CDLL(None, use_errno=True)
    address = int(ffi.cast("uintptr_t", gate.c))
    done = c.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(4096), 3)
    print("kernel" if gate.sealed_by_kernel else "own", done, flush=True)
    os._exit(0)
if act == "init":
    lib.ae_gate_init(gate.c, caps)
elif act == "write":
    caps.order_notional = 2**62
elif act == "slot":
    lib.ae_gate_slot(gate.c, ffi.new("ae_gate_rules_t *"))
print("written", flush=True)
"""


@pytest.mark.parametrize("act", ["write", "init", "slot"])
def test_sealed_caps_cannot_be_written(act: str) -> None:
    """A write from Python, or through the gate's own functions, ends the process; nothing is raised."""
    done = subprocess.run([sys.executable, "-c", PROBE, act], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGSEGV, ""), done.stderr


def test_the_seal_cannot_be_undone() -> None:
    """Where the kernel keeps seals, making the pages writable again is refused."""
    done = subprocess.run([sys.executable, "-c", PROBE, "undo"], capture_output=True, text=True, timeout=60, check=True)
    who, result = done.stdout.split()
    if who != "kernel":
        pytest.skip("this kernel has no mseal: the pages are read-only, but not for ever")
    assert result == "-1"
