"""Every fault there is, found in the modules themselves: a public function of theirs is a fault.

What must stay true: a name is in one module only; each fault has one line of documentation and keyword parameters of
JSON's own types; a parameter that does not exist or has another type is refused before anything happens.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aegis.exchange.faults import door, frames, market, private, reads, sockets
from aegis.exchange.faults.injection import Injection

TYPES = {"int": int, "str": str, "bool": bool}


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter: its type's name, and its default (None when it must be given)."""

    name: str
    type: str
    default: int | str | bool | None


@dataclass(frozen=True, slots=True)
class Fault:
    """One entry: `family` is the module it stands in."""

    name: str
    doc: str
    family: str
    params: tuple[Param, ...]
    run: Callable[..., None]

    def checked(self, given: dict[str, Any]) -> dict[str, Any]:
        """`given` when it fits; ValueError with what does not."""
        known = {p.name: p for p in self.params}
        for name, value in given.items():
            if name not in known:
                raise ValueError(f"{self.name} has no parameter {name!r}: {', '.join(known) or 'none at all'}")
            if type(value) is not TYPES[known[name].type]:
                raise ValueError(f"{self.name}: {name} is {known[name].type}, not {value!r}")
        missing = [p.name for p in self.params if p.default is None and p.name not in given]
        if missing:
            raise ValueError(f"{self.name} needs {', '.join(missing)}")
        return given

    def usage(self) -> str:
        """Name and parameters, as `frame_delay(ms, stream="*", count=1)`."""
        rows = (p.name if p.default is None else f"{p.name}={p.default!r}" for p in self.params)
        return f"{self.name}({', '.join(rows)})"


def _entry(run: Callable[[Injection], None], family: str) -> Fault:
    rows = list(inspect.signature(run).parameters.values())[1:]
    params = tuple(Param(r.name, r.annotation, None if r.default is r.empty else r.default) for r in rows)
    return Fault(run.__name__, inspect.getdoc(run) or "", family, params, run)


CATALOGUE: dict[str, Fault] = {
    name: _entry(run, module.__name__.rpartition(".")[2])
    for module in (frames, sockets, door, reads, private, market)
    for name, run in vars(module).items()
    if inspect.isfunction(run) and run.__module__ == module.__name__ and not name.startswith("_")
}


def help_text() -> str:
    """The catalogue as text, one fault a paragraph."""
    return "\n".join(f"  {fault.usage()}\n      {fault.doc}" for fault in CATALOGUE.values())
