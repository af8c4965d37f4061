"""Exact decimal numbers: an integer mantissa and a power-of-ten exponent.

Problem: the venue writes prices, sizes and money as decimal text; a binary float changes their last digit,
and a fixed global scale overflows on one symbol or truncates on another. `Num` keeps the digits: the value is
`m * 10**-e` with an unbounded Python `m`. Two Nums are equal when their values are ("1.50" == "1.5").
What must stay true: no operation here rounds except the ones whose name says so (`floor_to`, `div_floor`).
"""

from __future__ import annotations

import re

from aegis.errors import BadNumber, Inexact

_TEXT = re.compile(r"(-?)(\d+)(?:\.(\d+))?", re.ASCII)


class Num:
    """
    An exact decimal `m * 10**-e`, immutable and hashable by value.

    Args:
        m: mantissa, any int.
        e: number of decimal places, >= 0.
    """

    __slots__ = ("e", "m")
    m: int
    e: int

    def __init__(self, m: int = 0, e: int = 0) -> None:
        object.__setattr__(self, "m", m)
        object.__setattr__(self, "e", e)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("Num is immutable")

    def __reduce__(self) -> tuple[type[Num], tuple[int, int]]:
        return (Num, (self.m, self.e))

    @classmethod
    def parse(cls, text: str) -> Num:
        """
        Read plain decimal text ("-0.0001"), keeping its places.

        Raises:
            BadNumber: anything else: exponents, signs other than one minus, empty text, NaN.
        """
        found = _TEXT.fullmatch(text)
        if found is None:
            raise BadNumber(f"not a plain decimal number: {text[:40]!r}")
        sign, whole, places = found.group(1), found.group(2), found.group(3) or ""
        m = int(whole + places)
        return cls(-m if sign else m, len(places))

    def at(self, e: int) -> int:
        """
        The mantissa at exponent `e`.

        Raises:
            Inexact: the value has digits beyond `e` places.
        """
        if e == self.e:
            return self.m
        if e > self.e:
            return self.m * int(10 ** (e - self.e))
        q, r = divmod(self.m, int(10 ** (self.e - e)))
        if r:
            raise Inexact(f"{self} has more than {e} decimal places")
        return q

    def trim(self) -> Num:
        """The same value with the fewest decimal places."""
        m, e = self.m, self.e
        while e and m % 10 == 0:
            m, e = m // 10, e - 1
        return Num(m, e)

    def floor_to(self, step: Num) -> Num:
        """Largest multiple of `step` (> 0) that is <= self."""
        e = max(self.e, step.e)
        unit = step.at(e)
        return Num(self.at(e) // unit * unit, e)

    def div_floor(self, other: Num, e: int) -> Num:
        """self / other rounded toward minus infinity at `e` places; `other` must not be zero."""
        shift = e + other.e - self.e
        top, bottom = self.m, other.m
        if shift >= 0:
            top *= 10**shift
        else:
            bottom *= 10**-shift
        return Num(top // bottom, e)

    def sign(self) -> int:
        """-1, 0 or 1."""
        return (self.m > 0) - (self.m < 0)

    def __add__(self, other: Num) -> Num:
        if self.e == other.e:
            return Num(self.m + other.m, self.e)
        e = max(self.e, other.e)
        return Num(self.at(e) + other.at(e), e)

    def __sub__(self, other: Num) -> Num:
        return self + -other

    def __mul__(self, other: Num) -> Num:
        return Num(self.m * other.m, self.e + other.e)

    def __neg__(self) -> Num:
        return Num(-self.m, self.e)

    def __abs__(self) -> Num:
        return Num(abs(self.m), self.e)

    def __bool__(self) -> bool:
        return self.m != 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Num):
            return NotImplemented
        return self._against(other) == 0

    def __lt__(self, other: Num) -> bool:
        return self._against(other) < 0

    def __le__(self, other: Num) -> bool:
        return self._against(other) <= 0

    def __gt__(self, other: Num) -> bool:
        return self._against(other) > 0

    def __ge__(self, other: Num) -> bool:
        return self._against(other) >= 0

    def _against(self, other: Num) -> int:
        """Something below, equal to or above 0, as self is to other."""
        if self.e == other.e:
            return self.m - other.m
        e = max(self.e, other.e)
        return self.at(e) - other.at(e)

    def __hash__(self) -> int:
        n = self.trim()
        return hash((n.m, n.e))

    def __str__(self) -> str:
        digits = str(abs(self.m))
        sign = "-" if self.m < 0 else ""
        if not self.e:
            return sign + digits
        digits = digits.rjust(self.e + 1, "0")
        return f"{sign}{digits[: -self.e]}.{digits[-self.e :]}"

    def __repr__(self) -> str:
        return f"Num({str(self)!r})"


ZERO = Num(0, 0)
