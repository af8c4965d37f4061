"""In what a client's words differ from the venue's truth: orders, open orders, positions, balances.

What must stay true: numbers are compared as values, so padding is no difference and the last digit is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from aegis.exchange.score.speech import ENDED, number
from aegis.exchange.score.world import Truth


def order_difference(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    """In what a client's order differs from the venue's; "" when in nothing that matters."""
    status = ours.get("status")
    same = status == theirs["status"] or (theirs["status"] == "EXPIRED_IN_MATCH" and status == "EXPIRED")
    filled = number(ours.get("filled"), "filled")
    if not same:
        return f"status {status}, venue {theirs['status']}"
    if filled != Decimal(theirs["executedQty"]):
        return f"filled {filled}, venue {theirs['executedQty']}"
    if number(ours.get("quantity"), "quantity") != Decimal(theirs["origQty"]):
        return f"quantity {ours.get('quantity')}, venue {theirs['origQty']}"
    return ""


def open_difference(rows: list[dict[str, Any]], truth: Truth) -> list[str]:
    """Open orders by client id, conditional ones included."""
    ours = {str(r.get("client_id")) for r in rows if r.get("status") not in ENDED}
    theirs = {str(o["clientOrderId"]) for o in truth.open} | set(truth.algos)
    return [f"open orders: client {sorted(ours)}, venue {sorted(theirs)}"] if ours != theirs else []


def position_difference(rows: list[dict[str, Any]], truth: Truth) -> list[str]:
    """Positions by symbol, in hedge mode by symbol and side."""
    ours: dict[str, Decimal] = {}
    for row in rows:
        side = row.get("position_side") or "BOTH"
        key = str(row.get("symbol")) + ("" if side == "BOTH" else f"/{side}")
        ours[key] = ours.get(key, Decimal(0)) + number(row.get("quantity"), "quantity")
    ours = {s: q for s, q in ours.items() if q}
    shown = {s: str(q) for s, q in ours.items()}
    theirs = {s: str(q) for s, q in truth.positions.items()}
    return [f"positions: client {shown}, venue {theirs}"] if ours != truth.positions else []


def balance_difference(balances: Mapping[str, Any], truth: Truth) -> list[str]:
    """Wallet balances by asset, to the last digit."""
    out = []
    for asset, theirs in truth.wallets.items():
        ours = number(balances.get(asset, "0"), f"balance of {asset}")
        if ours != theirs:
            out.append(f"balance {asset}: client {ours}, venue {theirs}")
    return out
