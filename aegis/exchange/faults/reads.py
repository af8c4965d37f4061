"""Faults of what is read: each public function is one. The books are right, the replica that answers is behind."""

from __future__ import annotations

import copy

from aegis.exchange import public
from aegis.exchange.account import Account
from aegis.exchange.faults.hooks import Before, Params, Result
from aegis.exchange.faults.injection import Injection
from aegis.exchange.order_file import OrderFile

QUERIES = ("GET /fapi/v1/order", "GET /fapi/v1/openOrder", "GET /fapi/v1/openOrders", "GET /fapi/v1/allOrders")
READS = ("WS order.status", "WS account.", "WS v2/account.")


def _reads(name: str) -> bool:
    return name.startswith(("GET ", *READS))


def query_unseen(f: Injection, *, ms: int = 1000, for_ms: int = 0) -> None:
    """Queries do not know orders younger than `ms`: -2013, and missing in the lists, though they are live."""
    f.stand(for_ms=for_ms)

    def behind(name: str, acc: Account) -> Account:
        if name not in (*QUERIES, "WS order.status") or f.over():
            return acc
        f.hits += 1
        known = OrderFile(acc.kept_max)
        for o in acc.orders.values():
            if o.time_ms <= f.ex.clock() - ms:
                known.file(o)
                if o.is_open:
                    known.open[o.symbol][o.id] = o
        view = copy.copy(acc)
        vars(view).update(vars(known))
        return view

    f.seen(behind)


def reads_stale(f: Injection, *, ms: int = 5000, path: str = "") -> None:
    """For `ms`, private reads show orders, positions and balances as they were when this was injected."""
    f.stand(for_ms=ms)
    then = {name: copy.deepcopy(acc) for name, acc in f.ex.accounts.items()}

    def behind(name: str, acc: Account) -> Account:
        if not _reads(name) or path not in name or f.over():
            return acc
        f.hits += 1
        return then.get(acc.name, acc)

    f.seen(behind)


def snapshot_old(f: Injection, *, symbol: str, count: int = 1) -> None:
    """GET depth answers with the book as it was when this was injected, older than what the stream has sent since."""
    f.stand(count)
    then = public.depth(f.ex, {"symbol": symbol, "limit": "1000"})

    def older(name: str, p: Params) -> Before | None:
        if name not in ("GET /fapi/v1/depth", "WS depth") or p.get("symbol") != symbol:
            return None
        limit = int(p.get("limit") or 500)
        return Before(instead=Result(then | {"bids": then["bids"][:limit], "asks": then["asks"][:limit]}))

    f.before("", older)
