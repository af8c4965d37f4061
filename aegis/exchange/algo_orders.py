"""The algo order endpoints: parameters in, conditional orders out."""

from __future__ import annotations

from typing import Any

from aegis.errors import VenueError
from aegis.exchange import filters
from aegis.exchange.account import BOTH, Account
from aegis.exchange.algo import AlgoOrder, check
from aegis.exchange.algo_views import placed_row, query_row
from aegis.exchange.engine import Exchange
from aegis.exchange.instrument import Market
from aegis.exchange.matching import BUY, SELL
from aegis.exchange.orders import CONDITIONAL, MATCHES, good_till, no_match, position_side
from aegis.exchange.params import Params, choice, client_id, flag, integer, need, unneeded
from aegis.exchange.rules import STPS

ALGO_TIFS = ("GTC", "IOC", "FOK", "GTX", "GTD", "GTE_GTC")
WORKING = ("MARK_PRICE", "CONTRACT_PRICE")
RATE_MIN, RATE_MAX = 10, 2000  # 0.1 % to 20 %, in 1e-2 percent
DEFAULT_LIMIT, LIMIT_MAX = 500, 1000


def _prices(m: Market, p: Params, kind: str) -> dict[str, Any]:
    """Price, trigger and trail of an order by its kind."""
    spec = m.spec
    out: dict[str, Any] = {"px": 0, "trigger_px": 0, "activate_px": 0, "rate": 0, "price_match": "NONE"}
    if kind == "TRAILING_STOP_MARKET":
        rate = filters.number(need(p, "callbackRate"), "callbackRate", 2)
        if not RATE_MIN <= rate <= RATE_MAX:
            raise VenueError(-2007, "Invalid callBack rate.")
        activate = filters.number(p["activatePrice"], "activatePrice", spec.px_exp) if p.get("activatePrice") else 0
        return out | {"rate": rate, "activate_px": activate}
    unneeded(p, "callbackRate", "activatePrice")
    out["trigger_px"] = filters.number(need(p, "triggerPrice"), "triggerPrice", spec.px_exp)
    if out["trigger_px"] <= 0:
        raise VenueError(-4006, "Stop price less than or equal to zero.")
    if kind in ("STOP", "TAKE_PROFIT"):
        match = p.get("priceMatch") or "NONE"
        if match == "NONE":
            out["px"] = filters.number(need(p, "price"), "price", spec.px_exp)
        elif match in MATCHES:
            unneeded(p, "price")
            out["price_match"] = match
        else:
            raise VenueError(-5037, "Invalid price match")
    else:
        unneeded(p, "price")
        no_match(p)
    return out


def parse(ex: Exchange, acc: Account, p: Params) -> tuple[Market, AlgoOrder]:
    """Validate a conditional order's parameters."""
    m = ex.market(need(p, "symbol"))
    if choice(p, "algoType", ("CONDITIONAL",), -1102) != "CONDITIONAL":
        raise VenueError(-1102, "Mandatory parameter 'algoType' was not sent, was empty/null, or malformed.")
    side = BUY if choice(p, "side", ("BUY", "SELL"), -1117) == "BUY" else SELL
    kind = need(p, "type")
    if kind not in CONDITIONAL:
        raise VenueError(-1116, "Invalid orderType.")
    pos_side = position_side(acc, p)
    close_all = flag(p, "closePosition")
    if close_all:
        if kind not in ("STOP_MARKET", "TAKE_PROFIT_MARKET"):
            raise VenueError(-4136, "Target strategy invalid for orderType '" + kind + "',closePosition 'true'.")
        if p.get("quantity"):
            raise VenueError(-4137, "Quantity must be zero with closePosition equals true")
        unneeded(p, "reduceOnly")
    tif = choice(p, "timeInForce", ALGO_TIFS, -1115, "GTC")
    stp = p.get("selfTradePreventionMode") or ex.rules.default_stp
    if stp not in STPS:
        raise VenueError(-5039, "Invalid self trade prevention mode")
    return m, AlgoOrder(
        id=0,
        client_id=client_id(p, "clientAlgoId"),
        owner=acc.number,
        symbol=m.spec.name,
        side=side,
        position_side=pos_side,
        kind=kind,
        tif=tif,
        qty=0 if close_all else filters.number(need(p, "quantity"), "quantity", m.spec.qty_exp),
        stp=stp,
        working_type=choice(p, "workingType", WORKING, -1130, "CONTRACT_PRICE"),
        reduce_only=flag(p, "reduceOnly") and pos_side == BOTH,
        close_position=close_all,
        price_protect=flag(p, "priceProtect"),
        gtd_ms=good_till(ex, p, tif),
        **_prices(m, p, kind),
    )


