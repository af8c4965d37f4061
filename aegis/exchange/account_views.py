"""An account as the venue shows it: balances, positions, configuration, in versions 2 and 3.

What must stay true: version 3 lists only symbols with a position or an open order, version 2 every symbol; totals count
USDT only, unless the account is in multi-assets mode.
"""

from __future__ import annotations

from typing import Any

from aegis.errors import VenueError
from aegis.exchange import margin
from aegis.exchange.account import BOTH, LONG, SHORT, Account
from aegis.exchange.brackets import cap_e8, maintenance_e8
from aegis.exchange.brackets import rows as tier_rows
from aegis.exchange.engine import Exchange
from aegis.exchange.instrument import Market
from aegis.exchange.params import Params, need
from aegis.exchange.symbols import E8, dec, trim

UNIT_E8 = 10**8
TOTALS = {
    "totalInitialMargin": "initialMargin",
    "totalMaintMargin": "maintMargin",
    "totalWalletBalance": "walletBalance",
    "totalUnrealizedProfit": "unrealizedProfit",
    "totalMarginBalance": "marginBalance",
    "totalPositionInitialMargin": "positionInitialMargin",
    "totalOpenOrderInitialMargin": "openOrderInitialMargin",
    "totalCrossWalletBalance": "crossWalletBalance",
    "totalCrossUnPnl": "crossUnPnl",
    "availableBalance": "availableBalance",
    "maxWithdrawAmount": "maxWithdrawAmount",
}


def markets_of(ex: Exchange, p: Params) -> list[Market]:
    """The market asked for, or all."""
    return [ex.market(p["symbol"])] if p.get("symbol") else list(ex.markets.values())


def asset_amounts(ex: Exchange, acc: Account, asset: str) -> dict[str, int]:
    """Amounts of one asset by the names of the account answer, 1e-8."""
    a = margin.of_asset(ex, acc, asset)
    available = margin.available_e8(ex, acc, asset)
    return {
        "walletBalance": a.wallet,
        "unrealizedProfit": a.unrealised,
        "marginBalance": a.wallet + a.unrealised,
        "maintMargin": a.maintenance,
        "initialMargin": a.position_initial + a.open_initial,
        "positionInitialMargin": a.position_initial,
        "openOrderInitialMargin": a.open_initial,
        "crossWalletBalance": a.cross_wallet,
        "crossUnPnl": a.cross_unrealised,
        "availableBalance": available,
        "maxWithdrawAmount": max(min(available, a.cross_wallet), 0),
    }


