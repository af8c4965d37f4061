"""What the gate in C is told: positions, what may still fill, profit and loss, and when the books were last right.

Problem: the gate judges in C, but what is held and owed is known here. So whatever changes is pushed before the next
question; until then the gate counts each order it accepted as open, and an old truth is never the more generous one: an
order that ended still counts as open, and a fill moves at most what an open order already stands for.
What must stay true: a symbol is pushed whole (position, open orders, halts) or not at all; accepted orders are declared
seen only after the books that hold them were pushed.
"""

from __future__ import annotations

from aegis.live.brain_account import Positions
from aegis.live.brain_market import MarketView
from aegis.live.brain_orders import Entry
from aegis.native.gate import Gate
from aegis.units import ZERO, Num

PNL_NS = 100_000_000


class Truth:
    """
    Args:
        gate: who is told. positions, entry, market: who know.

    Attributes:
        entries: False until the brain looked at all of its surroundings, and again from its stop on.
    """

    def __init__(self, gate: Gate, positions: Positions, entry: Entry, market: MarketView) -> None:
        self._gate, self._positions, self._entry, self._market = gate, positions, entry, market
        self._pnl, self._pnl_ns, self._foreign = ZERO, 0, ZERO
        self._held: set[str] = set()
        self.entries = False

    def look(self, now_ns: int) -> None:
        """Read the positions page if it is new, and value what is held ten times a second; then push."""
        if self._positions.refresh():
            held = set(self._positions.held())
            self._entry.touched |= held | self._held | set(self._entry.settler.unseen)
            self._held = held
            self._pnl_ns = 0
        if now_ns - self._pnl_ns >= PNL_NS or now_ns < self._pnl_ns:
            self._pnl_ns = now_ns
            self._pnl = self._positions.pnl(self._market)
            self._foreign = sum((self._worth(s) for s in self._held if s not in self._gate.slots), ZERO)
        self.push()

    def push(self) -> None:
        """Tell the gate what changed, and the account."""
        entry, page = self._entry, self._positions.page
        touched, entry.touched = entry.touched, set()
        for symbol in touched:
            position = self._positions.position(symbol)
            if position:
                self._held.add(symbol)
            open_ = entry.orders.exposure(symbol)
            self._gate.exposure(
                symbol, position, open_, price=self._price(symbol) if position or open_.count else ZERO,
                halted=symbol in entry.halted, settled=not entry.settler.untold(symbol, page.reconciled_ns),
            )  # fmt: skip
        self._gate.account(
            open_orders=len(entry.orders.live), pnl=self._pnl, paused_until_ns=entry.paused_until_ns,
            reconciled_until_ns=self._positions.reconciled_until_ns,
            halted=not self.entries, foreign=self._foreign,
        )  # fmt: skip
        self._gate.seen(entry.accepted)

    def _price(self, symbol: str) -> Num:
        """What to value a symbol by while the gate saw no quote: the highest price that anybody knows."""
        quote = self._market.last(symbol)
        asked = max((order.price for order in self._entry.orders.of(symbol)), default=ZERO)
        return max(quote.ask if quote else ZERO, self._positions.entry_price(symbol), asked)

    def _worth(self, symbol: str) -> Num:
        return abs(self._positions.position(symbol)) * self._price(symbol)
