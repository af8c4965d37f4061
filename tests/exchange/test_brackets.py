"""Leverage tiers: continuous maintenance, falling leverage, caps that agree with the tiers."""

from __future__ import annotations

from itertools import pairwise

import pytest

from aegis.exchange.brackets import ONE_E8, TIERS, bracket_of, build, cap_e8, maintenance_e8, max_leverage, rows

KINDS = sorted(TIERS)


@pytest.mark.parametrize("kind", KINDS)
def test_tiers_join_and_worsen(kind: str) -> None:
    """Each floor is the cap before it; leverage falls and the rate rises with size."""
    tiers = TIERS[kind]
    assert tiers[0].floor == tiers[0].cum_e8 == 0 and tiers[-1].leverage == 1
    for low, high in pairwise(tiers):
        assert low.cap == high.floor < high.cap
        assert low.leverage > high.leverage and low.rate_ppm < high.rate_ppm


@pytest.mark.parametrize("kind", KINDS)
def test_maintenance_does_not_jump(kind: str) -> None:
    """One unit of 1e-8 more than a floor costs at most one unit more, and the margin never exceeds the notional."""
    tiers = TIERS[kind]
    for tier in tiers[1:]:
        at = tier.floor * ONE_E8
        below, above = maintenance_e8(tiers, at), maintenance_e8(tiers, at + 1)
        assert bracket_of(tiers, at) != bracket_of(tiers, at + 1) == tier
        assert 0 <= above - below <= 1 and 0 < below < at
    assert maintenance_e8(tiers, 0) == 0


def test_a_wrong_cum_would_be_noticed() -> None:
    """The canary: a tier whose amount is off by one makes the step visible."""
    tiers = list(TIERS["bitcoin"])
    tiers[3] = tiers[3]._replace(cum_e8=tiers[3].cum_e8 - 2)
    at = tiers[3].floor * ONE_E8
    assert maintenance_e8(tuple(tiers), at + 1) - maintenance_e8(tuple(tiers), at) > 1


def test_known_amounts_of_bitcoin() -> None:
    """The amounts follow from the steps as the venue publishes them for such steps."""
    assert [t.cum_e8 // ONE_E8 for t in TIERS["bitcoin"]][:7] == [0, 300, 1_500, 12_000, 132_000, 482_000, 2_982_000]
    assert maintenance_e8(TIERS["bitcoin"], -100_000 * ONE_E8) == 400 * ONE_E8


def test_caps_by_leverage() -> None:
    """The cap at a leverage is that of the largest tier granting it; beyond the highest nothing may be held."""
    tiers = build(((20, 1_000, 25_000), (10, 5_000, 50_000), (1, 9_000, 500_000)))
    assert [cap_e8(tiers, n) // ONE_E8 for n in (21, 20, 15, 10, 9, 1)] == [0, 1_000, 1_000, 5_000, 5_000, 9_000]
    assert max_leverage(tiers) == 20 and bracket_of(tiers, 10**20) is tiers[-1]


def test_rows_as_the_venue_prints_them() -> None:
    """Numbers, not texts; numbered from 1."""
    assert rows(TIERS["bitcoin"])[1] == {
        "bracket": 2,
        "initialLeverage": 100,
        "notionalCap": 800_000,
        "notionalFloor": 300_000,
        "maintMarginRatio": 0.005,
        "cum": 300,
    }
