"""A life cycle through the official SDK (`binance-sdk-derivatives-trading-usds-futures`): its REST client, its
WebSocket API client and its streams, addressed by the documented `base_path` and `stream_url`.

Every answer is read through the SDK's own typed models (`.data()`), so a wrong type fails the step.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from binance_common.errors import Error
from binance_sdk_market import ask, client, public, rest
from binance_sdk_methods import every_method
from lifecycle import SYMBOL, Steps, main, setting, until


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
    async with steps(
        "profit and loss", "wallet change = realised profit - commission, by trades and by income"
    ) as came:
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
                create,
                algo_type="CONDITIONAL",
                symbol=SYMBOL,
                side="SELL",
                type="STOP_MARKET",
                quantity=0.01,
                trigger_price=round(bid * 0.9, 1),
                working_type="MARK_PRICE",
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
    async with steps(
        "conditional order triggers", "a stop just above the market is reached and fills as a new order"
    ) as came:
        asks = (await rest(r.order_book, symbol=SYMBOL, limit=20)).asks
        o = await rest(
            r.new_algo_order,
            algo_type="CONDITIONAL",
            symbol=SYMBOL,
            side="BUY",
            type="STOP_MARKET",
            quantity=0.01,
            trigger_price=float(asks[1][0]),
            working_type="CONTRACT_PRICE",
        )
        sweep = round(sum(float(q) for _, q in asks[:3]), 3)
        await rest(r.new_order, symbol=SYMBOL, side="BUY", type="MARKET", quantity=sweep)
        done = await user.find("AlgoUpdate", aid=o.algo_id, X="FINISHED")
        filled = await user.order(int(done.ai), X="FILLED")
        came((done.ai, filled.ot), float(filled.z) == 0.01)
        await rest(
            r.new_order, symbol=SYMBOL, side="SELL", type="MARKET", quantity=round(sweep + 0.01, 3), reduce_only="true"
        )


async def errors(c: Any, steps: Steps) -> None:
    """What the venue refuses arrives as the right error with its code, over both doors."""
    r, w = c.rest_api, c.websocket_api
    d = await rest(r.order_book, symbol=SYMBOL, limit=5)
    bid, ask_px = float(d.bids[0][0]), float(d.asks[0][0])
    bad = client(api_secret="not-the-secret")
    order = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "time_in_force": "GTC", "quantity": 0.01}
    cases: tuple[tuple[str, int, Any, Any, dict[str, Any]], ...] = (
        ("bad signature", -1022, bad.rest_api.account_information_v3, None, {}),
        ("bad tick", -4014, r.new_order, w.new_order, {**order, "price": round(round(bid * 0.98, 1) + 0.05, 2)}),
        (
            "insufficient margin",
            -2019,
            r.new_order,
            w.new_order,
            {**order, "quantity": 60.0, "price": round(bid * 0.99, 1)},
        ),
        (
            "post-only cross",
            -5022,
            r.new_order,
            w.new_order,
            {**order, "time_in_force": "GTX", "price": round(ask_px * 1.001, 1)},
        ),
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
            w.new_order,
            symbol=SYMBOL,
            side="BUY",
            type="LIMIT",
            time_in_force="GTC",
            quantity=0.01,
            price=round(bid * 0.97, 1),
        )
        came(o, o.status == "NEW")
        o = await ask(w.cancel_order, symbol=SYMBOL, order_id=o.order_id)
        came(o, o.status == "CANCELED")
        await w.send_signed_message({"method": "session.logout", "params": {}}, signer=w.signer, session_logout=True)
        st = (await w.send_message({"method": "session.status", "params": {}})).data()
        came(st, st["result"]["apiKey"] is None)
        await w.close_connection()


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
    await every_method(c, steps, rest, ask)


if __name__ == "__main__":
    main(life)
