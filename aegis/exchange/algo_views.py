"""Conditional orders as the venue shows them: the user event and the rows of answers and queries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aegis.exchange.events import average, plain, side_text, truth
from aegis.exchange.matching import Order
from aegis.exchange.symbols import Spec, dec, trim

if TYPE_CHECKING:
    from aegis.exchange.algo import AlgoOrder


def algo_update(spec: Spec, a: AlgoOrder, became: Order | None, now_ms: int) -> str:
    """ALGO_UPDATE; frames of CANCELED are sparser than others, as seen on the wire."""
    full = "" if a.status == "CANCELED" else f'"V":"{a.stp}","wt":"{a.working_type}","pm":"{a.price_match}",'
    more = "" if a.status == "CANCELED" else f'"cp":{truth(a.close_position)},"pP":{truth(a.price_protect)},'
    order_id, act = str(a.order_id) if a.order_id else "", ""
    if became is not None:
        act = (
            f'"ap":"{plain(average(spec, became.filled, became.cost))}","aq":"{trim(became.filled, spec.qty_exp)}",'
            f'"act":"{became.kind}",'
        )
    trail = f'"AP":"{trim(a.activate_px, spec.px_exp)}","cr":"{trim(a.rate, 2)}",' if a.rate else ""
    failed = f'"rm":"{a.reason}",' if a.reason else ""
    return (
        f'{{"e":"ALGO_UPDATE","T":{a.update_ms},"E":{now_ms},"o":{{"caid":"{a.client_id}","aid":{a.id},'
        f'"at":"CONDITIONAL","o":"{a.kind}","s":"{spec.name}","S":"{side_text(a.side)}","ps":"{a.position_side}",'
        f'"f":"{a.tif}","q":"{trim(a.qty, spec.qty_exp)}","X":"{a.status}","ai":"{order_id}",{act}'
        f'"tp":"{trim(a.trigger_px, spec.px_exp)}","p":"{trim(a.px, spec.px_exp)}",{full}{more}'
        f'"R":{truth(a.reduce_only)},{trail}"tt":{a.trigger_ms},"gtd":{a.gtd_ms},{failed}"ia":{truth(_activated(a))}}}}}'
    )


def _activated(a: AlgoOrder) -> bool:
    return a.kind == "TRAILING_STOP_MARKET" and a.active


def placed_row(spec: Spec, a: AlgoOrder) -> dict[str, Any]:
    """The answer to a placement."""
    trailing = a.kind == "TRAILING_STOP_MARKET"
    return {
        "algoId": a.id,
        "clientAlgoId": a.client_id,
        "algoType": "CONDITIONAL",
        "orderType": a.kind,
        "symbol": a.symbol,
        "side": side_text(a.side),
        "positionSide": a.position_side,
        "timeInForce": a.tif,
        "quantity": spec.qty(a.qty),
        "algoStatus": a.status,
        "triggerPrice": spec.px(a.trigger_px),
        "price": spec.px(a.px),
        "icebergQuantity": None,
        "selfTradePreventionMode": a.stp,
        "workingType": a.working_type,
        "priceMatch": a.price_match,
        "closePosition": a.close_position,
        "priceProtect": a.price_protect,
        "reduceOnly": a.reduce_only,
        "activatePrice": spec.px(a.activate_px) if trailing else "",
        "callbackRate": trim(a.rate, 2) if trailing else "",
        "createTime": a.created_ms,
        "updateTime": a.update_ms,
        "triggerTime": a.trigger_ms,
        "goodTillDate": a.gtd_ms,
    }


def query_row(spec: Spec, a: AlgoOrder, became: Order | None) -> dict[str, Any]:
    """A row of a query: the placement's fields and the order it became; its type and quantity only once it traded."""
    filled, cost = (became.filled, became.cost) if became else (0, 0)
    out: dict[str, Any] = {}
    for key, value in placed_row(spec, a).items():
        if key in ("activatePrice", "callbackRate") and not value:
            continue
        out[key] = value
        if key == "algoStatus":
            out["actualOrderId"] = str(a.order_id) if a.order_id else ""
            out["actualPrice"] = average(spec, filled, cost) if filled else dec(0, 5)
            if became is not None and filled:
                out |= {"actualType": became.kind, "actualQty": spec.qty(filled)}
        elif key == "icebergQuantity":
            nothing = dict.fromkeys(("tpTriggerPrice", "tpPrice", "slTriggerPrice", "slPrice"), dec(0, spec.px_exp))
            out |= nothing | {"tpOrderType": ""}
    return out
