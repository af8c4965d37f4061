"""The store: all or nothing, exact numbers, one writer."""

from __future__ import annotations

import os
import signal
import sqlite3
from pathlib import Path

import pytest

from aegis.ledger.ledger import Ledger
from aegis.ledger.postings import PostingKind
from aegis.live.store import Batch, OrderRow, Store, StoreBusy
from aegis.messages import Fill, Side
from aegis.units import Num

N = Num.parse


def fill(trade_id: int) -> Fill:
    return Fill(
        symbol="BTCUSDT", trade_id=trade_id, order_id=2**62, side=Side.SELL, qty=N("0.001"), price=N("61800.20"),
        commission=N("0.00000001"), commission_asset="USDT", realised=N("-1.5"), margin_asset="USDT", maker=True,
        exch_ns=10 + trade_id,
    )  # fmt: skip


def book(store: Store, ledger: Ledger, ids: range, cursor: int) -> None:
    batch = Batch()
    for i in ids:
        batch.add(ledger.apply(fill(i)))
    batch.meta["account_seq"] = str(cursor)
    batch.orders["c"] = OrderRow(client_id="c", symbol="BTCUSDT", phase="open", updated_ns=cursor)
    store.commit(batch, ledger)
    assert not batch


def test_state_comes_back_exactly(tmp_path: Path) -> None:
    store, ledger = Store(tmp_path / "a" / "store.sqlite"), Ledger()
    batch = Batch()
    ledger.opened_ns = 1
    batch.add(ledger.open_wallet("USDT", N("10000"), 1, "opening"))
    batch.meta["opened_ns"] = "1"
    store.commit(batch, ledger)
    book(store, ledger, range(1, 4), 7)
    trail = [str(w) for _, w in store.wallet_trail(1)]
    assert (trail[0], trail[-1], len(trail)) == ("9995.49999997", "10000.00000000", 7)
    store.close()
    store = Store(tmp_path / "a" / "store.sqlite")
    back = store.load(Ledger())
    assert back.wallets == ledger.wallets == {"USDT": N("9995.49999997")}
    assert back.positions == ledger.positions and back.totals == ledger.totals and back.booked == ledger.booked
    assert (back.opened_ns, back.anchors, store.meta("account_seq")) == (1, {"USDT": 1}, "7")
    assert store.fills() == [fill(1), fill(2), fill(3)]
    assert back.apply(fill(2)).fill is None
    assert list(store.orders_working()) == ["c"] and store.order_phase("x") == ""
    assert back.total("USDT", PostingKind.COMMISSION) == N("-0.00000003")


def test_a_failed_batch_leaves_nothing(tmp_path: Path) -> None:
    store, ledger = Store(tmp_path / "store.sqlite"), Ledger()
    book(store, ledger, range(1, 3), 3)
    with pytest.raises(sqlite3.IntegrityError):
        batch = Batch()
        batch.fills = [fill(9), fill(1)]
        batch.meta["account_seq"] = "99"
        store.commit(batch, ledger)
    assert [f.trade_id for f in store.fills()] == [1, 2] and store.meta("account_seq") == "3"


def test_second_writer_is_refused_readers_are_not(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.sqlite")
    with pytest.raises(StoreBusy):
        Store(tmp_path / "store.sqlite")
    book(store, Ledger(), range(1, 2), 1)
    reader = Store(tmp_path / "store.sqlite", read_only=True)
    assert len(reader.fills("BTCUSDT")) == 1
    before = reader.version()
    store.commit(Batch(), Ledger())
    assert reader.version() >= before
    with pytest.raises(sqlite3.OperationalError):
        book(reader, Ledger(), range(5, 6), 1)


def test_sigkill_keeps_fills_and_cursor_together(tmp_path: Path) -> None:
    ready, go = os.pipe()
    child = os.fork()
    if child == 0:
        store, ledger = Store(tmp_path / "store.sqlite"), Ledger()
        for i in range(1, 100_000):
            book(store, ledger, range(i, i + 1), i)
            if i == 20:
                os.write(go, b"x")
    os.read(ready, 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    store = Store(tmp_path / "store.sqlite")
    ids = [f.trade_id for f in store.fills()]
    assert ids == list(range(1, int(store.meta("account_seq")) + 1)) and len(ids) >= 20
    ledger = store.load(Ledger())
    assert ledger.qty("BTCUSDT") == N("-0.001") * Num(len(ids))
