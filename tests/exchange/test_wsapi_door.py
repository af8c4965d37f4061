"""The WebSocket API door: ids, shapes of refusals, signatures, logon, limits, pings and cuts."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from exchange_client import DEADLINE_S, Client, hold_interval, on_a_loop, receive, running, until

from aegis.exchange.faults.hooks import Answer, Faults
from aegis.exchange.limits import Quota
from aegis.exchange.wire import frame

SYMBOL = "BTCUSDT"


@asynccontextmanager
async def connected(client: Client, tail: str = "") -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A connection to the WebSocket API."""
    async with client.http.ws_connect(f"{client.base}/ws-fapi/v1{tail}", autoping=False) as ws:
        yield ws


async def ask(ws: aiohttp.ClientWebSocketResponse, request: object) -> dict[str, Any]:
    """The answer to one request, given as an object or as text."""
    await ws.send_str(request if isinstance(request, str) else json.dumps(request))
    return json.loads(await receive(ws))  # type: ignore[no-any-return]


def stamp() -> int:
    """Now, in ms."""
    return time.time_ns() // 1_000_000


async def resting(client: Client, client_id: str) -> dict[str, object]:
    """Parameters of an order that rests."""
    _, book = await client.call("GET", "/fapi/v1/depth", signed=False, symbol=SYMBOL, limit=5)
    price = book["bids"][-1][0]  # type: ignore[index]
    return {
        "symbol": SYMBOL,
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.010",
        "price": price,
        "newClientOrderId": client_id,
    }


@on_a_loop
async def test_ids_come_back_as_they_were_written(tmp_path: Path) -> None:
    """Texts, whole numbers of any size and null; anything else is no id."""
    async with running(tmp_path) as client, connected(client) as ws:
        for ident in ('"a-1"', "7", "-7", "123456789012345678901234567890", "null", '"币安"', '"\\u5e01"'):
            await ws.send_str(f'{{"id":{ident},"method":"time"}}')
            assert (await receive(ws)).startswith(f'{{"id":{ident},"status":200,"result":')
        for ident in ("1.5", "[1]", "{}", "true"):
            answer = await ask(ws, f'{{"id":{ident},"method":"time"}}')
            assert (answer["id"], answer["status"], answer["error"]["code"]) == (None, 400, -1135)


@on_a_loop
async def test_what_is_no_request(tmp_path: Path) -> None:
    """Each is told what was expected, with its id when that could be read; the connection lives on."""
    async with running(tmp_path) as client, connected(client) as ws:
        for text, ident, msg in (
            ("{", None, "Invalid JSON request; expected an object."),
            ("[1]", None, "Invalid JSON request; expected an object."),
            ('{"id":1}', 1, "Invalid 'method' in JSON request; expected a string."),
            ('{"id":"x","method":5}', "x", "Invalid 'method' in JSON request; expected a string."),
            ('{"id":1,"method":"time","params":[]}', 1, "Invalid 'params' in JSON request; expected an object."),
        ):
            answer = await ask(ws, text)
            assert (answer["id"], answer["status"]) == (ident, 400)
            assert answer["error"] == {"code": -1135, "msg": msg}
        answer = await ask(ws, {"id": 2, "method": "nothing"})
        assert (answer["id"], answer["status"], answer["error"]["msg"]) == (2, 400, "Unknown method nothing")
        assert (await ask(ws, {"id": 3, "method": "time", "params": None}))["status"] == 200


@on_a_loop
async def test_signed_messages_and_flipped_bits(tmp_path: Path) -> None:
    """HMAC and Ed25519 over the exact spelling of numbers; one flipped bit of value, name or signature: -1022."""
    async with running(tmp_path) as client, connected(client) as ws:
        for ed25519 in (False, True):
            good = client.signed_message(1, "order.status", ed25519, symbol=SYMBOL, orderId=1, recvWindow=60000)
            assert (await ask(ws, good))["error"]["code"] == -2013
            params: dict[str, Any] = good["params"]  # type: ignore[assignment]
            for name, value in params.items():
                if name == "apiKey":
                    continue
                bad = value ^ 1 if isinstance(value, int) else chr(ord(value[0]) ^ 1) + value[1:]
                answer = await ask(ws, good | {"params": params | {name: bad}})
                assert answer["error"] == {"code": -1022, "msg": "Signature for this request is not valid."}, name
                if name != "signature":
                    renamed = {chr(ord(k[0]) ^ 1) + k[1:] if k == name else k: v for k, v in params.items()}
                    assert (await ask(ws, good | {"params": renamed}))["error"]["code"] == -1022, name
        message = client.signed_message(1, "order.status", price="0.10", symbol=SYMBOL, orderId=1)
        assert (await ask(ws, json.dumps(message).replace('"0.10"', "0.10")))["error"]["code"] == -2013


