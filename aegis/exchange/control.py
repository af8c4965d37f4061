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
from aegis.exchange.faults.injector import Injector
from aegis.exchange.faults.plan import row_of
from aegis.exchange.symbols import E8, dec


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
DONE = ("fault", "fault/clear", "position", "funding", "transfer", "replay/start")


class Control:
    """
    Handlers of /control/….

    Args:
        injector: of the venue's faults.
        state: extra fields of /control/state, read at each request.
        start_replay: starts the capture's streaming.
    """

    def __init__(
        self, ex: Exchange, injector: Injector, state: Callable[[], dict[str, Any]], start_replay: Callable[[], bool]
    ) -> None:
        self.ex, self.injector, self.extra, self.start_replay = ex, injector, state, start_replay

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
            return self.injector.view()
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
        """Inject {"name", its parameters} now, or at the "at_s", "after_frames" or "after_requests" that it names."""
        row = row_of(body)
        if row.moment:
            self.injector.schedule([row])
            return {"ok": True, "waiting": row.shown()}
        done = self.injector.inject(row)
        return {"ok": True, "id": done.ident, "name": done.name, "live": done.live}

    def fault_clear(self, body: dict[str, Any]) -> dict[str, Any]:
        """End one injection ({"id"}), or all and what waits."""
        return {"ok": True, "ended": self.injector.clear(int(body.get("id", 0)))}

    def position(self, body: dict[str, Any]) -> dict[str, Any]:
        """The fault position_elsewhere; answers the trade."""
        texts = {name: str(body[name]) for name in ("qty", "price") if body.get(name)}
        self.injector.inject(row_of(body | texts | {"name": "position_elsewhere"}))
        return history.trade_row(self.ex, self.account(body).executions[-1])

    def funding(self, body: dict[str, Any]) -> dict[str, Any]:
        """The fault funding_now."""
        return self.fault(body | {"name": "funding_now"})

    def transfer(self, body: dict[str, Any]) -> dict[str, Any]:
        """The fault transfer_elsewhere."""
        return self.fault(body | {"name": "transfer_elsewhere"})

    def account(self, body: dict[str, Any]) -> Account:
        """The account a request names, the first without a name."""
        return self.ex.accounts[body["account"]] if "account" in body else self.ex.account

    def replay_start(self, _body: dict[str, Any]) -> dict[str, Any]:
        """Begin streaming the capture."""
        return {"started": self.start_replay()}
