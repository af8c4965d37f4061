"""What it costs others to make one signed order: ccxt's own signer, and hmac with json by hand.

`python sign.py ROUNDS` prints {"name": ns an order}, medians of rounds that take turns. Nothing is sent.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import statistics
import sys
import time
from collections.abc import Callable

import ccxt

KEY, SECRET = "k" * 64, "s" * 64
LOOPS = 300
ORDER = {
    "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "IOC", "quantity": "1.234",
    "price": "76960.3", "newClientOrderId": "ae-tp2xjf-dj", "newOrderRespType": "ACK",
    "selfTradePreventionMode": "EXPIRE_MAKER", "recvWindow": 5000,
}  # fmt: skip

_venue = ccxt.binanceusdm({"apiKey": KEY, "secret": SECRET})


def by_ccxt() -> object:
    """ccxt: URL, body and headers of POST /fapi/v1/order."""
    return _venue.sign("order", ["fapiPrivate"], "POST", dict(ORDER))


def by_hmac() -> object:
    """Python's hmac over the sorted parameters, then the message as JSON."""
    params = ORDER | {"apiKey": KEY, "timestamp": time.time_ns() // 1_000_000}
    payload = "&".join(f"{k}={v}" for k, v in sorted(params.items()))
    params["signature"] = hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest()
    return json.dumps({"id": "1", "method": "order.place", "params": params}, separators=(",", ":"))


WAYS: dict[str, Callable[[], object]] = {"ccxt's signer": by_ccxt, "hmac and json in Python": by_hmac}


def main(rounds: int) -> dict[str, float]:
    """Every way in turn, `rounds` times."""
    took: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, way in WAYS.items():
            way()
            began = time.perf_counter_ns()
            for _ in range(LOOPS):
                way()
            took[name].append((time.perf_counter_ns() - began) / LOOPS)
    return {name: statistics.median(rows) for name, rows in took.items()}


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]))))