@on_a_loop
async def test_logon_wants_an_ed25519_key_and_spares_key_and_signature(tmp_path: Path) -> None:
    """After it a fresh timestamp is enough; a signature that is sent is still verified; logout ends it."""
    async with running(tmp_path) as client, connected(client) as ws:
        hmac_logon = await ask(ws, client.signed_message(1, "session.logon"))
        assert hmac_logon["error"] == {"code": -4056, "msg": "HMAC_SHA256 API key is not supported."}
        before = await ask(ws, {"id": 2, "method": "account.balance", "params": {"timestamp": stamp()}})
        assert (before["status"], before["error"]["code"]) == (401, -2014)
        logon = await ask(ws, client.signed_message(3, "session.logon", ed25519=True))
        assert logon["result"]["apiKey"] == "test-key"
        assert logon["result"]["authorizedSince"] <= logon["result"]["serverTime"]
        request = {"id": 4, "method": "account.balance", "params": {"timestamp": stamp()}}
        assert (await ask(ws, request))["status"] == 200
        for params, code in (
            ({}, -1102),
            ({"timestamp": stamp() - 6000}, -1021),
            ({"timestamp": stamp(), "apiKey": "test-key", "signature": "0" * 64}, -1022),
            ({"timestamp": stamp(), "apiKey": "nobody"}, -2015),
        ):
            assert (await ask(ws, request | {"params": params}))["error"]["code"] == code, params
        assert (await ask(ws, {"id": 5, "method": "userDataStream.start"}))["result"]["listenKey"]
        assert (await ask(ws, {"id": 6, "method": "session.logout"}))["result"]["apiKey"] is None
        assert (await ask(ws, {"id": 7, "method": "session.status"}))["result"]["authorizedSince"] is None
        assert (await ask(ws, request))["error"]["code"] == -2014


@on_a_loop
async def test_a_revoked_key_is_told(tmp_path: Path) -> None:
    """The connection logged on with it gets 401 with a null id, and is logged off; its key is unknown from then on."""
    async with running(tmp_path) as client, connected(client) as ws:
        await ask(ws, client.signed_message(1, "session.logon", ed25519=True))
        client.venue.control.fault({"name": "key_revoked", "key": "test-key"})
        assert json.loads(await receive(ws)) == {
            "id": None,
            "status": 401,
            "error": {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."},
        }
        for request, code in (
            (client.signed_message(2, "account.balance"), -2015),
            ({"id": 3, "method": "account.balance", "params": {"timestamp": stamp()}}, -2014),
        ):
            answer = await ask(ws, request)
            assert (answer["status"], answer["error"]["code"]) == (401, code)
        with pytest.raises(ValueError, match="no key"):
            client.venue.control.fault({"name": "key_revoked", "key": "test-key"})


@on_a_loop
async def test_limits_are_told_and_kept(tmp_path: Path) -> None:
    """Opening costs 5, in one pool with REST; orders add their rows; over a limit 429 says when to come again."""
    async with running(tmp_path, orders_10s=2) as client, connected(client) as ws:
        weight = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2400}
        hold_interval(client)
        client.venue.rest.limits.addresses.clear()
        assert (await ask(ws, {"id": 1, "method": "ticker.price"}))["rateLimits"] == [weight | {"count": 2}]
        order = await resting(client, "one")
        done = await ask(ws, client.signed_message(2, "order.place", **order))
        assert done["rateLimits"] == [
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 2, "count": 1},
            {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200, "count": 1},
            weight | {"count": 4},
        ]
        quiet = await ask(ws, {"id": 3, "method": "time", "params": {"returnRateLimits": False}})
        assert "rateLimits" not in quiet
        await ask(ws, client.signed_message(4, "order.place", **await resting(client, "two")))
        over = await ask(ws, client.signed_message(5, "order.place", **await resting(client, "three")))
        assert (over["status"], over["error"]["code"]) == (429, -1015)
        assert over["error"]["data"]["retryAfter"] > over["error"]["data"]["serverTime"]
        client.venue.rest.limits.quota = Quota(weight=1, ban_after=1)
        assert [(await ask(ws, {"id": 6, "method": "time"}))["status"] for _ in range(2)] == [429, 418]
    async with running(tmp_path) as client, connected(client, "?returnRateLimits=false") as ws:
        assert set(await ask(ws, {"id": 1, "method": "time"})) == {"id", "status", "result"}
        assert client.venue.rest.limits.used("127.0.0.1", stamp()) == 6


@on_a_loop
async def test_pipelined_requests_are_answered_in_order(tmp_path: Path) -> None:
    """A thousand requests sent before the first answer is read come back each under its own id."""
    async with running(tmp_path) as client, connected(client) as ws:
        for number in range(1000):
            await ws.send_str(f'{{"id":{number},"method":"time"}}')
        assert [json.loads(await receive(ws))["id"] for _ in range(1000)] == list(range(1000))


