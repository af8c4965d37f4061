"""Conditional orders: a universe of their own that turns into ordinary orders when a price is reached.

Problem: clients take a conditional order for an order; it is none. It has its own id space, is not in openOrders, is
not checked for margin until it triggers, and the order it becomes has a new id and a client id of the venue's. Whoever
links them by client id loses track of his stop.
What must stay true: an algo order triggers once; what it becomes passes the same gate as an order sent then, and a
refusal there is REJECTED with its reason; each change of state is told as ALGO_UPDATE.
States: NEW -> TRIGGERING -> TRIGGERED -> FINISHED, NEW -> CANCELED | EXPIRED, TRIGGERING -> REJECTED.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from dataclasses import dataclass, field

from aegis.errors import VenueError
from aegis.exchange import filters, margin, orders
from aegis.exchange.account import BOTH, LONG, Account
from aegis.exchange.algo_views import algo_update
from aegis.exchange.engine import Exchange
from aegis.exchange.instrument import Market
from aegis.exchange.matching import BUY, Order

FIRST_ID = 4_000_000_000_000_000
RATE_UNIT = 10_000  # callback rates are kept in 1e-4 of the price: 1 % is 100
STOPS = ("STOP", "STOP_MARKET")


@dataclass(slots=True, eq=False)
class AlgoOrder:
    """
    One conditional order; prices at the symbol's px_exp, 0 when not given.

    Args:
        extreme: best price seen since activation of a trailing stop, 1e-8.
        order_id: what it became.
    """

    id: int
    client_id: str
    owner: int
    symbol: str
    side: int
    position_side: str
    kind: str
    tif: str
    qty: int
    px: int
    trigger_px: int
    stp: str
    working_type: str = "CONTRACT_PRICE"
    price_match: str = "NONE"
    reduce_only: bool = False
    close_position: bool = False
    price_protect: bool = False
    gtd_ms: int = 0
    activate_px: int = 0
    rate: int = 0
    active: bool = False
    extreme_e8: int = 0
    status: str = "NEW"
    reason: str = ""
    order_id: int = 0
    created_ms: int = 0
    update_ms: int = 0
    trigger_ms: int = 0

    @property
    def is_open(self) -> bool:
        """Still waiting for its price."""
        return self.status == "NEW"


@dataclass(slots=True)
class Desk:
    """Conditional orders of one account: all, by client id, per symbol those that wait, those whose order works."""

    by_id: dict[int, AlgoOrder] = field(default_factory=dict)
    by_client: dict[str, AlgoOrder] = field(default_factory=dict)
    open: dict[str, dict[int, AlgoOrder]] = field(default_factory=lambda: defaultdict(dict))
    triggered: dict[int, AlgoOrder] = field(default_factory=dict)

    def waiting(self) -> int:
        """How many wait, over all symbols."""
        return sum(len(rows) for rows in self.open.values())


class Algo:
    """The conditional orders of the venue."""

    def __init__(self, ex: Exchange) -> None:
        self.ex = ex
        self.next_id = FIRST_ID + ex.clock()
        self.desks: dict[int, Desk] = defaultdict(Desk)

    def add(self, acc: Account, a: AlgoOrder) -> None:
        """Take a checked order."""
        desk = self.desks[acc.number]
        self.next_id += 1
        a.id = self.next_id
        a.created_ms = a.update_ms = self.ex.clock()
        desk.by_id[a.id] = desk.by_client[a.client_id] = desk.open[a.symbol][a.id] = a
        a.active = a.kind != "TRAILING_STOP_MARKET" or not a.activate_px
        a.extreme_e8 = reference_e8(self.ex.markets[a.symbol], a)
        self._tell(a)

    def end(self, a: AlgoOrder, status: str, reason: str = "") -> None:
        """CANCELED, EXPIRED or REJECTED."""
        self._state(a, status, reason)

    def _state(self, a: AlgoOrder, status: str, reason: str = "") -> None:
        desk = self.desks[a.owner]
        a.status, a.reason, a.update_ms = status, reason, self.ex.clock()
        desk.open[a.symbol].pop(a.id, None)
        if status == "TRIGGERED":
            desk.triggered[a.id] = a
        else:
            desk.triggered.pop(a.id, None)
        self._tell(a)

    def _tell(self, a: AlgoOrder) -> None:
        acc = self.ex.by_number[a.owner]
        became = acc.orders.get((a.symbol, a.order_id))
        self.ex.tell(acc, algo_update(self.ex.markets[a.symbol].spec, a, became, self.ex.clock()))

    def tick(self) -> None:
        """Trigger what has reached its price, expire what is too old."""
        now = self.ex.clock()
        for desk in list(self.desks.values()):
            for symbol, rows in list(desk.open.items()):
                m = self.ex.markets[symbol]
                for a in [a for a in rows.values() if a.is_open]:
                    if not a.is_open:  # the one before it closed the position this one waited for
                        continue
                    if a.gtd_ms and a.gtd_ms <= now:
                        self.end(a, "EXPIRED")
                    elif self._watch(m, a):
                        self.trigger(m, a)

    def _watch(self, m: Market, a: AlgoOrder) -> bool:
        """Is it due?"""
        at = reference_e8(m, a)
        if not at:
            return False
        if a.price_protect and far_apart(m):
            return False
        if a.kind != "TRAILING_STOP_MARKET":
            return due(a.kind, a.side, at, m.spec.px_e8(a.trigger_px))
        if not a.active:
            reached = at <= m.spec.px_e8(a.activate_px) if a.side == BUY else at >= m.spec.px_e8(a.activate_px)
            if not reached:
                return False
            a.active, a.extreme_e8 = True, at
            self._tell(a)
        a.extreme_e8 = min(a.extreme_e8, at) if a.side == BUY else max(a.extreme_e8, at)
        return (at - a.extreme_e8) * a.side * RATE_UNIT >= a.extreme_e8 * a.rate

    def trigger(self, m: Market, a: AlgoOrder) -> None:
        """Send the order it stands for."""
        acc, ex = self.ex.by_number[a.owner], self.ex
        a.trigger_ms = ex.clock()
        self._state(a, "TRIGGERING")
        try:
            o = self._become(acc, m, a)
            orders.admit(ex, acc, m, o)
        except VenueError as e:
            self._state(a, "REJECTED", e.msg)
            return
        a.order_id = o.id
        self._state(a, "TRIGGERED")
        try:
            ex.submit(o)
        except VenueError:  # post-only that would take, fill-or-kill that cannot: an order all the same by now
            ex.stillborn(o, 8)
        if not o.is_open:
            self.finish_ended(acc, a.symbol)

    def _become(self, acc: Account, m: Market, a: AlgoOrder) -> Order:
        limit = a.kind in ("STOP", "TAKE_PROFIT")
        qty, px = a.qty, a.px
        if a.close_position:
            qty = abs(acc.position(a.symbol, a.position_side).qty)
            if not qty:
                raise VenueError(-2022, "ReduceOnly Order is rejected.")
        if limit and a.price_match != "NONE":
            px, _ = orders.price_of(m, {"priceMatch": a.price_match}, a.side)
        return self.ex.user_order(
            acc,
            a.symbol,
            {
                "client_id": secrets.token_urlsafe(16)[:22],
                "side": a.side,
                "kind": "LIMIT" if limit else "MARKET",
                "tif": a.tif if limit else "GTC",
                "px": px if limit else 0,
                "qty": qty,
                "reduce_only": (a.reduce_only or a.close_position) and a.position_side == BOTH,
                "stp": a.stp,
                "position_side": a.position_side,
                "price_match": a.price_match,
                "born_kind": a.kind,
                "stop_px": a.trigger_px,
                "working_type": a.working_type,
                "close_position": a.close_position,
                "price_protect": a.price_protect,
            },
        )

    def followed(self, m: Market, accounts: list[Account]) -> None:
        """After a change: finish algos whose order ended, expire those whose position is gone and not on its way."""
        for acc in accounts:
            desk = self.desks.get(acc.number)
            if desk is None:
                continue
            for a in list(desk.open[m.spec.name].values()):
                if (a.close_position or a.tif == "GTE_GTC") and not expected(acc, a):
                    self.end(a, "EXPIRED")
            self.finish_ended(acc, m.spec.name)

    def finish_ended(self, acc: Account, symbol: str) -> None:
        """FINISHED for every triggered algo of a symbol whose order is no longer open."""
        for a in list(self.desks[acc.number].triggered.values()):
            o = acc.orders.get((a.symbol, a.order_id))
            if a.symbol == symbol and o is not None and not o.is_open:
                self._state(a, "FINISHED")


def reference_e8(m: Market, a: AlgoOrder) -> int:
    """The price an algo order watches, 1e-8; 0 before the first trade."""
    return m.mark() if a.working_type == "MARK_PRICE" else m.spec.px_e8(m.last_px or m.mid())


def due(kind: str, side: int, at_e8: int, trigger_e8: int) -> bool:
    """Stops trigger when the price has moved against the position, take-profits when it has moved with it."""
    rising = (side == BUY) == (kind in STOPS)
    return at_e8 >= trigger_e8 if rising else at_e8 <= trigger_e8


def expected(acc: Account, a: AlgoOrder) -> bool:
    """Is there a position for it, or an order that may open one?"""
    if acc.position(a.symbol, a.position_side).qty:
        return True
    return any(o.position_side == a.position_side and not margin.closes(o) for o in acc.open[a.symbol].values())


def far_apart(m: Market) -> bool:
    """Do mark and last price differ by more than the symbol's trigger protection?"""
    last = m.spec.px_e8(m.last_px or m.mid())
    return abs(last - m.mark()) * 1_000_000 > m.mark() * m.spec.trigger_protect_ppm


