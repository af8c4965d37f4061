"""What happens to an account or a market out of the blue: each public function is one, and all of it is booked."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from aegis.exchange.account import BOTH, LONG, SHORT
from aegis.exchange.faults.injection import Injection
from aegis.exchange.symbols import E8
from aegis.units import Num


def funding_now(f: Injection, *, symbol: str = "", rate: str = "") -> None:
    """Funding is settled outside its hours, at `rate` or each symbol's own."""
    for m in [f.ex.market(symbol)] if symbol else list(f.ex.markets.values()):
        f.ex.clockwork.fund(m, Num.parse(rate).at(E8) if rate else m.rate_e8, m.mark())


def liquidation_now(f: Injection, *, symbol: str, side: str = BOTH, account: str = "") -> None:
    """A position is liquidated whatever its margin."""
    f.ex.liquidation.now(f.account(account), f.ex.market(symbol), side, False)


def adl_now(f: Injection, *, symbol: str, side: str = BOTH, account: str = "") -> None:
    """A position is closed by automatic deleveraging."""
    f.ex.liquidation.now(f.account(account), f.ex.market(symbol), side, True)


def position_elsewhere(
    f: Injection,
    *,
    symbol: str,
    qty: str,
    price: str = "",
    side: str = BOTH,
    silent: bool = False,
    account: str = "",
) -> None:
    """Somebody trades the account by hand: `qty` signed, at `price` or the middle; `silent` sends no event."""
    m = f.ex.market(symbol)
    delta = Num.parse(qty).at(m.spec.qty_exp)
    px = Num.parse(price).at(m.spec.px_exp) if price else m.mid()
    if not delta or px <= 0:
        raise ValueError("qty must not be zero, price must be positive")
    if side not in (BOTH, LONG, SHORT):
        raise ValueError(f"side is one of {BOTH}, {LONG}, {SHORT}")
    f.ex.clockwork.hand_trade(f.account(account), m, delta, px, silent, side=side)


def transfer_elsewhere(f: Injection, *, asset: str, amount: str, silent: bool = False, account: str = "") -> None:
    """Somebody moves money in (> 0) or out; `silent` sends no event."""
    f.ex.clockwork.transfer(f.account(account), asset, Num.parse(amount).at(E8), silent)


def cancel_elsewhere(f: Injection, *, symbol: str, account: str = "") -> None:
    """Somebody cancels every open order of a symbol by hand."""
    for o in list(f.account(account).open[f.ex.market(symbol).spec.name].values()):
        f.ex.finish(o, "CANCELED")


def key_revoked(f: Injection, *, key: str) -> None:
    """An API key is taken away: -2015 from now on, and logged-on connections are told."""
    if not f.api.revoke(key):
        raise ValueError(f"no key {key!r}")


def filter_change(
    f: Injection, *, symbol: str, tick: str = "", step: str = "", min_qty: str = "", min_notional: str = ""
) -> None:
    """A live symbol's filters change without notice; a new tick or step is a multiple of the old grid."""
    f.stand()
    f.hits += 1
    m = f.ex.market(symbol)
    before = m.spec
    places = {"tick": before.px_exp, "step": before.qty_exp, "min_qty": before.qty_exp, "min_notional_e8": E8}
    given = {"tick": tick, "step": step, "min_qty": min_qty, "min_notional_e8": min_notional}
    new: dict[str, Any] = {name: Num.parse(text).at(places[name]) for name, text in given.items() if text}
    if "step" in new and "min_qty" not in new:
        new["min_qty"] = new["step"]
    if "tick" in new:
        new["min_px"] = new["tick"]
    if not new or min(new.values()) <= 0:
        raise ValueError("give a tick, step, min_qty or min_notional above 0")
    m.spec = replace(before, **new)
    f.undo(lambda: setattr(m, "spec", before))


def symbol_halted(f: Injection, *, symbol: str, status: str = "SETTLING") -> None:
    """A symbol stops trading: exchangeInfo and !contractInfo say so, new orders are refused with -4140."""
    f.stand()
    f.hits += 1
    m = f.ex.market(symbol)
    before = m.spec.status

    def become(value: str) -> None:
        m.spec = replace(m.spec, status=value)
        f.ex.md.contract(m, f.ex.clock())

    become(status)
    f.undo(lambda: become(before))


def mark_pinned(f: Injection, *, symbol: str, mark: str = "", percent: str = "") -> None:
    """The mark price stands still, at `mark` or `percent` away from where it is; liquidations follow it."""
    f.stand()
    f.hits += 1
    m = f.ex.market(symbol)
    if bool(mark) == bool(percent):
        raise ValueError("give mark or percent")
    at = Num.parse(mark).at(E8) if mark else int(m.mark() * (100 + Decimal(percent)) / 100)
    f.ex.prices.pin(symbol, at)
    f.undo(lambda: f.ex.prices.pin(symbol, None))


def weight_limit(f: Injection, *, weight: int) -> None:
    """REQUEST_WEIGHT is lowered: 429 comes earlier than exchangeInfo said at start."""
    f.stand()
    f.hits += 1
    limits = f.api.limits
    before = limits.quota.weight
    limits.quota = replace(limits.quota, weight=weight)
    f.undo(lambda: setattr(limits, "quota", replace(limits.quota, weight=before)))


def clock_step(f: Injection, *, ms: int) -> None:
    """The venue's clock steps by `ms`: signed requests are refused with -1021 until the client looks at it again."""
    f.stand()
    f.hits += 1
    before = f.ex.clock

    def stepped() -> int:
        return before() + ms

    def back() -> None:
        if f.ex.clock is stepped:
            f.ex.clock = before

    f.ex.clock = stepped
    f.undo(back)
