"""What the feed asks of REST: which symbols exist, snapshots of books, and records missed in a gap.

What must stay true: prices and sizes go from the venue's text to integers at the symbol's exponents without rounding
(`Inexact` otherwise); a symbol is taken only when it is TRADING and PERPETUAL (PROTOCOL 10 T16).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from aegis.config import Symbols
from aegis.errors import BadMessage, ConfigError, VenueError
from aegis.messages import Rules
from aegis.units import Num

DEPTH_PATH = "/fapi/v1/depth"
TRADES_PATH, HISTORY_PATH, AGG_PATH = "/fapi/v1/trades", "/fapi/v1/historicalTrades", "/fapi/v1/aggTrades"
TRADES_WEIGHT, HISTORY_WEIGHT, AGG_WEIGHT = 5, 20, 20
PAGE, HISTORY_PAGE = 1000, 500


def choose(rules: dict[str, Rules], wanted: Symbols) -> list[Rules]:
    """
    Symbols to listen to, in the venue's order or the list's.

    Raises:
        ConfigError: a listed symbol the venue does not trade as a perpetual, or none at all.
    """
    usable = {s: r for s, r in rules.items() if r.status == "TRADING" and r.contract_type == "PERPETUAL"}
    if wanted.list:
        absent = [s for s in wanted.list if s not in usable]
        if absent:
            raise ConfigError(f"symbols.list: not trading as perpetual on the venue: {', '.join(absent[:5])}")
        return [usable[s] for s in wanted.list]
    chosen = [r for r in usable.values() if r.quote_asset == wanted.quote_asset][: wanted.max]
    if not chosen:
        raise ConfigError(f"symbols.quote_asset = {wanted.quote_asset!r}: the venue trades no such perpetual")
    return chosen


def levels(rows: list[list[str]], px_exp: int, qty_exp: int) -> np.ndarray:
    """[[price, size], ...] as `(n, 2) int64` mantissas; raises Inexact / BadNumber."""
    flat = [(Num.parse(px).at(px_exp), Num.parse(qty).at(qty_exp)) for px, qty, *_ in rows]
    return np.array(flat, np.int64).reshape(-1, 2)


async def depth(rest: Any, symbol: str, limit: int) -> tuple[int, list[list[str]], list[list[str]]]:
    """(lastUpdateId, bids, asks) of a book; raises BadMessage and what `Rest.get` raises."""
    body = await rest.get(DEPTH_PATH, {"symbol": symbol, "limit": limit})
    try:
        return int(body["lastUpdateId"]), body["bids"], body["asks"]
    except (KeyError, TypeError, ValueError) as exc:
        raise BadMessage(f"depth of {symbol} without its fields") from exc


class Missed:
    """One trade that was missed: exact text of the venue, `side` of the aggressor (+1 bought, -1 sold)."""

    __slots__ = ("id", "ms", "price", "qty", "side")

    def __init__(self, number: int, price: str, qty: str, ms: int, maker_bought: bool) -> None:
        self.id, self.ms, self.side = number, ms, -1 if maker_bought else 1
        self.price, self.qty = Num.parse(price), Num.parse(qty)


async def trades(rest: Any, symbol: str, from_id: int) -> list[tuple[int, Missed]]:
    """Trades from `from_id` on, rising: the recent ones when they reach back far enough, else one page of history."""
    rows = await rest.get(TRADES_PATH, {"symbol": symbol, "limit": PAGE})
    if rows and int(rows[0]["id"]) > from_id:
        try:
            query = {"symbol": symbol, "fromId": from_id, "limit": HISTORY_PAGE}
            rows = await rest.get(HISTORY_PATH, query) or rows
        except VenueError:  # history needs a key; what is recent is better than nothing
            pass
    try:
        found = [
            (int(r["id"]), Missed(int(r["id"]), r["price"], r["qty"], int(r["time"]), bool(r["isBuyerMaker"])))
            for r in rows
            if int(r["id"]) >= from_id
        ]
    except (KeyError, TypeError, ValueError) as exc:
        raise BadMessage(f"trades of {symbol} without their fields") from exc
    return sorted(found, key=lambda row: row[0])


async def agg_trades(rest: Any, symbol: str, from_id: int) -> list[tuple[int, Missed]]:
    """Aggregate trades from `from_id` on, rising."""
    rows = await rest.get(AGG_PATH, {"symbol": symbol, "fromId": from_id, "limit": PAGE})
    try:
        found = [(int(r["a"]), Missed(int(r["a"]), r["p"], r["q"], int(r["T"]), bool(r["m"]))) for r in rows]
    except (KeyError, TypeError, ValueError) as exc:
        raise BadMessage(f"aggTrades of {symbol} without their fields") from exc
    return sorted((row for row in found if row[0] >= from_id), key=lambda row: row[0])
