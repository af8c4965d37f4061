"""An account's past as a file: ordered by a window of time, fetched by its id.

Problem: the venue has the file made by a queue of machines and names an address in its own storage; here there is
neither. So the file is made when its link is asked for, and the link is the file itself, a `data:` address.
What must stay true: an id alone says which window was ordered, so that no order of a file has to be remembered; the
rows are those of the endpoints of the same past.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from aegis.errors import VenueError
from aegis.exchange import orders
from aegis.exchange.account import Account
from aegis.exchange.engine import Exchange
from aegis.exchange.history import DAY_MS, between, income_row, trade_row
from aegis.exchange.order_views import kept
from aegis.exchange.params import Params, integer, need

YEAR_MS = 366 * DAY_MS
KEPT_MS = DAY_MS
DIGITS = 13
ID = re.compile(f"([0-9]{{{DIGITS}}})([0-9]{{{DIGITS}}})", re.ASCII)
Rows = list[dict[str, Any]]


def _flows(_ex: Exchange, acc: Account, low: int, high: int) -> Rows:
    return [income_row(r) for r in between(acc.income, low, high)]


def _placed(ex: Exchange, acc: Account, low: int, high: int) -> Rows:
    found = [o for rows in acc.orders_of.values() for o in between(rows, low, high) if not orders.forgotten(ex, o)]
    return [kept(ex, o) for o in sorted(found, key=lambda o: (o.time_ms, o.id))]


def _fills(ex: Exchange, acc: Account, low: int, high: int) -> Rows:
    found = [t for rows in acc.fills_of.values() for t in between(rows, low, high)]
    return [trade_row(ex, t) for t in sorted(found, key=lambda t: (t.time_ms, t.id))]


PASTS: dict[str, Callable[[Exchange, Account, int, int], Rows]] = {"income": _flows, "order": _placed, "trade": _fills}


def order_of(_ex: Exchange, _acc: Account, p: Params) -> dict[str, Any]:
    """GET income/asyn, order/asyn, trade/asyn: the id of a file; -4165 for a window turned round or over a year."""
    need(p, "startTime"), need(p, "endTime")
    low, high = integer(p, "startTime", 0), integer(p, "endTime", 0)
    if not 0 <= low <= high < 10**DIGITS or high - low > YEAR_MS:
        raise VenueError(-4165, "Invalid time interval")
    return {"avgCostTimestampOfLast30d": 0, "downloadId": f"{low:0{DIGITS}d}{high:0{DIGITS}d}"}


def link_of(past: str) -> Callable[[Exchange, Account, Params], dict[str, Any]]:
    """A handler of GET income/asyn/id, order/asyn/id or trade/asyn/id; -1130 for an id that was not given."""

    def handler(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
        ident = need(p, "downloadId")
        window = ID.fullmatch(ident)
        if window is None:
            raise VenueError(-1130, "Data sent for parameter 'downloadId' is not valid.")
        rows, text = PASTS[past](ex, acc, int(window[1]), int(window[2])), io.StringIO()
        table = csv.DictWriter(text, list(rows[0]) if rows else [])
        table.writeheader()
        table.writerows(rows)
        return {
            "downloadId": ident,
            "status": "completed",
            "url": f"data:text/csv;charset=utf-8,{quote(text.getvalue())}",
            "notified": True,
            "expirationTimestamp": ex.clock() + KEPT_MS,
            "isExpired": None,
        }

    return handler
