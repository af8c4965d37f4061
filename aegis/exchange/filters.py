"""The venue's filters: which orders may reach the matching engine, with the venue's own codes.

Problem: a client learns its quantising mistakes only from exact refusals, so every rule answers with its documented
number.
What must stay true: an order that passes has a price and a quantity on the grid and inside every bound.
"""

from __future__ import annotations

from typing import Any

from aegis.errors import BadNumber, Inexact, VenueError
from aegis.exchange.matching import BUY
from aegis.exchange.symbols import E8, Spec, dec, trim
from aegis.units import Num


def number(text: str, name: str, places: int) -> int:
    """
    Decimal text as an int at `places`.

    Raises:
        VenueError: -1100 not plain decimal text, -1111 more places than the grid has.
    """
    try:
        return Num.parse(text).at(places)
    except BadNumber as e:
        raise VenueError(-1100, f"Illegal characters found in parameter '{name}'.") from e
    except Inexact as e:
        raise VenueError(-1111, "Precision is over the maximum defined for this asset.") from e


def check_price(spec: Spec, side: int, px: int, mark: int) -> None:
    """
    PRICE_FILTER and PERCENT_PRICE.

    Raises:
        VenueError: -4001, -4002, -4014, -4016, -4024.
    """
    if px <= 0:
        raise VenueError(-4001, "Price less than or equal to zero.")
    if px < spec.tick:
        raise VenueError(-4013, f"Price less than min price {spec.px(spec.tick)}.")
    if px % spec.tick:
        raise VenueError(-4014, "Price not increased by tick size.")
    if mark and side == BUY and px * 10**4 > mark * spec.multiplier_up:
        raise VenueError(-4016, f"Limit price can't be higher than {spec.px(mark * spec.multiplier_up // 10**4)}.")
    if mark and side != BUY and px * 10**4 < mark * spec.multiplier_down:
        raise VenueError(-4024, f"Limit price can't be lower than {spec.px(-(-mark * spec.multiplier_down // 10**4))}.")


def check_quantity(spec: Spec, qty: int, market: bool) -> None:
    """
    LOT_SIZE or MARKET_LOT_SIZE.

    Raises:
        VenueError: -4003, -4004, -4005, -4023.
    """
    if qty <= 0:
        raise VenueError(-4003, "Quantity less than or equal to zero.")
    if qty < spec.step:
        raise VenueError(-4004, "Quantity less than min quantity.")
    if qty > (spec.market_max_qty if market else spec.max_qty):
        raise VenueError(-4005, "Quantity greater than max quantity.")
    if qty % spec.step:
        raise VenueError(-4023, "Quantity not increased by step size.")


def check_notional(spec: Spec, px: int, qty: int) -> None:
    """
    MIN_NOTIONAL; `px` is the mark for MARKET orders.

    Raises:
        VenueError: -4164.
    """
    if spec.notional_e8(px, qty) < spec.min_notional_e8:
        least = trim(spec.min_notional_e8, E8)
        raise VenueError(-4164, f"Order's notional must be no smaller than {least} (unless you choose reduce only).")


def rows(spec: Spec) -> list[dict[str, Any]]:
    """The `filters` list of exchangeInfo."""
    step = dec(spec.step, spec.qty_exp)
    top = spec.px(max(spec.start_px * 100, spec.tick * 1000) // spec.tick * spec.tick)
    return [
        {"filterType": "PRICE_FILTER", "tickSize": spec.px(spec.tick), "maxPrice": top, "minPrice": spec.px(spec.tick)},
        {"filterType": "LOT_SIZE", "stepSize": step, "maxQty": spec.qty(spec.max_qty), "minQty": step},
        {"filterType": "MARKET_LOT_SIZE", "stepSize": step, "maxQty": spec.qty(spec.market_max_qty), "minQty": step},
        {"filterType": "MAX_NUM_ORDERS", "limit": spec.max_orders},
        {"filterType": "MIN_NOTIONAL", "notional": trim(spec.min_notional_e8, E8)},
        {
            "filterType": "PERCENT_PRICE",
            "multiplierUp": dec(spec.multiplier_up, 4),
            "multiplierDown": dec(spec.multiplier_down, 4),
            "multiplierDecimal": "4",
        },
        {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
    ]


def listing_row(spec: Spec) -> dict[str, Any]:
    """One symbol of exchangeInfo."""
    return {
        "symbol": spec.name,
        "pair": spec.name,
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": 1569398400000,
        "status": "TRADING",
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": spec.base,
        "quoteAsset": spec.quote,
        "marginAsset": spec.quote,
        "pricePrecision": spec.px_exp,
        "quantityPrecision": spec.qty_exp,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10000,
        "filters": rows(spec),
        "orderTypes": ["LIMIT", "MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
        "permissionSets": ["GRID", "COPY"],
    }
