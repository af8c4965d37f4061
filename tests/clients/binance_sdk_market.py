"""The official SDK pointed at the venue, and the market half of its life cycle: markets, prices, book, streams."""

from __future__ import annotations

import asyncio
from typing import Any

from binance_sdk_derivatives_trading_usds_futures.derivatives_trading_usds_futures import (
    ConfigurationRestAPI,
    ConfigurationWebSocketAPI,
    ConfigurationWebSocketStreams,
    DerivativesTradingUsdsFutures,
)
from lifecycle import SYMBOL, Steps, http_base, same_book, setting, until, ws_base


def client(**key: str) -> DerivativesTradingUsdsFutures:
    """A client of the venue; `private_key` instead of `api_secret` makes it sign with Ed25519."""
    key = (
        {"api_key": setting("KEY"), "api_secret": setting("SECRET")} if not key else {"api_key": setting("KEY"), **key}
    )
    return DerivativesTradingUsdsFutures(
        ConfigurationRestAPI(base_path=http_base(), timeout=10_000, retries=0, **key),
        ConfigurationWebSocketAPI(stream_url=ws_base() + "/ws-fapi/v1", **key),
        ConfigurationWebSocketStreams(stream_url=ws_base()),
    )


async def rest(call: Any, **params: Any) -> Any:
    """A blocking REST call in a thread; its typed answer, out of its one-of wrapper."""
    found = (await asyncio.to_thread(lambda: call(**params))).data()
    return getattr(found, "actual_instance", found)


async def ask(call: Any, **params: Any) -> Any:
    """A WebSocket API call; the typed `result`, or the error object."""
    found = (await call(**params)).data()
    found = getattr(found, "actual_instance", found)
    return found["error"] if isinstance(found, dict) else found.result


async def first(handle: Any, deadline_s: float = 15.0) -> Any:
    """The first frame of a stream."""
    rows: list[Any] = []
    handle.on("message", rows.append)
    await until(lambda: rows, deadline_s)
    return rows[0]


async def public(c: Any, steps: Steps) -> None:
    """Markets, prices, book, trades, candles."""
    r, s = c.rest_api, c.websocket_streams
    async with steps("markets", "BTCUSDT is a perpetual with tick 0.10 and lot 0.001") as came:
        rows = {x.symbol: x for x in (await rest(r.exchange_information)).symbols}
        f = {x.filter_type: x for x in rows[SYMBOL].filters}
        came(rows[SYMBOL].contract_type, rows[SYMBOL].contract_type == "PERPETUAL" and len(rows) > 3)
        came(f["PRICE_FILTER"].tick_size, f["PRICE_FILTER"].tick_size == "0.10" and f["LOT_SIZE"].step_size == "0.001")
    async with steps("ticker", "last, bid and ask are there and ordered") as came:
        t = await rest(r.ticker24hr_price_change_statistics, symbol=SYMBOL)
        b = await rest(r.symbol_order_book_ticker, symbol=SYMBOL)
        came(t.last_price, float(t.last_price) > 0 and float(b.bid_price) < float(b.ask_price))
    async with steps("trades by REST", "trades and aggregate trades with ids") as came:
        rows = await rest(r.recent_trades_list, symbol=SYMBOL)
        aggs = await rest(r.compressed_aggregate_trades_list, symbol=SYMBOL)
        came(len(rows), len(rows) > 0 and rows[-1].id >= rows[0].id and aggs[-1].l >= aggs[-1].f)
    async with steps("klines by REST", "candles of twelve fields") as came:
        rows = await rest(r.kline_candlestick_data, symbol=SYMBOL, interval="1m", limit=5)
        came(rows[-1], len(rows) > 1 and all(len(x) == 12 for x in rows))
    async with steps("mark price by REST", "mark and index price") as came:
        m = await rest(r.mark_price, symbol=SYMBOL)
        came(m.mark_price, float(m.mark_price) > 0 and float(m.index_price) > 0)
    await s.create_connection()
    async with steps(
        "book sync", "a book kept by the documented procedure equals the venue's, 20 levels a side", 45
    ) as came:
        diff = await same_book(await local_book(c), 20)
        came(diff or "equal", not diff)
    low, pair = {"symbol": SYMBOL.lower()}, {"pair": SYMBOL.lower(), "contract_type": "perpetual", "interval": "1m"}
    for name, call, params in (
        ("trades", s.aggregate_trade_streams, low),
        ("klines", s.kline_candlestick_streams, {**low, "interval": "1m"}),
        ("mark price", s.mark_price_stream, {**low, "update_speed": "1s"}),
        ("ticker stream", s.individual_symbol_ticker_streams, low),
        ("mini ticker stream", s.individual_symbol_mini_ticker_stream, low),
        ("best bid and ask stream", s.individual_symbol_book_ticker_streams, low),
        ("partial depth stream", s.partial_book_depth_streams, {**low, "levels": "5", "update_speed": "100ms"}),
        ("continuous klines", s.continuous_contract_kline_candlestick_streams, pair),
        ("all best bids and asks stream", s.all_book_tickers_stream, {}),
        ("all tickers stream", s.all_market_tickers_streams, {}),
        ("all mini tickers stream", s.all_market_mini_tickers_stream, {}),
        ("all mark prices stream", s.mark_price_stream_for_all_market, {"update_speed": "1s"}),
        ("asset index stream", s.asset_index, {}),
        ("rpi depth stream", s.rpi_diff_book_depth_streams, low),
    ):
        async with steps(name, "a first frame the SDK's model takes") as came:
            handle = await call(**params)
            came(str(await first(handle))[:80], True)
            await handle.unsubscribe()
    for name, call in (
        ("liquidations stream", lambda: s.liquidation_order_streams(**low)),
        ("all liquidations stream", s.all_market_liquidation_order_streams),
        ("contract info stream", s.contract_info_stream),
        ("trading session stream", s.trading_session_stream),
    ):
        async with steps(name, "subscribed and listed (it speaks only when something happens)") as came:
            await call()
            came("listed", bool(await s.list_subscribe()))


async def local_book(c: Any) -> Any:
    """Start a local book on the diff stream; returns its picture function."""
    handle = await c.websocket_streams.diff_book_depth_streams(symbol=SYMBOL.lower(), update_speed="100ms")
    waiting: list[Any] = []
    handle.on("message", waiting.append)
    await until(lambda: waiting)
    sides: dict[str, dict[float, float]] = {}
    state = {"u": 0, "joined": 0}

    async def snapshot() -> None:
        d = await rest(c.rest_api.order_book, symbol=SYMBOL, limit=1000)
        sides["b"], sides["a"] = ({float(p): float(q) for p, q in rows} for rows in (d.bids, d.asks))
        state.update(u=d.last_update_id, joined=0)

    await snapshot()

    def picture() -> tuple[int, list[Any], list[Any]]:
        while waiting:
            e = waiting.pop(0)
            if e.u < state["u"]:
                continue
            assert e.pu == state["u"] or (not state["joined"] and e.U <= state["u"] <= e.u), (e.U, e.u, e.pu, state)
            for side, rows in (("b", e.b), ("a", e.a)):
                for p, q in rows:
                    sides[side][float(p)] = float(q)
                    if not float(q):
                        del sides[side][float(p)]
            state.update(u=e.u, joined=1)
        return state["u"], sorted(sides["b"].items(), reverse=True), sorted(sides["a"].items())

    return picture
