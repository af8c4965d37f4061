"""The state machine of the gate: prices, fills, cancels, halts and late news in any order, and orders near every cap.

Each accepted order is judged twice (gate_rig): by the Python twin and by the caps themselves. AEGIS_SEQUENCES says how
many sequences are played.
"""

from __future__ import annotations

import atexit
import functools
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import gate_rig as rig
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from aegis.config import Risk
from aegis.messages import OrderType, Place, Refusal, Side
from aegis.native import gate as native_gate
from aegis.native.ring import RingWriter
from aegis.units import ZERO, Num

SEQUENCES = int(os.environ.get("AEGIS_SEQUENCES", "1500"))
STEPS = 20
RISK = Risk(order_notional_max="1000.5", position_notional_max="1990.5", total_notional_max="3000.25", collar_bps=100,
            orders_per_s=4, open_orders_max=5, loss_limit="100")  # fmt: skip
LISTED = [
    rig.rules("A", "0.5", "0.01", qty_max=rig.N("9")),
    rig.rules("B", "1", "1", min_notional=ZERO, market_lot=ZERO),
    rig.rules("C", "0.0001", "0.1", market_lot=rig.N("0.5"), market_qty_min=rig.N("0.5"), multiplier_up=rig.N("1.01")),
]
MIDDLE = {"A": 200, "B": 1, "C": 2500}  # in ticks
SYMBOLS = st.sampled_from("ABC")
SIDES = st.sampled_from([Side.BUY, Side.SELL])


