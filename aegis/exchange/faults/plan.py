"""A plan of faults: a file of rows, each a fault with its parameters and the moment of its injection.

Problem: a moment by the clock alone is another moment in every run; so rows may also count the frames or the requests
that passed, which one client makes the same in every run.
What must stay true: a row is refused when the file is read, not when its moment comes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from aegis.exchange.faults.catalogue import CATALOGUE

MOMENTS = ("at_s", "after_frames", "after_requests")


@dataclass(frozen=True, slots=True)
class Row:
    """
    One fault to come.

    Args:
        moment: "at_s" seconds, "after_frames" stream frames or "after_requests" requests from when the plan is taken;
            "" for at once.
        value: how many of them.
    """

    name: str
    params: dict[str, Any]
    moment: str = ""
    value: float = 0.0

    def shown(self) -> dict[str, Any]:
        """As the operator wrote it."""
        return {"name": self.name, **self.params} | ({self.moment: self.value} if self.moment else {})


def row_of(given: dict[str, Any]) -> Row:
    """
    A row from its JSON object: `name`, parameters beside it or in `params`, at most one moment.

    Raises:
        ValueError: anything that does not fit.
    """
    rest = dict(given)
    name = rest.pop("name", None)
    if name not in CATALOGUE:
        raise ValueError(f"no fault {name!r}; GET /control/faults lists them")
    moments = [m for m in MOMENTS if m in rest]
    if len(moments) > 1:
        raise ValueError(f"{name}: one of {', '.join(MOMENTS)}")
    moment = moments[0] if moments else ""
    value = rest.pop(moment) if moment else 0
    if type(value) not in (int, float) or value < 0:
        raise ValueError(f"{name}: {moment} is a number, not negative")
    inside = rest.pop("params", {})
    if not isinstance(inside, dict):
        raise ValueError(f"{name}: params is an object")
    return Row(name, CATALOGUE[name].checked(rest | inside), moment, value)


def rows_of(rows: Iterable[Any]) -> list[Row]:
    """Rows in the order in which they were given; ValueError for what is no object."""
    out = []
    for given in rows:
        if not isinstance(given, dict):
            raise ValueError(f"a plan's row is an object, not {given!r}")
        out.append(row_of(given))
    return out


def load(path: str) -> list[Row]:
    """
    A plan file: a JSON list, or one JSON object a line.

    Raises:
        OSError, ValueError: it cannot be read or used.
    """
    text = Path(path).read_bytes().strip()
    if text.startswith(b"["):
        return rows_of(msgspec.json.decode(text))
    return rows_of(msgspec.json.decode(line) for line in text.splitlines() if line.strip())
