"""Frames of the C encoder at the venue simulator, which shares no code with it: HMAC per order, and after a logon."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from pathlib import Path
from typing import Any

from aegis.native._aegis import ffi
from exchange_client import DEADLINE_S, Client, on_a_loop, running
from websockets.frames import Opcode

from aegis.live.dial import Dialer, Dialled
from aegis.native.encoder import Encoder

SYMBOL, PX_EXP, QTY_EXP = "BTCUSDT", 8, 8
LIMIT, MARKET, GTC, IOC, GTX = 1, 2, 1, 2, 4


def units(text: str) -> int:
    """Decimal text as a mantissa of eight places."""
    whole, _, places = text.partition(".")
    return int(whole + places.ljust(8, "0"))


def intent(side: int, type_: int, tif: int, price: str, qty: str, reduce_only: bool = False) -> Any:
    """An intent of slot 0."""
    fields = {"side": side, "type": type_, "tif": tif, "bits": int(reduce_only), "qty": units(qty)}
    return ffi.new("ae_intent_t *", fields | {"px": units(price) if price else 0})


async def answers(dialled: Dialled, count: int) -> list[dict[str, Any]]:
    """The next answers on the connection."""
    room, found = bytearray(65536), []
    dialled.ws.receive_data(dialled.rest)
    async with asyncio.timeout(DEADLINE_S):
        while len(found) < count:
            got = dialled.conn.read(room)
            if got:
                dialled.ws.receive_data(bytes(room[:got]))
            for frame in dialled.ws.events_received():
                if getattr(frame, "opcode", None) is Opcode.TEXT:
                    found.append(json.loads(frame.data))  # type: ignore[union-attr]
            await asyncio.sleep(0)
    return found


async def place(dialled: Dialled, encoder: Encoder, one: Any) -> dict[str, Any]:
    """Send one order and read its answer, which must carry the order's own id."""
    client_id, frame = encoder.client_id, encoder.frame(one, time.time_ns() // 1_000_000)
    assert frame is not None
    dialled.conn.write(frame)
    encoder.next()
    (answer,) = await answers(dialled, 1)
    assert answer["id"] == client_id
    return answer


async def market_price(client: Client) -> tuple[str, str]:
    """(best bid, best ask)."""
    _, book = await client.call("GET", "/fapi/v1/depth", signed=False, symbol=SYMBOL, limit=5)
    return book["bids"][0][0], book["asks"][0][0]  # type: ignore[index]


async def all_kinds(client: Client, dialled: Dialled, encoder: Encoder) -> None:
    """Orders of every kind are taken as what they are, and the venue's order has the id and the numbers sent."""
    bid, _ = await market_price(client)
    low = f"{int(float(bid) * 0.98)}"
    for one, what in (
        (intent(1, LIMIT, GTC, low, "0.010"), {"type": "LIMIT", "timeInForce": "GTC", "side": "BUY"}),
        (intent(1, LIMIT, GTX, low, "0.02"), {"type": "LIMIT", "timeInForce": "GTX", "origQty": "0.020"}),
        (intent(1, LIMIT, IOC, low, "0.015"), {"type": "LIMIT", "timeInForce": "IOC"}),
        (intent(1, MARKET, 0, "", "0.010"), {"type": "MARKET", "side": "BUY"}),
        (intent(-1, MARKET, 0, "", "0.004", True), {"type": "MARKET", "side": "SELL", "reduceOnly": True}),
    ):
        client_id = encoder.client_id
        answer = await place(dialled, encoder, one)
        assert answer["status"] == 200, answer
        order = await client.ok("GET", "/fapi/v1/order", symbol=SYMBOL, origClientOrderId=client_id)
        assert isinstance(order, dict) and what.items() <= order.items(), order
        assert order["clientOrderId"] == client_id and order["selfTradePreventionMode"] == "EXPIRE_MAKER"


@on_a_loop
async def test_signed_one_by_one(tmp_path: Path) -> None:
    """The venue verifies each HMAC over its own reading of the message; with another secret it refuses."""
    async with running(tmp_path) as client:
        dialled = await Dialer().open(f"{client.base.replace('http', 'ws')}/ws-fapi/v1")
        with Encoder(client.api_key, client.secret, 5000, 77) as encoder:
            assert encoder.slot(0, SYMBOL, PX_EXP, QTY_EXP)
            await all_kinds(client, dialled, encoder)
        with Encoder(client.api_key, client.secret + b"!", 5000, 78) as stranger:
            stranger.slot(0, SYMBOL, PX_EXP, QTY_EXP)
            answer = await place(dialled, stranger, intent(1, MARKET, 0, "", "0.010"))
            assert answer["error"]["code"] == -1022
        dialled.conn.close()


@on_a_loop
async def test_after_a_logon(tmp_path: Path) -> None:
    """Without one an unsigned order is refused; after it, it is taken."""
    async with running(tmp_path) as client:
        dialled = await Dialer().open(f"{client.base.replace('http', 'ws')}/ws-fapi/v1")
        with Encoder(client.api_key, b"", 5000, 79) as encoder:
            encoder.slot(0, SYMBOL, PX_EXP, QTY_EXP)
            encoder.logon(True)
            refused = await place(dialled, encoder, intent(1, MARKET, 0, "", "0.010"))
            assert refused["status"] == 401
            rows: dict[str, Any] = {"apiKey": client.api_key, "timestamp": time.time_ns() // 1_000_000}
            text = "&".join(f"{k}={v}" for k, v in rows.items()).encode()
            rows["signature"] = base64.b64encode(client.private.sign(text)).decode()
            dialled.ws.send_text(json.dumps({"id": 1, "method": "session.logon", "params": rows}).encode())
            for data in dialled.ws.data_to_send():
                dialled.conn.write(data)
            (logon,) = await answers(dialled, 1)
            assert logon["status"] == 200
            await all_kinds(client, dialled, encoder)
        dialled.conn.close()
