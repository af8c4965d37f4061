"""A capture as the market: its frames go out byte for byte, and the user's orders meet its book.

Problem: nobody traded against our orders when the capture was made. A taker takes displayed levels, and what it took
stays taken until the capture updates that level. A maker rests beside the displayed book (frames are never altered,
so it is not shown) and fills when a captured trade prints at its price (up to the trade's size), or through it, or
when the displayed book crosses it.
What must stay true: streamed frames equal the file's; the displayed book is the snapshot plus every diff sent so far;
a reader that is slow slows the replay at `max`, so that nothing is thinned and every door stays answered.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort

from aegis.errors import VenueError
from aegis.exchange import clock
from aegis.exchange.capture import Capture, Line, depth_decoder, spec_of, trade_decoder
from aegis.exchange.engine import Exchange
from aegis.exchange.instrument import Market, Trade
from aegis.exchange.matching import BUY, SELL, Fill, Order, Outcome
from aegis.units import Num

CHUNK = 256
BACKLOG_MAX = 2000
SLICE_NS = 20_000_000


class ReplayBook:
    """
    Displayed levels of a capture, plus the user's resting orders beside them.

    Attributes:
        taken: quantity the user took per (side, price) since the level's last update.
        early: the capture's own snapshot answer until its line is reached.
    """

    def __init__(self) -> None:
        self.levels: dict[int, dict[int, int]] = {BUY: {}, SELL: {}}
        self.keys: dict[int, list[int]] = {BUY: [], SELL: []}
        self.taken: dict[tuple[int, int], int] = {}
        self.resting: dict[int, Order] = {}
        self.touched: set[tuple[int, int]] = set()
        self.early: dict[str, object] | None = None

    def set(self, side: int, px: int, qty: int) -> None:
        """The capture says `qty` (absolute) at a price."""
        rows, key = self.levels[side], px * side
        self.taken.pop((side, px), None)
        if qty:
            if px not in rows:
                insort(self.keys[side], key)
            rows[px] = qty
        elif px in rows:
            del rows[px]
            del self.keys[side][bisect_left(self.keys[side], key)]

    def level(self, side: int, px: int) -> int:
        """Displayed quantity at a price."""
        return self.levels[side].get(px, 0)

    def top(self, side: int, count: int) -> list[tuple[int, int]]:
        """Displayed levels, best first."""
        rows = self.levels[side]
        return [(k * side, rows[k * side]) for k in self.keys[side][: -count - 1 : -1]]

    def best(self, side: int) -> tuple[int, int]:
        """Displayed best (price, quantity); (0, 0) when empty."""
        found = self.top(side, 1)
        return found[0] if found else (0, 0)

    def crosses(self, side: int, px: int) -> bool:
        """Would an order trade at once against the displayed book?"""
        best = self.best(-side)[0]
        return bool(best) and best * side <= px * side

    def offers(self, side: int, limit: int, want: int) -> list[tuple[int, int]]:
        """(price, quantity) still to be had by an order of `side`, best first, up to `want` in all."""
        out = []
        for key in reversed(self.keys[-side]):
            px = key * -side
            if want <= 0 or (limit and px * side > limit * side):
                break
            qty = min(self.levels[-side][px] - self.taken.get((-side, px), 0), want)
            if qty > 0:
                out.append((px, qty))
                want -= qty
        return out

    def submit(self, order: Order, bound: int = 0) -> Outcome:
        """As `matching.Book.submit`, against displayed levels; the user's own orders never meet each other here."""
        limit = bound if order.kind == "MARKET" else order.px
        if order.tif in ("GTX", "RPI") and self.crosses(order.side, order.px):
            raise VenueError(
                -5022, "Due to the order could not be executed as maker, the Post Only order will be rejected."
            )
        offers = self.offers(order.side, limit, order.left)
        if order.tif == "FOK" and sum(q for _, q in offers) < order.left:
            raise VenueError(
                -5021, "Due to the order could not be filled immediately, the FOK order has been rejected."
            )
        out = Outcome()
        for px, qty in offers:
            order.take(px, qty)
            self.taken[-order.side, px] = self.taken.get((-order.side, px), 0) + qty
            out.fills.append(Fill(None, order, order.side, px, qty))
        if order.left:
            if order.kind == "MARKET":
                order.end("EXPIRED", 9)
            elif order.tif in ("IOC", "FOK"):
                order.end("EXPIRED", 2)
            else:
                self.resting[order.id] = order
        return out

    def cancel(self, order: Order) -> None:
        """Take a resting order out."""
        del self.resting[order.id]

    def fill(self, order: Order, qty: int) -> Fill:
        """A resting order executes at its own price."""
        order.take(order.px, qty)
        if not order.left:
            del self.resting[order.id]
        return Fill(order, None, -order.side, order.px, qty)

    def printed(self, px: int, qty: int) -> Outcome:
        """A captured trade: orders it went through fill whole, orders at its price share its size."""
        out = Outcome()
        for order in sorted(self.resting.values(), key=lambda o: (-o.px * o.side, o.id)):
            if px * order.side < order.px * order.side:
                out.fills.append(self.fill(order, order.left))
            elif px == order.px and qty:
                part = min(qty, order.left)
                qty -= part
                out.fills.append(self.fill(order, part))
        return out

    def crossed(self) -> Outcome:
        """Orders the displayed book now crosses fill at their own price, as far as what crosses them goes."""
        out = Outcome()
        for order in list(self.resting.values()):
            for px, qty in self.offers(order.side, order.px, order.left):
                self.taken[-order.side, px] = self.taken.get((-order.side, px), 0) + qty
                out.fills.append(self.fill(order, qty))
        return out


