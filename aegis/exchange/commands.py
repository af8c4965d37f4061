"""What a client may say on a stream connection, and the answers.

Problem: clients differ in what they put into `id` and expect it back unchanged; some send their subscriptions twice,
some ask for streams that will never come. None of that is an error here, as it is none at the venue.
What must stay true: an answer echoes the id with its own type; a refused request changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from aegis.exchange.conn import Conn
    from aegis.exchange.streams import Hub

STREAMS_MAX = 1024
METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")


class Refused(Exception):
    """(code, message) of an answer that is no result."""


def answer(hub: Hub, conn: Conn, text: str) -> str:
    """The answer to one client message."""
    ident: Any = None
    try:
        try:
            asked = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as e:
            raise Refused(3, "Invalid JSON: expected value at line 1 column 1") from e
        if not isinstance(asked, dict):
            raise Refused(2, "Invalid request: expected an object")
        ident = asked.get("id")
        if ident is not None and (isinstance(ident, bool) or not isinstance(ident, int | str)):
            ident = None
            raise Refused(2, "Invalid request: request ID must be an unsigned integer")
        row: dict[str, Any] = {"result": _run(hub, conn, asked), "id": ident}
    except Refused as e:
        row = {"error": {"code": e.args[0], "msg": e.args[1]}, "id": ident}
    return msgspec.json.encode(row).decode()


def _run(hub: Hub, conn: Conn, asked: dict[str, Any]) -> Any:
    if "method" not in asked:
        raise Refused(2, "Invalid request: missing field `method` at line 1 column 2")
    method, params = asked["method"], asked.get("params") or []
    if method not in METHODS:
        raise Refused(2, f"Invalid request: unknown variant `{method}`, expected one of {', '.join(METHODS)}")
    if not isinstance(params, list):
        raise Refused(2, "Invalid request: params must be an array")
    if method == "LIST_SUBSCRIPTIONS":
        return list(conn.names)
    if method in ("SET_PROPERTY", "GET_PROPERTY"):
        return _property(conn, method, params)
    if not all(isinstance(p, str) for p in params):
        raise Refused(2, "Invalid request: stream name must be a string")
    if method == "UNSUBSCRIBE":
        hub.unsubscribe(conn, params)
    elif len(conn.names.keys() | set(params)) > STREAMS_MAX:
        raise Refused(2, "Invalid request: too many parameters")
    else:
        hub.subscribe(conn, params)
    return None


def _property(conn: Conn, method: str, params: list[Any]) -> Any:
    """The one property: `combined`."""
    if not params or not isinstance(params[0], str):
        raise Refused(2, "Invalid request: property name must be a string")
    if params[0] != "combined":
        raise Refused(0, "Unknown property")
    if method == "GET_PROPERTY":
        return conn.combined
    if len(params) != 2 or not isinstance(params[1], bool):
        raise Refused(1, "Invalid value type: expected Boolean")
    conn.combined = params[1]
    return None
