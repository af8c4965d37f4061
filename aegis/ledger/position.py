"""One position: signed quantity and its cost basis.

Problem: an entry price is a quotient and seldom exact; kept as a price it drifts with every partial close.
Kept instead: quantity and signed cost (sum of qty * price of what is still open), so adding is exact, closing all
is exact, and only a partial close divides (floored at `COST_EXP` places, far below the venue's 8).
What must stay true: qty == 0 exactly when cost == 0; the sign of cost is the sign of qty. Money is booked from
the venue's own realised figure; the one computed here is a check on it.
"""

from __future__ import annotations

import msgspec

from aegis.units import ZERO, Num

COST_EXP = 24


class Position(msgspec.Struct, frozen=True):
    """Signed `qty` (base asset) and signed `cost` (margin asset)."""

    qty: Num = ZERO
    cost: Num = ZERO

    def entry(self, e: int = 12) -> Num:
        """Average entry price, floored at `e` places; 0 when flat. For display: money never uses it."""
        return self.cost.div_floor(self.qty, e).trim() if self.qty else ZERO

    def after(self, qty: Num, price: Num) -> tuple[Position, Num]:
        """
        Apply a signed fill.

        Returns:
            The new position, and the realised profit by our own arithmetic (margin asset; 0 when opening).

        Source: PROTOCOL 9.2 (one-way mode: a fill through zero closes all, then opens the rest at its price).
        """
        if self.qty.sign() * qty.sign() >= 0:
            return Position(self.qty + qty, self.cost + qty * price), ZERO
        if abs(qty) < abs(self.qty):
            part = (self.cost * -qty).div_floor(self.qty, COST_EXP).trim()
            return Position(self.qty + qty, self.cost - part), -qty * price - part
        rest = self.qty + qty
        return Position(rest, rest * price) if rest else Position(), self.qty * price - self.cost
