"""Account queries by REST and WebSocket API.

What must stay true: v3 account and positionRisk list only symbols with a position or an open order; totals count USDT
only.
"""

from __future__ import annotations

from typing import Any

import msgspec

from aegis.errors import VenueError
from aegis.exchange import orders
from aegis.exchange.account import Account, Execution
from aegis.exchange.engine import Exchange
from aegis.exchange.events import side_text
from aegis.exchange.orders import Params, integer, need
from aegis.exchange.public import limit_of, one_or_all
from aegis.exchange.symbols import E8, dec, trim

WEEK_MS = 7 * 86_400_000


def batch_place(ex: Exchange, acc: Account, p: Params) -> list[dict[str, Any]]:
    """POST batchOrders: up to 5, each with its own answer or refusal."""
    rows = _json_list(p, "batchOrders", 5)
    out: list[dict[str, Any]] = []
    for row in rows:
        try:
            out.append(
                orders.place(
                    ex, acc, {k: v if isinstance(v, str) else msgspec.json.encode(v).decode() for k, v in row.items()}
                )
            )
        except VenueError as e:
            out.append({"code": e.code, "msg": e.msg})
    return out


def batch_cancel(ex: Exchange, acc: Account, p: Params) -> list[dict[str, Any]]:
    """DELETE batchOrders: up to 10 ids of one kind."""
    by_id = "orderIdList" in p
    out: list[dict[str, Any]] = []
    for ident in _json_list(p, "orderIdList" if by_id else "origClientOrderIdList", 10):
        try:
            out.append(
                orders.cancel(
                    ex, acc, {"symbol": need(p, "symbol"), "orderId" if by_id else "origClientOrderId": str(ident)}
                )
            )
        except VenueError as e:
            out.append({"code": e.code, "msg": e.msg})
    return out


def _json_list(p: Params, name: str, most: int) -> list[Any]:
    try:
        rows = msgspec.json.decode(need(p, name))
    except msgspec.DecodeError as e:
        raise VenueError(-1130, f"Data sent for parameter '{name}' is not valid.") from e
    if not isinstance(rows, list) or not rows or len(rows) > most:
        raise VenueError(-4082, "Invalid number of batch orders.")
    return rows


def open_orders(ex: Exchange, acc: Account, p: Params) -> list[dict[str, Any]]:
    """GET openOrders of one symbol or all."""
    return [orders.view(ex, o, money=True) for m in one_or_all(ex, p)[0] for o in ex.open[m.spec.name].values()]


def all_orders(ex: Exchange, acc: Account, p: Params) -> list[dict[str, Any]]:
    """GET allOrders: by orderId upward, or a time window, or the last ones."""
    names = {m.spec.name for m in one_or_all(ex, p)[0]}
    rows = sorted((o for o in ex.orders.values() if o.symbol in names), key=lambda o: o.id)
    limit, first = limit_of(p, 500, 1000), integer(p, "orderId", 0)
    low, high = _window(p)
    if first:
        rows = [o for o in rows if o.id >= first][:limit]
    elif low:
        rows = [o for o in rows if low <= o.time_ms <= high][:limit]
    return [orders.view(ex, o, money=True) for o in rows[-limit:]]


def _window(p: Params) -> tuple[int, int]:
    """(start, end) in ms; -4166 when longer than 7 days."""
    low, high = integer(p, "startTime", 0), integer(p, "endTime", 0)
    if low and high and high - low > WEEK_MS:
        raise VenueError(-4166, "Search window is restricted to recent 90 days only.")
    return (low or max(high - WEEK_MS, 0)), (high or (low + WEEK_MS if low else 1 << 62))


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
        "marginAsset": t.asset,
        "pair": t.symbol,
        "time": t.time_ms,
        "buyer": t.side > 0,
        "maker": t.maker,
        "positionSide": "BOTH",
    }


