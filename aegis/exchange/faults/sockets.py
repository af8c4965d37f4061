"""Faults of connections: each public function is one.

`route` is public, market, private or any (the streams' doors), wsapi, or "" for all of them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aegis.exchange.faults.injection import Injection

if TYPE_CHECKING:
    from aegis.exchange.wsapi import Session

ROUTES = ("", "public", "market", "private", "any", "wsapi")


def _checked(route: str) -> str:
    if route not in ROUTES:
        raise ValueError(f"route is one of {', '.join(ROUTES[1:])}, or empty for all")
    return route


def _sessions(f: Injection, route: str) -> list[Session]:
    """WebSocket API connections, when they are meant."""
    return list(f.api.sessions) if route in ("", "wsapi") else []


def day_cut(f: Injection, *, route: str = "", code: int = 1001) -> None:
    """The forced close of a 24 h old connection happens now, with a close frame."""
    if not 1000 <= code < 5000:
        raise ValueError(f"code is a close code, 1000 to 4999, not {code}")
    for conn in f.conns(_checked(route)):
        conn.close(code)
    for session in _sessions(f, route):
        session.close(code)


def socket_cut(f: Injection, *, after_bytes: int = 0, route: str = "") -> None:
    """Stream sockets end without a close frame once `after_bytes` more bytes have left, wherever in a frame that is."""
    for conn in f.conns(_checked(route)):
        conn.break_after(after_bytes)
    sessions = _sessions(f, route)
    if after_bytes and route == "wsapi":
        raise ValueError("the WebSocket API's answers are cut at a byte by answer_cut")
    for session in sessions:
        session.out.transport.abort()


def partial_write(f: Injection, *, route: str = "") -> None:
    """Half of each stream connection's next frame leaves and nothing after it; the socket stays open."""
    if route == "wsapi":
        raise ValueError("the WebSocket API's answers are cut by answer_cut")
    for conn in f.conns(_checked(route)):
        conn.break_next(stall=True)


def half_open(f: Injection, *, route: str = "") -> None:
    """Connections stay open and dead: nothing is read or written any more, no FIN, no ping."""
    f.stand()
    for conn in f.conns(_checked(route)):
        conn.freeze()
        f.undo(conn.thaw)
    for session in _sessions(f, route):
        session.out.freeze()
        f.undo(session.out.thaw)
    f.hits += 1


def server_shutdown(f: Injection, *, notice_ms: int = 1000) -> None:
    """Every connection is told serverShutdown and closed `notice_ms` later."""
    loop = asyncio.get_running_loop()
    text = f'{{"e":"serverShutdown","E":{f.ex.clock()}}}'
    for conn in f.conns(""):
        conn.deliver("serverShutdown", text)
        loop.call_later(notice_ms / 1000, conn.close, 1001)
    for session in _sessions(f, ""):
        session.out.send(text.encode())
        loop.call_later(notice_ms / 1000, session.close, 1001)
