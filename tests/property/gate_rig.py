"""A small market and account for the gate: what it is told, what is true, and what it must never let through.

Two judges: the Python twin (`aegis.risk.gate`, same verdict on the same view), and the caps themselves, recomputed from
the list of orders by filling them one by one. `doctored` builds csrc/gate.c with a planted fault for the same judges.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
from cffi import FFI

from aegis.config import Risk
from aegis.messages import OrderType, Place, Refusal, Rules, Side
from aegis.native import abi
from aegis.native import gate as native_gate
from aegis.native.desk import Desk
from aegis.native.encoder import Encoder
from aegis.native.ring import RingWriter
from aegis.orders.book import Exposure
from aegis.risk.gate import Gate as Twin
from aegis.risk.gate import View, limits_of
from aegis.units import ZERO, Num
from aegis.venue.rules import check_order

N = Num.parse
CSRC = Path(__file__).resolve().parents[2] / "csrc"
SECOND, FRESH = 1_000_000_000, 5_000_000_000
BLOCKS = 8


def rules(name: str, tick: str, lot: str, **more: Any) -> Rules:
    """Filters with the usual shape."""
    t, q = N(tick), N(lot)
    usual = Rules(
        symbol=name, base_asset=name, quote_asset="USDT", margin_asset="USDT", status="TRADING",
        contract_type="PERPETUAL", tick=t, price_min=t, price_max=ZERO, lot=q, qty_min=q, qty_max=ZERO, market_lot=q,
        market_qty_min=q, market_qty_max=ZERO, min_notional=N("5"), multiplier_up=N("1.05"),
        multiplier_down=N("0.95"), orders_max=200, px_exp=t.trim().e, qty_exp=q.trim().e,
    )  # fmt: skip
    return msgspec.structs.replace(usual, **more)


def value(n: Num) -> Fraction:
    """A Num as a Fraction: the caps are judged by other arithmetic than ours."""
    return Fraction(n.m, 10**n.e)


@dataclass
class Sent:
    """An accepted order; rest: unfilled."""

    symbol: str
    side: int
    rest: Num
    reduce: bool


@dataclass
class Told:
    """What the gate was last told of a symbol."""

    position: Num = ZERO
    open: Exposure = field(default_factory=Exposure)
    price: Num = ZERO
    halted: bool = False
    settled: bool = True


@dataclass
class Seen:
    """Prices of a symbol: (bid, ask, recv_ns); top also trusted; mark (price, recv_ns); last: newest ask known."""

    ticker: tuple[Num, Num, int] | None = None
    top: tuple[Num, Num, int] | None = None
    trusted: bool = False
    mark: tuple[Num, int] | None = None
    last: Num = ZERO

    def newest(self) -> tuple[Num, Num, int] | None:
        """The rule of MarketView.last."""
        if self.top and (self.ticker is None or self.ticker[2] < self.top[2]):
            return self.top
        return self.ticker


class Page:
    """Memory where C expects a page."""

    def __init__(self, ffi: Any, bytes_: int) -> None:
        self.memory = np.zeros(bytes_, np.uint8)
        self.base = ffi.from_buffer(self.memory)


class World:
    """
    A gate, its twin, and the truth both are told of.

    Args:
        native: module with Gate, ffi and lib. risk: limits. listed: filters. twins: compare with the twin.
        ring: writer of an orders ring; with it intents may also be armed at a desk.
    """

    def __init__(
        self, native: Any, risk: Risk, listed: list[Rules], *, twins: bool = True, ring: RingWriter | None = None
    ) -> None:
        self.risk, self.limits, self.twins = risk, limits_of(risk), twins
        self.gate = native.Gate(risk, listed)
        self.twin = Twin(self.limits, lambda p, r, reference: check_order(r, p, reference))
        self.rules = {r.symbol: r for r in listed}
        self.names = list(self.rules)
        books = Page(native.ffi, abi.BOOKS_HEADER.itemsize + len(listed) * abi.BOOK_ENTRY.itemsize)
        control = Page(native.ffi, abi.CONTROL_HEADER.itemsize + BLOCKS * abi.CONTROL_BLOCK.itemsize)
        self.entries = books.memory[abi.BOOKS_HEADER.itemsize :].view(abi.BOOK_ENTRY)
        self.blocks = control.memory[abi.CONTROL_HEADER.itemsize :].view(abi.CONTROL_BLOCK)
        self.gate.books(books, self.names)
        self.gate.control(control)
        self.told = {s: Told() for s in self.names}
        self.seen = {s: Seen() for s in self.names}
        self.position = dict.fromkeys(self.names, ZERO)
        self.orders: list[Sent] = []
        self.unseen: list[Place] = []  # accepted, and not yet in what the gate was told
        self.stamps: list[int] = []
        self.now = 1_000_000 * SECOND
        self.account: dict[str, Any] = {}
        self.desk = None
        if ring is not None:
            self.desk = Desk(self.gate, Encoder("key", b"s" * 32, 5000, 1), ring, lambda _limit: None)
        self.accepted = 0
        self.tell_account()

    # -- what happens

    def tick(self, symbol: str, bid: Num, ask: Num, recv: int | None = None) -> None:
        """A bookTicker record."""
        recv = self.now if recv is None else recv
        px = self.rules[symbol].px_exp
        self._record(symbol, abi.KIND_BOOK_TICKER, px, recv, a=bid.at(px), b=1, c=ask.at(px), d=1)
        seen = self.seen[symbol]
        seen.ticker = (bid, ask, recv)
        if ask.sign() > 0:
            seen.last = ask

    def mark(self, symbol: str, price: Num) -> None:
        """A markPrice record."""
        self._record(symbol, abi.KIND_MARK, price.e, self.now, a=price.m)
        self.seen[symbol].mark = (price, self.now)

    def _record(self, symbol: str, kind: int, px_exp: int, recv: int, **words: int) -> None:
        batch = self._batch(symbol, kind, px_exp, recv, **words)
        if self.desk is not None:
            assert not self.desk.look(batch, self.now)  # nothing is armed but within ask_armed
        else:
            self.gate.ticks(batch)

    def _batch(self, symbol: str, kind: int, px_exp: int, recv: int, **words: int) -> Any:
        batch = np.zeros(1, abi.TICK)
        facts = {"symbol": self.names.index(symbol), "kind": kind, "px_exp": px_exp, "recv_ns": recv, **words}
        for name, word in facts.items():
            batch[name] = word
        return batch

    def top(self, symbol: str, best: tuple[Num, Num] | None, *, trusted: bool = True, recv: int | None = None) -> None:
        """The books page shows this top (None: no levels)."""
        recv, r, entry = self.now if recv is None else recv, self.rules[symbol], self.entries[self.names.index(symbol)]
        entry["lock"] += np.uint64(2)
        entry["px_exp"], entry["trusted"], entry["recv_ns"] = r.px_exp, trusted, recv
        entry["bids"] = entry["asks"] = 1 if best else 0
        if best:
            entry["bid"][0]["px"], entry["ask"][0]["px"] = best[0].at(r.px_exp), best[1].at(r.px_exp)
        self.seen[symbol].top, self.seen[symbol].trusted = ((*best, recv) if best else None), trusted

    def halt(self, block: int, reason: int) -> None:
        """A process latches, or clears."""
        self.blocks[block]["halt"] = reason

    def fill(self, order: Sent, qty: Num) -> None:
        """Part of an order fills; a reduce-only one no further than to flat."""
        held = self.position[order.symbol]
        if order.reduce:
            qty = min(qty, max(Num(-order.side) * held, ZERO))
        order.rest = order.rest - qty
        self.position[order.symbol] = held + Num(order.side) * qty
        if not order.rest:
            self.orders.remove(order)

    # -- what the gate is told

    def tell(self, symbol: str, **facts: Any) -> None:
        """The truth of a symbol; numbers of orders are told by tell_account."""
        out = Exposure()
        for o in self.orders:
            if o.symbol == symbol:
                side = "buy" if o.side > 0 else "sell"
                setattr(out, side, getattr(out, side) + o.rest)
                if o.reduce:
                    setattr(out, f"{side}_reduce", getattr(out, f"{side}_reduce") + o.rest)
        told = self.told[symbol]
        told.position, told.open = self.position[symbol], out
        for name, fact in facts.items():
            setattr(told, name, fact)
        if not self.seen[symbol].last:
            self.seen[symbol].last = told.price
        self.gate.exposure(symbol, told.position, out, price=told.price, halted=told.halted, settled=told.settled)

    def tell_account(self, **facts: Any) -> None:
        """The account's truth, as of all orders so far."""
        base = {"pnl": ZERO, "reconciled_until_ns": 2**62, "paused_until_ns": 0, "halted": False, "foreign": ZERO}
        self.account = base | self.account | facts | {"open_orders": len(self.orders)}
        self.gate.account(**self.account)
        for symbol in self.names:
            self.tell(symbol)
        self.unseen.clear()
        self.gate.seen(self.accepted)

    # -- the question

    def ask(self, place: Place) -> Refusal:
        """Ask gate and judges; an accepted order is true from now on."""
        view = self.view(place.symbol)
        return self._said(place, view, self.gate.check(place, self.now))

    def ask_armed(self, place: Place) -> Refusal:
        """The same from an armed trigger: the ticker says once more what it said, and it fires."""
        seen, px, symbol = self.seen[place.symbol], self.rules[place.symbol].px_exp, place.symbol
        if self.desk is None or seen.ticker is None or seen.ticker[1].sign() <= 0:
            return self.ask(place)
        bid, ask, _ = seen.ticker
        handle, why = self.desk.arm(
            place, self.names.index(symbol), Side.SELL, ask, above=False, until_ns=self.now + SECOND, now_ns=self.now
        )
        view = self.view(symbol)
        if handle < 0:
            assert why is not Refusal.HALTED or view.halted
            assert why is not Refusal.BOOK_UNTRUSTED or not view.trusted
            return why
        assert view.trusted and not view.halted, "armed on a halt or an untrusted book"
        batch = self._batch(symbol, abi.KIND_BOOK_TICKER, px, self.now, a=bid.at(px), b=1, c=ask.at(px), d=1)
        seen.ticker, seen.last = (bid, ask, self.now), ask
        view = self.view(symbol)
        assert self.desk.look(batch, self.now)
        (ended,) = self.desk.ended()
        assert ended.placed is not None, ended
        return self._said(place, view, ended.placed.refusal)

    def _said(self, place: Place, view: View, said: Refusal) -> Refusal:
        if self.twins:
            expected = self.twin.check(place, view, self.now)
            assert expected == said, (expected.name, said.name, place, view)
        if said is Refusal.ACCEPTED:
            self.accepted += 1
            assert self.gate.accepted == self.accepted
            self.orders.append(Sent(place.symbol, int(place.side), place.qty, place.reduce_only))
            self.unseen.append(place)
            self.stamps.append(self.now)
            self.judge(place)
        return said

    def view(self, symbol: str) -> View:
        """What the twin has to be asked with: everything the gate was told and has counted since."""
        if symbol not in self.rules:
            return View(rules=None)
        seen, told, a = self.seen[symbol], self.told[symbol], self.account
        newest = seen.newest()
        if newest and newest[1].sign() > 0:
            seen.last = newest[1]
        good = newest is not None and seen.trusted and self.now - newest[2] <= FRESH
        good = good and newest[0].sign() > 0 and newest[1].sign() > 0
        marked = seen.mark is not None and self.now - seen.mark[1] <= FRESH
        open_ = self._open(symbol)
        return View(
            rules=self.rules[symbol], bid=newest[0] if good else None, ask=newest[1] if good else None,
            last=seen.last, mark=seen.mark[0] if marked else None, trusted=good,
            reconciled=told.settled and self.now < a["reconciled_until_ns"],
            halted=a["halted"] or bool(self.blocks["halt"].any()), symbol_halted=told.halted,
            connected=self.now >= a["paused_until_ns"], position=told.position, open_buy=open_.buy,
            open_sell=open_.sell, reduce_buy=open_.buy_reduce, reduce_sell=open_.sell_reduce,
            others=self._others(symbol), open_orders=a["open_orders"] + len(self.unseen), pnl=a["pnl"],
        )  # fmt: skip

    def _open(self, symbol: str) -> Exposure:
        told = self.told[symbol].open
        out = Exposure(told.buy, told.sell, told.buy_reduce, told.sell_reduce)
        for place in self.unseen:  # in full, whatever became of them since
            if place.symbol == symbol:
                side = "buy" if place.side is Side.BUY else "sell"
                setattr(out, side, getattr(out, side) + place.qty)
                if place.reduce_only:
                    setattr(out, f"{side}_reduce", getattr(out, f"{side}_reduce") + place.qty)
        return out

    def _others(self, symbol: str) -> Num | None:
        total = self.account["foreign"]
        for other in self.names:
            if other == symbol:
                continue
            open_, position, last = self._open(other), self.told[other].position, self.seen[other].last
            most = max(position + open_.buy, open_.sell - position)
            if most and not last:
                return None
            total = total + most * last
        return total  # type: ignore[no-any-return]  # a Num

    # -- the caps, by other arithmetic

    def worst(self, symbol: str, side: int) -> Fraction:
        """Largest signed position in a direction when every open order that way fills, in either order of kinds."""
        most = Fraction(side) * value(self.position[symbol])
        for reduce_first in (True, False):
            held = Fraction(side) * value(self.position[symbol])
            mine = [o for o in self.orders if o.symbol == symbol and o.side == side]
            for o in sorted(mine, key=lambda o: o.reduce, reverse=reduce_first):
                held += min(value(o.rest), max(-held, Fraction(0))) if o.reduce else value(o.rest)
            most = max(most, held)
        return most

    def judge(self, place: Place) -> None:
        """The order just accepted, and all that is open: within every cap, whatever fills."""
        limits, seen, side = self.limits, self.seen[place.symbol], int(place.side)
        price = max(value(place.price or ZERO), value(seen.last))
        worst = self.worst(place.symbol, side)
        assert worst <= 0 or worst * price <= value(limits.position_notional_max), "position cap"
        if place.reduce_only:
            assert value(place.qty) <= -side * value(self.told[place.symbol].position), "an exit beyond the position"
            return
        assert value(place.qty) * price <= value(limits.order_notional_max), "order cap"
        total = value(self.account["foreign"])
        for other in self.names:
            most = max(self.worst(other, 1), self.worst(other, -1))
            at = price if other == place.symbol else value(self.seen[other].last)
            assert not most or at, "an exposure without a price"
            total += most * at
        assert total <= value(limits.total_notional_max), "total cap"
        assert len(self.orders) <= limits.open_orders_max, "open orders"
        recent = [t for t in self.stamps if self.now - t < SECOND]
        assert len(recent) <= limits.orders_per_s, "orders a second"
        assert not self.blocks["halt"].any(), "halted"
        assert not self.account["halted"], "halted"
        assert -value(self.account["pnl"]) < value(limits.loss_limit), "loss"
        newest = seen.newest()
        assert seen.trusted, "an entry on an untrusted book"
        assert newest is not None, "an entry without a quote"
        assert self.now - newest[2] <= FRESH, "an entry on an old quote"


