"""The one gate every intent passes: limits as data, refusals as reasons.

Problem: a limit checked in the strategy is a limit forgotten in the next one. Here all are checked against a view that
counts what may still fill (working and UNKNOWN orders in full) as if it had filled. csrc/gate.c says the same on
integers and is what orders pass; this is what it is judged by.
What must stay true: nothing passes that could exceed a limit by filling; exits (reduce-only, within the position) pass
every brake but never the venue's filters, and are held to position and total only where orders beside them could carry
the position through zero; a cancel passes always. The caller sends what is accepted (it is counted).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import msgspec

from aegis.config import Risk
from aegis.messages import Intent, OrderType, Place, Refusal, Rules, Side
from aegis.units import ZERO, Num

SECOND_NS = 1_000_000_000
BPS = Num(10_000)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits in force; money in the quote asset."""

    order_notional_max: Num
    position_notional_max: Num
    total_notional_max: Num
    collar_bps: int
    orders_per_s: int
    open_orders_max: int
    loss_limit: Num


def limits_of(risk: Risk) -> Limits:
    """The limits of the settings."""
    return Limits(
        order_notional_max=Num.parse(risk.order_notional_max),
        position_notional_max=Num.parse(risk.position_notional_max),
        total_notional_max=Num.parse(risk.total_notional_max),
        collar_bps=risk.collar_bps,
        orders_per_s=risk.orders_per_s,
        open_orders_max=risk.open_orders_max,
        loss_limit=Num.parse(risk.loss_limit),
    )


class View(msgspec.Struct, frozen=True, kw_only=True):
    """
    What the gate has to know about one symbol and the account now.

    bid, ask: None without a quote; last: newest ask known, of any age (0 none); mark: None without a fresh one.
    open_buy/open_sell: unfilled quantity of all unfinished orders, UNKNOWN in full; reduce_buy/reduce_sell: its
    reduce-only part. others: worst-case notional of all other symbols, None when one of them cannot be valued.
    pnl: realised - fees + unrealised (negative is a loss).
    """

    rules: Rules | None
    bid: Num | None = None
    ask: Num | None = None
    last: Num = ZERO
    mark: Num | None = None
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
    others: Num | None = ZERO
    open_orders: int = 0
    pnl: Num = ZERO


class Gate:
    """
    Pre-trade check.

    Args:
        limits: in force.
        check_filters: (place, rules, reference) -> Refusal, the venue's filters. reference: the mark for a LIMIT, the
            touch for a MARKET order; 0: none known.
    """

    def __init__(self, limits: Limits, check_filters: Callable[[Place, Rules, Num], Refusal]) -> None:
        self.limits, self._filters = limits, check_filters
        self._stamps: deque[int] = deque(maxlen=limits.orders_per_s)

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
        known = limit or place.type is OrderType.MARKET
        if place.qty.sign() <= 0 or place.side is Side.OTHER or not known or limit != (place.price is not None):
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
        touch = (view.ask if place.side is Side.BUY else view.bid) or ZERO
        price = touch if place.price is None else place.price
        reason = self._filters(place, view.rules, (view.mark or ZERO) if limit else touch)
        if reason is not Refusal.ACCEPTED:
            return reason
        worst_price = max(price, view.last if view.ask is None else view.ask)
        if place.reduce_only:
            return self._exit(place, view, worst_price)
        if place.qty * worst_price > self.limits.order_notional_max:
            return Refusal.ORDER_NOTIONAL
        reason = self._exposure(place, view, worst_price)
        return self._collar(place, view, price) if reason is Refusal.ACCEPTED else reason

    def _brakes(self, view: View, now_ns: int) -> Refusal:
        full = len(self._stamps) == self.limits.orders_per_s
        quoted = view.bid is not None and view.ask is not None and view.bid.sign() > 0 and view.ask.sign() > 0
        for bad, reason in (
            (view.halted, Refusal.HALTED),
            (view.symbol_halted, Refusal.SYMBOL_HALTED),
            (not view.reconciled, Refusal.NOT_RECONCILED),
            (not view.trusted or not quoted, Refusal.BOOK_UNTRUSTED),
            (-view.pnl >= self.limits.loss_limit, Refusal.LOSS_LIMIT),
            (view.open_orders >= self.limits.open_orders_max, Refusal.OPEN_ORDERS),
            (full and now_ns - self._stamps[0] < SECOND_NS, Refusal.ORDER_RATE),
        ):
            if bad:
                return reason
        return Refusal.ACCEPTED

    def _exit(self, place: Place, view: View, worst_price: Num) -> Refusal:
        mine, _ = _if_filled(place, view)
        if mine.sign() <= 0:
            return Refusal.ACCEPTED
        return self._exposure(place, view, worst_price) if worst_price.sign() > 0 else Refusal.BOOK_UNTRUSTED

    def _exposure(self, place: Place, view: View, worst_price: Num) -> Refusal:
        """Position and total if all that is open and this order filled."""
        mine, other = _if_filled(place, view)
        if mine * worst_price > self.limits.position_notional_max:
            return Refusal.POSITION_NOTIONAL
        if place.reduce_only and mine <= max(mine - place.qty, other):
            return Refusal.ACCEPTED  # an exit that makes nothing larger
        if view.others is None or view.others + max(mine, other) * worst_price > self.limits.total_notional_max:
            return Refusal.TOTAL_NOTIONAL
        return Refusal.ACCEPTED

    def _collar(self, place: Place, view: View, price: Num) -> Refusal:
        assert view.bid is not None and view.ask is not None
        collar = Num(self.limits.collar_bps)
        if place.side is Side.BUY:
            away = (price - view.ask) * BPS > view.ask * collar
        else:
            away = (view.bid - price) * BPS > view.bid * collar
        return Refusal.PRICE_COLLAR if away else Refusal.ACCEPTED


def _if_filled(place: Place, view: View) -> tuple[Num, Num]:
    """Quantity held in the order's direction if everything open that way and it filled; the same of the other way."""
    bought, sold = view.position + view.open_buy, view.open_sell - view.position
    return (bought + place.qty, sold) if place.side is Side.BUY else (sold + place.qty, bought)


def _is_exit(place: Place, view: View) -> bool:
    if place.side is Side.SELL:
        return place.qty + view.reduce_sell <= view.position
    return place.qty + view.reduce_buy <= -view.position
