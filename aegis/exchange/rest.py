"""REST: the routing table, weights, signatures, errors as the venue writes them. Handlers live in `public` and
`private`.

What must stay true: a request is counted before it is served; a signed one is verified before a parameter is read;
every refusal is JSON {"code","msg"} with the HTTP status of its kind.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from aegis.errors import VenueError
from aegis.exchange.auth import Gate, parse_pairs
from aegis.exchange.clock import now_ms
from aegis.exchange.engine import Exchange
from aegis.exchange.limits import Limits
from aegis.exchange.route import NONE, SIGNED
from aegis.exchange.routes import rest_routes


class Rest:
    """The HTTP door."""

    def __init__(self, ex: Exchange, gate: Gate, limits: Limits) -> None:
        self.ex, self.gate, self.limits, self.routes = ex, gate, limits, rest_routes()
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
        if route.security == NONE:
            return self.answer(200, route.run(self.ex, plain))
        account = self.ex.accounts[self.gate.key(api_key).account]
        if route.security == SIGNED:
            plain = self.gate.rest(api_key, query, body, now)
        if route.orders:
            self.limits.order(route.orders, now)
        return self.answer(200, route.run(self.ex, account, plain))
