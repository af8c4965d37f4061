"""An account's past: orders, fills, cash flows, amendments, orders the venue made.

What must stay true: oldest first; a page ends at `limit` rows so that the next one can start after it.
"""

from __future__ import annotations

from typing import Any

from aegis.errors import VenueError
from aegis.exchange import orders
from aegis.exchange.account import Account, Execution
from aegis.exchange.account_views import markets_of
from aegis.exchange.engine import Exchange
from aegis.exchange.events import side_text
from aegis.exchange.order_views import amendment_row, view
from aegis.exchange.params import Params, integer, need
from aegis.exchange.symbols import E8, dec

DAY_MS = 86_400_000
WEEK_MS, QUARTER_MS = 7 * DAY_MS, 90 * DAY_MS
FOREVER_MS = 1 << 62


def limit_of(p: Params, default: int, top: int) -> int:
    """The `limit` parameter, cut to the largest allowed; -1130 below 1."""
    limit = integer(p, "limit", default)
    if limit < 1:
        raise VenueError(-1130, "Data sent for parameter 'limit' is not valid.")
    return min(limit, top)


def window(p: Params, widest_ms: int = WEEK_MS) -> tuple[int, int]:
    """(start, end) in ms; a missing end is `widest_ms` after the start; -1023 turned round, -4165 when wider."""
    low, high = integer(p, "startTime", 0), integer(p, "endTime", 0)
    if low and high and high < low:
        raise VenueError(-1023, "Start time is greater than end time.")
    if low and high and high - low > widest_ms:
        raise VenueError(-4165, "Invalid time interval")
    return (low or max(high - widest_ms, 0)), (high or (low + widest_ms if low else FOREVER_MS))


def open_orders(ex: Exchange, acc: Account, p: Params) -> list[dict[str, Any]]:
    """GET openOrders of one symbol or all."""
    return [view(ex, o, money=True) for m in markets_of(ex, p) for o in acc.open[m.spec.name].values()]


def all_orders(ex: Exchange, acc: Account, p: Params) -> list[dict[str, Any]]:
    """GET allOrders: by orderId upward, or a time window, or the last ones; `symbol` is optional."""
    names = {m.spec.name for m in markets_of(ex, p)}
    rows = [o for o in acc.orders.values() if o.symbol in names and not orders.forgotten(ex, o)]
    rows.sort(key=lambda o: o.id)
    limit, first = limit_of(p, 500, 1000), integer(p, "orderId", 0)
    low, high = window(p)
    if first:
        rows = [o for o in rows if o.id >= first][:limit]
    elif p.get("startTime"):
        rows = [o for o in rows if low <= o.time_ms <= high][:limit]
    elif p.get("endTime"):
        rows = [o for o in rows if low <= o.time_ms <= high]
    return [view(ex, o, money=True) for o in rows[-limit:]]


def amendments(ex: Exchange, acc: Account, p: Params) -> list[dict[str, Any]]:
    """GET orderAmendment of an order, newest first."""
    if p.get("orderId") or p.get("origClientOrderId"):
        found = [orders.find(ex, acc, p, -2013)]
    else:
        name = ex.market(need(p, "symbol")).spec.name
        found = [o for o in acc.orders.values() if o.symbol == name]
    low, high = integer(p, "startTime", 0), integer(p, "endTime", FOREVER_MS)
    rows = [amendment_row(ex, o, i) for o in found for i in range(len(o.changes), 0, -1)]
    return [r for r in rows if low <= r["time"] <= high][: limit_of(p, 50, 100)]


def trade_row(ex: Exchange, t: Execution) -> dict[str, Any]:
    """One fill as userTrades shows it."""
    s = ex.markets[t.symbol].spec
    return {
        "symbol": t.symbol,
        "id": t.id,
        "orderId": t.order_id,
        "side": side_text(t.side),
        "price": s.px(t.px),
        "qty": s.qty(t.qty),
        "realizedPnl": dec(t.realised_e8, E8),
        "quoteQty": dec(t.px * t.qty, s.px_exp + s.qty_exp),
        "commission": dec(t.fee_e8, E8),
        "commissionAsset": t.asset,
        "marginAsset": s.quote,
        "baseQty": "0",
        "pair": s.pair,
        "time": t.time_ms,
        "buyer": t.side > 0,
        "maker": t.maker,
        "positionSide": t.position_side,
    }


def user_trades(ex: Exchange, acc: Account, p: Params) -> list[dict[str, Any]]:
    """GET userTrades: by fromId (not with times), orderId or a time window; oldest first."""
    m = ex.market(need(p, "symbol"))
    if p.get("fromId") and (p.get("startTime") or p.get("endTime")):
        raise VenueError(-1128, "Combination of optional parameters invalid.")
    limit, order_id = limit_of(p, 500, 1000), integer(p, "orderId", 0)
    rows = [t for t in acc.fills_of[m.spec.name] if order_id in (0, t.order_id)]
    low, high = window(p)
    if p.get("fromId"):
        first = integer(p, "fromId", 0)
        rows = [t for t in rows if t.id >= first][:limit]
    elif p.get("startTime"):
        rows = [t for t in rows if low <= t.time_ms <= high][:limit]
    elif p.get("endTime"):
        rows = [t for t in rows if low <= t.time_ms <= high]
    return [trade_row(ex, t) for t in rows[-limit:]]


def income(ex: Exchange, acc: Account, p: Params) -> list[dict[str, Any]]:
    """GET income, oldest first."""
    low, high = integer(p, "startTime", 0), integer(p, "endTime", FOREVER_MS)
    limit, page = limit_of(p, 100, 1000), integer(p, "page", 1)
    kind, symbol = p.get("incomeType"), p.get("symbol")
    rows = [
        r
        for r in acc.income
        if low <= r.time_ms <= high and symbol in (None, "", r.symbol) and kind in (None, "", r.kind)
    ]
    rows = rows[(page - 1) * limit : page * limit] if p.get("startTime") or p.get("page") else rows[-limit:]
    return [
        {
            "symbol": r.symbol,
            "incomeType": r.kind,
            "income": dec(r.amount_e8, E8),
            "asset": r.asset,
            "info": r.info or r.kind,
            "time": r.time_ms,
            "tranId": r.tran_id,
            "tradeId": r.trade_id,
        }
        for r in rows
    ]


def force_orders(ex: Exchange, acc: Account, p: Params) -> list[dict[str, Any]]:
    """GET forceOrders: liquidations (autoCloseType LIQUIDATION) and deleveragings (ADL) of the account."""
    prefix = {"LIQUIDATION": "autoclose-", "ADL": "adl_autoclose"}.get(p.get("autoCloseType", ""), "")
    heads = (prefix,) if prefix else ("autoclose-", "adl_autoclose")
    names = {m.spec.name for m in markets_of(ex, p)}
    low, high = window(p)
    rows = [o for o in acc.orders.values() if o.symbol in names and o.client_id.startswith(heads)]
    rows = [o for o in rows if low <= o.time_ms <= high][-limit_of(p, 50, 100) :]
    return [view(ex, o, money=True) for o in rows]
