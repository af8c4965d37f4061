"""The gate of csrc/gate.c as the brain holds it: caps and filters from settings, truth pushed, intents checked.

Problem: the C gate knows mantissas at one exponent per slot. So rules, caps, positions and intents are turned into them
here, and what has more digits than they hold is rounded against us, or refused where rounding would change it.
What must stay true: a symbol whose filters cannot be said exactly gets no slot (its orders are refused as unknown); an
intent is never rounded; memory handed to C lives as long as the gate. One thread.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from aegis.config import Risk
from aegis.errors import ConfigError, Inexact, Ours
from aegis.limits import SYMBOLS_MAX
from aegis.messages import Place, Refusal, Rules
from aegis.native import abi
from aegis.native._aegis import ffi, lib
from aegis.units import ZERO, Num

MONEY = ("order_notional", "position_notional", "total_notional", "loss_limit")
_INT_MAX = 2**63 - 1
_TAG_BYTES = 15
_PACK_INTENT = abi.packer("ae_intent_t").pack_into


def floor_at(value: Num, e: int) -> int:
    """Mantissa at `e`, rounded down, held within 64 bits."""
    shift = e - value.e
    m = value.m * int(10**shift) if shift >= 0 else value.m // int(10**-shift)
    return max(-_INT_MAX, min(m, _INT_MAX))


def ceil_at(value: Num, e: int) -> int:
    """Mantissa at `e`, rounded up, held within 64 bits."""
    return -floor_at(-value, e)


def caps_of(risk: Risk) -> Any:
    """The settings as `ae_caps_t *`, money rounded down."""
    caps = ffi.new("ae_caps_t *")
    for name in MONEY:
        text = getattr(risk, name if name == "loss_limit" else f"{name}_max")
        setattr(caps, name, floor_at(Num.parse(text), lib.AE_MONEY_EXP))
    caps.orders_per_s = min(risk.orders_per_s, lib.AE_GATE_RATE_MAX)
    caps.open_orders, caps.collar_bps = min(risk.open_orders_max, 2**32 - 1), min(risk.collar_bps, 2**32 - 1)
    return caps


def _most(value: Num, e: int) -> int:
    """An upper bound at `e`, with the same values within it; 0, no bound, stays 0 and nothing else becomes it."""
    if value and not floor_at(value, e):
        raise Inexact(f"the bound {value} is nothing at {e} decimal places")
    return floor_at(value, e)


def rules_of(rules: Rules) -> Any:
    """
    Filters as `ae_gate_rules_t *`.

    Raises:
        Inexact: a step or a minimum has more digits than the symbol's exponents, or a maximum is nothing there.
    """
    px, qty = rules.px_exp, rules.qty_exp
    multiplier_e = max(rules.multiplier_up.trim().e, rules.multiplier_down.trim().e)
    return ffi.new(
        "ae_gate_rules_t *",
        {
            "tick": rules.tick.at(px), "px_min": rules.price_min.at(px), "px_max": _most(rules.price_max, px),
            "lot": rules.lot.at(qty), "qty_min": rules.qty_min.at(qty), "qty_max": _most(rules.qty_max, qty),
            "market_lot": rules.market_lot.at(qty), "market_qty_min": rules.market_qty_min.at(qty),
            "market_qty_max": _most(rules.market_qty_max, qty), "min_notional": rules.min_notional.trim().m,
            "min_notional_exp": rules.min_notional.trim().e, "multiplier_up": rules.multiplier_up.at(multiplier_e),
            "multiplier_down": rules.multiplier_down.at(multiplier_e), "multiplier_exp": multiplier_e,
            "px_exp": px, "qty_exp": qty, "trading": rules.status == "TRADING",
        },
    )  # fmt: skip


def tag_of(place: Place) -> str:
    """The strategy's word as records and C hold it: what is longer or no ASCII is cut, for no order hangs on it."""
    return place.tag.encode("ascii", "replace")[:_TAG_BYTES].decode("ascii")


