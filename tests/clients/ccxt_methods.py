"""Every remaining unified method of ccxt that makes sense here: the venue must answer, and ccxt must be able to read
the answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lifecycle import Steps

SYMBOL = "BTC/USDT:USDT"
WITH_SYMBOL = [
    "fetch_funding_rate_history",
    "fetch_open_interest",
    "fetch_open_interest_history",
    "fetch_mark_price",
    "fetch_index_ohlcv",
    "fetch_premium_index_ohlcv",
    "fetch_long_short_ratio_history",
    "fetch_funding_interval",
    "fetch_leverage",
    "fetch_adl_rank",
    "fetch_market_leverage_tiers",
    "fetch_trading_fee",
    "fetch_orders",
    "fetch_closed_orders",
    "fetch_canceled_orders",
    "fetch_canceled_and_closed_orders",
    "fetch_my_trades",
    "fetch_my_liquidations",
    "fetch_margin_adjustment_history",
    "fetch_funding_history",
    "fetch_order_book_ws",
    "fetch_ticker_ws",
]
BARE = [
    "fetch_funding_rates",
    "fetch_funding_intervals",
    "fetch_last_prices",
    "fetch_mark_prices",
    "fetch_leverages",
    "fetch_leverage_tiers",
    "fetch_margin_modes",
    "fetch_account_positions",
    "fetch_positions_risk",
    "fetch_positions_adl_rank",
    "fetch_trading_fees",
    "fetch_open_orders",
    "fetch_balance_ws",
    "fetch_positions_ws",
]


def calls(now_ms: int) -> Iterator[tuple[str, tuple[Any, ...], dict[str, Any]]]:
    """Methods, their arguments and their keywords."""
    yield from ((name, (SYMBOL,), {}) for name in WITH_SYMBOL)
    yield from ((name, (), {}) for name in BARE)
    yield "fetch_balance", (), {"params": {"useV2": True}}
    yield "fetch_positions", (), {"params": {"useV2": True}}
    yield "fetch_trades", (SYMBOL,), {"since": now_ms - 60_000}
    yield "fetch_trades", (SYMBOL,), {"params": {"fetchTradesMethod": "fapiPublicGetHistoricalTrades"}}
    yield "fetch_orders", (SYMBOL,), {"params": {"trigger": True}}
    yield "fetch_ohlcv", (SYMBOL, "1h"), {"since": now_ms - 86_400_000}


async def every_method(ex: Any, steps: Steps) -> None:
    """A step for each method."""
    for name, args, kwargs in calls(ex.milliseconds()):
        label = f"method {name}" + (f" {kwargs.get('params') or 'since'}" if kwargs else "")
        async with steps(label, "an answer ccxt can read", 12) as came:
            found = await getattr(ex, name)(*args, **kwargs)
            came(str(found)[:80], found is not None)
