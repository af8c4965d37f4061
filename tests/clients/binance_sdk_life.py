"""A life cycle through the official SDK (`binance-sdk-derivatives-trading-usds-futures`): its REST client, its
WebSocket API client and its streams, addressed by the documented `base_path` and `stream_url`.

Every answer is read through the SDK's own typed models (`.data()`), so a wrong type fails the step.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from binance_common.errors import Error
from binance_sdk_derivatives_trading_usds_futures.derivatives_trading_usds_futures import (
    ConfigurationRestAPI,
    ConfigurationWebSocketAPI,
    ConfigurationWebSocketStreams,
    DerivativesTradingUsdsFutures,
)
from lifecycle import SYMBOL, Steps, http_base, main, same_book, setting, until, ws_base


def client(**key: str) -> DerivativesTradingUsdsFutures:
    """A client of the venue; `private_key` instead of `api_secret` makes it sign with Ed25519."""
    key = {"api_key": setting("KEY"), "api_secret": setting("SECRET")} if not key else {"api_key": setting("KEY"), **key}
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


class User:
    """User events by the kind of their object."""

    def __init__(self) -> None:
        self.rows: list[Any] = []

    def keep(self, event: Any) -> None:
        """Called by the SDK with each event."""
        self.rows.append(getattr(event, "actual_instance", event))

    async def order(self, ident: int, **wanted: object) -> Any:
        """The first ORDER_TRADE_UPDATE of this order with these fields."""
        return await self.find("OrderTradeUpdate", i=ident, **wanted)

    async def find(self, kind: str, **wanted: object) -> Any:
        """The first event of a model name whose `o` (or itself) has these fields."""

        def search() -> object:
            for r in self.rows:
                o = getattr(r, "o", None) or getattr(r, "a", None) or r
                if type(r).__name__ == kind and all(getattr(o, k, None) == v for k, v in wanted.items()):
                    return o
            return None

        return await until(search)


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
    async with steps("book sync", "a book kept by the documented procedure equals the venue's, 20 levels a side", 45) as came:
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


async def orders(c: Any, user: User, steps: Steps) -> None:
    """Place, watch, amend and cancel over both doors."""
    r, w = c.rest_api, c.websocket_api
    bid = float((await rest(r.order_book, symbol=SYMBOL, limit=5)).bids[0][0])
    px = [round(bid * f, 1) for f in (0.97, 0.98)]
    doors = (
        ("REST", rest, r.new_order, r.query_order, r.modify_order, r.cancel_order),
        ("WebSocket API", ask, w.new_order, w.query_order, w.modify_order, w.cancel_order),
    )
    for door, do, create, get, edit, cancel in doors:
        ident = 0
        async with steps(f"place by {door}", "status NEW, and the stream says so") as came:
            o = await do(
                create, symbol=SYMBOL, side="BUY", type="LIMIT", time_in_force="GTC", quantity=0.01, price=px[0]
            )
            ident = o.order_id
            came(o.status, o.status == "NEW" and float(o.price) == px[0])
            came((await user.order(ident, x="NEW")).X, True)
        async with steps(f"query by {door}", "the order by its id, listed among the open ones") as came:
            o = await do(get, symbol=SYMBOL, order_id=ident)
            came(o.status, o.status == "NEW" and o.orig_qty == "0.010" and float(o.avg_price) == 0)
            rows = await rest(r.current_all_open_orders, symbol=SYMBOL)
            came([x.order_id for x in rows], ident in [x.order_id for x in rows])
        async with steps(f"amend by {door}", "price and size changed under one id, and the stream says so") as came:
            o = await do(edit, symbol=SYMBOL, side="BUY", order_id=ident, quantity=0.012, price=px[1])
            came((o.price, o.orig_qty), float(o.price) == px[1] and float(o.orig_qty) == 0.012)
            came((await user.order(ident, x="AMENDMENT")).q, True)
        async with steps(f"cancel by {door}", "status CANCELED, and the stream says so") as came:
            o = await do(cancel, symbol=SYMBOL, order_id=ident)
            came(o.status, o.status == "CANCELED")
            came((await user.order(ident, x="CANCELED")).X, True)


async def position(c: Any, user: User, steps: Steps) -> None:
    """Market fill, position, reduce-only close, profit and loss."""
    r = c.rest_api

    async def wallet() -> float:
        return next(float(x.balance) for x in await rest(r.futures_account_balance_v3) if x.asset == "USDT")

    before, ids = await wallet(), []
    async with steps("market fill", "filled in full, with a trade and its fee; TRADE_LITE before") as came:
        o = await rest(r.new_order, symbol=SYMBOL, side="BUY", type="MARKET", quantity=0.02)
        seen = await user.order(o.order_id, X="FILLED")
        came(seen.n, float(seen.z) == 0.02 and float(seen.n) > 0 and seen.m is False)
        await user.find("TradeLite", i=o.order_id)
        ids.append(o.order_id)
    async with steps("position appears", "long 0.02 by stream and by REST v2, v3 and account") as came:
        a = await user.find("AccountUpdate", m="ORDER")
        came(a.P, float(a.P[0].pa) == 0.02)
        p = (await rest(r.position_information_v3, symbol=SYMBOL))[0]
        came(p.position_amt, float(p.position_amt) == 0.02 and float(p.entry_price) > 0)
        p = next(p for p in await rest(r.position_information_v2) if float(p.position_amt))
        came(p.margin_type, p.margin_type == "cross" and int(p.leverage) > 0)
        p = next(p for p in (await rest(r.account_information_v2)).positions if float(p.position_amt))
        came(p.initial_margin, float(p.initial_margin) > 0)
        p = (await rest(r.account_information_v3)).positions[0]
        came(p.notional, float(p.notional) > 0)
    async with steps("reduce-only close", "flat, and a second reduce-only order is refused") as came:
        close = {"symbol": SYMBOL, "side": "SELL", "type": "MARKET", "quantity": 0.02, "reduce_only": "true"}
        o = await rest(r.new_order, **close)
        came((await user.order(o.order_id, X="FILLED")).R, True)
        left = [p for p in await rest(r.position_information_v3, symbol=SYMBOL) if float(p.position_amt)]
        came(left, not left)
        ids.append(o.order_id)
        try:
            came(await rest(r.new_order, **close), False)
        except Error as e:
            came(vars(e), vars(e).get("status_code") == -2022)
    async with steps("profit and loss", "wallet change = realised profit - commission, by trades and by income") as came:
        rows = [t for t in await rest(r.account_trade_list, symbol=SYMBOL) if t.order_id in ids]
        pnl = sum(float(t.realized_pnl) - float(t.commission) for t in rows)
        change = await wallet() - before
        came((change, pnl), abs(change - pnl) < 1e-7)
        rows = await rest(r.get_income_history, limit=100)
        total = sum(float(x.income) for x in rows if x.income_type in ("REALIZED_PNL", "COMMISSION"))
        came((total, pnl), abs(total - pnl) < 1e-7)


async def conditional(c: Any, user: User, steps: Steps) -> None:
    """Conditional orders, which live in the algo service."""
    r, w = c.rest_api, c.websocket_api
    bid = float((await rest(r.order_book, symbol=SYMBOL, limit=5)).bids[0][0])
    for door, do, create, cancel in (
        ("REST", rest, r.new_algo_order, r.cancel_algo_order),
        ("WebSocket API", ask, w.new_algo_order, w.cancel_algo_order),
    ):
        async with steps(f"conditional order by {door}", "placed, listed, seen on the stream, cancelled") as came:
            o = await do(
                create, algo_type="CONDITIONAL", symbol=SYMBOL, side="SELL", type="STOP_MARKET", quantity=0.01,
                trigger_price=round(bid * 0.9, 1), working_type="MARK_PRICE",
            )
            came(o, o.algo_status == "NEW")
            await user.find("AlgoUpdate", aid=o.algo_id, X="NEW")
            rows = await rest(r.current_all_algo_open_orders, symbol=SYMBOL)
            came([x.algo_id for x in rows], o.algo_id in [x.algo_id for x in rows])
            one = await rest(r.query_algo_order, algo_id=o.algo_id)
            came(one.algo_status, one.algo_status == "NEW" and one.order_type == "STOP_MARKET")
            x = await do(cancel, algo_id=o.algo_id)
            came(x, x.algo_id == o.algo_id)
            await user.find("AlgoUpdate", aid=o.algo_id, X="CANCELED")
            rows = await rest(r.current_all_algo_open_orders, symbol=SYMBOL)
            came("listed", o.algo_id not in [x.algo_id for x in rows])


async def errors(c: Any, steps: Steps) -> None:
    """What the venue refuses arrives as the right error with its code, over both doors."""
    r, w = c.rest_api, c.websocket_api
    d = await rest(r.order_book, symbol=SYMBOL, limit=5)
    bid, ask_px = float(d.bids[0][0]), float(d.asks[0][0])
    bad = client(api_secret="not-the-secret")
    order = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "time_in_force": "GTC", "quantity": 0.01}
    cases: tuple[tuple[str, int, Any, Any, dict[str, Any]], ...] = (
        ("bad signature", -1022, bad.rest_api.account_information_v3, None, {}),
        ("bad tick", -4014, r.new_order, w.new_order, {**order, "price": round(bid * 0.98, 1) + 0.05}),
        ("insufficient margin", -2019, r.new_order, w.new_order, {**order, "quantity": 20.0, "price": round(bid * 0.99, 1)}),
        ("post-only cross", -5022, r.new_order, w.new_order, {**order, "time_in_force": "GTX", "price": round(ask_px * 1.001, 1)}),
        ("unknown order", -2011, r.cancel_order, w.cancel_order, {"symbol": SYMBOL, "order_id": 123456789}),
        ("unknown symbol", -1121, r.mark_price, None, {"symbol": "NOSUCH"}),
    )
    for name, code, call, twin, params in cases:
        async with steps(name, f"{code} by REST{' and by WebSocket API' if twin else ''}") as came:
            try:
                came(f"accepted: {await rest(call, **params)}", False)
            except Error as e:
                came(vars(e), vars(e).get("status_code") == code)
            if twin:
                found = await ask(twin, **params)
                came(found, isinstance(found, dict) and found.get("code") == code)


async def settings(c: Any, steps: Steps) -> None:
    """Leverage, margin type, position mode, batches and the dead-man switch."""
    r = c.rest_api
    async with steps("leverage and margin type", "set, read back, isolated margin added and listed") as came:
        lev = await rest(r.change_initial_leverage, symbol=SYMBOL, leverage=10)
        came(lev, lev.leverage == 10)
        await rest(r.change_margin_type, symbol=SYMBOL, margin_type="ISOLATED")
        row = (await rest(r.symbol_configuration, symbol=SYMBOL))[0]
        came(row, row.margin_type == "ISOLATED" and row.leverage == 10)
        await rest(r.new_order, symbol=SYMBOL, side="BUY", type="MARKET", quantity=0.01)
        a = await rest(r.modify_isolated_position_margin, symbol=SYMBOL, amount=10.0, type=1)
        came(a, float(a.amount) == 10)
        rows = await rest(r.get_position_margin_change_history, symbol=SYMBOL)
        came(rows, any(float(x.amount) == 10 for x in rows))
        await rest(r.new_order, symbol=SYMBOL, side="SELL", type="MARKET", quantity=0.01, reduce_only="true")
        await rest(r.change_margin_type, symbol=SYMBOL, margin_type="CROSSED")
    async with steps("hedge mode", "long and short held at once, closed one by one") as came:
        await rest(r.change_position_mode, dual_side_position="true")
        came("mode", (await rest(r.get_current_position_mode)).dual_side_position is True)
        for side, which, qty in (("BUY", "LONG", 0.01), ("SELL", "SHORT", 0.02)):
            await rest(r.new_order, symbol=SYMBOL, side=side, type="MARKET", quantity=qty, position_side=which)
        rows = {p.position_side: float(p.position_amt) for p in await rest(r.position_information_v3, symbol=SYMBOL)}
        came(rows, rows.get("LONG") == 0.01 and rows.get("SHORT") == -0.02)
        for side, which, qty in (("SELL", "LONG", 0.01), ("BUY", "SHORT", 0.02)):
            await rest(r.new_order, symbol=SYMBOL, side=side, type="MARKET", quantity=qty, position_side=which)
        await rest(r.change_position_mode, dual_side_position="false")
        came("mode", (await rest(r.get_current_position_mode)).dual_side_position is False)
    async with steps("batch", "two orders placed, amended and cancelled in one call each; then cancel all") as came:
        bid = float((await rest(r.order_book, symbol=SYMBOL, limit=5)).bids[0][0])
        row = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01"}
        rows = [{**row, "price": f"{bid * f:.1f}"} for f in (0.97, 0.98)]
        made = await rest(r.place_multiple_orders, batch_orders=rows)
        came(made, [o.status for o in made] == ["NEW", "NEW"])
        edits = [
            {"symbol": SYMBOL, "side": "BUY", "orderId": o.order_id, "quantity": "0.011", "price": f"{bid * 0.96:.1f}"}
            for o in made
        ]
        made = await rest(r.modify_multiple_orders, batch_orders=edits)
        came(made, [o.orig_qty for o in made] == ["0.011", "0.011"])
        gone = await rest(r.cancel_multiple_orders, symbol=SYMBOL, order_id_list=[o.order_id for o in made])
        came(gone, [o.status for o in gone] == ["CANCELED", "CANCELED"])
        await rest(r.place_multiple_orders, batch_orders=rows)
        x = await rest(r.cancel_all_open_orders, symbol=SYMBOL)
        came(x, x.code in (200, "200") and not await rest(r.current_all_open_orders, symbol=SYMBOL))
    async with steps("countdown", "armed, and disarmed") as came:
        await rest(r.auto_cancel_all_open_orders, symbol=SYMBOL, countdown_time=60_000)
        x = await rest(r.auto_cancel_all_open_orders, symbol=SYMBOL, countdown_time=0)
        came(x, x.symbol == SYMBOL)


async def ed25519(steps: Steps) -> None:
    """The same account by an Ed25519 key: signed REST calls and a logged-on session."""
    c = client(api_key=setting("KEY_ED"), private_key=Path(setting("PEM")).read_text())
    async with steps("Ed25519 by REST", "a signed call accepted") as came:
        came(len(await rest(c.rest_api.futures_account_balance_v3)), True)
    async with steps("Ed25519 session", "logged on, an order without signature, logged out") as came:
        w = c.websocket_api
        await w.create_connection()
        await w.send_signed_message({"method": "session.logon", "params": {}}, signer=w.signer, session_logon=True)
        st = (await w.send_message({"method": "session.status", "params": {}})).data()
        came(st, st["result"]["apiKey"] == setting("KEY_ED"))
        bid = float((await rest(c.rest_api.order_book, symbol=SYMBOL, limit=5)).bids[0][0])
        o = await ask(
            w.new_order, symbol=SYMBOL, side="BUY", type="LIMIT", time_in_force="GTC", quantity=0.01, price=round(bid * 0.97, 1)
        )
        came(o, o.status == "NEW")
        o = await ask(w.cancel_order, symbol=SYMBOL, order_id=o.order_id)
        came(o, o.status == "CANCELED")
        await w.send_signed_message({"method": "session.logout", "params": {}}, signer=w.signer, session_logout=True)
        st = (await w.send_message({"method": "session.status", "params": {}})).data()
        came(st, st["result"]["apiKey"] is None)
        await w.close_connection()


async def breadth(c: Any, steps: Steps) -> None:
    """Every other method: it must answer, and the SDK's model must take the answer."""
    r, w = c.rest_api, c.websocket_api
    one, span, candles = {"symbol": SYMBOL}, {"symbol": SYMBOL, "period": "5m"}, {"interval": "1h", "limit": 5}
    pair = {"pair": SYMBOL}
    mark = float((await rest(r.mark_price, symbol=SYMBOL)).mark_price)
    order = {**one, "side": "BUY", "type": "LIMIT", "time_in_force": "GTC", "quantity": 0.01, "price": round(mark * 0.98, 1)}
    calls: list[tuple[Any, Any, dict[str, Any]]] = [
        *((rest, m, {}) for m in (
            r.test_connectivity, r.check_server_time, r.futures_account_balance_v2, r.futures_account_configuration,
            r.futures_trading_quantitative_rules_indicators, r.get_bnb_burn_status, r.get_current_multi_assets_mode,
            r.notional_and_leverage_brackets, r.query_user_rate_limit, r.symbol_configuration, r.adl_risk, r.asset_index,
            r.composite_index_symbol_information, r.get_funding_rate_history, r.get_funding_rate_info, r.mark_price,
            r.query_insurance_fund_balance_snapshot, r.symbol_order_book_ticker, r.symbol_price_ticker, r.all_orders,
            r.symbol_price_ticker_v2, r.ticker24hr_price_change_statistics, r.trading_schedule, r.users_force_orders,
            r.current_all_open_orders, r.current_all_algo_open_orders, r.position_adl_quantile_estimation,
            r.keepalive_user_data_stream,
        )),
        *((rest, m, one) for m in (
            r.notional_and_leverage_brackets, r.user_commission_rate, r.old_trades_lookup, r.open_interest, r.adl_risk,
            r.query_index_price_constituents, r.rpi_order_book, r.symbol_price_ticker, r.symbol_price_ticker_v2,
            r.all_orders, r.query_all_algo_orders, r.cancel_all_algo_open_orders, r.get_order_modify_history,
            r.position_adl_quantile_estimation, r.users_force_orders, r.get_funding_rate_history,
        )),
        *((rest, m, span) for m in (
            r.long_short_ratio, r.open_interest_statistics, r.taker_buy_sell_volume, r.top_trader_long_short_ratio_accounts,
            r.top_trader_long_short_ratio_positions,
        )),
        (rest, r.basis, {**pair, "contract_type": "PERPETUAL", "period": "5m", "limit": 5}),
        (rest, r.quarterly_contract_settlement_price, pair),
        (rest, r.continuous_contract_kline_candlestick_data, {**pair, "contract_type": "PERPETUAL", **candles}),
        (rest, r.index_price_kline_candlestick_data, {**pair, **candles}),
        (rest, r.mark_price_kline_candlestick_data, {**one, **candles}),
        (rest, r.premium_index_kline_data, {**one, **candles}),
        (rest, r.toggle_bnb_burn_on_futures_trade, {"fee_burn": "true"}),
        (rest, r.toggle_bnb_burn_on_futures_trade, {"fee_burn": "false"}),
        (rest, r.change_multi_assets_mode, {"multi_assets_margin": "true"}),
        (rest, r.change_multi_assets_mode, {"multi_assets_margin": "false"}),
        (rest, r.test_order, order),
        *((ask, m, {}) for m in (
            w.account_information, w.account_information_v2, w.futures_account_balance, w.futures_account_balance_v2,
            w.position_information, w.position_information_v2, w.start_user_data_stream, w.keepalive_user_data_stream,
        )),
        *((ask, m, one) for m in (w.order_book, w.symbol_order_book_ticker, w.symbol_price_ticker)),
    ]
    for do, call, params in calls:
        door = "ws " if do is ask else ""
        label = f"method {door}{call.__name__} {'' if not params else SYMBOL if params == one else list(params.values())[-1]}"
        async with steps(label.strip(), "an answer the SDK's model takes", 12) as came:
            found = await do(call, **params)
            came(str(found)[:80], not (isinstance(found, dict) and "code" in found and "msg" in found))


async def life(steps: Steps) -> None:
    """All steps in order."""
    c = client()
    await public(c, steps)
    async with steps("balances", "the starting wallet, all of it free") as came:
        row = next(x for x in await rest(c.rest_api.futures_account_balance_v3) if x.asset == "USDT")
        came(row.balance, float(row.balance) == float(row.available_balance) == float(setting("WALLET")))
    user = User()
    async with steps("user stream", "opens on a fresh listen key") as came:
        key = (await rest(c.rest_api.start_user_data_stream)).listen_key
        (await c.websocket_streams.user_data(key)).on("message", user.keep)
        came(len(key), len(key) == 64)
    await c.websocket_api.create_connection()
    await orders(c, user, steps)
    await position(c, user, steps)
    await conditional(c, user, steps)
    await errors(c, steps)
    await settings(c, steps)
    await ed25519(steps)
    await breadth(c, steps)


if __name__ == "__main__":
    main(life)
