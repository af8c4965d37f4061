"""Every remaining futures method of python-binance: the venue must answer it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from binance import AsyncClient
from lifecycle import SYMBOL, Steps

ONE = {"symbol": SYMBOL}
WITH_SYMBOL = [
    "futures_rpi_depth",
    "futures_historical_trades",
    "futures_commission_rate",
    "futures_adl_quantile_estimate",
    "futures_open_interest",
    "futures_leverage_bracket",
    "futures_get_all_orders",
    "futures_symbol_adl_risk",
    "futures_index_price_constituents",
    "futures_get_all_algo_orders",
    "futures_cancel_all_algo_open_orders",
    "futures_v1_get_order_amendment",
    "ws_futures_get_order_book",
    "ws_futures_get_order_book_ticker",
]
STATISTICS = [
    "futures_top_longshort_account_ratio",
    "futures_top_longshort_position_ratio",
    "futures_global_longshort_ratio",
    "futures_taker_longshort_ratio",
    "futures_open_interest_hist",
]
BARE = [
    "futures_orderbook_ticker",
    "futures_mark_price",
    "futures_api_trading_status",
    "futures_account_config",
    "futures_symbol_config",
    "futures_get_multi_assets_mode",
    "futures_v1_get_fee_burn",
    "futures_account_balance",
    "futures_v1_get_funding_info",
    "futures_v1_get_rate_limit_order",
    "futures_v1_get_asset_index",
    "futures_index_info",
    "futures_leverage_bracket",
    "futures_liquidation_orders",
    "ws_futures_get_all_tickers",
    "ws_futures_account_position",
    "ws_futures_v2_account_position",
    "ws_futures_account_balance",
    "ws_futures_v2_account_balance",
    "ws_futures_account_status",
    "ws_futures_v2_account_status",
]
OTHERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("futures_change_multi_assets_mode", {"multiAssetsMargin": True}),
    ("futures_change_multi_assets_mode", {"multiAssetsMargin": False}),
    ("futures_v1_post_fee_burn", {"feeBurn": "true"}),
    ("futures_v1_post_fee_burn", {"feeBurn": "false"}),
    ("futures_mark_price_klines", {**ONE, "interval": "1h", "startTime": 1}),
    ("futures_continuous_klines", {"pair": SYMBOL, "contractType": "CURRENT_QUARTER", "interval": "1h"}),
)


def calls(price: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """Methods and their parameters; `price` is one a resting order may have."""
    order = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01", "price": f"{price:.1f}"}
    yield from ((name, ONE) for name in WITH_SYMBOL)
    yield from ((name, {**ONE, "period": "5m"}) for name in STATISTICS)
    yield from ((name, {}) for name in BARE)
    yield from OTHERS
    yield "futures_create_test_order", {**ONE, **order}


async def every_method(c: AsyncClient, steps: Steps) -> None:
    """A step for each method."""
    mark = float((await c.futures_mark_price(symbol=SYMBOL))["markPrice"])
    for name, params in calls(mark * 0.98):
        async with steps(" ".join([f"method {name}", *map(str, params.values())]), "an answer", 12) as came:
            found = await getattr(c, name)(**params)
            came(str(found)[:80], found is not None)
