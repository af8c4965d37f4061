"""An order can never pass the gate over a cap; a gate with a fault planted in it is caught, by name.

`AEGIS_SEQUENCES=100000 pytest tests/property/test_gate_machine.py -k never_passes -s` plays the long form.
"""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import gate_machine
import gate_rig as rig
import pytest

needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")


@pytest.mark.timeout(max(300, gate_machine.SEQUENCES // 5))
def test_an_order_never_passes_over_a_cap() -> None:
    """Neither judge complains, and the sequences were about something: most reasons were met."""
    gate_machine.GateMachine.met.clear()
    gate_machine.play()
    met = gate_machine.GateMachine.met
    print(f"\n{gate_machine.SEQUENCES} sequences, {met.total()} orders asked for: {dict(met.most_common())}")
    wanted = {"ACCEPTED", "ORDER_NOTIONAL", "POSITION_NOTIONAL", "TOTAL_NOTIONAL", "ORDER_RATE", "OPEN_ORDERS",
              "PRICE_COLLAR", "REDUCE_ONLY", "BOOK_UNTRUSTED", "HALTED", "LOSS_LIMIT", "ACCEPTED, armed",
              "POSITION_NOTIONAL, armed", "TOTAL_NOTIONAL, armed"}  # fmt: skip
    assert wanted <= set(met)


def machine_of(native: Any, *, twins: bool) -> type[gate_machine.GateMachine]:
    """The machine around another build of gate.c."""
    facts = {"native": native, "twins": twins, "desks": False, "met": Counter()}
    return type("DoctoredMachine", (gate_machine.GateMachine,), facts)


@needs_cc
@pytest.mark.timeout(300)
def test_the_gate_as_it_is_passes_the_same_way(tmp_path: Path) -> None:
    """The way mutants are built finds no fault where there is none."""
    gate_machine.play(machine_of(rig.doctored(tmp_path, None), twins=True), 200)


MUTANT_SEQUENCES = 20_000  # each is found within some thousand
WORST = "int64_t worst = price > m->last ? price : m->last;"
FAULTS_OF_CAPS = {  # name: (what the caps' own judge says, text of gate.c, what stands there instead)
    "order cap not checked": ("order cap", "if (notional_of(in->qty, worst) > f->order_notional)", "if (0)"),
    "order cap rounded up": ("order cap", "scaled(s->caps.order_notional, AE_MONEY_EXP, e, 0)",
                             "scaled(s->caps.order_notional, AE_MONEY_EXP, e, 1)"),
    "position cap not checked": (
        "position cap", "if (notional == WIDE_MAX || notional > s->slots[slot].position_notional)", "if (0)"),
    "position cap rounded up": ("position cap", "scaled(s->caps.position_notional, AE_MONEY_EXP, e, 0)",
                                "scaled(s->caps.position_notional, AE_MONEY_EXP, e, 1)"),
    "total cap not checked": ("total cap", "value + others > s->total_notional)", "0)"),
    "rate not checked": ("orders a second", "if (g->stamps_used >= caps->orders_per_s &&", "if (0 &&"),
    "rate of half a second": ("orders a second", "SECOND_NS - 1))", "SECOND_NS / 2))"),
    "open orders not checked": (
        "open orders", "if (account->open_orders + (g->accepted - g->seen) >= caps->open_orders)", "if (0)"),
    "open orders off by one": (
        "open orders", "(g->accepted - g->seen) >= caps->open_orders", "(g->accepted - g->seen) > caps->open_orders"),
    "open orders not seen yet forgotten": (
        "open orders", "account->open_orders + (g->accepted - g->seen) >=", "account->open_orders >="),
    "accepted orders not counted": ("position cap|total cap", "    count_more(g, t, 1);\n", ""),
    "a buy counted as a sell": ("position cap|total cap", "    if (t->side > 0) {\n", "    if (t->side < 0) {\n"),
    "open buys forgotten": (
        "position cap|total cap", "(wide_t)m->truth.high + m->truth.buy + m->more_buy",
        "(wide_t)m->truth.high + m->more_buy"),
    "total not kept after a push": (
        "total cap|without a price", "        m->last = x->px;\n    revalue(g, slot);\n", "        m->last = x->px;\n"),
    "total not moved by prices": ("total cap", "    if (m->value || m->unvalued)\n        revalue(g, slot);\n", ""),
    "exposure without a price passes": (
        "an exposure without a price", "if (g->unvalued > m->unvalued || value", "if (value"),
    "foreign exposure forgotten": ("total cap", "g->total - m->value + g->foreign;", "g->total - m->value;"),
    "exits beside other orders not judged": (
        "position cap", "if ((in->side > 0 ? long_of(m) : short_of(m)) + in->qty <= 0)", "if (1)"),
    "latch of one process only": ("halted", "i < AE_CONTROL_BLOCKS; i++, block", "i < 1; i++, block"),
    "latch of the account forgotten": ("halted", "uint64_t halt = g->account.halted;", "uint64_t halt = 0;"),
    "loss not checked": ("loss", "if (g->lost)", "if (0)"),
    "old quotes trusted": ("an old quote", "out.ask > 0 && within(now, out.recv_ns, QUOTE_NS)", "out.ask > 0"),
    "trust not read": ("untrusted book", "out.trusted = trusted && out.have", "out.trusted = out.have"),
    "price of the order forgotten": ("cap", WORST, "int64_t worst = m->last;"),
    "price of the market forgotten": ("cap", WORST, "int64_t worst = price ? price : m->last;"),
    "exits beyond the position": ("an exit beyond", "if (reduce && !is_exit(m, in))", "if (0)"),
}  # fmt: skip

FAULTS_OF_SPEECH = {  # told from the twin's verdict
    "minimum notional not checked": ("if (price && !reduce && (wide_t)price * in->qty < f->min_notional)", "if (0)"),
    "tick not checked": ("if (!on_grid(in->px, r->px_min, r->px_max, r->tick))", "if (0)"),
    "market lot forgotten": ("if (in->type == TYPE_MARKET && r->market_lot\n", "if (0\n"),
    "band not checked": ("return in->side > 0 ? price <= bound : price >= bound;", "return 1;"),
    "collar not checked": ("return why ? why : collar(&g->sealed.is.caps, &t, in, price);", "return why;"),
    "exits stopped by brakes": ("int why = reduce ? AE_REFUSAL_ACCEPTED : brakes", "int why = brakes"),
    "pause forgotten": ("if (now < g->account.paused_until_ns)", "if (0)"),
    "halt of the symbol forgotten": ("if (m->truth.blocked & AE_GATE_HALTED)", "if (0)"),
    "reconciliation of the symbol forgotten": ("if (m->truth.blocked & AE_GATE_UNRECONCILED || now", "if (now"),
    "exits not counted as exits": ("m->more_sell_reduce += t->reduce ? qty : 0;", ""),
    "refusals counted into the rate": ("    if (why)\n        return why;\n    g->stamps[", "    g->stamps["),
    "seen one too many": ("g->seen < accepted && g->seen < g->accepted", "g->seen < g->accepted + 1"),
    "book never newer than the ticker": ("(!out.have || out.recv_ns < top.recv_ns)", "!out.have"),
}  # fmt: skip


@needs_cc
@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", FAULTS_OF_CAPS)
def test_never_with_a_fault_of_the_caps(tmp_path: Path, fault: str) -> None:
    """Found by the caps recomputed from the orders alone, without the twin, and called by its name."""
    word, text, instead = FAULTS_OF_CAPS[fault]
    doctored = machine_of(rig.doctored(tmp_path, (text, instead)), twins=False)
    with pytest.raises(AssertionError, match=word):
        gate_machine.play(doctored, MUTANT_SEQUENCES, shrink=False)


@needs_cc
@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", FAULTS_OF_SPEECH)
def test_never_with_a_fault_of_speech(tmp_path: Path, fault: str) -> None:
    """Found by the twin."""
    doctored = machine_of(rig.doctored(tmp_path, FAULTS_OF_SPEECH[fault]), twins=True)
    with pytest.raises(AssertionError):
        gate_machine.play(doctored, MUTANT_SEQUENCES, shrink=False)
