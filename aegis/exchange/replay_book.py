"""A captured book that users trade against: displayed levels, what was taken of them, and orders resting beside them.

Problem: at full speed most lines of a capture change a book that nobody looks at, and taking each into it costs more
than sending it. So lines wait in `late` until somebody looks; then every level is set once, to its latest size.
What must stay true: whoever looks sees every line sent so far; while an order rests, each line is taken in at once and
alone, because then the order of things decides who fills.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable
from typing import Any

from aegis.errors import VenueError
from aegis.exchange.instrument import Market
from aegis.exchange.matching import BUY, SELL, Fill, Order, Outcome, Room


class ReplayBook:
    """
    Displayed levels of a capture, plus the user's resting orders beside them.

    Attributes:
        taken: quantity the user took per (side, price) since the level's last update.
        early: the capture's own snapshot answer until its line is reached.
        late: payloads not taken in yet, each with whether it is a trade.
        catch_up: takes them in.
        room: how much of a reduce-only order may trade, after fills of the same turn.
    """

    def __init__(self) -> None:
        self.levels: dict[int, dict[int, int]] = {BUY: {}, SELL: {}}
        self.keys: dict[int, list[int]] = {BUY: [], SELL: []}
        self.taken: dict[tuple[int, int], int] = {}
        self.resting: dict[int, Order] = {}
        self.touched: set[tuple[int, int]] = set()
        self.early: dict[str, object] | None = None
        self.late: list[tuple[bool, str]] = []
        self.room: Room = lambda order, _fills: order.left
        self.catch_up: Callable[[], None] = lambda: None

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
        self.catch_up()
        return self.levels[side].get(px, 0)

    def top(self, side: int, count: int) -> list[tuple[int, int]]:
        """Displayed levels, best first."""
        self.catch_up()
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
        self.catch_up()
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

    def shrink(self, order: Order, qty: int) -> bool:
        """Lower a resting order's total quantity; beside the book every place is kept."""
        order.qty = qty
        return True

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
            most = min(self.room(order, out.fills), order.left) if order.reduce_only else order.left
            if px * order.side < order.px * order.side and most:
                out.fills.append(self.fill(order, most))
            elif px == order.px and qty and most:
                part = min(qty, most)
                qty -= part
                out.fills.append(self.fill(order, part))
        return out

    def crossed(self) -> Outcome:
        """Orders the displayed book now crosses fill at their own price, as far as what crosses them goes."""
        out = Outcome()
        for order in list(self.resting.values()):
            most = min(self.room(order, out.fills), order.left) if order.reduce_only else order.left
            for px, qty in self.offers(order.side, order.px, most):
                self.taken[-order.side, px] = self.taken.get((-order.side, px), 0) + qty
                out.fills.append(self.fill(order, qty))
        return out


def _late(name: str) -> Any:
    """A field that is brought up to date before it is read."""
    slot = vars(Market)[name]

    def read(m: CapturedMarket) -> Any:
        m.look()
        return slot.__get__(m)

    return property(read, slot.__set__)


class CapturedMarket(Market):
    """A market of a capture: what follows from its lines is brought up to date by looking."""

    __slots__ = ()
    last_u = _late("last_u")
    last_px = _late("last_px")
    time_ms = _late("time_ms")
    trades = _late("trades")

    def look(self) -> None:
        """Take in the lines that wait."""
        self.book.catch_up()  # type: ignore[attr-defined]
