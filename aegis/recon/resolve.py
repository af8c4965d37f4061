"""Decide what to do about a difference: adopt, correct or halt.

Problem: overwriting our books with the venue's hides bugs; halting on dust is no trading. So by provability and
size: a difference that fills or income records we missed explain is adopted (booked as what it is); a rest within
a stated tolerance is corrected by a labelled adjustment; everything else halts.
What must stay true: after the actions are booked, comparing the same snapshots again finds nothing, unless an
action is HALT.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from aegis.messages import Fill, Side
from aegis.recon.compare import Difference, Mismatch, Report
from aegis.units import ZERO, Num


class Verdict(StrEnum):
    """What is done about one mismatch."""

    ADOPT = "adopt"
    CORRECT = "correct"
    HALT = "halt"


class Income(msgspec.Struct, frozen=True, kw_only=True):
    """One non-trade income record of the venue that our books do not hold."""

    asset: str
    reason: str
    amount: Num
    exch_ns: int
    tran_id: int
    symbol: str = ""


class Tolerance(msgspec.Struct, frozen=True, kw_only=True):
    """Largest difference `correct` may book: per symbol one lot (absent: none), per wallet `money`."""

    lots: dict[str, Num] = {}
    money: Num = Num(1, 2)


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One decision: what it is about, the rest to adjust by (0 = none), and why."""

    verdict: Verdict
    mismatch: Mismatch
    rest: Num
    why: str


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue's records prove that we did not have: fills and incomes, already deduplicated."""

    fills: tuple[Fill, ...] = ()
    incomes: tuple[Income, ...] = ()

    def qty(self, symbol: str) -> Num:
        """Signed quantity of the missed fills."""
        mine = (f for f in self.fills if f.symbol == symbol)
        return sum((f.qty if f.side == Side.BUY else -f.qty for f in mine), ZERO)

    def money(self, asset: str) -> Num:
        """Wallet change of the missed fills and incomes."""
        total = sum((i.amount for i in self.incomes if i.asset == asset), ZERO)
        for f in self.fills:
            if f.margin_asset == asset:
                total += f.realised
            if (f.commission_asset or f.margin_asset) == asset:
                total -= f.commission
        return total


def decide(report: Report, evidence: Evidence, tolerance: Tolerance) -> tuple[Action, ...]:
    """One action per mismatch of `report` (which must be a confirmed one)."""
    return tuple(_decide_one(m, evidence, tolerance) for m in report.mismatches)


def _decide_one(mismatch: Mismatch, evidence: Evidence, tolerance: Tolerance) -> Action:
    if mismatch.kind is Difference.ORDER_FOREIGN:
        return Action(verdict=Verdict.ADOPT, mismatch=mismatch, rest=ZERO, why="order shown by the venue, not ours")
    if mismatch.kind is Difference.ORDER_MISSING:
        return Action(verdict=Verdict.ADOPT, mismatch=mismatch, rest=ZERO, why="order no longer works: ask for its end")
    if mismatch.kind is Difference.POSITION:
        proved, allowed = evidence.qty(mismatch.name), tolerance.lots.get(mismatch.name, ZERO)
    else:
        proved, allowed = evidence.money(mismatch.name), tolerance.money
    rest = mismatch.delta() - proved
    if not rest:
        return Action(verdict=Verdict.ADOPT, mismatch=mismatch, rest=ZERO, why=f"records prove {proved}")
    if abs(rest) <= allowed:
        return Action(verdict=Verdict.CORRECT, mismatch=mismatch, rest=rest, why=f"{rest} is within {allowed}")
    why = f"records prove {proved} of {mismatch.delta()}, tolerance {allowed}"
    return Action(verdict=Verdict.HALT, mismatch=mismatch, rest=rest, why=why)
