"""The one gate every intent passes: limits as data, refusals as reasons.

Problem: a limit checked in the strategy is a limit forgotten in the next one. Here all are checked against a view that
counts what may still fill (working and UNKNOWN orders in full) as if it had filled.
What must stay true: nothing passes that could exceed a limit by filling; exits (reduce-only, within the position) pass
every brake but never the venue's filters; a cancel passes always. The caller sends what is accepted (it is counted).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import msgspec

from aegis.messages import Intent, OrderType, Place, Refusal, Rules, Side
from aegis.units import ZERO, Num

SECOND_NS = 1_000_000_000
BPS = Num(10_000)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits in force; money in the quote asset."""

    order_notional_max: Num
    position_notional_max: Num
    collar_bps: int
    orders_per_s: int
    open_orders_max: int
    loss_limit: Num


class View(msgspec.Struct, frozen=True, kw_only=True):
    """
    What the gate has to know about one symbol and the account now.

    bid, ask: None without a quote. open_buy/open_sell: unfilled quantity of all unfinished orders, UNKNOWN in full;
    reduce_buy/reduce_sell: its reduce-only part. pnl: realised - fees + unrealised (negative is a loss).
    """

    rules: Rules | None
    bid: Num | None = None
    ask: Num | None = None
    trusted: bool = False
    reconciled: bool = False
    halted: bool = False
    symbol_halted: bool = False
    connected: bool = True
    position: Num = ZERO
    open_buy: Num = ZERO
    open_sell: Num = ZERO
    reduce_buy: Num = ZERO
    reduce_sell: Num = ZERO
    open_orders: int = 0
    pnl: Num = ZERO


class Gate:
    """
    Pre-trade check.

    Args:
        limits: in force.
        check_filters: (place, rules, reference price) -> Refusal, the venue's filters; price 0: none known.
    """

    def __init__(self, limits: Limits, check_filters: Callable[[Place, Rules, Num], Refusal]) -> None:
        self.limits, self._filters = limits, check_filters
        self._stamps: deque[int] = deque()

    def check(self, intent: Intent, view: View, now_ns: int) -> Refusal:
        """ACCEPTED (0), or the first reason against; an accepted Place counts into the rate."""
        if not isinstance(intent, Place):
            return Refusal.ACCEPTED
        reason = self._entry(intent, view, now_ns)
        if reason is Refusal.ACCEPTED:
            self._stamps.append(now_ns)
        return reason

    def _entry(self, place: Place, view: View, now_ns: int) -> Refusal:
        if view.rules is None:
            return Refusal.UNKNOWN_SYMBOL
        limit = place.type is OrderType.LIMIT
        if place.qty.sign() <= 0 or place.side is Side.OTHER or limit != (place.price is not None):
            return Refusal.BAD_INTENT
        if not view.connected:
            return Refusal.NOT_CONNECTED
        if place.reduce_only:
            if not _is_exit(place, view):
                return Refusal.REDUCE_ONLY
        else:
            reason = self._brakes(view, now_ns)
            if reason is not Refusal.ACCEPTED:
                return reason
        touch = view.ask if place.side is Side.BUY else view.bid
        price = place.price if place.price is not None else touch
        if price is None and not place.reduce_only:
            return Refusal.BOOK_UNTRUSTED
        price = price if price is not None else ZERO
        reason = self._filters(place, view.rules, price)
        if reason is not Refusal.ACCEPTED:
            return reason
        return Refusal.ACCEPTED if place.reduce_only else self._sizes(place, view, price)

    def _brakes(self, view: View, now_ns: int) -> Refusal:
        stamps = self._stamps
        while stamps and now_ns - stamps[0] >= SECOND_NS:
            stamps.popleft()
        for bad, reason in (
            (view.halted, Refusal.HALTED),
            (view.symbol_halted, Refusal.SYMBOL_HALTED),
            (not view.reconciled, Refusal.NOT_RECONCILED),
            (not view.trusted or view.bid is None or view.ask is None, Refusal.BOOK_UNTRUSTED),
            (-view.pnl >= self.limits.loss_limit, Refusal.LOSS_LIMIT),
            (view.open_orders >= self.limits.open_orders_max, Refusal.OPEN_ORDERS),
            (len(stamps) >= self.limits.orders_per_s, Refusal.ORDER_RATE),
        ):
            if bad:
                return reason
        return Refusal.ACCEPTED

    def _sizes(self, place: Place, view: View, price: Num) -> Refusal:
        assert view.bid is not None and view.ask is not None
        worst_price = max(price, view.ask)
        if place.qty * worst_price > self.limits.order_notional_max:
            return Refusal.ORDER_NOTIONAL
        if place.side is Side.BUY:
            worst = view.position + view.open_buy + place.qty
        else:
            worst = -view.position + view.open_sell + place.qty
        if worst * worst_price > self.limits.position_notional_max:
            return Refusal.POSITION_NOTIONAL
        collar = Num(self.limits.collar_bps)
        if place.side is Side.BUY:
            away = (price - view.ask) * BPS > view.ask * collar
        else:
            away = (view.bid - price) * BPS > view.bid * collar
        return Refusal.PRICE_COLLAR if away else Refusal.ACCEPTED


def _is_exit(place: Place, view: View) -> bool:
    if place.side is Side.SELL:
        return place.qty + view.reduce_sell <= view.position
    return place.qty + view.reduce_buy <= -view.position
