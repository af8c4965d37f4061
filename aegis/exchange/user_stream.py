"""Listen keys: one per account, for all its keys and processes."""

from __future__ import annotations

from typing import Any

from aegis.errors import VenueError
from aegis.exchange.account import Account
from aegis.exchange.engine import Exchange
from aegis.exchange.params import Params


def start(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """POST listenKey: the living key extended, or a new one."""
    return {"listenKey": ex.clockwork.start_listen_key(acc)}


def ping(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """PUT listenKey; -1125 when none lives, or another than the one named."""
    if not acc.listen_key or (p.get("listenKey") or acc.listen_key) != acc.listen_key:
        raise VenueError(-1125, "This listenKey does not exist.")
    return {"listenKey": ex.clockwork.start_listen_key(acc)}


def stop(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """DELETE listenKey, for every process of the account."""
    ex.clockwork.end_listen_key(acc, expired=False)
    return {}
