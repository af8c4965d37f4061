"""Rules: what the filters of both recorded exchangeInfos say, and what is refused because of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aegis.errors import BadMessage
from aegis.messages import OrderType, Place, Refusal, Rules, Side
from aegis.units import ZERO, Num
from aegis.venue.rules import check_order, parse_exchange_info, quantise_price, quantise_qty, tradable

N = Num.parse
MARK = N("60000")


def row(**changes: Any) -> dict[str, Any]:
    """A perpetual with tick 0.10 from 0.10, lot 0.001, MARKET at most 2, notional 100, band 5 %."""
    filters = [
        {"minPrice": "0.10", "tickSize": "0.10", "maxPrice": "100000", "filterType": "PRICE_FILTER"},
        {"minQty": "0.001", "filterType": "LOT_SIZE", "maxQty": "10", "stepSize": "0.0010"},
        {"stepSize": "0.001", "filterType": "MARKET_LOT_SIZE", "minQty": "0.001", "maxQty": "2"},
        {"filterType": "MIN_NOTIONAL", "notional": "100"},
        {"filterType": "PERCENT_PRICE", "multiplierUp": "1.0500", "multiplierDown": "0.9500"},
    ]
    names = {"symbol": "BTCUSDT", "baseAsset": "BTC", "quoteAsset": "USDT", "marginAsset": "USDT"}
    return names | {"status": "TRADING", "contractType": "PERPETUAL", "filters": filters} | changes


def rules(**changes: Any) -> Rules:
    return parse_exchange_info({"symbols": [row(**changes)]})["BTCUSDT"]


def limit(side: Side, price: str, qty: str, reduce_only: bool = False) -> Place:
    return Place(symbol="BTCUSDT", side=side, qty=N(qty), price=N(price), reduce_only=reduce_only)


def market(qty: str) -> Place:
    return Place(symbol="BTCUSDT", side=Side.BUY, qty=N(qty), type=OrderType.MARKET)


@pytest.mark.parametrize(
    ("place", "verdict"),
    [
        (limit(Side.BUY, "60000.10", "0.002"), Refusal.ACCEPTED),
        (limit(Side.BUY, "60000.15", "0.002"), Refusal.BAD_TICK),
        (limit(Side.BUY, "100000.10", "0.002"), Refusal.BAD_TICK),
        (limit(Side.BUY, "0", "0.002"), Refusal.BAD_TICK),
        (limit(Side.BUY, "60000", "0.0025"), Refusal.BAD_LOT),
        (limit(Side.BUY, "60000", "10.001"), Refusal.BAD_LOT),
        (limit(Side.BUY, "60000", "0"), Refusal.BAD_LOT),
        (limit(Side.BUY, "60000", "0.001"), Refusal.MIN_NOTIONAL),
        (limit(Side.SELL, "60000", "0.001", reduce_only=True), Refusal.ACCEPTED),
        (limit(Side.BUY, "63000.00", "0.002"), Refusal.ACCEPTED),
        (limit(Side.BUY, "63000.10", "0.002"), Refusal.PRICE_COLLAR),
        (limit(Side.SELL, "56999.90", "0.002"), Refusal.PRICE_COLLAR),
        (limit(Side.SELL, "90000", "0.002"), Refusal.ACCEPTED),
        (market("2.000"), Refusal.ACCEPTED),
        (market("2.001"), Refusal.BAD_LOT),
        (market("0.001"), Refusal.MIN_NOTIONAL),
        (Place(symbol="BTCUSDT", side=Side.BUY, qty=N("1")), Refusal.BAD_INTENT),
    ],
)
def test_each_filter_refuses_what_is_one_past_it(place: Place, verdict: Refusal) -> None:
    """Law: PROTOCOL 6, bound by bound; a price away from the book's side is free."""
    assert check_order(rules(), place, MARK) is verdict


