"""The forty signed calls that every foreign signer is asked to make.

Problem: signatures agree on plain values and part on the others, so the list is full of the others: Chinese symbols,
JSON lists, client ids with `:` and `/`.
What must stay true: standard library alone, because it runs inside every client's own environment.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

CHINESE = "币安人生USDT"
RECV_WINDOW = 60_000
UNKNOWN = 999_999_999_999


def order(symbol: str, price: str, client_id: str, quantity: str, **more: Any) -> dict[str, Any]:
    """Parameters of a resting limit order."""
    return {
        "symbol": symbol,
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": quantity,
        "price": price,
        "newClientOrderId": client_id,
    } | more


def algo(client_id: str, trigger: str) -> dict[str, Any]:
    """Parameters of a conditional order far from the market."""
    return {
        "algoType": "CONDITIONAL",
        "symbol": "BTCUSDT",
        "side": "SELL",
        "type": "STOP_MARKET",
        "quantity": "0.010",
        "triggerPrice": trigger,
        "clientAlgoId": client_id,
    }


def trading_calls(tag: str, low: str, chinese_low: str) -> list[dict[str, Any]]:
    """REST calls that change something."""
    btc = order("BTCUSDT", low, f"a:b/c-{tag}", "0.010")
    chinese = order(CHINESE, chinese_low, f"x-{tag}:1/2", "100")
    batch = [order("BTCUSDT", low, f"batch:{n}/{tag}", "0.010") for n in (1, 2)]
    named = {"symbol": "BTCUSDT", "origClientOrderId": f"a:b/c-{tag}"}
    rows: list[tuple[str, str, dict[str, Any], list[int]]] = [
        ("POST", "/fapi/v1/order", btc, []),
        ("POST", "/fapi/v1/order", chinese, []),
        ("POST", "/fapi/v1/order/test", chinese | {"timeInForce": "GTX", "newClientOrderId": "x:/._-"}, []),
        ("POST", "/fapi/v1/order/test", {"symbol": CHINESE, "side": "BUY", "type": "MARKET", "quantity": "100"}, []),
        ("PUT", "/fapi/v1/order", named | {"side": "BUY", "quantity": "0.011", "price": low}, []),
        ("GET", "/fapi/v1/order", named, []),
        ("DELETE", "/fapi/v1/order", {"symbol": CHINESE, "origClientOrderId": f"x-{tag}:1/2"}, []),
        ("POST", "/fapi/v1/batchOrders", {"batchOrders": batch}, []),
        ("DELETE", "/fapi/v1/batchOrders", {"symbol": "BTCUSDT", "orderIdList": [UNKNOWN, UNKNOWN + 1]}, []),
        (
            "DELETE",
            "/fapi/v1/batchOrders",
            {"symbol": "BTCUSDT", "origClientOrderIdList": [f"batch:1/{tag}", f"batch:2/{tag}"]},
            [],
        ),
        ("POST", "/fapi/v1/countdownCancelAll", {"symbol": CHINESE, "countdownTime": 0}, []),
        ("POST", "/fapi/v1/leverage", {"symbol": CHINESE, "leverage": 20}, []),
        ("DELETE", "/fapi/v1/allOpenOrders", {"symbol": CHINESE}, []),
        ("POST", "/fapi/v1/algoOrder", algo(f"stop:/{tag}", low), []),
        ("DELETE", "/fapi/v1/algoOrder", {"clientAlgoId": f"stop:/{tag}"}, []),
        ("DELETE", "/fapi/v1/allOpenOrders", {"symbol": "BTCUSDT"}, []),
    ]
    return [{"method": m, "path": path, "params": p, "codes": codes} for m, path, p, codes in rows]


def reading_calls() -> list[dict[str, Any]]:
    """REST calls that only ask."""
    rows: list[tuple[str, dict[str, Any], list[int]]] = [
        ("/fapi/v3/account", {}, []),
        ("/fapi/v2/account", {}, []),
        ("/fapi/v3/balance", {}, []),
        ("/fapi/v3/positionRisk", {"symbol": CHINESE}, []),
        ("/fapi/v1/accountConfig", {}, []),
        ("/fapi/v1/symbolConfig", {"symbol": CHINESE}, []),
        ("/fapi/v1/commissionRate", {"symbol": "1000SHIBUSDT"}, []),
        ("/fapi/v1/leverageBracket", {"symbol": CHINESE}, []),
        ("/fapi/v1/openOrders", {"symbol": CHINESE}, []),
        ("/fapi/v1/allOrders", {"symbol": "BTCUSDT", "limit": 5}, []),
        ("/fapi/v1/userTrades", {"symbol": CHINESE}, []),
        ("/fapi/v1/income", {"incomeType": "COMMISSION", "limit": 10}, []),
        ("/fapi/v1/positionSide/dual", {}, []),
        ("/fapi/v1/order", {"symbol": CHINESE, "orderId": UNKNOWN}, [-2013]),
    ]
    return [{"method": "GET", "path": path, "params": p, "codes": codes} for path, p, codes in rows]


def socket_calls(tag: str, low: str, chinese_low: str) -> list[dict[str, Any]]:
    """WebSocket API calls."""
    named = {"symbol": CHINESE, "origClientOrderId": f"w:s/{tag}"}
    rows: list[tuple[str, dict[str, Any], list[int]]] = [
        ("order.place", order(CHINESE, chinese_low, f"w:s/{tag}", "100"), []),
        ("order.modify", named | {"side": "BUY", "quantity": "101", "price": chinese_low}, []),
        ("order.status", named, []),
        ("order.cancel", named, []),
        ("order.status", {"symbol": CHINESE, "orderId": UNKNOWN}, [-2013]),
        ("algoOrder.place", algo(f"ws:/{tag}", low), []),
        ("algoOrder.cancel", {"clientAlgoId": f"ws:/{tag}"}, []),
        ("v2/account.balance", {}, []),
        ("v2/account.status", {}, []),
        ("v2/account.position", {"symbol": CHINESE}, []),
    ]
    return [{"method": "WS", "path": path, "params": p, "codes": codes} for path, p, codes in rows]


def calls(tag: str, low: str, chinese_low: str) -> list[dict[str, Any]]:
    """All forty; `tag` makes client ids differ, the prices rest in the books of BTCUSDT and the Chinese symbol."""
    return trading_calls(tag, low, chinese_low) + reading_calls() + socket_calls(tag, low, chinese_low)


def sign_all(sign: Callable[[dict[str, Any], dict[str, str]], dict[str, Any]]) -> None:
    """
    Inside a client's environment: read {"key", "calls"} from stdin, write one signed request per call as JSON lines.

    Args:
        sign: (call, key) -> {"target", "body", "headers"} of a REST request, or {"text"} of a WebSocket message.
    """
    given = json.load(sys.stdin)
    for call in given["calls"]:
        print(json.dumps(sign(call, given["key"])), flush=True)
