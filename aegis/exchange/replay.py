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
from functools import partial

from aegis.exchange import clock
from aegis.exchange.capture import Capture, Line, depth_decoder, spec_of, trade_decoder
from aegis.exchange.engine import Exchange
from aegis.exchange.instrument import Market, Trade
from aegis.exchange.matching import BUY, SELL, Outcome
from aegis.exchange.replay_book import CapturedMarket, ReplayBook
from aegis.units import Num

CHUNK = 256
BACKLOG_MAX = 4 << 20  # bytes a reader may be behind before the replay waits for it
SLICE_NS = 20_000_000


class Replay:
    """
    Streams a capture.

    Args:
        speed: 1, a factor, or 0 for as fast as readers take it.
    """

    def __init__(self, capture: Capture, speed: int) -> None:
        self.capture, self.speed = capture, speed
        self.started, self.done = asyncio.Event(), False
        self.sent = 0
        self.followed: dict[str, tuple[ReplayBook, bool]] = {}  # streams that change a book
        self.markets: dict[str, Market] = {}
        self.books: dict[str, ReplayBook] = {}
        self.joined: dict[str, int] = {}

    def make_markets(self, base_id: int) -> dict[str, Market]:
        """A market per captured symbol, its book primed with the capture's snapshot."""
        for name in self.capture.symbols:
            book = self.books[name] = ReplayBook()
            spec = spec_of(self.capture, name)
            m = self.markets[name] = CapturedMarket(spec, book, 0, base_id, base_id, has_past=False)
            book.catch_up = partial(self._catch_up, m, book)
            if name in self.capture.snapshots:
                snap = self.capture.snapshots[name][1]
                for side, rows in ((BUY, snap["bids"]), (SELL, snap["asks"])):
                    for px, qty in rows:
                        book.set(side, Num.parse(px).at(m.spec.px_exp), Num.parse(qty).at(m.spec.qty_exp))
                book.early = snap
                m.last_u = self.joined[name] = snap["lastUpdateId"]
                m.time_ms = snap.get("E", 0)
        for stream in self.capture.streams:
            head, _, kind = stream.partition("@")
            diff = kind.startswith("depth") and not kind[5:6].isdigit()
            if head.upper() in self.books and (diff or kind == "trade"):
                self.followed[stream] = (self.books[head.upper()], kind == "trade")
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
        await (self._paced() if self.speed else self._flat_out())
        while self.ex.hub.backlog():  # noqa: ASYNC110 - pacing
            await asyncio.sleep(0.001)
        self.done = True

    async def _paced(self) -> None:
        """Each line at its time."""
        rows, began = self.capture.rows, clock.mono_ns()
        sliced = began
        for i, row in enumerate(rows):
            due = began + (row.at_ns - rows[0].at_ns) // self.speed
            while (wait := due - clock.mono_ns()) > 0:  # noqa: ASYNC110 - pacing
                await asyncio.sleep(wait / 1e9)
            if clock.mono_ns() - sliced > SLICE_NS:
                await asyncio.sleep(0)
                sliced = clock.mono_ns()
            self.step(i, row)

    async def _flat_out(self) -> None:
        """As fast as readers take it; between chunks the other doors run."""
        rows = self.capture.rows
        for start in range(0, len(rows), CHUNK):
            for i, row in enumerate(rows[start : start + CHUNK], start):
                self.step(i, row)
            await asyncio.sleep(0)
            while self.ex.hub.backlog() > BACKLOG_MAX:  # noqa: ASYNC110 - pacing
                await asyncio.sleep(0.001)

    def step(self, i: int, row: Line) -> None:
        """Send line `i`, and leave it to its book."""
        if not row.stream:
            for name, (at_line, _) in self.capture.snapshots.items():
                if at_line == i:
                    self.books[name].early = None
            return
        self.ex.hub.relay(row.stream, row.frame, row.data)
        self.sent += 1
        followed = self.followed.get(row.stream)
        if followed is not None:
            book, is_trade = followed
            book.late.append((is_trade, row.data))
            if self.speed or book.resting:
                book.catch_up()

    def _catch_up(self, m: Market, book: ReplayBook) -> None:
        """Take in every line that waits; orders that rest are settled after each, and then there is but one."""
        if not book.late:
            return
        late, book.late = book.late, []
        levels: dict[int, dict[str, str]] = {BUY: {}, SELL: {}}
        for is_trade, data in late:
            if is_trade:
                self._trade(m, book, data)
                continue
            event = depth_decoder.decode(data)
            if event.u >= self.joined.get(m.spec.name, 0):
                levels[BUY].update(event.b)
                levels[SELL].update(event.a)
                m.last_u, m.time_ms = event.u, event.T
        px_exp, qty_exp = m.spec.px_exp, m.spec.qty_exp
        for side, rows in levels.items():
            for px, qty in rows.items():
                book.set(side, at(px, px_exp), at(qty, qty_exp))
        if book.resting and (levels[BUY] or levels[SELL]):
            self._settle(m, book.crossed())

    def _trade(self, m: Market, book: ReplayBook, data: str) -> None:
        event = trade_decoder.decode(data)
        px, qty = at(event.p, m.spec.px_exp), at(event.q, m.spec.qty_exp)
        if event.X not in ("MARKET", "RPI") or not px:
            return
        m.trades.append(Trade(event.t, px, qty, event.T, event.m))
        m.last_px = px
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
