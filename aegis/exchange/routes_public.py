"""Public routes: market data by REST and by the WebSocket API, with their weights."""

from __future__ import annotations

from aegis.exchange import futures_data, public, public_klines
from aegis.exchange.params import WHOLE, Params
from aegis.exchange.route import KEY, NONE, Route, Weight, per_symbol
from aegis.exchange.trading_hours import schedule

V1, V2, DATA = "/fapi/v1/", "/fapi/v2/", "/futures/data/"
SPOT = "/api/v3/"  # clients for every market ask the spot door for a ping and the time before they do anything else
WALLET = "/sapi/v1/"  # ccxt asks the wallet for coins before its first order, and for the venue's health


def limit_asked(p: Params) -> int:
    """The `limit` a request is weighed by; the default for what the handler will refuse."""
    limit = p.get("limit", "500")
    return int(limit) if WHOLE.fullmatch(limit) else 500


def depth_weight(p: Params) -> int:
    """Weight of a depth request by its limit."""
    count = limit_asked(p)
    return 2 if count <= 50 else 5 if count <= 100 else 10 if count <= 500 else 20


def klines_weight(p: Params) -> int:
    """Weight of a klines request by its limit."""
    count = limit_asked(p)
    return 1 if count < 100 else 2 if count < 500 else 5 if count <= 1000 else 10


def _get(path: str, run: object, weight: Weight = 1) -> tuple[tuple[str, str], Route]:
    return ("GET", path), Route(run, weight, NONE)  # type: ignore[arg-type]


def public_routes() -> dict[tuple[str, str], Route]:
    """By (method, path)."""
    ratio = futures_data.ratio_of
    return {
        ("GET", V1 + "historicalTrades"): Route(lambda ex, _acc, p: public.old_trades(ex, p), 200, KEY),
        **dict(
            (
                _get(V1 + "ping", lambda _ex, _p: {}),
                _get(V1 + "time", lambda ex, _p: {"serverTime": ex.clock()}),
                _get(SPOT + "ping", lambda _ex, _p: {}),
                _get(SPOT + "time", lambda ex, _p: {"serverTime": ex.clock()}),
                _get(WALLET + "system/status", lambda _ex, _p: {"status": 0, "msg": "normal"}),
                _get(V1 + "exchangeInfo", public.exchange_info),
                _get(V1 + "depth", public.depth, depth_weight),
                _get(V1 + "rpiDepth", public.rpi_depth, 20),
                _get(V1 + "trades", public.trades, 5),
                _get(V1 + "aggTrades", public.agg_trades, 20),
                _get(V1 + "klines", public_klines.klines, klines_weight),
                _get(V1 + "continuousKlines", public_klines.continuous_klines, klines_weight),
                _get(V1 + "indexPriceKlines", public_klines.index_klines, klines_weight),
                _get(V1 + "markPriceKlines", public_klines.mark_klines, klines_weight),
                _get(V1 + "premiumIndexKlines", public_klines.premium_klines, klines_weight),
                _get(V1 + "premiumIndex", public.premium_index, per_symbol(1, 10)),
                _get(V1 + "fundingRate", public.funding_rate),
                _get(V1 + "fundingInfo", public.funding_info),
                _get(V1 + "ticker/24hr", public.ticker_day, per_symbol(1, 40)),
                _get(V1 + "ticker/price", public.ticker_price, per_symbol(1, 2)),
                _get(V2 + "ticker/price", public.ticker_price, per_symbol(1, 2)),
                _get(V1 + "ticker/bookTicker", public.book_ticker, per_symbol(2, 5)),
                _get(V1 + "openInterest", futures_data.open_interest),
                _get(V1 + "indexInfo", futures_data.index_info),
                _get(V1 + "assetIndex", futures_data.asset_index, per_symbol(1, 10)),
                _get(V1 + "constituents", futures_data.constituents, 2),
                _get(V1 + "insuranceBalance", futures_data.insurance_balance),
                _get(V1 + "symbolAdlRisk", futures_data.adl_risk),
                _get(V1 + "tradingSchedule", lambda ex, _p: schedule(ex.clock()), 5),
                _get(DATA + "openInterestHist", futures_data.interest_history, 0),
                _get(DATA + "topLongShortPositionRatio", ratio("positions"), 0),
                _get(DATA + "topLongShortAccountRatio", ratio("top"), 0),
                _get(DATA + "globalLongShortAccountRatio", ratio("all"), 0),
                _get(DATA + "takerlongshortRatio", futures_data.taker_ratio, 0),
                _get(DATA + "basis", futures_data.basis, 0),
                _get(DATA + "delivery-price", futures_data.delivery_prices, 0),
            )
        ),
        ("GET", WALLET + "capital/config/getall"): Route(lambda _ex, _acc, _p: [], 10),
        ("GET", WALLET + "margin/allPairs"): Route(lambda _ex, _acc, _p: [], 1, KEY),  # no pair is lent against here
        ("GET", V1 + "apiTradingStatus"): Route(futures_data.trading_status, per_symbol(1, 10)),
    }


PUBLIC_METHODS = {
    "ping": Route(lambda _ex, _p: {}, 1, NONE),
    "time": Route(lambda ex, _p: {"serverTime": ex.clock()}, 1, NONE),
    "depth": Route(public.depth, depth_weight, NONE),
    "ticker.price": Route(public.ticker_price, per_symbol(1, 2), NONE),
    "ticker.book": Route(public.book_ticker, per_symbol(2, 5), NONE),
}
