"""Synthetic flow: seeded background agents on the same matching engine the users trade on.

Problem: a canned price path cannot answer an order, and evenly spaced small orders look like no market: in captures
most changes touch the size of the best level or prices far behind it, trades are rare, sizes have long tails, and when
the price moves, somebody sweeps several levels and hundreds of quotes are moved after it at once. So agents here do
those few things in those proportions. The wall clock decides only how many events happen, the seed decides which: the
n-th event is the same in every run, unless a user's own orders changed the book.
What must stay true: every price an agent quotes lies in the symbol's band; each side keeps at least LEVELS_MIN
levels; distances and sizes are those of money, not of ticks, so that a coarse tick does not make a wild market.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass

from aegis.exchange.engine import Exchange
from aegis.exchange.instrument import Market
from aegis.exchange.matching import AGENT, BUY, SELL, Book, Order
from aegis.exchange.symbols import Spec

TRADES_KEPT, TRADES_KEPT_MIN = 120_000, 2_000  # of all symbols together, and of each at the least
LEVELS_MIN = 12
BATCH_MAX = 2000
QUIET_MIN = 12  # events a slow symbol may go without a trade: trade streams of quiet symbols must not look dead
QUIET_MS = 450
TAKES_PER_S, JUMPS_PER_S = 9, 1.2
ECHO, ECHO_NEAR = 0.55, 0.06  # chance that a taker is followed by another, and of each event to be that one
BURST_CLOSES = 0.04  # chance of each quote after a move to close the spread
TOP_SHARE = 0.14  # of events, those that change the best level
REACH_PPM, JUMP_PPM = 700, 18  # median distance of a quote from the price, and of a move of it
ORDERS_ALL = 60_000  # resting orders over all symbols, about
# by highest leverage: resting orders per side, quote units of an ordinary order, of the best level, of a taker
STYLES = {
    125: (700, 4000, 200_000, 420),
    75: (160, 700, 15_000, 500),
    50: (90, 300, 5_000, 250),
    20: (60, 150, 2_500, 150),
}


@dataclass(frozen=True, slots=True)
class Style:
    """
    How the agents of one symbol behave: shares of events, sizes in lots, distances in ticks.

    Args:
        orders: resting orders per side that adding and cancelling balance at.
        order, best, taker: medians of an order, of the best level's total and of a taker, in lots.
        burst: quotes moved after the price, at least; a long tail up to forty times as many.
        reach, jump: median distance of a quote, median move of the price, in thousandths of a tick.
        quiet_max: events without a trade after which there is one.
    """

    orders: int
    order: int
    best: int
    taker: int
    burst: int
    reach: int
    jump: int
    p_take: float
    p_jump: float
    quiet_max: int


def style_of(spec: Spec, rate: int, symbols: int) -> Style:
    """The style of a symbol that gets `rate` events per second among so many symbols."""
    orders, *sizes = STYLES[max(k for k in STYLES if k <= spec.brackets[0].leverage)]
    lot_quote = spec.start_px * spec.step
    order, best, taker = (max(q * int(10 ** (spec.px_exp + spec.qty_exp)) // lot_quote, 1) for q in sizes)
    return Style(
        min(orders, max(ORDERS_ALL // symbols // 2, 30)),
        order,
        best,
        taker,
        rate // 60,
        max(spec.start_px * REACH_PPM // 1000 // spec.tick, LEVELS_MIN * 1000),
        spec.start_px * JUMP_PPM // 1000 // spec.tick,
        min(TAKES_PER_S / max(rate, 1), 0.2),
        min(JUMPS_PER_S / max(rate, 1), 0.05),
        max(rate * QUIET_MS // 1000, QUIET_MIN),
    )


class Agents:
    """
    The background of one symbol.

    Attributes:
        fair: where the best bid belongs; the best ask belongs a tick above.
        burst: quotes still to be moved after the price.
        echo: the side of a taker that another one follows, else 0.
        leader: the contract of the same base that this one follows.
        wanted: what the best level of each side should hold, in quantity.
    """

    def __init__(self, ex: Exchange, m: Market, rng: random.Random, style: Style) -> None:
        self.ex, self.m, self.spec, self.rng, self.style = ex, m, m.spec, rng, style
        self.book: Book = m.book  # type: ignore[assignment]
        self.fair = m.spec.start_px
        self.leader: Agents | None = None
        self.live: list[Order] = []
        self.burst = self.quiet = self.echo = 0
        self.wanted = {BUY: 0, SELL: 0}
        self.seed_book()

    # prices and sizes -----------------------------------------------------------
    def clamp(self, px: int, side: int) -> int:
        """`px` on the tick grid and inside the band, leaving room for the other side."""
        low, high = self.spec.band
        room = LEVELS_MIN * 2 * self.spec.tick
        low, high = (low, high - room) if side == BUY else (low + room, high)
        tick = self.spec.tick
        return min(max(px // tick * tick, -(-low // tick) * tick), high // tick * tick)

    def place_of(self, side: int, ticks: int = 0) -> int:
        """The price `ticks` behind the best of a side."""
        return self.fair + (0 if side == BUY else self.spec.tick) - side * ticks * self.spec.tick

    def lots(self, median: int, tail: float) -> int:
        """A quantity around `median` lots with a long tail."""
        count = int(median * self.rng.lognormvariate(0.0, tail) + 0.5)
        step = self.spec.step
        return min(max(count * step, self.spec.min_qty), self.spec.market_max_qty)

    def distance(self) -> int:
        """Ticks behind the best: mostly within a few basis points, some far away."""
        spread = 1.25 if self.rng.random() < 0.75 else 3.0
        return 1 + int(self.style.reach * self.rng.lognormvariate(0.0, spread)) // 1000

    # orders ------------------------------------------------------------------------
    def order(self, side: int, kind: str, px: int, qty: int, tif: str = "GTC") -> Order:
        """A background order."""
        self.ex.next_agent += 1
        return Order(-self.ex.next_agent, "", AGENT, self.spec.name, side, kind, tif, px, qty)

    def seed_book(self) -> None:
        """Levels on both sides before anybody looks."""
        for side in (BUY, SELL):
            self.want(side)
            places = [self.distance() for _ in range(self.style.orders)]
            for ticks in (*range(LEVELS_MIN + 1), *places):
                qty = self.lots_of_order(ticks)
                o = self.order(side, "LIMIT", self.clamp(self.place_of(side, ticks), side), qty)
                self.book.submit(o)
                self.live.append(o)
        self.ex.md.changed(self.m, self.ex.clock())

    def lots_of_order(self, ticks: int = 0) -> int:
        """Size of a resting order `ticks` behind the best: the farther, the larger."""
        return self.lots(self.style.order * (1 + min(ticks * 1000 // self.style.reach, 30)), 1.7)

    def want(self, side: int) -> None:
        """Draw a new size for the best level."""
        self.wanted[side] = self.lots(self.style.best, 1.25)

    def quote(self, side: int, px: int, qty: int) -> None:
        """Rest a limit order (it may take first when it crosses)."""
        o = self.order(side, "LIMIT", self.clamp(px, side), qty)
        self.ex.agent(self.m, o)
        if o.is_open:
            self.live.append(o)

    def cancel(self, o: Order) -> None:
        """Take back a background order."""
        self.book.cancel(o)
        o.end("CANCELED")
        self.ex.md.changed(self.m, self.ex.clock())

    # events ----------------------------------------------------------------------------
    def step(self) -> None:
        """One event."""
        rng, s = self.rng, self.style
        self.quiet += 1
        side = BUY if rng.random() < 0.5 else SELL
        draw = rng.random()
        if self.burst:
            self.burst -= 1
            if draw < BURST_CLOSES and self.apart():
                self.close_up()
            else:
                self.behind(side)
        elif ((self.echo and draw < ECHO_NEAR) or self.quiet > s.quiet_max) and self.take(self.echo or side):
            pass
        elif draw < 0.5 and self.apart():
            self.close_up()
        elif draw < s.p_jump:
            self.jump(self.behind_leader() or side)
        elif draw < s.p_jump + s.p_take:
            self.take(side)
        elif draw < s.p_jump + s.p_take + TOP_SHARE:
            self.front(side)
        else:
            self.behind(side)
        self.refill()

    def apart(self) -> bool:
        """Is the spread wider than a tick?"""
        return self.book.best(SELL)[0] - self.book.best(BUY)[0] > self.spec.tick

    def close_up(self) -> None:
        """Quote the side that is farther from where it belongs."""
        gaps = {side: (self.place_of(side) - self.book.best(side)[0]) * side for side in (BUY, SELL)}
        side = max(gaps, key=lambda k: gaps[k])
        self.want(side)
        self.quote(
            side,
            self.place_of(side),
            max(self.lots_of_order(), self.wanted[side] // 8 // self.spec.step * self.spec.step),
        )

    def front(self, side: int) -> None:
        """Join or leave the best level."""
        px, total = self.book.best(side)
        if self.rng.random() < 0.04:
            self.want(side)
        if not px or total < self.wanted[side]:
            self.quote(side, px or self.place_of(side), self.lots_of_order())
            return
        newest = next(reversed(self.book.half[side].levels[px].orders.values()))
        if newest.owner == AGENT and (total > newest.left or self.rng.random() < 0.1):
            self.cancel(newest)
        else:
            self.behind(side)

    def behind(self, side: int) -> None:
        """Add or cancel behind the best level."""
        if self.rng.random() * 2 * len(self.live) < 2 * self.style.orders:
            ticks = self.distance()
            self.quote(side, self.place_of(side, ticks), self.lots_of_order(ticks))
        else:
            self.cancel_one()

    def cancel_one(self) -> None:
        """Cancel a random background order; ended ones met on the way are forgotten."""
        while self.live:
            i = self.rng.randrange(len(self.live))
            self.live[i], self.live[-1] = self.live[-1], self.live[i]
            o = self.live.pop()
            if o.is_open:
                self.cancel(o)
                return

    def take(self, side: int) -> bool:
        """A market order that does not go through the price by more than a tick; false when nothing is that near."""
        bound, self.echo = self.place_of(-side) + side * self.spec.tick, 0
        if not self.book.crosses(side, bound):
            return False
        self.quiet, self.echo = 0, side if self.rng.random() < ECHO else 0
        self.ex.agent(self.m, self.order(side, "MARKET", 0, self.lots(self.style.taker, 1.95)), bound)
        return True

    def behind_leader(self) -> int:
        """The direction to the leader's price, taken as moves since the start; 0 without one, or now and then."""
        if self.leader is None or self.rng.random() < 0.2:
            return 0
        gap = self.leader.fair * self.spec.start_px - self.fair * self.leader.spec.start_px
        return (gap > 0) - (gap < 0)

    def jump(self, side: int) -> None:
        """The price moves: what stands in the way is swept, and quotes are moved after it."""
        moved = int(self.style.jump * self.rng.lognormvariate(0.0, 1.1))
        ticks = moved // 1000 + (self.rng.random() * 1000 < moved % 1000)
        low, high = self.spec.band
        room = (LEVELS_MIN * 3 + ticks) * self.spec.tick
        fair = self.fair + side * ticks * self.spec.tick
        if not ticks or not low + room < fair < high - room:
            return
        self.fair = fair
        bound = self.place_of(-side) - side * self.spec.tick
        offered = self.book.available(side, bound)
        if offered:
            self.quiet = 0
            self.ex.agent(self.m, self.order(side, "MARKET", 0, min(offered, self.spec.market_max_qty)), bound)
        self.burst = min(int(self.style.burst * self.rng.paretovariate(1.0)), self.style.burst * 40)

    def refill(self) -> None:
        """Keep both sides deep enough and near the price, whatever users did."""
        for side in (BUY, SELL):
            best = self.book.half[side].best()
            if not best or (self.place_of(side) - best) * side > self.style.reach * self.spec.tick // 1000:
                self.quote(side, self.place_of(side), self.lots_of_order())
            for i in range(LEVELS_MIN - len(self.book.half[side].keys)):
                self.quote(side, self.place_of(side, LEVELS_MIN + i + self.rng.randrange(1, 6)), self.lots_of_order())


