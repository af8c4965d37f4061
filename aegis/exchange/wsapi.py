"""The WebSocket API: orders and account over one socket, signed per message or by an Ed25519 logon.

What must stay true: ids are echoed with their own type; a logged-on connection still sends a fresh timestamp; a
method answers the same as its REST twin, because both run the same handler.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from aegis.errors import VenueError
from aegis.exchange.auth import Gate, Key
from aegis.exchange.engine import Exchange
from aegis.exchange.limits import Limits
from aegis.exchange.public import LIMITS
from aegis.exchange.route import NONE, SIGNED
from aegis.exchange.routes import METHODS


def text_of(value: Any) -> str:
    """A parameter as it is signed: texts as they are, booleans and numbers in JSON's spelling."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


class Session:
    """One connection: the key it is logged on with, if any."""

    def __init__(self) -> None:
        self.key: Key | None = None
        self.since_ms = 0
        self.connected_ms = 0


class WsApi:
    """The WebSocket API door."""

    def __init__(self, ex: Exchange, gate: Gate, limits: Limits, lifetime_s: float) -> None:
        self.ex, self.gate, self.limits, self.lifetime_s = ex, gate, limits, lifetime_s
        self.transports: set[asyncio.Transport] = set()

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Run one connection."""
        with_limits = request.query.get("returnRateLimits", "true") != "false"
        ws = web.WebSocketResponse(heartbeat=180.0, compress=False, max_msg_size=1 << 20)
        await ws.prepare(request)
        self.limits.charge(5, self.ex.clock())
        session = Session()
        session.connected_ms = self.ex.clock()
        transport = request.transport
        if isinstance(transport, asyncio.Transport):
            self.transports.add(transport)
        timer = asyncio.get_running_loop().call_later(
            self.lifetime_s, lambda: asyncio.ensure_future(ws.close(code=1001))
        )
        try:
            async for msg in ws:
                if msg.type != WSMsgType.TEXT:
                    break
                await self.handle(request, ws, session, msg.data, with_limits)
        except ConnectionError:
            return ws
        finally:
            timer.cancel()
            self.transports.discard(transport)
        return ws

    async def handle(
        self, request: web.Request, ws: web.WebSocketResponse, session: Session, text: str, with_limits: bool
    ) -> None:
        """Answer one message, with the planted fault it meets."""
        ident, status, body = self.decode(text)
        fault = self.ex.faults.next(f"WS {body[0]}") if status == 200 else None
        if fault is not None and fault.delay_ms:
            await asyncio.sleep(fault.delay_ms / 1000)
        if fault is not None and fault.kind == "error":
            reply: dict[str, Any] = {
                "id": ident,
                "status": fault.status,
                "error": {"code": fault.code, "msg": fault.msg},
            }
        elif status != 200:
            reply = {"id": ident, "status": status, "error": body[1]}
        else:
            reply = self.run(session, ident, *body)
        if fault is not None and fault.kind == "drop_reply":
            if request.transport is not None:
                request.transport.abort()
            return
        if with_limits:
            counts = (self.limits.used, len(self.limits.stamps), self.limits.recent(self.ex.clock()))
            reply["rateLimits"] = [{**row, "count": n} for row, n in zip(LIMITS, counts, strict=True)]
        await ws.send_str(msgspec.json.encode(reply).decode())

    @staticmethod
    def decode(text: str) -> tuple[Any, int, tuple[str, dict[str, Any]]]:
        """(id, 200, (method, params)), or (id, 400, ("", error)) for what is not a request."""
        try:
            asked = msgspec.json.decode(text)
            method, params = asked["method"], asked.get("params") or {}
            if isinstance(method, str) and isinstance(params, dict):
                return asked.get("id"), 200, (method, params)
        except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
            pass
        return None, 400, ("", {"code": -1135, "msg": "Invalid JSON request."})

    def run(self, session: Session, ident: Any, method: str, raw: dict[str, Any]) -> dict[str, Any]:
        """The reply to a well-formed request."""
        try:
            return {
                "id": ident,
                "status": 200,
                "result": self.dispatch(session, method, {k: text_of(v) for k, v in raw.items()}),
            }
        except VenueError as e:
            return {"id": ident, "status": e.status, "error": {"code": e.code, "msg": e.msg}}

    def dispatch(self, session: Session, method: str, p: dict[str, str]) -> Any:
        """Count, authenticate, run."""
        now = self.ex.clock()
        if method.startswith("session."):
            self.limits.charge(2, now)
            return self.session(session, method, p, now)
        route = METHODS.get(method)
        if route is None:
            raise VenueError(-1000, f"Unknown method {method}", 400)
        weight = route.weight if isinstance(route.weight, int) else route.weight(p)
        if self.limits.charge(weight, now) > self.limits.weight_max:
            raise VenueError(-1003, "Too many requests.", 429)
        if route.security == NONE:
            return route.run(self.ex, p)
        key = session.key
        if route.security == SIGNED:
            if key is not None and "signature" not in p:
                self.gate.fresh(p, now)
            else:
                key, p = self.gate.key(p.get("apiKey")), self.gate.message(p, now)
        elif key is None:
            key = self.gate.key(p.get("apiKey"))
        if route.orders:
            self.limits.order(route.orders, now)
        return route.run(self.ex, self.ex.accounts[key.account], p)

    def session(self, session: Session, method: str, p: dict[str, str], now: int) -> dict[str, Any]:
        """session.logon / .status / .logout."""
        if method == "session.logon":
            key = self.gate.key(p.get("apiKey"))
            if key.public is None:
                raise VenueError(-4056, "HMAC_SHA256 API key is not supported.", 400)
            self.gate.message(p, now)
            if len(p.get("signature", "")) == 64:
                raise VenueError(-4056, "HMAC_SHA256 API key is not supported.", 400)
            session.key, session.since_ms = key, now
        elif method == "session.logout":
            session.key, session.since_ms = None, 0
        elif method != "session.status":
            raise VenueError(-1000, f"Unknown method {method}", 400)
        return {
            "apiKey": session.key.api_key if session.key else None,
            "authorizedSince": session.since_ms or None,
            "connectedSince": session.connected_ms,
            "returnRateLimits": True,
            "serverTime": now,
        }
