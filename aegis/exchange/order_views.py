"""Orders as the venue shows them in answers and queries."""

from __future__ import annotations

from typing import Any

from aegis.exchange.engine import Exchange
from aegis.exchange.events import average, side_text
from aegis.exchange.matching import Order
from aegis.exchange.symbols import dec

__all__ = ["amendment_row", "side_text", "view"]


def view(ex: Exchange, o: Order, money: bool = False) -> dict[str, Any]:
    """An order as JSON fields; `money` adds what only queries carry."""
    spec = ex.markets[o.symbol].spec
    row: dict[str, Any] = {
        "orderId": o.id,
        "symbol": o.symbol,
        "status": o.status,
        "clientOrderId": o.client_id,
        "price": spec.px(o.px),
        "origQty": spec.qty(o.qty),
        "executedQty": spec.qty(o.filled),
        "timeInForce": o.tif,
        "type": o.kind,
        "reduceOnly": o.reduce_only,
        "closePosition": o.close_position,
        "side": side_text(o.side),
        "positionSide": o.position_side,
        "stopPrice": spec.px(o.stop_px) if o.stop_px else "0",
        "workingType": o.working_type,
        "priceProtect": o.price_protect,
        "origType": o.born_kind or o.kind,
        "priceMatch": o.price_match,
        "selfTradePreventionMode": o.stp,
        "goodTillDate": o.gtd_ms,
        "updateTime": o.update_ms,
    }
    if money:
        row |= {
            "avgPrice": average(spec, o.filled, o.cost),
            "time": o.time_ms,
            "cumQuote": dec(o.cost, spec.px_exp + spec.qty_exp),
        }
    else:
        row["cumQty"] = spec.qty(o.filled)
    return row


def amendment_row(ex: Exchange, o: Order, number: int) -> dict[str, Any]:
    """One amendment of an order as orderAmendment shows it; `number` counts from 1."""
    spec = ex.markets[o.symbol].spec
    at, modify_id, before, after = o.changes[number - 1]
    row: dict[str, Any] = {
        "amendmentId": o.id * 10_000 % 1_000_000_007 * 10_000 + number,
        "symbol": o.symbol,
        "pair": spec.pair,
        "orderId": o.id,
        "clientOrderId": o.client_id,
        "time": at,
        "amendment": {
            "price": {"before": spec.px(before[0]), "after": spec.px(after[0])},
            "origQty": {"before": spec.qty(before[1]), "after": spec.qty(after[1])},
            "count": number,
        },
        "priceMatch": o.price_match,
    }
    return row | ({"modifyId": int(modify_id)} if modify_id else {})
