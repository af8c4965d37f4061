"""The WebSocket API: orders and account over one socket, signed per message or by an Ed25519 logon.

Problem: numbers lose their spelling when they are decoded, and the spelling is what was signed; so numbers with a
fraction stay text, and an id goes back as the very bytes that came.
What must stay true: ids are echoed with their own type; a logged-on connection still sends a fresh timestamp; a
method answers the same as its REST twin, because both run the same handler; a delayed answer holds up no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from aiohttp import WSMessage, WSMsgType, web

from aegis.errors import VenueError
from aegis.exchange.auth import Gate, Key
from aegis.exchange.engine import Exchange
from aegis.exchange.faults.hooks import Answer, Result
from aegis.exchange.limits import HANDSHAKE_WEIGHT, Limits, TooMany, Window
from aegis.exchange.outbox import Outbox
from aegis.exchange.rest import JSON
from aegis.exchange.route import KEY, NONE, Route
from aegis.exchange.routes import METHODS
from aegis.exchange.wire import PING, PONG

PING_S = 180.0
PONG_DEADLINE_S = 600.0
CONTROL_FRAMES_PER_S = 5
NULL = msgspec.Raw(b"null")
READING = ("order.status",)  # every other order.* and algoOrder.* method trades


class Asked(msgspec.Struct):
    """A request as it came."""

    method: str
    id: msgspec.Raw = NULL
    params: dict[str, Any] | None = None


class Ident(msgspec.Struct):
    """The id of what is no request otherwise."""

    id: msgspec.Raw = NULL


ASKED = msgspec.json.Decoder(Asked, float_hook=str)
IDENT = msgspec.json.Decoder(Ident)
ENCODE = msgspec.json.Encoder().encode


def text_of(value: Any) -> str:
    """A parameter as it is signed: texts as they are, everything else in JSON's spelling."""
    if type(value) is str:
        return value
    return str(value) if type(value) is int else ENCODE(value).decode()


def params_of(asked: Asked | VenueError | Result) -> dict[str, str]:
    """Parameters of a request as texts; none of what is no request."""
    if not isinstance(asked, Asked) or not asked.params:
        return {}
    return {k: text_of(v) for k, v in asked.params.items()}


def echo(ident: msgspec.Raw) -> bytes:
    """An id as the client wrote it; -1135 for what is no integer, text or null."""
    raw = bytes(ident)
    if raw[:1] == b'"' or raw == b"null" or raw.lstrip(b"-").isdigit():
        return raw
    raise VenueError(-1135, "Invalid 'id' in JSON request; expected an integer, a string or null.")


def decode(text: str) -> tuple[bytes, Asked | VenueError]:
    """(id to echo, request), or (id or null, refusal) for what is none."""
    try:
        asked = ASKED.decode(text)
        return echo(asked.id), asked
    except VenueError as e:
        return b"null", e
    except msgspec.ValidationError as e:
        what = "params" if "$.params" in str(e) else "method"
        kind = "an object" if what == "params" else "a string"
        try:
            ident = echo(IDENT.decode(text).id)
        except (msgspec.MsgspecError, VenueError):
            return b"null", VenueError(-1135, "Invalid JSON request; expected an object.")
        return ident, VenueError(-1135, f"Invalid '{what}' in JSON request; expected {kind}.")
    except (msgspec.DecodeError, RecursionError):
        return b"null", VenueError(-1135, "Invalid JSON request; expected an object.")


class Session:
    """One connection: where its answers go, the key it is logged on with, if any, and how it is closed with a code."""

    def __init__(self, out: Outbox, ip: str, with_limits: bool, now: int) -> None:
        self.out, self.ip, self.with_limits, self.connected_ms = out, ip, with_limits, now
        self.key: Key | None = None
        self.since_ms = 0
        self.close: Callable[[int], object] = lambda _code: None
        self.control = Window(1000)
        self.pong_at = out.loop.time()

    def log_off(self) -> None:
        """Forget the key."""
        self.key, self.since_ms = None, 0

    def view(self, now: int) -> dict[str, Any]:
        """What session.* answers."""
        return {
            "apiKey": self.key.api_key if self.key else None,
            "authorizedSince": self.since_ms or None,
            "connectedSince": self.connected_ms,
            "returnRateLimits": self.with_limits,
            "serverTime": now,
        }


