"""A client's way through the venue: place, fill, user events in order, cancel, dead-man, WebSocket API, streams."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path

import pytest
from exchange_client import Client, receive, running, until

BUY = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.002"}


async def events_of(client: Client, count: int, act: object) -> list[dict[str, object]]:
    """The first `count` user events after `act()` on a fresh private socket."""
    key = (await client.ok("POST", "/fapi/v1/listenKey"))["listenKey"]  # type: ignore[index]
    async with client.http.ws_connect(f"{client.base}/private/ws?listenKey={key}") as ws:
        await until(lambda: any(key in c.keys for c in client.venue.hub.conns), "private subscription")
        await act()  # type: ignore[operator]
        return [json.loads(await receive(ws)) for _ in range(count)]


def test_taker_fill_events_come_in_the_observed_order(tmp_path: Path) -> None:
    """TRADE_LITE, NEW, ACCOUNT_UPDATE, TRADE; userTrades shows the same fill; the wallet pays the fee."""

    async def main() -> None:
        async with running(tmp_path, events_per_s=0) as client:
            got = await events_of(client, 4, lambda: client.ok("POST", "/fapi/v1/order", **BUY))
            shape = [(e["e"], e.get("o", {}).get("x")) for e in got]  # type: ignore[attr-defined]
            assert shape == [
                ("TRADE_LITE", None),
                ("ORDER_TRADE_UPDATE", "NEW"),
                ("ACCOUNT_UPDATE", None),
                ("ORDER_TRADE_UPDATE", "TRADE"),
            ]
            fill = got[3]["o"]
            assert (fill["X"], fill["z"], fill["t"]) == ("FILLED", "0.002", got[0]["t"])  # type: ignore[index]
            (row,) = await client.ok("GET", "/fapi/v1/userTrades", symbol="BTCUSDT", fromId=fill["t"])  # type: ignore[index,misc]
            assert (Decimal(row["commission"]), row["orderId"]) == (Decimal(fill["n"]), fill["i"])  # type: ignore[index]
            (position,) = await client.ok("GET", "/fapi/v3/positionRisk")  # type: ignore[misc]
            assert position["positionAmt"] == "0.002"
            books = await client.operate("books")
            assert Decimal(books["flows"]["USDT"]["fees"]) == Decimal(fill["n"])  # type: ignore[index,call-overload]

    asyncio.run(main())


def test_rest_limits_codes_and_queries(tmp_path: Path) -> None:
    """A resting order is seen, duplicate ids and double cancels have their codes, answers carry no avgPrice."""

    async def main() -> None:
        async with running(tmp_path, events_per_s=0) as client:
            limit = {
                "symbol": "BTCUSDT",
                "side": "BUY",
                "type": "LIMIT",
                "timeInForce": "GTX",
                "quantity": "0.010",
                "price": "61000.0",
                "newClientOrderId": "a-1",
            }
            ack = await client.ok("POST", "/fapi/v1/order", **limit)
            assert "avgPrice" not in ack and "cumQuote" not in ack and ack["status"] == "NEW"  # type: ignore[operator,index]
            assert (await client.call("POST", "/fapi/v1/order", **limit))[1]["code"] == -4116  # type: ignore[index]
            assert (await client.call("POST", "/fapi/v1/order", **limit | {"newClientOrderId": "b", "price": "62000"}))[
                1
            ]["code"] == -5022  # type: ignore[index]
            assert "avgPrice" in await client.ok("GET", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="a-1")  # type: ignore[operator]
            assert len(await client.ok("GET", "/fapi/v1/openOrders")) == 1  # type: ignore[arg-type]
            done = await client.ok(
                "PUT",
                "/fapi/v1/order",
                symbol="BTCUSDT",
                side="BUY",
                origClientOrderId="a-1",
                quantity="0.010",
                price="60900.0",
            )
            assert done["orderId"] == ack["orderId"]  # type: ignore[index]
            await client.ok("DELETE", "/fapi/v1/order", symbol="BTCUSDT", orderId=ack["orderId"])  # type: ignore[index]
            assert (await client.call("DELETE", "/fapi/v1/order", symbol="BTCUSDT", orderId=ack["orderId"]))[1][
                "code"
            ] == -2011  # type: ignore[index]
            assert (await client.call("GET", "/fapi/v1/order", symbol="BTCUSDT", orderId=1))[1]["code"] == -2013  # type: ignore[index]
            assert (await client.call("POST", "/fapi/v1/order", **BUY | {"reduceOnly": "true"}))[1]["code"] == -2022  # type: ignore[index]

    asyncio.run(main())


def test_countdown_cancels_when_it_is_not_renewed(tmp_path: Path) -> None:
    """The dead-man switch cancels the symbol's orders by itself, and tells."""

    async def main() -> None:
        async with running(tmp_path, events_per_s=0) as client:
            limit = {
                "symbol": "BTCUSDT",
                "side": "BUY",
                "type": "LIMIT",
                "timeInForce": "GTC",
                "quantity": "0.010",
                "price": "61000.0",
            }

            async def act() -> None:
                await client.ok("POST", "/fapi/v1/order", **limit)
                await client.ok("POST", "/fapi/v1/countdownCancelAll", symbol="BTCUSDT", countdownTime=60)

            got = await events_of(client, 2, act)
            assert [e["o"]["x"] for e in got] == ["NEW", "CANCELED"]  # type: ignore[index]
            assert await client.ok("GET", "/fapi/v1/openOrders") == []

    asyncio.run(main())


