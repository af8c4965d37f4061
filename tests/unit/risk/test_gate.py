"""Each limit: at it passes, one past it refuses."""

import msgspec
import pytest

from aegis.messages import Cancel, OrderType, Place, Refusal, Rules, Side
from aegis.risk.gate import Gate, Limits, View
from aegis.units import ZERO, Num

N = Num.parse
LIMITS = Limits(
    order_notional_max=N("1000"), position_notional_max=N("2000"), total_notional_max=N("5000"), collar_bps=50,
    orders_per_s=3, open_orders_max=2, loss_limit=N("10"),
)  # fmt: skip
RULES = Rules(
    symbol="X", base_asset="X", quote_asset="USDT", margin_asset="USDT", status="TRADING", contract_type="PERPETUAL",
    tick=N("0.1"), price_min=ZERO, price_max=ZERO, lot=N("0.01"), qty_min=N("0.01"), qty_max=N("1000"),
    market_lot=N("0.01"), market_qty_min=N("0.01"), market_qty_max=N("1000"), min_notional=N("5"), multiplier_up=ZERO,
    multiplier_down=ZERO, orders_max=200, px_exp=1, qty_exp=2,
)  # fmt: skip
GOOD = View(rules=RULES, bid=N("99.9"), ask=N("100.0"), trusted=True, reconciled=True)


def gate(filters: Refusal = Refusal.ACCEPTED) -> Gate:
    """A fresh gate whose filters answer `filters`."""
    return Gate(LIMITS, lambda _p, _r, _x: filters)


def buy(qty: str = "1", price: str = "100.0", **more: object) -> Place:
    """A limit buy."""
    return Place(symbol="X", side=Side.BUY, qty=N(qty), price=N(price), **more)  # type: ignore[arg-type]  # test sugar


def ask(place: Place, **facts: object) -> Refusal:
    """What a fresh gate says with `facts` changed in the good view."""
    return gate().check(place, msgspec.structs.replace(GOOD, **facts), 0)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"halted": True}, Refusal.HALTED),
        ({"symbol_halted": True}, Refusal.SYMBOL_HALTED),
        ({"reconciled": False}, Refusal.NOT_RECONCILED),
        ({"trusted": False}, Refusal.BOOK_UNTRUSTED),
        ({"bid": None}, Refusal.BOOK_UNTRUSTED),
        ({"rules": None}, Refusal.UNKNOWN_SYMBOL),
        ({"connected": False}, Refusal.NOT_CONNECTED),
        ({"pnl": N("-10")}, Refusal.LOSS_LIMIT),
        ({"pnl": N("-9.99")}, Refusal.ACCEPTED),
        ({"open_orders": 2}, Refusal.OPEN_ORDERS),
        ({"open_orders": 1}, Refusal.ACCEPTED),
        ({"position": N("19")}, Refusal.ACCEPTED),
        ({"position": N("19.01")}, Refusal.POSITION_NOTIONAL),
        ({"position": N("10"), "open_buy": N("9.01")}, Refusal.POSITION_NOTIONAL),
    ],
)
def test_brakes(facts: dict[str, object], reason: Refusal) -> None:
    """One fact wrong, one reason."""
    assert reason == ask(buy(), **facts)


def test_order_notional() -> None:
    """1000 passes, one lot more does not."""
    assert ask(buy("10")) == Refusal.ACCEPTED
    assert ask(buy("10.01")) == Refusal.ORDER_NOTIONAL


def test_collar() -> None:
    """50 bps above the ask passes, one tick more does not; far below never hurts a buyer."""
    assert ask(buy(price="100.5")) == Refusal.ACCEPTED
    assert ask(buy(price="100.6")) == Refusal.PRICE_COLLAR
    sell = Place(symbol="X", side=Side.SELL, qty=N("1"), price=N("99.4"))
    assert ask(sell) == Refusal.PRICE_COLLAR


def test_rate_is_a_sliding_second() -> None:
    """Three in a second pass, the fourth waits until the first is a second old."""
    g = gate()
    assert [g.check(buy(), GOOD, t) for t in (0, 1, 2, 3)] == [0, 0, 0, Refusal.ORDER_RATE]
    assert g.check(buy(), GOOD, 1_000_000_000) == Refusal.ACCEPTED


def test_exits_pass_the_brakes_but_not_the_filters() -> None:
    """A halted, losing, unreconciled book can still be left; never with a size the venue refuses."""
    bad = View(rules=RULES, position=N("-1"), halted=True, pnl=N("-99"), open_orders=99)
    leave = Place(symbol="X", side=Side.BUY, qty=N("1"), type=OrderType.MARKET, reduce_only=True)
    assert gate().check(leave, bad, 0) == Refusal.ACCEPTED
    priced = buy(reduce_only=True)
    assert gate(Refusal.BAD_LOT).check(priced, bad, 0) == Refusal.BAD_LOT
    assert ask(buy("1.01", reduce_only=True), position=N("-1")) == Refusal.REDUCE_ONLY
    assert ask(buy("1", reduce_only=True), position=N("-1"), reduce_buy=N("0.01")) == Refusal.REDUCE_ONLY


def test_cancels_always_pass() -> None:
    """Nothing stands between us and fewer orders."""
    assert gate().check(Cancel(symbol="X", client_id="a"), View(rules=None, halted=True), 0) == Refusal.ACCEPTED