def doctored(folder: Path, planted: tuple[str, str] | None) -> Any:
    """
    Build gate.c, with one text replaced, and return the native module bound to it.

    Args:
        planted: (text that stands exactly once in gate.c, its replacement); None builds it as it is.
    """
    text = (CSRC / "gate.c").read_text(encoding="utf-8")
    if planted is not None:
        assert text.count(planted[0]) == 1, f"{text.count(planted[0])} times in gate.c: {planted[0]}"
        text = text.replace(*planted)
    (folder / "gate.c").write_text(text, encoding="utf-8")
    built = folder / "gate.so"
    subprocess.run(
        ["cc", "-std=c11", "-O1", "-g", "-shared", "-fPIC", f"-I{CSRC}", str(folder / "gate.c"), "-o", str(built)],
        check=True,
    )
    ffi = FFI()
    ffi.cdef("".join((CSRC / name).read_text(encoding="utf-8") for name in ("aegis_abi.h", "aegis_api.h")))
    module = ModuleType("doctored_gate")
    source = Path(str(native_gate.__file__)).read_text(encoding="utf-8")
    exec(compile(re.sub(r"^from __future__.*$", "", source, flags=re.M), "doctored_gate", "exec"), module.__dict__)
    module.ffi, module.lib = ffi, ffi.dlopen(str(built))  # type: ignore[attr-defined]  # the names it was written with
    return module


def market(symbol: str, side: Side, qty: Num, *, reduce_only: bool = False) -> Place:
    """A MARKET order."""
    return Place(symbol=symbol, side=side, qty=qty, type=OrderType.MARKET, reduce_only=reduce_only)
