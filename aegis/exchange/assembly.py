"""Puts an exchange together: the books with everything that acts on them by itself, and the order in which it acts."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aegis.exchange.account import Account
from aegis.exchange.algo import Algo
from aegis.exchange.clockwork import Clockwork
from aegis.exchange.engine import Exchange
from aegis.exchange.instrument import Market
from aegis.exchange.liquidation import Liquidation
from aegis.exchange.past import make_next
from aegis.exchange.rules import Rules
from aegis.exchange.streams import Hub


def make_exchange(
    markets: dict[str, Market],
    accounts: Iterable[Account],
    hub: Hub,
    clock: Callable[[], int],
    rules: Rules | None = None,
) -> Exchange:
    """An exchange with its timers, conditional orders and risk engine."""
    for m in markets.values():
        m.opened_ms = clock()
    ex = Exchange(markets, accounts, hub, clock, rules)
    ex.clockwork, ex.algo, ex.liquidation = Clockwork(ex), Algo(ex), Liquidation(ex)
    ex.on_change = ex.algo.followed
    return ex


def tick(ex: Exchange) -> None:
    """Everything the clock does: expiries, prices, funding, triggers, liquidations, timed frames."""
    now = ex.clock()
    ex.clockwork.tick()
    for s in ex.prices.advance(now):
        ex.clockwork.fund(s.market, s.rate_e8, s.mark_e8)
    ex.algo.tick()
    ex.liquidation.tick()
    if ex.prints:
        ex.md.tick(now)
        made = make_next(ex.markets.values())
        if made is not None:
            ex.md.tickers.day(made, now)  # its day too: the first to ask for every ticker would stop the venue
