"""Every filter answers with its own code, exactly at its bound, and is listed as the venue lists it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aegis.errors import VenueError
from aegis.exchange import filters
from aegis.exchange.matching import BUY, SELL
from aegis.exchange.symbols import dec, listing, make_spec, trim

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
WIRE = DATA / "wire_2026" / "demo_2026-09-10_exchange_info_2symbols.json"
BTC = make_spec("BTCUSDT", "USDT", "60000.00", "0.10", "0.001", "100")
MARK_E8 = 60_000 * 10**8
ODD = replace(BTC, min_px=1_005, tick=10, min_qty=7, step=5)  # a grid that starts off its own multiples


def code(run: Any, *args: Any) -> int:
    """The code a check refuses with, 0 when it passes."""
    try:
        run(*args)
    except VenueError as e:
        return e.code
    return 0


@pytest.mark.parametrize(
    ("side", "px", "want"),
    [
        (BUY, 0, -4001),
        (BUY, -10, -4001),
        (BUY, BTC.min_px - 10, -4013),
        (SELL, BTC.max_px + 10, -4002),
        (BUY, 6_000_001, -4014),
        (BUY, 6_300_010, -4016),
        (SELL, 5_699_990, -4024),
    ],
)
def test_price_refusals(side: int, px: int, want: int) -> None:
    """PRICE_FILTER and PERCENT_PRICE."""
    assert code(filters.check_price, BTC, side, px, MARK_E8) == want


def test_price_bounds_are_inside() -> None:
    """The bounds themselves are allowed, and far prices on the harmless side."""
    for side, px in ((BUY, 6_300_000), (SELL, 5_700_000), (BUY, BTC.min_px), (SELL, BTC.max_px)):
        assert code(filters.check_price, BTC, side, px, MARK_E8) == 0


def test_percent_price_uses_every_place_of_the_mark() -> None:
    """A mark between two ticks moves the bound by less than a tick, and the text says where it is."""
    assert code(filters.check_price, BTC, BUY, 6_300_010, MARK_E8 + 9_523_809) == -4016
    assert code(filters.check_price, BTC, BUY, 6_300_010, MARK_E8 + 9_523_810) == 0
    with pytest.raises(VenueError, match=r"Limit price can't be higher than 63000\.09\."):
        filters.check_price(BTC, BUY, 6_300_010, MARK_E8 + 9_523_809)
    with pytest.raises(VenueError, match=r"Limit price can't be lower than 57000\.00\."):
        filters.check_price(BTC, SELL, 5_699_990, MARK_E8)


def test_grids_start_at_their_minimum() -> None:
    """(x - min) mod step: multiples of the step alone do not lie on a grid that starts elsewhere."""
    assert [code(filters.check_price, ODD, SELL, px, 0) for px in (1_005, 1_015, 1_010, 1_000)] == [0, 0, -4014, -4013]
    assert [code(filters.check_quantity, ODD, qty, False) for qty in (7, 12, 10, 5)] == [0, 0, -4023, -4004]


@pytest.mark.parametrize(
    ("qty", "market", "want"),
    [
        (0, False, -4003),
        (BTC.max_qty + 1, False, -4005),
        (BTC.max_qty, False, 0),
        (BTC.market_max_qty + 1, True, -4005),
        (BTC.market_max_qty, True, 0),
        (BTC.market_max_qty + 1, False, 0),
    ],
)
def test_quantity_refusals(qty: int, market: bool, want: int) -> None:
    """LOT_SIZE and MARKET_LOT_SIZE."""
    assert code(filters.check_quantity, BTC, qty, market) == want


def test_notional_bound() -> None:
    """100 quote units pass, one tick less does not; a MARKET order is worth what the mark says."""
    assert code(filters.check_notional, BTC, 5_000_000, 2) == 0
    assert code(filters.check_notional, BTC, 4_999_990, 2) == -4164
    assert code(filters.check_market_notional, BTC, 50_000 * 10**8, 2) == 0
    assert code(filters.check_market_notional, BTC, 50_000 * 10**8 - 1000, 2) == -4164


def test_a_market_order_needs_a_counterparty_near_the_mark() -> None:
    """PERCENT_PRICE of the other side's best, and the farthest price a MARKET order may reach."""
    rows = [(BUY, 6_300_000), (BUY, 6_300_001), (SELL, 5_700_000), (SELL, 5_699_999), (BUY, 0), (SELL, 6_400_000)]
    assert [code(filters.check_counterparty, BTC, *row, MARK_E8) for row in rows] == [0, -4131, 0, -4131, 0, 0]
    assert filters.take_bound(BTC, BUY, MARK_E8) == 6_300_000 and filters.take_bound(BTC, SELL, MARK_E8) == 5_700_000
    assert filters.take_bound(BTC, BUY, MARK_E8 - 1) == 6_299_999


