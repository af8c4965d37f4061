"""Stream names, the routes that carry them, and the address forms a connection may open.

Problem: a client learns from the address alone which streams it will get: the route decides, the form decides the
wrapping, and an acknowledgement proves nothing. Clients also put things there that are no streams: ccxt counts its
connections in the path.
What must stay true: every stream has one route; parts are percent-decoded after the split, so that a name in Chinese
characters arrives whole.
"""

from __future__ import annotations

from urllib.parse import unquote

from aegis.exchange.conn import Conn

ROUTES = ("public", "market", "private")
PUBLIC = ("bookTicker", "depth", "rpiDepth", "trade")


def route_of(stream: str) -> str:
    """The route that carries a stream name."""
    if stream == "!bookTicker":
        return "public"
    kind = stream.partition("@")[2]
    known = kind.split("@")[0].rstrip("0123456789")
    return "public" if known in PUBLIC else "market"


def heads(kinds: str) -> tuple[str, ...]:
    """Beginnings of the payloads of user events named `A/B`."""
    return tuple(f'{{"e":"{kind}"' for kind in kinds.split("/") if kind)


def parse(path: str, query: str) -> tuple[Conn, list[str], dict[str, tuple[str, ...]]]:
    """
    A connection from its raw request path and query.

    Returns:
        (connection, names in its address, event heads by listen key where `events` followed a `listenKey`).
    """
    parts = [unquote(p) for p in path.strip("/").split("/") if p]
    route = parts.pop(0) if parts and parts[0] in ROUTES else "any"
    combined = bool(parts) and parts[0] == "stream"
    names = parts[1:] if parts and parts[0] in ("ws", "stream") else parts
    names = [n for n in names if not n.isdigit()]  # a client's connection index, not a stream
    events: dict[str, tuple[str, ...]] = {}
    for pair in query.split("&"):
        key, _, raw = pair.partition("=")
        value = unquote(raw)
        if key == "streams":
            names += value.split("/")
        elif key == "listenKey":
            names.append(value)
        elif key == "events" and names:
            events[names[-1]] = heads(value)
    return Conn(route, combined), [n for n in names if n], events
