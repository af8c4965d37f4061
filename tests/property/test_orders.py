"""Reports may come twice and in any order: the end is the same."""

from hypothesis import given
from hypothesis import strategies as st

from aegis.messages import ExecType, OrderStatus, OrderType, OrderUpdate, Place, Side, Tif, TradeLite
from aegis.orders.book import WorkingOrders
from aegis.orders.states import Event
from aegis.units import Num

ENDS = [OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.EXPIRED]


def reports(sizes: list[int], end: OrderStatus) -> list[object]:
    """All that the venue can say about an order that filled `sizes` and then ended."""
    total, done = sum(sizes), 0
    qty = Num(total if end is OrderStatus.FILLED else total + 1)

    def row(status: OrderStatus, x: ExecType, trade: int = 0, last: int = 0) -> OrderUpdate:
        return OrderUpdate(
            symbol="X", client_id="ae-1-0", order_id=9, side=Side.SELL, type=OrderType.LIMIT, tif=Tif.GTC,
            exec_type=x, status=status, qty=qty, price=Num(5), filled_qty=Num(done), trade_id=trade,
            last_qty=Num(last),
        )  # fmt: skip

    out: list[object] = [Event.ACK, row(OrderStatus.NEW, ExecType.NEW)]
    for i, size in enumerate(sizes, 1):
        done += size
        out.append(TradeLite(symbol="X", client_id="ae-1-0", order_id=9, side=Side.SELL, qty=qty,
                             last_qty=Num(size), last_price=Num(5), trade_id=i))  # fmt: skip
        last = end is OrderStatus.FILLED and i == len(sizes)
        out.append(row(OrderStatus.FILLED if last else OrderStatus.PARTIALLY_FILLED, ExecType.TRADE, i, size))
    if end is not OrderStatus.FILLED:
        out.append(row(end, ExecType.CANCELED))
    return out


@given(st.data(), st.lists(st.integers(1, 9), min_size=1, max_size=4), st.sampled_from(ENDS))
def test_any_order_any_repetition(data: st.DataObject, sizes: list[int], end: OrderStatus) -> None:
    """Terminal state, filled quantity and exposure depend on what was said, not when or how often."""
    said = reports(sizes, end)
    again = data.draw(st.lists(st.sampled_from(said), max_size=6))
    orders = WorkingOrders()
    orders.add("ae-1-0", Place(symbol="X", side=Side.SELL, qty=said[1].qty, price=Num(5)), 1)  # type: ignore[attr-defined]  # an update
    orders.event("ae-1-0", Event.SEND, 2)
    for one in data.draw(st.permutations(said + again)):
        if isinstance(one, Event):
            orders.event("ae-1-0", one, 3)
        else:
            orders.apply(one, 3)  # type: ignore[arg-type]  # the other two kinds
    order = orders.get("ae-1-0")
    assert order is not None
    assert order.state.name == end.name
    assert order.filled == Num(sum(sizes))
    assert orders.exposure("X").count == 0
