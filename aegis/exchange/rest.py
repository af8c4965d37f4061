"""REST: the routing table, weights, signatures, errors as the venue writes them. Handlers live in `public` and
`private`.

What must stay true: a request is counted before it is served; a signed one is verified before a parameter is read;
every refusal is JSON {"code","msg"} with the HTTP status of its kind.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from aegis.errors import VenueError
from aegis.exchange import orders, private, public
from aegis.exchange.auth import Gate, parse_pairs
from aegis.exchange.clock import now_ms
from aegis.exchange.engine import Exchange
from aegis.exchange.orders import Params
from aegis.limits import WEIGHT_PER_MINUTE

NONE, KEY, SIGNED = 0, 1, 2
Handler = Callable[[Exchange, Params], Any]


@dataclass(frozen=True, slots=True)
class Route:
    """A handler with its weight (number or function of parameters), security and count of orders."""

    run: Handler
    weight: int | Callable[[Params], int] = 1
    security: int = SIGNED
    orders: int = 0


def depth_weight(p: Params) -> int:
    """Weight of a depth request by its limit."""
    limit = p.get("limit", "500")
    count = int(limit) if limit.isdigit() else 500
    return 2 if count <= 50 else 5 if count <= 100 else 10 if count <= 500 else 20


def klines_weight(p: Params) -> int:
    """Weight of a klines request by its limit."""
    limit = p.get("limit", "500")
    count = int(limit) if limit.isdigit() else 500
    return 1 if count < 100 else 2 if count < 500 else 5 if count <= 1000 else 10


def per_symbol(one: int, every: int) -> Callable[[Params], int]:
    """Weight that depends on whether a symbol was given."""
    return lambda p: one if p.get("symbol") else every


def table() -> dict[tuple[str, str], Route]:
    """Everything the venue answers."""
    v1, v2, v3 = "/fapi/v1/", "/fapi/v2/", "/fapi/v3/"

    def pub(run: Handler, weight: int | Callable[[Params], int] = 1) -> Route:
        return Route(run, weight, NONE)

    routes = {
        ("GET", v1 + "ping"): pub(lambda _ex, _p: {}),
        ("GET", v1 + "time"): pub(lambda ex, _p: {"serverTime": ex.clock()}),
        ("GET", v1 + "exchangeInfo"): pub(public.exchange_info),
        ("GET", v1 + "depth"): pub(public.depth, depth_weight),
        ("GET", v1 + "trades"): pub(public.trades, 5),
        ("GET", v1 + "historicalTrades"): Route(public.trades, 200, KEY),
        ("GET", v1 + "aggTrades"): pub(public.agg_trades, 20),
        ("GET", v1 + "klines"): pub(public.klines, klines_weight),
        ("GET", v1 + "premiumIndex"): pub(public.premium_index, per_symbol(1, 10)),
        ("GET", v1 + "fundingRate"): pub(public.funding_rate),
        ("GET", v1 + "fundingInfo"): pub(public.funding_info),
        ("GET", v1 + "ticker/bookTicker"): pub(public.book_ticker, per_symbol(2, 5)),
        ("GET", v1 + "ticker/price"): pub(public.ticker_price, per_symbol(1, 2)),
        ("GET", v2 + "ticker/price"): pub(public.ticker_price, per_symbol(1, 2)),
        ("GET", v1 + "ticker/24hr"): pub(public.ticker_day, per_symbol(1, 40)),
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
        ("GET", v1 + "openAlgoOrders"): Route(lambda _ex, _p: [], per_symbol(1, 40)),
        ("DELETE", v1 + "algoOpenOrders"): Route(
            lambda _ex, _p: {"code": 200, "msg": "The operation of cancel all open order is done."}
        ),
        ("GET", v1 + "allOrders"): Route(private.all_orders, 5),
        ("GET", v1 + "userTrades"): Route(private.user_trades, 5),
        ("GET", v1 + "income"): Route(private.income, 30),
        ("GET", v1 + "accountConfig"): Route(private.account_config, 5),
        ("GET", v1 + "symbolConfig"): Route(private.symbol_config, 5),
        ("GET", v1 + "leverageBracket"): Route(private.leverage_bracket),
        ("GET", v1 + "commissionRate"): Route(private.commission_rate, 20),
        ("GET", v1 + "rateLimit/order"): Route(public.order_limits),
        ("GET", v1 + "positionSide/dual"): Route(lambda _ex, _p: {"dualSidePosition": False}, 30),
        ("GET", v1 + "multiAssetsMargin"): Route(lambda _ex, _p: {"multiAssetsMargin": False}, 30),
        ("GET", v1 + "feeBurn"): Route(lambda _ex, _p: {"feeBurn": False}, 30),
        ("POST", v1 + "listenKey"): Route(private.listen_start, 1, KEY),
        ("PUT", v1 + "listenKey"): Route(private.listen_ping, 1, KEY),
        ("DELETE", v1 + "listenKey"): Route(private.listen_stop, 1, KEY),
    }
    for version in (v2, v3):
        routes["GET", version + "account"] = Route(private.account, 5)
        routes["GET", version + "balance"] = Route(private.balance, 5)
        routes["GET", version + "positionRisk"] = Route(private.position_risk, 5)
    return routes


class Limits:
    """Counters of weight per minute and of orders per 10 s and minute."""

    def __init__(self, weight_max: int = WEIGHT_PER_MINUTE) -> None:
        self.weight_max, self.used, self.minute = weight_max, 0, 0
        self.stamps: deque[int] = deque()

    def charge(self, weight: int, now: int) -> int:
        """Count `weight`; returns the used weight of this minute."""
        minute = now // 60_000
        if minute != self.minute:
            self.minute, self.used = minute, 0
        self.used += weight
        return self.used

    def order(self, count: int, now: int) -> None:
        """Count orders; -1015 over 300 in 10 s or 1200 in a minute."""
        while self.stamps and self.stamps[0] < now - 60_000:
            self.stamps.popleft()
        if len(self.stamps) + count > 1200 or self.recent(now) + count > 300:
            raise VenueError(-1015, "Too many new orders; current limit is 300 orders per TEN_SECONDS.", 429)
        self.stamps.extend([now] * count)

    def recent(self, now: int) -> int:
        """Orders of the last 10 s."""
        return sum(1 for t in self.stamps if t > now - 10_000)


class Rest:
    """The HTTP door."""

    def __init__(self, ex: Exchange, gate: Gate, limits: Limits) -> None:
        self.ex, self.gate, self.limits, self.routes = ex, gate, limits, table()
        self.paths = {path for _, path in self.routes}

    def answer(self, status: int, body: Any) -> web.Response:
        """A JSON response with the limit headers."""
        headers = {
            "X-MBX-USED-WEIGHT-1M": str(self.limits.used),
            "X-MBX-ORDER-COUNT-10S": str(self.limits.recent(now_ms())),
            "X-MBX-ORDER-COUNT-1M": str(len(self.limits.stamps)),
        }
        return web.Response(
            status=status, body=msgspec.json.encode(body), content_type="application/json", headers=headers
        )

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, with the planted fault it meets, if any."""
        path, _, query = request.raw_path.partition("?")
        body = (await request.read()).decode("utf-8", "replace")
        fault = self.ex.faults.next(f"{request.method} {path}")
        if fault is not None:
            if fault.delay_ms:
                await asyncio.sleep(fault.delay_ms / 1000)
            if fault.kind == "error":
                return self.answer(fault.status, {"code": fault.code, "msg": fault.msg})
        try:
            response = self.run(request, path, query, body)
        except VenueError as e:
            response = self.answer(e.status, {"code": e.code, "msg": e.msg})
        if fault is not None and fault.kind == "drop_reply" and request.transport is not None:
            request.transport.abort()
        return response

    def run(self, request: web.Request, path: str, query: str, body: str) -> web.Response:
        """Count, authenticate, dispatch."""
        route = self.routes.get((request.method, path))
        if route is None:
            status = 405 if path in self.paths else 404
            return self.answer(
                status,
                {"code": -1000 if status == 405 else -5000, "msg": f"Path {path}, Method {request.method} is invalid"},
            )
        now = self.ex.clock()
        plain = parse_pairs(body) | parse_pairs(query)
        weight = route.weight if isinstance(route.weight, int) else route.weight(plain)
        if self.limits.charge(weight, now) > self.limits.weight_max:
            response = self.answer(
                429,
                {
                    "code": -1003,
                    "msg": f"Too many requests; current limit is {self.limits.weight_max} request weight per 1 MINUTE.",
                },
            )
            response.headers["Retry-After"] = str(60 - now // 1000 % 60)
            return response
        api_key = request.headers.get("X-MBX-APIKEY")
        if route.security == SIGNED:
            plain = self.gate.rest(api_key, query, body, now)
        elif route.security == KEY:
            self.gate.key(api_key)
        if route.orders:
            self.limits.order(route.orders, now)
        return self.answer(200, route.run(self.ex, plain))
