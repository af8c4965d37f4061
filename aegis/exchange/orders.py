"""Order commands from parameters to the engine.

What must stay true: a refused command changes nothing; answers to place, cancel and modify carry no average price and
no quote sum (since July 2026; see Rules.answer_money).
"""

from __future__ import annotations

from typing import Any

from aegis.errors import VenueError
from aegis.exchange import filters, margin
from aegis.exchange.account import BOTH, LONG, SHORT, Account
from aegis.exchange.brackets import cap_e8
from aegis.exchange.clock import mono_ns
from aegis.exchange.engine import Exchange
from aegis.exchange.instrument import Market
from aegis.exchange.matching import BUY, SELL, Order
from aegis.exchange.order_views import ack, amended, listed, side_text, view
from aegis.exchange.params import Params, choice, client_id, flag, integer, need, unneeded
from aegis.exchange.rules import STPS
from aegis.exchange.symbols import E8, Spec, trim

TIFS = ("GTC", "IOC", "FOK", "GTX", "GTD", "RPI")
MATCHES = {"OPPONENT": (-1, 1), "OPPONENT_5": (-1, 5)} | {
    name: (1, depth) for name, depth in (("QUEUE", 1), ("QUEUE_5", 5), ("QUEUE_10", 10), ("QUEUE_20", 20))
}
CONDITIONAL = ("STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET")
GTD_AHEAD_MS, GTD_END_MS = 600_000, 253_402_300_799_000
THREE_DAYS_MS, NINETY_DAYS_MS = 3 * 86_400_000, 90 * 86_400_000


def position_side(acc: Account, p: Params) -> str:
    """The position side of an order, which must suit the account's mode (-4061)."""
    side = p.get("positionSide") or BOTH
    if side not in (BOTH, LONG, SHORT):
        raise VenueError(-1116 if not side else -1130, "Data sent for parameter 'positionSide' is not valid.")
    if (side == BOTH) == acc.settings.hedge:
        raise VenueError(-4061, "Order's position side does not match user's setting.")
    if acc.settings.hedge and p.get("reduceOnly"):
        raise VenueError(-1106, "Parameter 'reduceonly' sent when not required.")
    return side


def price_of(m: Market, p: Params, side: int) -> tuple[int, str]:
    """(price, price match) of a LIMIT order; one of the two is given."""
    match = p.get("priceMatch") or "NONE"
    if match == "NONE":
        return filters.number(need(p, "price"), "price", m.spec.px_exp), match
    if match not in MATCHES:
        raise VenueError(-5037, "Invalid price match")
    unneeded(p, "price")
    sign, depth = MATCHES[match]
    rows = m.book.top(side * sign, depth)
    if len(rows) < depth:
        raise VenueError(-5041, "No depth matches this BBO order")
    return rows[-1][0], match


def no_match(p: Params) -> None:
    """-5038 when an order without a price of its own names a price match."""
    if (p.get("priceMatch") or "NONE") != "NONE":
        raise VenueError(-5038, "Price match only supports order type: LIMIT, STOP AND TAKE_PROFIT")


def good_till(ex: Exchange, p: Params, tif: str) -> int:
    """Expiry of a GTD order in ms, to the second; 0 for others."""
    if tif != "GTD":
        return 0
    need(p, "goodTillDate")
    at = integer(p, "goodTillDate", 0)
    if not ex.clock() + GTD_AHEAD_MS < at < GTD_END_MS:
        raise VenueError(
            -5040,
            "The goodTillDate timestamp must be greater than the current time plus 600 seconds and smaller than "
            "253402300799000 (UTC 9999-12-31 23:59:59)",
        )
    return at // 1000 * 1000


def parse(ex: Exchange, acc: Account, p: Params, batch: bool = False) -> tuple[Market, dict[str, Any]]:
    """
    Validate a new order's parameters down to Order fields; everything but filters and account state.

    Raises:
        VenueError: with the venue's code of the first thing wrong.
    """
    m = ex.market(need(p, "symbol"))
    side = BUY if choice(p, "side", ("BUY", "SELL"), -1117) == "BUY" else SELL
    kind = need(p, "type")
    if kind in CONDITIONAL:
        raise VenueError(
            -4120, "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead."
        )
    if kind not in ("LIMIT", "MARKET"):
        raise VenueError(-1116, "Invalid orderType.")
    pos_side = position_side(acc, p)
    tif, px, match = "GTC", 0, "NONE"
    if kind == "LIMIT":
        tif = choice(p, "timeInForce", TIFS, -1115)
        px, match = price_of(m, p, side)
    else:
        unneeded(p, "timeInForce", "price", "goodTillDate")
        no_match(p)
    default = ex.rules.default_stp_batch if batch else ex.rules.default_stp
    stp = p.get("selfTradePreventionMode") or default
    if stp not in STPS:
        raise VenueError(-5039, "Invalid self trade prevention mode")
    return m, {
        "client_id": client_id(p, "newClientOrderId"),
        "side": side,
        "kind": kind,
        "tif": tif,
        "px": px,
        "qty": filters.number(need(p, "quantity"), "quantity", m.spec.qty_exp),
        "reduce_only": flag(p, "reduceOnly"),
        "stp": stp,
        "gtd_ms": good_till(ex, p, tif),
        "position_side": pos_side,
        "price_match": match,
    }


