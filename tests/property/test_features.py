"""Features of C and oracle are the same bits; folding in pieces is folding at once; recorded traffic included."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from features_oracle import NAMES, Oracle
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("aegis.native._aegis")

from aegis.market.decode import Refused, decode
from aegis.native import abi, features
from aegis.native.features import Features, weights

MS = 1_000_000
CAPTURES = Path(__file__).resolve().parents[3] / "shared" / "data"
_FIELDS = ("symbol", "kind", "flags", "px_exp", "qty_exp", "a", "b", "c", "d", "recv_ns")


def quote(symbol: int, when_ns: int, bid: int, bid_qty: int, ask: int, ask_qty: int) -> tuple[int, ...]:
    return (symbol, 1, 0, 1, 3, bid, bid_qty, ask, ask_qty, when_ns)


def trade(symbol: int, when_ns: int, qty: int, side: int, kind: int = 2, flags: int = 0) -> tuple[int, ...]:
    return (symbol, kind, flags, 1, 3, 1000, qty, 7, side, when_ns)


def batch_of(rows: list[tuple[int, ...]]) -> Any:
    """Records of rows of _FIELDS."""
    made = np.zeros(len(rows), abi.TICK)
    for i, row in enumerate(rows):
        for name, value in zip(_FIELDS, row, strict=True):
            made[name][i] = value
    return made


_sizes = st.integers(0, 10**12) | st.sampled_from([0, 1, 2**63 - 1])
_times = st.integers(0, 3 * 10**9) | st.sampled_from([0, 1, 99 * MS, 10**10, 64 * 10**10 - 1, 64 * 10**10, 2**62])
_near = st.integers(990, 1010)
_quotes = st.builds(quote, st.integers(0, 3), _times, _near, _sizes, _near, _sizes)
_trades = st.builds(
    trade, st.integers(0, 3), _times, _sizes, st.sampled_from([-1, 0, 1]), st.sampled_from([2, 3]),
    st.sampled_from([0, 4]),
)  # fmt: skip
_any = st.tuples(
    st.sampled_from([0, 3, 1023, 1024, 65535]), st.integers(0, 11), st.integers(0, 63), st.integers(0, 20),
    st.integers(0, 20), *[st.integers(-(2**63), 2**63 - 1)] * 5,
)  # fmt: skip


def agree(c: Features, oracle: Oracle, batch: Any) -> None:
    """Same changed symbols, and the same bits in the list's copy and in the columns."""
    before = len(batch)
    count, expected = c.fold(batch), oracle.fold(batch)
    assert before == len(batch)
    assert c.changed.tolist() == expected
    assert count == len(expected)
    for at, index in enumerate(expected):
        row = np.array(oracle.row(index))
        assert row.tobytes() == c.rows[at].tobytes(), index
        assert row.tobytes() == np.array([c[name][index] for name in NAMES]).tobytes()


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(_quotes | _trades | _any, max_size=12), max_size=6))
def test_the_same_bits_as_the_oracle(batches: list[list[tuple[int, ...]]]) -> None:
    """Any records, in any batches."""
    c, oracle = Features(), Oracle()
    for rows in batches:
        if rows:
            agree(c, oracle, batch_of(rows))


@settings(max_examples=100, deadline=None)
@given(st.lists(_quotes | _trades, min_size=1, max_size=30), st.integers(1, 29))
def test_in_pieces_as_at_once(rows: list[tuple[int, ...]], cut: int) -> None:
    """How a batch was cut leaves no trace in a column."""
    whole, pieces = Features(), Features()
    whole.fold(batch_of(rows))
    for part in (rows[:cut], rows[cut:]):
        if part:
            pieces.fold(batch_of(part))
    for name in NAMES:
        assert whole[name].tobytes() == pieces[name].tobytes(), name


