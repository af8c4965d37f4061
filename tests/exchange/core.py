"""A venue without sockets or clock of its own, for tests of the books: time and marks move when the test says so."""

from __future__ import annotations

import json
from typing import Any

from aegis.errors import VenueError
from aegis.exchange import orders
from aegis.exchange.account import Account
from aegis.exchange.assembly import make_exchange, tick
from aegis.exchange.engine import Exchange
from aegis.exchange.market import make_markets
from aegis.exchange.matching import AGENT, BUY, SELL, Order
from aegis.exchange.rules import Rules
from aegis.exchange.streams import Hub
from aegis.exchange.symbols import E8, listing

START_MS = 1_790_000_000_000


class Venue:
    """
    An exchange whose clock is `now`, with the given wallets in USDT.

    Attributes:
        told: (account name, decoded event) in the order in which they were told.
    """

    def __init__(self, wallets: dict[str, int], symbols: int = 16, rules: Rules | None = None) -> None:
        self.now = START_MS
        accounts = [
            Account({"USDT": amount * 10**E8, "USDC": 0, "BNB": 0}, name=name, number=i + 1)
            for i, (name, amount) in enumerate(wallets.items())
        ]
        markets = make_markets(listing(symbols), START_MS * 1000)
        self.ex: Exchange = make_exchange(markets, accounts, Hub(), lambda: self.now, rules)
        self.told: list[tuple[str, dict[str, Any]]] = []
        for acc in accounts:
            acc.listen_key = f"key-{acc.name}"
            acc.listen_until_ns = 1 << 62
        self.ex.tell = lambda acc, text: self.told.append((acc.name, json.loads(text)))  # type: ignore[method-assign]

    def acc(self, name: str = "main") -> Account:
        """An account by name."""
        return self.ex.accounts[name]

    def street(self, symbol: str, side: int, px: str, qty: str) -> Order:
        """Rest (or match) a background order."""
        m = self.ex.markets[symbol]
        self.ex.next_agent += 1
        o = Order(
            -self.ex.next_agent,
            "",
            AGENT,
            symbol,
            side,
            "LIMIT",
            "GTC",
            units(px, m.spec.px_exp),
            units(qty, m.spec.qty_exp),
        )
        self.ex.agent(m, o)
        return o

    def quote(self, symbol: str, bid: str, ask: str, qty: str = "100") -> None:
        """One level on each side, in place of what the street had there."""
        m = self.ex.markets[symbol]
        for side in (BUY, SELL):
            for level in list(m.book.half[side].levels.values()):  # type: ignore[attr-defined]
                for o in [o for o in level.orders.values() if o.owner == AGENT]:
                    m.book.cancel(o)  # type: ignore[attr-defined]
        self.street(symbol, BUY, bid, qty)
        self.street(symbol, SELL, ask, qty)

    def mark(self, symbol: str, price: str) -> None:
        """Pin the mark price."""
        self.ex.prices.pin(symbol, units(price, E8))

    def tick(self, ms: int = 0) -> None:
        """Let time pass."""
        self.now += ms
        tick(self.ex)

    def place(self, name: str = "main", **p: str) -> dict[str, Any]:
        """POST order."""
        return orders.place(self.ex, self.acc(name), p)

    def refused(self, name: str = "main", **p: str) -> int:
        """The code with which POST order is refused."""
        try:
            self.place(name, **p)
        except VenueError as e:
            return e.code
        raise AssertionError("the order was taken")

    def events(self, kind: str, name: str = "main") -> list[dict[str, Any]]:
        """Events of a kind told to an account."""
        return [e for who, e in self.told if who == name and e["e"] == kind]


def units(text: str, places: int) -> int:
    """Decimal text as an int at `places`."""
    whole, _, part = text.partition(".")
    assert len(part) <= places
    return int(whole + part.ljust(places, "0"))
