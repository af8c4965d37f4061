"""Public market data by REST: listing, book, trades, prices, funding.

What must stay true: numbers that are decimals are texts; a depth answer's lastUpdateId is the id of the book it shows;
what lies before the opening of the venue is answered like what came after it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aegis.errors import VenueError
from aegis.exchange import filters
from aegis.exchange.engine import Exchange
from aegis.exchange.instrument import HOUR_MS, Market, Trade
from aegis.exchange.matching import BUY, SELL
from aegis.exchange.params import Params, integer, need
from aegis.exchange.past import before_opening
from aegis.exchange.prices import rate_text, settled_rate_e8
from aegis.exchange.symbols import E8, dec
from aegis.exchange.tickers import nearest, quote_volume
from aegis.limits import WEIGHT_PER_MINUTE

DEPTH_LIMITS = (5, 10, 20, 50, 100, 500, 1000)
STALE_MS = 130_000_000  # serverTime of exchangeInfo is a day and a half old, as captured
FOREVER_MS = 1 << 62
LIMITS = [
    {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": WEIGHT_PER_MINUTE},
    {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200},
    {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 300},
]
AUTO_EXCHANGE = {"BTC": "-0.10000000", "BNB": "-10", "ETH": "-5", "USDT": "-10000", "USDC": "-10000"}
INTEREST = {True: "", False: "0.00010000"}  # by whether the contract is dated


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


def answer(rows: list[dict[str, Any]], one: bool) -> Any:
    """The row of the one symbol asked for, or all rows."""
    return rows[0] if one else rows


def exchange_info(ex: Exchange, _p: Params) -> dict[str, Any]:
    """GET exchangeInfo."""
    assets = sorted({m.spec.quote for m in ex.markets.values()} | set(AUTO_EXCHANGE))
    return {
        "timezone": "UTC",
        "serverTime": ex.clock() - STALE_MS,
        "futuresType": "U_MARGINED",
        "rateLimits": LIMITS,
        "exchangeFilters": [],
        "assets": [
            {"asset": a, "marginAvailable": True, "autoAssetExchange": AUTO_EXCHANGE.get(a, "0")} for a in assets
        ],
        "symbols": [filters.listing_row(m.spec) for m in ex.markets.values()],
    }


def order_limits(_ex: Exchange, _p: Params) -> list[dict[str, Any]]:
    """GET rateLimit/order."""
    return LIMITS[1:]


def depth(ex: Exchange, p: Params) -> dict[str, Any]:
    """GET depth; the book itself may hold an older answer (a capture before its snapshot line)."""
    m = ex.market(need(p, "symbol"))
    limit = limit_of(p, 500, 1000)
    if limit not in DEPTH_LIMITS:
        raise VenueError(-4021, f"'{limit}' is not valid depth limit.")
    early = getattr(m.book, "early", None)
    if early is not None:
        return {**early, "bids": early["bids"][:limit], "asks": early["asks"][:limit]}
    rows = {side: [[m.spec.px(px), m.spec.qty(q)] for px, q in m.book.top(side, limit)] for side in (BUY, SELL)}
    now = m.time_ms or ex.clock()
    return {"lastUpdateId": m.last_u, "E": now, "T": now, "bids": rows[BUY], "asks": rows[SELL]}


def rpi_depth(ex: Exchange, p: Params) -> dict[str, Any]:
    """GET rpiDepth: the book with retail orders; only 1000 levels may be asked for."""
    if integer(p, "limit", 1000) != 1000:
        raise VenueError(-4021, f"'{p['limit']}' is not valid depth limit.")
    return depth(ex, p | {"limit": "1000"})


# trades ---------------------------------------------------------------------
def pick(rows: Iterable[Trade], p: Params, limit: int) -> list[Trade]:
    """
    Trades by `fromId`, or by time, or the last ones.

    Raises:
        VenueError: -1128 `fromId` with times, -1127 a window of more than an hour.
    """
    found = list(rows)
    low, high = integer(p, "startTime", 0), integer(p, "endTime", FOREVER_MS)
    timed = bool(p.get("startTime") or p.get("endTime"))
    if p.get("fromId"):
        if timed:
            raise VenueError(-1128, "Combination of optional parameters invalid.")
        start = integer(p, "fromId", 0)
        return [t for t in found if t.id >= start][:limit]
    if timed:
        if p.get("startTime") and p.get("endTime") and high - low > HOUR_MS:
            raise VenueError(-1127, "More than 1 hours between startTime and endTime.")
        inside = [t for t in found if low <= t.time_ms <= high]
        return inside[:limit] if p.get("startTime") else inside[-limit:]
    return found[-limit:]


def trades(ex: Exchange, p: Params) -> list[dict[str, Any]]:
    """GET trades: the last ones; nothing else may be asked for."""
    return _trade_rows(ex, {k: v for k, v in p.items() if k in ("symbol", "limit")})


def old_trades(ex: Exchange, p: Params) -> list[dict[str, Any]]:
    """GET historicalTrades: the last ones, or from an id on."""
    return _trade_rows(ex, {k: v for k, v in p.items() if k in ("symbol", "limit", "fromId")})


def _trade_rows(ex: Exchange, p: Params) -> list[dict[str, Any]]:
    m = ex.market(need(p, "symbol"))
    limit, s = limit_of(p, 500, 1000), m.spec
    before_opening(m)
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
        for t in pick(m.trades, p, limit)
    ]


def agg_trades(ex: Exchange, p: Params) -> list[dict[str, Any]]:
    """GET aggTrades."""
    m = ex.market(need(p, "symbol"))
    limit = limit_of(p, 500, 1000)
    before_opening(m)
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
        for t in pick(m.aggs, p, limit)
    ]


# prices and funding -----------------------------------------------------------
def premium_index(ex: Exchange, p: Params) -> Any:
    """GET premiumIndex."""
    markets, one = one_or_all(ex, p)
    now = ex.clock()
    rows = [
        {
            "symbol": m.spec.name,
            "markPrice": dec(m.mark(), E8),
            "indexPrice": dec(m.index(), E8),
            "estimatedSettlePrice": dec(m.settle(), E8),
            "lastFundingRate": rate_text(m),
            "interestRate": INTEREST[m.spec.dated],
            "nextFundingTime": m.next_funding_ms(now),
            "time": now,
        }
        for m in markets
    ]
    return answer(rows, one)


def settlements(m: Market, low_ms: int, high_ms: int, limit: int, newest: bool) -> list[tuple[int, int, int]]:
    """Up to `limit` funding settlements (time, rate, mark) within low..high, oldest first, made-up ones included."""
    told = [row for row in m.settled if low_ms <= row[0] <= high_ms]
    past, step = before_opening(m), m.interval_ms
    if past is None or not step:
        return told[-limit:] if newest else told[:limit]
    first = max(low_ms, m.spec.onboard_ms)
    last = min(high_ms, m.opened_ms) // step * step
    places = range(-(-first // step) * step, last + 1, step)
    chosen = places[-max(limit - len(told), 0) or len(places) :] if newest else places[:limit]
    made = []
    for at in chosen:
        hour = past.unit(HOUR_MS, at)
        made.append((at, settled_rate_e8(m, at), m.spec.px_e8(hour.o if hour else m.spec.start_px)))
    rows = made + told
    return rows[-limit:] if newest else rows[:limit]


def funding_rate(ex: Exchange, p: Params) -> list[dict[str, Any]]:
    """GET fundingRate: settlements of one symbol by time, or the last ones of all."""
    markets, one = one_or_all(ex, p)
    limit = limit_of(p, 100, 1000)
    low, high = integer(p, "startTime", 0), min(integer(p, "endTime", FOREVER_MS), ex.clock())
    found = [
        (at, m.spec.name, rate, mark)
        for m in markets
        for at, rate, mark in settlements(m, low, high, limit if one else 1, newest=not p.get("startTime"))
    ]
    found.sort(key=lambda row: row[0])
    return [
        {
            "symbol": name,
            "fundingTime": at,
            "fundingRate": dec(rate, E8),
            "markPrice": dec(mark, E8),
            "rateType": "Regular",
        }
        for at, name, rate, mark in found[:limit]
    ]


def funding_info(ex: Exchange, _p: Params) -> list[dict[str, Any]]:
    """GET fundingInfo: only symbols that differ from 8 h, or whose cap is not the ordinary one."""
    rows = []
    for m in ex.markets.values():
        s = m.spec
        tight = s.rate_cap_e8 < 2_000_000
        if not m.interval_ms or (s.funding_h == 8 and not tight):
            continue
        cap = dec(s.rate_cap_e8, E8)
        cap = cap[:-3] if tight else cap  # the tight caps are written with five places, as captured
        rows.append(
            {
                "symbol": s.name,
                "adjustedFundingRateCap": cap,
                "adjustedFundingRateFloor": f"-{cap}",
                "fundingIntervalHours": s.funding_h,
                "disclaimer": tight,
                "updateTime": None if tight else s.onboard_ms,
            }
        )
    return rows


# tickers ----------------------------------------------------------------------
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
                "time": m.time_ms or now,
                "lastUpdateId": m.last_u,
            }
        )
    return answer(rows, one)


def ticker_price(ex: Exchange, p: Params) -> Any:
    """GET ticker/price."""
    markets, one = one_or_all(ex, p)
    now = ex.clock()
    rows = [
        {"symbol": m.spec.name, "price": m.spec.px(m.last_px or m.spec.start_px), "time": m.time_ms or now}
        for m in markets
    ]
    return answer(rows, one)


def ticker_day(ex: Exchange, p: Params) -> Any:
    """GET ticker/24hr; a symbol that never traded is left out."""
    markets, one = one_or_all(ex, p)
    now, rows = ex.clock(), []
    for m in markets:
        found = ex.md.tickers.day(m, now)
        if found is None:
            continue
        (start, c), s = found, m.spec
        rows.append(
            {
                "symbol": s.name,
                "priceChange": s.px(c.c - c.o),
                "priceChangePercent": dec(nearest((c.c - c.o) * 10**5, c.o), 3),
                "weightedAvgPrice": s.px(nearest(c.quote, c.v) if c.v else c.c),
                "lastPrice": s.px(c.c),
                "lastQty": s.qty(m.trades[-1].qty if m.trades else 0),
                "openPrice": s.px(c.o),
                "highPrice": s.px(c.h),
                "lowPrice": s.px(c.l),
                "volume": s.qty(c.v),
                "quoteVolume": quote_volume(s, c.quote),
                "openTime": start,
                "closeTime": now,
                "firstId": c.first,
                "lastId": c.last,
                "count": c.n,
            }
        )
    return (rows[0] if rows else {}) if one else rows
