"""What a route is: a handler, its weight, its security."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aegis.exchange.params import Params

NONE, KEY, SIGNED = 0, 1, 2
Weight = int | Callable[[Params], int]


@dataclass(frozen=True, slots=True)
class Route:
    """
    A handler with what it costs and who may call it.

    Args:
        run: `(exchange, params)` when `security` is NONE, else `(exchange, account, params)`.
        weight: request weight, or a function of the parameters.
        orders: how many orders it counts as on the 10 s counter; any number of them is one on the minute's.
    """

    run: Callable[..., Any]
    weight: Weight = 1
    security: int = SIGNED
    orders: int = 0


def per_symbol(one: int, every: int) -> Callable[[Params], int]:
    """Weight that depends on whether a symbol was given."""
    return lambda p: one if p.get("symbol") else every