@pytest.mark.parametrize("ed25519", [False, True])
def test_websocket_api_orders(tmp_path: Path, ed25519: bool) -> None:
    """Signed messages and a logged-on session both trade; ids come back with their own type; HMAC cannot log on."""

    async def main() -> None:
        async with (
            running(tmp_path, events_per_s=0) as client,
            client.http.ws_connect(f"{client.base}/ws-fapi/v1") as ws,
        ):
            await ws.send_json(client.signed_message(7, "session.logon", ed25519))
            logon = json.loads(await receive(ws))
            assert (logon["id"], logon["status"]) == (7, 200 if ed25519 else 400)
            placing = client.signed_message("x", "order.place", ed25519, **BUY)
            if ed25519:
                placing["params"].pop("signature")  # type: ignore[attr-defined]
                placing["params"].pop("apiKey")  # type: ignore[attr-defined]
            await ws.send_json(placing)
            placed = json.loads(await receive(ws))
            assert (placed["id"], placed["status"]) == ("x", 200), placed
            await ws.send_json(
                client.signed_message(8, "order.status", ed25519, symbol="BTCUSDT", orderId=placed["result"]["orderId"])
            )
            assert json.loads(await receive(ws))["result"]["status"] == "FILLED"
            await ws.send_json(client.signed_message(9, "order.cancel", ed25519, symbol="BTCUSDT", orderId=1))
            assert json.loads(await receive(ws))["error"]["code"] == -2011

    asyncio.run(main())


def test_wrong_route_is_acknowledged_and_silent(tmp_path: Path) -> None:
    """A markPrice subscription on /public gets its ack, and only the right route gets frames."""

    async def main() -> None:
        async with running(tmp_path, events_per_s=500) as client:
            name = "btcusdt@markPrice@1s"
            async with (
                client.http.ws_connect(f"{client.base}/public/ws") as wrong,
                client.http.ws_connect(f"{client.base}/market/ws") as right,
            ):
                for ws in (wrong, right):
                    await ws.send_json({"method": "SUBSCRIBE", "params": [name], "id": "s"})
                    assert json.loads(await receive(ws)) == {"result": None, "id": "s"}
                assert json.loads(await receive(right))["e"] == "markPriceUpdate"
                await wrong.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 2})
                assert json.loads(await receive(wrong)) == {"result": [name], "id": 2}

    asyncio.run(main())


def test_depth_stream_joins_the_snapshot_and_stays_whole(tmp_path: Path) -> None:
    """A book kept by the public rules (join, `pu` chain) equals the venue's own at the same update id."""

    async def main() -> None:
        async with (
            running(tmp_path, events_per_s=2000) as client,
            client.http.ws_connect(f"{client.base}/public/stream?streams=ethusdt@depth@100ms") as ws,
        ):
            first = json.loads(await receive(ws))["data"]
            snap = (await client.call("GET", "/fapi/v1/depth", signed=False, symbol="ETHUSDT", limit=1000))[1]
            last = snap["lastUpdateId"]  # type: ignore[index,call-overload]
            sides = {s: dict(snap[k]) for s, k in (("b", "bids"), ("a", "asks"))}  # type: ignore[index,call-overload]
            event, applied, prev = first, 0, 0
            while applied < 5:
                if event["u"] >= last or applied:
                    assert event["pu"] == prev if applied else event["U"] <= last <= event["u"] or event["pu"] == last
                    applied, prev = applied + 1, event["u"]
                    for s in sides:
                        for px, qty in event[s]:
                            sides[s][px] = qty
                event = json.loads(await receive(ws))["data"] if applied < 5 else event
            bids = [px for px, q in sides["b"].items() if float(q)]
            asks = [px for px, q in sides["a"].items() if float(q)]
            assert max(map(float, bids)) < min(map(float, asks))

    asyncio.run(main())
