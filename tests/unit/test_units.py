"""Law: a number keeps its digits; equality and order are by value; nothing rounds unless its name says so."""

from __future__ import annotations

import pickle
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis.errors import BadNumber, Inexact
from aegis.units import ZERO, Num

nums = st.builds(Num, st.integers(-(10**30), 10**30), st.integers(0, 18))


def dec(n: Num) -> Decimal:
    return Decimal(n.m).scaleb(-n.e)


@given(nums)
def test_text_and_back(n: Num) -> None:
    """parse(str(n)) keeps mantissa and places (minus zero aside)."""
    back = Num.parse(str(n))
    assert (back.m, back.e) == (n.m, n.e)


@given(nums, nums)
def test_order_and_hash_follow_the_value(a: Num, b: Num) -> None:
    """Comparison agrees with Decimal, and equal values hash alike."""
    x, y = a.m * 10**b.e, b.m * 10**a.e
    assert (a < b, a == b, a > b) == (x < y, x == y, x > y)
    assert hash(a) == hash(Num(a.m * 1000, a.e + 3))
    assert a == Num(a.m * 1000, a.e + 3)


@given(nums, nums)
def test_sums_and_products_are_exact(a: Num, b: Num) -> None:
    """(a+b)-b == a, and a product's mantissas multiply."""
    assert (a + b) - b == a
    assert (a * b).m == a.m * b.m
    assert a + -a == ZERO
    assert abs(-a) == abs(a)


@given(nums, st.integers(1, 10**9), st.integers(0, 9))
def test_floor_to_is_the_largest_multiple_below(n: Num, m: int, e: int) -> None:
    """0 <= n - floor < step, and the floor is a multiple."""
    step = Num(m, e)
    low = n.floor_to(step)
    assert low <= n < low + step
    wide = max(low.e, e)
    assert low.at(wide) % step.at(wide) == 0


@given(nums, nums.filter(bool), st.integers(0, 12))
def test_div_floor_brackets_the_quotient(a: Num, b: Num, e: int) -> None:
    """q*b and (q+1)*b enclose a at the asked places."""
    q = a.div_floor(b, e)
    low, high = q * b, (q + Num(1, e)) * b
    if b.sign() < 0:
        low, high = high, low
        assert low < a <= high
    else:
        assert low <= a < high


@pytest.mark.parametrize("text", ["", ".", "1.", ".5", "+1", "--1", "1e3", "NaN", "Infinity", "1,0", " 1", "1 ", "١"])
def test_other_text_is_refused(text: str) -> None:
    """Only plain ASCII decimals are numbers."""
    with pytest.raises(BadNumber):
        Num.parse(text)


def test_digits_beyond_the_exponent_are_refused() -> None:
    """`at` never drops a digit; trailing zeros are none."""
    assert Num.parse("1.2500").at(2) == 125
    with pytest.raises(Inexact):
        Num.parse("1.2501").at(3)


def test_num_is_immutable_and_travels() -> None:
    """It can be pickled, not changed."""
    n = Num.parse("-0.00100")
    assert pickle.loads(pickle.dumps(n)) == n
    assert str(n.trim()) == "-0.001"
    with pytest.raises(AttributeError):
        n.m = 3  # type: ignore[misc]
    assert (n == 3) is False
