"""One of everything a venue sends: frames of every stream and user events, gathered through real sockets."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
from exchange_client import Client, running, until

MARKET = [
    "btcusdt@aggTrade",
    "btcusdt@markPrice@1s",
    "btcusdt@kline_1m",
    "btcusdt@ticker",
    "btcusdt@miniTicker",
    "!forceOrder@arr",
    "!contractInfo",
]
PUBLIC = ["btcusdt@bookTicker", "btcusdt@trade", "btcusdt@depth@100ms", "btcusdt@depth5@100ms"]


class Gathered:
    """Texts that came, by kind."""

    def __init__(self) -> None:
        self.texts: dict[str, list[str]] = {}
        self.tasks: list[asyncio.Task[None]] = []

    def file(self, text: str) -> None:
        """Put a text under its kind, of an array of events each one."""
        value = json.loads(text)
        if isinstance(value, list) and value and "e" in value[0]:
            for row in value:
                self.file(json.dumps(row, separators=(",", ":"), ensure_ascii=False))
        else:
            self.texts.setdefault(kind_of(value), []).append(text)

    def listen(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        """File every frame of a socket until the end."""

        async def read() -> None:
            async for msg in ws:
                row = json.loads(msg.data)
                if "result" not in row:
                    self.file(msg.data)

        self.tasks.append(asyncio.create_task(read()))

    async def has(self, *kinds: str) -> None:
        """Wait until each of the kinds was seen."""
        await until(lambda: all(k in self.texts for k in kinds), f"{kinds} of {sorted(self.texts)}")


def kind_of(value: Any) -> str:
    """
    What a message is: its event with what tells variants apart, or the REST answer it is.

    Raises:
        LookupError: nothing known looks like this.
    """
    if isinstance(value, dict) and "e" in value:
        inner = value.get("o", {}) if isinstance(value.get("o"), dict) else {}
        parts = {
            "ORDER_TRADE_UPDATE": inner.get("x"),
            "ALGO_UPDATE": inner.get("X"),
            "ACCOUNT_UPDATE": value.get("a", {}).get("m") if isinstance(value.get("a"), dict) else None,
            "trade": value.get("X"),
        }
        part = parts.get(value["e"])
        return f"{value['e']} {part}" if part else str(value["e"])
    marks = {"bids": "GET depth", "symbols": "GET exchangeInfo", "totalWalletBalance": "GET v3/account"}
    row = value[0] if isinstance(value, list) and value else value
    for mark, name in (marks | {"adjustedFundingRateCap": "GET fundingInfo"}).items():
        if isinstance(row, dict) and mark in row:
            return name
    raise LookupError(f"no kind for {str(value)[:120]}")


async def orders(client: Client) -> None:
    """Every kind of order event: a resting order amended and cancelled, a fill, conditional orders."""
    px = int(client.venue.ex.markets["BTCUSDT"].mark() // 10**8) * 97 // 100
    order = "/fapi/v1/order"
    rest: dict[str, object] = {"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.010"}
    row: Any = await client.ok("POST", order, **rest, type="LIMIT", timeInForce="GTC", price=f"{px}.50")
    await client.ok("PUT", order, **rest, orderId=row["orderId"], price=f"{px - 10}")
    await client.ok("DELETE", order, symbol="BTCUSDT", orderId=row["orderId"])
    await client.ok("POST", order, **rest, type="MARKET")
    await client.ok("POST", order, **rest | {"quantity": "0.003", "side": "SELL"}, type="MARKET")
    stop = {"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET", "quantity": "0.010"}
    algo: Any = await client.ok(
        "POST", "/fapi/v1/algoOrder", **stop, algoType="CONDITIONAL", triggerPrice=f"{px}.70", clientAlgoId="stop-1"
    )
    await client.ok("DELETE", "/fapi/v1/algoOrder", algoId=algo["algoId"])


def depart_from_the_ordinary(client: Client, reasons: list[str]) -> None:
    """What does not happen by itself in a second: funding, transfers, a liquidation, a listing."""
    ex = client.venue.ex
    acc, m = ex.account, ex.markets["BTCUSDT"]
    ex.clockwork.fund(m, 12_300, m.mark())
    ex.clockwork.transfer(acc, "USDT", 10 * 10**8, silent=False)
    ex.clockwork.transfer(acc, "USDT", -10 * 10**8, silent=False)
    for reason in reasons:
        ex.tell_account(acc, reason, [], {"USDT": 10**8})
    ex.md.contract(m, ex.clock())
    ex.liquidation.now(acc, m, "BOTH", deleverage=False)


async def play(tmp: Path, reasons: list[str]) -> dict[str, list[str]]:
    """
    Texts of every kind from a venue with sixteen symbols.

    Args:
        reasons: further reasons of ACCOUNT_UPDATE to be told.
    """
    seen = Gathered()
    async with running(tmp, symbols=16, seed=3, events_per_s=2000) as client:
        key: Any = await client.ok("POST", "/fapi/v1/listenKey")
        sockets = [
            await client.http.ws_connect(f"{client.base}{path}")
            for path in (
                f"/private/ws/{key['listenKey']}",
                "/public/ws/" + "/".join(PUBLIC),
                "/market/ws/" + "/".join(MARKET),
            )
        ]
        for ws in sockets:
            seen.listen(ws)
        await orders(client)
        depart_from_the_ordinary(client, reasons)
        for path in ("/fapi/v1/depth?symbol=BTCUSDT&limit=5", "/fapi/v1/exchangeInfo", "/fapi/v1/fundingInfo"):
            async with client.http.get(client.base + path) as r:
                seen.file(await r.text())
        seen.file(json.dumps(await client.ok("GET", "/fapi/v3/account"), separators=(",", ":")))
        await seen.has("forceOrder", "24hrTicker", "24hrMiniTicker", "markPriceUpdate", "aggTrade", "kline")
        await seen.has("bookTicker", "depthUpdate", "trade MARKET", "contractInfo", "ACCOUNT_UPDATE FUNDING_FEE")
        client.venue.ex.clockwork.end_listen_key(client.venue.ex.account, expired=True)
        await seen.has("listenKeyExpired")
        for ws in sockets:
            await ws.close()
        for task in seen.tasks:
            task.cancel()
    return seen.texts
