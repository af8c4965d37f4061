"""The shape of JSON messages: keys in their order, types, how numbers are written, white space.

Problem: two messages never have equal values, and clients break on everything else: a key that is missing, a number
that came as text yesterday, a zero written "0" where "0.00" was. Comparing keys alone finds the first of these only.
What must stay true: a difference is said in words with its place; a number written in a way that fits two classes
("12.5" may be trimmed or padded to one place) is held against both, so only what cannot agree is told.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

DECIMAL = re.compile(r"-?\d+(\.\d+)?")
BLANK = re.compile(r'([\[\]{},:])\s+(?:(?="(\w+)"\s*:))?|"(?:[^"\\]|\\.)*"')
Grid = Mapping[str, int]  # name of a number of places -> places


def grid(price: int, quantity: int) -> Grid:
    """Numbers of decimal places that belong to a symbol."""
    return {"price": price, "quantity": quantity, "notional": price + quantity}


def kind_of_text(text: str) -> str:
    """decimal, empty or text."""
    return "decimal" if DECIMAL.fullmatch(text) else "text" if text else "empty"


def type_of(value: Any) -> str:
    """The JSON type; of a string, whether it is a decimal number or empty."""
    if isinstance(value, str):
        return kind_of_text(value)
    names: dict[type, str] = {bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}
    return names.get(type(value), "null")


def ways(text: str, places: Grid) -> set[str]:
    """Every way of writing numbers that a decimal text agrees with."""
    count = len(text.partition(".")[2])
    out = {f"{count} places"} | {name for name, n in places.items() if n == count}
    return out | ({"trimmed"} if not count or text[-1] != "0" else set())


def blanks(text: str) -> set[str]:
    """Where blanks stand outside of texts: the mark before them and the key after them."""
    out = set()
    for found in BLANK.finditer(text):
        if found[1]:
            out.add(f"after {found[1]!r} before {found[2] or 'a value'}")
    return out


@dataclass
class Shape:
    """
    What messages of one kind look like.

    Attributes:
        keys: place of an object -> its keys in order; a later message adds nothing it does not have.
        types: place -> types seen there.
        written: place -> ways of writing numbers that all decimals seen there agree with.
    """

    places: Grid
    keys: dict[str, tuple[str, ...]] = field(default_factory=dict)
    types: dict[str, set[str]] = field(default_factory=dict)
    written: dict[str, set[str]] = field(default_factory=dict)
    spaces: set[str] = field(default_factory=set)

    def add(self, text: str) -> Shape:
        """Take a message in."""
        self.spaces |= blanks(text)
        return self.take(json.loads(text))

    def take(self, value: Any, at: str = "") -> Shape:
        """Take a decoded value in, white space aside."""
        self.types.setdefault(at, set()).add(type_of(value))
        if isinstance(value, dict):
            self.keys[at] = tuple(value)
            for key, one in value.items():
                self.take(one, f"{at}.{key}" if at else key)
        elif isinstance(value, list):
            for i, one in enumerate(value):
                row = at.endswith("]") and not isinstance(one, dict)
                self.take(one, f"{at}[{i if row else ''}]")
        elif isinstance(value, str) and DECIMAL.fullmatch(value):
            found = ways(value, self.places)
            self.written[at] = self.written.get(at, found) & found
        return self


def signature(value: Any) -> str:
    """Keys and types of one value: messages with equal signatures may be taken into one Shape."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{k}:{signature(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + "|".join(sorted({signature(v) for v in value})) + "]"
    return type_of(value)


def differences(
    ours: Shape,
    theirs: Shape,
    *,
    later: Callable[[str], bool] = lambda _place: False,
    gone: Callable[[str], bool] = lambda _place: False,
    any_order: Callable[[str], bool] = lambda _place: False,
    numbers: bool = True,
    spaces: bool = True,
) -> list[str]:
    """
    In words, how `ours` differs from `theirs`; empty when it does not.

    Args:
        later: may this key of ours be missing in theirs, because it came later?
        gone: may this key of theirs be missing in ours, because the venue dropped it since?
        any_order: are the keys of the object at this place in no fixed order?
        numbers, spaces: compare how numbers are written, and white space.
    """
    out: list[str] = []
    for at, keys in theirs.keys.items():
        if at in ours.keys:
            out += _keys(ours.keys[at], keys, f"{at}." if at else "", later, gone, any_order(at))
    for at, types in theirs.types.items():
        if at in ours.types and not types <= ours.types[at] and not gone(at):
            out.append(f"{at or 'the whole'}: {_or(ours.types[at])}, should be {_or(types)}")
    if numbers:
        for at, written in theirs.written.items():
            mine = ours.written.get(at)
            if mine is not None and written and not mine & written:
                out.append(f"{at}: number written as {_or(mine) or 'in no one way'}, should be {_or(written)}")
    if spaces and ours.spaces != theirs.spaces:
        out.append(f"blanks {_or(ours.spaces) or 'nowhere'}, should be {_or(theirs.spaces) or 'nowhere'}")
    return out


def _or(words: Iterable[str]) -> str:
    return " or ".join(sorted(words))


def _keys(
    ours: tuple[str, ...],
    theirs: tuple[str, ...],
    head: str,
    later: Callable[[str], bool],
    gone: Callable[[str], bool],
    any_order: bool,
) -> list[str]:
    out = [f"{head}{k}: missing" for k in theirs if k not in ours and not gone(head + k)]
    out += [f"{head}{k}: should not be there" for k in ours if k not in theirs and not later(head + k)]
    common = [k for k in ours if k in theirs]
    wanted = [k for k in theirs if k in ours]
    if common != wanted and not any_order:
        out.append(f"{head or 'top '}keys in the order {' '.join(common)}, should be {' '.join(wanted)}")
    return out


def nearest(found: Iterable[list[str]]) -> list[str]:
    """The shortest of several lists of differences."""
    return min(found, key=len)
