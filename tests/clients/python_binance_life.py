"""A life cycle through python-binance: AsyncClient, BinanceSocketManager, the depth cache and the threaded sockets,
with nothing but their address constants replaced."""

from __future__ import annotations

import asyncio
from typing import Any

from binance import AsyncClient, BinanceSocketManager, FuturesDepthCacheManager, ThreadedWebsocketManager
from binance.exceptions import BinanceAPIException
from lifecycle import SYMBOL, Steps, depth_truth, http_base, main, setting, until, ws_base
from python_binance_methods import every_method

AsyncClient.API_URL = http_base() + "/api"  # `create` asks the spot host for the time before anything else
AsyncClient.FUTURES_URL = http_base() + "/fapi"
AsyncClient.FUTURES_DATA_URL = http_base() + "/futures/data"
AsyncClient.WS_FUTURES_URL = ws_base() + "/ws-fapi/v1"
BinanceSocketManager.FSTREAM_URL = ws_base() + "/"


class Listener:
    """Reads one socket of the socket manager for ever and keeps what it said."""

    def __init__(self, socket: Any) -> None:
        self.socket, self.rows, self.open = socket, [], asyncio.Event()
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async with self.socket as s:
            self.open.set()
            while True:
                self.rows.append(await s.recv())

    async def event(self, kind: str, inner: str = "", **wanted: object) -> dict[str, Any]:
        """The first user event of this kind whose `inner` object has these fields."""

        def search() -> object:
            if self.task.done():
                self.task.result()
            found = (r for r in self.rows if r.get("e") == kind)
            rows = ((r, r[inner] if inner else r) for r in found)
            return next((r for r, o in rows if all(o.get(k) == v for k, v in wanted.items())), None)

        return dict(await until(search))  # type: ignore[call-overload]


async def public(c: AsyncClient, steps: Steps) -> None:
    """Markets, prices, trades, candles by REST."""
    async with steps("markets", "BTCUSDT is a perpetual with tick 0.10 and lot 0.001") as came:
        rows = {s["symbol"]: s for s in (await c.futures_exchange_info())["symbols"]}
        f = {x["filterType"]: x for x in rows[SYMBOL]["filters"]}
        came(rows[SYMBOL]["contractType"], rows[SYMBOL]["contractType"] == "PERPETUAL" and len(rows) > 3)
        came(
            f["PRICE_FILTER"]["tickSize"],
            f["PRICE_FILTER"]["tickSize"] == "0.10" and f["LOT_SIZE"]["stepSize"] == "0.001",
        )
    async with steps("server time", "within 2 s of ours, and a ping") as came:
        came(await c.futures_ping(), await c.futures_ping() == {})
        came(c.timestamp_offset, abs(c.timestamp_offset) < 2000)
    async with steps("ticker", "last, bid and ask are there and ordered") as came:
        t, b = await c.futures_ticker(symbol=SYMBOL), await c.futures_orderbook_ticker(symbol=SYMBOL)
        came(t["lastPrice"], float(t["lastPrice"]) > 0 and float(b["bidPrice"]) < float(b["askPrice"]))
        came("all", len(await c.futures_ticker()) > 3 and len(await c.futures_symbol_ticker()) > 3)
    async with steps("trades by REST", "trades and aggregate trades with ids, rising times") as came:
        rows, aggs = await c.futures_recent_trades(symbol=SYMBOL), await c.futures_aggregate_trades(symbol=SYMBOL)
        came(len(rows), len(rows) > 0 and rows[-1]["id"] >= rows[0]["id"] and aggs[-1]["l"] >= aggs[-1]["f"])
    async with steps("klines by REST", "candles of twelve fields, also of mark, index, premium and continuous") as came:
        rows = await c.futures_klines(symbol=SYMBOL, interval="1m", limit=5)
        came(len(rows), len(rows) > 1 and all(len(r) == 12 for r in rows))
        for call, key in (
            (c.futures_mark_price_klines, "symbol"),
            (c.futures_premium_index_klines, "symbol"),
            (c.futures_index_price_klines, "pair"),
            (c.futures_continuous_klines, "pair"),
        ):
            extra = {"contractType": "PERPETUAL"} if call == c.futures_continuous_klines else {}
            rows = await call(**{key: SYMBOL, "interval": "1m", "limit": 5, **extra})
            came(call.__name__, len(rows) > 1 and all(len(r) == 12 for r in rows))
        rows = await c.futures_historical_klines(SYMBOL, "1m", "3 hours ago UTC")
        came(len(rows), len(rows) > 100)
    async with steps("mark price by REST", "mark and index price, funding rate and its history") as came:
        m = await c.futures_mark_price(symbol=SYMBOL)
        came(m["markPrice"], float(m["markPrice"]) > 0 and float(m["indexPrice"]) > 0)
        rows = await c.futures_funding_rate(symbol=SYMBOL)
        came(rows[-1:], rows[-1]["fundingTime"] <= m["time"])


