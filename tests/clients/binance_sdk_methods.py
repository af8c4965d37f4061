"""Every remaining method of the official SDK: the venue must answer, and the SDK's typed model must take the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from lifecycle import SYMBOL, Steps

ONE, PAIR = {"symbol": SYMBOL}, {"pair": SYMBOL}
SPAN, CANDLES = {**ONE, "period": "5m"}, {"interval": "1h", "limit": 5}
PERPETUAL = {**PAIR, "contract_type": "PERPETUAL"}
BARE = [
    "test_connectivity",
    "check_server_time",
    "futures_account_balance_v2",
    "futures_account_configuration",
    "get_bnb_burn_status",
    "futures_trading_quantitative_rules_indicators",
    "get_current_multi_assets_mode",
    "notional_and_leverage_brackets",
    "adl_risk",
    "query_user_rate_limit",
    "symbol_configuration",
    "asset_index",
    "composite_index_symbol_information",
    "get_funding_rate_history",
    "get_funding_rate_info",
    "mark_price",
    "query_insurance_fund_balance_snapshot",
    "symbol_order_book_ticker",
    "symbol_price_ticker",
    "all_orders",
    "symbol_price_ticker_v2",
    "ticker24hr_price_change_statistics",
    "trading_schedule",
    "users_force_orders",
    "current_all_open_orders",
    "current_all_algo_open_orders",
    "position_adl_quantile_estimation",
    "keepalive_user_data_stream",
]
WITH_SYMBOL = [
    "notional_and_leverage_brackets",
    "user_commission_rate",
    "old_trades_lookup",
    "open_interest",
    "adl_risk",
    "rpi_order_book",
    "all_orders",
    "query_index_price_constituents",
    "symbol_price_ticker",
    "symbol_price_ticker_v2",
    "query_all_algo_orders",
    "users_force_orders",
    "cancel_all_algo_open_orders",
    "get_order_modify_history",
    "position_adl_quantile_estimation",
    "get_funding_rate_history",
]
STATISTICS = [
    "long_short_ratio",
    "open_interest_statistics",
    "taker_buy_sell_volume",
    "top_trader_long_short_ratio_accounts",
    "top_trader_long_short_ratio_positions",
]
OTHERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("basis", {**PERPETUAL, "period": "5m", "limit": 5}),
    ("quarterly_contract_settlement_price", PAIR),
    ("continuous_contract_kline_candlestick_data", {**PERPETUAL, **CANDLES}),
    ("index_price_kline_candlestick_data", {**PAIR, **CANDLES}),
    ("mark_price_kline_candlestick_data", {**ONE, **CANDLES}),
    ("premium_index_kline_data", {**ONE, **CANDLES}),
    ("toggle_bnb_burn_on_futures_trade", {"fee_burn": "true"}),
    ("toggle_bnb_burn_on_futures_trade", {"fee_burn": "false"}),
    ("change_multi_assets_mode", {"multi_assets_margin": "true"}),
    ("change_multi_assets_mode", {"multi_assets_margin": "false"}),
)
BY_WEBSOCKET = [
    "account_information",
    "account_information_v2",
    "futures_account_balance",
    "futures_account_balance_v2",
    "position_information",
    "position_information_v2",
    "start_user_data_stream",
    "keepalive_user_data_stream",
]
BY_WEBSOCKET_WITH_SYMBOL = ("order_book", "symbol_order_book_ticker", "symbol_price_ticker")


def rest_calls(price: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """REST methods and their parameters; `price` is one a resting order may have."""
    order = {"side": "BUY", "type": "LIMIT", "time_in_force": "GTC", "quantity": 0.01, "price": price}
    yield from ((name, {}) for name in BARE)
    yield from ((name, ONE) for name in WITH_SYMBOL)
    yield from ((name, SPAN) for name in STATISTICS)
    yield from OTHERS
    yield "test_order", {**ONE, **order}


async def every_method(c: Any, steps: Steps, rest: Callable[..., Any], ask: Callable[..., Any]) -> None:
    """
    A step for each method.

    Args:
        c: the SDK's client, its WebSocket API connected.
        rest, ask: call a REST or WebSocket API method and return its typed answer.
    """
    mark = float((await rest(c.rest_api.mark_price, symbol=SYMBOL)).mark_price)
    calls = [("", rest, getattr(c.rest_api, name), params) for name, params in rest_calls(round(mark * 0.98, 1))]
    calls += [("ws ", ask, getattr(c.websocket_api, name), {}) for name in BY_WEBSOCKET]
    calls += [("ws ", ask, getattr(c.websocket_api, name), ONE) for name in BY_WEBSOCKET_WITH_SYMBOL]
    for door, do, call, params in calls:
        label = " ".join([f"method {door}{call.__name__}", *(str(v) for v in params.values())])
        async with steps(label, "an answer the SDK's model takes", 12) as came:
            found = await do(call, **params)
            came(str(found)[:80], not (isinstance(found, dict) and "code" in found and "msg" in found))
