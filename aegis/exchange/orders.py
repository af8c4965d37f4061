"""Order commands from parameters to the engine, and orders as the venue shows them.

What must stay true: a refused command changes nothing; answers to place, cancel and modify carry no average price and
no quote sum.
"""

from __future__ import annotations

import re
import secrets
from typing import Any

from aegis.errors import VenueError
from aegis.exchange import filters
from aegis.exchange.account import Account
from aegis.exchange.clock import mono_ns
from aegis.exchange.engine import Exchange
from aegis.exchange.events import average, side_text
from aegis.exchange.instrument import Market
from aegis.exchange.matching import BUY, SELL, Order
from aegis.exchange.symbols import dec

Params = dict[str, str]
CLIENT_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}", re.ASCII)
TIFS = ("GTC", "IOC", "FOK", "GTX", "GTD")
STPS = ("NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH")
CONDITIONAL = ("STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET")


def need(p: Params, name: str) -> str:
    """A mandatory parameter; -1102 when missing or empty."""
    value = p.get(name, "")
    if not value:
        raise VenueError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
    return value


def integer(p: Params, name: str, default: int) -> int:
    """An optional whole number; -1100 when it is not one."""
    text = p.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.lstrip("-").isdigit()):
        raise VenueError(-1100, f"Illegal characters found in parameter '{name}'.")
    return int(text)


def flag(p: Params, name: str) -> bool:
    """A boolean parameter, in any spelling of case; -1100 otherwise."""
    text = p.get(name, "false").lower()
    if text not in ("true", "false"):
        raise VenueError(-1100, f"Illegal characters found in parameter '{name}'.")
    return text == "true"


def parse(ex: Exchange, p: Params) -> tuple[Market, dict[str, object]]:
    """
    Validate a new order's parameters down to Order fields; everything but filters and account state.

    Raises:
        VenueError: with the venue's code of the first thing wrong.
    """
    m = ex.market(need(p, "symbol"))
    side, kind = need(p, "side"), need(p, "type")
    if side not in ("BUY", "SELL"):
        raise VenueError(-1117, "Invalid side.")
    if kind in CONDITIONAL:
        raise VenueError(
            -4120, "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead."
        )
    if kind not in ("LIMIT", "MARKET"):
        raise VenueError(-1116, "Invalid orderType.")
    if p.get("positionSide", "BOTH") != "BOTH":
        raise VenueError(-4061, "Order's position side does not match user's setting.")
    tif, px = "GTC", 0
    if kind == "LIMIT":
        tif = need(p, "timeInForce")
        px = filters.number(need(p, "price"), "price", m.spec.px_exp)
    elif p.get("timeInForce") or p.get("price"):
        name = "timeInForce" if p.get("timeInForce") else "price"
        raise VenueError(-1106, f"Parameter '{name}' sent when not required.")
    if tif not in TIFS:
        raise VenueError(-1115, "Invalid timeInForce.")
    stp = p.get("selfTradePreventionMode", "EXPIRE_MAKER")
    if stp not in STPS:
        raise VenueError(-5038, "Invalid self trade prevention mode.")
    client_id = p.get("newClientOrderId") or secrets.token_urlsafe(16)
    if not CLIENT_ID.fullmatch(client_id):
        raise VenueError(-4015, "Client order id is not valid.")
    gtd = integer(p, "goodTillDate", 0) // 1000 * 1000
    if tif == "GTD" and gtd <= ex.clock() + 600_000:
        raise VenueError(-5040, "Invalid goodTillDate.")
    qty = filters.number(need(p, "quantity"), "quantity", m.spec.qty_exp)
    return m, {
        "client_id": client_id,
        "side": BUY if side == "BUY" else SELL,
        "kind": kind,
        "tif": tif,
        "px": px,
        "qty": qty,
        "reduce_only": flag(p, "reduceOnly"),
        "stp": stp,
        "gtd_ms": gtd if tif == "GTD" else 0,
    }


def admit(ex: Exchange, acc: Account, m: Market, f: dict[str, Any]) -> None:
    """
    Filters and account state of a parsed order.

    Raises:
        VenueError: filters' codes, -4116, -2022, -2025, -2019.
    """
    spec, px, qty, side = m.spec, f["px"], f["qty"], f["side"]
    market = f["kind"] == "MARKET"
    filters.check_quantity(spec, qty, market)
    if not market:
        filters.check_price(spec, side, px, m.mark())
    if not f["reduce_only"] and market:
        filters.check_market_notional(spec, m.mark(), qty)
    elif not f["reduce_only"]:
        filters.check_notional(spec, px, qty)
    before = ex.by_client.get((spec.name, f["client_id"]))
    if before is not None and before.is_open:
        raise VenueError(-4116, "ClientOrderId is duplicated.")
    if len(ex.open[spec.name]) >= spec.max_orders:
        raise VenueError(-2025, "Reach max open order limit.")
    held = acc.position(spec.name).qty
    if f["reduce_only"]:
        working = sum(o.left for o in ex.open[spec.name].values() if o.reduce_only)
        if held * side >= 0 or qty + working > abs(held):
            raise VenueError(-2022, "ReduceOnly Order is rejected.")
        return
    growth = qty if held * side >= 0 else max(0, qty - abs(held))
    if spec.notional_e8(m.mid() if market else px, growth) // spec.leverage > ex.available_e8(spec.quote):
        raise VenueError(-2019, "Margin is insufficient.")


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
        "closePosition": False,
        "side": side_text(o.side),
        "positionSide": "BOTH",
        "stopPrice": "0",
        "workingType": "CONTRACT_PRICE",
        "priceProtect": False,
        "origType": o.kind,
        "priceMatch": "NONE",
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


