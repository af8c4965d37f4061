"""Laws of the matching engine: price, then time; nothing lost, nothing crossed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegis.errors import VenueError
from aegis.exchange.matching import AGENT, BUY, SELL, Book, Order

IDS = iter(range(1, 1 << 60))


def order(side: int, px: int, qty: int, tif: str = "GTC", owner: int = AGENT, stp: str = "EXPIRE_MAKER") -> Order:
    """An order; price 0 makes it MARKET."""
    return Order(next(IDS), "", owner, "X", side, "LIMIT" if px else "MARKET", tif, px, qty, stp=stp)


ROWS = st.tuples(
    st.sampled_from([BUY, SELL]),
    st.integers(0, 12),
    st.integers(1, 9),
    st.sampled_from(["GTC", "IOC", "FOK", "GTX"]),
    st.booleans(),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(ROWS, max_size=60))
def test_any_flow_keeps_the_laws(rows: list[tuple[int, int, int, str, bool]]) -> None:
    """Never crossed; both sides of fills agree; a taker never pays beyond its limit; quantity is conserved."""
    book, live = Book(), []
    for side, px, qty, tif, cancel in rows:
        if cancel and live:
            gone = live.pop()
            if gone.is_open:
                book.cancel(gone)
                gone.end("CANCELED")
        o = order(side, px, qty, tif if px else "GTC")
        before = sum(q for s in (BUY, SELL) for _, q in book.top(s, 99))
        try:
            out = book.submit(o)
        except VenueError as e:
            assert e.code in (-5021, -5022)
            assert before == sum(q for s in (BUY, SELL) for _, q in book.top(s, 99))
            continue
        book.check()
        traded = sum(f.qty for f in out.fills)
        assert traded == o.filled
        assert all(not px or f.px * side <= px * side for f in out.fills)
        assert [f.px * side for f in out.fills] == sorted(f.px * side for f in out.fills)
        rests = o.left if o.is_open else 0
        assert before - traded + rests == sum(q for s in (BUY, SELL) for _, q in book.top(s, 99))
        if o.is_open:
            live.append(o)


def test_first_come_first_served() -> None:
    """At one price the older order fills first."""
    book, first, second = Book(), order(SELL, 10, 3), order(SELL, 10, 3)
    book.submit(first)
    book.submit(second)
    book.submit(order(BUY, 10, 4))
    assert (first.filled, second.filled) == (3, 1)


@pytest.mark.parametrize(
    ("stp", "maker", "taker"),
    [
        ("EXPIRE_MAKER", "EXPIRED_IN_MATCH", "NEW"),
        ("EXPIRE_TAKER", "NEW", "EXPIRED_IN_MATCH"),
        ("EXPIRE_BOTH", "EXPIRED_IN_MATCH", "EXPIRED_IN_MATCH"),
        ("NONE", "FILLED", "FILLED"),
    ],
)
def test_self_trade_prevention(stp: str, maker: str, taker: str) -> None:
    """Each mode ends whom it names, and nobody trades with himself."""
    book, mine, other = Book(), order(SELL, 10, 2, owner=1), order(BUY, 10, 2, owner=1, stp=stp)
    book.submit(mine)
    book.submit(other)
    assert (mine.status, other.status) == (maker, taker)


def test_ends_of_immediate_orders() -> None:
    """IOC remainder ends with er 2, MARKET remainder with er 9; a bound stops a MARKET order."""
    book = Book()
    book.submit(order(SELL, 10, 1))
    book.submit(order(SELL, 20, 1))
    ioc, market = order(BUY, 10, 2, "IOC"), order(BUY, 0, 2)
    book.submit(ioc)
    book.submit(market, bound=15)
    assert (ioc.filled, ioc.status, ioc.reason) == (1, "EXPIRED", 2)
    assert (market.filled, market.status, market.reason) == (0, "EXPIRED", 9)