class WsApi:
    """
    The WebSocket API door.

    Args:
        lifetime_s: forced disconnect of a connection.
        ping_s: how often the venue pings; a client that has not answered for `pong_s` is cut off.
    """

    def __init__(self, ex: Exchange, gate: Gate, limits: Limits, lifetime_s: float, ping_s: float = PING_S) -> None:
        self.ex, self.gate, self.limits = ex, gate, limits
        self.lifetime_s, self.ping_s, self.pong_s = lifetime_s, ping_s, PONG_DEADLINE_S
        self.sessions: set[Session] = set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Run one connection; opening it counts as a request of its own."""
        ip = request.remote or ""
        try:
            self.limits.charge(ip, HANDSHAKE_WEIGHT, self.ex.clock(), ws=True)
        except TooMany as e:
            headers = {"Retry-After": str(e.retry_after_s), "Content-Type": JSON}
            return web.Response(status=e.status, body=ENCODE({"code": e.code, "msg": e.msg}), headers=headers)
        ws = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=1 << 20)
        await ws.prepare(request)
        transport = request.transport
        if not isinstance(transport, asyncio.Transport):
            return ws
        with_limits = request.query.get("returnRateLimits", "true") != "false"
        session = Session(Outbox(transport), ip, with_limits, self.ex.clock())
        session.close = partial(self.end, ws, session)
        self.sessions.add(session)
        ending = session.out.loop.call_later(self.lifetime_s, session.close, 1001)
        pinging = asyncio.create_task(self.ping(ws, session))
        try:
            async for msg in ws:
                if not self.take(session, msg):
                    await ws.close(code=1008)
                    break
        except ConnectionError:
            return ws
        finally:
            ending.cancel()
            pinging.cancel()
            self.sessions.discard(session)
        return ws

    @staticmethod
    def end(ws: web.WebSocketResponse, session: Session, code: int) -> asyncio.Future[bool]:
        """Close a connection after what is queued."""
        session.out.flush()
        return asyncio.ensure_future(ws.close(code=code))

    async def ping(self, ws: web.WebSocketResponse, session: Session) -> None:
        """Ping until the connection ends; close it when no pong has come for too long."""
        while session.out.loop.time() - session.pong_at < self.pong_s:
            await asyncio.sleep(self.ping_s)
            session.out.send(str(self.ex.clock()).encode(), PING)
        await self.end(ws, session, 1008)

    def take(self, session: Session, msg: WSMessage) -> bool:
        """Act on one message; false when the client must go."""
        if msg.type is WSMsgType.TEXT:
            self.request(session, msg.data)
            return True
        if msg.type is WSMsgType.PING:
            session.out.send(bytes(msg.data), PONG)
        elif msg.type is WSMsgType.PONG:
            session.pong_at = session.out.loop.time()
        else:
            return False
        return session.control.add(1, self.ex.clock()) <= CONTROL_FRAMES_PER_S

    def request(self, session: Session, text: str) -> None:
        """Answer one request, with the planted faults it meets."""
        ident, asked = decode(text)
        name = f"WS {asked.method}" if isinstance(asked, Asked) else "WS"
        planted = self.ex.faults.before(name, lambda: params_of(asked))
        if planted is None:
            self.finish(session, name, ident, asked)
            return
        instead = planted.instead if planted.instead is not None else asked
        if planted.delay_ms:
            session.out.loop.call_later(planted.delay_ms / 1000, self.finish, session, name, ident, instead)
        else:
            self.finish(session, name, ident, instead)

    def finish(self, session: Session, name: str, ident: bytes, asked: Asked | VenueError | Answer | Result) -> None:
        """Run what is to be run and send what came of it."""
        answer = asked if isinstance(asked, Answer) else self.run(session, ident, asked)
        answer = self.ex.faults.after(name, answer)
        if answer.error is not None:
            answer.body = self.run(session, ident, answer.error).body
        if answer.delay_ms:
            session.out.loop.call_later(answer.delay_ms / 1000, self.send, session, answer)
        else:
            self.send(session, answer)

    @staticmethod
    def send(session: Session, answer: Answer) -> None:
        """Hand an answer to the connection, or cut it there."""
        if answer.cut is None:
            session.out.send(answer.body)
        else:
            session.out.cut(answer.body, answer.cut)

    def run(self, session: Session, ident: bytes, asked: Asked | VenueError | Result) -> Answer:
        """The answer to a request, to what was none, or to one whose result a fault gives."""
        now, status, route, account = self.ex.clock(), 200, None, ""
        p: dict[str, str] = {}
        try:
            if isinstance(asked, VenueError):
                raise asked
            p = params_of(asked)
            if isinstance(asked, Result):
                result = asked.value
            elif asked.method.startswith("session."):
                result = self.session(session, asked.method, p, now)
            else:
                route = self.route(session, asked.method, p, now)
                key, p = self.caller(session, route, p, now)
                result, account = self.act(session, asked.method, route, (key, p), now)
            part = b',"result":' + ENCODE(result)
        except VenueError as e:
            status = e.status
            row: dict[str, Any] = {"code": e.code, "msg": e.msg}
            if isinstance(e, TooMany):
                row["data"] = {"serverTime": now, "retryAfter": now + e.retry_after_s * 1000}
            part = b',"error":' + ENCODE(row)
        body = b'{"id":%b,"status":%d%b' % (ident, status, part)
        if session.with_limits and p.get("returnRateLimits") != "false":
            body += b',"rateLimits":' + self.rates(session, account if route and route.orders else "", now)
        return Answer(status, body + b"}")

    def rates(self, session: Session, account: str, now: int) -> bytes:
        """The rateLimits of an answer: weight, and the orders of `account` unless it is empty."""
        rows = []
        if account:
            counts = self.limits.order_counts(account, now)
            rows = [row | {"count": n} for row, n in zip(self.limits.order_rows(), counts, strict=True)]
        rows.append(self.limits.weight_row() | {"count": self.limits.used(session.ip, now, ws=True)})
        return ENCODE(rows)

    def route(self, session: Session, method: str, p: dict[str, str], now: int) -> Route:
        """Find a method and count it."""
        route = METHODS.get(method)
        if route is None:
            raise VenueError(-1000, f"Unknown method {method}")
        weight = route.weight if isinstance(route.weight, int) else route.weight(p)
        self.limits.charge(session.ip, weight, now, ws=True)
        return route

    def caller(self, session: Session, route: Route, p: dict[str, str], now: int) -> tuple[Key | None, dict[str, str]]:
        """(who asks, verified parameters); nobody for a public method. A logged-on connection needs no signature."""
        known, ip = session.key, session.ip
        if route.security == NONE:
            return None, p
        if route.security == KEY:
            return (known if known is not None and "apiKey" not in p else self.gate.key(p.get("apiKey"), ip)), p
        if known is not None and "signature" not in p and p.get("apiKey", known.api_key) == known.api_key:
            self.gate.fresh(p, now)
            return known, p
        key = self.gate.key(p.get("apiKey"), ip)
        return key, self.gate.message(key, p, now)

    def act(
        self, session: Session, method: str, route: Route, who: tuple[Key | None, dict[str, str]], now: int
    ) -> tuple[Any, str]:
        """(result, account whose orders were counted) of an authenticated request."""
        key, p = who
        if key is None:
            return route.run(self.ex, p), ""
        trade = method.startswith(("order.", "algoOrder.")) and method not in READING
        self.gate.permit(key, trade, session.ip)
        if route.orders:
            self.limits.order(key.account, route.orders, now)
        acc = self.ex.faults.seen(f"WS {method}", self.ex.accounts[key.account])
        return route.run(self.ex, acc, p), key.account

    def session(self, session: Session, method: str, p: dict[str, str], now: int) -> dict[str, Any]:
        """session.logon / .status / .logout."""
        self.limits.charge(session.ip, 2, now, ws=True)
        if method == "session.logon":
            key = self.gate.key(p.get("apiKey"), session.ip)
            if not key.may_log_on or len(p.get("signature", "")) == 64:
                kind = "HMAC_SHA256" if key.public is None or key.may_log_on else "RSA"
                raise VenueError(-4056, f"{kind} API key is not supported.")
            self.gate.message(key, p, now)
            session.key, session.since_ms = key, now
        elif method == "session.logout":
            session.log_off()
        elif method != "session.status":
            raise VenueError(-1000, f"Unknown method {method}")
        return session.view(now)

    def revoke(self, api_key: str) -> bool:
        """Take a key away: connections logged on with it are told and logged off; false when there was none."""
        found = self.gate.revoke(api_key)
        notice = {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}
        for session in [s for s in self.sessions if s.key is not None and s.key.api_key == api_key]:
            session.log_off()
            session.out.send(b'{"id":null,"status":401,"error":%b}' % ENCODE(notice))
        return found
