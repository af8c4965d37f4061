"""REST: the way of one HTTP request: counted, authenticated, run, answered as the venue writes it.

What must stay true: a request is counted before it is served; a signed one is verified over its exact bytes before a
parameter is acted on; every refusal is JSON {"code","msg"} with the HTTP status of its kind; counts of orders are
told only with an accepted order.
"""

from __future__ import annotations

import asyncio
from http.client import responses
from typing import Any

import msgspec
from aiohttp import web

from aegis.errors import VenueError
from aegis.exchange.auth import Gate, parse_pairs
from aegis.exchange.engine import Exchange
from aegis.exchange.faults.hooks import Answer, Result
from aegis.exchange.limits import Limits, TooMany
from aegis.exchange.route import NONE, SIGNED, Route
from aegis.exchange.routes import rest_routes

JSON = "application/json;charset=UTF-8"
UNKNOWN = "An unknown error occurred while processing the request."


def wire(answer: Answer) -> bytes:
    """An answer as HTTP/1.1 bytes, for a connection that will break inside it."""
    rows = answer.headers | {"Content-Length": str(len(answer.body))}
    head = [f"HTTP/1.1 {answer.status} {responses.get(answer.status, '')}", *(f"{k}: {v}" for k, v in rows.items())]
    return ("\r\n".join(head) + "\r\n\r\n").encode() + answer.body


class Rest:
    """The HTTP door."""

    def __init__(self, ex: Exchange, gate: Gate, limits: Limits) -> None:
        self.ex, self.gate, self.limits = ex, gate, limits
        self.routes = rest_routes()
        self.routes["GET", "/fapi/v1/rateLimit/order"] = Route(lambda _ex, _acc, _p: limits.order_rows())
        info = self.routes["GET", "/fapi/v1/exchangeInfo"]
        self.routes["GET", "/fapi/v1/exchangeInfo"] = Route(
            lambda ex, p: info.run(ex, p) | {"rateLimits": limits.rows()}, info.weight, NONE
        )
        self.paths = {path for _, path in self.routes}

    def answer(self, ip: str, status: int, body: Any) -> Answer:
        """A JSON answer with the weight used so far."""
        used = self.limits.used(ip, self.ex.clock())
        return Answer(status, msgspec.json.encode(body), {"Content-Type": JSON, "X-MBX-USED-WEIGHT-1M": str(used)})

    def refusal(self, ip: str, e: VenueError) -> Answer:
        """A refusal with its status; one for going too fast says when to come again."""
        answer = self.answer(ip, e.status, {"code": e.code, "msg": e.msg})
        if isinstance(e, TooMany):
            answer.headers["Retry-After"] = str(e.retry_after_s)
        return answer

    def spoilt(self, ip: str, done: Answer, e: VenueError) -> Answer:
        """A refusal in place of an answer, with the rest of what befell it."""
        answer = self.refusal(ip, e)
        answer.delay_ms, answer.cut = done.delay_ms, done.cut
        return answer

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, with the planted faults it meets."""
        path, _, query = request.raw_path.partition("?")
        ip, name = request.remote or "", f"{request.method} {path}"
        try:
            body = await request.read()
        except (web.HTTPRequestEntityTooLarge, web.RequestPayloadError) as e:
            status = 413 if isinstance(e, web.HTTPRequestEntityTooLarge) else 400
            unread = self.answer(ip, status, {"code": -1000, "msg": UNKNOWN})
            return web.Response(status=status, body=unread.body, headers=unread.headers)
        planted = self.ex.faults.before(name, lambda: parse_pairs(body) | parse_pairs(query.encode()))
        if planted is not None and planted.delay_ms:
            await asyncio.sleep(planted.delay_ms / 1000)
        instead = planted.instead if planted is not None else None
        if isinstance(instead, Answer):
            answer = instead
        elif isinstance(instead, Result):
            answer = self.answer(ip, 200, instead.value)
        else:
            try:
                if instead is not None:
                    raise instead
                answer = self.run(request, ip, path, query.encode("utf-8", "surrogateescape"), body)
            except VenueError as e:
                answer = self.refusal(ip, e)
        answer = self.ex.faults.after(name, answer)
        if answer.error is not None:
            answer = self.spoilt(ip, answer, answer.error)
        if answer.delay_ms:
            await asyncio.sleep(answer.delay_ms / 1000)
        if answer.cut is not None:
            self.cut(request, answer)
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)

    @staticmethod
    def cut(request: web.Request, answer: Answer) -> None:
        """Let the first bytes of an answer leave, then break the connection."""
        transport = request.transport
        if transport is None:
            return
        if answer.cut:
            transport.write(wire(answer)[: answer.cut])
            transport.close()
        else:
            transport.abort()

    def route(self, method: str, path: str) -> Route:
        """The route of a request; HEAD runs as GET. 404 for an unknown path, 405 for a known one's other methods."""
        route = self.routes.get(("GET" if method == "HEAD" else method, path))
        if route is None:
            raise VenueError(-5000, f"Path {path}, Method {method} is invalid", 405 if path in self.paths else 404)
        return route

    def run(self, request: web.Request, ip: str, path: str, query: bytes, body: bytes) -> Answer:
        """Count, authenticate, dispatch; VenueError for whatever the venue refuses."""
        route, now = self.route(request.method, path), self.ex.clock()
        p = parse_pairs(body) | parse_pairs(query)
        weight = route.weight if isinstance(route.weight, int) else route.weight(p)
        self.limits.charge(ip, weight, now, path=path)
        if route.security == NONE:
            answer = self.answer(ip, 200, route.run(self.ex, p))
            if path.startswith("/api/"):  # the spot door tells it under its old name too
                answer.headers["X-MBX-USED-WEIGHT"] = answer.headers["X-MBX-USED-WEIGHT-1M"]
            return answer
        key = self.gate.key(request.headers.get("X-MBX-APIKEY"), ip)
        if route.security == SIGNED:
            p = self.gate.rest(key, query, body, now)
        self.gate.permit(key, route.security == SIGNED and request.method not in ("GET", "HEAD"), ip)
        if route.orders:
            self.limits.order(key.account, route.orders, now)
        acc = self.ex.faults.seen(f"{request.method} {path}", self.ex.accounts[key.account])
        answer = self.answer(ip, 200, route.run(self.ex, acc, p))
        if route.orders:
            ten_s, minute = self.limits.order_counts(key.account, now)
            answer.headers |= {"X-MBX-ORDER-COUNT-10S": str(ten_s), "X-MBX-ORDER-COUNT-1M": str(minute)}
        return answer