def check(ex: Exchange, acc: Account, m: Market, a: AlgoOrder) -> None:
    """
    What is refused at once: filters on its own numbers, a trigger already reached.

    Raises:
        VenueError: filters' codes, -2021, -2022, -4045, -4116, -4130.
    """
    spec = m.spec
    if not a.close_position:
        filters.check_quantity(spec, a.qty, a.kind not in ("STOP", "TAKE_PROFIT"))
    for px in (a.px, a.trigger_px, a.activate_px):
        if px:
            filters.check_grid(spec, px)
    before = ex.algo.desks[acc.number].by_client.get(a.client_id)
    if before is not None and before.is_open:
        raise VenueError(-4116, "ClientOrderId is duplicated.")
    if ex.algo.desks[acc.number].waiting() >= 200:
        raise VenueError(-4045, "Reach max stop order limit.")
    at = reference_e8(m, a)
    if a.kind == "TRAILING_STOP_MARKET":
        wrong = a.activate_px and (spec.px_e8(a.activate_px) - at) * a.side >= 0
        if wrong:
            raise VenueError(-2021, "Order would immediately trigger.")
    elif due(a.kind, a.side, at, spec.px_e8(a.trigger_px)):
        raise VenueError(-2021, "Order would immediately trigger.")
    opens = a.position_side != BOTH and (a.side == BUY) == (a.position_side == LONG)
    if a.close_position and opens:
        raise VenueError(-2022, "ReduceOnly Order is rejected.")
    if a.close_position:
        _one_close_all(ex, acc, a)


def _one_close_all(ex: Exchange, acc: Account, a: AlgoOrder) -> None:
    for other in ex.algo.desks[acc.number].open[a.symbol].values():
        same = (other.side, other.position_side, other.kind in STOPS) == (a.side, a.position_side, a.kind in STOPS)
        if other.close_position and same:
            raise VenueError(
                -4130,
                "An open stop or take profit order with GTE and closePosition in the direction is existing.",
            )
