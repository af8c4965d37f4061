"""Every filter answers with its own code, exactly at its bound."""

from __future__ import annotations

import pytest

from aegis.errors import VenueError
from aegis.exchange import filters
from aegis.exchange.matching import BUY, SELL
from aegis.exchange.symbols import dec, make_spec, trim

BTC = make_spec("BTCUSDT", "USDT", "60000.00", "0.10", "0.001", "100")
MARK = 6_000_000


@pytest.mark.parametrize(
    ("side", "px", "want"),
    [(BUY, 0, -4001), (BUY, 5, -4013), (BUY, 6_000_001, -4014), (BUY, 6_300_010, -4016), (SELL, 5_699_990, -4024)],
)
def test_price_refusals(side: int, px: int, want: int) -> None:
    """PRICE_FILTER and PERCENT_PRICE."""
    with pytest.raises(VenueError) as caught:
        filters.check_price(BTC, side, px, MARK)
    assert caught.value.code == want


def test_price_bounds_are_inside() -> None:
    """The bounds themselves are allowed, and far prices on the harmless side."""
    for side, px in ((BUY, 6_300_000), (SELL, 5_700_000), (BUY, 10), (SELL, 60_000_000)):
        filters.check_price(BTC, side, px, MARK)


@pytest.mark.parametrize(
    ("qty", "market", "want"),
    [(0, False, -4003), (BTC.max_qty + 1, False, -4005), (BTC.market_max_qty + 1, True, -4005)],
)
def test_quantity_refusals(qty: int, market: bool, want: int) -> None:
    """LOT_SIZE and MARKET_LOT_SIZE."""
    with pytest.raises(VenueError) as caught:
        filters.check_quantity(BTC, qty, market)
    assert caught.value.code == want


def test_notional_bound() -> None:
    """100 quote units pass, one tick less does not."""
    filters.check_notional(BTC, 5_000_000, 2)
    with pytest.raises(VenueError) as caught:
        filters.check_notional(BTC, 4_999_990, 2)
    assert caught.value.code == -4164


@pytest.mark.parametrize(("text", "want"), [("1e-05", -1100), ("0.0001", -1111), ("-", -1100), ("", -1100)])
def test_number_texts(text: str, want: int) -> None:
    """Exponents are illegal characters, more places than the lot has are excess precision."""
    with pytest.raises(VenueError) as caught:
        filters.number(text, "quantity", 3)
    assert caught.value.code == want
    assert filters.number("70000.000", "price", 2) == 7_000_000


@pytest.mark.parametrize(
    ("m", "e", "padded", "trimmed"), [(-5, 3, "-0.005", "-0.005"), (1500, 3, "1.500", "1.5"), (0, 8, "0.00000000", "0")]
)
def test_decimal_texts(m: int, e: int, padded: str, trimmed: str) -> None:
    """Plain notation, both paddings."""
    assert (dec(m, e), trim(m, e)) == (padded, trimmed)
