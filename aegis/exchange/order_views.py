"""Orders as the venue shows them in answers, queries and lists.

Problem: the venue writes one order in several ways. Answers and the query of one order pad numbers to the grid
("0.00"), lists come without trailing zeros ("0"), and each has keys of its own.
What must stay true: keys stand in the venue's order in every one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aegis.exchange.engine import Exchange
from aegis.exchange.events import average, side_text
from aegis.exchange.matching import Order
from aegis.exchange.symbols import Spec, dec, trim

__all__ = ["ack", "amended", "amendment_row", "forced", "kept", "listed", "side_text", "view"]


def _row(
    o: Order, texts: tuple[Callable[[int], str], Callable[[int], str]], sums: dict[str, str], times: dict[str, int]
) -> dict[str, Any]:
    """An order's fields in the venue's order; `texts` write a price and a quantity, `sums` are what it traded."""
    px, qty = texts
    return {
        "orderId": o.id,
        "symbol": o.symbol,
        "status": o.status,
        "clientOrderId": o.client_id,
        "price": px(o.px),
        **{k: v for k, v in sums.items() if k == "avgPrice"},
        "origQty": qty(o.qty),
        "executedQty": qty(o.filled),
        **{k: v for k, v in sums.items() if k != "avgPrice"},
        "timeInForce": o.tif,
        "type": o.kind,
        "reduceOnly": o.reduce_only,
        "closePosition": o.close_position,
        "side": side_text(o.side),
        "positionSide": o.position_side,
        "stopPrice": px(o.stop_px),
        "workingType": o.working_type,
        "priceProtect": o.price_protect,
        "origType": o.born_kind or o.kind,
        "priceMatch": o.price_match,
        "selfTradePreventionMode": o.stp,
        "goodTillDate": o.gtd_ms,
        **times,
        "updateTime": o.update_ms,
    }


def ack(ex: Exchange, o: Order, money: bool = False) -> dict[str, Any]:
    """The answer to a command; `money` adds what these answers carried before July 2026."""
    spec = ex.markets[o.symbol].spec
    sums = {"cumQty": spec.qty(o.filled)}
    if money:
        sums |= {"avgPrice": _average(spec, o), "cumQuote": dec(o.cost, spec.px_exp + spec.qty_exp)}
    return _row(o, (spec.px, spec.qty), sums, {})


def amended(ex: Exchange, o: Order, modify_id: str) -> dict[str, Any]:
    """The answer to a modification, which names the pair and echoes modifyId."""
    row = ack(ex, o, ex.rules.answer_money)
    out: dict[str, Any] = {}
    for key, value in row.items():
        out[key] = value
        if key == "symbol":
            out["pair"] = ex.markets[o.symbol].spec.pair
        elif key == "clientOrderId" and modify_id:
            out["modifyId"] = int(modify_id)
    return out


def view(ex: Exchange, o: Order) -> dict[str, Any]:
    """The answer to a query of one order, numbers padded."""
    spec = ex.markets[o.symbol].spec
    sums = {"avgPrice": _average(spec, o), "cumQuote": dec(o.cost, spec.px_exp + spec.qty_exp)}
    return _row(o, (spec.px, spec.qty), sums, {"time": o.time_ms})


def listed(ex: Exchange, o: Order) -> dict[str, Any]:
    """A row of a list of orders, whose prices and quantities come without trailing zeros."""
    spec = ex.markets[o.symbol].spec
    sums = {
        "avgPrice": average(spec, o.filled, o.cost),
        "cumQuote": dec(o.cost, spec.px_exp + spec.qty_exp),
    }
    texts = (lambda px: trim(px, spec.px_exp), lambda qty: trim(qty, spec.qty_exp))
    return _row(o, texts, sums, {"time": o.time_ms})


def kept(ex: Exchange, o: Order) -> dict[str, Any]:
    """A row of a list of past orders, which since the venue's merger names the pair and the base quantity too."""
    spec, out = ex.markets[o.symbol].spec, {}
    for key, value in listed(ex, o).items():
        out[key] = value
        if key == "symbol":
            out["pair"] = spec.pair
        elif key == "cumQuote":
            out["cumBase"] = trim(o.filled, spec.qty_exp)
    return out


def forced(ex: Exchange, o: Order) -> dict[str, Any]:
    """A row of forceOrders, which leaves out what no client sent."""
    left_out = ("priceProtect", "priceMatch", "selfTradePreventionMode", "goodTillDate")
    return {k: v for k, v in kept(ex, o).items() if k not in left_out}


def _average(spec: Spec, o: Order) -> str:
    return average(spec, o.filled, o.cost) if o.filled else dec(0, spec.px_exp)


def amendment_row(ex: Exchange, o: Order, number: int) -> dict[str, Any]:
    """One amendment of an order as orderAmendment shows it; `number` counts from 1."""
    spec = ex.markets[o.symbol].spec
    at, modify_id, before, after = o.changes[number - 1]
    return {
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
        }
        | ({"modifyId": int(modify_id)} if modify_id else {}),
        "priceMatch": o.price_match,
    }
