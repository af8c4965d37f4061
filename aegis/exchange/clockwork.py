"""What happens by the clock and from outside: dead-man switches, expiries, funding, transfers, trades by hand.

Problem: none of these has a request behind it, and each still must be booked and told like everything else.
What must stay true: funding moves money between accounts and the street and creates none; a trade by hand has its
other side booked too.
"""

from __future__ import annotations

import secrets

from aegis.exchange import events
from aegis.exchange.account import BOTH, Account, Execution
from aegis.exchange.clock import mono_ns
from aegis.exchange.engine import Exchange
from aegis.exchange.instrument import Market
from aegis.exchange.matching import BUY, Fill, Order, Outcome


class Clockwork:
    """Timers of one venue."""

    def __init__(self, ex: Exchange) -> None:
        self.ex = ex

    def tick(self) -> None:
        """Everything whose time has come."""
        now, mono = self.ex.clock(), mono_ns()
        for acc in self.ex.accounts.values():
            self._deadlines(acc, mono)
            if acc.listen_key and mono > acc.listen_until_ns:
                self.end_listen_key(acc, expired=True)
            for rows in acc.open.values():
                for o in [o for o in rows.values() if o.gtd_ms and o.gtd_ms <= now]:
                    self.ex.finish(o, "EXPIRED")

    def _deadlines(self, acc: Account, mono: int) -> None:
        for symbol in [s for s, (at, _) in acc.deadlines.items() if at <= mono]:
            del acc.deadlines[symbol]
            for o in list(acc.open[symbol].values()):
                self.ex.finish(o, "CANCELED")
            if not self.ex.rules.countdown_spares_algo:
                for a in list(self.ex.algo.desks[acc.number].open[symbol].values()):
                    self.ex.algo.end(a, "CANCELED")

    # listen keys ------------------------------------------------------------
    def start_listen_key(self, acc: Account) -> str:
        """The account's current key, extended; a new one when none lives."""
        if not acc.listen_key:
            acc.listen_key = secrets.token_hex(32)
            self.ex.listen_keys[acc.listen_key] = acc
        acc.listen_until_ns = mono_ns() + int(self.ex.rules.listen_key_s * 1e9)
        return acc.listen_key

    def end_listen_key(self, acc: Account, expired: bool) -> None:
        """Kill the key; an expiry is told in-band, a deletion is not."""
        if expired and acc.listen_key:
            self.ex.tell(acc, events.listen_key_expired(acc.listen_key, self.ex.clock()))
        self.ex.listen_keys.pop(acc.listen_key, None)
        acc.listen_key = ""

    # money ------------------------------------------------------------------
    def fund(self, m: Market, rate_e8: int, mark_e8: int) -> None:
        """Settle one symbol's funding at a rate and mark (1e-8); the street is the other side."""
        ex, now, spec = self.ex, self.ex.clock(), m.spec
        paid = 0
        for acc in ex.accounts.values():
            for side, pos in acc.held(spec.name):
                amount = acc.pay_funding(spec, pos, mark_e8, rate_e8, now)
                paid += amount
                if amount:
                    rows = [(m, side)] if pos.isolated_e8 else []
                    ex.tell_account(acc, "FUNDING_FEE", rows, {spec.quote: amount}, about=spec.name)
        if paid:
            ex.street.flow(spec.quote, "funding", -paid)

    def transfer(self, acc: Account, asset: str, amount_e8: int, silent: bool) -> None:
        """Deposit or withdraw, told as ACCOUNT_UPDATE unless `silent`."""
        acc.transfer(asset, amount_e8, self.ex.clock())
        if not silent:
            self.ex.tell_account(acc, "DEPOSIT" if amount_e8 > 0 else "WITHDRAW", [], {asset: amount_e8})

    def hand_trade(
        self, acc: Account, m: Market, delta: int, px: int, silent: bool, *, side: str = BOTH, prefix: str = "web_"
    ) -> Execution:
        """A trade behind the client's back: ordinary records, no book; `silent` sends no user event."""
        ex, now = self.ex, self.ex.clock()
        o = ex.user_order(
            acc,
            m.spec.name,
            {
                "client_id": f"{prefix}{secrets.token_hex(8)}",
                "side": BUY if delta > 0 else -BUY,
                "kind": "MARKET",
                "tif": "GTC",
                "px": 0,
                "qty": abs(delta),
                "position_side": side,
                "time_ms": now,
                "update_ms": now,
            },
        )
        acc.file(o)
        return self.fill_by_hand(m, o, px, silent)

    def fill_by_hand(self, m: Market, o: Order, px: int, silent: bool) -> Execution:
        """Execute what is left of an order against the street, outside the book."""
        ex, now, left = self.ex, self.ex.clock(), o.left
        before = {o.id: (o.filled, o.cost)}
        o.take(px, left)
        tid, m.next_trade = m.next_trade, m.next_trade + 1
        done = ex.book(m, Fill(None, o, o.side, px, left), tid, before, now)
        if not silent:
            ex.tell_all(m, Outcome(), o, done, now)
        return done[0][1]