async def depth_cache(c: AsyncClient, bm: BinanceSocketManager) -> str:
    """Wait until the client's cache equals the venue's book (it tells no update id to compare at); "" when it does."""
    bids: list[Any] = []
    async with FuturesDepthCacheManager(c, SYMBOL, bm=bm) as manager:
        for _ in range(40):
            cache = await manager.recv()
            _, bids, asks = await asyncio.to_thread(depth_truth, 10)
            if [tuple(r) for r in cache.get_bids()] == bids and [tuple(r) for r in cache.get_asks()] == asks:
                return ""
    return f"never equal; at last {cache.get_bids()[:2]}, venue {bids[:2]}"


async def streams(c: AsyncClient, bm: BinanceSocketManager, steps: Steps) -> None:
    """The book kept by the client, and a first frame of each market stream."""
    async with steps("book sync", "the depth cache equals the venue's book, 10 levels a side", 45) as came:
        diff = await depth_cache(c, bm)
        came(diff or "equal", not diff)
    sockets = (
        ("trades", bm.aggtrade_futures_socket(SYMBOL), "aggTrade"),
        ("klines", bm.kline_futures_socket(SYMBOL, "1m"), "continuous_kline"),
        ("mark price", bm.symbol_mark_price_socket(SYMBOL), "markPriceUpdate"),
        ("ticker stream", bm.individual_symbol_ticker_futures_socket(SYMBOL), "24hrTicker"),
        ("best bid and ask stream", bm.symbol_ticker_futures_socket(SYMBOL), "bookTicker"),
        ("all tickers stream", bm.futures_ticker_socket(), "24hrTicker"),
        ("all mark prices stream", bm.all_mark_price_socket(), "markPriceUpdate"),
        (
            "several streams on one socket",
            bm.futures_multiplex_socket(["btcusdt@kline_1m", "ethusdt@markPrice@1s"]),
            "",
        ),
        ("diff depth stream", bm.futures_depth_socket(SYMBOL, depth=""), "depthUpdate"),
    )
    for name, socket, kind in sockets:
        async with steps(name, f"a first frame of {kind or 'each'}") as came, socket as s:
            found = await s.recv()
            data = found.get("data", found)
            first = data[0] if isinstance(data, list) else data
            came(first["e"], first["e"] == kind or not kind)
            if not kind:
                kinds = {first["e"]}
                while len(kinds) < 2:
                    kinds.add((await s.recv())["data"]["e"])
                came(kinds, kinds == {"kline", "markPriceUpdate"})


