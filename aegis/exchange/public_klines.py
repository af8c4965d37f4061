"""Candles by REST: of trades, of a continuous contract, of index, mark and premium.

Problem: mark and index have no trades, so before the venue opened they have no record of their own. They follow the
traded price there through a rising function, which keeps highest, lowest and every sum of shorter candles true.
What must stay true: open times rise without a gap; a page that starts at a time starts there, one without a start ends
at its end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from aegis.errors import VenueError
from aegis.exchange.candles import INTERVALS, Chart, next_open
from aegis.exchange.engine import Exchange
from aegis.exchange.instrument import MINUTE_MS, Bar, Candle, Market
from aegis.exchange.params import Params, integer, need
from aegis.exchange.public import FOREVER_MS, limit_of
from aegis.exchange.symbols import E8, dec

CONTRACTS = ("PERPETUAL", "CURRENT_QUARTER", "NEXT_QUARTER", "TRADIFI_PERPETUAL")
SEEN_PER_MINUTE = 60
PREMIUM_SHARE = 500  # the made-up premium is this fraction of the distance from the opening price


def _asked(ex: Exchange, m: Market, p: Params) -> tuple[str, list[Candle]]:
    """(interval, candles) of a request; -1120 and -1130 as the venue words them."""
    interval = need(p, "interval")
    if interval not in INTERVALS:
        raise VenueError(-1120, "Invalid interval.")
    limit = limit_of(p, 500, 1500)
    low = integer(p, "startTime", 0) if p.get("startTime") else None
    high = min(integer(p, "endTime", FOREVER_MS), ex.clock())
    return interval, Chart(m).query(interval, low, high, limit)


def rows_of(m: Market, interval: str, found: list[Candle]) -> list[list[Any]]:
    """Candles of trades as the venue lists them."""
    s, e = m.spec, m.spec.px_exp + m.spec.qty_exp
    return [
        [
            c.open_ms, s.px(c.o), s.px(c.h), s.px(c.l), s.px(c.c), s.qty(c.v), next_open(interval, c.open_ms) - 1,
            dec(c.quote, e), c.n, s.qty(c.taker_v), dec(c.taker_quote, e), "0",
        ]
        for c in found
    ]  # fmt: skip


def klines(ex: Exchange, p: Params) -> list[list[Any]]:
    """GET klines."""
    m = ex.market(need(p, "symbol"))
    return rows_of(m, *_asked(ex, m, p))


def pair_market(ex: Exchange, p: Params, contract: str = "PERPETUAL") -> Market | None:
    """
    The market of a `pair` and a contract type; None when that contract is not listed.

    Raises:
        VenueError: -4144 no contract of that pair is listed.
    """
    pair = need(p, "pair")
    found = [m for m in ex.markets.values() if m.spec.pair == pair]
    if not found:
        raise VenueError(-4144, "Invalid pair.")
    return next((m for m in found if m.spec.contract_type == contract), None)


def continuous_klines(ex: Exchange, p: Params) -> list[list[Any]]:
    """GET continuousKlines."""
    contract = need(p, "contractType")
    if contract not in CONTRACTS:
        raise VenueError(-1130, "Data sent for parameter 'contractType' is not valid.")
    m = pair_market(ex, p, contract)
    return rows_of(m, *_asked(ex, m, p)) if m is not None else []


def _untraded(ex: Exchange, m: Market, p: Params, bars: Sequence[Bar], made: Callable[[int], int]) -> list[list[Any]]:
    """Candles of a value nobody trades: `made` of the traded price until the first bar, the bars from there on."""
    interval, found = _asked(ex, m, p)
    first = bars[0].open_ms if bars else FOREVER_MS
    out: list[list[Any]] = []
    for c in found:
        end = next_open(interval, c.open_ms)
        o, h, low, close = (made(px) for px in (c.o, c.h, c.l, c.c))
        seen = max(min(end, ex.clock(), first) - c.open_ms, 0) // MINUTE_MS * SEEN_PER_MINUTE
        live = [b for b in bars if c.open_ms <= b.open_ms < end] if end > first else []
        if live:
            edges = (h, low) if c.open_ms < first else ()
            o = o if c.open_ms < first else live[0].o
            h, low = max((*edges, *(b.h for b in live))), min((*edges, *(b.l for b in live)))
            close, seen = live[-1].c, seen + sum(b.n for b in live)
        texts = [dec(v, E8) for v in (o, h, low, close)]
        out.append([c.open_ms, *texts, "0", end - 1, "0", seen, "0", "0", "0"])
    return out


def mark_klines(ex: Exchange, p: Params) -> list[list[Any]]:
    """GET markPriceKlines."""
    m = ex.market(need(p, "symbol"))
    return _untraded(ex, m, p, m.mark_bars, m.spec.px_e8)


def index_klines(ex: Exchange, p: Params) -> list[list[Any]]:
    """GET indexPriceKlines, by pair."""
    m = pair_market(ex, p)
    if m is None:
        return []
    off = ex.prices.state[m.spec.name].centre_ppm
    return _untraded(ex, m, p, m.index_bars, lambda px: m.spec.px_e8(px) * (1_000_000 - off) // 1_000_000)


def premium_klines(ex: Exchange, p: Params) -> list[list[Any]]:
    """GET premiumIndexKlines."""
    m = ex.market(need(p, "symbol"))
    start = m.spec.start_px
    return _untraded(ex, m, p, m.premium_bars, lambda px: (px - start) * 10**E8 // start // PREMIUM_SHARE)
