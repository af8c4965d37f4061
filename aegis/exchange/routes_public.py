"""Public routes: market data by REST and by the WebSocket API, with their weights."""

from __future__ import annotations

from aegis.exchange import public
from aegis.exchange.params import WHOLE, Params
from aegis.exchange.route import KEY, NONE, Route, Weight, per_symbol


def asked(p: Params) -> int:
    """The limit a request is weighed by: what it names, or 500 when that is no number (its handler refuses it)."""
    limit = p.get("limit", "")
    return int(limit) if WHOLE.fullmatch(limit) else 500


def depth_weight(p: Params) -> int:
    """Weight of a depth request by its limit."""
    count = asked(p)
    return 2 if count <= 50 else 5 if count <= 100 else 10 if count <= 500 else 20


def klines_weight(p: Params) -> int:
    """Weight of a klines request by its limit."""
    count = asked(p)
    return 1 if count < 100 else 2 if count < 500 else 5 if count <= 1000 else 10


def public_routes() -> dict[tuple[str, str], Route]:
    """By (method, path)."""
    v1, v2 = "/fapi/v1/", "/fapi/v2/"

    def pub(run: object, weight: Weight = 1) -> Route:
        return Route(run, weight, NONE)  # type: ignore[arg-type]

    return {
        ("GET", v1 + "ping"): pub(lambda _ex, _p: {}),
        ("GET", v1 + "time"): pub(lambda ex, _p: {"serverTime": ex.clock()}),
        ("GET", v1 + "exchangeInfo"): pub(public.exchange_info),
        ("GET", v1 + "depth"): pub(public.depth, depth_weight),
        ("GET", v1 + "trades"): pub(public.trades, 5),
        ("GET", v1 + "historicalTrades"): Route(lambda ex, _acc, p: public.trades(ex, p), 200, KEY),
        ("GET", v1 + "aggTrades"): pub(public.agg_trades, 20),
        ("GET", v1 + "klines"): pub(public.klines, klines_weight),
        ("GET", v1 + "premiumIndex"): pub(public.premium_index, per_symbol(1, 10)),
        ("GET", v1 + "fundingRate"): pub(public.funding_rate),
        ("GET", v1 + "fundingInfo"): pub(public.funding_info),
        ("GET", v1 + "ticker/bookTicker"): pub(public.book_ticker, per_symbol(2, 5)),
        ("GET", v1 + "ticker/price"): pub(public.ticker_price, per_symbol(1, 2)),
        ("GET", v2 + "ticker/price"): pub(public.ticker_price, per_symbol(1, 2)),
        ("GET", v1 + "ticker/24hr"): pub(public.ticker_day, per_symbol(1, 40)),
    }


PUBLIC_METHODS = {
    "ping": Route(lambda _ex, _p: {}, 1, NONE),
    "time": Route(lambda ex, _p: {"serverTime": ex.clock()}, 1, NONE),
    "depth": Route(public.depth, depth_weight, NONE),
    "ticker.price": Route(public.ticker_price, per_symbol(1, 2), NONE),
    "ticker.book": Route(public.book_ticker, per_symbol(2, 5), NONE),
}
