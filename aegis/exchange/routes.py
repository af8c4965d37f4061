"""Every route of the venue: paths and WebSocket API methods, each with its handler, weight and security.

What must stay true: a method answers the same as its REST twin, because both run the same handler.
"""

from __future__ import annotations

from aegis.exchange import account_views, algo_orders, batch, convert, downloads, history, orders, settings, user_stream
from aegis.exchange.limits import Limits
from aegis.exchange.route import KEY, NONE, Route, per_symbol
from aegis.exchange.routes_public import PUBLIC_METHODS, public_routes

Routes = dict[tuple[str, str], Route]


def order_routes(v1: str) -> Routes:
    """Orders of both kinds."""
    return {
        ("POST", v1 + "order"): Route(orders.place, 0, orders=1),
        ("PUT", v1 + "order"): Route(orders.modify, 0, orders=1),
        ("POST", v1 + "order/test"): Route(orders.test, 0),
        ("GET", v1 + "order"): Route(orders.query),
        ("DELETE", v1 + "order"): Route(orders.cancel),
        ("DELETE", v1 + "allOpenOrders"): Route(orders.cancel_all),
        ("POST", v1 + "batchOrders"): Route(batch.place, 5, orders=5),
        ("PUT", v1 + "batchOrders"): Route(batch.modify, 5, orders=5),
        ("DELETE", v1 + "batchOrders"): Route(batch.cancel),
        ("POST", v1 + "countdownCancelAll"): Route(orders.countdown, 10),
        ("GET", v1 + "openOrder"): Route(orders.open_order),
        ("GET", v1 + "openOrders"): Route(history.open_orders, per_symbol(1, 40)),
        ("GET", v1 + "allOrders"): Route(history.all_orders, 5),
        ("GET", v1 + "orderAmendment"): Route(history.amendments),
        ("GET", v1 + "userTrades"): Route(history.user_trades, 5),
        ("GET", v1 + "forceOrders"): Route(history.force_orders, per_symbol(20, 50)),
        ("GET", v1 + "rateLimit/order"): Route(lambda _ex, _acc, _p: Limits().order_rows()),
        ("POST", v1 + "algoOrder"): Route(algo_orders.place, 0, orders=1),
        ("GET", v1 + "algoOrder"): Route(algo_orders.query),
        ("DELETE", v1 + "algoOrder"): Route(algo_orders.cancel),
        ("GET", v1 + "openAlgoOrders"): Route(algo_orders.open_algos, per_symbol(1, 40)),
        ("GET", v1 + "allAlgoOrders"): Route(algo_orders.all_algos, 5),
        ("DELETE", v1 + "algoOpenOrders"): Route(algo_orders.cancel_all),
    }


def account_routes(v1: str, v2: str, v3: str) -> Routes:
    """Money, positions and settings."""
    return {
        ("GET", v2 + "account"): Route(account_views.account_v2, 5),
        ("GET", v3 + "account"): Route(account_views.account, 5),
        ("GET", v2 + "balance"): Route(account_views.balance, 5),
        ("GET", v3 + "balance"): Route(account_views.balance, 5),
        ("GET", v2 + "positionRisk"): Route(account_views.position_risk_v2, 5),
        ("GET", v3 + "positionRisk"): Route(account_views.position_risk, 5),
        ("GET", v1 + "income"): Route(history.income, 30),
        **{("GET", f"{v1}{past}/asyn"): Route(downloads.order_of, 1000) for past in downloads.PASTS},
        **{("GET", f"{v1}{past}/asyn/id"): Route(downloads.link_of(past), 10) for past in downloads.PASTS},
        ("POST", v1 + "stock/contract"): Route(settings.stock_contract, 50),
        ("GET", v1 + "pmAccountInfo"): Route(account_views.withdrawable, 5),
        ("GET", v1 + "accountConfig"): Route(account_views.account_config, 5),
        ("GET", v1 + "symbolConfig"): Route(account_views.symbol_config, 5),
        ("GET", v1 + "leverageBracket"): Route(account_views.leverage_bracket),
        ("GET", v1 + "commissionRate"): Route(account_views.commission_rate, 20),
        ("GET", v1 + "adlQuantile"): Route(account_views.adl_quantile, 5),
        ("POST", v1 + "leverage"): Route(settings.leverage),
        ("POST", v1 + "marginType"): Route(settings.margin_type),
        ("POST", v1 + "positionMargin"): Route(settings.position_margin),
        ("GET", v1 + "positionMargin/history"): Route(settings.margin_history),
        ("POST", v1 + "positionSide/dual"): Route(settings.set_dual),
        ("GET", v1 + "positionSide/dual"): Route(settings.get_dual, 30),
        ("POST", v1 + "multiAssetsMargin"): Route(settings.set_multi),
        ("GET", v1 + "multiAssetsMargin"): Route(settings.get_multi, 30),
        ("POST", v1 + "feeBurn"): Route(settings.set_burn),
        ("GET", v1 + "feeBurn"): Route(settings.get_burn, 30),
        ("POST", v1 + "listenKey"): Route(user_stream.start, 1, KEY),
        ("PUT", v1 + "listenKey"): Route(user_stream.ping, 1, KEY),
        ("DELETE", v1 + "listenKey"): Route(user_stream.stop, 1, KEY),
    }


def convert_routes(base: str) -> Routes:
    """Conversion of coins, by a desk of its own."""
    desk = convert.Desk()
    return {
        ("GET", base + "exchangeInfo"): Route(convert.pairs, 20, NONE),
        ("POST", base + "getQuote"): Route(desk.quote, 50),
        ("POST", base + "acceptQuote"): Route(desk.accept, 200),
        ("GET", base + "orderStatus"): Route(desk.status, 50),
    }


def rest_routes() -> Routes:
    """By (method, path)."""
    v1, v2, v3 = "/fapi/v1/", "/fapi/v2/", "/fapi/v3/"
    return public_routes() | order_routes(v1) | account_routes(v1, v2, v3) | convert_routes(v1 + "convert/")


METHODS = PUBLIC_METHODS | {
    "order.place": Route(orders.place_unnamed, 0, orders=1),
    "order.modify": Route(orders.modify, 0, orders=1),
    "order.cancel": Route(orders.cancel),
    "order.status": Route(orders.query),
    "algoOrder.place": Route(algo_orders.place, 0, orders=1),
    "algoOrder.cancel": Route(algo_orders.cancel),
    "account.balance": Route(account_views.balance, 5),
    "v2/account.balance": Route(account_views.balance, 5),
    "account.status": Route(account_views.account_v2, 5),
    "v2/account.status": Route(account_views.account, 5),
    "account.position": Route(account_views.position_risk_v2, 5),
    "v2/account.position": Route(account_views.position_risk, 5),
    "userDataStream.start": Route(user_stream.start, 1, KEY),
    "userDataStream.ping": Route(user_stream.ping, 1, KEY),
    "userDataStream.stop": Route(user_stream.stop, 1, KEY),
}
