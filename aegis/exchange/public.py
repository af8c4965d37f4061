"""Public market data by REST.

What must stay true: numbers that are decimals are texts; a depth answer's lastUpdateId is the id of the book it shows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aegis.errors import VenueError
from aegis.exchange import filters
from aegis.exchange.engine import Exchange
from aegis.exchange.instrument import CANDLE_MS, FUNDING_MS, MINUTE_MS, Market, Trade, gather, next_funding_ms
from aegis.exchange.matching import BUY, SELL
from aegis.exchange.params import Params, integer, need
from aegis.exchange.symbols import E8, dec
from aegis.limits import WEIGHT_PER_MINUTE

DEPTH_LIMITS = (5, 10, 20, 50, 100, 500, 1000)
STALE_MS = 130_000_000  # serverTime of exchangeInfo is a day and a half old, as captured
LIMITS = [
    {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": WEIGHT_PER_MINUTE},
    {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200},
    {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 300},
]


def limit_of(p: Params, default: int, top: int) -> int:
    """The `limit` parameter; -1130 outside 1..top."""
    limit = integer(p, "limit", default)
    if not 1 <= limit <= top:
        raise VenueError(-1130, "Data sent for parameter 'limit' is not valid.")
    return limit


def one_or_all(ex: Exchange, p: Params) -> tuple[list[Market], bool]:
    """(markets asked for, was it one)."""
    if p.get("symbol"):
        return [ex.market(p["symbol"])], True
    return list(ex.markets.values()), False


def exchange_info(ex: Exchange, _p: Params) -> dict[str, Any]:
    """GET exchangeInfo."""
    quotes = sorted({m.spec.quote for m in ex.markets.values()})
    assets = [{"asset": q, "marginAvailable": True, "autoAssetExchange": "0"} for q in quotes]
    return {
        "timezone": "UTC",
        "serverTime": ex.clock() - STALE_MS,
        "futuresType": "U_MARGINED",
        "rateLimits": LIMITS,
        "exchangeFilters": [],
        "assets": assets,
        "symbols": [filters.listing_row(m.spec) for m in ex.markets.values()],
    }


def order_limits(_ex: Exchange, _p: Params) -> list[dict[str, Any]]:
    """GET rateLimit/order."""
    return LIMITS[1:]


def depth(ex: Exchange, p: Params) -> dict[str, Any]:
    """GET depth; the book itself may hold an older answer (a capture before its snapshot line)."""
    m = ex.market(need(p, "symbol"))
    limit = integer(p, "limit", 500)
    if limit not in DEPTH_LIMITS:
        raise VenueError(-1130, "Data sent for parameter 'limit' is not valid.")
    early = getattr(m.book, "early", None)
    if early is not None:
        return {**early, "bids": early["bids"][:limit], "asks": early["asks"][:limit]}
    rows = {side: [[m.spec.px(px), m.spec.qty(q)] for px, q in m.book.top(side, limit)] for side in (BUY, SELL)}
    now = m.time_ms or ex.clock()
    return {"lastUpdateId": m.last_u, "E": now, "T": now, "bids": rows[BUY], "asks": rows[SELL]}


def pick(rows: Iterable[Trade], p: Params, limit: int) -> list[Trade]:
    """Trades by `fromId`, or by time, or the last ones."""
    found = list(rows)
    if p.get("fromId"):
        start = integer(p, "fromId", 0)
        return [t for t in found if t.id >= start][:limit]
    if p.get("startTime") or p.get("endTime"):
        low, high = integer(p, "startTime", 0), integer(p, "endTime", 1 << 62)
        return [t for t in found if low <= t.time_ms <= high][:limit]
    return found[-limit:]


def trades(ex: Exchange, p: Params) -> list[dict[str, Any]]:
    """GET trades and historicalTrades."""
    m = ex.market(need(p, "symbol"))
    s = m.spec
    return [
        {
            "id": t.id,
            "price": s.px(t.px),
            "qty": s.qty(t.qty),
            "quoteQty": dec(t.px * t.qty, s.px_exp + s.qty_exp),
            "time": t.time_ms,
            "isBuyerMaker": t.buyer_maker,
            "isRPITrade": False,
        }
        for t in pick(m.trades, p, limit_of(p, 500, 1000))
    ]


def agg_trades(ex: Exchange, p: Params) -> list[dict[str, Any]]:
    """GET aggTrades."""
    m = ex.market(need(p, "symbol"))
    return [
        {
            "a": t.id,
            "p": m.spec.px(t.px),
            "q": m.spec.qty(t.qty),
            "nq": m.spec.qty(t.qty),
            "f": t.first,
            "l": t.last,
            "T": t.time_ms,
            "m": t.buyer_maker,
        }
        for t in pick(m.aggs, p, limit_of(p, 500, 1000))
    ]


def klines(ex: Exchange, p: Params) -> list[list[Any]]:
    """GET klines: only minutes that traded since the venue started exist."""
    m = ex.market(need(p, "symbol"))
    interval = need(p, "interval")
    if interval not in CANDLE_MS:
        raise VenueError(-1120, "Invalid interval.")
    s, span = m.spec, CANDLE_MS[interval] * MINUTE_MS
    low, high, limit = integer(p, "startTime", 0), integer(p, "endTime", 1 << 62), limit_of(p, 500, 1500)
    found = [c for c in gather(m, interval, len(m.candles)) if low <= c.open_ms <= high]
    found = found[:limit] if p.get("startTime") else found[-limit:]
    e = s.px_exp + s.qty_exp
    return [
        [
            c.open_ms,
            s.px(c.o),
            s.px(c.h),
            s.px(c.l),
            s.px(c.c),
            s.qty(c.v),
            c.open_ms + span - 1,
            dec(c.quote, e),
            c.n,
            s.qty(c.taker_v),
            dec(c.taker_quote, e),
            "0",
        ]
        for c in found
    ]


def premium_index(ex: Exchange, p: Params) -> Any:
    """GET premiumIndex; the mark is the middle of the book."""
    markets, one = one_or_all(ex, p)
    now = ex.clock()
    rows = [
        {
            "symbol": m.spec.name,
            "markPrice": m.spec.px(m.mid()),
            "indexPrice": m.spec.px(m.mid()),
            "estimatedSettlePrice": m.spec.px(m.mid()),
            "lastFundingRate": dec(m.rate_e8, E8),
            "interestRate": "0.00010000",
            "nextFundingTime": next_funding_ms(now),
            "time": now,
        }
        for m in markets
    ]
    return rows[0] if one else rows


def funding_rate(ex: Exchange, p: Params) -> list[dict[str, Any]]:
    """GET fundingRate: the last settled boundary of each symbol."""
    at = next_funding_ms(ex.clock()) - FUNDING_MS
    return [
        {
            "symbol": m.spec.name,
            "fundingTime": at,
            "fundingRate": dec(m.rate_e8, E8),
            "markPrice": m.spec.px(m.mid()),
            "rateType": "Regular",
        }
        for m in one_or_all(ex, p)[0]
    ]


def funding_info(_ex: Exchange, _p: Params) -> list[dict[str, Any]]:
    """GET fundingInfo: empty, because every symbol here settles each 8 h."""
    return []


def book_ticker(ex: Exchange, p: Params) -> Any:
    """GET ticker/bookTicker."""
    markets, one = one_or_all(ex, p)
    now, rows = ex.clock(), []
    for m in markets:
        (bid, bid_qty), (ask, ask_qty) = m.book.best(BUY), m.book.best(SELL)
        rows.append(
            {
                "symbol": m.spec.name,
                "bidPrice": m.spec.px(bid),
                "bidQty": m.spec.qty(bid_qty),
                "askPrice": m.spec.px(ask),
                "askQty": m.spec.qty(ask_qty),
                "time": now,
                "lastUpdateId": m.last_u,
            }
        )
    return rows[0] if one else rows


def ticker_price(ex: Exchange, p: Params) -> Any:
    """GET ticker/price."""
    markets, one = one_or_all(ex, p)
    rows = [{"symbol": m.spec.name, "price": m.spec.px(m.last_px or m.mid()), "time": ex.clock()} for m in markets]
    return rows[0] if one else rows


def ticker_day(ex: Exchange, p: Params) -> Any:
    """GET ticker/24hr, of the candles the venue has; -1121 only for unknown symbols."""
    markets, one = one_or_all(ex, p)
    rows = []
    for m in markets:
        s, day = m.spec, gather(m, "1d", 1)
        if day:
            c = day[0]
            rows.append(
                {
                    "symbol": s.name,
                    "priceChange": s.px(c.c - c.o),
                    "priceChangePercent": "0.000",
                    "weightedAvgPrice": s.px(c.quote // c.v),
                    "lastPrice": s.px(c.c),
                    "lastQty": s.qty(m.trades[-1].qty),
                    "openPrice": s.px(c.o),
                    "highPrice": s.px(c.h),
                    "lowPrice": s.px(c.l),
                    "volume": s.qty(c.v),
                    "quoteVolume": dec(c.quote, s.px_exp + s.qty_exp),
                    "openTime": c.open_ms,
                    "closeTime": ex.clock(),
                    "firstId": c.first,
                    "lastId": c.last,
                    "count": c.n,
                }
            )
    return (rows[0] if rows else {}) if one else rows
