"""What the strategy is handed: the brain's knowledge, without the brain's hands.

What must stay true: nothing here reads a clock or draws luck; `now_ns` is one time a turn; one seed draws one row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

from aegis.config import Config
from aegis.messages import Place, Rules, Side
from aegis.native.features import Features
from aegis.strategy.base import Quote, Tick
from aegis.units import Num


def ticks_of(batch: Any, name: Callable[[int], str]) -> Iterator[Tick]:
    """Records of a batch as objects, for strategies that ask for single ticks."""
    fields = ["symbol", "kind", "flags", "px_exp", "qty_exp", "a", "b", "c", "d", "exch_ns", "recv_ns"]
    for row in batch[fields].tolist():
        yield Tick(name(row[0]), *row[1:])


class Context:
    """See aegis.strategy.base.Context. `brain` has market, positions, entry and rules."""

    def __init__(self, brain: Any, config: Config) -> None:
        self._brain = brain
        self._turn = brain.turns.c
        self.random = Random(int(config.brain.params.get("seed", 1)))
        self.params: Mapping[str, Any] = config.brain.params
        self.symbols: Sequence[str] = tuple(brain.rules)
        self.features: Features = brain.turns.features

    @property
    def now_ns(self) -> int:
        """Wall clock of this turn, set when its batch was taken."""
        return self._turn.now_ns  # type: ignore[no-any-return]  # a field of the C state

    @property
    def changed(self) -> Any:
        """Indices of the symbols the batch changed."""
        return self.features.changed

    @property
    def rows(self) -> Any:
        """Columns of `changed`."""
        return self.features.rows

    def position(self, symbol: str) -> Num:
        """Signed position."""
        return self._brain.positions.position(symbol)  # type: ignore[no-any-return]  # brain is duck-typed

    def working(self, symbol: str) -> Sequence[Any]:
        """Unfinished orders."""
        return self._brain.entry.orders.of(symbol)  # type: ignore[no-any-return]  # brain is duck-typed

    def quote(self, symbol: str) -> Quote | None:
        """Best prices, if they may be traded on."""
        return self._brain.market.quote(symbol)  # type: ignore[no-any-return]  # brain is duck-typed

    def book(self, symbol: str) -> Any:
        """Top of the L2 book."""
        return self._brain.market.top(symbol)

    def rules(self, symbol: str) -> Rules | None:
        """The venue's filters."""
        return self._brain.rules.get(symbol)  # type: ignore[no-any-return]  # brain is duck-typed

    def name(self, index: int) -> str:
        """Symbol of a record's index."""
        return self._brain.market.name(index)  # type: ignore[no-any-return]  # brain is duck-typed

    def index(self, symbol: str) -> int | None:
        """Index of a symbol's records."""
        return self._brain.market.index.get(symbol)  # type: ignore[no-any-return]  # brain is duck-typed

    def open(self) -> Sequence[str]:
        """Symbols with a position or an unfinished order."""
        working = (order.symbol for order in self._brain.entry.orders.live.values())
        return tuple(dict.fromkeys([*self._brain.positions.held(), *working]))

    def arm(self, place: Place, best: Side, price: Num, until_ns: int, *, above: bool = False) -> int:
        """See aegis.strategy.base.Context."""
        return self._brain.arm(place, best, price, until_ns, above)  # type: ignore[no-any-return]  # duck-typed

    def disarm(self, handle: int) -> bool:
        """See aegis.strategy.base.Context."""
        return self._brain.disarm(handle)  # type: ignore[no-any-return]  # brain is duck-typed
