"""Every route of the venue: paths and WebSocket API methods, each with its handler, weight and security.

What must stay true: a method answers the same as its REST twin, because both run the same handler.
"""

from __future__ import annotations

from aegis.exchange import orders, private, public
from aegis.exchange.route import KEY, Route, per_symbol
from aegis.exchange.routes_public import PUBLIC_METHODS, public_routes


def rest_routes() -> dict[tuple[str, str], Route]:
    """By (method, path)."""
    v1, v2, v3 = "/fapi/v1/", "/fapi/v2/", "/fapi/v3/"
    routes = public_routes() | {
        ("POST", v1 + "order"): Route(orders.place, 0, orders=1),
        ("PUT", v1 + "order"): Route(orders.modify, 0, orders=1),
        ("POST", v1 + "order/test"): Route(orders.test, 0),
        ("GET", v1 + "order"): Route(orders.query),
        ("DELETE", v1 + "order"): Route(orders.cancel),
        ("DELETE", v1 + "allOpenOrders"): Route(orders.cancel_all),
        ("POST", v1 + "batchOrders"): Route(private.batch_place, 5, orders=5),
        ("DELETE", v1 + "batchOrders"): Route(private.batch_cancel),
        ("POST", v1 + "countdownCancelAll"): Route(orders.countdown, 10),
        ("GET", v1 + "openOrder"): Route(orders.open_order),
        ("GET", v1 + "openOrders"): Route(private.open_orders, per_symbol(1, 40)),
        ("GET", v1 + "openAlgoOrders"): Route(lambda _ex, _acc, _p: [], per_symbol(1, 40)),
        ("DELETE", v1 + "algoOpenOrders"): Route(
            lambda _ex, _acc, _p: {"code": 200, "msg": "The operation of cancel all open order is done."}
        ),
        ("GET", v1 + "allOrders"): Route(private.all_orders, 5),
        ("GET", v1 + "userTrades"): Route(private.user_trades, 5),
        ("GET", v1 + "income"): Route(private.income, 30),
        ("GET", v1 + "accountConfig"): Route(private.account_config, 5),
        ("GET", v1 + "symbolConfig"): Route(private.symbol_config, 5),
        ("GET", v1 + "leverageBracket"): Route(private.leverage_bracket),
        ("GET", v1 + "commissionRate"): Route(private.commission_rate, 20),
        ("GET", v1 + "rateLimit/order"): Route(lambda ex, _acc, p: public.order_limits(ex, p)),
        ("GET", v1 + "positionSide/dual"): Route(lambda _ex, _acc, _p: {"dualSidePosition": False}, 30),
        ("GET", v1 + "multiAssetsMargin"): Route(lambda _ex, _acc, _p: {"multiAssetsMargin": False}, 30),
        ("GET", v1 + "feeBurn"): Route(lambda _ex, _acc, _p: {"feeBurn": False}, 30),
        ("POST", v1 + "listenKey"): Route(private.listen_start, 1, KEY),
        ("PUT", v1 + "listenKey"): Route(private.listen_ping, 1, KEY),
        ("DELETE", v1 + "listenKey"): Route(private.listen_stop, 1, KEY),
    }
    for version in (v2, v3):
        routes["GET", version + "account"] = Route(private.account, 5)
        routes["GET", version + "balance"] = Route(private.balance, 5)
        routes["GET", version + "positionRisk"] = Route(private.position_risk, 5)
    return routes


METHODS = PUBLIC_METHODS | {
    "order.place": Route(orders.place, 0, orders=1),
    "order.modify": Route(orders.modify, 0, orders=1),
    "order.cancel": Route(orders.cancel),
    "order.status": Route(orders.query),
    "account.balance": Route(private.balance, 5),
    "v2/account.balance": Route(private.balance, 5),
    "account.status": Route(private.account, 5),
    "v2/account.status": Route(private.account, 5),
    "account.position": Route(private.position_risk, 5),
    "v2/account.position": Route(private.position_risk, 5),
    "userDataStream.start": Route(private.listen_start, 1, KEY),
    "userDataStream.ping": Route(private.listen_ping, 1, KEY),
    "userDataStream.stop": Route(private.listen_stop, 1, KEY),
}
