"""What a user's strategy is, and all it may know.

Problem: a strategy that reads a clock, draws luck or opens a socket cannot be replayed. So everything it may use is in
the Context it is handed, and all it can do is return intents; each passes the gate before anything is sent.
What must stay true: same context, same ticks, same seed: same intents.

    class Leaning:                                     # brain.strategy = "my_module:Leaning"
        def __init__(self, params):
            self.qty, self.weights = Num.parse(params.get("qty", "0.01")), weights(lean=0.5, flow_1s=0.5)
        def on_batch(self, ctx, batch):                # what came since, and what it changed
            signals = ctx.rows @ self.weights          # one vector operation, however many symbols
            strong = ctx.changed[signals > 0.8]
            return [place for index in strong.tolist() for place in self.enter(ctx, ctx.name(index))]
        def enter(self, ctx, name):
            quote = ctx.quote(name)
            if quote is None or ctx.position(name) or ctx.working(name): return []
            return [Place(symbol=name, side=Side.BUY, qty=self.qty, price=quote.ask, tif=Tif.IOC)]
        def on_order(self, ctx, update): return []
        def on_timer(self, ctx): return []

`batch`, `ctx.changed` and `ctx.rows` are read-only views of memory that the next batch overwrites: good during the
call, to be copied by whoever keeps them. When the brain lags, a batch may hold only the newest quote of a symbol, and
no depth run of one whose book `ctx.book` shows; trades are never thinned. Features are signals (floats); prices and
quantities to send are the exact ones of `quote`, `book` and `rules`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, NamedTuple, Protocol

from aegis.errors import ConfigError
from aegis.messages import Intent, OrderUpdate, Place, Rules, Side
from aegis.native.features import Features
from aegis.units import Num


class Quote(NamedTuple):
    """Best prices and sizes, exact. `recv_ns`: when the feed received them (wall clock)."""

    bid: Num
    bid_qty: Num
    ask: Num
    ask_qty: Num
    recv_ns: int


class Tick(NamedTuple):
    """One market record: a..d as the kind defines them, mantissas at px_exp / qty_exp."""

    symbol: str
    kind: int
    flags: int
    px_exp: int
    qty_exp: int
    a: int
    b: int
    c: int
    d: int
    exch_ns: int
    recv_ns: int


class Working(Protocol):
    """An unfinished order of ours, as strategies see it."""

    client_id: str
    symbol: str
    side: Any
    price: Num
    tag: str
    since_ns: int
    state: Any


class Context(Protocol):
    """A strategy's whole world."""

    now_ns: int
    random: Random
    params: Mapping[str, Any]
    symbols: Sequence[str]
    features: Features
    changed: Any  # symbol indices the batch changed, uint16
    rows: Any  # their columns, float64 (changed, columns)

    def position(self, symbol: str) -> Num:
        """Signed position: reconciled plus all fills since."""

    def working(self, symbol: str) -> Sequence[Working]:
        """Unfinished orders, oldest first; UNKNOWN ones included."""

    def quote(self, symbol: str) -> Quote | None:
        """Best prices now; None when there are none to be trusted."""

    def book(self, symbol: str) -> Any:
        """Top of the L2 book (native.books.Top: bids, asks of (price, qty) ints), or None."""

    def rules(self, symbol: str) -> Rules | None:
        """The venue's filters."""

    def name(self, index: int) -> str:
        """Symbol of a market record's index."""

    def index(self, symbol: str) -> int | None:
        """Index of a symbol's records and features; None until the feed knows it."""

    def open(self) -> Sequence[str]:
        """Symbols with a position or an unfinished order."""

    def arm(self, place: Place, best: Side, price: Num, until_ns: int, *, above: bool = False) -> int:
        """
        Leave an order with the desk in C: it is placed by itself, once, by the first quote that fulfils the condition.

        Args:
            place: the order; it passes the same gate then.
            best: BUY watches the best bid of its symbol, SELL the best ask.
            price, above: fires at or below `price`; above: at or above it.
            until_ns: end of its life, on the clock of `now_ns`.

        Returns:
            A handle, or -1: refused (counted and recorded). It also ends by a halt, a book that is not trusted, a feed
            that began anew, a stop; `on_trigger` is told of every end but a disarm.
        """

    def disarm(self, handle: int) -> bool:
        """Take it back; False: it is over already, and `on_trigger` is or was told."""


class Strategy(Protocol):
    """
    Constructed with `params`. Has `on_tick(ctx, tick)` or `on_batch(ctx, batch)` (numpy records, dtype
    native.abi.TICK; wins when both exist, and costs a tenth), `on_order(ctx, update)` and `on_timer(ctx)`, each
    returning intents. May have `on_trigger(ctx, ended)` (native.desk.Ended: what became of an armed order).
    """

    def on_order(self, ctx: Context, update: OrderUpdate) -> Sequence[Intent]:
        """News of one of our orders."""

    def on_timer(self, ctx: Context) -> Sequence[Intent]:
        """Every brain.timer_ms."""


def load(spec: str, params: Mapping[str, Any]) -> Any:
    """
    Make the strategy named `module:Class`.

    Raises:
        ConfigError: no such module or class, it does not construct, or a method is missing.
    """
    module, _, name = spec.partition(":")
    try:
        made = getattr(importlib.import_module(module), name)(params)
    except Exception as e:
        raise ConfigError(f"config: brain.strategy = {spec!r}: {type(e).__name__}: {e}") from e
    missing = [m for m in ("on_order", "on_timer") if not callable(getattr(made, m, None))]
    if not any(callable(getattr(made, m, None)) for m in ("on_tick", "on_batch")):
        missing.append("on_tick or on_batch")
    if missing:
        raise ConfigError(f"config: brain.strategy = {spec!r}: no {', '.join(missing)}")
    return made
