"""Compare two snapshots of one account: ours and the venue's.

Problem: "everything is in sync" is only worth something when it says what was compared and when. Both sides are
reduced to the same noun, `Books`, and each item (position, wallet, working order) either matches or yields one
`Mismatch` with both values.
What must stay true: comparison is by value ("0.10" equals "0.1"), a flat position equals an absent one, and equal
inputs give an empty list of mismatches.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum

import msgspec

from aegis.units import ZERO, Num


class Difference(StrEnum):
    """What kind of item differs."""

    POSITION = "position"
    WALLET = "wallet"
    ORDER_MISSING = "order_missing"  # we think it works, the venue does not show it
    ORDER_FOREIGN = "order_foreign"  # the venue shows it, our books do not


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """One side: signed positions, wallet balances, working orders (client id -> symbol), and when it was taken."""

    positions: dict[str, Num]
    wallets: dict[str, Num]
    orders: dict[str, str]
    taken_ns: int


class Mismatch(msgspec.Struct, frozen=True, kw_only=True):
    """One difference. `name` is the symbol, asset or client id; for orders 1 is "works", 0 "does not"."""

    kind: Difference
    name: str
    ours: Num
    theirs: Num
    symbol: str = ""

    def delta(self) -> Num:
        """What would have to be added to ours."""
        return self.theirs - self.ours


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Result of one comparison. `action` and `allowed_by` are filled by the resolution."""

    matches: int
    mismatches: tuple[Mismatch, ...]
    ours_ns: int
    theirs_ns: int
    positions: int
    action: str = "none"
    allowed_by: str = ""

    def clean(self) -> bool:
        """True when nothing differs."""
        return not self.mismatches

    def lines(self) -> list[str]:
        """The log lines operators and their alarms know."""
        out = [f"Report: {self.matches} matches, {len(self.mismatches)} mismatches"]
        if any(m.kind is Difference.POSITION for m in self.mismatches):
            out.append("Position mismatches detected")
        if self.clean():
            out += [f"Cache reconciled: {self.positions} positions on Binance", "Reconciliation successful"]
        return out


def compare(ours: Books, theirs: Books) -> Report:
    """Every item of either side, matched by name and value."""
    found: list[Mismatch] = []
    matches = 0
    for kind, left, right in (
        (Difference.POSITION, ours.positions, theirs.positions),
        (Difference.WALLET, ours.wallets, theirs.wallets),
    ):
        for name in sorted(left.keys() | right.keys()):
            a, b = left.get(name, ZERO), right.get(name, ZERO)
            if a == b:
                matches += 1
            else:
                symbol = name if kind is Difference.POSITION else ""
                found.append(Mismatch(kind=kind, name=name, ours=a, theirs=b, symbol=symbol))
    one = Num(1)
    for name in sorted(ours.orders.keys() | theirs.orders.keys()):
        if name not in theirs.orders:
            kind, a, b, symbol = Difference.ORDER_MISSING, one, ZERO, ours.orders[name]
        elif name not in ours.orders:
            kind, a, b, symbol = Difference.ORDER_FOREIGN, ZERO, one, theirs.orders[name]
        else:
            matches += 1
            continue
        found.append(Mismatch(kind=kind, name=name, ours=a, theirs=b, symbol=symbol))
    held = sum(1 for q in theirs.positions.values() if q)
    return Report(
        matches=matches,
        mismatches=tuple(found),
        ours_ns=ours.taken_ns,
        theirs_ns=theirs.taken_ns,
        positions=held,
    )


def persistent(first: Report, second: Report) -> Report:
    """
    The second look: only what differed both times in the same item is a mismatch; the rest was in flight.

    Source: snapshots race with live fills (DESIGN 7; PROTOCOL 3.1, REST may lag the stream).
    """
    seen = {(m.kind, m.name) for m in first.mismatches}
    kept = tuple(m for m in second.mismatches if (m.kind, m.name) in seen)
    return msgspec.structs.replace(second, mismatches=kept, matches=second.matches + len(second.mismatches) - len(kept))


def in_flight(ours: Books, theirs: Books, trail: Mapping[tuple[Difference, str], Collection[Num]]) -> Books:
    """
    Ours, with each value replaced by theirs where ours held exactly that value while theirs was being fetched.

    The venue's answer is of some moment between request and reply; on a trading account no single moment of ours
    is the right one to compare with, but each of their values must be one that ours went through.
    """
    positions = dict(ours.positions)
    wallets = dict(ours.wallets)
    for kind, mine, other in (
        (Difference.POSITION, positions, theirs.positions),
        (Difference.WALLET, wallets, theirs.wallets),
    ):
        for name in mine.keys() | other.keys():
            value = other.get(name, ZERO)
            if value in trail.get((kind, name), ()):
                mine[name] = value
    return msgspec.structs.replace(ours, positions=positions, wallets=wallets)