@pytest.mark.parametrize(("text", "want"), [("1e-05", -1100), ("0.0001", -1111), ("-", -1100), ("", -1100)])
def test_number_texts(text: str, want: int) -> None:
    """Exponents are illegal characters, more places than the lot has are excess precision."""
    assert code(filters.number, text, "quantity", 3) == want
    assert filters.number("70000.000", "price", 2) == 7_000_000


@pytest.mark.parametrize(
    ("m", "e", "padded", "trimmed"), [(-5, 3, "-0.005", "-0.005"), (1500, 3, "1.500", "1.5"), (0, 8, "0.00000000", "0")]
)
def test_decimal_texts(m: int, e: int, padded: str, trimmed: str) -> None:
    """Plain notation, both paddings."""
    assert (dec(m, e), trim(m, e)) == (padded, trimmed)


def shape(value: Any) -> Any:
    """Keys and types of a JSON value; filters are told apart by their type, lists by their first element."""
    if isinstance(value, dict):
        return {k: shape(v) for k, v in value.items()}
    if isinstance(value, list):
        if value and isinstance(value[0], dict) and "filterType" in value[0]:
            return {row["filterType"]: shape(row) for row in value}
        return [shape(v) for v in value[:1]]
    return type(value).__name__


@pytest.mark.skipif(not WIRE.exists(), reason="captured exchangeInfo is not at hand")
def test_a_listing_has_the_shape_of_the_wire() -> None:
    """Every key of a captured symbol is there with its type, no other is, filters included."""
    captured = json.loads(WIRE.read_text())["symbols"][0]
    for spec in listing(320, at_ms=1_790_000_000_000):
        row = filters.listing_row(spec)
        assert shape(row | {"underlyingSubType": []}) == shape(captured), spec.name


def test_what_is_listed_first() -> None:
    """Thousands, a second quote asset, a dated contract and Chinese characters are among the first six symbols."""
    at_ms = 1_790_000_000_000  # 2026-09-21, four days before a delivery
    rows = {r["symbol"]: r for r in map(filters.listing_row, listing(6, at_ms=at_ms))}
    assert list(rows) == ["BTCUSDT", "ETHUSDT", "1000SHIBUSDT", "BTCUSDC", "BTCUSDT_260925", "币安人生USDT"]
    dated = rows["BTCUSDT_260925"]
    assert (dated["pair"], dated["contractType"], dated["deliveryDate"]) == (
        "BTCUSDT",
        "CURRENT_QUARTER",
        1_790_323_200_000,
    )
    assert [rows[s]["marginAsset"] for s in ("BTCUSDC", "1000SHIBUSDT")] == ["USDC", "USDT"]
    assert "BTCUSDT_261225" in [s.name for s in listing(6, at_ms=1_790_323_200_000)]


def test_many_symbols_differ() -> None:
    """Names and start prices of 400 symbols are all different, and every start passes its own filters."""
    specs = listing(400)
    assert len({s.name for s in specs}) == len({s.px_e8(s.start_px) for s in specs}) == 400
    for s in specs:
        filters.check_price(s, BUY, s.start_px, s.px_e8(s.start_px))
        assert s.min_px % s.tick == s.max_px % s.tick == s.min_qty % s.step == s.market_max_qty % s.step == 0
        assert s.min_qty < s.market_max_qty < s.max_qty and s.min_px < s.band[0] < s.band[1] < s.max_px
