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
from aegis.native.desk import End
from aegis.strategy.base import Context
from aegis.units import Num

SYMBOL = "BTCUSDT"
BUY, IOC, QUOTE = Side.BUY, Tif.IOC, abi.KIND_BOOK_TICKER  # looked up once: once in a hundred ticks they are cold
MARKS, ARMED_NS = (1000, 10000), 60_000_000_000  # numbers of marks; how long an order lies ready
MARK = Num(769603, 1)  # an ask at or below this is a mark


class Marked:
    """Decides in Python: looks through the batch with one comparison and takes what is marked."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._level = self._px_exp = self._qty_exp = 0

    def on_batch(self, ctx: Context, batch: Any) -> Sequence[Intent]:
        """An order for each best price whose ask is at or below the mark: one comparison over the batch."""
        if not self._level:
            self._learn(ctx)
        return self.marked(batch)

    def marked(self, batch: Any) -> Sequence[Place]:
        """Orders for the marks in a batch."""
        asks = batch["c"]
        hits = (asks <= self._level).nonzero()[0]
        if not len(hits):
            return ()
        kinds, sizes = batch["kind"], batch["d"]
        return [
            Place(symbol=SYMBOL, side=BUY, qty=Num(sizes.item(i), self._qty_exp),
                  price=Num(asks.item(i), self._px_exp), tif=IOC)
            for i in hits.tolist()
            if kinds.item(i) == QUOTE
        ]  # fmt: skip

    def _learn(self, ctx: Context) -> None:
        rules = ctx.rules(SYMBOL)
        assert rules is not None
        self._px_exp, self._qty_exp, self._level = rules.px_exp, rules.qty_exp, MARK.at(rules.px_exp)

    def on_order(self, ctx: Context, update: Any) -> Sequence[Intent]:
        """Orders expire by themselves."""
        return ()

    def on_timer(self, ctx: Context) -> Sequence[Intent]:
        """Nothing depends on time."""
        return ()


class Armed(Marked):
    """Armed ahead: the order for the next mark lies in C; Python only arms the one after it."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(params)
        self._handle, self._next = -1, MARKS[0]

    def on_batch(self, ctx: Context, batch: Any) -> Sequence[Intent]:
        """Only when the count of marks was lost (a start): begin again after the mark that was seen."""
        if not self._level:
            self._learn(ctx)
        for place in self.marked(batch):
            after = _after(place.qty.at(3))
            if after != self._next:
                ctx.disarm(self._handle)
                self._next, self._handle = after, -1
        if self._handle < 0:
            self._arm(ctx)
        return ()

    def on_trigger(self, ctx: Context, ended: Any) -> Sequence[Intent]:
        """Fired: arm the next one, before the next batch is looked at; ended otherwise: arm it again."""
        if ended.why is End.FIRED:
            self._next = _after(ended.place.qty.at(3))
        self._arm(ctx)
        return ()

    def on_timer(self, ctx: Context) -> Sequence[Intent]:
        """What could not be armed is tried again."""
        if self._handle < 0:
            self._arm(ctx)
        return ()

    def _arm(self, ctx: Context) -> None:
        place = Place(symbol=SYMBOL, side=Side.BUY, qty=Num(self._next, 3), price=MARK, tif=Tif.IOC)
        self._handle = ctx.arm(place, Side.SELL, MARK, ctx.now_ns + ARMED_NS)


def _after(lots: int) -> int:
    return lots + 1 if lots + 1 < MARKS[1] else MARKS[0]


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
