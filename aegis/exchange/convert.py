"""Conversion of one coin of the wallet into another: pairs, quotes, acceptance.

Problem: the venue quotes these from a desk of its own, whose spread nobody publishes; here a quote is the mark price.
What must stay true: a quote is taken once, while it is valid, and moves exactly the amounts it named; money that
leaves in one coin comes back in another, both as transfers, so that the books of both coins hold.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from itertools import permutations
from typing import Any

from aegis.errors import VenueError
from aegis.exchange import margin
from aegis.exchange.account import Account
from aegis.exchange.account_views import asset_amounts
from aegis.exchange.engine import Exchange
from aegis.exchange.filters import number
from aegis.exchange.params import Params, choice, need
from aegis.exchange.symbols import E8, trim

UNIT_E8 = 10**E8
VALID_MS = {"10s": 10_000, "30s": 30_000, "1m": 60_000}
LEAST_USD, MOST_USD = 1, 1_000_000


@dataclass(slots=True)
class Quote:
    """An offer to one account, in 1e-8; `order_id` once it was taken."""

    owner: str
    coins: tuple[str, str]
    gives_e8: int
    takes_e8: int
    valid_ms: int
    order_id: int = 0
    time_ms: int = 0

    def terms(self) -> dict[str, str]:
        """Both ratios as texts."""
        ratio, inverse = self.takes_e8 * UNIT_E8 // self.gives_e8, self.gives_e8 * UNIT_E8 // self.takes_e8
        return {"ratio": trim(ratio, E8), "inverseRatio": trim(inverse, E8)}


def usd_e8(ex: Exchange, p: Params, name: str) -> int:
    """What one of the coin named is worth; -1130 for a coin without a market here."""
    worth = margin.worth_usd_e8(ex, p[name], UNIT_E8)
    if not worth:
        raise VenueError(-1130, f"Data sent for parameter '{name}' is not valid.")
    return worth


def pairs(ex: Exchange, p: Params) -> list[dict[str, str]]:
    """GET convert/exchangeInfo: all pairs of coins, or those from and to the coins named."""
    coins = sorted({m.spec.quote for m in ex.markets.values()} | {m.spec.base for m in ex.markets.values()})
    worth = {coin: margin.worth_usd_e8(ex, coin, UNIT_E8) for coin in coins}
    rows = []
    for one, other in permutations((coin for coin in coins if worth[coin]), 2):
        if p.get("fromAsset") in (None, "", one) and p.get("toAsset") in (None, "", other):
            row = {"fromAsset": one, "toAsset": other}
            for name, coin in (("fromAsset", one), ("toAsset", other)):
                for word, usd in (("Min", LEAST_USD), ("Max", MOST_USD)):
                    row[f"{name}{word}Amount"] = trim(usd * UNIT_E8 * UNIT_E8 // worth[coin], E8)
            rows.append(row)
    return rows


class Desk:
    """The quotes of one venue and what became of them."""

    def __init__(self) -> None:
        self.quotes: dict[str, Quote] = {}

    def quote(self, ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
        """POST convert/getQuote, by fromAmount or toAmount; -2019 for more than could be withdrawn."""
        one, other = need(p, "fromAsset"), need(p, "toAsset")
        if bool(p.get("fromAmount")) == bool(p.get("toAmount")):
            raise VenueError(-1128, "Combination of optional parameters invalid.")
        price, against = usd_e8(ex, p, "fromAsset"), usd_e8(ex, p, "toAsset")
        if p.get("fromAmount"):
            gives = number(p["fromAmount"], "fromAmount", E8)
            takes = gives * price // against
        else:
            takes = number(p["toAmount"], "toAmount", E8)
            gives = -(-takes * against // price)
        worth = gives * price // UNIT_E8
        if one == other or takes <= 0 or not LEAST_USD * UNIT_E8 <= worth <= MOST_USD * UNIT_E8:
            raise VenueError(-1130, "Data sent for parameter 'fromAmount' is not valid.")
        if one not in acc.wallet or gives > asset_amounts(ex, acc, one)["maxWithdrawAmount"]:
            raise VenueError(-2019, "Margin is insufficient.")
        valid = ex.clock() + VALID_MS[choice(p, "validTime", VALID_MS, -1130, "10s")]
        ident, made = str(secrets.randbelow(10**18)), Quote(acc.name, (one, other), gives, takes, valid)
        self.quotes[ident] = made
        amounts = {"validTimestamp": valid, "toAmount": trim(takes, E8), "fromAmount": trim(gives, E8)}
        return {"quoteId": ident, **made.terms(), **amounts}

    def accept(self, ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
        """POST convert/acceptQuote; -1130 for a quote that is not there, too old or taken, -2019 without the money."""
        q, now = self.quotes.get(need(p, "quoteId")), ex.clock()
        if q is None or q.owner != acc.name or q.order_id or q.valid_ms < now:
            raise VenueError(-1130, "Data sent for parameter 'quoteId' is not valid.")
        one, other = q.coins
        if q.gives_e8 > asset_amounts(ex, acc, one)["maxWithdrawAmount"]:
            raise VenueError(-2019, "Margin is insufficient.")
        q.order_id, q.time_ms = secrets.randbelow(10**18) + 1, now
        for coin, amount, why in ((one, -q.gives_e8, "COIN_SWAP_WITHDRAW"), (other, q.takes_e8, "COIN_SWAP_DEPOSIT")):
            acc.flow(coin, "transfers", amount)
            acc.row("", why, amount, coin, now)
            acc.check(coin)
            ex.tell_account(acc, why, [], {coin: amount})
        return {"orderId": str(q.order_id), "createTime": now, "orderStatus": "PROCESS"}

    def status(self, _ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
        """GET convert/orderStatus by orderId or quoteId; -2013 for one that was never taken."""
        for ident, q in self.quotes.items():
            if (
                q.order_id
                and q.owner == acc.name
                and (p.get("quoteId") == ident or p.get("orderId") == str(q.order_id))
            ):
                return {
                    "orderId": q.order_id,
                    "orderStatus": "SUCCESS",
                    "fromAsset": q.coins[0],
                    "fromAmount": trim(q.gives_e8, E8),
                    "toAsset": q.coins[1],
                    "toAmount": trim(q.takes_e8, E8),
                    **q.terms(),
                    "createTime": q.time_ms,
                }
        raise VenueError(-2013, "Order does not exist.")