@functools.cache
def orders_ring() -> RingWriter:
    """One ring in a file that goes with the process."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    return RingWriter(Path(folder.name) / "orders", 64, 256, "orders")


def beside(symbol: str, at: int) -> int:
    """`at` 1/400 of the middle in ticks, toward the middle."""
    ticks = abs(at) * MIDDLE[symbol] // 400
    return ticks if at > 0 else -ticks


class GateMachine(RuleBasedStateMachine):
    """One account from its start on."""

    native: ClassVar[Any] = native_gate
    twins: ClassVar[bool] = True
    desks: ClassVar[bool] = True
    met: ClassVar[Counter[str]] = Counter()

    @initialize(held=st.integers(-2, 2), opened=st.booleans(), armed=st.booleans())
    def begin(self, held: int, opened: bool, armed: bool) -> None:
        """Prices everywhere, a position at most; armed: every second intent comes from a trigger."""
        ring = orders_ring() if armed and self.desks else None
        self.world = rig.World(self.native, RISK, LISTED, twins=self.twins, ring=ring)
        self.asked = 0
        for symbol in "ABC":
            if opened or symbol != "C":
                self.tick(symbol, 0, 1)
            self.world.top(symbol, None)
        self.world.position["A"] = Num(held * 5)
        self.world.tell_account()

    def teardown(self) -> None:
        """The desk's key goes."""
        if hasattr(self, "world") and self.world.desk is not None:
            self.world.desk.close()

    def price(self, symbol: str, ticks: int) -> Num:
        """A price near the middle, on the grid."""
        r = self.world.rules[symbol]
        return Num(r.tick.at(r.px_exp) * max(1, MIDDLE[symbol] + ticks), r.px_exp)

    @rule(symbol=SYMBOLS, at=st.integers(-40, 40), width=st.integers(0, 3))
    def tick(self, symbol: str, at: int, width: int) -> None:
        """The ticker moves."""
        at = beside(symbol, at)
        self.world.tick(symbol, self.price(symbol, at - width), self.price(symbol, at))

    @rule(symbol=SYMBOLS, at=st.integers(-40, 40), kind=st.integers(0, 5))
    def book(self, symbol: str, at: int, kind: int) -> None:
        """The books page moves, loses trust, or shows nothing; the mark moves; the feed is a new one."""
        at = beside(symbol, at)
        if kind == 5:
            self.world.mark(symbol, self.price(symbol, at))
        else:
            best = (self.price(symbol, at - 1), self.price(symbol, at)) if kind < 3 else None
            self.world.top(symbol, best, trusted=kind != 3)

    @rule(symbol=SYMBOLS, side=SIDES, aim=st.integers(0, 2), lots=st.integers(-1, 1), at=st.integers(-5, 5),
          market=st.booleans())  # fmt: skip
    def near(self, symbol: str, side: Side, aim: int, lots: int, at: int, market: bool) -> None:
        """One order that ends at the order's (0), the position's (1) or the total's cap, or a lot beside it."""
        r, limits, view = self.world.rules[symbol], self.world.limits, self.world.view(symbol)
        step = r.market_lot if market and r.market_lot else r.lot
        price = max(self.ask(symbol), ZERO if market else self.limit_price(symbol, at))
        most = limits.order_notional_max.div_floor(price, 8).floor_to(step)
        if aim:
            mine = view.position + view.open_buy if side is Side.BUY else view.open_sell - view.position
            cap = limits.position_notional_max if aim == 1 else limits.total_notional_max - (view.others or ZERO)
            most = min(most, (cap.div_floor(price, 8) - mine).floor_to(step))
        self.send(symbol, side, most + step * Num(lots), None if market else at)

    @rule(symbol=SYMBOLS, side=SIDES, aim=st.integers(1, 2), times=st.integers(2, 3))
    def load(self, symbol: str, side: Side, aim: int, times: int) -> None:
        """Orders up to a cap that one order alone does not reach."""
        for _ in range(times):
            self.near(symbol, side, aim, 0, 0, False)

    @rule(symbol=SYMBOLS, side=SIDES, what=st.integers(0, 3), by=st.integers(-1, 1))
    def odd(self, symbol: str, side: Side, what: int, by: int) -> None:
        """Orders beside a filter: the minimum notional, the market lot, the tick, the largest quantity."""
        r, ask = self.world.rules[symbol], self.ask(symbol)
        if what == 0:
            self.send(symbol, side, Num(5).div_floor(ask, 8).floor_to(r.lot) + r.lot * Num(by), 0)
        elif what == 1:
            self.send(symbol, side, Num(100).div_floor(ask, 8).floor_to(r.lot) + r.lot * Num(by), None)
        elif what == 2:
            self.send(symbol, side, Num(100).div_floor(ask, 8).floor_to(r.lot), 0, off=Num(by, r.px_exp))
        else:
            self.send(symbol, side, r.qty_max + r.lot * Num(by), 0)

    @rule(symbol=SYMBOLS, side=SIDES, parts=st.integers(1, 12), at=st.integers(-5, 5), times=st.integers(1, 6))
    def small(self, symbol: str, side: Side, parts: int, at: int, times: int) -> None:
        """Orders of a part of the order cap, until one is refused."""
        for _ in range(times):
            qty = Num(60 * parts).div_floor(self.ask(symbol), 8).floor_to(self.world.rules[symbol].lot)
            if self.send(symbol, side, qty, at) is not Refusal.ACCEPTED:
                break

    @rule(symbol=SYMBOLS, parts=st.integers(0, 4), at=st.integers(-5, 5), limit=st.booleans(), laden=st.booleans())
    def leave(self, symbol: str, parts: int, at: int, limit: bool, laden: bool) -> None:
        """An exit: of all that is held (0), a lot more (1), or of any size; laden: with orders beside it."""
        w, r = self.world, self.world.rules[symbol]
        held = w.position[symbol]
        side = Side.SELL if held.sign() > 0 else Side.BUY
        if laden:
            self.load(symbol, side, 1, 3)
        qty = abs(held) + (r.lot if parts == 1 else ZERO) if parts < 2 else Num(parts) * r.lot * Num(10)
        self.send(symbol, side, qty, at if limit else None, reduce=True)

    def ask(self, symbol: str) -> Num:
        """The newest ask, or the middle."""
        newest = self.world.seen[symbol].newest()
        return newest[1] if newest and newest[1] else self.price(symbol, 0)

    def limit_price(self, symbol: str, at: int) -> Num:
        """`at` 1/400 of the middle beside the ask."""
        return self.ask(symbol) + self.world.rules[symbol].tick * Num(beside(symbol, at))

    def send(
        self, symbol: str, side: Side, qty: Num, at: int | None, *, reduce: bool = False, off: Num = ZERO
    ) -> Refusal:
        """Ask for an order: LIMIT `at` 1/400 of the middle beside the ask and `off` the grid, or MARKET (None)."""
        r = self.world.rules[symbol]
        price = None if at is None else max(self.limit_price(symbol, at) + off, Num(1, r.px_exp))
        place = Place(
            symbol=symbol, side=side, qty=Num(qty.at(r.qty_exp), r.qty_exp), price=price, reduce_only=reduce,
            type=OrderType.MARKET if price is None else OrderType.LIMIT,
        )  # fmt: skip
        self.asked += 1
        armed = self.world.desk is not None and self.asked % 2 == 0
        said = self.world.ask_armed(place) if armed else self.world.ask(place)
        self.met[f"{said.name}, armed" if armed else said.name] += 1
        return said

    @rule(which=st.integers(0, 20), part=st.integers(0, 3), told=st.booleans())
    def happen(self, which: int, part: int, told: bool) -> None:
        """An order fills in full (0), in part, or is cancelled (3); the gate may learn of it later."""
        w = self.world
        if not w.orders:
            return
        order = w.orders[which % len(w.orders)]
        if part == 3:
            w.orders.remove(order)
        else:
            lot = w.rules[order.symbol].lot
            w.fill(order, order.rest if part == 0 else max((order.rest * Num(5, 1)).floor_to(lot), lot))
        if told:
            w.tell_account()

    @rule(symbol=SYMBOLS, parts=st.integers(-9, 9))
    def move(self, symbol: str, parts: int) -> None:
        """Another hand moves the position and what is held elsewhere, and the gate is told."""
        w, r = self.world, self.world.rules[symbol]
        qty = (rig.N("250") * Num(parts)).div_floor(self.price(symbol, 0), 8).floor_to(r.lot)
        w.position[symbol] = Num(qty.at(r.qty_exp), r.qty_exp)
        w.tell_account(foreign=Num(max(parts, 0) * 1505, 1))

    @rule(ms=st.sampled_from([1, 200, 400, 999, 1000, 4000]), told=st.booleans())
    def wait(self, ms: int, told: bool) -> None:
        """Time passes."""
        self.world.now += ms * 1_000_000
        if told:
            self.world.tell_account()

    @rule(what=st.integers(0, 9), on=st.integers(0, 2))
    def brake(self, what: int, on: int) -> None:
        """A latch, a bar, a loss, a pause; two thirds of the time it goes again."""
        w, bad = self.world, on == 0
        if what < 2:
            w.halt(what * 3, int(bad))
        elif what == 2:
            w.tell_account(halted=bad)
        elif what == 3:
            w.tell_account(pnl=Num(-100 if bad else -99))
        elif what == 4:
            w.tell_account(paused_until_ns=w.now + (1 if bad else 0))
        elif what == 5:
            w.tell_account(reconciled_until_ns=w.now if bad else 2**62)
        elif what == 6:
            w.gate.look()
            for seen in w.seen.values():
                newest = seen.newest()
                seen.last = newest[1] if newest and newest[1] else seen.last
        elif what == 7:
            w.tell("A", halted=bad)
        elif what == 8:
            w.tell("B", settled=not bad)
        else:
            w.gate.forget()
            for seen in w.seen.values():
                seen.ticker = seen.mark = None


def play(machine: type[GateMachine] = GateMachine, sequences: int = SEQUENCES, *, shrink: bool = True) -> None:
    """Play sequences; the first that breaks a law is raised."""
    from hypothesis import Phase

    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    run_state_machine_as_test(  # type: ignore[no-untyped-call]  # hypothesis has no types here
        machine,
        settings=settings(
            max_examples=sequences, stateful_step_count=STEPS, deadline=None, database=None, phases=phases,
            suppress_health_check=list(HealthCheck), print_blob=False, report_multiple_bugs=False,
        ),
    )  # fmt: skip