def test_a_symbol_that_stopped_takes_only_exits() -> None:
    """Law: status other than TRADING refuses entries here, exits are left to the venue."""
    stopped = rules(status="SETTLING")
    assert check_order(stopped, limit(Side.BUY, "60000", "0.002"), MARK) is Refusal.SYMBOL_HALTED
    assert check_order(stopped, limit(Side.SELL, "60000", "0.002", True), MARK) is Refusal.ACCEPTED


def test_missing_filters_bind_nothing() -> None:
    """Law: an absent filter is no bound; without a mark the checks that need it are left out."""
    free = rules(filters=[], pricePrecision=2, quantityPrecision=3)
    assert (free.px_exp, free.qty_exp, free.min_notional) == (2, 3, ZERO)
    assert check_order(free, limit(Side.BUY, "1.23456", "0.000001"), MARK) is Refusal.ACCEPTED
    assert check_order(rules(), limit(Side.BUY, "90000", "0.002"), ZERO) is Refusal.ACCEPTED


def test_quantised_is_on_the_grid_and_never_more_aggressive() -> None:
    """Law: BUY down, SELL up, quantities down; the grid starts at the minimum."""
    r = rules()
    assert quantise_price(r, Side.BUY, N("60000.19")) == N("60000.1")
    assert quantise_price(r, Side.SELL, N("60000.11")) == N("60000.2")
    assert quantise_price(r, Side.SELL, N("60000.10")) == N("60000.1")
    assert quantise_price(r, Side.SELL, N("200000")) == N("100000")
    assert quantise_price(r, Side.BUY, N("-5")) == N("0.1")
    assert [quantise_qty(r, N(q)) for q in ("0.0019", "0.0009", "99")] == [N("0.001"), ZERO, N("10")]
    assert quantise_qty(r, N("99"), market=True) == N("2")


def test_recorded_listings_are_read_whole(data_dir: Path) -> None:
    """Law: every symbol of 2021 and of 2026 has rules; whatever is quantised by them is accepted by them."""
    old = (data_dir / "multi_2021-07-22" / "exchange_info.txt").read_text().splitlines()[0].split(": ", 1)[1]
    new = (data_dir / "wire_2026" / "demo_2026-09-10_exchange_info_2symbols.json").read_bytes()
    for text, count in ((old, 122), (new, 2)):
        found = parse_exchange_info(text)
        assert len(found) == count == len(json.loads(text)["symbols"])
        for r in tradable(found, "USDT"):
            price = quantise_price(r, Side.BUY, r.price_min * N("3") + N("0.000000017"))
            qty = quantise_qty(r, (r.min_notional + N("1")).div_floor(price, 8) + r.lot + r.qty_min)
            place = Place(symbol=r.symbol, side=Side.BUY, qty=qty, price=price)
            assert check_order(r, place, price) is Refusal.ACCEPTED, r
            assert (price.e, qty.e) == (r.px_exp, r.qty_exp)


def test_only_trading_perpetuals_of_the_quote_are_tradable() -> None:
    """Law: dated contracts, other quotes and stopped symbols are never taken; a list keeps its order."""
    rows = [
        row(symbol="A"), row(symbol="B", contractType="CURRENT_QUARTER"), row(symbol="C", quoteAsset="USDC"),
        row(symbol="D", status="SETTLING"), row(symbol="E"), {"symbol": "F", "filters": [{"filterType": "LOT_SIZE",
        "stepSize": "1e-3"}]},
    ]  # fmt: skip
    found = parse_exchange_info({"symbols": rows})
    assert list(found) == ["A", "B", "C", "D", "E"]
    assert [r.symbol for r in tradable(found, "USDT")] == ["A", "E"]
    assert [r.symbol for r in tradable(found, "USDT", ["E", "B", "X", "A"])] == ["E", "A"]


@pytest.mark.parametrize("text", [b"<html>", b"[]", b'{"symbols": 1}', b"{}"])
def test_no_exchange_info_is_said(text: bytes) -> None:
    """Law: a body that is no exchangeInfo raises; it never reads as "no symbols"."""
    with pytest.raises(BadMessage):
        parse_exchange_info(text)
