"""What the orchestrator asks the venue by REST: snapshots, fills, incomes, the end of an order.

What must stay true: numbers stay the venue's own digits; paging goes on until an answer is short; nothing here
changes anything on the venue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from aegis.errors import BadMessage, VenueError
from aegis.ledger.ledger import margin_asset
from aegis.messages import Fill, Side
from aegis.recon.compare import Books
from aegis.recon.resolve import Income
from aegis.units import Num

PAGE = 1000
MS = 1_000_000
ENDED = {"FILLED", "CANCELED", "EXPIRED", "EXPIRED_IN_MATCH", "REJECTED"}
_OF_TRADES = {"REALIZED_PNL", "COMMISSION"}


async def server_ms(rest: Any) -> int:
    """Venue time in ms."""
    return int((await rest.get("/fapi/v1/time", {}))["serverTime"])


async def snapshot(rest: Any, now_ns: int) -> Books:
    """
    Positions, wallets and working orders now.

    Raises:
        BadMessage: fields missing. And what `rest.get` raises.

    Source: PROTOCOL 9.1 (positionRisk v3, balance v3, openOrders without symbol).
    """
    risks, balances, working = await asyncio.gather(
        rest.get("/fapi/v3/positionRisk", {}, signed=True),
        rest.get("/fapi/v3/balance", {}, signed=True),
        rest.get("/fapi/v1/openOrders", {}, signed=True),
    )
    try:
        held: dict[str, Num] = {}
        for row in risks:
            qty = Num.parse(row["positionAmt"])
            if qty:
                held[row["symbol"]] = held.get(row["symbol"], Num()) + qty
        wallets = {row["asset"]: Num.parse(row.get("balance") or row["walletBalance"]) for row in balances}
        orders = {row["clientOrderId"]: row["symbol"] for row in working}
    except (KeyError, TypeError, AttributeError) as e:
        raise BadMessage(f"account snapshot without its fields: {e}") from e
    return Books(positions=held, wallets={a: w for a, w in wallets.items() if w}, orders=orders, taken_ns=now_ns)


async def entry_prices(rest: Any) -> dict[str, Num]:
    """Entry price per symbol as the venue shows it; used once, to open the books."""
    rows = await rest.get("/fapi/v3/positionRisk", {}, signed=True)
    return {row["symbol"]: Num.parse(row["entryPrice"]) for row in rows}


def fill_of_row(row: dict[str, Any], margin_assets: dict[str, str]) -> Fill:
    """One row of userTrades."""
    try:
        margin = row.get("marginAsset") or margin_asset(row["symbol"], margin_assets)
        return Fill(
            symbol=row["symbol"], trade_id=int(row["id"]), order_id=int(row["orderId"]), side=Side[row["side"]],
            qty=Num.parse(row["qty"]), price=Num.parse(row["price"]), commission=Num.parse(row["commission"]),
            commission_asset=row["commissionAsset"], realised=Num.parse(row["realizedPnl"]), margin_asset=margin,
            maker=bool(row["maker"]), exch_ns=int(row["time"]) * MS, source="userTrades",
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as e:
        raise BadMessage(f"userTrades row without its fields: {e}") from e


async def fills_since(rest: Any, symbol: str, confirmed: int, margin_assets: dict[str, str]) -> list[Fill]:
    """
    Every fill of a symbol above trade id `confirmed`, rising; with 0 the last page of what the venue keeps.

    Source: PROTOCOL 9.3 step 4: the only way to find orders that opened and finished in a gap.
    """
    if not confirmed:
        rows = await rest.get("/fapi/v1/userTrades", {"symbol": symbol, "limit": PAGE}, signed=True)
        return [fill_of_row(r, margin_assets) for r in rows]
    found: list[Fill] = []
    while True:
        query = {"symbol": symbol, "fromId": confirmed + 1, "limit": PAGE}
        rows = await rest.get("/fapi/v1/userTrades", query, signed=True)
        found += [f for f in (fill_of_row(r, margin_assets) for r in rows) if f.trade_id > confirmed]
        if len(rows) < PAGE:
            return found
        confirmed = found[-1].trade_id


async def incomes_since(rest: Any, since_ns: int) -> list[Income]:
    """Income that is not of a trade since a moment, rising."""
    query = {"startTime": since_ns // MS, "limit": PAGE}
    rows = await rest.get("/fapi/v1/income", query, signed=True)
    try:
        return [
            Income(
                asset=r["asset"], reason=r["incomeType"], amount=Num.parse(r["income"]), exch_ns=int(r["time"]) * MS,
                tran_id=int(r["tranId"]), symbol=r.get("symbol", ""),
            )
            for r in rows
            if r["incomeType"] not in _OF_TRADES
        ]  # fmt: skip
    except (KeyError, TypeError, ValueError) as e:
        raise BadMessage(f"income row without its fields: {e}") from e


def unmatched(incomes: Iterable[Income], known: Iterable[tuple[int, Num, int]], slack_ns: int) -> tuple[Income, ...]:
    """Incomes without a posting of the same amount near the same time; each posting answers for one income."""
    free = list(known)
    left: list[Income] = []
    for income in incomes:
        same = next((k for k in free if k[1] == income.amount and abs(k[2] - income.exch_ns) <= slack_ns), None)
        if same is None:
            left.append(income)
        else:
            free.remove(same)
    return tuple(left)


async def order_status(rest: Any, symbol: str, client_id: str) -> str:
    """The venue's status word of one order; "" when it does not know it (which proves nothing after 3 days)."""
    try:
        row = await rest.get("/fapi/v1/order", {"symbol": symbol, "origClientOrderId": client_id}, signed=True)
    except VenueError as e:
        if e.code == -2013:
            return ""
        raise
    return str(row.get("status", ""))
