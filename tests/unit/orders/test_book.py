"""Working orders: exposure and recovery."""

import msgspec
import pytest

from aegis.errors import IllegalTransition
from aegis.messages import (
    ExecType,
    OrderStatus,
    OrderStep,
    OrderType,
    OrderUpdate,
    Place,
    Side,
    Tif,
    TradeLite,
)  # fmt: skip
from aegis.orders.book import WorkingOrders
from aegis.orders.states import Event, State
from aegis.units import Num

N = Num.parse


def book() -> WorkingOrders:
    """One SENT buy of 3."""
    made = WorkingOrders()
    made.add("ae-1-0", Place(symbol="X", side=Side.BUY, qty=N("3"), price=N("10")), 1)
    made.event("ae-1-0", Event.SEND, 2)
    return made


def update(status: OrderStatus, filled: str, trade: int = 0, last: str = "0") -> OrderUpdate:
    """One report on the order."""
    return OrderUpdate(
        symbol="X", client_id="ae-1-0", order_id=7, side=Side.BUY, type=OrderType.LIMIT, tif=Tif.GTC,
        exec_type=ExecType.TRADE if trade else ExecType.NEW, status=status, qty=N("3"), price=N("10"),
        filled_qty=N(filled), trade_id=trade, last_qty=N(last),
    )  # fmt: skip


def lite(trade: int, last: str) -> TradeLite:
    """The early notice of a fill."""
    return TradeLite(
        symbol="X", client_id="ae-1-0", order_id=7, side=Side.BUY, qty=N("3"), last_qty=N(last), last_price=N("10"),
        trade_id=trade,
    )  # fmt: skip


def test_a_fill_counts_once() -> None:
    """TRADE_LITE and the full event of one trade are one fill."""
    orders = book()
    orders.apply(lite(1, "1"), 3)
    orders.apply(update(OrderStatus.PARTIALLY_FILLED, "1", 1, "1"), 4)
    assert orders.exposure("X").buy == N("2")


def test_unknown_counts_in_full() -> None:
    """An order without an answer is an exposure of its whole size."""
    orders = book()
    orders.event("ae-1-0", Event.LOST, 3)
    assert orders.exposure("X").buy == N("3")


def test_recovery_makes_unfinished_orders_unknown() -> None:
    """A restarted brain trusts no state it did not see end."""
    orders = book()
    records = [orders.live["ae-1-0"].record(OrderStep.SENT, 2)]
    fresh = WorkingOrders()
    assert [o.state for o in fresh.recover(records, 5)] == [State.UNKNOWN]
    fresh.apply(update(OrderStatus.FILLED, "3", 1, "3"), 6)
    assert not fresh.live and fresh.exposure("X").count == 0


def test_contradiction_raises() -> None:
    """Life after a proven end has no row."""
    orders = book()
    orders.event("ae-1-0", Event.REJECT, 3)
    with pytest.raises(IllegalTransition):
        orders.apply(update(OrderStatus.NEW, "0"), 4)


def test_an_amendment_by_another_hand_counts() -> None:
    """The exposure is of the size the venue shows last; an older report that comes late does not bring it back."""
    orders = book()
    first = msgspec.structs.replace(update(OrderStatus.NEW, "0"), exch_ns=10)
    larger = msgspec.structs.replace(first, exec_type=ExecType.AMENDMENT, qty=N("5"), price=N("9"), exch_ns=20)
    orders.apply(first, 3)
    changed = orders.apply(larger, 4)
    assert changed is not None and (changed.qty, changed.price) == (N("5"), N("9"))
    assert orders.exposure("X").buy == N("5")
    orders.apply(first, 5)
    assert orders.exposure("X").buy == N("5")
