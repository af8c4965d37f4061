"""An account's past: orders, fills, cash flows, amendments, orders the venue made.

What must stay true: oldest first; a page ends at `limit` rows so that the next one can start after it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import islice
from typing import Any, Protocol, TypeVar

from aegis.errors import VenueError
from aegis.exchange import orders
from aegis.exchange.account import Account, Execution, Income
from aegis.exchange.account_views import markets_of
from aegis.exchange.engine import Exchange
from aegis.exchange.events import side_text
from aegis.exchange.matching import Order
from aegis.exchange.order_views import amendment_row, forced, kept, listed
from aegis.exchange.params import Params, integer, need
from aegis.exchange.symbols import E8, dec

DAY_MS = 86_400_000
WEEK_MS, QUARTER_MS = 7 * DAY_MS, 90 * DAY_MS
FOREVER_MS = 1 << 62
CLOCK_STEP_MS = 60_000  # a clock set back by more than this is no clock


class Timed(Protocol):
    """A row of the past."""

    @property
    def time_ms(self) -> int: ...


T = TypeVar("T", bound=Timed)


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


def between(rows: list[T], low: int, high: int) -> list[T]:
    """
    The rows of a time window out of rows in the order of their times, which a clock set back may have mixed a little:
    looked for by halving, because a past is long and a page of it short.
    """
    near = rows[
        bisect_left(rows, low - CLOCK_STEP_MS, key=lambda r: r.time_ms) : bisect_right(
            rows, high + CLOCK_STEP_MS, key=lambda r: r.time_ms
        )
    ]
    return [r for r in near if low <= r.time_ms <= high]


def open_orders(ex: Exchange, acc: Account, p: Params) -> list[dict[str, Any]]:
    """GET openOrders of one symbol or all."""
    return [listed(ex, o) for m in markets_of(ex, p) for o in acc.open[m.spec.name].values()]


def all_orders(ex: Exchange, acc: Account, p: Params) -> list[dict[str, Any]]:
    """GET allOrders: by orderId upward, or a time window, or the last ones; `symbol` is optional."""
    limit, first = limit_of(p, 500, 1000), integer(p, "orderId", 0)
    low, high = window(p)
    upward = bool(first or p.get("startTime"))
    found: list[Order] = []
    for m in markets_of(ex, p):
        rows = acc.orders_of.get(m.spec.name, [])
        if first:
            rows = rows[bisect_left(rows, first, key=lambda o: o.id) :]
        elif p.get("startTime") or p.get("endTime"):
            rows = between(rows, low, high)
        found += islice((o for o in (rows if upward else reversed(rows)) if not orders.forgotten(ex, o)), limit)
    found.sort(key=lambda o: (o.time_ms, o.id))  # ids of different symbols do not compare
    return [kept(ex, o) for o in (found[:limit] if upward else found[-limit:])]


def amendments(ex: Exchange, acc: Account, p: Params) -> list[dict[str, Any]]:
    """GET orderAmendment of an order, newest first."""
    if p.get("orderId") or p.get("origClientOrderId"):
        found = [orders.find(ex, acc, p, -2013)]
    else:
        name = ex.market(need(p, "symbol")).spec.name
        found = acc.orders_of.get(name, [])
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
        "baseQty": s.qty(t.qty),
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
    rows = acc.fills_of.get(m.spec.name, [])
    low, high = window(p)
    if p.get("fromId"):
        rows = rows[bisect_left(rows, integer(p, "fromId", 0), key=lambda t: t.id) :]
    elif p.get("startTime") or p.get("endTime"):
        rows = between(rows, low, high)
    if order_id:
        rows = [t for t in rows if t.order_id == order_id]
    upward = p.get("fromId") or p.get("startTime")
    return [trade_row(ex, t) for t in (rows[:limit] if upward else rows[-limit:])]


def income_row(r: Income) -> dict[str, Any]:
    """One cash flow as income shows it."""
    return {
        "symbol": r.symbol,
        "incomeType": r.kind,
        "income": dec(r.amount_e8, E8),
        "asset": r.asset,
        "info": r.info or r.kind,
        "time": r.time_ms,
        "tranId": r.tran_id,
        "tradeId": r.trade_id,
    }


def income(ex: Exchange, acc: Account, p: Params) -> list[dict[str, Any]]:
    """GET income, oldest first."""
    low, high = integer(p, "startTime", 0), integer(p, "endTime", FOREVER_MS)
    limit, page = limit_of(p, 100, 1000), integer(p, "page", 1)
    kind, symbol = p.get("incomeType"), p.get("symbol")
    rows = [r for r in between(acc.income, low, high) if symbol in (None, "", r.symbol) and kind in (None, "", r.kind)]
    rows = rows[(page - 1) * limit : page * limit] if p.get("startTime") or p.get("page") else rows[-limit:]
    return [income_row(r) for r in rows]


def force_orders(ex: Exchange, acc: Account, p: Params) -> list[dict[str, Any]]:
    """GET forceOrders: liquidations (autoCloseType LIQUIDATION) and deleveragings (ADL) of the account."""
    prefix = {"LIQUIDATION": "autoclose-", "ADL": "adl_autoclose"}.get(p.get("autoCloseType", ""), "")
    heads = (prefix,) if prefix else ("autoclose-", "adl_autoclose")
    low, high = window(p)
    rows = [o for m in markets_of(ex, p) for o in between(acc.orders_of.get(m.spec.name, []), low, high)]
    rows = [o for o in rows if o.client_id.startswith(heads)]
    rows = sorted(rows, key=lambda o: o.id)[-limit_of(p, 50, 100) :]
    return [forced(ex, o) for o in rows]