async def orders(c: AsyncClient, user: Listener, steps: Steps) -> None:
    """Place, watch, amend and cancel over both doors."""
    bid = float((await c.futures_order_book(symbol=SYMBOL, limit=5))["bids"][0][0])
    px = [f"{bid * f:.1f}" for f in (0.97, 0.98)]
    doors = (
        ("REST", c.futures_create_order, c.futures_get_order, c.futures_modify_order, c.futures_cancel_order),
        (
            "WebSocket API",
            c.ws_futures_create_order,
            c.ws_futures_get_order,
            c.ws_futures_edit_order,
            c.ws_futures_cancel_order,
        ),
    )
    for door, create, get, edit, cancel in doors:
        o: dict[str, Any] = {}
        async with steps(f"place by {door}", "status NEW, and the stream says so") as came:
            o = await create(symbol=SYMBOL, side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.01", price=px[0])
            came(o["status"], o["status"] == "NEW" and float(o["price"]) == float(px[0]))
            seen = await user.event("ORDER_TRADE_UPDATE", "o", i=o["orderId"], x="NEW")
            came(seen["o"]["X"], seen["o"]["X"] == "NEW")
        async with steps(f"query by {door}", "the order by its id, listed among the open ones") as came:
            found = await get(symbol=SYMBOL, orderId=o["orderId"])
            came(found["status"], found["status"] == "NEW" and found["origQty"] == "0.010")
            ids = [r["orderId"] for r in await c.futures_get_open_orders(symbol=SYMBOL)]
            came(ids, o["orderId"] in ids)
        async with steps(f"amend by {door}", "price and size changed under one id, and the stream says so") as came:
            e = await edit(symbol=SYMBOL, side="BUY", orderId=o["orderId"], quantity="0.012", price=px[1])
            came((e["price"], e["origQty"]), float(e["price"]) == float(px[1]) and float(e["origQty"]) == 0.012)
            seen = await user.event("ORDER_TRADE_UPDATE", "o", i=o["orderId"], x="AMENDMENT")
            came(seen["o"]["q"], float(seen["o"]["q"]) == 0.012 and float(seen["o"]["p"]) == float(px[1]))
        async with steps(f"cancel by {door}", "status CANCELED, and the stream says so") as came:
            x = await cancel(symbol=SYMBOL, orderId=o["orderId"])
            came(x["status"], x["status"] == "CANCELED")
            seen = await user.event("ORDER_TRADE_UPDATE", "o", i=o["orderId"], x="CANCELED")
            came(seen["o"]["X"], seen["o"]["X"] == "CANCELED")


async def position(c: AsyncClient, user: Listener, steps: Steps) -> None:
    """Market fill, position, reduce-only close, profit and loss."""

    async def wallet() -> float:
        return next(float(r["balance"]) for r in await c.futures_account_balance() if r["asset"] == "USDT")

    before, ids = await wallet(), []
    async with steps("market fill", "filled in full, with a trade and its fee") as came:
        o = await c.futures_create_order(symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.02")
        seen = await user.event("ORDER_TRADE_UPDATE", "o", i=o["orderId"], X="FILLED")
        came(seen["o"]["n"], float(seen["o"]["z"]) == 0.02 and float(seen["o"]["n"]) > 0 and not seen["o"]["m"])
        await user.event("TRADE_LITE", "", i=o["orderId"])
        ids.append(o["orderId"])
    async with steps("position appears", "long 0.02 by stream and by REST") as came:
        await user.event("ACCOUNT_UPDATE", "a", m="ORDER")
        came(
            "event",
            any(p["pa"] in ("0.02", "0.020") for r in user.rows if r["e"] == "ACCOUNT_UPDATE" for p in r["a"]["P"]),
        )
        p = (await c.futures_position_information(symbol=SYMBOL))[0]
        came(p["positionAmt"], float(p["positionAmt"]) == 0.02 and float(p["entryPrice"]) > 0)
        held = [p for p in (await c.futures_account())["positions"] if float(p["positionAmt"])]
        came(held, len(held) == 1 and int(held[0]["leverage"]) > 0)
        p = next(p for p in await c.futures_position_information(version=2) if float(p["positionAmt"]))
        came(p["marginType"], p["marginType"] == "cross" and int(p["leverage"]) > 0)
    async with steps("reduce-only close", "flat, and a second reduce-only order is refused") as came:
        o = await c.futures_create_order(symbol=SYMBOL, side="SELL", type="MARKET", quantity="0.02", reduceOnly="true")
        seen = await user.event("ORDER_TRADE_UPDATE", "o", i=o["orderId"], X="FILLED")
        came(seen["o"]["R"], seen["o"]["R"] is True)
        left = [p for p in await c.futures_position_information(symbol=SYMBOL) if float(p["positionAmt"])]
        came(left, not left)
        ids.append(o["orderId"])
        try:
            await c.futures_create_order(symbol=SYMBOL, side="SELL", type="MARKET", quantity="0.02", reduceOnly="true")
            came("accepted", False)
        except BinanceAPIException as e:
            came(e.code, e.code == -2022)
    async with steps(
        "profit and loss", "wallet change = realised profit - commission, by trades and by income"
    ) as came:
        rows = [t for t in await c.futures_account_trades(symbol=SYMBOL) if t["orderId"] in ids]
        pnl = sum(float(t["realizedPnl"]) - float(t["commission"]) for t in rows)
        came((await wallet() - before, pnl), abs(await wallet() - before - pnl) < 1e-7)
        rows = await c.futures_income_history(limit=100)
        total = sum(float(r["income"]) for r in rows if r["incomeType"] in ("REALIZED_PNL", "COMMISSION"))
        came((total, pnl), abs(total - pnl) < 1e-7)


async def conditional(c: AsyncClient, user: Listener, steps: Steps) -> None:
    """Conditional orders, which live in the algo service; the client sends them there by itself."""
    bid = float((await c.futures_order_book(symbol=SYMBOL, limit=5))["bids"][0][0])
    doors = (
        ("REST", c.futures_create_order, c.futures_cancel_algo_order),
        ("WebSocket API", c.ws_futures_create_order, c.ws_futures_cancel_algo_order),
    )
    for door, create, cancel in doors:
        async with steps(f"conditional order by {door}", "placed, listed, seen on the stream, cancelled") as came:
            o = await create(
                symbol=SYMBOL, side="SELL", type="STOP_MARKET", quantity="0.01", stopPrice=f"{bid * 0.9:.1f}"
            )
            came(o["algoStatus"], o["algoStatus"] == "NEW" and float(o["triggerPrice"]) > 0)
            await user.event("ALGO_UPDATE", "o", aid=o["algoId"], X="NEW")
            ids = [r["algoId"] for r in await c.futures_get_open_algo_orders(symbol=SYMBOL)]
            came(ids, o["algoId"] in ids)
            one = await c.futures_get_algo_order(algoId=o["algoId"])
            came(one["algoStatus"], one["algoStatus"] == "NEW" and one["orderType"] == "STOP_MARKET")
            x = await cancel(algoId=o["algoId"])
            came(x, x["algoId"] == o["algoId"])
            await user.event("ALGO_UPDATE", "o", aid=o["algoId"], X="CANCELED")
            came(
                "listed", o["algoId"] not in [r["algoId"] for r in await c.futures_get_open_algo_orders(symbol=SYMBOL)]
            )
    async with steps(
        "conditional order triggers", "a stop just above the market is reached and fills as a new order"
    ) as came:
        asks = (await c.futures_order_book(symbol=SYMBOL, limit=20))["asks"]
        o = await c.futures_create_order(
            symbol=SYMBOL,
            side="BUY",
            type="STOP_MARKET",
            quantity="0.01",
            stopPrice=asks[1][0],
            workingType="CONTRACT_PRICE",
        )
        sweep = sum(float(q) for _, q in asks[:3])
        await c.futures_create_order(symbol=SYMBOL, side="BUY", type="MARKET", quantity=f"{sweep:.3f}")
        seen = await user.event("ALGO_UPDATE", "o", aid=o["algoId"], X="FINISHED")
        came(seen["o"]["ai"], int(seen["o"]["ai"]) > 0)
        filled = await user.event("ORDER_TRADE_UPDATE", "o", i=int(seen["o"]["ai"]), X="FILLED")
        came(filled["o"]["ot"], filled["o"]["o"] == "MARKET")
        held = (await c.futures_position_information(symbol=SYMBOL))[0]["positionAmt"]
        await c.futures_create_order(symbol=SYMBOL, side="SELL", type="MARKET", quantity=held, reduceOnly="true")


async def errors(c: AsyncClient, steps: Steps) -> None:
    """What the venue refuses arrives with its code."""
    book = await c.futures_order_book(symbol=SYMBOL, limit=5)
    bid, ask = float(book["bids"][0][0]), float(book["asks"][0][0])
    bad = AsyncClient(setting("KEY"), "not-the-secret")
    order = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01"}
    cases = (
        ("bad signature", -1022, bad.futures_account_balance, {}),
        ("bad tick", -4014, c.futures_create_order, {**order, "price": f"{bid * 0.98:.1f}5"}),
        ("bad tick by WebSocket API", -4014, c.ws_futures_create_order, {**order, "price": f"{bid * 0.98:.1f}5"}),
        (
            "insufficient margin",
            -2019,
            c.futures_create_order,
            {**order, "quantity": "60", "price": f"{bid * 0.99:.1f}"},
        ),
        (
            "post-only cross",
            -5022,
            c.futures_create_order,
            {**order, "timeInForce": "GTX", "price": f"{ask * 1.001:.1f}"},
        ),
        ("unknown order", -2011, c.futures_cancel_order, {"symbol": SYMBOL, "orderId": 123456789}),
        ("unknown symbol", -1121, c.futures_create_order, {**order, "symbol": "NOSUCH", "price": "1"}),
        ("too small", -4164, c.futures_create_order, {**order, "quantity": "0.001", "price": f"{bid * 0.98:.1f}"}),
    )
    for name, code, call, params in cases:
        async with steps(name, f"BinanceAPIException with {code}") as came:
            try:
                came(f"accepted: {await call(**params)}", False)
            except BinanceAPIException as e:
                came(f"{e.code or ''} {e.message}", str(code) in str(e))
    await bad.close_connection()


async def settings(c: AsyncClient, steps: Steps) -> None:
    """Leverage, margin type, position mode, batches and the dead-man switch."""
    async with steps("leverage and margin type", "set, read back, isolated margin added and listed") as came:
        lev = await c.futures_change_leverage(symbol=SYMBOL, leverage=10)
        came(lev, lev["leverage"] == 10 and float(lev["maxNotionalValue"]) > 0)
        await c.futures_change_margin_type(symbol=SYMBOL, marginType="ISOLATED")
        row = (await c.futures_symbol_config(symbol=SYMBOL))[0]
        came(row, row["marginType"] == "ISOLATED" and row["leverage"] == 10)
        await c.futures_create_order(symbol=SYMBOL, side="BUY", type="MARKET", quantity="0.01")
        a = await c.futures_change_position_margin(symbol=SYMBOL, amount="10", type=1)
        came(a, float(a["amount"]) == 10 and a["code"] == 200)
        rows = await c.futures_position_margin_history(symbol=SYMBOL)
        came(rows, any(float(r["amount"]) == 10 for r in rows))
        await c.futures_create_order(symbol=SYMBOL, side="SELL", type="MARKET", quantity="0.01", reduceOnly="true")
        await c.futures_change_margin_type(symbol=SYMBOL, marginType="CROSSED")
    async with steps("hedge mode", "long and short held at once, closed one by one") as came:
        await c.futures_change_position_mode(dualSidePosition="true")
        came("mode", (await c.futures_get_position_mode())["dualSidePosition"] is True)
        for side, which, qty in (("BUY", "LONG", "0.01"), ("SELL", "SHORT", "0.02")):
            await c.futures_create_order(symbol=SYMBOL, side=side, type="MARKET", quantity=qty, positionSide=which)
        rows = {p["positionSide"]: float(p["positionAmt"]) for p in await c.futures_position_information(symbol=SYMBOL)}
        came(rows, rows.get("LONG") == 0.01 and rows.get("SHORT") == -0.02)
        for side, which, qty in (("SELL", "LONG", "0.01"), ("BUY", "SHORT", "0.02")):
            await c.futures_create_order(symbol=SYMBOL, side=side, type="MARKET", quantity=qty, positionSide=which)
        await c.futures_change_position_mode(dualSidePosition="false")
        came("mode", (await c.futures_get_position_mode())["dualSidePosition"] is False)
    async with steps("batch", "two orders placed and cancelled in one call each; then cancel all") as came:
        bid = float((await c.futures_order_book(symbol=SYMBOL, limit=5))["bids"][0][0])
        row = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
        rows = [{**row, "quantity": "0.01", "price": f"{bid * f:.1f}"} for f in (0.97, 0.98)]
        made = await c.futures_place_batch_order(batchOrders=[dict(r) for r in rows])
        came(made, [o.get("status") for o in made] == ["NEW", "NEW"])
        gone = await c.futures_cancel_orders(symbol=SYMBOL, orderidlist=[o["orderId"] for o in made])
        came(gone, [o.get("status") for o in gone] == ["CANCELED", "CANCELED"])
        await c.futures_place_batch_order(batchOrders=[dict(r) for r in rows])
        came(await c.futures_cancel_all_open_orders(symbol=SYMBOL), not await c.futures_get_open_orders(symbol=SYMBOL))
    async with steps("countdown", "armed, and disarmed") as came:
        came(await c.futures_countdown_cancel_all(symbol=SYMBOL, countdownTime=60_000), True)
        x = await c.futures_countdown_cancel_all(symbol=SYMBOL, countdownTime=0)
        came(x, x["symbol"] == SYMBOL and x["countdownTime"] == "0")


async def threaded(steps: Steps) -> None:
    """The threaded socket manager, which makes its own client; a program that owns no event loop plays its part."""
    rows: list[dict[str, Any]] = []

    def program() -> ThreadedWebsocketManager:
        manager = ThreadedWebsocketManager(setting("KEY"), setting("SECRET"))
        manager.start()
        manager.start_kline_futures_socket(rows.append, SYMBOL)
        manager.start_futures_depth_socket(rows.append, SYMBOL)
        return manager

    async with steps("threaded sockets", "a first frame of klines and of the book through callbacks") as came:
        manager = await asyncio.to_thread(program)
        await until(lambda: {r.get("data", r)["e"] for r in rows} >= {"continuous_kline", "depthUpdate"})
        came(len(rows), True)
        await asyncio.to_thread(manager.stop)


async def life(steps: Steps) -> None:
    """All steps in order."""
    c = AsyncClient(setting("KEY"), setting("SECRET"))
    async with steps("client starts", "its factory's own ping and time calls are answered") as came:
        await c.close_connection()
        c = await AsyncClient.create(setting("KEY"), setting("SECRET"))
        came(c.timestamp_offset, True)
    if not c.session or c.session.closed:
        c = AsyncClient(setting("KEY"), setting("SECRET"))
    bm = BinanceSocketManager(c)
    await public(c, steps)
    await streams(c, bm, steps)
    async with steps("balances", "the starting wallet, all of it free") as came:
        row = next(r for r in await c.futures_account_balance() if r["asset"] == "USDT")
        came(row, float(row["balance"]) == float(row["availableBalance"]) == float(setting("WALLET")))
    user = Listener(bm.futures_user_socket())
    async with steps("user stream", "opens on a fresh listen key") as came:
        await user.open.wait()
        came("open", True)
    await orders(c, user, steps)
    await position(c, user, steps)
    await conditional(c, user, steps)
    await errors(c, steps)
    await settings(c, steps)
    await every_method(c, steps)
    await threaded(steps)


if __name__ == "__main__":
    main(life)
