"""AEGIS as a client of the score: the verbs it can speak, answered from what the running product does and shows.

What must stay true: nothing is answered that the product did not do or show by itself; what it has no way to do is
answered as unsupported, so that the table shows it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from aegis import __version__
from aegis.cli.score_product import COUNTDOWN_S, Product, health
from aegis.errors import AegisError
from aegis.messages import OrderRecord, OrderStep, Refusal
from aegis.orders.states import TERMINAL, State

ANSWER_S = 9.0
TOP_S = 1.0
ENDS = {State.FILLED: "FILLED", State.CANCELED: "CANCELED", State.EXPIRED: "EXPIRED", State.REJECTED: "REJECTED"}
STATUS = ENDS | {
    State.INTENT: "PENDING",
    State.SENT: "PENDING",
    State.UNKNOWN: "UNKNOWN",
    State.WORKING: "NEW",
    State.PARTIAL: "PARTIALLY_FILLED",
    State.CANCEL_SENT: "PENDING",
}
STEPS = {"ACKED": "NEW", "INTENT": "PENDING", "SENT": "PENDING", "CANCEL_SENT": "PENDING"}
RATE_LIMITED = 429
Answer = dict[str, Any]


def error(kind: str, message: str = "", code: int = 0) -> Answer:
    """An answer that says what went wrong."""
    return {"error": {"kind": kind, "message": message} | ({"code": code} if code else {})}


class Speaker:
    """
    The verbs.

    Args:
        product: not yet started.
    """

    def __init__(self, product: Product) -> None:
        self.product, self.orders = product, product.orders
        self.verbs: dict[str, Callable[[Mapping[str, Any]], Answer]] = {
            "hello": self.hello,
            "connect": self.connect,
            "place": self.place,
            "cancel": self.cancel,
            "cancel_all": self.cancel_all,
            "order": self.order,
            "open_orders": self.open_orders,
            "positions": self.positions,
            "balances": self.balances,
            "top": self.top,
            "health": self.health,
            "reconcile": self.reconcile,
            "deadman": self.deadman,
            "stop": self.stop,
        }

    def hello(self, _asked: Mapping[str, Any]) -> Answer:
        """Name and verbs."""
        return {"name": f"AEGIS {__version__}", "verbs": list(self.verbs)}

    def connect(self, _asked: Mapping[str, Any]) -> Answer:
        """`aegis up`."""
        self.product.start()
        return {}

    # -- orders

    def place(self, asked: Mapping[str, Any]) -> Answer:
        """An intent through strategy, gate and order entry; answered when the venue's answer, or its loss, is known."""
        beyond = asked.get("position_side") or asked.get("client_id") or asked.get("trigger_price")
        if beyond or asked["type"] not in ("LIMIT", "MARKET") or asked.get("time_in_force") == "GTD":
            return error("unsupported", "no such order in AEGIS' intents")
        tag = self.product.post(asked)
        return dict(self.product.wait(lambda: self._fate(tag), ANSWER_S, "the fate of an intent"))

    def _fate(self, tag: str) -> Answer | None:
        """What became of an intent so far; None while nothing is known."""
        self.orders.look()
        refusal = self.orders.refused.get(tag)
        if refusal is not None:
            return error("refused", f"gate: {Refusal(refusal.reason).name}")
        client_id = self.orders.named.get(tag, "")
        steps, record = self.orders.steps.get(client_id, set()), self.orders.latest.get(client_id)
        if record is None:
            return None
        if OrderStep.REJECTED in steps:
            if record.reason == RATE_LIMITED:
                return error("rate_limited", "429")
            kind = "refused" if record.reason else "unreachable"
            return error(kind, "order entry", record.reason) | {"client_id": client_id}
        if record.state in (State.INTENT, State.SENT):
            return None
        if record.state == State.UNKNOWN:
            return error("unknown", "sent without an answer") | {"client_id": client_id}
        return {"client_id": client_id, "status": STATUS[State(record.state)]}

    def cancel(self, asked: Mapping[str, Any]) -> Answer:
        """A cancel of one of our orders; answered when its end is known."""
        client_id = asked["client_id"]
        record = self._record(client_id)
        if record is None:
            return error("refused", "no order of ours")
        if record.state in TERMINAL:
            return error("refused", f"already {STATUS[State(record.state)]}")
        self.product.post({"do": "cancel", "symbol": asked["symbol"], "client_id": client_id})

        def ended() -> OrderRecord | None:
            found = self._record(client_id)
            return found if found is not None and found.state in TERMINAL else None

        try:
            last = self.product.wait(ended, ANSWER_S, "the end of an order")
        except AegisError as e:
            return error("unknown", str(e)) | {"client_id": client_id}
        return {} if last.state == State.CANCELED else error("refused", STATUS[State(last.state)])

    def cancel_all(self, asked: Mapping[str, Any]) -> Answer:
        """A cancel of every order of ours in the symbol."""
        self.orders.look()
        working = [r for r in self.orders.latest.values() if r.symbol == asked["symbol"] and r.state not in TERMINAL]
        answers = [self.cancel({"symbol": r.symbol, "client_id": r.client_id}) for r in working]
        unknown = [a for a in answers if a.get("error", {}).get("kind") == "unknown"]
        return unknown[0] if unknown else {}

    def _record(self, client_id: str) -> OrderRecord | None:
        self.orders.look()
        return self.orders.latest.get(client_id)

    def order(self, asked: Mapping[str, Any]) -> Answer:
        """Our view of one of our orders."""
        record = self._record(asked["client_id"])
        if record is None:
            return error("refused", "no order of ours")
        return {"order": shown(record)}

    def open_orders(self, _asked: Mapping[str, Any]) -> Answer:
        """`aegis orders`: ours and other hands'."""
        rows = self.product.surface("orders")["orders"]
        return {
            "orders": [
                {
                    "client_id": row["client_id"],
                    "symbol": row["symbol"],
                    "status": STEPS.get(row["status"], row["status"]),
                    "quantity": row["qty"],
                    "filled": row["filled_qty"],
                    "price": row["price"],
                }
                for row in rows
            ]
        }

    # -- account, market, health

    def positions(self, _asked: Mapping[str, Any]) -> Answer:
        """`aegis positions`."""
        held = self.product.surface("positions")["positions"]
        return {"positions": [{"symbol": s, "quantity": row["qty"]} for s, row in held.items()]}

    def balances(self, _asked: Mapping[str, Any]) -> Answer:
        """`aegis positions`, its wallets."""
        return {"balances": self.product.surface("positions")["wallets"]}

    def top(self, asked: Mapping[str, Any]) -> Answer:
        """The quote the strategy is shown; not trusted when it is shown none."""
        tag = self.product.post(asked)
        try:
            found = self.product.wait(lambda: self.product.answer(tag), TOP_S, "the strategy's answer")
        except AegisError as e:
            return {"trusted": False, "reason": str(e)}
        return {k: v for k, v in found.items() if k != "tag"}

    def health(self, _asked: Mapping[str, Any]) -> Answer:
        """`aegis status`."""
        return health(self.product.surface("status"))

    def reconcile(self, _asked: Mapping[str, Any]) -> Answer:
        """`aegis reconcile --once`."""
        found = self.product.surface("reconcile", "--once")
        return {"clean": found["result"] == "ok", "differences": found["lines"]}

    def deadman(self, asked: Mapping[str, Any]) -> Answer:
        """Always armed by the orchestrator while an order works; this long, or not as asked."""
        return {} if asked["seconds"] >= COUNTDOWN_S else error("unsupported", f"armed for {COUNTDOWN_S} s")

    def stop(self, _asked: Mapping[str, Any]) -> Answer:
        """SIGTERM; in testnet mode the supervisor itself says how many orders it left."""
        code = self.product.stop()
        return {} if code == 0 else error("refused", f"aegis up ended with {code}")


def shown(record: OrderRecord) -> dict[str, str]:
    """An order of the orders ring in the words of the score."""
    return {
        "client_id": record.client_id,
        "symbol": record.symbol,
        "status": STATUS[State(record.state)],
        "quantity": str(record.qty),
        "filled": str(record.filled_qty),
        "price": str(record.price),
    }


def main() -> int:
    """Answer every line of standard input; everything is stopped at its end, or by SIGTERM."""
    out = sys.stdout
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    product = Product(os.environ)
    speaker = Speaker(product)
    try:
        for line in sys.stdin:
            asked = msgspec.json.decode(line)
            verb = speaker.verbs.get(asked["do"])
            try:
                answer = verb(asked) if verb is not None else error("unsupported")
            except AegisError as e:
                answer = error("unknown" if asked["do"] == "place" else "refused", str(e))
            reply = {"id": asked["id"], "ok": "error" not in answer} | answer
            out.write(msgspec.json.encode(reply).decode() + "\n")
            out.flush()
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        product.remove()
    return 0


if __name__ == "__main__":
    sys.exit(main())
