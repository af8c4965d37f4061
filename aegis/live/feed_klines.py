"""Candles that closed while a socket was down: fetched by REST, published as CLOSED and FILLED.

Problem: the frame that closes a candle is sent once; after a loss nobody hears it again. A candle is a statement
about a minute, not an event, so saying it twice harms nobody, and the window may be generous at its edges.
What must stay true: only closed candles are published; numbers keep the venue's digits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import numpy as np

from aegis.errors import AegisError, BadMessage
from aegis.live.feed_books import Budget
from aegis.native import abi
from aegis.units import Num

KLINES_PATH = "/fapi/v1/klines"
KLINES_MAX, KLINES_WEIGHT = 499, 2
EDGE_MS = 1000  # the closing frame comes up to 333 ms after the minute (PROTOCOL 2.2)
_MINUTES = {"s": 0, "m": 1, "h": 60, "d": 1440, "w": 10080, "M": 43200}


class KlineCell(msgspec.Struct, frozen=True):
    """One candle stream: symbol, its index and exponents, and the interval as in the stream's name."""

    symbol: str
    index: int
    px_exp: int
    qty_exp: int
    interval: str


def interval_of(stream: str) -> str:
    """ "btcusdt@kline_15m" -> "15m"; "" when it is no candle stream."""
    _, found, interval = stream.partition("@kline_")
    return interval if found else ""


def interval_code(interval: str) -> int:
    """Minutes of an interval as `aux` of its records has them; 0 for seconds."""
    return int(interval[:-1]) * _MINUTES[interval[-1]]


def _exact(texts: Iterable[str], e_min: int) -> tuple[int, list[int]]:
    """Mantissas of several numbers at their common exponent, at least `e_min`."""
    numbers = [Num.parse(text).trim() for text in texts]
    e = max([e_min, *(n.e for n in numbers)])
    return e, [n.at(e) for n in numbers]


def records(cell: KlineCell, row: list[Any], recv_ns: int) -> np.ndarray:
    """
    One REST candle as its two ring records, `(2,) abi.TICK`.

    Raises:
        BadMessage: the row is not a candle.
    """
    out = np.zeros(2, abi.TICK)
    try:
        px_exp, prices = _exact(row[1:5], cell.px_exp)
        qty_exp, (volume,) = _exact([row[5]], cell.qty_exp)
        quote_exp, (quote,) = _exact([row[7]], cell.px_exp)
        opened_ms, closed_ms, count = int(row[0]), int(row[6]), int(row[8])
    except (IndexError, TypeError, ValueError) as exc:
        raise BadMessage(f"not a candle of {cell.symbol}: {str(row)[:80]}") from exc
    flags = abi.FLAG_CLOSED | abi.FLAG_FILLED
    common = (cell.index, abi.KIND_KLINE)
    aux = interval_code(cell.interval)
    exch_ns = closed_ms * 1_000_000
    out[0] = (0, exch_ns, recv_ns, *common, flags | abi.FLAG_BEGIN, px_exp, cell.qty_exp, aux, *prices)
    out[1] = (
        (0, exch_ns, recv_ns, *common, flags | abi.FLAG_END, quote_exp, qty_exp, aux)
        + (volume, quote, opened_ms, count)
    )  # fmt: skip
    return out


async def fill(
    rest: Any,
    budget: Budget,
    cells: list[KlineCell],
    lost_ms: int,
    now_ns: Callable[[], int],
    publish: Callable[[np.ndarray], Any],
) -> int:
    """
    Publish every candle of `cells` that closed since `lost_ms`.

    Returns:
        How many candles.

    Raises:
        AegisError: one of the cells failed (the last failure); the others are published.
    """
    done = 0
    failed: AegisError | None = None
    for cell in cells:
        await budget.spend(KLINES_WEIGHT)
        span_ms = max(1, interval_code(cell.interval)) * 60_000
        query = {"symbol": cell.symbol, "interval": cell.interval, "startTime": lost_ms - span_ms - EDGE_MS}
        try:
            rows = await rest.get(KLINES_PATH, {**query, "limit": KLINES_MAX})
            for row in rows:
                if lost_ms - EDGE_MS <= int(row[6]) < now_ns() // 1_000_000:
                    publish(records(cell, row, now_ns()))
                    done += 1
        except AegisError as exc:
            failed = exc
    if failed is not None:
        raise failed
    return done
