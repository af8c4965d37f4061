"""Price-time matching of one symbol: pure, integers only.

Problem: everything else the venue says follows from who trades with whom, so this file must be readable at once and
testable without a clock, a socket or an account. A side is a sorted list of keys (price for bids, minus price for
asks: the best is always last) and a level is an insertion-ordered dict of orders, which is the queue.
What must stay true: the book is never crossed between calls; a level's total is the sum of its orders; a resting
order has left > 0.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable
from dataclasses import dataclass, field

from aegis.errors import VenueError

AGENT = 0  # owner of background orders; they may trade with each other
BUY, SELL = 1, -1
OPEN = ("NEW", "PARTIALLY_FILLED")


@dataclass(slots=True, eq=False)
class Order:
    """
    One order.

    Args:
        owner: number of the account, AGENT for the background.
        px: 0 for MARKET.
        cost: sum of price times quantity of its fills, in raw integer units.
        reason: the venue's `er`.
        born_kind, stop_px, close_position, working_type: what a conditional order that became this one was.
        changes: amendments, each (time ms, modify id, (price, quantity) before, after).
    """

    id: int
    client_id: str
    owner: int
    symbol: str
    side: int
    kind: str
    tif: str
    px: int
    qty: int
    reduce_only: bool = False
    stp: str = "EXPIRE_MAKER"
    filled: int = 0
    cost: int = 0
    status: str = "NEW"
    reason: int = 0
    time_ms: int = 0
    update_ms: int = 0
    gtd_ms: int = 0
    position_side: str = "BOTH"
    price_match: str = "NONE"
    born_kind: str = ""
    stop_px: int = 0
    working_type: str = "CONTRACT_PRICE"
    close_position: bool = False
    price_protect: bool = False
    changes: list[tuple[int, str, tuple[int, int], tuple[int, int]]] = field(default_factory=list)

    @property
    def left(self) -> int:
        """Quantity not executed."""
        return self.qty - self.filled

    @property
    def is_open(self) -> bool:
        """Still working at the venue."""
        return self.status in OPEN

    def take(self, px: int, qty: int) -> None:
        """Book one execution into the order's own totals."""
        self.filled += qty
        self.cost += px * qty
        self.status = "FILLED" if self.filled == self.qty else "PARTIALLY_FILLED"

    def end(self, status: str, reason: int = 0) -> None:
        """Final state without a fill; `reason` is the venue's `er`."""
        self.status, self.reason = status, reason


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution; `maker` is None when the other side is a displayed level of a capture."""

    maker: Order | None
    taker: Order | None
    side: int
    px: int
    qty: int


@dataclass(slots=True)
class Outcome:
    """
    What one submission did: executions in order, and makers that ended in it without being filled, by self-trade
    prevention (reason 1) or because nothing is left to reduce (4).
    """

    fills: list[Fill] = field(default_factory=list)
    stopped: list[Order] = field(default_factory=list)


Room = Callable[[Order, list[Fill]], int]


class Level:
    """Queue at one price."""

    __slots__ = ("orders", "total")

    def __init__(self) -> None:
        self.orders: dict[int, Order] = {}
        self.total = 0


class Half:
    """One side of the book; `sign` is BUY or SELL."""

    __slots__ = ("keys", "levels", "sign")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.keys: list[int] = []
        self.levels: dict[int, Level] = {}

    def best(self) -> int:
        """Best price, 0 when empty."""
        return self.keys[-1] * self.sign if self.keys else 0

    def add(self, order: Order) -> None:
        """Put `order` last in the queue of its price."""
        level = self.levels.get(order.px)
        if level is None:
            level = self.levels[order.px] = Level()
            insort(self.keys, order.px * self.sign)
        level.orders[order.id] = order
        level.total += order.left

    def remove(self, order: Order) -> None:
        """Take a resting order out."""
        level = self.levels[order.px]
        del level.orders[order.id]
        level.total -= order.left
        if not level.orders:
            self._drop(order.px)

    def _drop(self, px: int) -> None:
        del self.levels[px]
        key = px * self.sign
        if self.keys[-1] == key:
            self.keys.pop()
        else:
            del self.keys[bisect_left(self.keys, key)]

    def executed(self, order: Order, qty: int) -> None:
        """The head order of its level traded `qty` (already booked into the order)."""
        level = self.levels[order.px]
        level.total -= qty
        if not order.left:
            del level.orders[order.id]
            if not level.orders:
                self._drop(order.px)

    def top(self, count: int) -> list[tuple[int, int]]:
        """Up to `count` (price, total), best first."""
        return [(k * self.sign, self.levels[k * self.sign].total) for k in self.keys[: -count - 1 : -1]]


class Book:
    """
    The whole book of one symbol.

    Attributes:
        touched: (side, price) pairs changed since the owner last emptied it.
        room: how much of a reduce-only order may trade, after fills of the same submission.
    """

    def __init__(self) -> None:
        self.half = {BUY: Half(BUY), SELL: Half(SELL)}
        self.room: Room = lambda order, _fills: order.left
        self.touched: set[tuple[int, int]] = set()

    def best(self, side: int) -> tuple[int, int]:
        """(price, total) of the best level; (0, 0) when that side is empty."""
        half = self.half[side]
        px = half.best()
        return (px, half.levels[px].total) if px else (0, 0)

    def level(self, side: int, px: int) -> int:
        """Total resting at a price, 0 when none."""
        found = self.half[side].levels.get(px)
        return found.total if found else 0

    def top(self, side: int, count: int) -> list[tuple[int, int]]:
        """Up to `count` levels of a side, best first."""
        return self.half[side].top(count)

    def crosses(self, side: int, px: int) -> bool:
        """Would an order of `side` at `px` trade at once?"""
        best = self.half[-side].best()
        return bool(best) and best * side <= px * side

    def available(self, side: int, limit: int) -> int:
        """Quantity an order of `side` could take down to `limit` (0 = no limit)."""
        half, total = self.half[-side], 0
        for key in reversed(half.keys):
            px = key * half.sign
            if limit and px * side > limit * side:
                break
            total += half.levels[px].total
        return total

    def submit(self, order: Order, bound: int = 0) -> Outcome:
        """
        Match and, if its kind rests, rest `order`.

        Args:
            bound: worst price a MARKET order may take, 0 = none.

        Raises:
            VenueError: -5022 post-only would trade, -5021 fill-or-kill cannot be filled. The book is then unchanged.
        """
        limit = bound if order.kind == "MARKET" else order.px
        if order.tif in ("GTX", "RPI") and self.crosses(order.side, order.px):
            raise VenueError(
                -5022, "Due to the order could not be executed as maker, the Post Only order will be rejected."
            )
        if order.tif == "FOK" and self.available(order.side, limit) < order.qty:
            raise VenueError(
                -5021, "Due to the order could not be filled immediately, the FOK order has been rejected."
            )
        out = Outcome()
        self._match(order, limit, out)
        if order.left and order.is_open:
            if order.kind == "MARKET":
                order.end("EXPIRED", 9)
            elif order.tif in ("IOC", "FOK"):
                order.end("EXPIRED", 3 if any(o.reason == 1 for o in out.stopped) else 2)
            else:
                self.half[order.side].add(order)
                self.touched.add((order.side, order.px))
        return out

    def _match(self, order: Order, limit: int, out: Outcome) -> None:
        half, side = self.half[-order.side], order.side
        while order.left and half.keys:
            px = half.best()
            if limit and px * side > limit * side:
                return
            maker = next(iter(half.levels[px].orders.values()))
            if maker.owner == order.owner != AGENT and order.stp != "NONE" and order.tif != "FOK":
                if self._prevent(order, maker, out):
                    return
                continue
            room = self.room(maker, out.fills) if maker.reduce_only else maker.left
            if room <= 0:
                self.stop(maker, "EXPIRED", 4, out)
                continue
            qty = min(order.left, maker.left, room)
            maker.take(px, qty)
            order.take(px, qty)
            half.executed(maker, qty)
            self.touched.add((-side, px))
            out.fills.append(Fill(maker, order, side, px, qty))

    def _prevent(self, order: Order, maker: Order, out: Outcome) -> bool:
        """Self-trade prevention, of which the venue exempts FOK (all or nothing); true when the taker ended."""
        if order.stp in ("EXPIRE_MAKER", "EXPIRE_BOTH"):
            self.stop(maker, "EXPIRED_IN_MATCH", 1, out)
        if order.stp in ("EXPIRE_TAKER", "EXPIRE_BOTH"):
            order.end("EXPIRED_IN_MATCH", 1)
            return True
        return False

    def stop(self, maker: Order, status: str, reason: int, out: Outcome) -> None:
        """End a resting order in the middle of a match."""
        self.cancel(maker)
        maker.end(status, reason)
        out.stopped.append(maker)

    def cancel(self, order: Order) -> None:
        """Take a resting order out of the book (its status is the caller's)."""
        self.half[order.side].remove(order)
        self.touched.add((order.side, order.px))

    def shrink(self, order: Order, qty: int) -> bool:
        """Lower a resting order's total quantity without losing its place; false when this book cannot."""
        level = self.half[order.side].levels[order.px]
        level.total -= order.qty - qty
        order.qty = qty
        self.touched.add((order.side, order.px))
        return True

    def check(self) -> None:
        """Raise AssertionError when a law of this module is broken (tests and the control endpoint call it)."""
        bid, ask = self.half[BUY].best(), self.half[SELL].best()
        assert not (bid and ask) or bid < ask, "crossed"
        for half in self.half.values():
            assert half.keys == sorted(px * half.sign for px in half.levels), "keys and levels differ"
            for level in half.levels.values():
                assert level.total == sum(o.left for o in level.orders.values()) > 0, "level total"
                assert all(o.left > 0 and o.is_open for o in level.orders.values()), "dead order rests"
