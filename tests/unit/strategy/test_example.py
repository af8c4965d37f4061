"""The example of the documentation works as it says: enters on strong flow, arms its stop, leaves when that is over."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("aegis.native._aegis")

from aegis.messages import OrderStatus, Place, Side
from aegis.native import abi
from aegis.native.features import Features
from aegis.strategy.base import Quote
from aegis.units import ZERO, Num

EXAMPLE = Path(__file__).resolve().parents[3] / "docs" / "strategy_example.py"
N = Num.parse


def example() -> Any:
    """The class, from its file."""
    spec = importlib.util.spec_from_file_location("strategy_example", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Follow


class World:
    """As much of a context as the example looks at; remembers what was armed."""

    def __init__(self) -> None:
        self.now_ns, self.held, self.armed, self.features = 5, ZERO, [], Features()  # type: ignore[var-annotated]

    def trades(self, side: int) -> None:
        """Quotes and one trade of the aggressor's side."""
        rows = np.zeros(3, abi.TICK)
        rows["px_exp"], rows["qty_exp"], rows["recv_ns"] = 1, 2, (1, 2, 3)
        rows["kind"], rows["a"], rows["c"] = (1, 1, 2), (999, 1000, 1000), (1001, 1001, 7)
        rows["b"], rows["d"] = (100, 900, 50), (100, 100, side)
        self.features.fold(rows)
        self.changed, self.rows = self.features.changed, self.features.rows

    def name(self, _index: int) -> str:
        return "X"

    def position(self, _symbol: str) -> Num:
        return self.held

    def working(self, _symbol: str) -> list[Any]:
        return []

    def quote(self, _symbol: str) -> Quote:
        return Quote(N("100.0"), N("9"), N("100.1"), N("1"), 5)

    def rules(self, _symbol: str) -> Any:
        return SimpleNamespace(tick=N("0.1"))

    def arm(self, *asked: Any) -> int:
        self.armed.append(asked)
        return 3


def test_the_example_follows_and_leaves() -> None:
    """Flow in, stop armed below what was paid, out when the stop is over."""
    world, strategy = World(), example()({"threshold": 0.4})
    world.trades(1)
    (enter,) = strategy.on_batch(world, None)
    assert isinstance(enter, Place)
    assert (enter.side, enter.price) == (Side.BUY, N("100.1"))
    world.trades(-1)
    world.held = N("0.01")
    assert strategy.on_batch(world, None) == []
    bought = SimpleNamespace(
        symbol="X", status=OrderStatus.FILLED, side=Side.BUY, avg_price=N("100.1"), filled_qty=N("0.01")
    )
    assert strategy.on_order(world, bought) == []
    ((leave, best, price, until_ns),) = world.armed
    assert (leave.side, leave.reduce_only, leave.price) == (Side.SELL, True, N("99.9"))
    assert (best, price) == (Side.BUY, N("100.0"))
    assert until_ns == 10_000_000_005
    (rest,) = strategy.on_trigger(world, SimpleNamespace(place=leave))
    assert (rest.side, rest.qty, rest.reduce_only) == (Side.SELL, N("0.01"), True)
