"""Websocket subscriptions: routes, stream names, user channels and who gets what.

Problem: the venue acknowledges a stream asked for on the wrong route and then never sends a frame; clients that trust
the acknowledgement are blind without knowing. This file reproduces that, and lets one event be framed once for all
its readers.
What must stay true: a frame is built only when somebody gets it; frames of one connection keep their order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import WSMsgType, web

from aegis.exchange import address, commands
from aegis.exchange.conn import BATCH, CLOSE_WAIT_S, OVERFLOW, PING_S, PONG_S, Conn
from aegis.exchange.rules import UNROUTED
from aegis.exchange.wire import PONG, frame, text_frame

DAY_S = 86_400.0


class Hub:
    """
    Who gets what.

    Args:
        lifetime_s: forced disconnect after this.
        unrouted: what an address without a route serves: "public" (the venue since 2026-04-23), "all", "none".
        ping_s, pong_s: a ping this often; a pong missing this long ends the connection.

    Attributes:
        frames_sent: market frames given to connections (no acknowledgements, no user events).
        on_subscribe: called with a stream name when it gets a reader on its right route.
        on_open: called with each new connection before its first frame (planted faults attach here).
    """

    def __init__(
        self, lifetime_s: float = DAY_S, unrouted: str = "public", ping_s: float = PING_S, pong_s: float = PONG_S
    ) -> None:
        if unrouted not in UNROUTED:
            raise ValueError(f"unrouted is one of {', '.join(UNROUTED)}")
        self.readers: dict[str, dict[Conn, None]] = {}
        self.conns: dict[Conn, None] = {}
        self.by_key: dict[str, dict[Conn, None]] = {}
        self.lifetime_s, self.unrouted, self.ping_s, self.pong_s = lifetime_s, unrouted, ping_s, pong_s
        self.on_subscribe: Callable[[str], None] = lambda _name: None
        self.on_open: list[Callable[[Conn], None]] = []
        self.key_known: Callable[[str], bool] = lambda _key: False
        self.mute_private = False
        self.frames_sent = 0

    # outgoing ---------------------------------------------------------------
    def wants(self, name: str) -> bool:
        """Is anybody served this stream?"""
        return bool(self.readers.get(name))

    def publish(self, name: str, payload: str) -> None:
        """Send a payload to the readers of a stream, wrapped where the connection is combined."""
        self.relay(name, "", payload)

    def relay(self, name: str, whole: str, payload: str) -> None:
        """As `publish`, with the wrapped text at hand: a captured frame goes out as it was. "" has it made."""
        readers = self.readers.get(name)
        if not readers:
            return
        self.frames_sent += len(readers)
        raw = wrapped = b""
        for conn in readers:
            if conn.tampers or conn.muted:
                conn.deliver(name, payload)
            elif conn.combined:
                wrapped = wrapped or text_frame(whole or f'{{"stream":"{name}","data":{payload}}}')
                conn.push(wrapped)
            else:
                raw = raw or text_frame(payload)
                conn.push(raw)

    def user(self, payload: str, key: str) -> None:
        """Send a user event to every connection of the listen key."""
        if self.mute_private:
            return
        for conn in self.by_key.get(key, ()):
            only = conn.keys[key]
            if not only or payload.startswith(only):
                conn.deliver(key, payload)

    # subscriptions ------------------------------------------------------------
    def _serves(self, conn: Conn, name: str) -> bool:
        """Does this connection's route carry a market stream?"""
        if conn.route != "any":
            return conn.route == address.route_of(name)
        return self.unrouted == "all" or (self.unrouted == "public" and address.route_of(name) == "public")

    def subscribe(self, conn: Conn, names: list[str], events: dict[str, tuple[str, ...]] | None = None) -> None:
        """Add streams and listen keys; those on the wrong route are kept in the list and never served."""
        for name in names:
            conn.names[name] = None
            if conn.route == "private" or (conn.route == "any" and self.unrouted == "all" and self.key_known(name)):
                conn.keys[name] = (events or {}).get(name, ())
                self.by_key.setdefault(name, {})[conn] = None
            if self._serves(conn, name):
                self.readers.setdefault(name, {})[conn] = None
                self.on_subscribe(name)

    def unsubscribe(self, conn: Conn, names: list[str]) -> None:
        """Remove streams; unknown names do nothing."""
        for name in names:
            conn.names.pop(name, None)
            conn.keys.pop(name, None)
            for table in (self.readers, self.by_key):
                rows = table.get(name)
                if rows is not None:
                    rows.pop(conn, None)
                    if not rows:
                        del table[name]

    def drop(self, conn: Conn) -> None:
        """Forget a connection."""
        self.unsubscribe(conn, list(conn.names))
        self.conns.pop(conn, None)

    # connections ----------------------------------------------------------------
    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Run one websocket until either side closes it."""
        path, _, query = request.raw_path.partition("?")
        conn, names, events = address.parse(path, query)
        ws = web.WebSocketResponse(autoping=False, autoclose=False, compress=False, max_msg_size=1 << 20)
        await ws.prepare(request)
        transport = request.transport
        if transport is None:
            return ws
        transport.set_write_buffer_limits(high=2 * BATCH)
        conn.begin(transport, self.lifetime_s, self.ping_s, self.pong_s)
        writer = asyncio.StreamWriter(transport, request.protocol, None, asyncio.get_running_loop())
        sending = asyncio.create_task(conn.write(writer))
        self.conns[conn] = None
        for attach in self.on_open:
            attach(conn)
        if len(names) > commands.STREAMS_MAX:
            conn.close(OVERFLOW)
        else:
            self.subscribe(conn, names, events)
        try:
            await self._listen(ws, conn)
            await asyncio.wait({sending}, timeout=CLOSE_WAIT_S if conn.closing else 0)
        finally:
            self.drop(conn)
            sending.cancel()
            conn.end()
            transport.close()
        return ws

    async def _listen(self, ws: web.WebSocketResponse, conn: Conn) -> None:
        """Take the client's messages until it closes or is closed."""
        while True:
            msg = await ws.receive()
            if msg.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
                if msg.type == WSMsgType.CLOSE:
                    conn.close(msg.data or 1000)
                return
            if conn.flooded():
                conn.close(OVERFLOW)
            elif msg.type == WSMsgType.PING:
                conn.push(frame(msg.data, PONG))
            elif msg.type == WSMsgType.PONG:
                conn.ponged(bytes(msg.data))
            elif not conn.closing:
                text = msg.data if isinstance(msg.data, str) else ""
                conn.push(text_frame(commands.answer(self, conn, text)))

    def backlog(self) -> int:
        """Longest queue of any connection, in bytes."""
        return max((c.queued for c in self.conns), default=0)