class Flow:
    """
    All symbols' agents.

    Args:
        seed: decides every event.
        rate: events per second over all symbols; at least two per symbol.
    """

    def __init__(self, ex: Exchange, seed: int, rate: int) -> None:
        self.rng, self.clumps = random.Random(seed), random.Random(f"{seed}/clumps")
        count = max(len(ex.markets), 1)
        self.rate = max(rate, 2 * count) if rate > 0 else 0
        each = self.rate // count
        self.agents = [
            Agents(ex, m, random.Random(f"{seed}/{name}"), style_of(m.spec, each, count))
            for name, m in ex.markets.items()
        ]
        by_name = {a.spec.name: a for a in self.agents}
        for a in self.agents:
            leader = by_name.get(f"{a.spec.base}USDT")
            a.leader = leader if leader is not a else None
        self.owed_ns = 0
        self.clump = 1
        self.turn: list[Agents] = []
        self.busy: Agents | None = None

    def advance(self, elapsed_ns: int) -> int:
        """
        Run the events that are due after `elapsed_ns` more; returns how many.

        Events come in clumps: none runs until a whole clump is due, and what follows a move of the price runs at once
        and is paid for with silence afterwards.
        """
        self.owed_ns += elapsed_ns * self.rate
        done = 0
        while done < BATCH_MAX and (self.owed_ns >= self.clump * 1_000_000_000 or self.busy is not None):
            for _ in range(self.clump):
                self.step()
            done += self.clump
            self.owed_ns -= self.clump * 1_000_000_000
            self.clump = 1 if self.busy else min(int(self.clumps.paretovariate(1.15)), 60)
        self.owed_ns = min(self.owed_ns, 1_000_000_000 * BATCH_MAX)
        return done

    def step(self) -> None:
        """One event of the next symbol; a round visits every symbol once, in a random order; a burst stays."""
        if self.busy is None:
            if not self.turn:
                self.turn = list(self.agents)
                self.rng.shuffle(self.turn)
            self.busy = self.turn.pop()
        self.busy.step()
        if not self.busy.burst:
            self.busy = None


def make_markets(specs: list[Spec], base_id: int, seed: int = 1) -> dict[str, Market]:
    """Empty markets with matching books; ids start at `base_id`, `seed` decides their past and their prices."""
    kept = max(TRADES_KEPT // max(len(specs), 1), TRADES_KEPT_MIN)
    made = {s.name: Market(s, Book(), base_id, base_id, base_id, seed=seed) for s in specs}
    for m in made.values():
        m.trades, m.aggs = deque(maxlen=kept), deque(maxlen=kept)
    return made
