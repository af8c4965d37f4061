"""csrc/gate.c and aegis/risk/gate.py give the same verdict on whatever they are told."""

from typing import Any

import gate_rig as rig
from aegis.native._aegis import ffi
from hypothesis import given, settings
from hypothesis import strategies as st

from aegis.config import Risk
from aegis.limits import RISK_MONEY_MAX
from aegis.messages import OrderType, Place, Refusal, Side
from aegis.native import gate as native
from aegis.units import Num

EXPONENTS = st.integers(0, 8)


def test_the_refusals_have_the_same_numbers() -> None:
    """One word, one number, on both sides."""
    elements = ffi.typeof("enum ae_refusal").elements
    assert {f"AE_REFUSAL_{r.name}": int(r) for r in Refusal} == {str(k): int(v) for v, k in elements.items()}


@st.composite
def worlds(draw: Any) -> tuple[rig.World, Place]:
    """A world in any state, and an intent that is near its limits."""
    px_e, qty_e = draw(EXPONENTS), draw(EXPONENTS)
    fault = draw(st.integers(0, 24))
    price = draw(st.integers(100, 10**6))
    qty = draw(st.integers(1, 10**6))
    notional = Num(price * qty, px_e + qty_e)
    listed = [
        rig.rules(
            "A", str(Num(draw(st.sampled_from([1, 2, 5, 10])), px_e)), str(Num(1, qty_e)),
            min_notional=rig.N(_money(notional, draw(st.integers(0, 4)), draw(st.integers(-1, 1)))),
            px_exp=px_e, qty_exp=qty_e,
            price_max=Num(draw(st.sampled_from([0, 10**4, 123456, 10**8 - 1])), px_e + 2),
            status="BREAK" if fault == 1 else "TRADING",
        ),
        rig.rules("B", "1", "1"),
    ]  # fmt: skip
    near = st.builds(lambda parts, off: _money(notional, parts, off), st.integers(2, 20), st.integers(-2, 2))
    risk = Risk(
        order_notional_max=draw(near), position_notional_max=draw(near), total_notional_max=draw(near),
        loss_limit=str(draw(st.integers(1, 100))), collar_bps=draw(st.integers(1, 250)),
        orders_per_s=draw(st.integers(1, 3)), open_orders_max=draw(st.integers(1, 3)),
    )  # fmt: skip
    world = rig.World(native, risk, listed)
    _tell(draw, world, (price, px_e, qty, fault))
    limit = draw(st.booleans())
    place = Place(
        symbol="Z" if fault == 2 else "A", side=draw(st.sampled_from([Side.BUY, Side.SELL])),
        qty=Num(qty, qty_e), type=OrderType.LIMIT if limit else OrderType.MARKET,
        price=Num(max(1, price + draw(st.integers(-price // 50, price // 50))), px_e) if limit else None,
        reduce_only=draw(st.integers(0, 3)) == 3,
    )  # fmt: skip
    return world, place


def _money(notional: Num, parts: int, off: int) -> str:
    m = max(1, min((notional * Num(parts)).at(16) // 10**8 // 4, RISK_MONEY_MAX * 10**8) + off)
    return str(Num(m, 8))


def _tell(draw: Any, world: rig.World, about: tuple[int, int, int, int]) -> None:
    price, px_e, qty, fault = about
    qty_e = world.rules["A"].qty_exp
    width = draw(st.integers(0, 5))
    if fault != 3:
        old = draw(st.integers(0, 6 if fault == 4 else 5)) * rig.SECOND
        world.tick("A", Num(price - width, px_e), Num(price, px_e), world.now - old)
    if draw(st.booleans()):
        world.tick("B", Num(9), Num(10))
    best = (Num(price - width, px_e), Num(price + 1, px_e)) if draw(st.booleans()) else None
    world.top("A", best, trusted=fault != 5, recv=world.now - draw(st.integers(0, 6)) * rig.SECOND)
    if draw(st.booleans()):
        world.mark("A", Num(price * 100 + draw(st.integers(-6, 6)) * price, px_e + 2))
    if fault == 6:
        world.halt(draw(st.integers(0, 7)), 1)
    world.position["A"] = Num(draw(st.integers(-3, 3)) * qty + draw(st.integers(-1, 1)), qty_e)
    world.position["B"] = Num(draw(st.integers(-2, 2)) * draw(st.integers(0, 10**4)))
    world.tell_account(
        pnl=Num(draw(st.integers(-120, 50)), 0 if fault == 7 else 4), halted=fault == 8,
        foreign=Num(draw(st.integers(0, 10**6)), 3), paused_until_ns=world.now + (fault == 9),
        reconciled_until_ns=world.now + (fault != 10),
    )  # fmt: skip
    world.tell("A", halted=fault == 11, settled=fault != 12, price=Num(draw(st.integers(0, 1)) * price, px_e))
    world.tell("B", price=Num(draw(st.integers(0, 10))))


@settings(max_examples=1500, deadline=None)
@given(worlds(), st.integers(1, 5))
def test_the_same_verdict(built: tuple[rig.World, Place], times: int) -> None:
    """Whatever was told, and however often it is asked."""
    world, place = built
    for _ in range(times):
        world.ask(place)
