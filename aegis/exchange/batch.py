"""Batch orders: several commands in one request, each with its own answer or refusal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from aegis.errors import VenueError
from aegis.exchange import orders
from aegis.exchange.account import Account
from aegis.exchange.engine import Exchange
from aegis.exchange.params import Params, need

PLACE_MAX, CANCEL_MAX = 5, 10


def rows_of(p: Params, name: str, most: int) -> list[Any]:
    """The JSON list of a parameter; -1130 not a list (nor JSON, nor of sane depth), -4082 empty or too long."""
    try:
        rows = msgspec.json.decode(need(p, name))
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as e:
        raise VenueError(-1130, f"Data sent for parameter '{name}' is not valid.") from e
    if not isinstance(rows, list):
        raise VenueError(-1130, f"Data sent for parameter '{name}' is not valid.")
    if not rows or len(rows) > most:
        raise VenueError(-4082, "Invalid number of batch place orders.")
    return rows


def text(value: Any) -> str:
    """A JSON value as a request parameter."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def each(rows: list[Any], run: Callable[[Any], dict[str, Any]]) -> list[dict[str, Any]]:
    """The answer or the refusal of each row."""
    out: list[dict[str, Any]] = []
    for row in rows:
        try:
            out.append(run(row))
        except VenueError as e:
            out.append({"code": e.code, "msg": e.msg})
    return out


def params_of(row: Any) -> Params:
    """One order of a batch; -1130 when it is no object."""
    if not isinstance(row, dict):
        raise VenueError(-1130, "Data sent for parameter 'batchOrders' is not valid.")
    return {k: text(v) for k, v in row.items()}


def place(ex: Exchange, acc: Account, p: Params) -> list[dict[str, Any]]:
    """POST batchOrders: up to 5."""
    return each(rows_of(p, "batchOrders", PLACE_MAX), lambda row: orders.place(ex, acc, params_of(row), batch=True))


def modify(ex: Exchange, acc: Account, p: Params) -> list[dict[str, Any]]:
    """PUT batchOrders: up to 5."""
    return each(rows_of(p, "batchOrders", PLACE_MAX), lambda row: orders.modify(ex, acc, params_of(row)))


def cancel(ex: Exchange, acc: Account, p: Params) -> list[dict[str, Any]]:
    """DELETE batchOrders: up to 10 ids of one kind."""
    symbol, by_id = need(p, "symbol"), bool(p.get("orderIdList"))
    name, key = ("orderIdList", "orderId") if by_id else ("origClientOrderIdList", "origClientOrderId")
    return each(
        rows_of(p, name, CANCEL_MAX),
        lambda ident: orders.cancel(ex, acc, {"symbol": symbol, key: str(ident)}),
    )
