"""Websocket subscriptions: routes, stream names, user channels and what each connection is owed.

Problem: the venue acknowledges a stream asked for on the wrong route and then never sends a frame; clients that trust
the acknowledgement are blind without knowing. This file reproduces that, and keeps one slow reader from holding up
the others.
What must stay true: a frame is built only when somebody gets it; frames of one connection keep their order; a
connection that lets more than QUEUE_MAX frames pile up is closed (1008), never silently thinned.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from urllib.parse import parse_qsl, unquote

import msgspec
from aiohttp import WSMsgType, web

from aegis.exchange.clock import mono_ns

STREAMS_MAX = 1024
MESSAGES_PER_S = 10
QUEUE_MAX = 200_000
DAY_S = 86_400.0
PUBLIC = ("bookTicker", "depth", "rpiDepth", "trade")


def route_of(stream: str) -> str:
    """The route that carries a stream name."""
    if stream == "!bookTicker":
        return "public"
    kind = stream.partition("@")[2]
    known = kind.split("@")[0].rstrip("0123456789")
    return "public" if known in PUBLIC else "market"


class Conn:
    """
    One websocket: its route, form, subscriptions and outgoing queue.

    Attributes:
        keys: listen keys of a private one.
        events: heads of the only user events it asked for; empty for all.
    """

    def __init__(self, route: str, combined: bool) -> None:
        self.route, self.combined = route, combined
        self.names: dict[str, None] = {}
        self.keys: set[str] = set()
        self.events: tuple[str, ...] = ()
        self.queue: deque[str] = deque()
        self.wake = asyncio.Event()
        self.closing = 0
        self.stamps: deque[int] = deque()

    def push(self, text: str) -> None:
        """Queue one text frame."""
        if len(self.queue) >= QUEUE_MAX:
            self.close(1008)
        self.queue.append(text)
        self.wake.set()

    def close(self, code: int) -> None:
        """Ask the writer to close with `code` after what is queued (at once for 1008)."""
        self.closing = code
        self.wake.set()

    def flooded(self) -> bool:
        """Count one client message; true when it is over the allowed rate."""
        now = mono_ns()
        self.stamps.append(now)
        while self.stamps[0] < now - 1_000_000_000:
            self.stamps.popleft()
        return len(self.stamps) > MESSAGES_PER_S


class Hub:
    """
    Who gets what.

    Args:
        lifetime_s: forced disconnect after this.

    Attributes:
        frames_sent: market frames given to connections (no acknowledgements, no user events).
        on_subscribe: called with a stream name when it gets a reader on its right route.
    """

    def __init__(self, lifetime_s: float = DAY_S) -> None:
        self.readers: dict[str, set[Conn]] = {}
        self.conns: set[Conn] = set()
        self.lifetime_s = lifetime_s
        self.on_subscribe: Callable[[str], None] = lambda _name: None
        self.key_known: Callable[[str], bool] = lambda _key: False
        self.mute_private = False
        self.frames_sent = 0

    def wants(self, name: str) -> bool:
        """Is anybody served this stream?"""
        return bool(self.readers.get(name))

    def publish(self, name: str, payload: str) -> None:
        """Send a payload to the readers of a stream, wrapped where the connection is combined."""
        wrapped = ""
        readers = self.readers.get(name, ())
        self.frames_sent += len(readers)
        for conn in readers:
            if conn.combined:
                wrapped = wrapped or f'{{"stream":"{name}","data":{payload}}}'
                conn.push(wrapped)
            else:
                conn.push(payload)

    def relay(self, name: str, frame: str, payload: str) -> None:
        """Send a captured frame: whole to combined connections, its payload to raw ones."""
        readers = self.readers.get(name, ())
        self.frames_sent += len(readers)
        for conn in readers:
            conn.push(frame if conn.combined else payload)

    def user(self, payload: str, key: str) -> None:
        """Send a user event to every connection of the listen key."""
        if self.mute_private:
            return
        for conn in self.conns:
            if key in conn.keys and (not conn.events or payload.startswith(conn.events)):
                conn.push(f'{{"stream":"{key}","data":{payload}}}' if conn.combined else payload)

    def subscribe(self, conn: Conn, names: list[str]) -> None:
        """Add streams; those on the wrong route are kept in the list and never served."""
        for name in names:
            conn.names[name] = None
            if conn.route == "private" or (conn.route == "any" and self.key_known(name)):
                conn.keys.add(name)
            if conn.route == route_of(name) or (conn.route == "any" and route_of(name) == "public"):
                self.readers.setdefault(name, set()).add(conn)
                self.on_subscribe(name)

    def unsubscribe(self, conn: Conn, names: list[str]) -> None:
        """Remove streams; unknown names do nothing."""
        for name in names:
            conn.names.pop(name, None)
            conn.keys.discard(name)
            self.readers.get(name, set()).discard(conn)

    def drop(self, conn: Conn) -> None:
        """Forget a connection."""
        self.unsubscribe(conn, list(conn.names))
        conn.keys.clear()
        self.conns.discard(conn)

    def command(self, conn: Conn, text: str) -> str:
        """Answer one client message."""
        try:
            asked = msgspec.json.decode(text)
            method, params, ident = asked["method"], asked.get("params", []), asked.get("id")
            if not all(isinstance(p, str) for p in params):
                raise TypeError
        except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
            return '{"error":{"code":2,"msg":"Invalid request: request ID must be an unsigned integer"},"id":null}'
        if method == "SUBSCRIBE":
            if len(conn.names.keys() | set(params)) > STREAMS_MAX:
                return json.dumps({"error": {"code": 3, "msg": "Invalid request: too many streams"}, "id": ident})
            self.subscribe(conn, params)
            return json.dumps({"result": None, "id": ident}, separators=(",", ":"))
        if method == "UNSUBSCRIBE":
            self.unsubscribe(conn, params)
            return json.dumps({"result": None, "id": ident}, separators=(",", ":"))
        if method == "LIST_SUBSCRIPTIONS":
            return json.dumps({"result": list(conn.names), "id": ident}, ensure_ascii=False)
        return json.dumps({"error": {"code": 2, "msg": f"Invalid request: unknown method {method}"}, "id": ident})

    def open(self, path: str, query: str) -> tuple[Conn, list[str]]:
        """A connection from its request path and raw query, with the streams its address names."""
        parts = [unquote(p) for p in path.strip("/").split("/") if p]
        route = parts.pop(0) if parts and parts[0] in ("public", "market", "private") else "any"
        combined = bool(parts) and parts[0] == "stream"
        names = parts[1:] if parts and parts[0] in ("ws", "stream") else parts
        conn = Conn(route, combined)
        for key, value in parse_qsl(query):
            if key == "streams":
                names += value.split("/")
            elif key == "listenKey":
                names.append(value)
            elif key == "events":
                conn.events = tuple(f'{{"e":"{kind}"' for kind in value.split("/"))
        return conn, [n for n in names if n]

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Run one websocket until either side closes it."""
        path, _, query = request.raw_path.partition("?")
        conn, names = self.open(path, query)
        ws = web.WebSocketResponse(heartbeat=180.0, compress=False, max_msg_size=65536)
        await ws.prepare(request)
        self.conns.add(conn)
        if len(names) > STREAMS_MAX:
            conn.close(1008)
        else:
            self.subscribe(conn, names)
        writer = asyncio.create_task(self._write(ws, conn))
        timer = asyncio.get_running_loop().call_later(self.lifetime_s, conn.close, 1001)
        try:
            async for msg in ws:
                if msg.type != WSMsgType.TEXT:
                    break
                if conn.flooded():
                    conn.close(1008)
                    break
                conn.push(self.command(conn, msg.data))
            if conn.closing:
                await writer
        finally:
            timer.cancel()
            writer.cancel()
            self.drop(conn)
        return ws

    async def _write(self, ws: web.WebSocketResponse, conn: Conn) -> None:
        try:
            while True:
                while conn.queue and conn.closing != 1008:
                    await ws.send_str(conn.queue.popleft())
                if conn.closing:
                    await ws.close(code=conn.closing)
                    return
                conn.wake.clear()
                await conn.wake.wait()
        except (ConnectionError, RuntimeError):
            self.drop(conn)

    def backlog(self) -> int:
        """Longest queue of any connection, in frames."""
        return max((len(c.queue) for c in self.conns), default=0)