def user_trades(ex: Exchange, acc: Account, p: Params) -> list[dict[str, Any]]:
    """GET userTrades: by fromId (not with times), orderId or a time window; oldest first."""
    m = ex.market(need(p, "symbol"))
    if p.get("fromId") and (p.get("startTime") or p.get("endTime")):
        raise VenueError(-1128, "Combination of optional parameters invalid.")
    limit, order_id = limit_of(p, 500, 1000), integer(p, "orderId", 0)
    rows = [t for t in acc.executions if t.symbol == m.spec.name and order_id in (0, t.order_id)]
    low, high = _window(p)
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
    low, high = integer(p, "startTime", 0), integer(p, "endTime", 1 << 62)
    limit, page = limit_of(p, 100, 1000), integer(p, "page", 1)
    rows = [
        r
        for r in acc.income
        if low <= r.time_ms <= high and p.get("symbol", r.symbol) == r.symbol and p.get("incomeType", r.kind) == r.kind
    ]
    rows = rows[(page - 1) * limit : page * limit] if p.get("startTime") or p.get("page") else rows[-limit:]
    return [
        {
            "symbol": r.symbol,
            "incomeType": r.kind,
            "income": dec(r.amount_e8, E8),
            "asset": r.asset,
            "info": r.info,
            "time": r.time_ms,
            "tranId": r.tran_id,
            "tradeId": r.trade_id,
        }
        for r in rows
    ]


