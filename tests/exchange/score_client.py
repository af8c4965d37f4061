"""A plain client for the score: REST alone, nothing remembered, every view asked anew; and, on request, a wrong one.

It shares nothing with the product or the venue, so it shows how little is needed to speak to the score. `--mistake`
makes it wrong in one way, to prove that the score sees it:
    resend   sends an order again, under a new id, when the answer is missing
    deaf     remembers its own fills and never asks for its position
    blind    shows the first best prices for ever, and trusts them
    boast    calls every order done, whatever the venue said
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import sys
import time
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlsplit

TIMEOUT_S = 4.0
MISTAKE = sys.argv[2] if len(sys.argv) > 2 and sys.argv[1] == "--mistake" else ""
REST = urlsplit(os.environ["AEGIS_REST"])
KEY, SECRET = os.environ["AEGIS_API_KEY"], os.environ["AEGIS_API_SECRET"].encode()
UNKNOWN = (-1006, -1007, -4116)
OFFSET_MS = 0
V1 = "/fapi/v1/"


class Refused(Exception):
    """The venue's refusal."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class Lost(Exception):
    """Sent, and no answer."""


def call(method: str, path: str, params: dict[str, Any] | None = None, signed: bool = True) -> Any:
    """One request on a connection of its own; refused by its timestamp, the clock is set and it is made once more."""
    try:
        return once(method, path, params or {}, signed)
    except Refused as e:
        if e.code != -1021:
            raise
    global OFFSET_MS
    OFFSET_MS = int(once("GET", V1 + "time", {}, False)["serverTime"]) - time.time_ns() // 1_000_000
    return once(method, path, params or {}, signed)


