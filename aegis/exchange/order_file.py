"""The orders of one account: those that work, and those that can still be asked about.

Problem: a client that quotes all day ends a million orders, and a venue that keeps them all dies of a busy client.
What must stay true: an open order and an order with a fill are never let go; what is let go is the oldest that ended
without a fill, which the venue itself forgets after three days.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from aegis.exchange.matching import Order
from aegis.exchange.symbols import Spec

KEPT_MAX = 100_000  # orders filed before the oldest without a fill go; about 650 bytes each


class Working(dict[int, Order]):
    """
    Open orders of one symbol by id.

    What margin asks of them is asked several times for each order that comes and goes, so sums are kept until an order
    comes, goes, trades or is amended; whoever changes an order in place calls `changed`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sums: dict[str, tuple[int, int]] = {}

    def changed(self) -> None:
        """Forget the sums."""
        self.sums.clear()

    def __setitem__(self, ident: int, o: Order) -> None:
        self.sums.clear()
        super().__setitem__(ident, o)

    def __delitem__(self, ident: int) -> None:
        self.sums.clear()
        super().__delitem__(ident)

    def drop(self, o: Order) -> None:
        """Let an order go; nothing when it is not there."""
        if o.id in self:
            del self[o.id]

    def summed(self, key: str, spec: Spec, counts: Callable[[Order], bool]) -> tuple[int, int]:
        """(buys, sells): notional in 1e-8 of the orders that count, kept under `key`."""
        found = self.sums.get(key)
        if found is None:
            both = {1: 0, -1: 0}
            for o in self.values():
                if counts(o):
                    both[o.side] += spec.notional_e8(o.px, o.left)
            found = self.sums[key] = both[1], both[-1]
        return found


class OrderFile:
    """
    Orders by (symbol, id), by (symbol, client id: the newest), per symbol by rising id, and the open ones.

    Args:
        kept_max: how many are kept before the oldest without a fill go.
    """

    def __init__(self, kept_max: int = KEPT_MAX) -> None:
        self.orders: dict[tuple[str, int], Order] = {}
        self.by_client: dict[tuple[str, str], Order] = {}
        self.orders_of: dict[str, list[Order]] = defaultdict(list)
        self.open: dict[str, Working] = defaultdict(Working)
        self.kept_max = self.sweep_at = kept_max

    def file(self, o: Order) -> None:
        """Let queries find an order."""
        self.orders[o.symbol, o.id] = self.by_client[o.symbol, o.client_id] = o
        self.orders_of[o.symbol].append(o)
        if len(self.orders) > self.sweep_at:
            self._sweep()

    def _sweep(self) -> None:
        """Let a quarter of the allowance go at once, so that sweeping stays rare."""
        spare = len(self.orders) - self.kept_max * 3 // 4
        gone: dict[tuple[str, int], Order] = {}
        for key, o in self.orders.items():
            if len(gone) >= spare:
                break
            if not o.is_open and not o.filled:
                gone[key] = o
        for key, o in gone.items():
            del self.orders[key]
            if self.by_client.get((o.symbol, o.client_id)) is o:
                del self.by_client[o.symbol, o.client_id]
        for symbol, rows in self.orders_of.items():
            self.orders_of[symbol] = [o for o in rows if (symbol, o.id) not in gone]
        self.sweep_at = max(self.kept_max, len(self.orders) + self.kept_max // 4)
