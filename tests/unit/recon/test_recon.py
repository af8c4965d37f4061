"""Reconciliation: what counts as a difference, and what each difference leads to."""

from __future__ import annotations

from aegis.messages import Fill, Side
from aegis.recon.compare import Books, Difference, compare, persistent
from aegis.recon.resolve import Evidence, Income, Tolerance, Verdict, decide
from aegis.units import ZERO, Num

N = Num.parse


def books(positions: dict[str, str], wallets: dict[str, str], orders: dict[str, str] | None = None) -> Books:
    return Books(
        positions={k: N(v) for k, v in positions.items()},
        wallets={k: N(v) for k, v in wallets.items()},
        orders=orders or {},
        taken_ns=1,
    )


def missed(qty: str = "1", commission: str = "0.5") -> Fill:
    return Fill(
        symbol="BTCUSDT", trade_id=7, order_id=1, side=Side.BUY, qty=N(qty), price=N("10"), commission=N(commission),
        commission_asset="USDT", realised=ZERO, margin_asset="USDT", maker=False, exch_ns=1, source="userTrades",
    )  # fmt: skip


def test_equal_by_value_and_flat_equals_absent() -> None:
    report = compare(books({"BTCUSDT": "0.10", "X": "0"}, {"USDT": "5.00"}), books({"BTCUSDT": "0.1"}, {"USDT": "5"}))
    assert report.clean() and report.matches == 3
    assert report.lines() == [
        "Report: 3 matches, 0 mismatches",
        "Cache reconciled: 1 positions on Binance",
        "Reconciliation successful",
    ]


def test_each_kind_of_difference_is_named() -> None:
    report = compare(
        books({"BTCUSDT": "1"}, {"USDT": "5"}, {"a": "BTCUSDT", "c": "BTCUSDT"}),
        books({"BTCUSDT": "2"}, {"USDT": "4"}, {"b": "ETHUSDT", "c": "BTCUSDT"}),
    )
    assert [(m.kind, m.name) for m in report.mismatches] == [
        (Difference.POSITION, "BTCUSDT"),
        (Difference.WALLET, "USDT"),
        (Difference.ORDER_MISSING, "a"),
        (Difference.ORDER_FOREIGN, "b"),
    ]
    assert report.matches == 1
    assert report.lines() == ["Report: 1 matches, 4 mismatches", "Position mismatches detected"]


def test_second_look_drops_what_was_in_flight() -> None:
    first = compare(books({"A": "1", "B": "1"}, {}), books({"A": "2", "B": "2"}, {}))
    second = compare(books({"A": "2", "B": "1", "C": "1"}, {}), books({"A": "2", "B": "2"}, {}))
    kept = persistent(first, second)
    assert [m.name for m in kept.mismatches] == ["B"] and kept.matches == 2


def test_adopt_what_records_prove() -> None:
    report = compare(books({}, {"USDT": "100"}), books({"BTCUSDT": "1"}, {"USDT": "99.3"}))
    income = Income(asset="USDT", reason="FUNDING_FEE", amount=N("-0.2"), exch_ns=1, tran_id=1)
    actions = decide(report, Evidence(fills=(missed(),), incomes=(income,)), Tolerance())
    assert [(a.verdict, a.rest) for a in actions] == [(Verdict.ADOPT, ZERO), (Verdict.ADOPT, ZERO)]


def test_correct_inside_tolerance_halt_outside() -> None:
    report = compare(books({}, {"USDT": "100"}), books({"BTCUSDT": "0.001"}, {"USDT": "100.01"}))
    lots = Tolerance(lots={"BTCUSDT": N("0.001")})
    assert [a.verdict for a in decide(report, Evidence(), lots)] == [Verdict.CORRECT, Verdict.CORRECT]
    report = compare(books({}, {"USDT": "100"}), books({"BTCUSDT": "0.002"}, {"USDT": "100.02"}))
    assert [a.verdict for a in decide(report, Evidence(), lots)] == [Verdict.HALT, Verdict.HALT]


def test_orders_are_adopted_as_shown() -> None:
    report = compare(books({}, {}, {"a": "X"}), books({}, {}, {"b": "X"}))
    assert [a.verdict for a in decide(report, Evidence(), Tolerance())] == [Verdict.ADOPT, Verdict.ADOPT]