def account(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """GET v3/account, v2/account.status."""
    amounts = {asset: asset_amounts(ex, acc, asset) for asset in sorted(acc.wallet)}
    counted = list(amounts) if acc.settings.multi_assets else ["USDT"]
    totals = {
        name: dec(sum(margin.worth_usd_e8(ex, a, amounts[a][key]) for a in counted if a in amounts), E8)
        for name, key in TOTALS.items()
    }
    if acc.settings.multi_assets:
        totals["availableBalance"] = dec(margin.available_e8(ex, acc, "USDT"), E8)
    assets = [
        {"asset": a} | {key: dec(value, E8) for key, value in row.items()} | {"updateTime": acc.changed_ms[a]}
        for a, row in amounts.items()
    ]
    return totals | {"assets": assets, "positions": [_position_v3(row) for row in position_risk(ex, acc, {})]}


def _position_v3(row: dict[str, Any]) -> dict[str, Any]:
    """A position of the account answer, from its positionRisk row."""
    kept = ("symbol", "positionSide", "positionAmt")
    last = ("isolatedMargin", "notional", "isolatedWallet", "initialMargin", "maintMargin", "updateTime")
    out = {k: row[k] for k in kept} | {"unrealizedProfit": row["unRealizedProfit"]}
    return out | {k: row[k] for k in last} | {"isolatedMargin": padded(row["isolatedMargin"])}


def money(amount_e8: int) -> str:
    """An amount of a position: all eight places, but "0" for nothing."""
    return dec(amount_e8, E8) if amount_e8 else "0"


def padded(text: str) -> str:
    """The isolated margin where nothing has its eight places too."""
    return dec(0, E8) if text == "0" else text


def account_v2(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """GET v2/account, account.status: every symbol, with leverage and permissions."""
    now = account(ex, acc, p)
    positions = []
    for m in ex.markets.values():
        for side in sides_of(acc):
            row = risk_row(ex, acc, m, side)
            bids, asks = ex.open_notional(acc, m.spec)
            positions.append(
                {
                    "symbol": row["symbol"],
                    "initialMargin": row["initialMargin"],
                    "maintMargin": row["maintMargin"],
                    "unrealizedProfit": row["unRealizedProfit"],
                    "positionInitialMargin": row["positionInitialMargin"],
                    "openOrderInitialMargin": row["openOrderInitialMargin"],
                    "leverage": str(acc.leverage(m.spec.name)),
                    "isolated": m.spec.name in acc.settings.isolated,
                    "entryPrice": row["entryPrice"],
                    "breakEvenPrice": row["breakEvenPrice"],
                    "maxNotional": max_notional(acc, m),
                    "positionSide": side,
                    "positionAmt": row["positionAmt"],
                    "notional": row["notional"],
                    "isolatedWallet": row["isolatedWallet"],
                    "updateTime": row["updateTime"],
                    "bidNotional": bids,
                    "askNotional": asks,
                }
            )
    head = {
        "feeTier": 0,
        "feeBurn": acc.settings.fee_burn,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": False,
        "updateTime": 0,
        "multiAssetsMargin": acc.settings.multi_assets,
        "tradeGroupId": -1,
    }
    last = {"marginAvailable": True}
    assets = [
        {k: v for k, v in row.items() if k != "updateTime"} | last | {"updateTime": row["updateTime"]}
        for row in now["assets"]
    ]
    return head | now | {"assets": assets, "positions": positions}


def balance(ex: Exchange, acc: Account, p: Params) -> list[dict[str, Any]]:
    """GET v2/balance, v3/balance, account.balance."""
    out = []
    for asset in sorted(acc.wallet):
        row = asset_amounts(ex, acc, asset)
        shown = ("crossWalletBalance", "crossUnPnl", "availableBalance", "maxWithdrawAmount")
        out.append(
            {"accountAlias": alias(acc), "asset": asset, "balance": dec(row["walletBalance"], E8)}
            | {key: dec(row[key], E8) for key in shown}
            | {"marginAvailable": True, "updateTime": acc.changed_ms[asset]}
        )
    return out


def alias(acc: Account) -> str:
    """The account's code in balance answers."""
    return "".join(chr(ord("A") + (7 * i + 3 * acc.number + ord(c)) % 26) for i, c in enumerate(f"{acc.name:_<6}"[:6]))


def sides_of(acc: Account) -> tuple[str, ...]:
    """Position sides of the account's mode."""
    return (LONG, SHORT) if acc.settings.hedge else (BOTH,)


def max_notional(acc: Account, m: Market) -> str:
    """Largest position at the leverage in force, whole quote units."""
    return str(cap_e8(m.spec.brackets, acc.leverage(m.spec.name)) // UNIT_E8)


def risk_row(ex: Exchange, acc: Account, m: Market, side: str) -> dict[str, Any]:
    """One position as v3/positionRisk shows it."""
    spec, pos, mark, leverage = m.spec, acc.position(m.spec.name, side), m.mark(), acc.leverage(m.spec.name)
    worth = spec.value_e8(mark, pos.qty)
    initial = abs(worth) // leverage
    buys, sells = margin.working_e8(acc, spec, side)
    opening = (margin.exposure_e8(worth, buys, sells) - abs(worth)) // leverage
    profit = pos.unrealised_e8(spec, mark) if pos.qty else 0
    bids, asks = ex.open_notional(acc, spec)
    apart = pos.isolated_e8 + profit if pos.isolated_e8 else 0
    return {
        "symbol": spec.name,
        "positionSide": side,
        "positionAmt": spec.qty(pos.qty),
        "entryPrice": pos.entry_text(spec) if pos.qty else "0.0",
        "breakEvenPrice": pos.break_even_text(spec) if pos.qty else "0.0",
        "markPrice": dec(mark, E8),
        "unRealizedProfit": dec(profit, E8),
        "liquidationPrice": trim(margin.liquidation_price_e8(ex, acc, m, side), E8),
        "isolatedMargin": money(apart),
        "notional": money(worth),
        "marginAsset": spec.quote,
        "isolatedWallet": money(pos.isolated_e8),
        "initialMargin": money(initial + opening),
        "maintMargin": money(maintenance_e8(spec.brackets, worth) if pos.qty else 0),
        "positionInitialMargin": money(initial),
        "openOrderInitialMargin": money(opening),
        "adl": ex.liquidation.adl_quantile(acc, m, side),
        "bidNotional": bids,
        "askNotional": asks,
        "updateTime": pos.update_ms,
    }


def position_risk(ex: Exchange, acc: Account, p: Params) -> list[dict[str, Any]]:
    """GET v3/positionRisk, v2/account.position: symbols with a position or an open order."""
    out = []
    for m in markets_of(ex, p):
        name = m.spec.name
        busy = {side for side, _ in acc.held(name)} | {o.position_side for o in acc.open[name].values()}
        out += [risk_row(ex, acc, m, side) for side in sides_of(acc) if side in busy]
    return out


def position_risk_v2(ex: Exchange, acc: Account, p: Params) -> list[dict[str, Any]]:
    """GET v2/positionRisk, account.position: every symbol."""
    first = ("symbol", "positionAmt", "entryPrice", "breakEvenPrice", "markPrice", "unRealizedProfit")
    out = []
    for m in markets_of(ex, p):
        isolated = m.spec.name in acc.settings.isolated
        for side in sides_of(acc):
            row = risk_row(ex, acc, m, side)
            out.append(
                {k: row[k] for k in (*first, "liquidationPrice")}
                | {
                    "leverage": str(acc.leverage(m.spec.name)),
                    "maxNotionalValue": max_notional(acc, m),
                    "marginType": "isolated" if isolated else "cross",
                    "isolatedMargin": padded(row["isolatedMargin"]),
                    "isAutoAddMargin": "false",
                }
                | {k: row[k] for k in ("positionSide", "notional", "isolatedWallet", "updateTime")}
                | {"isolated": isolated, "adlQuantile": row["adl"]}
            )
    return out


def withdrawable(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """GET pmAccountInfo: what of an asset could leave a portfolio margin account; -1130 for an unknown asset."""
    asset = need(p, "asset")
    if asset not in acc.wallet:
        raise VenueError(-1130, "Data sent for parameter 'asset' is not valid.")
    amount = asset_amounts(ex, acc, asset)["maxWithdrawAmount"]
    worth = margin.worth_usd_e8(ex, asset, amount)
    return {"maxWithdrawAmountUSD": dec(worth, E8), "asset": asset, "maxWithdrawAmount": dec(amount, E8)}


def account_config(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """GET accountConfig."""
    return {
        "feeTier": 0,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": False,
        "dualSidePosition": acc.settings.hedge,
        "updateTime": 0,
        "multiAssetsMargin": acc.settings.multi_assets,
        "tradeGroupId": -1,
    }


def symbol_config(ex: Exchange, acc: Account, p: Params) -> list[dict[str, Any]]:
    """GET symbolConfig."""
    return [
        {
            "symbol": m.spec.name,
            "marginType": "ISOLATED" if m.spec.name in acc.settings.isolated else "CROSSED",
            "isAutoAddMargin": False,
            "leverage": acc.leverage(m.spec.name),
            "maxNotionalValue": max_notional(acc, m),
        }
        for m in markets_of(ex, p)
    ]


def leverage_bracket(ex: Exchange, acc: Account, p: Params) -> Any:
    """GET leverageBracket: a list also for one symbol, as the venue has it."""
    return [
        {"symbol": m.spec.name, "notionalCoef": 1.0, "brackets": tier_rows(m.spec.brackets)} for m in markets_of(ex, p)
    ]


def commission_rate(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """GET commissionRate."""
    m = ex.market(need(p, "symbol"))
    return {
        "symbol": m.spec.name,
        "makerCommissionRate": dec(acc.maker_ppm, 6),
        "takerCommissionRate": dec(acc.taker_ppm, 6),
        "rpiCommissionRate": dec(acc.maker_ppm, 6),
    }


def adl_quantile(ex: Exchange, acc: Account, p: Params) -> Any:
    """GET adlQuantile: per symbol with a position, its place in the queue (0 to 4)."""
    rows = []
    for m in markets_of(ex, p):
        held = acc.held(m.spec.name)
        if held:
            rank = {side: ex.liquidation.adl_quantile(acc, m, side) for side, _ in held}
            rows.append({"symbol": m.spec.name, "adlQuantile": rank})
    return rows
