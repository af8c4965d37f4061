"""The account's identity holds after any history, and the documented wallet arithmetic comes out to the digit."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegis.exchange.account import Account, BooksBroken, Traded
from aegis.exchange.symbols import E8, listing, make_spec

BTC = make_spec("BTCUSDT", "USDT", "61800.00", "0.10", "0.001", "100")


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([1, -1]), st.integers(1, 10**7), st.integers(1, 5000), st.booleans()), max_size=40
    )
)
def test_identity_and_no_money_lost(rows: list[tuple[int, int, int, bool]]) -> None:
    """wallet == initial + realised - fees at every step; once flat, realised is exactly what cash flow says."""
    account = Account({"USDT": 10**12})
    cash = 0
    for i, (side, px, qty, maker) in enumerate(rows):
        account.fill(BTC, Traded((i, i, "c"), side, px, qty, i, maker))
        cash -= side * BTC.notional_e8(px, qty)
    pos = account.position("BTCUSDT")
    assert pos.qty == sum(side * qty for side, _, qty, _ in rows)
    open_cost = pos.cost_e8 if pos.qty > 0 else -pos.cost_e8
    assert pos.realised_e8 == cash + open_cost
    assert (pos.cost_e8 == 0) == (pos.qty == 0)


def test_wallet_of_the_captured_close() -> None:
    """The close of the real account in the protocol notes: -1.77340000 realised, 0.09085320 fee, at its prices."""
    account = Account({"USDT": 0})
    account.fill(BTC, Traded((1, 1, "a"), 1, 9174020, 2, 1, True))
    before = account.wallet["USDT"]
    done = account.fill(BTC, Traded((2, 2, "b"), -1, 9085320, 2, 2, False))
    assert (done.realised_e8, done.fee_e8) == (-177400000, 9085320)
    assert account.wallet["USDT"] - before == -177400000 - 9085320


def test_funding_signs() -> None:
    """A long pays a positive rate, a short receives it."""
    for side, sign in ((1, -1), (-1, 1)):
        account = Account({"USDT": 0})
        account.fill(BTC, Traded((1, 1, "a"), side, 6000000, 1000, 1, True))
        assert account.pay_funding(BTC, account.position("BTCUSDT"), 60000 * 10**E8, 10_000, 2) == sign * 6 * 10**E8
        assert account.income[-1].kind == "FUNDING_FEE"


def test_entry_average_is_exact() -> None:
    """The displayed average of two buys is their weighted mean."""
    account = Account({"USDT": 0})
    account.fill(BTC, Traded((1, 1, "a"), 1, 6000000, 1, 1, True))
    account.fill(BTC, Traded((2, 2, "b"), 1, 6000010, 2, 2, True))
    shown = Fraction(account.position("BTCUSDT").entry_text(BTC))
    assert abs(shown - Fraction(60000 * 3 * 10 + 2, 30)) < Fraction(1, 10**8)


def test_a_broken_wallet_is_found() -> None:
    """The canary: money that no flow explains stops the venue."""
    account = Account({"USDT": 5})
    account.wallet["USDT"] += 1
    with pytest.raises(BooksBroken, match="USDT"):
        account.check()


def test_bands_of_many_symbols_do_not_touch() -> None:
    """On request every symbol has its own start and keeps inside its band."""
    specs = listing(300, bands=True)
    assert len({s.name for s in specs}) == 300
    for i, s in enumerate(specs):
        unit = 10**s.px_exp
        assert s.band == ((i + 1) * 10 * unit, (i + 1) * 102 * unit // 10)
        assert s.band[0] < s.start_px < s.band[1]
