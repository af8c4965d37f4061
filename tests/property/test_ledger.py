"""Laws of the ledger and of reconciliation, over generated histories."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from aegis.ledger.ledger import Ledger
from aegis.ledger.position import Position
from aegis.ledger.postings import PostingKind
from aegis.messages import Fill, Side, TradeLite
from aegis.recon.compare import Books, Difference, compare
from aegis.recon.resolve import Evidence, Tolerance, Verdict, decide
from aegis.units import ZERO, Num

SYMBOLS = ("BTCUSDT", "ETHUSDT")


def build(row: tuple[int, bool, int, int, int, int], trade_id: int) -> Fill:
    which, buy, qty, price, fee, rp = row
    return Fill(
        symbol=SYMBOLS[which], trade_id=trade_id, order_id=trade_id, side=Side.BUY if buy else Side.SELL,
        qty=Num(qty, 3), price=Num(price, 2), commission=Num(fee, 8), commission_asset="USDT", realised=Num(rp, 8),
        margin_asset="USDT", maker=False, exch_ns=trade_id + 1,
    )  # fmt: skip


rows = st.tuples(
    st.integers(0, 1), st.booleans(), st.integers(1, 5000), st.integers(1, 10**7), st.integers(-(10**6), 10**8),
    st.integers(-(10**12), 10**12),
)  # fmt: skip
histories = st.lists(rows, max_size=30).map(lambda rs: [build(r, i + 1) for i, r in enumerate(rs)])


def opened() -> Ledger:
    ledger = Ledger()
    ledger.open_wallet("USDT", Num(10_000), 0, "test")
    return ledger


@given(histories, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_any_order_any_repetition_gives_the_same_books(fills: list[Fill], luck: object) -> None:
    straight, mixed = opened(), opened()
    for f in fills:
        straight.apply(f)
    lites = [
        TradeLite(
            symbol=f.symbol, client_id="", order_id=f.order_id, side=f.side, qty=f.qty, last_qty=f.qty,
            last_price=f.price, trade_id=f.trade_id,
        )
        for f in fills
    ]  # fmt: skip
    told: list[Fill | TradeLite] = [*fills, *fills, *lites]
    luck.shuffle(told)  # type: ignore[attr-defined]  # hypothesis' random
    for message in told:
        mixed.apply(message)
    assert mixed.wallets == straight.wallets and mixed.early == {}
    assert all(mixed.qty(s) == straight.qty(s) == straight.early_qty(s) for s in SYMBOLS)
    total = sum((straight.total("USDT", k) for k in PostingKind), ZERO)
    assert straight.wallets["USDT"] == total
    assert total == Num(10_000) + sum((f.realised - f.commission for f in fills), ZERO)


@given(histories)
@settings(max_examples=60, deadline=None)
def test_cost_is_zero_exactly_when_flat_and_profit_is_conserved(fills: list[Fill]) -> None:
    held, realised, cash = Position(), ZERO, ZERO
    for f in fills:
        signed = f.qty if f.side == Side.BUY else -f.qty
        held, own = held.after(signed, f.price)
        realised, cash = realised + own, cash - signed * f.price
        assert bool(held.qty) == bool(held.cost) and held.qty.sign() == held.cost.sign()
        assert cash + held.cost == realised


@given(histories, st.sets(st.integers(1, 30)), st.integers(-1, 1), st.integers(-1, 1))
@settings(max_examples=60, deadline=None)
def test_second_pass_right_after_the_first_is_empty(fills: list[Fill], lost: set[int], dust: int, cent: int) -> None:
    ours, venue = opened(), opened()
    for f in fills:
        venue.apply(f)
        if f.trade_id not in lost:
            ours.apply(f)
    theirs = Books(
        positions={s: venue.qty(s) + (Num(dust, 3) if s == SYMBOLS[0] else ZERO) for s in SYMBOLS},
        wallets={"USDT": venue.wallets["USDT"] + Num(cent, 2)}, orders={}, taken_ns=2,
    )  # fmt: skip
    report = compare(snapshot(ours), theirs)
    missed = tuple(f for f in fills if not ours.knows(f.symbol, f.trade_id))
    actions = decide(report, Evidence(fills=missed), Tolerance(lots={SYMBOLS[0]: Num(1, 3)}))
    assert all(a.verdict is not Verdict.HALT for a in actions)
    for f in missed:
        ours.apply(f)
    for a in actions:
        if a.verdict is Verdict.CORRECT and a.mismatch.kind is Difference.POSITION:
            ours.move_position(a.mismatch.name, a.rest, Num(1), 3, PostingKind.ADJUSTMENT, a.why)
        elif a.verdict is Verdict.CORRECT:
            ours.book_flow(PostingKind.ADJUSTMENT, a.mismatch.name, a.rest, 3, a.why)
    hidden = [m for m in compare(snapshot(ours), theirs).mismatches if m.name in {a.mismatch.name for a in actions}]
    assert hidden == []


def snapshot(ledger: Ledger) -> Books:
    return Books(
        positions={s: p.qty for s, p in ledger.positions.items()}, wallets=dict(ledger.wallets), orders={}, taken_ns=1
    )
