"""A life cycle through ccxt.pro's `binanceusdm`: unified methods only, addresses replaced in its `urls` option."""

from __future__ import annotations

import asyncio
import os
from itertools import pairwise
from typing import Any

import ccxt.pro
from ccxt_methods import every_method
from lifecycle import Steps, http_base, main, same_book, setting, until, ws_base

SYMBOL = "BTC/USDT:USDT"


def client(**options: Any) -> Any:
    """A binanceusdm that knows no other address than the venue's."""
    rest, ws = http_base(), ws_base()
    v1, v2, v3 = (f"{rest}/fapi/v{n}" for n in (1, 2, 3))
    api = {
        "fapiPublic": v1,
        "fapiPublicV2": v2,
        "fapiPublicV3": v3,
        "fapiData": rest + "/futures/data",
        "fapiPrivate": v1,
        "fapiPrivateV2": v2,
        "fapiPrivateV3": v3,
        "ws": {"linear": ws + "/ws", "ws-api": {"linear": ws + "/ws-fapi/v1"}},
    }
    options |= authority()
    given = {"apiKey": setting("KEY"), "secret": setting("SECRET"), "urls": {"api": api}}
    return ccxt.pro.binanceusdm(
        {
            **given,
            "options": {"fetchCurrencies": False, "warnOnFetchOpenOrdersWithoutSymbol": False},
            "timeout": 10_000,
            **options,
        }
    )


def authority() -> dict[str, str]:
    """Over TLS, the venue's own authority as ccxt takes it."""
    return {"cafile": os.environ["AEGIS_CLIENT_CA"]} if "AEGIS_CLIENT_CA" in os.environ else {}


class Watched:
    """Runs a `watch…` method for ever and keeps every answer."""

    def __init__(self, call: Any, *args: Any) -> None:
        self.rows: list[Any] = []
        self.task = asyncio.create_task(self._run(call, args))

    async def _run(self, call: Any, args: tuple[Any, ...]) -> None:
        while True:
            found = await call(*args)
            self.rows += [dict(r) for r in found] if isinstance(found, list) else [found]

    async def find(self, **wanted: object) -> dict[str, Any]:
        """The first kept row with these fields; raises what the watcher raised."""

        def search() -> object:
            if self.task.done():
                self.task.result()
            return next((r for r in self.rows if all(r.get(k) == v for k, v in wanted.items())), None)

        return dict(await until(search))  # type: ignore[call-overload]


async def public(ex: Any, steps: Steps) -> None:
    """Markets, prices, book, trades, candles."""
    async with steps("markets", "BTC/USDT:USDT is a linear swap with tick 0.1 and lot 0.001") as came:
        await ex.load_markets()
        m = ex.market(SYMBOL)
        came(
            m["precision"],
            m["swap"] and m["linear"] and m["precision"] == {**m["precision"], "price": 0.1, "amount": 0.001},
        )
        came(m["limits"]["cost"], m["limits"]["cost"]["min"] > 0)
        came(len(ex.symbols), len(ex.symbols) > 3)
    async with steps("server time", "within 2 s of ours") as came:
        off = abs(await ex.fetch_time() - ex.milliseconds())
        came(off, off < 2000)
    async with steps("ticker", "last, bid and ask are there and ordered") as came:
        t, b = await ex.fetch_ticker(SYMBOL), (await ex.fetch_bids_asks([SYMBOL]))[SYMBOL]
        came((t["last"], b["bid"], b["ask"]), t["last"] > 0 and b["bid"] < b["ask"])
        rows = await ex.fetch_tickers()
        came(len(rows), len(rows) > 3)
    async with steps("trades by REST", "trades with ids, rising times") as came:
        rows = await ex.fetch_trades(SYMBOL, limit=20)
        came(len(rows), len(rows) > 0 and rows[-1]["price"] > 0)
    async with steps("klines by REST", "candles of six numbers, one minute apart") as came:
        rows = await ex.fetch_ohlcv(SYMBOL, "1m", limit=5)
        came(len(rows), len(rows) > 1 and all(b[0] - a[0] == 60_000 for a, b in pairwise(rows)))
        rows = await ex.fetch_mark_ohlcv(SYMBOL, "1m", limit=5)
        came(rows[-1][:5], len(rows) > 1)
    async with steps("mark price by REST", "mark and index price, funding rate and time") as came:
        f = await ex.fetch_funding_rate(SYMBOL)
        came((f["markPrice"], f["fundingRate"]), f["markPrice"] > 0 and f["fundingTimestamp"] > ex.milliseconds())
    async with steps("book sync", "local book equals the venue's at one update id, 20 levels a side", 45) as came:
        task = Watched(ex.watch_order_book, SYMBOL)

        def picture() -> tuple[int, list[Any], list[Any]] | None:
            if task.task.done():
                task.task.result()
            b = ex.orderbooks.get(SYMBOL)
            rows = [[(float(r[0]), float(r[1])) for r in (b or {}).get(side, [])] for side in ("bids", "asks")]
            return (b["nonce"], rows[0], rows[1]) if b and b["nonce"] else None

        diff = await same_book(picture, 20)
        came(diff or "equal", not diff)
        task.task.cancel()
    for name, call, args in (
        ("trades", ex.watch_trades, (SYMBOL,)),
        ("klines", ex.watch_ohlcv, (SYMBOL, "1m")),
        ("mark price", ex.watch_mark_price, (SYMBOL,)),
        ("ticker stream", ex.watch_ticker, (SYMBOL,)),
        ("best bid and ask stream", ex.watch_bids_asks, ([SYMBOL],)),
        ("all tickers stream", ex.watch_tickers, ()),
        ("all mark prices stream", ex.watch_mark_prices, ()),
    ):
        async with steps(name, "a first frame that ccxt can read") as came:
            found = await call(*args)
            came(str(found)[:80], bool(found))