def _asset_row(ex: Exchange, acc: Account, asset: str) -> dict[str, Any]:
    wallet = acc.wallet[asset]
    unrealised, held, working = ex.margins(asset)
    free = dec(max(wallet + unrealised - held - working, 0), E8)
    return {
        "asset": asset,
        "walletBalance": dec(wallet, E8),
        "unrealizedProfit": dec(unrealised, E8),
        "marginBalance": dec(wallet + unrealised, E8),
        "maintMargin": dec(held // 2, E8),
        "initialMargin": dec(held + working, E8),
        "positionInitialMargin": dec(held, E8),
        "openOrderInitialMargin": dec(working, E8),
        "crossWalletBalance": dec(wallet, E8),
        "crossUnPnl": dec(unrealised, E8),
        "availableBalance": free,
        "maxWithdrawAmount": free,
        "updateTime": ex.clock(),
    }


def _listed(ex: Exchange, acc: Account, p: Params) -> list[str]:
    """Symbols with a position or an open order, of the one asked for or all."""
    names = [m.spec.name for m in one_or_all(ex, p)[0]]
    return [n for n in names if ex.open[n] or (n in acc.positions and acc.positions[n].qty)]


def account(ex: Exchange, acc: Account, _p: Params) -> dict[str, Any]:
    """GET v3/account."""
    assets = [_asset_row(ex, acc, a) for a in sorted(acc.wallet)]
    usdt = next((a for a in assets if a["asset"] == "USDT"), assets[0])
    positions = [
        {
            "symbol": r["symbol"],
            "positionSide": "BOTH",
            "positionAmt": r["positionAmt"],
            "unrealizedProfit": r["unRealizedProfit"],
            "isolatedMargin": "0",
            "notional": r["notional"],
            "isolatedWallet": "0",
            "initialMargin": r["initialMargin"],
            "maintMargin": r["maintMargin"],
            "updateTime": r["updateTime"],
        }
        for r in position_risk(ex, acc, {})
    ]
    return {
        "totalInitialMargin": usdt["initialMargin"],
        "totalMaintMargin": usdt["maintMargin"],
        "totalWalletBalance": usdt["walletBalance"],
        "totalUnrealizedProfit": usdt["unrealizedProfit"],
        "totalMarginBalance": usdt["marginBalance"],
        "totalPositionInitialMargin": usdt["positionInitialMargin"],
        "totalOpenOrderInitialMargin": usdt["openOrderInitialMargin"],
        "totalCrossWalletBalance": usdt["crossWalletBalance"],
        "totalCrossUnPnl": usdt["crossUnPnl"],
        "availableBalance": usdt["availableBalance"],
        "maxWithdrawAmount": usdt["maxWithdrawAmount"],
        "assets": assets,
        "positions": positions,
    }


def balance(ex: Exchange, acc: Account, _p: Params) -> list[dict[str, Any]]:
    """GET v3/balance."""
    out = []
    for asset in sorted(acc.wallet):
        row = _asset_row(ex, acc, asset)
        out.append(
            {
                "accountAlias": "aegis",
                "asset": asset,
                "balance": row["walletBalance"],
                "crossWalletBalance": row["crossWalletBalance"],
                "crossUnPnl": row["crossUnPnl"],
                "availableBalance": row["availableBalance"],
                "maxWithdrawAmount": row["maxWithdrawAmount"],
                "marginAvailable": True,
                "updateTime": row["updateTime"],
            }
        )
    return out


def position_risk(ex: Exchange, acc: Account, p: Params) -> list[dict[str, Any]]:
    """GET v3/positionRisk."""
    out = []
    for name in _listed(ex, acc, p):
        m, pos = ex.markets[name], acc.position(name)
        s, mark = m.spec, m.mid()
        notional = s.notional_e8(mark, pos.qty)
        entry, margin = pos.entry_text(s), dec(abs(notional) // s.leverage, E8)
        out.append(
            {
                "symbol": name,
                "positionSide": "BOTH",
                "positionAmt": s.qty(pos.qty),
                "entryPrice": entry,
                "breakEvenPrice": entry,
                "markPrice": s.px(mark),
                "unRealizedProfit": dec(pos.unrealised_e8(s, mark) if pos.qty else 0, E8),
                "liquidationPrice": "0",
                "isolatedMargin": "0",
                "notional": dec(notional, E8),
                "marginAsset": s.quote,
                "isolatedWallet": "0",
                "initialMargin": margin,
                "maintMargin": dec(abs(notional) // 200, E8),
                "positionInitialMargin": margin,
                "openOrderInitialMargin": "0",
                "adl": 1,
                "bidNotional": ex.open_notional(m)[0],
                "askNotional": ex.open_notional(m)[1],
                "updateTime": pos.update_ms,
                "leverage": str(s.leverage),
                "marginType": "cross",
            }
        )
    return out


def account_config(_ex: Exchange, acc: Account, _p: Params) -> dict[str, Any]:
    """GET accountConfig."""
    return {
        "feeTier": 0,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": True,
        "dualSidePosition": False,
        "updateTime": 0,
        "multiAssetsMargin": False,
        "tradeGroupId": -1,
    }


def symbol_config(ex: Exchange, acc: Account, p: Params) -> list[dict[str, Any]]:
    """GET symbolConfig."""
    return [
        {
            "symbol": m.spec.name,
            "marginType": "CROSSED",
            "isAutoAddMargin": False,
            "leverage": m.spec.leverage,
            "maxNotionalValue": "100000000",
        }
        for m in one_or_all(ex, p)[0]
    ]


def leverage_bracket(ex: Exchange, acc: Account, p: Params) -> Any:
    """GET leverageBracket: one tier."""
    markets, one = one_or_all(ex, p)
    tier = {
        "bracket": 1,
        "initialLeverage": 20,
        "notionalCap": 100000000,
        "notionalFloor": 0,
        "maintMarginRatio": 0.005,
        "cum": 0,
    }
    rows = [{"symbol": m.spec.name, "notionalCoef": 1, "brackets": [tier]} for m in markets]
    return rows[0] if one else rows


def commission_rate(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """GET commissionRate."""
    m = ex.market(need(p, "symbol"))
    return {
        "symbol": m.spec.name,
        "makerCommissionRate": trim(acc.maker_ppm, 6),
        "takerCommissionRate": trim(acc.taker_ppm, 6),
        "rpiCommissionRate": trim(acc.maker_ppm, 6),
    }


def listen_start(ex: Exchange, acc: Account, _p: Params) -> dict[str, Any]:
    """POST listenKey: the living key extended, or a new one."""
    return {"listenKey": ex.start_listen_key()}


def listen_ping(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """PUT listenKey; -1125 when none lives."""
    if not ex.listen_key or p.get("listenKey", ex.listen_key) != ex.listen_key:
        raise VenueError(-1125, "This listenKey does not exist.")
    return {"listenKey": ex.start_listen_key()}


def listen_stop(ex: Exchange, acc: Account, _p: Params) -> dict[str, Any]:
    """DELETE listenKey."""
    ex.end_listen_key(expired=False)
    return {}
