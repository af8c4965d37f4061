"""What the path bench trades: one order for each marked tick, decided in Python or armed ahead in C.

Problem: tick to order is measured on an order that depends on the tick. So the order takes the whole ask of the marked
tick at its price: the venue knows by the quantity which mark was answered, and sees what was missed or doubled.
What must stay true: exactly one order for each marked tick, none for others; nothing is read but the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aegis.messages import Intent, Place, Side, Tif
from aegis.native import abi
from aegis.strategy.base import Context
from aegis.units import Num

SYMBOL = "BTCUSDT"
MARK = Num(769603, 1)  # an ask at or below this is a mark


class Marked:
    """Decides in Python: looks through the batch with one comparison and takes what is marked."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._level: dict[int, int] = {}

    def on_batch(self, ctx: Context, batch: Any) -> Sequence[Intent]:
        """An order for each best price whose ask is at or below the mark."""
        exp = int(batch["px_exp"][0])
        level = self._level.get(exp)
        if level is None:
            level = self._level[exp] = MARK.at(exp)
        hits = batch[(batch["c"] <= level) & (batch["kind"] == abi.KIND_BOOK_TICKER)]
        if not len(hits):
            return ()
        return [
            Place(symbol=SYMBOL, side=Side.BUY, qty=Num(qty, qty_exp), price=Num(px, px_exp), tif=Tif.IOC)
            for px, px_exp, qty, qty_exp in hits[["c", "px_exp", "d", "qty_exp"]].tolist()
        ]

    def on_order(self, ctx: Context, update: Any) -> Sequence[Intent]:
        """Orders expire by themselves."""
        return ()

    def on_timer(self, ctx: Context) -> Sequence[Intent]:
        """Nothing depends on time."""
        return ()


class Skips(Marked):
    """A planted fault: every seventh mark is let go."""

    seen = 0

    def on_batch(self, ctx: Context, batch: Any) -> Sequence[Intent]:
        """See the class."""
        kept = []
        for place in super().on_batch(ctx, batch):
            self.seen += 1
            kept += [place] if self.seen % 7 else []
        return kept


class Doubles(Marked):
    """A planted fault: every seventh mark is answered twice."""

    seen = 0

    def on_batch(self, ctx: Context, batch: Any) -> Sequence[Intent]:
        """See the class."""
        made = []
        for place in super().on_batch(ctx, batch):
            self.seen += 1
            made += [place] if self.seen % 7 else [place, place]
        return made