def captured(name: str) -> tuple[list[bytes], list[tuple[str, int, int]]]:
    """Frames of a capture with its symbols; a skip that says what is missing."""
    path = CAPTURES / name
    if not path.exists():
        pytest.skip(f"no capture at ../shared/data/{name}")
    if name.endswith(".gz"):
        with gzip.open(path) as file:
            return [line.split(b" ", 1)[1].strip() for line in file if b" " in line], [("BTCUSDT", 2, 3)]
    lines = [line.split(b": ", 1)[1] for line in path.read_bytes().splitlines()[1:] if b": {" in line]
    return lines, [("SUSHIUSDT", 4, 0), ("AKROUSDT", 5, 0), ("KEEPUSDT", 4, 0), ("CTKUSDT", 5, 0)]


@pytest.mark.parametrize("name", ["multi_2021-07-22/frames.txt", "btcusdt_2022-08-11/capture.gz"])
def test_recorded_traffic(name: str) -> None:
    """Every captured quote and trade, in batches of odd sizes."""
    frames, symbols = captured(name)
    rows: list[tuple[int, ...]] = []
    for frame in frames:
        try:
            found = decode(frame, symbols) or []
        except Refused:
            continue
        rows += [(r.symbol, r.kind, r.flags, r.px_exp, r.qty_exp, r.a, r.b, r.c, r.d, r.exch_ns) for r in found]
    c, oracle, at, size = Features(), Oracle(), 0, 1
    while at < len(rows):
        agree(c, oracle, batch_of(rows[at : at + size]))
        at, size = at + size, size % 37 + 1
    assert any(c["middle"][i] or c["traded_1s"][i] for i in range(len(symbols)))


def test_what_the_columns_say() -> None:
    """Signs and units, by hand."""
    c = Features()
    c.fold(batch_of([quote(5, 1000 * MS, 1000, 3000, 1002, 1000)]))
    assert c["middle"][5] == 100.1
    assert c["lean"][5] == 0.5
    assert c["micro_price"][5] == pytest.approx(100.15)
    assert c["spread_bps"][5] == pytest.approx(0.2 / 100.1 * 1e4)
    c.fold(batch_of([quote(5, 1100 * MS, 1001, 3000, 1002, 1000), trade(5, 1100 * MS, 2000, 1)]))
    assert c["flow_100ms"][5] > c["flow_10s"][5] > 0
    assert c["trade_flow_1s"][5] == 1
    assert c["volatility_1s"][5] > 0
    c.fold(batch_of([trade(5, 2100 * MS, 2000, -1)]))
    assert c["trade_flow_10s"][5] == pytest.approx((2**-0.1 - 1) / (2**-0.1 + 1), rel=1e-8)
    assert c.touch(5) == (1001, 3000, 1002, 1000, 1, 3, 1100 * MS)
    assert c.touch(6) is None
    c.reset()
    assert c["middle"][5] == 0
    assert c.touch(5) is None


def test_trades_told_twice_count_once_and_late_ones_never() -> None:
    """aggTrade gives way to trade; a record filled in after a gap is passed over."""
    c = Features()
    c.fold(batch_of([trade(0, 1, 1000, 1, kind=3)]))
    first = c["traded_1s"][0]
    c.fold(batch_of([trade(0, 1, 1000, 1), trade(0, 1, 1000, 1, kind=3), trade(0, 1, 1000, 1, flags=4)]))
    assert c["traded_1s"][0] == 2 * first


def test_views_cannot_be_written_and_names_are_versioned() -> None:
    """A strategy reads; columns are those of the header."""
    c = Features()
    c.fold(batch_of([quote(0, 1, 10, 1, 11, 1)]))
    for view in (c["lean"], c.changed, c.rows):
        with pytest.raises(ValueError, match="read-only"):
            view[0] = 1
    assert list(features.NAMES) == NAMES
    assert (weights(lean=0.5) @ c.rows.T).tolist() == [0.0]
    with pytest.raises(KeyError):
        weights(luck=1.0)