async def orders(ex: Any, steps: Steps, orders_seen: Watched) -> None:
    """Place, watch, amend and cancel over both doors."""
    bid = (await ex.fetch_order_book(SYMBOL, 5))["bids"][0][0]
    px = [float(ex.price_to_precision(SYMBOL, bid * f)) for f in (0.97, 0.98)]
    doors = (
        ("REST", ex.create_order, ex.edit_order, ex.cancel_order),
        ("WebSocket API", ex.create_order_ws, ex.edit_order_ws, ex.cancel_order_ws),
    )
    for door, create, edit, cancel in doors:
        o: dict[str, Any] = {"id": None}
        async with steps(f"place by {door}", "status open, and the stream says so") as came:
            o = await create(SYMBOL, "limit", "buy", 0.01, px[0])
            came(o["status"], o["status"] == "open" and o["price"] == px[0])
            seen = await orders_seen.find(id=o["id"], status="open")
            came(seen["status"], seen["remaining"] == 0.01)
        async with steps(f"query by {door}", "the order by its id, listed among the open ones") as came:
            found = await (ex.fetch_order_ws if door != "REST" else ex.fetch_order)(o["id"], SYMBOL)
            came(found["status"], found["status"] == "open" and found["amount"] == 0.01)
            ids = [r["id"] for r in await ex.fetch_open_orders(SYMBOL)]
            came(ids, o["id"] in ids)
        async with steps(f"amend by {door}", "price and size changed under one id, and the stream says so") as came:
            e = await edit(o["id"], SYMBOL, "limit", "buy", 0.012, px[1])
            came((e["id"], e["price"], e["amount"]), (e["id"], e["price"], e["amount"]) == (o["id"], px[1], 0.012))
            seen = await orders_seen.find(id=o["id"], price=px[1])
            came(seen["price"], seen["amount"] == 0.012)
        async with steps(f"cancel by {door}", "status canceled, and the stream says so") as came:
            c = await cancel(o["id"], SYMBOL)
            came(c["status"], c["status"] == "canceled")
            seen = await orders_seen.find(id=o["id"], status="canceled")
            came(seen["status"], seen["filled"] == 0)