def admit(ex: Exchange, acc: Account, m: Market, o: Order) -> None:
    """
    Filters and account state of a parsed order.

    Raises:
        VenueError: filters' codes, -1122, -4116, -2022, -4118, -2025, -4131, -2027, -2019.
    """
    spec, market = m.spec, o.kind == "MARKET"
    if spec.status != "TRADING":
        raise VenueError(-4140, "Invalid symbol status for opening position.")
    filters.check_quantity(spec, o.qty, market)
    if not market:
        filters.check_price(spec, o.side, o.px, m.mark())
    closing = margin.closes(o)
    if market and not closing:
        filters.check_market_notional(spec, m.mark(), o.qty)
    elif not closing:
        filters.check_notional(spec, o.px, o.qty)
    before = acc.by_client.get((spec.name, o.client_id))
    if before is not None and before.is_open:
        raise VenueError(-4116, "ClientOrderId is duplicated.")
    if len(acc.open[spec.name]) >= spec.max_orders:
        raise VenueError(-2025, "Reach max open order limit.")
    if market:
        filters.check_counterparty(spec, o.side, m.book.best(-o.side)[0], m.mark())
    if closing:
        covered(ex, acc, spec, o)
        return
    affordable(ex, acc, m, o)


def covered(ex: Exchange, acc: Account, spec: Spec, o: Order) -> None:
    """
    A closing order needs a position that is large enough (-2022) after other closing orders (-4118); a close-all goes
    before those, and they expire (er 4) when it has left them nothing. What a conditional order became is cut to the
    position, and so is every other where Rules.cut_reduce_only says so.
    """
    held = acc.position(spec.name, o.position_side).qty
    if held * o.side < 0 and (ex.rules.cut_reduce_only or o.born_kind):
        o.qty = min(o.qty, abs(held))
    if held * o.side >= 0 or o.qty > abs(held):
        raise VenueError(-2022, "ReduceOnly Order is rejected.")
    if o.close_position:
        return
    working = sum(
        w.left
        for w in acc.open[spec.name].values()
        if w.position_side == o.position_side and w is not o and margin.closes(w)
    )
    if working and o.qty + working > abs(held):
        raise VenueError(-4118, "ReduceOnly Order Failed. Please check your existing position and open orders")


def affordable(ex: Exchange, acc: Account, m: Market, o: Order) -> None:
    """Room at the leverage (-2027) and margin (-2019) for an order that may open."""
    spec = m.spec
    best = m.book.best(-o.side)[0]
    px = o.px or best or m.mid()
    worth = spec.value_e8(m.mark(), acc.position(spec.name, o.position_side).qty)
    buys, sells = margin.working_e8(acc, spec, o.position_side)
    more = spec.notional_e8(px, o.qty)
    after = margin.exposure_e8(worth, buys + more * (o.side == BUY), sells + more * (o.side == SELL))
    grows = after > margin.exposure_e8(worth, buys, sells)
    if grows and after > cap_e8(spec.brackets, acc.leverage(spec.name)):
        raise VenueError(-2027, "Exceeded the maximum allowable position at current leverage.")
    want = margin.need_e8(acc, m, o, px)
    if want and want > margin.available_e8(ex, acc, spec.quote):
        raise VenueError(-2019, "Margin is insufficient.")


def place(ex: Exchange, acc: Account, p: Params, batch: bool = False) -> dict[str, Any]:
    """POST order / order.place: ACK shows the order as it was accepted, RESULT as it is after matching."""
    kind = p.get("newOrderRespType") or "ACK"
    if kind not in ("ACK", "RESULT"):
        raise VenueError(-1100, "Illegal characters found in parameter 'newOrderRespType'.")
    m, fields = parse(ex, acc, p, batch)
    o = ex.user_order(acc, m.spec.name, fields)
    admit(ex, acc, m, o)
    ex.submit(o)
    row = ack(ex, o, ex.rules.answer_money)
    if kind == "ACK":
        row |= {"status": "NEW", "executedQty": m.spec.qty(0), "cumQty": m.spec.qty(0)}
    return row


