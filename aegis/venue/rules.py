"""The venue's filters: read from exchangeInfo, checked before an order leaves, used to quantise.

Problem: filters arrive in any order with keys in any order, some are missing, numbers carry trailing zeros, and the
`pricePrecision` beside them is wrong for a quarter of the symbols (PROTOCOL 6). So only the filters count, exponents
come from trimmed steps, and a bound that is absent or 0 is no bound.
What must stay true: the grid starts at the minimum, `(x - min) mod step == 0`; nothing here rounds except
`quantise_price` (toward the passive side) and `quantise_qty` (down).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from aegis.errors import BadMessage, BadNumber
from aegis.messages import OrderType, Place, Refusal, Rules, Side
from aegis.units import ZERO, Num

_decode = msgspec.json.Decoder(float_hook=str).decode


def parse_exchange_info(info: Mapping[str, Any] | bytes | str) -> dict[str, Rules]:
    """
    Rules of every symbol that can be read, by symbol, in the venue's order; an unreadable symbol is left out.

    Raises:
        BadMessage: not JSON, or not an exchangeInfo at all.

    Source: PROTOCOL 6.
    """
    try:
        body = _decode(info) if isinstance(info, bytes | str) else info
        rows = body["symbols"]
    except (msgspec.DecodeError, UnicodeError, KeyError, TypeError) as e:
        raise BadMessage("exchangeInfo without a list of symbols") from e
    if not isinstance(rows, list):
        raise BadMessage("exchangeInfo without a list of symbols")
    found = {}
    for row in rows:
        try:
            found[row["symbol"]] = _rules(row)
        except (BadNumber, KeyError, TypeError, ValueError, AttributeError):
            continue
    return found


def _rules(row: dict[str, Any]) -> Rules:
    by_type = {f.get("filterType"): f for f in row.get("filters") or []}

    def at(kind: str, *names: str) -> Num:
        values = (by_type.get(kind, {}).get(name) for name in names)
        return next((Num.parse(str(v)) for v in values if v is not None), ZERO)

    tick, price_min = at("PRICE_FILTER", "tickSize"), at("PRICE_FILTER", "minPrice")
    lot, qty_min = at("LOT_SIZE", "stepSize"), at("LOT_SIZE", "minQty")
    market_lot = at("MARKET_LOT_SIZE", "stepSize")
    px_exp, qty_exp = (max(n.trim().e for n in group) for group in ((tick, price_min), (lot, qty_min, market_lot)))
    return Rules(
        symbol=row["symbol"], base_asset=row.get("baseAsset", ""), quote_asset=row.get("quoteAsset", ""),
        margin_asset=row.get("marginAsset") or row.get("quoteAsset", ""), status=row.get("status", ""),
        contract_type=row.get("contractType", ""), tick=tick, price_min=price_min,
        price_max=at("PRICE_FILTER", "maxPrice"), lot=lot, qty_min=qty_min, qty_max=at("LOT_SIZE", "maxQty"),
        market_lot=market_lot, market_qty_min=at("MARKET_LOT_SIZE", "minQty"),
        market_qty_max=at("MARKET_LOT_SIZE", "maxQty"), min_notional=at("MIN_NOTIONAL", "notional", "minNotional"),
        multiplier_up=at("PERCENT_PRICE", "multiplierUp"), multiplier_down=at("PERCENT_PRICE", "multiplierDown"),
        orders_max=at("MAX_NUM_ORDERS", "limit", "maxNumOrders").at(0),
        px_exp=px_exp if tick else max(px_exp, int(row.get("pricePrecision", 0))),
        qty_exp=qty_exp if lot else max(qty_exp, int(row.get("quantityPrecision", 0))),
    )  # fmt: skip


def tradable(rules: Mapping[str, Rules], quote_asset: str, listing: Sequence[str] = ()) -> list[Rules]:
    """
    TRADING perpetuals quoted in `quote_asset`, in the venue's order; with a `listing` only those, in its order.

    Source: PROTOCOL 10 T16 (a dated contract must never be taken for the perpetual).
    """
    named: Iterable[Rules] = (rules[s] for s in listing if s in rules) if listing else rules.values()
    return [
        r for r in named if r.status == "TRADING" and r.contract_type == "PERPETUAL" and r.quote_asset == quote_asset
    ]


def check_order(rules: Rules, place: Place, mark: Num) -> Refusal:
    """
    What the venue's filters would say.

    Args:
        rules: of the order's symbol.
        place: the intent, not yet sent.
        mark: mark price, or the best reference at hand; 0 skips the checks that need it.

    Returns:
        ACCEPTED, BAD_INTENT (LIMIT without, MARKET with a price), SYMBOL_HALTED, BAD_TICK, BAD_LOT, PRICE_COLLAR
        (PERCENT_PRICE) or MIN_NOTIONAL; an order that only reduces is exempt from the last and from SYMBOL_HALTED.

    Source: PROTOCOL 6.
    """
    limit = place.type is OrderType.LIMIT
    if limit != (place.price is not None) or place.side is Side.OTHER:
        return Refusal.BAD_INTENT
    if rules.status != "TRADING" and not place.reduce_only:
        return Refusal.SYMBOL_HALTED
    if place.price is not None:
        if not _on_grid(place.price, rules.price_min, rules.price_max, rules.tick):
            return Refusal.BAD_TICK
        if not _within_band(rules, place.side, place.price, mark):
            return Refusal.PRICE_COLLAR
    if not _on_grid(place.qty, *_lot_bounds(rules, market=not limit)):
        return Refusal.BAD_LOT
    price = mark if place.price is None else place.price
    if price and not place.reduce_only and price * place.qty < rules.min_notional:
        return Refusal.MIN_NOTIONAL
    return Refusal.ACCEPTED


def quantise_price(rules: Rules, side: Side, price: Num) -> Num:
    """Nearest price on the grid that is no more aggressive: down for BUY, up for SELL; held inside the bounds."""
    if not rules.tick:
        return price
    above = price - rules.price_min
    steps = -(-above).floor_to(rules.tick) if side is Side.SELL else above.floor_to(rules.tick)
    top = (rules.price_max - rules.price_min).floor_to(rules.tick) if rules.price_max else steps
    held = min(max(steps, ZERO), top)
    return _at(rules.price_min + held, rules.px_exp)


def quantise_qty(rules: Rules, qty: Num, *, market: bool = False) -> Num:
    """Largest quantity on the grid that is <= `qty` and the maximum; 0 when that is below the minimum."""
    low, high, step = _lot_bounds(rules, market=market)
    wanted = min(qty, high) if high else qty
    if wanted < low or wanted.sign() <= 0:
        return ZERO
    return _at(low + (wanted - low).floor_to(step), rules.qty_exp) if step else wanted


def _lot_bounds(rules: Rules, *, market: bool) -> tuple[Num, Num, Num]:
    """(minimum, maximum, step); a symbol without MARKET_LOT_SIZE is held to LOT_SIZE."""
    if market and rules.market_lot:
        return rules.market_qty_min, rules.market_qty_max, rules.market_lot
    return rules.qty_min, rules.qty_max, rules.lot


def _on_grid(value: Num, low: Num, high: Num, step: Num) -> bool:
    if value.sign() <= 0 or value < low or (high and value > high):
        return False
    above = value - low
    return not step or above.floor_to(step) == above


def _within_band(rules: Rules, side: Side, price: Num, mark: Num) -> bool:
    if not mark:
        return True
    if side is Side.BUY:
        return not rules.multiplier_up or price <= mark * rules.multiplier_up
    return not rules.multiplier_down or price >= mark * rules.multiplier_down


def _at(value: Num, e: int) -> Num:
    return Num(value.at(e), e)