async def position(ex: Any, steps: Steps, orders_seen: Watched, fills: Watched, held: Watched) -> None:
    """Market fill, position, reduce-only close, profit and loss."""
    before = (await ex.fetch_balance())["USDT"]["total"]
    done: list[dict[str, Any]] = []
    async with steps("market fill", "closed, filled in full, with trades and a fee") as came:
        o = await ex.create_order(SYMBOL, "market", "buy", 0.02)
        seen = await orders_seen.find(id=o["id"], status="closed")
        came(seen["status"], seen["filled"] == 0.02 and seen["average"] > 0)
        t = await fills.find(order=o["id"])
        came(t["fee"], t["fee"]["cost"] > 0 and t["takerOrMaker"] == "taker")
        done += [o]
    async with steps("position appears", "long 0.02 by stream and by REST, with entry and margin") as came:
        p = await held.find(symbol=SYMBOL, contracts=0.02, side="long")
        came(p["entryPrice"], p["entryPrice"] > 0)
        p = (await ex.fetch_positions([SYMBOL]))[0]
        came((p["contracts"], p["side"], p["initialMargin"]), p["contracts"] == 0.02 and p["initialMargin"] > 0)
        came(p["liquidationPrice"], p["maintenanceMargin"] > 0 and p["marginMode"] == "cross")
    async with steps("reduce-only close", "flat, and a second reduce-only order is refused") as came:
        o = await ex.create_order(SYMBOL, "market", "sell", 0.02, None, {"reduceOnly": True})
        seen = await orders_seen.find(id=o["id"], status="closed")
        came(seen["filled"], seen["filled"] == 0.02 and seen["reduceOnly"] is True)
        rows = [p for p in await ex.fetch_positions([SYMBOL]) if p["contracts"]]
        came(rows, not rows)
        done += [o]
        try:
            await ex.create_order(SYMBOL, "market", "sell", 0.02, None, {"reduceOnly": True})
            came("accepted", False)
        except ccxt.ExchangeError as e:
            came(e, "-2022" in str(e))
    async with steps(
        "profit and loss", "wallet change = realised profit - commission, by trades and by ledger"
    ) as came:
        rows = [t for t in await ex.fetch_my_trades(SYMBOL) if t["order"] in [o["id"] for o in done]]
        pnl = sum(float(t["info"]["realizedPnl"]) - t["fee"]["cost"] for t in rows)
        change = (await ex.fetch_balance())["USDT"]["total"] - before
        came((change, pnl), abs(change - pnl) < 1e-7)
        ledger = await ex.fetch_ledger("USDT", limit=100)
        total = sum(
            r["amount"] * (1 if r["direction"] == "in" else -1) for r in ledger if r["type"] in ("trade", "commission")
        )
        came((total, pnl), abs(total - pnl) < 1e-7)


async def conditional(ex: Any, steps: Steps, orders_seen: Watched) -> None:
    """Conditional orders, which live in the algo service."""
    bid = (await ex.fetch_order_book(SYMBOL, 5))["bids"][0][0]
    stop = float(ex.price_to_precision(SYMBOL, bid * 0.9))
    for door in ("REST", "WebSocket API"):
        create, cancel = (
            (ex.create_order, ex.cancel_order) if door == "REST" else (ex.create_order_ws, ex.cancel_order_ws)
        )
        async with steps(f"conditional order by {door}", "placed, listed, seen on the stream, cancelled") as came:
            o = await create(SYMBOL, "market", "sell", 0.01, None, {"stopLossPrice": stop})
            came((o["id"], o["triggerPrice"]), o["triggerPrice"] == stop)
            rows = await ex.fetch_open_orders(SYMBOL, params={"trigger": True})
            came([r["id"] for r in rows], o["id"] in [r["id"] for r in rows])
            one = await ex.fetch_order(o["id"], SYMBOL, {"trigger": True})
            came(one["status"], one["status"] == "open")
            await cancel(o["id"], SYMBOL, {"trigger": True})
            rows = await ex.fetch_open_orders(SYMBOL, params={"trigger": True})
            came([r["id"] for r in rows], o["id"] not in [r["id"] for r in rows])
    async with steps(
        "conditional order triggers", "a stop just above the market is reached and fills as a new order"
    ) as came:
        asks = (await ex.fetch_order_book(SYMBOL, 20))["asks"]
        params = {"triggerPrice": asks[1][0], "workingType": "CONTRACT_PRICE"}
        o = await ex.create_order(SYMBOL, "market", "buy", 0.01, None, params)
        await ex.create_order(SYMBOL, "market", "buy", sum(q for _, q in asks[:3]))
        for _ in range(20):
            done = await ex.fetch_order(o["id"], SYMBOL, {"trigger": True})
            if done["status"] == "closed":
                break
            await asyncio.sleep(0.2)
        came((done["status"], done["info"]), done["status"] == "closed")
        row = await orders_seen.find(id=done["info"]["actualOrderId"], status="closed")
        came((o["id"], row["id"]), row["filled"] == 0.01)
        held = (await ex.fetch_positions([SYMBOL]))[0]["contracts"]
        await ex.create_order(SYMBOL, "market", "sell", held, None, {"reduceOnly": True})