def place_unnamed(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """order.place of the WebSocket API, whose default self-trade prevention is the batch's."""
    return place(ex, acc, p, batch=True)


def test(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """POST order/test: the same checks, no order; the answer shows what it would have been."""
    m, fields = parse(ex, acc, p)
    o = ex.user_order(acc, m.spec.name, fields)
    admit(ex, acc, m, o)
    return ack(ex, o, money=True)


def find(ex: Exchange, acc: Account, p: Params, code: int) -> Order:
    """The order that `orderId` (first) or `origClientOrderId` names; `code` when there is none any more."""
    m = ex.market(need(p, "symbol"))
    if p.get("orderId"):
        found = acc.orders.get((m.spec.name, integer(p, "orderId", 0)))
    elif p.get("origClientOrderId"):
        found = acc.by_client.get((m.spec.name, p["origClientOrderId"]))
    else:
        raise VenueError(-1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")
    if found is None or forgotten(ex, found):
        raise VenueError(code, "Unknown order sent." if code == -2011 else "Order does not exist.")
    return found


def forgotten(ex: Exchange, o: Order) -> bool:
    """Ended orders vanish after 90 days, those without a fill after 3."""
    if o.is_open:
        return False
    age = ex.clock() - o.update_ms
    return age > NINETY_DAYS_MS or (age > THREE_DAYS_MS and not o.filled)


def cancel(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """DELETE order / order.cancel; -2011 for unknown and for ended orders alike."""
    o = find(ex, acc, p, -2011)
    if not o.is_open:
        raise VenueError(-2011, "Unknown order sent.")
    ex.finish(o, "CANCELED")
    return ack(ex, o, ex.rules.answer_money)


def query(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """GET order / order.status; -2013 when unknown."""
    return view(ex, find(ex, acc, p, -2013))


def open_order(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """GET openOrder; -2013 when it is not open."""
    o = find(ex, acc, p, -2013)
    if not o.is_open:
        raise VenueError(-2013, "Order does not exist.")
    return listed(ex, o)


def modify(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """PUT order / order.modify; -2013 gone, -5025 not LIMIT, -5026 too often, -5027 nothing changes, -5047 mismatch."""
    o = find(ex, acc, p, -2013)
    m = ex.markets[o.symbol]
    spec = m.spec
    if not o.is_open:
        raise VenueError(-2013, "Order does not exist.")
    if o.kind != "LIMIT":
        raise VenueError(-5025, "Only limit order is supported.")
    if choice(p, "side", ("BUY", "SELL"), -1117) != side_text(o.side):
        raise VenueError(-1117, "Invalid side.")
    qty = filters.number(need(p, "quantity"), "quantity", spec.qty_exp)
    px, match = price_of(m, p, o.side)
    reducing = flag(p, "reduceOnly")
    if reducing and not o.reduce_only:
        raise VenueError(-5047, "The original order is not reduce only.")
    filters.check_price(spec, o.side, px, m.mark())
    filters.check_quantity(spec, qty, False)
    if not reducing and not margin.closes(o) and spec.notional_e8(px, qty) < spec.min_notional_e8:
        raise VenueError(-5029, f"Order's notional must be no smaller than {trim(spec.min_notional_e8, E8)}")
    if (px, qty) == (o.px, o.qty):
        raise VenueError(-5027, "No need to modify the order.")
    if len(o.changes) >= spec.max_amendments:
        raise VenueError(-5026, "Exceed maximum modify order limit.")
    if qty > o.filled:
        rival = ex.user_order(acc, spec.name, {
            "client_id": o.client_id, "side": o.side, "kind": o.kind, "tif": o.tif, "px": px, "qty": qty - o.filled,
            "reduce_only": o.reduce_only, "position_side": o.position_side,
        })  # fmt: skip
        fits(ex, acc, m, o, rival)
    o.price_match = match
    modify_id = str(integer(p, "modifyId", 0)) if p.get("modifyId") else ""
    ex.amend(o, px, qty, modify_id)
    return amended(ex, o, modify_id)


def fits(ex: Exchange, acc: Account, m: Market, o: Order, rival: Order) -> None:
    """Would the account carry `rival` in the place of `o`?"""
    rows = acc.open[o.symbol]
    del rows[o.id]
    try:
        if margin.closes(rival):
            covered(ex, acc, m.spec, rival)
        else:
            affordable(ex, acc, m, rival)
    finally:
        rows[o.id] = o


def cancel_all(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """DELETE allOpenOrders of one symbol; conditional orders are not touched."""
    m = ex.market(need(p, "symbol"))
    for o in list(acc.open[m.spec.name].values()):
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
        acc.deadlines[m.spec.name] = (mono_ns() + delay * 1_000_000, delay)
    else:
        acc.deadlines.pop(m.spec.name, None)
    return {"symbol": m.spec.name, "countdownTime": str(delay)}