def once(method: str, path: str, params: dict[str, Any], signed: bool) -> Any:
    """One attempt."""
    rows = {k: str(v) for k, v in params.items()}
    if signed:
        rows |= {"timestamp": str(time.time_ns() // 1_000_000 + OFFSET_MS), "recvWindow": "1000"}
    text = "&".join(f"{k}={quote(v, safe='')}" for k, v in rows.items())
    if signed:
        text += "&signature=" + hmac.new(SECRET, text.encode(), hashlib.sha256).hexdigest()
    link = http.client.HTTPConnection(str(REST.hostname), int(REST.port or 80), timeout=TIMEOUT_S)
    try:
        link.request(method, f"{path}?{text}", headers={"X-MBX-APIKEY": KEY})
        answer = link.getresponse()
        body = json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError) as e:
        raise Lost(repr(e)) from e
    finally:
        link.close()
    if answer.status != 200:
        raise Refused(answer.status, int(body.get("code", 0)), str(body.get("msg")))
    return body


class Plain:
    """The verbs."""

    def __init__(self) -> None:
        self.count = 0
        self.held: dict[str, Decimal] = {}
        self.seen: dict[str, dict[str, str]] = {}

    def hello(self, _asked: dict[str, Any]) -> dict[str, Any]:
        verbs = [name for name in dir(self) if not name.startswith("_") and callable(getattr(self, name))]
        return {"name": "plain" + (f" ({MISTAKE})" if MISTAKE else ""), "verbs": verbs}

    def connect(self, _asked: dict[str, Any]) -> dict[str, Any]:
        call("GET", "/fapi/v3/account")
        return {}

    def place(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked.get("trigger_price") or asked.get("position_side"):
            raise KeyError("place")
        self.count += 1
        client_id = asked.get("client_id") or f"plain-{os.getpid()}-{self.count}"
        names = {"symbol": "symbol", "side": "side", "type": "type", "quantity": "quantity", "price": "price",
                 "time_in_force": "timeInForce", "reduce_only": "reduceOnly"}  # fmt: skip
        rows = {names[k]: v for k, v in asked.items() if k in names}
        rows |= {"newClientOrderId": client_id, "newOrderRespType": "RESULT"}
        try:
            row = call("POST", V1 + "order", rows)
        except Lost:
            if MISTAKE == "resend":
                return self.place(asked)
            return _error("unknown") | {"client_id": client_id}
        except Refused as e:
            if MISTAKE == "boast":
                return {"client_id": client_id, "status": "NEW"}
            if e.code in UNKNOWN or "Unknown error" in str(e):
                return _error("unknown", e.code) | {"client_id": client_id}
            raise
        signed = Decimal(row["executedQty"]) * (1 if asked["side"] == "BUY" else -1)
        self.held[asked["symbol"]] = self.held.get(asked["symbol"], Decimal(0)) + signed
        return {"client_id": client_id, "status": row["status"]}

    def amend(self, asked: dict[str, Any]) -> dict[str, Any]:
        name = {"symbol": asked["symbol"], "origClientOrderId": asked["client_id"]}
        side = call("GET", V1 + "order", name)["side"]
        call("PUT", V1 + "order", name | {"side": side, "price": asked["price"], "quantity": asked["quantity"]})
        return {}

    def cancel(self, asked: dict[str, Any]) -> dict[str, Any]:
        call("DELETE", V1 + "order", {"symbol": asked["symbol"], "origClientOrderId": asked["client_id"]})
        return {}

    def cancel_all(self, asked: dict[str, Any]) -> dict[str, Any]:
        call("DELETE", V1 + "allOpenOrders", {"symbol": asked["symbol"]})
        return {}

    def order(self, asked: dict[str, Any]) -> dict[str, Any]:
        row = call("GET", V1 + "order", {"symbol": asked["symbol"], "origClientOrderId": asked["client_id"]})
        return {"order": _order(row)}

    def open_orders(self, _asked: dict[str, Any]) -> dict[str, Any]:
        return {"orders": [_order(row) for row in call("GET", V1 + "openOrders")]}

    def positions(self, _asked: dict[str, Any]) -> dict[str, Any]:
        if MISTAKE == "deaf":
            return {"positions": [{"symbol": s, "quantity": str(q)} for s, q in self.held.items()]}
        rows = call("GET", "/fapi/v3/positionRisk")
        return {"positions": [{"symbol": r["symbol"], "quantity": r["positionAmt"]} for r in rows]}

    def balances(self, _asked: dict[str, Any]) -> dict[str, Any]:
        return {"balances": {r["asset"]: r["balance"] for r in call("GET", "/fapi/v3/balance")}}

    def top(self, asked: dict[str, Any]) -> dict[str, Any]:
        symbol = asked["symbol"]
        if MISTAKE == "blind" and symbol in self.seen:
            return self.seen[symbol] | {"trusted": True}
        try:
            row = call("GET", V1 + "ticker/bookTicker", {"symbol": symbol}, signed=False)
        except Lost:
            return {"trusted": False}
        self.seen[symbol] = {"bid": row["bidPrice"], "ask": row["askPrice"]}
        return self.seen[symbol] | {"trusted": True}

    def health(self, _asked: dict[str, Any]) -> dict[str, Any]:
        try:
            call("GET", "/fapi/v3/account")
        except (Lost, Refused) as e:
            return {"market": "dead", "account": "dead", "trading": False, "reason": repr(e)}
        return {"market": "trusted", "account": "trusted", "trading": True, "reason": ""}

    def reconcile(self, _asked: dict[str, Any]) -> dict[str, Any]:
        call("GET", "/fapi/v3/account")
        return {"clean": True, "differences": []}

    def stop(self, _asked: dict[str, Any]) -> dict[str, Any]:
        for symbol in {row["symbol"] for row in call("GET", V1 + "openOrders")}:
            call("DELETE", V1 + "allOpenOrders", {"symbol": symbol})
        return {}


def _order(row: dict[str, Any]) -> dict[str, Any]:
    return {"client_id": row["clientOrderId"], "symbol": row["symbol"], "status": row["status"],
            "quantity": row["origQty"], "filled": row["executedQty"], "price": row["price"]}  # fmt: skip


def _error(kind: str, code: int = 0, message: str = "") -> dict[str, Any]:
    return {"error": {"kind": kind, "code": code, "message": message}}


def main() -> None:
    """Answer every line of standard input."""
    plain = Plain()
    for line in sys.stdin:
        asked = json.loads(line)
        verb = getattr(plain, str(asked["do"]), None)
        try:
            answer = verb(asked) if verb is not None else _error("unsupported")
        except KeyError:
            answer = _error("unsupported")
        except Refused as e:
            kind = "rate_limited" if e.status in (418, 429) else "refused"
            answer = _error(kind, e.code, str(e))
        except Lost as e:
            answer = _error("unknown", 0, str(e))
        print(json.dumps({"id": asked["id"], "ok": "error" not in answer} | answer), flush=True)


if __name__ == "__main__":
    main()
