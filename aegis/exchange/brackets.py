"""Leverage tiers: what margin a position of a size needs, and how large it may grow at a leverage.

Problem: maintenance margin is a rate that steps up with size, yet the margin itself must not jump when a position
crosses a step, or one tick would liquidate a healthy account. The venue therefore takes a fixed amount off each tier
(`cum`), which is the excess of the tier's own rate over all lower rates. It is computed here, never typed.
What must stay true: tiers join without a gap, rates rise, leverage falls, and maintenance is continuous to the last
unit of 1e-8 at every floor.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

PPM = 1_000_000
ONE_E8 = 100_000_000


class Tier(NamedTuple):
    """
    One leverage tier.

    Attributes:
        leverage: highest initial leverage in this tier.
        floor, cap: bounds of the notional in whole quote units; a tier holds floor < notional <= cap.
        rate_ppm: maintenance margin in millionths of the notional.
        cum_e8: amount taken off, 1e-8 quote units.
    """

    leverage: int
    floor: int
    cap: int
    rate_ppm: int
    cum_e8: int


Tiers = tuple[Tier, ...]
Step = tuple[int, int, int]  # leverage, cap, rate_ppm

STEPS: dict[str, tuple[Step, ...]] = {
    "bitcoin": (
        (125, 300_000, 4_000), (100, 800_000, 5_000), (75, 3_000_000, 6_500), (50, 12_000_000, 10_000),
        (25, 70_000_000, 20_000), (20, 100_000_000, 25_000), (10, 230_000_000, 50_000), (5, 480_000_000, 100_000),
        (4, 600_000_000, 125_000), (3, 800_000_000, 150_000), (2, 1_200_000_000, 250_000), (1, 1_800_000_000, 500_000),
    ),
    "ether": (
        (125, 300_000, 4_000), (100, 800_000, 5_000), (75, 3_000_000, 6_500), (50, 12_000_000, 10_000),
        (25, 50_000_000, 20_000), (20, 65_000_000, 25_000), (10, 150_000_000, 50_000), (5, 320_000_000, 100_000),
        (4, 400_000_000, 125_000), (3, 530_000_000, 150_000), (2, 800_000_000, 250_000), (1, 1_200_000_000, 500_000),
    ),
    "major": (
        (75, 10_000, 5_000), (50, 80_000, 10_000), (40, 200_000, 12_500), (25, 1_500_000, 20_000),
        (20, 3_000_000, 25_000), (10, 7_500_000, 50_000), (5, 15_000_000, 100_000), (4, 18_750_000, 125_000),
        (2, 37_500_000, 250_000), (1, 62_500_000, 500_000),
    ),
    "alt": (
        (50, 5_000, 10_000), (25, 25_000, 20_000), (20, 100_000, 25_000), (10, 500_000, 50_000),
        (5, 1_000_000, 100_000), (4, 1_250_000, 125_000), (2, 2_500_000, 250_000), (1, 4_000_000, 500_000),
    ),
    "young": (
        (20, 5_000, 25_000), (15, 25_000, 33_300), (10, 80_000, 50_000), (5, 300_000, 100_000),
        (4, 400_000, 125_000), (2, 800_000, 250_000), (1, 1_200_000, 500_000),
    ),
    "dated": (
        (50, 50_000, 10_000), (20, 500_000, 25_000), (10, 2_000_000, 50_000), (5, 10_000_000, 100_000),
        (4, 15_000_000, 125_000), (2, 25_000_000, 250_000), (1, 50_000_000, 500_000),
    ),
}  # fmt: skip


def build(steps: Iterable[Step]) -> Tiers:
    """Tiers of (leverage, cap, rate) steps, from the smallest on."""
    out: list[Tier] = []
    floor = rate = cum = 0
    for leverage, cap, rate_ppm in steps:
        cum += floor * ONE_E8 * (rate_ppm - rate) // PPM
        out.append(Tier(leverage, floor, cap, rate_ppm, cum))
        floor, rate = cap, rate_ppm
    return tuple(out)


TIERS = {kind: build(steps) for kind, steps in STEPS.items()}


def bracket_of(tiers: Tiers, notional_e8: int) -> Tier:
    """The tier of a notional (its size counts, not its sign); the last one holds everything beyond its cap."""
    size = abs(notional_e8)
    return next((t for t in tiers if size <= t.cap * ONE_E8), tiers[-1])


def maintenance_e8(tiers: Tiers, notional_e8: int) -> int:
    """Maintenance margin of a position, 1e-8 quote units, rounded down at the rate."""
    tier = bracket_of(tiers, notional_e8)
    return abs(notional_e8) * tier.rate_ppm // PPM - tier.cum_e8


def max_leverage(tiers: Tiers) -> int:
    """Highest leverage of a symbol."""
    return tiers[0].leverage


def cap_e8(tiers: Tiers, leverage: int) -> int:
    """Largest position at a leverage, 1e-8 quote units; 0 when no tier grants that leverage."""
    return max((t.cap for t in tiers if t.leverage >= leverage), default=0) * ONE_E8


def rows(tiers: Tiers) -> list[dict[str, Any]]:
    """The `brackets` list of leverageBracket; rates and `cum` are JSON numbers there."""
    return [
        {
            "bracket": i,
            "initialLeverage": t.leverage,
            "notionalCap": t.cap,
            "notionalFloor": t.floor,
            "maintMarginRatio": t.rate_ppm / PPM,
            "cum": t.cum_e8 / ONE_E8 if t.cum_e8 % ONE_E8 else t.cum_e8 // ONE_E8,
        }
        for i, t in enumerate(tiers, 1)
    ]