class Gate:
    """
    Caps, filters and state of one brain.

    Args:
        risk: the limits; they become read-only here.
        rules: of every symbol that may be traded; its place in `slots` is the order of this list.
        forever: let the kernel keep caps and filters read-only until the process ends (nothing can unmap them then).

    Raises:
        ConfigError: a limit rounds to nothing. Ours: the memory cannot be sealed.
    """

    def __init__(self, risk: Risk, rules: Iterable[Rules], *, forever: bool = False) -> None:
        self._map = mmap.mmap(-1, lib.ae_gate_bytes(), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._memory = ffi.from_buffer(self._map)
        self.c = ffi.cast("ae_gate_t *", self._memory)
        if lib.ae_gate_init(self.c, caps_of(risk)):
            raise ConfigError("risk: a limit is nothing once rounded down to 8 decimal places")
        self.slots: dict[str, int] = {}
        self._known: dict[str, tuple[int, int, int]] = {}  # symbol -> slot and exponents
        self.rules: list[Rules] = []
        self.left_out: dict[str, str] = {}
        for one in rules:
            self._add(one)
        sealed = lib.ae_gate_seal(self.c, forever)
        if sealed < 0:
            raise Ours("the pages of the limits cannot be made read-only")
        self.sealed_by_kernel = bool(sealed)
        self._exposure, self._account = ffi.new("ae_gate_exposure_t *"), ffi.new("ae_gate_account_t *")
        self._intent, self._quote = ffi.new("ae_intent_t *"), ffi.new("ae_gate_quote_t *")
        self._intent_bytes = ffi.buffer(self._intent)
        self._pages: dict[str, Any] = {}
        self._names: list[str] = []

    def _add(self, rules: Rules) -> None:
        try:
            slot = lib.ae_gate_slot(self.c, rules_of(rules))
        except (Inexact, OverflowError) as e:
            self.left_out[rules.symbol] = str(e)
            return
        if slot < 0:
            self.left_out[rules.symbol] = f"filters out of range, or more than {SYMBOLS_MAX} symbols"
            return
        self.slots[rules.symbol] = slot
        self._known[rules.symbol] = (slot, rules.px_exp, rules.qty_exp)
        self.rules.append(rules)

    # -- what is bound

    def control(self, page: Any) -> None:
        """Look at the latch of this ControlPage in every check."""
        self._pages["control"] = page
        lib.ae_gate_control(self.c, page.base)

    def books(self, page: Any, names: Sequence[str]) -> None:
        """Trust and tops come from this BooksReader; call it again for a new page and for appended names."""
        if self._pages.get("books") is not page:
            lib.ae_gate_books(self.c, page.base)
            self._pages["books"], self._names = page, []
        for market in range(len(self._names), len(names)):
            slot = self.slots.get(names[market])
            if slot is not None:
                lib.ae_gate_map(self.c, market, slot)
            self._names.append(names[market])

    def forget(self) -> None:
        """The feed is a new one: quotes seen before do not count."""
        lib.ae_gate_forget(self.c)

    # -- what is pushed

    def ticks(self, batch: np.ndarray[Any, Any]) -> None:
        """Fold a batch of market records (contiguous)."""
        lib.ae_gate_ticks(self.c, ffi.cast("ae_tick_t *", ffi.from_buffer(batch)), len(batch))

    def exposure(
        self, symbol: str, position: Num, open_: Any, *, price: Num = ZERO, halted: bool = False, settled: bool = True
    ) -> None:
        """
        The truth of a symbol anew.

        Args:
            position: signed. open_: with buy, sell, buy_reduce, sell_reduce (orders.book.Exposure).
            price: to value it by while no quote was seen. halted, settled: see the gate's View.
        """
        slot = self.slots.get(symbol)
        if slot is None:
            return
        rules, x = self.rules[slot], self._exposure
        e = rules.qty_exp
        x.low, x.high = floor_at(position, e), ceil_at(position, e)
        x.buy, x.sell = ceil_at(open_.buy, e), ceil_at(open_.sell, e)
        x.buy_reduce, x.sell_reduce = ceil_at(open_.buy_reduce, e), ceil_at(open_.sell_reduce, e)
        x.px = ceil_at(price, rules.px_exp)
        x.blocked = (lib.AE_GATE_HALTED if halted else 0) | (0 if settled else lib.AE_GATE_UNRECONCILED)
        if lib.ae_gate_exposure(self.c, slot, x):
            raise Ours(f"{symbol}: the exposure {position}, {open_} makes no sense")

    def account(
        self,
        *,
        open_orders: int,
        pnl: Num,
        reconciled_until_ns: int,
        paused_until_ns: int = 0,
        halted: bool = False,
        foreign: Num = ZERO,
    ) -> None:
        """The account anew; foreign: worst-case notional of what has no slot here."""
        a = self._account
        a.pnl, a.foreign = floor_at(pnl, lib.AE_MONEY_EXP), ceil_at(foreign, lib.AE_MONEY_EXP)
        a.reconciled_until_ns, a.paused_until_ns = reconciled_until_ns, paused_until_ns
        a.open_orders, a.halted = open_orders, halted
        lib.ae_gate_account(self.c, a)

    @property
    def accepted(self) -> int:
        """Number of the newest accepted order."""
        return int(lib.ae_gate_accepted(self.c))

    def seen(self, accepted: int) -> None:
        """What was pushed holds every accepted order up to this number."""
        lib.ae_gate_seen(self.c, accepted)

    def look(self) -> None:
        """Value what is held by the books' newest tops; a hundred times a second is plenty."""
        lib.ae_gate_look(self.c)

    # -- what is asked

    def encode(self, place: Place, into: Any) -> Refusal:
        """Write a Place into the bytes of an `ae_intent_t`; ACCEPTED, or why it cannot be said (never rounded)."""
        known = self._known.get(place.symbol)
        if known is None:
            return Refusal.UNKNOWN_SYMBOL
        slot, px_exp, qty_exp = known
        price, px = place.price, 0
        if price is not None:
            try:
                px = price.m if price.e == px_exp else price.at(px_exp)
            except Inexact:
                return Refusal.BAD_TICK
            if not px:
                return Refusal.BAD_TICK
        try:
            qty = place.qty.m if place.qty.e == qty_exp else place.qty.at(qty_exp)
        except Inexact:
            return Refusal.BAD_LOT
        if not (-_INT_MAX <= px <= _INT_MAX and -_INT_MAX <= qty <= _INT_MAX):
            return Refusal.BAD_INTENT
        tag = tag_of(place).encode("ascii")
        bits = lib.AE_GATE_REDUCE_ONLY if place.reduce_only else 0
        _PACK_INTENT(into, 0, slot, place.side, place.type, place.tif, bits, 0, 0, px, qty, tag)
        return Refusal.ACCEPTED

    def check(self, place: Place, now_ns: int) -> Refusal:
        """May it leave now? ACCEPTED is counted."""
        reason = self.encode(place, self._intent_bytes)
        return reason or Refusal(lib.ae_gate_check(self.c, self._intent, now_ns))

    def quote(self, symbol: str, now_ns: int) -> tuple[Num, Num] | None:
        """(bid, ask) if they may be traded on."""
        slot = self.slots.get(symbol)
        if slot is None or lib.ae_gate_quote(self.c, slot, now_ns, self._quote):
            return None
        e = self.rules[slot].px_exp
        return Num(self._quote.bid, e), Num(self._quote.ask, e)

    @property
    def halted(self) -> bool:
        """A process or the account says halt."""
        return bool(lib.ae_gate_halted(self.c))

    def caps(self) -> dict[str, Num]:
        """The limits in force, by name."""
        caps = lib.ae_gate_caps(self.c)
        money = {name: Num(getattr(caps, name), lib.AE_MONEY_EXP).trim() for name in MONEY}
        return money | {name: Num(getattr(caps, name)) for name in ("orders_per_s", "open_orders", "collar_bps")}

