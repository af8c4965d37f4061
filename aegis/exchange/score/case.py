"""What a case is, and the list of all of them.

What must stay true: a case is one function whose docstring is its law in a sentence; its name is its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from aegis.exchange.score.scene import Scene


@dataclass(frozen=True)
class Case:
    """One case: `doc` is its law in one line; `venue` are options of the venue it needs; `early`: it starts the client
    itself; `last`: nothing may be played on the same venue afterwards."""

    family: str
    name: str
    doc: str
    run: Callable[[Scene], Awaitable[None]]
    venue: Mapping[str, object] = field(default_factory=dict)
    early: bool = False
    last: bool = False


CASES: list[Case] = []


def case(
    family: str, *, venue: Mapping[str, object] | None = None, early: bool = False, last: bool = False
) -> Callable[[Callable[[Scene], Awaitable[None]]], Callable[[Scene], Awaitable[None]]]:
    """Register the function as a case of a family; its name and docstring are the case's."""

    def register(run: Callable[[Scene], Awaitable[None]]) -> Callable[[Scene], Awaitable[None]]:
        doc = " ".join((run.__doc__ or "").split())
        name = getattr(run, "__name__", "")
        CASES.append(Case(family, name, doc, run, dict(venue or {}), early, last))
        return run

    return register