def place(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """POST algoOrder / algoOrder.place; no margin is looked at before the trigger."""
    m, a = parse(ex, acc, p)
    check(ex, acc, m, a)
    ex.algo.add(acc, a)
    return placed_row(m.spec, a)


def find(ex: Exchange, acc: Account, p: Params, code: int) -> AlgoOrder:
    """The order that `algoId` (first) or `clientAlgoId` names."""
    desk = ex.algo.desks[acc.number]
    if p.get("algoId"):
        found = desk.by_id.get(integer(p, "algoId", 0))
    elif p.get("clientAlgoId"):
        found = desk.by_client.get(p["clientAlgoId"])
    else:
        raise VenueError(-1102, "Param 'algoId' or 'clientAlgoId' must be sent, but both were empty/null!")
    if found is None:
        raise VenueError(code, "Unknown order sent." if code == -2011 else "Order does not exist.")
    return found


def cancel(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """DELETE algoOrder / algoOrder.cancel; -2011 when it does not wait any more."""
    a = find(ex, acc, p, -2011)
    if not a.is_open:
        raise VenueError(-2011, "Unknown order sent.")
    ex.algo.end(a, "CANCELED")
    return {"algoId": a.id, "clientAlgoId": a.client_id, "code": "200", "msg": "success"}


def _row(ex: Exchange, acc: Account, a: AlgoOrder) -> dict[str, Any]:
    return query_row(ex.markets[a.symbol].spec, a, acc.orders.get((a.symbol, a.order_id)))


def query(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """GET algoOrder; -2013 when unknown."""
    return _row(ex, acc, find(ex, acc, p, -2013))


def open_algos(ex: Exchange, acc: Account, p: Params) -> list[dict[str, Any]]:
    """GET openAlgoOrders of one symbol or all."""
    desk = ex.algo.desks[acc.number]
    if p.get("symbol"):
        ex.market(p["symbol"])
    wanted = p.get("algoId")
    return [
        _row(ex, acc, a)
        for symbol, rows in desk.open.items()
        for a in rows.values()
        if (p.get("symbol") or symbol) == symbol and (not wanted or str(a.id) == wanted)
    ]


def all_algos(ex: Exchange, acc: Account, p: Params) -> list[dict[str, Any]]:
    """GET allAlgoOrders of a symbol, by algoId upward or by time, oldest first."""
    m = ex.market(need(p, "symbol"))
    limit, first = integer(p, "limit", DEFAULT_LIMIT), integer(p, "algoId", 0)
    if not 1 <= limit <= LIMIT_MAX:
        raise VenueError(-1130, "Data sent for parameter 'limit' is not valid.")
    low, high = integer(p, "startTime", 0), integer(p, "endTime", 1 << 62)
    rows = [a for a in ex.algo.desks[acc.number].by_id.values() if a.symbol == m.spec.name and a.id >= first]
    rows = [a for a in rows if low <= a.created_ms <= high]
    return [_row(ex, acc, a) for a in (rows[:limit] if first or low else rows[-limit:])]


def cancel_all(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """DELETE algoOpenOrders of one symbol."""
    m = ex.market(need(p, "symbol"))
    for a in list(ex.algo.desks[acc.number].open[m.spec.name].values()):
        ex.algo.end(a, "CANCELED")
    return {"code": 200, "msg": "The operation of cancel all open order is done."}
