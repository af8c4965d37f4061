"""Laws of filled candles: exact digits, closed ones only, two records each."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np
import pytest

from aegis.errors import BadMessage
from aegis.live.feed_books import Budget
from aegis.live.feed_klines import KlineCell, fill, interval_code, interval_of, records
from aegis.native import abi

CELL = KlineCell("BTCUSDT", 3, 2, 3, "1m")


def row(opened_ms: int) -> list[Any]:
    return [opened_ms, "64346.70", "64350", "64336.00", "64346.705", "24.8783", opened_ms + 59_999, "1600832.45", 235, "1", "2", "0"]  # fmt: skip  # noqa: E501


def test_a_candle_keeps_its_digits() -> None:
    """Prices share the larger exponent; volumes carry their own; flags say what it is."""
    first, second = records(CELL, row(60_000), 7)
    assert (first["a"], first["b"], first["c"], first["d"], first["px_exp"]) == (
        64346700,
        64350000,
        64336000,
        64346705,
        3,
    )
    assert (second["a"], second["qty_exp"], second["b"], second["px_exp"]) == (248783, 4, 160083245, 2)
    assert (second["c"], second["d"], first["aux"], first["symbol"]) == (60_000, 235, 1, 3)
    assert first["flags"] == abi.FLAG_CLOSED | abi.FLAG_FILLED | abi.FLAG_BEGIN
    assert second["flags"] == abi.FLAG_CLOSED | abi.FLAG_FILLED | abi.FLAG_END
    with pytest.raises(BadMessage):
        records(CELL, [1, 2], 7)
    with pytest.raises(BadMessage):
        records(CELL, ["x"] * 12, 7)


def test_only_candles_closed_in_the_gap_are_published() -> None:
    """Before the loss: not again; still open: not yet."""

    class Rest:
        async def get(self, path: str, params: dict[str, Any]) -> list[list[Any]]:
            assert path == "/fapi/v1/klines" and params["startTime"] < 180_000
            return [row(ms) for ms in (60_000, 120_000, 180_000, 240_000)]

    out: list[np.ndarray] = []
    budget = Budget(1000, time.monotonic_ns)
    done = asyncio.run(fill(Rest(), budget, [CELL], 185_000, lambda: 250_000 * 1_000_000, out.append))
    assert done == 1 and [int(r[1]["c"]) for r in out] == [180_000]


def test_intervals() -> None:
    """Names and codes of intervals."""
    assert interval_of("btcusdt@kline_15m") == "15m" and interval_of("btcusdt@trade") == ""
    assert [interval_code(i) for i in ("1s", "1m", "4h", "1d", "1w", "1M")] == [0, 1, 240, 1440, 10080, 43200]
