"""Mark, index and funding: never zero, near the book, settled once, pinned on request."""

from __future__ import annotations

import pytest

from aegis.exchange.instrument import HOUR_MS, Market
from aegis.exchange.market import make_markets
from aegis.exchange.matching import AGENT, BUY, SELL, Order
from aegis.exchange.prices import DAMPER_E8, FAR_PPM, Prices, interest_e8, rate_e8, rate_text, settled_rate_e8
from aegis.exchange.symbols import listing

START = 1_790_000_000_000
NAMES = ("BTCUSDT", "BTCUSDC", "币安人生USDT", "牛来USDT", "BTCUSDT_260925")


def quote(m: Market, px: int, ident: int) -> None:
    """A book of one bid and one ask around `px`."""
    for side in (BUY, SELL):
        for old in [o for lvl in m.book.half[side].levels.values() for o in lvl.orders.values()]:  # type: ignore[attr-defined]
            m.book.cancel(old)  # type: ignore[attr-defined]
    for side in (BUY, SELL):
        at = px - side * m.spec.tick
        m.book.submit(Order(ident * side, "", AGENT, m.spec.name, side, "LIMIT", "GTC", at, 1))  # type: ignore[attr-defined]


@pytest.fixture
def markets() -> dict[str, Market]:
    """Twelve symbols, each with a book around its start price."""
    found = make_markets(listing(12, at_ms=START), 1)
    for m in found.values():
        quote(m, m.spec.start_px, 1)
    return found


def test_before_the_first_second_the_mark_is_the_middle(markets: dict[str, Market]) -> None:
    """A venue that has just opened values positions at the middle of its book."""
    for m in markets.values():
        assert m.mark() == m.index() == m.settle() == m.spec.px_e8(m.spec.start_px) > 0


def test_prices_stay_near_the_book_and_move(markets: dict[str, Market]) -> None:
    """A thousand seconds: within a percent of the middle, moving, and the same again from the same seed."""
    runs = []
    for _ in range(2):
        prices, seen = Prices(markets), []
        for n in range(1000):
            prices.advance(START + n * 1000)
            for m in markets.values():
                mid = m.spec.px_e8(m.mid())
                assert abs(m.mark_e8 - mid) <= mid * FAR_PPM // 10**6
                seen.append((m.mark_e8, m.index_e8))
        runs.append(seen)
    assert runs[0] == runs[1] and len(set(runs[0])) > 3000


def test_a_second_is_made_once(markets: dict[str, Market]) -> None:
    """Calls within one second change nothing."""
    prices = Prices(markets)
    prices.advance(START)
    before = [(m.mark_e8, m.index_e8) for m in markets.values()]
    prices.advance(START + 999)
    assert before == [(m.mark_e8, m.index_e8) for m in markets.values()]


def test_the_mark_follows_the_book(markets: dict[str, Market]) -> None:
    """After the book jumped by a tenth the mark is at once within its bound of the new middle."""
    prices, m = Prices(markets), markets["BTCUSDT"]
    prices.advance(START)
    quote(m, m.spec.start_px * 11 // 10 // m.spec.tick * m.spec.tick, 2)
    prices.advance(START + 1000)
    mid = m.spec.px_e8(m.mid())
    assert abs(m.mark() - mid) <= mid * FAR_PPM // 10**6 and mid > m.spec.px_e8(m.spec.start_px) * 109 // 100


def test_a_pinned_mark_stays_until_it_is_let_go(markets: dict[str, Market]) -> None:
    """The pin acts at once, outlasts the seconds and leaves the index alone; what cannot be pinned is refused."""
    prices, m = Prices(markets), markets["BTCUSDT"]
    prices.pin("BTCUSDT", 40_000 * 10**8)
    assert m.mark() == 40_000 * 10**8
    prices.advance(START)
    assert m.mark() == 40_000 * 10**8 and m.index() > 60_000 * 10**8
    prices.pin("BTCUSDT", None)
    prices.advance(START + 1000)
    assert m.mark() > 60_000 * 10**8
    for symbol, mark in (("BTCUSDT", 0), ("NOUSDT", 1)):
        with pytest.raises(ValueError, match=symbol):
            prices.pin(symbol, mark)


def test_settlements_are_told_once_at_each_symbols_own_hours(markets: dict[str, Market]) -> None:
    """Eight hours in quarter hours: 8 h symbols settle once, 4 h twice, 1 h eight times, a dated contract never."""
    prices, told = Prices(markets), []
    start = START // (8 * HOUR_MS) * 8 * HOUR_MS + 1000
    for n in range(33):
        before = {name: (m.rate_e8, m.mark()) for name, m in markets.items()}
        for s in prices.advance(start + n * HOUR_MS // 4):
            assert s.at_ms % s.market.interval_ms == 0 and (s.rate_e8, s.mark_e8) == before[s.market.spec.name]
            told.append(s.market.spec.name)
    counts = {name: told.count(name) for name in NAMES}
    assert counts == {"BTCUSDT": 1, "BTCUSDC": 1, "币安人生USDT": 2, "牛来USDT": 8, "BTCUSDT_260925": 0}
    assert [len(markets[name].settled) for name in NAMES] == list(counts.values())


def test_a_dated_contract_has_no_rate_and_its_pairs_index(markets: dict[str, Market]) -> None:
    """Empty text, settlement never, and the index of the perpetual contract."""
    prices = Prices(markets)
    prices.advance(START)
    dated, perpetual = markets["BTCUSDT_260925"], markets["BTCUSDT"]
    assert (dated.next_funding_ms(START), rate_text(dated), dated.rate_e8) == (0, "", 0)
    assert dated.index_e8 == perpetual.index_e8 != dated.mark_e8
    assert rate_text(perpetual) == "0.00010000"


def test_the_rate_is_damped_and_capped(markets: dict[str, Market]) -> None:
    """Inside the damper the rate is the interval's interest; outside the premium less the damper, up to the cap."""
    m, short = markets["BTCUSDT"], markets["牛来USDT"]
    assert interest_e8(short) == 1_250 == rate_e8(short, 0)
    for premium, want in ((0, 10_000), (60_000, 10_000), (80_000, 30_000), (-100_000, -50_000), (10**7, 300_000)):
        assert rate_e8(m, premium) == want
    assert rate_e8(m, -(10**7)) == -300_000 and DAMPER_E8 == 50_000


def test_past_rates_are_made_up_alike_each_time(markets: dict[str, Market]) -> None:
    """Older settlements have rates of their own, inside the cap, the same for the same boundary."""
    m = markets["币安人生USDT"]
    rates = [settled_rate_e8(m, START - n * 4 * HOUR_MS) for n in range(50)]
    assert rates == [settled_rate_e8(m, START - n * 4 * HOUR_MS) for n in range(50)] and len(set(rates)) > 10
