"""A trading program as people write it on the sockets of the path bench: `bot.py picows|websockets PORT CLIENT`.

Both decode each frame whole, compare the ask with the mark and send one signed `order.place` for it; no book, no gate,
no journal, no record of the order. `picows` with uvloop and orjson is the fastest a careful hand gets in Python;
`websockets` with json is what a tutorial shows.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import json
import sys
import time
from typing import Any

import orjson
import picows
import uvloop
import websockets

MARK = "76960.30"
SECRET, KEY = b"path-bench-secret", "path-bench-key-" + 49 * "0"
_numbers = itertools.count(1)
ASK = '{"method":"SUBSCRIBE","params":["btcusdt@bookTicker","btcusdt@trade","btcusdt@depth@100ms"],"id":1}'


def order(price: str, qty: str) -> dict[str, Any]:
    """The signed message."""
    number = next(_numbers)
    params: dict[str, Any] = {
        "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "IOC", "quantity": qty, "price": price,
        "newClientOrderId": f"bot-{number}", "newOrderRespType": "ACK", "recvWindow": 5000,
        "timestamp": time.time_ns() // 1_000_000, "apiKey": KEY,
    }  # fmt: skip
    payload = "&".join(f"{k}={v}" for k, v in sorted(params.items()))
    params["signature"] = hmac.new(SECRET, payload.encode(), hashlib.sha256).hexdigest()
    return {"id": number, "method": "order.place", "params": params}


class Answers(picows.WSListener):
    """The order connection: answers are decoded and dropped."""

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        orjson.loads(frame.get_payload_as_bytes())


class Stream(picows.WSListener):
    """The stream: each frame is decoded; a mark is answered at once."""

    def __init__(self, api: Any) -> None:
        self._api = api

    def on_ws_connected(self, transport: Any) -> None:
        transport.send(picows.WSMsgType.TEXT, ASK.encode())

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        data = orjson.loads(frame.get_payload_as_bytes()).get("data", {})
        if data.get("e") == "bookTicker" and data["a"] == MARK:
            self._api.send(picows.WSMsgType.TEXT, orjson.dumps(order(data["a"], data["A"])))


async def by_picows(base: str) -> None:
    """uvloop, picows, orjson."""
    api, _ = await picows.ws_connect(Answers, f"{base}/ws-api/v1")
    stream, _ = await picows.ws_connect(lambda: Stream(api), f"{base}/public/stream")
    await stream.wait_disconnected()


async def by_websockets(base: str) -> None:
    """asyncio, websockets, json."""
    async with websockets.connect(f"{base}/ws-api/v1") as api, websockets.connect(f"{base}/public/stream") as stream:

        async def drop() -> None:
            async for answer in api:
                json.loads(answer)

        reader = asyncio.ensure_future(drop())
        await stream.send(ASK)
        async for text in stream:
            data = json.loads(text).get("data", {})
            if data.get("e") == "bookTicker" and data["a"] == MARK:
                await api.send(json.dumps(order(data["a"], data["A"]), separators=(",", ":")))
        reader.cancel()


if __name__ == "__main__":
    where = f"ws://127.0.0.1:{sys.argv[2]}/{sys.argv[3]}"
    if sys.argv[1] == "picows":
        uvloop.run(by_picows(where))
    else:
        asyncio.run(by_websockets(where))