@on_a_loop
async def test_pings(tmp_path: Path) -> None:
    """The venue pings, answers a ping with its payload, and lets go who does not answer or floods it."""
    async with running(tmp_path) as client:
        client.venue.api.ping_s = 0.001
        async with connected(client) as ws:
            msg = await asyncio.wait_for(ws.receive(), DEADLINE_S)
            assert msg.type is aiohttp.WSMsgType.PING
            session = next(iter(client.venue.api.sessions))
            session.pong_at = 0.0
            await ws.pong(msg.data)
            await until(lambda: session.pong_at > 0.0, "pong taken in")
        client.venue.api.pong_s = 0.0
        async with connected(client) as ws:
            while (msg := await asyncio.wait_for(ws.receive(), DEADLINE_S)).type is aiohttp.WSMsgType.PING:
                pass
            assert (msg.type, msg.data) == (aiohttp.WSMsgType.CLOSE, 1008)
        client.venue.api.ping_s, client.venue.api.pong_s = 180.0, 600.0
        async with connected(client) as ws:
            await ws.ping(b"payload")
            msg = await asyncio.wait_for(ws.receive(), DEADLINE_S)
            assert (msg.type, bytes(msg.data)) == (aiohttp.WSMsgType.PONG, b"payload")
            for _ in range(20):
                await ws.ping(b"")
            while (msg := await asyncio.wait_for(ws.receive(), DEADLINE_S)).type is aiohttp.WSMsgType.PONG:
                pass
            assert (msg.type, msg.data) == (aiohttp.WSMsgType.CLOSE, 1008)


@on_a_loop
async def test_a_connection_ends_after_its_lifetime(tmp_path: Path) -> None:
    """The forced disconnect closes with 1001."""
    async with running(tmp_path, lifetime_s=0.05) as client, connected(client) as ws:
        msg = await asyncio.wait_for(ws.receive(), DEADLINE_S)
        assert (msg.type, msg.data) == (aiohttp.WSMsgType.CLOSE, 1001)


class Cut(Faults):
    """A fault that cuts the answers to one method after some bytes, or answers in their place."""

    def __init__(self, method: str, count: int) -> None:
        super().__init__()
        self.method, self.count = method, count

    def after(self, name: str, answer: Answer) -> Answer:
        """Cut what goes out."""
        if name == f"WS {self.method}":
            answer.cut = self.count
        return answer


@pytest.mark.parametrize("count", [0, 1, 60])
@on_a_loop
async def test_a_fault_may_cut_an_answer(tmp_path: Path, count: int) -> None:
    """Whole answers before it arrive, then that many bytes of its frame, then the end; the order took effect."""
    async with running(tmp_path) as client:
        order = client.signed_message(2, "order.place", **await resting(client, "cut"))
        client.venue.ex.faults = Cut("order.place", count)
        reader, writer = await asyncio.open_connection("127.0.0.1", int(client.base.rpartition(":")[2]))
        key = base64.b64encode(b"0" * 16).decode()
        writer.write(
            "GET /ws-fapi/v1?returnRateLimits=false HTTP/1.1\r\nHost: x\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
        for text in ('{"id":1,"method":"ping"}', json.dumps(order)):
            plain = frame(text.encode())
            size = 2 if len(text) < 126 else 4
            writer.write(plain[:1] + bytes((plain[1] | 0x80,)) + plain[2:size] + b"\0\0\0\0" + plain[size:])
        want = frame(b'{"id":1,"status":200,"result":{}}')
        try:
            got = await asyncio.wait_for(reader.read(-1), DEADLINE_S)
        except ConnectionResetError:
            got = b""
        writer.close()
        if count:
            assert got.startswith(want)
            assert len(got) == len(want) + count
            assert got[len(want) :].startswith(b"\x81~"[:count])
        found = await client.ok("GET", "/fapi/v1/openOrder", symbol=SYMBOL, origClientOrderId="cut")
        assert found["status"] == "NEW"  # type: ignore[call-overload]


@on_a_loop
async def test_a_delayed_answer_holds_up_no_other(tmp_path: Path) -> None:
    """The next request overtakes it; a planted error and a dropped reply work here as on REST."""
    async with running(tmp_path) as client, connected(client) as ws:
        plant = client.operate
        await plant("fault", name="request_delay", path="WS ping", ms=50)
        await ws.send_str('{"id":1,"method":"ping"}')
        assert (await ask(ws, {"id": 2, "method": "time"}))["id"] == 2
        assert json.loads(await receive(ws))["id"] == 1
        await plant("fault", name="error", path="WS time", code=-1008, status=503)
        answer = await ask(ws, {"id": 3, "method": "time"})
        assert (answer["id"], answer["status"], answer["error"]["code"]) == (3, 503, -1008)
        await plant("fault", name="answer_lost", path="WS time")
        await ws.send_str('{"id":4,"method":"time"}')
        msg = await asyncio.wait_for(ws.receive(), DEADLINE_S)
        assert msg.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.ERROR)


def test_frames_of_every_length() -> None:
    """Seven, sixteen and sixty-four bits of length, as RFC 6455 5.2 lays them out."""
    assert frame(b"a") == b"\x81\x01a"
    assert frame(b"a" * 126)[:4] == b"\x81\x7e\x00\x7e"
    assert frame(b"a" * 65536)[:10] == b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"