def place(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """POST order / order.place: ACK shows the order as it was accepted, RESULT as it is after matching."""
    kind = p.get("newOrderRespType", "ACK")
    if kind not in ("ACK", "RESULT"):
        raise VenueError(-1100, "Illegal characters found in parameter 'newOrderRespType'.")
    m, fields = parse(ex, p)
    admit(ex, acc, m, fields)
    o = ex.user_order(m.spec.name, fields)
    ex.submit(o)
    row = view(ex, o)
    if kind == "ACK":
        row |= {"status": "NEW", "executedQty": m.spec.qty(0), "cumQty": m.spec.qty(0)}
    return row


def test(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """POST order/test: the same checks, no order."""
    m, fields = parse(ex, p)
    admit(ex, acc, m, fields)
    return {}


def find(ex: Exchange, acc: Account, p: Params, code: int) -> Order:
    """The order that `orderId` (first) or `origClientOrderId` names; `code` when there is none."""
    m = ex.market(need(p, "symbol"))
    if p.get("orderId"):
        found = ex.orders.get((m.spec.name, integer(p, "orderId", 0)))
    else:
        found = ex.by_client.get((m.spec.name, need(p, "origClientOrderId")))
    if found is None:
        raise VenueError(code, "Unknown order sent." if code == -2011 else "Order does not exist.")
    return found


def cancel(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """DELETE order / order.cancel; -2011 for unknown and for ended orders alike."""
    o = find(ex, acc, p, -2011)
    if not o.is_open:
        raise VenueError(-2011, "Unknown order sent.")
    ex.finish(o, "CANCELED")
    return view(ex, o)


def query(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """GET order / order.status; -2013 when unknown."""
    return view(ex, find(ex, acc, p, -2013), money=True)


def open_order(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """GET openOrder; -2013 when it is not open."""
    o = find(ex, acc, p, -2013)
    if not o.is_open:
        raise VenueError(-2013, "Order does not exist.")
    return view(ex, o, money=True)


def modify(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """PUT order / order.modify; -2013 gone, -5027 nothing changes, -5047 reduce-only mismatch."""
    o = find(ex, acc, p, -2013)
    spec = ex.markets[o.symbol].spec
    if not o.is_open:
        raise VenueError(-2013, "Order does not exist.")
    px = filters.number(need(p, "price"), "price", spec.px_exp)
    qty = filters.number(need(p, "quantity"), "quantity", spec.qty_exp)
    if need(p, "side") != side_text(o.side):
        raise VenueError(-1117, "Invalid side.")
    if "reduceOnly" in p and flag(p, "reduceOnly") and not o.reduce_only:
        raise VenueError(-5047, "Original order is not reduce only.")
    filters.check_price(spec, o.side, px, ex.markets[o.symbol].mark())
    filters.check_quantity(spec, qty, False)
    if not o.reduce_only:
        filters.check_notional(spec, px, qty)
    if (px, qty) == (o.px, o.qty):
        raise VenueError(-5027, "No need to modify the order.")
    if o.amendments >= 10000:
        raise VenueError(-5026, "Exceed maximum modify order limit.")
    ex.amend(o, px, qty, str(integer(p, "modifyId", 0)) if p.get("modifyId") else "")
    return view(ex, o)


def cancel_all(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """DELETE allOpenOrders of one symbol."""
    m = ex.market(need(p, "symbol"))
    for o in list(ex.open[m.spec.name].values()):
        ex.finish(o, "CANCELED")
    return {"code": 200, "msg": "The operation of cancel all open order is done."}


def countdown(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """POST countdownCancelAll: arms (ms), re-arms or, with 0, disarms the symbol's dead-man switch."""
    m = ex.market(need(p, "symbol"))
    need(p, "countdownTime")
    delay = integer(p, "countdownTime", 0)
    if delay < 0:
        raise VenueError(-1130, "Data sent for parameter 'countdownTime' is not valid.")
    if delay:
        ex.deadlines[m.spec.name] = (mono_ns() + delay * 1_000_000, delay)
    else:
        ex.deadlines.pop(m.spec.name, None)
    return {"symbol": m.spec.name, "countdownTime": str(delay)}
