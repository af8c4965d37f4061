"""The example strategy: trades both ways, leaves again, keeps to one entry's size."""

from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("aegis.native._aegis")

from aegis.errors import ConfigError
from aegis.messages import Cancel, Place, Rules, Side, Tif
from aegis.native import abi
from aegis.native.features import Features
from aegis.strategy.base import Quote, load
from aegis.strategy.imbalance import Imbalance
from aegis.units import ZERO, Num

N = Num.parse
MS = 1_000_000
RULES = Rules(
    symbol="X", base_asset="X", quote_asset="USDT", margin_asset="USDT", status="TRADING", contract_type="PERPETUAL",
    tick=N("0.1"), price_min=ZERO, price_max=ZERO, lot=N("0.01"), qty_min=N("0.01"), qty_max=N("1000"),
    market_lot=N("0.01"), market_qty_min=N("0.01"), market_qty_max=N("1000"), min_notional=N("5"), multiplier_up=ZERO,
    multiplier_down=ZERO, orders_max=200, px_exp=1, qty_exp=2,
)  # fmt: skip


class World:
    """A context with one symbol, whose features are folded by the real code."""

    def __init__(self, sizes: tuple[int, int] = (500, 500)) -> None:
        self.now_ns, self.random, self.params, self.symbols = 10_000 * MS, Random(1), {}, ("X",)
        self.held, self.orders = ZERO, []  # type: list[Any]  # orders of the test
        self.sizes, self.features = sizes, Features()
        self.changed, self.rows = self.features.changed, self.features.rows

    def position(self, _symbol: str) -> Num:
        return self.held

    def working(self, _symbol: str) -> list[Any]:
        return self.orders

    def quote(self, _symbol: str) -> Quote | None:
        return Quote(N("99.9"), Num(self.sizes[0], 2), N("100.0"), Num(self.sizes[1], 2), self.now_ns)

    def book(self, _symbol: str) -> Any:
        return None

    def rules(self, _symbol: str) -> Rules | None:
        return RULES

    def name(self, _index: int) -> str:
        return "X"

    def index(self, _symbol: str) -> int | None:
        return 0

    def open(self) -> tuple[str, ...]:
        return ("X",) if self.held or self.orders else ()

    def batch(self) -> Any:
        """The quote as one market record, folded."""
        made = np.zeros(1, abi.TICK)
        fields = {"kind": 1, "px_exp": 1, "qty_exp": 2, "a": 999, "b": self.sizes[0], "c": 1000, "d": self.sizes[1]}
        for name, value in (fields | {"recv_ns": self.now_ns}).items():
            made[name] = value
        self.features.fold(made)
        self.changed, self.rows = self.features.changed, self.features.rows
        return made


@pytest.mark.parametrize(("sizes", "side", "price"), [((900, 100), Side.BUY, "100.0"), ((100, 900), Side.SELL, "99.9")])
def test_enters_at_the_touch(sizes: tuple[int, int], side: Side, price: str) -> None:
    """A leaning book is followed with a small IOC at the other side's best price."""
    world = World(sizes)
    (order,) = Imbalance({}).on_batch(world, world.batch())
    assert isinstance(order, Place)
    assert (order.side, order.tif, order.price) == (side, Tif.IOC, N(price))
    assert N("150") <= order.qty * N("100.0") <= N("152")


def test_leaves_after_its_time() -> None:
    """A position is closed, reduce-only and whole, when it was held long enough."""
    world, strategy = World(), Imbalance({})
    world.held = N("-1.5")
    assert strategy.on_timer(world) == []
    world.now_ns += 2000 * MS
    (order,) = strategy.on_timer(world)
    assert isinstance(order, Place)
    assert (order.side, order.qty, order.reduce_only) == (Side.BUY, N("1.5"), True)


def test_old_quote_is_cancelled_and_nothing_is_added_to_a_working_order() -> None:
    """One unfinished order per symbol."""
    world, strategy = World(), Imbalance({})
    resting = SimpleNamespace(client_id="a", tag="quote", since_ns=world.now_ns, state=SimpleNamespace(name="WORKING"))
    world.orders, world.sizes = [resting], (900, 100)
    assert strategy.on_batch(world, world.batch()) == []
    world.now_ns += 900 * MS
    assert strategy.on_timer(world) == [Cancel(symbol="X", client_id="a")]


def test_a_symbol_is_left_alone_for_its_pause() -> None:
    """One entry, then none until the pause is over, however strong the signal."""
    world, strategy = World((900, 100)), Imbalance({})
    assert len(strategy.on_batch(world, world.batch())) == 1
    world.now_ns += 299 * MS
    assert strategy.on_batch(world, world.batch()) == []
    world.now_ns += MS
    assert len(strategy.on_batch(world, world.batch())) == 1


def test_a_position_is_left_when_the_signal_turns() -> None:
    """Long, and the book leans the other way."""
    world, strategy = World((100, 900)), Imbalance({})
    world.held = N("1.5")
    (order,) = strategy.on_batch(world, world.batch())
    assert isinstance(order, Place)
    assert (order.side, order.reduce_only, order.price) == (Side.SELL, True, N("99.9"))


def test_load_names_what_is_missing() -> None:
    """A strategy that cannot work is refused at start, by name."""
    assert isinstance(load("aegis.strategy.imbalance:Imbalance", {}), Imbalance)
    with pytest.raises(ConfigError, match="no_such"):
        load("no_such:Thing", {})
    with pytest.raises(ConfigError, match="on_order"):
        load("collections:Counter", {})
