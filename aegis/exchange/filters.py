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

ORDER_TYPES = ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"]
TIMES_IN_FORCE = ["GTC", "IOC", "FOK", "GTX", "GTD"]
PERMISSIONS = ["GRID", "COPY", "RPI"]
NUMBER_MAX = 42  # sign, 20 digits, point, 20 digits: longer text is refused before it costs anything


def number(text: str, name: str, places: int) -> int:
    """
    Decimal text as an int at `places`.

    Raises:
        VenueError: -1100 not plain decimal text or too long, -1111 more places than the grid has.
    """
    if len(text) > NUMBER_MAX:
        raise VenueError(-1100, f"Illegal characters found in parameter '{name}'.")
    try:
        return Num.parse(text).at(places)
    except BadNumber as e:
        raise VenueError(-1100, f"Illegal characters found in parameter '{name}'.") from e
    except Inexact as e:
        raise VenueError(-1111, "Precision is over the maximum defined for this asset.") from e


def check_grid(spec: Spec, px: int) -> None:
    """
    PRICE_FILTER.

    Args:
        px: at the spec's px_exp.

    Raises:
        VenueError: -4001, -4013, -4002, -4014.
    """
    if px <= 0:
        raise VenueError(-4001, "Price less than 0.")
    if spec.min_px and px < spec.min_px:
        raise VenueError(-4013, "Price less than min price.")
    if spec.max_px and px > spec.max_px:
        raise VenueError(-4002, "Price greater than max price.")
    if (px - spec.min_px) % spec.tick:
        raise VenueError(-4014, "Price not increased by tick size.")


def check_price(spec: Spec, side: int, px: int, mark_e8: int) -> None:
    """
    PRICE_FILTER and PERCENT_PRICE.

    Args:
        px: at the spec's px_exp.
        mark_e8: mark price in 1e-8; 0 skips PERCENT_PRICE.

    Raises:
        VenueError: -4001, -4013, -4002, -4014, -4016, -4024.
    """
    check_grid(spec, px)
    cap, floor = mark_e8 * spec.multiplier_up, mark_e8 * spec.multiplier_down
    places = 10 ** (E8 + 4 - spec.px_exp)
    if mark_e8 and side == BUY and px * places > cap:
        raise VenueError(-4016, f"Limit price can't be higher than {spec.px(cap // places)}.")
    if mark_e8 and side != BUY and px * places < floor:
        raise VenueError(-4024, f"Limit price can't be lower than {spec.px(-(-floor // places))}.")


def check_quantity(spec: Spec, qty: int, market: bool) -> None:
    """
    LOT_SIZE or MARKET_LOT_SIZE.

    Raises:
        VenueError: -4003, -4004, -4005, -4023.
    """
    if qty <= 0:
        raise VenueError(-4003, "Quantity less than or equal to zero.")
    if qty < spec.min_qty:
        raise VenueError(-4004, "Quantity less than min quantity.")
    if qty > (spec.market_max_qty if market else spec.max_qty):
        raise VenueError(-4005, "Quantity greater than max quantity.")
    if (qty - spec.min_qty) % spec.step:
        raise VenueError(-4023, "Quantity not increased by step size.")


def check_notional(spec: Spec, px: int, qty: int) -> None:
    """
    MIN_NOTIONAL of an order with a price.

    Raises:
        VenueError: -4164.
    """
    _notional(spec, spec.notional_e8(px, qty))


def check_market_notional(spec: Spec, mark_e8: int, qty: int) -> None:
    """
    MIN_NOTIONAL of a MARKET order, which is valued at the mark (1e-8).

    Raises:
        VenueError: -4164.
    """
    _notional(spec, spec.value_e8(mark_e8, qty))


def _notional(spec: Spec, notional_e8: int) -> None:
    if notional_e8 < spec.min_notional_e8:
        least = trim(spec.min_notional_e8, E8)
        raise VenueError(-4164, f"Order's notional must be no smaller than {least} (unless you choose reduce only).")


def check_counterparty(spec: Spec, side: int, best: int, mark_e8: int) -> None:
    """
    PERCENT_PRICE of the best price a MARKET order of `side` would meet (px_exp; 0 = none there).

    Raises:
        VenueError: -4131.
    """
    places = 10 ** (E8 + 4 - spec.px_exp)
    high, low = mark_e8 * spec.multiplier_up, mark_e8 * spec.multiplier_down
    if best and (best * places > high if side == BUY else best * places < low):
        raise VenueError(-4131, "The counterparty's best price does not meet the PERCENT_PRICE filter limit.")


def take_bound(spec: Spec, side: int, mark_e8: int) -> int:
    """Worst price a MARKET order of `side` may trade at: marketTakeBound from the mark, at px_exp, rounded inwards."""
    edge = mark_e8 * (1_000_000 + side * spec.take_bound_ppm)
    unit = int(10 ** (E8 - spec.px_exp)) * 1_000_000
    return edge // unit if side == BUY else -(-edge // unit)


def rows(spec: Spec) -> list[dict[str, Any]]:
    """The `filters` list of exchangeInfo: minima padded to the grid, maxima bare, keys in no particular order."""
    step, least = spec.qty(spec.step), spec.qty(spec.min_qty)
    most, most_market = trim(spec.max_qty, spec.qty_exp), trim(spec.market_max_qty, spec.qty_exp)
    top = trim(spec.max_px, spec.px_exp)
    return [
        {
            "filterType": "PRICE_FILTER",
            "maxPrice": top,
            "minPrice": spec.px(spec.min_px),
            "tickSize": spec.px(spec.tick),
        },
        {"stepSize": step, "filterType": "LOT_SIZE", "maxQty": most, "minQty": least},
        {"stepSize": step, "filterType": "MARKET_LOT_SIZE", "maxQty": most_market, "minQty": least},
        {"limit": spec.max_orders, "filterType": "MAX_NUM_ORDERS"},
        {"filterType": "MIN_NOTIONAL", "notional": trim(spec.min_notional_e8, E8)},
        {
            "multiplierDown": dec(spec.multiplier_down, 4),
            "filterType": "PERCENT_PRICE",
            "multiplierUp": dec(spec.multiplier_up, 4),
            "multiplierDecimal": "4",
        },
        {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
    ]


def listing_row(spec: Spec) -> dict[str, Any]:
    """One symbol of exchangeInfo, in the keys and types of 2026."""
    return {
        "symbol": spec.name,
        "pair": spec.pair,
        "contractType": spec.contract_type,
        "deliveryDate": spec.delivery_ms,
        "onboardDate": spec.onboard_ms,
        "status": spec.status,
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
        "underlyingSubType": list(spec.themes),
        "triggerProtect": dec(spec.trigger_protect_ppm // 100, 4),
        "liquidationFee": dec(spec.liquidation_fee_ppm, 6),
        "marketTakeBound": dec(spec.take_bound_ppm // 10_000, 2),
        "maxMoveOrderLimit": spec.max_amendments,
        "filters": rows(spec),
        "orderTypes": ORDER_TYPES,
        "timeInForce": TIMES_IN_FORCE,
        "permissionSets": PERMISSIONS,
    }
