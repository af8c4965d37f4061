"""Statistics of a market by REST: /futures/data/*, open interest, indices, insurance fund.

Problem: these describe thousands of other traders whom the venue does not have. Numbers drawn anew at each request
would jump; so each is a wave that depends on symbol and time alone, and what the candles know is taken from them.
What must stay true: the same question about the past has the same answer; shares of longs and shorts add up to one.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from aegis.errors import VenueError
from aegis.exchange.candles import Chart, opens
from aegis.exchange.engine import Exchange
from aegis.exchange.instrument import DAY_MS, HOUR_MS, Market
from aegis.exchange.params import Params, integer, need
from aegis.exchange.public import FOREVER_MS, answer, limit_of, one_or_all
from aegis.exchange.public_klines import CONTRACTS, pair_market
from aegis.exchange.symbols import E8, dec, quarter_end_ms, trim

PERIODS = ("5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d")
KEPT_MS = 30 * DAY_MS
E4 = 10_000
INTEREST_QUOTE = {125: 6_000_000_000, 75: 300_000_000, 50: 30_000_000, 20: 10_000_000}  # by highest leverage
BUFFERS = {"USDT": 5_000, "USDC": 5_000}  # ppm of the asset index; other assets 5 %
QUARTER_MS = 91 * DAY_MS
EXCHANGES = (("binance", 400), ("okex", 250), ("coinbase", 200), ("bybit", 150))


def wave(m: Market, kind: str, at_ms: int) -> int:
    """A number in -1000..1000 that moves slowly: hours are joined by straight lines."""
    ends = [random.Random(f"{m.seed}/{m.spec.name}/{kind}/{at_ms // HOUR_MS + i}").randint(-1000, 1000) for i in (0, 1)]
    return ends[0] + (ends[1] - ends[0]) * (at_ms % HOUR_MS) // HOUR_MS


def places(ex: Exchange, p: Params) -> tuple[str, list[int]]:
    """(period, times asked for), oldest first; -1130 for a period that is not offered."""
    period = need(p, "period")
    if period not in PERIODS:
        raise VenueError(-1130, "Data sent for parameter 'period' is not valid.")
    limit, now = limit_of(p, 30, 500), ex.clock()
    low, high = integer(p, "startTime", 0), min(integer(p, "endTime", FOREVER_MS), now)
    return period, opens(period, max(low, now - KEPT_MS), high, limit, newest=not p.get("startTime"))


def interest(m: Market, at_ms: int) -> int:
    """Open interest in contracts, at qty_exp."""
    kind = max(k for k in INTEREST_QUOTE if k <= m.spec.brackets[0].leverage)
    whole = INTEREST_QUOTE[kind] * int(10 ** (m.spec.px_exp + m.spec.qty_exp)) // m.spec.start_px
    return whole * (E4 + wave(m, "interest", at_ms)) // E4 // m.spec.step * m.spec.step


def open_interest(ex: Exchange, p: Params) -> dict[str, Any]:
    """GET openInterest."""
    m, now = ex.market(need(p, "symbol")), ex.clock()
    return {"symbol": m.spec.name, "openInterest": m.spec.qty(interest(m, now)), "time": now}


def interest_history(ex: Exchange, p: Params) -> list[dict[str, Any]]:
    """GET openInterestHist."""
    m = ex.market(need(p, "symbol"))
    period, times = places(ex, p)
    s, rows = m.spec, []
    for at, c in zip(times, Chart(m).series(period, times), strict=True):
        held = interest(m, at)
        rows.append(
            {
                "symbol": s.name,
                "sumOpenInterest": dec(held * int(10 ** (E8 - s.qty_exp)), E8),
                "sumOpenInterestValue": dec(s.notional_e8(c.o, held), E8),
                "CMCCirculatingSupply": dec(held * 1000 * int(10 ** (E8 - s.qty_exp)), E8),
                "timestamp": at,
            }
        )
    return rows


def ratio_of(kind: str) -> Callable[[Exchange, Params], list[dict[str, Any]]]:
    """A handler of one of the long/short ratios."""

    def handler(ex: Exchange, p: Params) -> list[dict[str, Any]]:
        m = ex.market(need(p, "symbol"))
        rows = []
        for at in places(ex, p)[1]:
            long_e4 = 5200 + wave(m, kind, at)
            rows.append(
                {
                    "symbol": m.spec.name,
                    "longShortRatio": dec(long_e4 * E4 // (E4 - long_e4), 4),
                    "longAccount": dec(long_e4, 4),
                    "shortAccount": dec(E4 - long_e4, 4),
                    "timestamp": at,
                }
            )
        return rows

    return handler


def taker_ratio(ex: Exchange, p: Params) -> list[dict[str, Any]]:
    """GET takerlongshortRatio, from the candles."""
    m = ex.market(need(p, "symbol"))
    period, times = places(ex, p)
    out = []
    for c in Chart(m).series(period, times):
        sold = c.v - c.taker_v
        out.append(
            {
                "buySellRatio": dec(c.taker_v * E4 // sold if sold else 0, 4),
                "buyVol": m.spec.qty(c.taker_v),
                "sellVol": m.spec.qty(sold),
                "timestamp": c.open_ms,
            }
        )
    return out


def basis(ex: Exchange, p: Params) -> list[dict[str, Any]]:
    """GET basis: future against index; the annual rate is empty for a perpetual contract."""
    contract = need(p, "contractType")
    if contract not in CONTRACTS:
        raise VenueError(-1130, "Data sent for parameter 'contractType' is not valid.")
    m, perpetual = pair_market(ex, p, contract), pair_market(ex, p)
    period, times = places(ex, p)
    if m is None or perpetual is None:
        return []
    rows = []
    pairs = zip(Chart(m).series(period, times), Chart(perpetual).series(period, times), strict=True)
    for own, index in pairs:
        future_e8 = m.spec.px_e8(own.o)
        index_e8 = perpetual.spec.px_e8(index.o) * (1_000_000 + wave(perpetual, "basis", own.open_ms) // 4) // 1_000_000
        gap = future_e8 - index_e8
        year = gap * E4 * 365 * DAY_MS // index_e8 // max(m.spec.delivery_ms - own.open_ms, DAY_MS)
        rows.append(
            {
                "indexPrice": trim(index_e8, E8),
                "contractType": contract,
                "basisRate": dec(gap * E4 // index_e8, 4),
                "futuresPrice": trim(future_e8, E8),
                "annualizedBasisRate": dec(year, 4) if m.spec.dated else "",
                "basis": trim(gap, E8),
                "pair": m.spec.pair,
                "timestamp": own.open_ms,
            }
        )
    return rows


def delivery_prices(ex: Exchange, p: Params) -> list[dict[str, Any]]:
    """GET delivery-price: the last four quarters of a pair, newest first; a JSON number there."""
    m = pair_market(ex, p)
    now, at, rows = ex.clock(), 0, []
    for back in range(5, 0, -1):
        found = quarter_end_ms(now - back * QUARTER_MS)
        if found != at and found < now and m is not None:
            at = found
            c = Chart(m).series("1h", [at // HOUR_MS * HOUR_MS])[0]
            rows.append({"deliveryTime": at, "deliveryPrice": c.o / 10**m.spec.px_exp})
    return rows[::-1]


# indices and the venue's own money ------------------------------------------------
def asset_index(ex: Exchange, p: Params) -> Any:
    """GET assetIndex: what an asset counts as margin in multi-assets mode."""
    wanted, now = p.get("symbol", ""), ex.clock()
    found: dict[str, int] = {f"{q}USD": 10**E8 for q in BUFFERS}
    for m in ex.markets.values():
        if m.spec.quote == "USDT" and m.interval_ms:
            found[f"{m.spec.base}USD"] = m.index()
    if wanted and wanted not in found:
        raise VenueError(-1121, "Invalid symbol.")
    rows = []
    for name, index in found.items():
        if wanted in ("", name):
            wide = BUFFERS.get(name[:-3], 50_000)
            near = wide // 2
            rates = [dec(index * (1_000_000 + ppm) // 1_000_000, E8) for ppm in (-wide, wide, -near, near)]
            rows.append(
                {
                    "symbol": name,
                    "time": now,
                    "index": dec(index, E8),
                    "bidBuffer": dec(wide * 100, E8),
                    "askBuffer": dec(wide * 100, E8),
                    "bidRate": rates[0],
                    "askRate": rates[1],
                    "autoExchangeBidBuffer": dec(near * 100, E8),
                    "autoExchangeAskBuffer": dec(near * 100, E8),
                    "autoExchangeBidRate": rates[2],
                    "autoExchangeAskRate": rates[3],
                }
            )
    return answer(rows, bool(wanted))


def index_info(ex: Exchange, p: Params) -> list[dict[str, Any]]:
    """GET indexInfo: no composite index is listed."""
    if p.get("symbol"):
        ex.market(p["symbol"])
    return []


def constituents(ex: Exchange, p: Params) -> dict[str, Any]:
    """GET constituents: the exchanges behind an index price."""
    m, now = ex.market(need(p, "symbol")), ex.clock()
    rows = []
    for name, weight in EXCHANGES:
        price = m.index() * (1_000_000 + wave(m, name, now) // 20) // 1_000_000
        row = {"exchange": name, "symbol": m.spec.pair, "price": dec(price, E8), "weight": dec(weight * 10**5, E8)}
        rows.append(row)
    return {"symbol": m.spec.name, "time": now, "constituents": rows}


def insurance_balance(ex: Exchange, p: Params) -> Any:
    """GET insuranceBalance: one fund per quote asset, shared by its symbols."""
    markets, one = one_or_all(ex, p)
    now, rows = ex.clock(), []
    for quote in dict.fromkeys(m.spec.quote for m in markets):
        rows.append(
            {
                "symbols": [m.spec.name for m in ex.markets.values() if m.spec.quote == quote],
                "assets": [{"asset": quote, "marginBalance": dec(ex.house.insurance[quote], E8), "updateTime": now}],
            }
        )
    return answer(rows, one)


def adl_risk(ex: Exchange, p: Params) -> Any:
    """GET symbolAdlRisk: low while the insurance fund has what it was given."""
    markets, one = one_or_all(ex, p)
    rows = []
    for m in markets:
        held, given = ex.house.insurance[m.spec.quote], ex.house.seeded[m.spec.quote]
        risk = "low" if held * 2 >= given else "medium" if held > 0 else "high"
        rows.append({"symbol": m.spec.name, "adlRisk": risk, "updateTime": ex.clock()})
    return answer(rows, one)


def trading_status(_ex: Exchange, _acc: object, _p: Params) -> dict[str, Any]:
    """GET apiTradingStatus: no indicator is triggered."""
    return {"indicators": {}, "updateTime": 0}
