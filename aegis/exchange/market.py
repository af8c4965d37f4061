"""Synthetic flow: seeded background agents on the same matching engine the user trades on.

Problem: a canned price path cannot answer an order. Here a fair price walks inside the symbol's band and agents
quote, cancel and take around it, in calm and in bursts, so a user's order meets a real queue. The wall clock decides
only how many events happen, the seed decides which: the n-th event is the same in every run, unless the user's own
orders changed the book.
What must stay true: every price an agent quotes lies in the symbol's band; each side keeps at least LEVELS_MIN
levels.
"""

from __future__ import annotations

import random

from aegis.exchange.engine import Exchange
from aegis.exchange.instrument import Market
from aegis.exchange.matching import AGENT, BUY, SELL, Book, Order
from aegis.exchange.symbols import Spec

LEVELS_MIN = 12
LEVELS_START = 40
ORDERS_MAX = 160
BATCH_MAX = 2000
QUIET_MAX = 12  # events a symbol may go without a trade: trade streams of quiet symbols must not look dead


class Agents:
    """The background of one symbol. `fair` is its hidden price; `burst` counts events left of a one-sided rush."""

    def __init__(self, ex: Exchange, m: Market, rng: random.Random) -> None:
        self.ex, self.m, self.spec, self.rng = ex, m, m.spec, rng
        self.fair = m.spec.start_px
        self.live: list[Order] = []
        self.burst, self.burst_side, self.quiet = 0, BUY, 0
        self.unit = self._unit(m.spec)
        self.seed_book()

    @staticmethod
    def _unit(spec: Spec) -> int:
        """A typical small order: about 400 quote units, on the lot grid, above the minimum."""
        lots = 400 * int(10 ** (spec.px_exp + spec.qty_exp)) // max(spec.start_px, 1) // spec.step
        return max(lots, 1) * spec.step

    def clamp(self, px: int, side: int) -> int:
        """`px` on the tick grid and inside the band, leaving room for the other side."""
        low, high = self.spec.band
        room = LEVELS_MIN * 2 * self.spec.tick
        low, high = (low, high - room) if side == BUY else (low + room, high)
        px = min(max(px, low), high)
        return px // self.spec.tick * self.spec.tick

    def quantity(self) -> int:
        """A size with a long tail, on the lot grid."""
        many = min(int(self.rng.paretovariate(1.3)), 60)
        return min(self.unit * many, self.spec.market_max_qty)

    def order(self, side: int, kind: str, px: int, qty: int, tif: str = "GTC") -> Order:
        """A background order."""
        self.ex.next_agent += 1
        return Order(-self.ex.next_agent, "", AGENT, self.spec.name, side, kind, tif, px, qty)

    def seed_book(self) -> None:
        """Levels on both sides before anybody looks."""
        for i in range(1, LEVELS_START + 1):
            for side in (BUY, SELL):
                self.quote(side, self.fair - side * i * self.spec.tick)

    def quote(self, side: int, px: int) -> None:
        """Rest a limit order (it may take first when it crosses)."""
        o = self.order(side, "LIMIT", self.clamp(px, side), self.quantity())
        self.ex.agent(self.m, o)
        if o.is_open:
            self.live.append(o)

    def step(self) -> None:
        """One event."""
        rng = self.rng
        self.walk()
        draw = rng.random()
        if self.burst:
            self.burst -= 1
            draw, side = draw * 0.6 + 0.4, self.burst_side
        else:
            side = BUY if rng.random() < 0.5 else SELL
            if rng.random() < 0.004:
                self.burst, self.burst_side = rng.randrange(10, 60), side
        self.quiet += 1
        if self.quiet > QUIET_MAX:
            self.take(side)
        elif draw < 0.5:
            distance = 1 + min(int(rng.expovariate(0.25)), LEVELS_START)
            self.quote(side, self.fair - side * distance * self.spec.tick)
        elif draw < 0.78 or len(self.live) > ORDERS_MAX:
            self.cancel_one()
        else:
            self.take(side)
        self.refill()

    def walk(self) -> None:
        """Move the hidden price now and then, more in a burst."""
        if self.rng.random() < (0.5 if self.burst else 0.12):
            direction = self.burst_side if self.burst else (1 if self.rng.random() < 0.5 else -1)
            low, high = self.spec.band
            room = LEVELS_START * self.spec.tick
            self.fair = min(max(self.fair + direction * self.spec.tick, low + room), high - room)

    def cancel_one(self) -> None:
        """Cancel a random background order; ended ones met on the way are forgotten."""
        while self.live:
            i = self.rng.randrange(len(self.live))
            self.live[i], self.live[-1] = self.live[-1], self.live[i]
            o = self.live.pop()
            if o.is_open:
                self.m.book.cancel(o)  # type: ignore[attr-defined]
                o.end("CANCELED")
                self.ex.md.changed(self.m, self.ex.clock())
                return

    def take(self, side: int) -> None:
        """A market order, small against what is displayed."""
        bound = self.fair + side * 3 * self.spec.tick
        if self.m.book.crosses(side, bound):  # type: ignore[attr-defined]
            self.quiet = 0
            self.ex.agent(self.m, self.order(side, "MARKET", 0, self.quantity()), bound)

    def refill(self) -> None:
        """Keep both sides deep enough, and quotes near the hidden price."""
        book = self.m.book
        for side in (BUY, SELL):
            best = book.best(side)[0]
            short = LEVELS_MIN - len(book.top(side, LEVELS_MIN))
            if not best or (self.fair - best) * side > 3 * self.spec.tick:
                self.quote(side, self.fair - side * self.spec.tick)
            for i in range(max(short, 0)):
                self.quote(side, self.fair - side * (LEVELS_MIN + i + self.rng.randrange(1, 6)) * self.spec.tick)


class Flow:
    """
    All symbols' agents.

    Args:
        seed: decides every event.
        rate: events per second over all symbols; at least two per symbol.
    """

    def __init__(self, ex: Exchange, seed: int, rate: int) -> None:
        self.rng = random.Random(seed)
        self.agents = [Agents(ex, m, random.Random(f"{seed}/{name}")) for name, m in ex.markets.items()]
        self.rate = max(rate, 2 * len(self.agents)) if rate > 0 else 0
        self.owed_ns = 0
        self.turn: list[Agents] = []

    def advance(self, elapsed_ns: int) -> int:
        """Run the events that are due after `elapsed_ns` more; returns how many."""
        self.owed_ns += elapsed_ns * self.rate
        count = min(self.owed_ns // 1_000_000_000, BATCH_MAX)
        self.owed_ns = min(self.owed_ns - count * 1_000_000_000, 1_000_000_000 * BATCH_MAX)
        for _ in range(count):
            self.step()
        return count

    def step(self) -> None:
        """One event of the next symbol; a round visits every symbol once in a random order."""
        if not self.turn:
            self.turn = list(self.agents)
            self.rng.shuffle(self.turn)
        self.turn.pop().step()


def make_markets(specs: list[Spec], base_id: int, seed: int = 1) -> dict[str, Market]:
    """Empty markets with matching books; ids start at `base_id`, `seed` decides their past and their prices."""
    return {s.name: Market(s, Book(), base_id, base_id, base_id, seed=seed) for s in specs}