async def refused(steps: Steps, name: str, kind: type[Exception], code: str, call: Any) -> None:
    """A step that expects `kind` with the venue's `code` in its text."""
    async with steps(name, f"{kind.__name__} with {code}") as came:
        try:
            came(f"accepted: {await call()}", False)
        except ccxt.BaseError as e:
            came(f"{type(e).__name__}: {e}", isinstance(e, kind) and code in str(e))


async def errors(ex: Any, steps: Steps) -> None:
    """What the venue refuses becomes the right class of error."""
    book = await ex.fetch_order_book(SYMBOL, 5)
    bid, ask = book["bids"][0][0], book["asks"][0][0]
    bad = client(secret="not-the-secret")
    await refused(steps, "bad signature", ccxt.AuthenticationError, "-1022", bad.fetch_balance)
    await bad.close()
    raw = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01"}
    await refused(
        steps,
        "bad tick",
        ccxt.ExchangeError,
        "-4014",
        lambda: ex.fapiPrivatePostOrder({**raw, "price": f"{bid * 0.98:.1f}5"}),
    )
    await refused(
        steps,
        "insufficient margin",
        ccxt.ExchangeError,
        "-2019",
        lambda: ex.create_order(SYMBOL, "limit", "buy", 60, float(ex.price_to_precision(SYMBOL, bid * 0.99))),
    )
    await refused(
        steps,
        "post-only cross",
        ccxt.InvalidOrder,
        "-5022",
        lambda: ex.create_order(SYMBOL, "limit", "buy", 0.01, ask * 1.001 // 0.1 * 0.1, {"postOnly": True}),
    )
    await refused(steps, "unknown order", ccxt.OrderNotFound, "-2011", lambda: ex.cancel_order("123456789", SYMBOL))
    await refused(
        steps,
        "old endpoint for stops",
        ccxt.ExchangeError,
        "-4120",
        lambda: ex.fapiPrivatePostOrder({**raw, "type": "STOP_MARKET", "stopPrice": f"{bid * 0.9:.1f}"}),
    )


async def every_address(steps: Steps) -> None:
    """What a user does who replaces the host of every address and leaves every option as it is."""
    ex = ccxt.pro.binanceusdm({"apiKey": setting("KEY"), "secret": setting("SECRET"), **authority()})

    def moved(urls: Any) -> Any:
        if isinstance(urls, dict):
            return {name: moved(url) for name, url in urls.items()}
        path = urls.partition("://")[2].partition("/")[2]
        return f"{ws_base() if urls.startswith('ws') else http_base()}/{path}"

    ex.urls["api"] = moved(ex.urls["api"])
    async with steps(
        "every address replaced", "markets, coins of the wallet and the system's status, no other option"
    ) as came:
        await ex.load_markets()
        came(len(ex.markets), SYMBOL in ex.markets)
        came(len(ex.currencies), "USDT" in ex.currencies)
        status = await ex.fetch_status()
        came(status["status"], status["status"] == "ok")
        ticker = await ex.watch_ticker(SYMBOL)
        came(ticker["last"], ticker["last"] > 0)
    await ex.close()


async def settings(ex: Any, steps: Steps) -> None:
    """Leverage, margin mode, position mode, and a hedged position."""
    async with steps("leverage and margin mode", "set, read back, and isolated margin added") as came:
        lev = await ex.set_leverage(10, SYMBOL)
        came(lev, int(lev["leverage"]) == 10)
        await ex.set_margin_mode("isolated", SYMBOL)
        found = await ex.fetch_margin_mode(SYMBOL)
        came(found["marginMode"], found["marginMode"] == "isolated")
        await ex.create_order(SYMBOL, "market", "buy", 0.01)
        a = await ex.add_margin(SYMBOL, 10)
        came(a["amount"], a["amount"] == 10)
        p = (await ex.fetch_positions([SYMBOL]))[0]
        came((p["marginMode"], p["collateral"], p["leverage"]), p["marginMode"] == "isolated" and p["collateral"] > 60)
        await ex.create_order(SYMBOL, "market", "sell", 0.01, None, {"reduceOnly": True})
        await ex.set_margin_mode("cross", SYMBOL)
    async with steps("hedge mode", "long and short held at once, closed one by one") as came:
        await ex.set_position_mode(True)
        came(await ex.fetch_position_mode(SYMBOL), (await ex.fetch_position_mode(SYMBOL))["hedged"] is True)
        await ex.create_order(SYMBOL, "market", "buy", 0.01, None, {"positionSide": "LONG"})
        await ex.create_order(SYMBOL, "market", "sell", 0.02, None, {"positionSide": "SHORT"})
        rows = {p["side"]: p["contracts"] for p in await ex.fetch_positions([SYMBOL]) if p["contracts"]}
        came(rows, rows == {"long": 0.01, "short": 0.02})
        await ex.create_order(SYMBOL, "market", "sell", 0.01, None, {"positionSide": "LONG"})
        await ex.create_order(SYMBOL, "market", "buy", 0.02, None, {"positionSide": "SHORT"})
        rows = {p["side"]: p["contracts"] for p in await ex.fetch_positions([SYMBOL]) if p["contracts"]}
        came(rows, not rows)
        await ex.set_position_mode(False)
    async with steps("batch", "two orders placed, amended and cancelled in one call each; then cancel all") as came:
        px = float(ex.price_to_precision(SYMBOL, (await ex.fetch_order_book(SYMBOL, 5))["bids"][0][0] * 0.97))
        row = {"symbol": SYMBOL, "type": "limit", "side": "buy", "amount": 0.01, "price": px}
        made = await ex.create_orders([row, row])
        came([o["status"] for o in made], [o["status"] for o in made] == ["open", "open"])
        made = await ex.edit_orders([{**row, "id": o["id"], "price": px - 1} for o in made])
        came([o["price"] for o in made], [o["price"] for o in made] == [px - 1, px - 1])
        gone = await ex.cancel_orders([o["id"] for o in made], SYMBOL)
        came([o["status"] for o in gone], [o["status"] for o in gone] == ["canceled", "canceled"])
        await ex.create_orders([row, row])
        await ex.cancel_all_orders(SYMBOL)
        left = await ex.fetch_open_orders(SYMBOL)
        came(left, not left)


async def life(steps: Steps) -> None:
    """All steps in order."""
    ex = client()
    await public(ex, steps)
    async with steps("balances", "the starting wallet, all of it free") as came:
        b = await ex.fetch_balance()
        came(b["USDT"], b["USDT"]["free"] == b["USDT"]["total"] == float(setting("WALLET")))
    seen, fills, held = (
        Watched(call, *a) for call, a in ((ex.watch_orders, ()), (ex.watch_my_trades, ()), (ex.watch_positions, ()))
    )
    balance = Watched(ex.watch_balance)
    await until(lambda: any("/private/" in url and x.connected.done() for url, x in ex.clients.items()))
    await orders(ex, steps, seen)
    await position(ex, steps, seen, fills, held)
    async with steps("balance stream", "the wallet after the fills") as came:
        await until(lambda: balance.rows)
        total = (await ex.fetch_balance())["USDT"]["total"]
        await until(lambda: abs(balance.rows[-1]["USDT"]["total"] - total) < 1e-7)
        came(balance.rows[-1]["USDT"], True)
    await conditional(ex, steps, seen)
    await errors(ex, steps)
    await every_address(steps)
    await settings(ex, steps)
    await every_method(ex, steps)


if __name__ == "__main__":
    main(life)
