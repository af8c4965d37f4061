"""The operator's door of the simulator: the whole truth, planted faults, trades behind the client's back. Loopback
only.

What must stay true: it has a port of its own, so that no client of the venue can reach it by accident; nothing under
/control/ exists on a real venue; no product process may depend on it, only the paper supervisor, drills and tests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from aegis.errors import AegisError
from aegis.exchange import history, order_views, truth
from aegis.exchange.account import Account
from aegis.exchange.engine import Exchange
from aegis.exchange.faults import KINDS, Fault
from aegis.exchange.symbols import E8, dec
from aegis.exchange.wsapi import WsApi
from aegis.units import Num


def account_books(ex: Exchange, acc: Account) -> dict[str, Any]:
    """Wallets, flows, positions, orders, fills, income and client ids of an account, complete."""
    acc.check()
    held = {}
    for (name, side), pos in acc.positions.items():
        s = ex.markets[name].spec
        held[name if side == "BOTH" else f"{name}/{side}"] = {
            "qty": s.qty(pos.qty),
            "entry": pos.entry_text(s),
            "cost": dec(pos.cost_e8, E8),
            "realised": dec(pos.realised_e8, E8),
            "isolated": dec(pos.isolated_e8, E8),
        }
    return {
        "wallets": {a: dec(v, E8) for a, v in acc.wallet.items()},
        "initial": {a: dec(v, E8) for a, v in acc.initial.items()},
        "flows": {a: {k: dec(v, E8) for k, v in f.items()} for a, f in acc.flows.items()},
        "positions": held,
        "open_orders": history.open_orders(ex, acc, {}),
        "open_algos": [a.client_id for rows in ex.algo.desks[acc.number].open.values() for a in rows.values()],
        "orders": [order_views.view(ex, o) for o in acc.orders.values()],
        "fills": [history.trade_row(ex, t) | {"clientOrderId": t.client_id} for t in acc.executions],
        "income": [
            {
                "symbol": r.symbol,
                "incomeType": r.kind,
                "income": dec(r.amount_e8, E8),
                "asset": r.asset,
                "time": r.time_ms,
                "tranId": r.tran_id,
                "tradeId": r.trade_id,
            }
            for r in acc.income
        ],
        "client_ids": [o.client_id for o in acc.orders.values()],
        "countdowns": {name: ms for name, (_, ms) in acc.deadlines.items()},
    }


def books(ex: Exchange) -> dict[str, Any]:
    """The first account's books, and everybody's under `accounts`."""
    return account_books(ex, ex.account) | {
        "accounts": {name: account_books(ex, acc) for name, acc in ex.accounts.items()}
    }


SEEN = ("books", "accounts", "orders", "fills", "faults", "state", "verify")
DONE = ("fault", "position", "funding", "transfer", "replay/start")


class Control:
    """
    Handlers of /control/….

    Args:
        state: extra fields of /control/state, read at each request.
        start_replay: starts the capture's streaming.
    """

    def __init__(
        self, ex: Exchange, api: WsApi, state: Callable[[], dict[str, Any]], start_replay: Callable[[], bool]
    ) -> None:
        self.ex, self.api, self.extra, self.start_replay = ex, api, state, start_replay

    def app(self) -> web.Application:
        """The application of the control port."""
        app = web.Application(client_max_size=1 << 20)
        app.router.add_route("*", "/control/{name:.*}", self.serve)
        return app

    async def serve(self, request: web.Request) -> web.Response:
        """Dispatch; a bad request answers 400 with its reason."""
        name = request.match_info["name"]
        try:
            if request.method == "GET" and name in SEEN:
                found = self.see(name, dict(request.query))
            elif request.method == "POST" and name in DONE:
                found = getattr(self, name.replace("/", "_"))(msgspec.json.decode(await request.read() or b"{}"))
            else:
                return web.json_response({"error": f"no such control {request.method} {name}"}, status=404)
        except (AegisError, ValueError, KeyError, TypeError) as e:
            return web.json_response({"error": f"{type(e).__name__}: {e}"}, status=400)
        return web.Response(body=msgspec.json.encode(found), content_type="application/json")

    def see(self, name: str, query: dict[str, str]) -> Any:
        """What GET /control/<name> shows."""
        if name == "books":
            return books(self.ex)
        if name == "state":
            return self.state()
        if name == "verify":
            return truth.verify(self.ex)
        if name == "faults":
            return truth.faults(self.ex)
        everybody = {name: account_books(self.ex, acc) for name, acc in self.ex.accounts.items()}
        return truth.accounts(everybody) if name == "accounts" else truth.rows(everybody, name, query)

    def state(self) -> dict[str, Any]:
        """Counters of streaming."""
        hub = self.ex.hub
        return {
            "frames_sent": hub.frames_sent,
            "subscribers": len(hub.conns),
            "listen_key_live": bool(self.ex.account.listen_key),
            "streams": sum(1 for readers in hub.readers.values() if readers),
            "symbols": len(self.ex.markets),
            **self.extra(),
        }

    def fault(self, body: dict[str, Any]) -> dict[str, Any]:
        """
        Plant {"kind": error|drop_reply|delay, "path", "count", "status", "code", "msg", "delay_ms"}, or act at once:
        close_streams ("route", "code"), close_wsapi, expire_listen_key ("silent"), mute_private, unmute_private,
        revoke_key ("api_key"), ban ("ip", default 127.0.0.1; each time twice as long), clear.
        """
        kind, ex = body["kind"], self.ex
        if kind in KINDS:
            ex.faults.plant(Fault(**body))
        elif kind == "close_streams":
            for conn in list(ex.hub.conns):
                if body.get("route", conn.route) == conn.route:
                    conn.close(int(body.get("code", 1001)))
        elif kind == "close_wsapi":
            for transport in list(self.api.transports):
                transport.abort()
        elif kind == "expire_listen_key":
            ex.clockwork.end_listen_key(self.account(body), expired=not body.get("silent", False))
        elif kind in ("mute_private", "unmute_private"):
            ex.hub.mute_private = kind == "mute_private"
        elif kind == "revoke_key":
            if not self.api.revoke(body["api_key"]):
                raise ValueError(f"no key {body['api_key']!r}")
        elif kind == "ban":
            self.api.limits.ban(body.get("ip", "127.0.0.1"), ex.clock())
        elif kind == "clear":
            ex.faults.planted.clear()
            ex.hub.mute_private = False
        else:
            raise ValueError(f"unknown fault {kind!r}")
        return {"ok": True}

    def position(self, body: dict[str, Any]) -> dict[str, Any]:
        """A hand trade: {"symbol", "qty" signed, "price" (default mid), "silent"}."""
        m = self.ex.market(body["symbol"])
        delta = Num.parse(str(body["qty"])).at(m.spec.qty_exp)
        px = Num.parse(str(body["price"])).at(m.spec.px_exp) if body.get("price") else m.mid()
        if not delta or px <= 0:
            raise ValueError("qty must not be zero, price must be positive")
        acc, side = self.account(body), body.get("side", "BOTH")
        done = self.ex.clockwork.hand_trade(acc, m, delta, px, bool(body.get("silent", False)), side=side)
        return history.trade_row(self.ex, done)

    def funding(self, body: dict[str, Any]) -> dict[str, Any]:
        """Settle funding now: {"rate": "0.0001", "symbol"} or each symbol's own rate."""
        for m in [self.ex.market(body["symbol"])] if "symbol" in body else list(self.ex.markets.values()):
            rate = Num.parse(body["rate"]).at(E8) if "rate" in body else m.rate_e8
            self.ex.clockwork.fund(m, rate, m.mark())
        return {"ok": True}

    def transfer(self, body: dict[str, Any]) -> dict[str, Any]:
        """Deposit or withdraw: {"asset", "amount" signed, "silent"}."""
        amount = Num.parse(body["amount"]).at(E8)
        self.ex.clockwork.transfer(self.account(body), body["asset"], amount, bool(body.get("silent", False)))
        return {"ok": True}

    def account(self, body: dict[str, Any]) -> Account:
        """The account a request names, the first without a name."""
        return self.ex.accounts[body["account"]] if "account" in body else self.ex.account

    def replay_start(self, _body: dict[str, Any]) -> dict[str, Any]:
        """Begin streaming the capture."""
        return {"started": self.start_replay()}
