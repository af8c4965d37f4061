"""Requests to the venue as text: parameters of orders, the signed REST query, the signed WebSocket API params.

Problem: nearly every "bad signature" is a library that encoded again after signing (PROTOCOL 10 T15), and nearly
every "illegal parameter" a number printed as a float. So a query is built once, signed as it stands and sent as it
stands; REST signs percent-encoded text, the WebSocket API raw sorted `k=v`.
What must stay true: `signature` is the last REST parameter and outside its own payload; numbers are plain decimals;
an order always names its self-trade prevention and its answer type, never leaving them to the venue's default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from aegis.messages import Cancel, OrderType, Place
from aegis.units import Num
from aegis.venue.sign import Signer

Params = Mapping[str, Any]


def order_params(place: Place, client_id: str) -> dict[str, Any]:
    """
    Parameters of POST /fapi/v1/order and `order.place`.

    Args:
        place: quantised intent; `tif` is sent for LIMIT only, `reduceOnly` only when set; padding zeros of numbers
            are dropped, for the venue counts them (-1111).
        client_id: <= 36 of [A-Za-z0-9_-].

    Source: PROTOCOL 5.1.
    """
    params: dict[str, Any] = {"symbol": place.symbol, "side": place.side.name, "type": place.type.name}
    if place.type is OrderType.LIMIT:
        params["timeInForce"] = place.tif.name
    params["quantity"] = str(place.qty.trim())
    if place.price is not None:
        params["price"] = str(place.price.trim())
    if place.reduce_only:
        params["reduceOnly"] = "true"
    return params | {
        "newClientOrderId": client_id, "newOrderRespType": "ACK", "selfTradePreventionMode": "EXPIRE_MAKER",
    }  # fmt: skip


def cancel_params(cancel: Cancel) -> dict[str, Any]:
    """Parameters of DELETE /fapi/v1/order, `order.cancel`, and of the query of the same order."""
    return {"symbol": cancel.symbol, "origClientOrderId": cancel.client_id}


def text(value: object) -> str:
    """One value as the venue reads it; lists as compact JSON; a float is refused with TypeError (Ours)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        raise TypeError(f"a float has no place in a request: {value!r}")
    if isinstance(value, list | tuple):
        return msgspec.json.encode(value).decode()
    return str(value)


def query(params: Params) -> str:
    """Percent-encoded `k=v&...` in the given order; values that are None are left out."""
    return "&".join(f"{quote(k, safe='')}={quote(text(v), safe='')}" for k, v in params.items() if v is not None)


def signed_query(params: Params, sign: Signer, timestamp_ms: int, recv_window_ms: int) -> str:
    """
    The whole query string of a signed REST request, to be sent without further encoding.

    Args:
        params: of the endpoint; not timestamp, recvWindow or signature.
        timestamp_ms: venue time in ms.
        recv_window_ms: 1 to 60000.

    Source: PROTOCOL 4.1.
    """
    payload = query({**params, "recvWindow": recv_window_ms, "timestamp": timestamp_ms})
    return f"{payload}&signature={quote(sign(payload), safe='')}"


def ws_payload(params: Params) -> str:
    """What the WebSocket API signs: all params but the signature, sorted by key, raw UTF-8 (PROTOCOL 4.2)."""
    return "&".join(f"{k}={text(v)}" for k, v in sorted(params.items()) if k != "signature")


def ws_params(params: Params, timestamp_ms: int, recv_window_ms: int) -> dict[str, Any]:
    """Params of a message on a connection that is logged on: integers stay JSON numbers, decimals become text."""
    found = {k: str(v) if isinstance(v, Num) else v for k, v in params.items() if v is not None}
    return found | {"recvWindow": recv_window_ms, "timestamp": timestamp_ms}


def ws_signed(params: Params, api_key: str, sign: Signer) -> dict[str, Any]:
    """`ws_params` with key and signature, for a single message or `session.logon`."""
    keyed = {**params, "apiKey": api_key}
    return keyed | {"signature": sign(ws_payload(keyed))}