class Replay:
    """
    Streams a capture.

    Args:
        speed: 1, a factor, or 0 for as fast as readers take it.
    """

    def __init__(self, capture: Capture, speed: int) -> None:
        self.capture, self.speed = capture, speed
        self.started, self.done = asyncio.Event(), False
        self.sent, self.position = 0, 0
        self.markets: dict[str, Market] = {}
        self.books: dict[str, ReplayBook] = {}
        self.joined: dict[str, int] = {}

    def make_markets(self, base_id: int) -> dict[str, Market]:
        """A market per captured symbol, its book primed with the capture's snapshot."""
        for name in self.capture.symbols:
            book = self.books[name] = ReplayBook()
            m = self.markets[name] = Market(spec_of(self.capture, name), book, 0, base_id, base_id, has_past=False)
            if name in self.capture.snapshots:
                snap = self.capture.snapshots[name][1]
                for side, rows in ((BUY, snap["bids"]), (SELL, snap["asks"])):
                    for px, qty in rows:
                        book.set(side, Num.parse(px).at(m.spec.px_exp), Num.parse(qty).at(m.spec.qty_exp))
                book.early = snap
                m.last_u = self.joined[name] = snap["lastUpdateId"]
                m.time_ms = snap.get("E", 0)
        return self.markets

    def attach(self, ex: Exchange) -> None:
        """Take the exchange whose users trade here."""
        self.ex = ex
        ex.hub.on_subscribe = self.subscribed
        ex.prints = False

    def subscribed(self, _name: str) -> None:
        """Start once every stream of the capture has a reader."""
        if all(self.ex.hub.wants(s) for s in self.capture.streams):
            self.started.set()

    async def run(self) -> None:
        """Wait for the start, then stream to the end at the set pace."""
        await self.started.wait()
        rows, began = self.capture.rows, clock.mono_ns()
        first_ns = rows[0].at_ns
        sliced = began
        for i, row in enumerate(rows):
            self.position = i
            if self.speed:
                due = began + (row.at_ns - first_ns) // self.speed
                while (wait := due - clock.mono_ns()) > 0:  # noqa: ASYNC110 - pacing
                    await asyncio.sleep(wait / 1e9)
            elif i % CHUNK == 0:
                await self._breathe()
            if clock.mono_ns() - sliced > SLICE_NS:
                await asyncio.sleep(0)
                sliced = clock.mono_ns()
            self.step(row)
        while self.ex.hub.backlog():  # noqa: ASYNC110 - pacing
            await asyncio.sleep(0.001)
        self.done = True

    async def _breathe(self) -> None:
        """Let the other doors run, and wait for readers that are behind."""
        await asyncio.sleep(0)
        while self.ex.hub.backlog() > BACKLOG_MAX:  # noqa: ASYNC110 - pacing
            await asyncio.sleep(0.001)

    def step(self, row: Line) -> None:
        """Send one line and take it into the book."""
        if not row.stream:
            for name, (i, _) in self.capture.snapshots.items():
                if i == self.position:
                    self.books[name].early = None
            return
        self.ex.hub.relay(row.stream, row.frame, row.data)
        self.sent += 1
        head, _, kind = row.stream.partition("@")
        m = self.markets.get(head.upper())
        if m is None:
            return
        if kind.startswith("depth") and not kind[5:6].isdigit():
            self._depth(m, row.data)
        elif kind == "trade":
            self._trade(m, row.data)

    def _depth(self, m: Market, data: str) -> None:
        event = depth_decoder.decode(data)
        if event.u < self.joined.get(m.spec.name, 0):
            return
        book = self.books[m.spec.name]
        px_exp, qty_exp = m.spec.px_exp, m.spec.qty_exp
        for side, rows in ((BUY, event.b), (SELL, event.a)):
            for px, qty in rows:
                book.set(side, at(px, px_exp), at(qty, qty_exp))
        m.last_u, m.time_ms = event.u, event.T
        if book.resting:
            self._settle(m, book.crossed())

    def _trade(self, m: Market, data: str) -> None:
        event = trade_decoder.decode(data)
        px, qty = at(event.p, m.spec.px_exp), at(event.q, m.spec.qty_exp)
        if event.X not in ("MARKET", "RPI") or not px:
            return
        m.trades.append(Trade(event.t, px, qty, event.T, event.m))
        m.last_px = px
        book = self.books[m.spec.name]
        if book.resting:
            self._settle(m, book.printed(px, qty))

    def _settle(self, m: Market, out: Outcome) -> None:
        if out.fills:
            self.ex.settle(m, out, None)


def at(text: str, places: int) -> int:
    """Captured decimal text as an int at `places`; digits beyond them must be zeros."""
    whole, _, part = text.partition(".")
    if len(part) > places:
        return Num.parse(text).at(places)
    return int(whole + part) * int(10 ** (places - len(part)))
