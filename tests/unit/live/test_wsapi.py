"""Each call on the WebSocket API ends in the one state that is true: answered, refused, unknown or never written."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import certs
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Frame, Opcode

from aegis.config import Venue
from aegis.errors import ConfigError, OrderUnknown, RateLimited, Unreachable, VenueError
from aegis.live.clock import Clock
from aegis.live.keys import Creds
from aegis.live.rest import Rest
from aegis.live.wsapi import BACKOFF_MAX_S, WsApi, pause_s

SECRET = secrets.token_hex(16).encode()
HMAC_KEY = Creds(api_key="k", secret=SECRET)
Reply = Callable[[dict[str, Any]], dict[str, Any] | None]


class Door:
    """A WebSocket API that answers by `reply`: None closes the connection, {} stays silent."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.seen: list[dict[str, Any]] = []

    async def serve(self, ws: ServerConnection) -> None:
        async for frame in ws:
            asked = json.loads(frame)
            self.seen.append(asked)
            answer = self.reply(asked)
            if answer is None:
                ws.transport.abort()
                return
            if answer:
                await ws.send(json.dumps({"id": asked["id"], **answer}))


def with_door(reply: Reply, use: Callable[[WsApi, Door], Awaitable[Any]], creds: Creds = HMAC_KEY) -> Any:
    """Run `use` with a connected client of such a door."""

    async def run() -> Any:
        door = Door(reply)
        async with serve(door.serve, "127.0.0.1", 0, compression=None) as server, asyncio.timeout(10):
            port = next(iter(server.sockets)).getsockname()[1]
            api = WsApi(Venue(ws_api_url=f"ws://127.0.0.1:{port}/ws-fapi/v1"), creds, Clock())
            await api.connect()
            try:
                return await use(api, door)
            finally:
                await api.close()

    return asyncio.run(run())


def refusal(status: int, code: int, msg: str, **data: int) -> Reply:
    return lambda _asked: {"status": status, "error": {"code": code, "msg": msg, "data": data}}


def ok(asked: dict[str, Any]) -> dict[str, Any]:
    return {"status": 200, "result": {"method": asked["method"], "avgPrice": "0.10"}}


def place(api: WsApi, timeout_s: float = 2.0) -> Awaitable[Any]:
    return api.call("order.place", {"symbol": "BTCUSDT", "quantity": "0.001", "count": 3}, timeout_s)


def test_a_message_is_signed_over_its_sorted_raw_params() -> None:
    """Law: signature = HMAC of k=v of all other params, sorted by key; integers stay JSON numbers."""

    async def use(api: WsApi, door: Door) -> None:
        assert await place(api) == {"method": "order.place", "avgPrice": "0.10"}
        params = dict(door.seen[0]["params"])
        signature = params.pop("signature")
        text = "&".join(f"{k}={params[k]}" for k in sorted(params))
        assert signature == hmac.new(SECRET, text.encode(), hashlib.sha256).hexdigest()
        assert params["count"] == 3 and isinstance(params["timestamp"], int) and params["apiKey"] == "k"

    with_door(ok, use)


def test_after_a_logon_messages_carry_no_key() -> None:
    """Law: an Ed25519 key logs on once per connection, before anything else is sent."""
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    async def use(api: WsApi, door: Door) -> None:
        await place(api)
        assert [m["method"] for m in door.seen] == ["session.logon", "order.place"]
        assert "signature" in door.seen[0]["params"]
        assert not {"signature", "apiKey"} & set(door.seen[1]["params"]) and "timestamp" in door.seen[1]["params"]

    with_door(ok, use, Creds(api_key="k", secret=SECRET, ed25519_pem=pem))


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (refusal(400, -2010, "rejected"), VenueError),
        (refusal(400, -1007, "Timeout waiting for response from backend server."), OrderUnknown),
        (refusal(503, -1008, "Server is currently overloaded with other requests."), VenueError),
        (refusal(429, -1003, "Too many requests", retryAfter=4_000_000_000_000), RateLimited),
        (lambda _asked: None, OrderUnknown),
        (lambda _asked: {}, OrderUnknown),
    ],
)
def test_an_order_is_unknown_unless_its_failure_is_proven(reply: Reply, error: type[Exception]) -> None:
    """Law: a lost connection and a silent venue leave an order unknown; refusals say so."""

    async def use(api: WsApi, _door: Door) -> None:
        with pytest.raises(error):
            await place(api, 0.3)
        assert not api._pending

    with_door(reply, use)


def test_a_query_without_an_answer_may_be_repeated() -> None:
    """Law: what changes nothing is never unknown."""

    async def use(api: WsApi, _door: Door) -> None:
        with pytest.raises(Unreachable):
            await api.call("order.status", {"symbol": "BTCUSDT"}, 0.1)

    with_door(lambda _asked: {}, use)


def test_it_connects_again_and_sends_nothing_meanwhile() -> None:
    """Law: without a connection a call is Unreachable at once; the next connection serves again."""

    async def use(api: WsApi, _door: Door) -> None:
        with pytest.raises(OrderUnknown):
            await place(api)
        with pytest.raises(Unreachable):
            await place(api)
        await api.connect()
        assert api.connections == 2 and await api.call("ping", signed=False)

    with_door(lambda asked: None if asked["method"] == "order.place" else ok(asked), use)


def test_a_refused_timestamp_is_measured_and_the_order_sent_once_more() -> None:
    """Law: -1021 proves the order was not taken; the second timestamp follows the venue's time."""
    ahead_ms = 3_600_000

    def reply(asked: dict[str, Any]) -> dict[str, Any]:
        now_ms = Clock().now_ns() // 1_000_000 + ahead_ms
        if asked["method"] == "time":
            return {"status": 200, "result": {"serverTime": now_ms}}
        fresh = now_ms - asked["params"]["timestamp"] < 5000
        return ok(asked) if fresh else refusal(400, -1021, "outside of the recvWindow")(asked) or {}

    async def use(api: WsApi, door: Door) -> None:
        await place(api)
        assert [m["method"] for m in door.seen] == ["order.place", "time", "order.place"]
        assert abs(api.clock_offset_ms - ahead_ms) < 1000

    with_door(reply, use)


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("good", ""),
        ("wrong_host", "localhost: tls: wrong host name: the certificate is for other.example"),
        ("expired", "localhost: tls: the certificate expired on "),
        ("self_signed", "localhost: tls: the certificate is self-signed"),
    ],
)
def test_orders_go_over_tls_or_the_log_says_why_not(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], kind: str, line: str
) -> None:
    """Law: the order connection serves with a trusted certificate, and refuses each other one in one line."""
    door = Door(ok)

    async def run() -> None:
        ca, context = certs.make(tmp_path), certs.server_context(tmp_path, kind)
        async with serve(door.serve, "127.0.0.1", 0, compression=None, ssl=context) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            api = WsApi(Venue(ws_api_url=f"wss://localhost:{port}/x", ca_file=str(ca)), HMAC_KEY, Clock())
            try:
                await api.connect(5.0 if kind == "good" else 0.5)
                assert (await place(api))["method"] == "order.place"
                assert api.conn is not None and api.conn.about.startswith("TLSv1.3")
            finally:
                await api.close()

    if kind == "good":
        asyncio.run(run())
        return
    with pytest.raises(Unreachable):
        asyncio.run(run())
    said = [row for row in capfd.readouterr().err.splitlines() if "disconnected" in row]
    assert said and all(f'why="Unreachable: {line}' in row for row in said) and not door.seen


def test_an_authority_file_that_is_none_is_refused_at_the_start(tmp_path: Path) -> None:
    """Law: a wrong `venue.ca_file` is the operator's to mend, before anything connects."""
    for make in (lambda v: WsApi(v, HMAC_KEY, Clock()), lambda v: Rest(v, HMAC_KEY, Clock())):
        with pytest.raises(ConfigError, match=r"missing\.pem cannot be used: No such file"):
            make(Venue(ca_file=str(tmp_path / "missing.pem")))


def test_an_order_that_c_sent_is_answered_by_its_client_id() -> None:
    """Law: a frame written on `conn` goes out as it is; the answer whose id is a text goes to `on_answer` alone."""

    async def use(api: WsApi, door: Door) -> None:
        came: asyncio.Future[tuple[str, dict[str, Any]]] = asyncio.get_running_loop().create_future()
        api.on_answer = lambda client_id, answer: came.set_result((client_id, answer))
        order = {"id": "ae-1-2", "method": "order.place", "params": {"symbol": "A"}}
        assert api.conn is not None
        if not api.conn.write(Frame(Opcode.TEXT, json.dumps(order).encode()).serialize(mask=True)):
            api.kick()
        by_call = await place(api)
        assert await came == ("ae-1-2", {"id": "ae-1-2", **ok(order)})
        assert door.seen[0] == order and by_call == ok(order)["result"]

    with_door(ok, use)


def test_c_loses_the_connection_before_it_is_closed() -> None:
    """Law: `on_state` says None while the socket is still open, and the next connection when that one serves."""
    seen: list[bool | None] = []

    async def use(api: WsApi, _door: Door) -> None:
        first = api.conn
        assert first is not None
        api.on_state = lambda conn: seen.append(conn is not first and conn.fd >= 0 if conn else first.fd < 0)
        with pytest.raises(OrderUnknown):
            await place(api)
        assert api.conn is None
        await api.connect()
        assert api.conn is not None and api.conn is not first and first.fd < 0

    with_door(lambda asked: None if asked["method"] == "order.place" else ok(asked), use)
    assert seen[:2] == [False, True]


def test_nobody_there_is_unreachable() -> None:
    """Law: a first connection that does not come is reported by the caller's deadline."""

    async def run() -> None:
        api = WsApi(Venue(ws_api_url="ws://127.0.0.1:1/"), HMAC_KEY, Clock())
        with pytest.raises(Unreachable):
            await api.connect(0.3)
        await api.close()

    asyncio.run(run())


def test_pauses_grow_to_a_cap() -> None:
    """Law: back-off doubles, is capped, and at least half of it is always waited."""
    assert [pause_s(n, 1.0) for n in range(3)] == [0.1, 0.2, 0.4]
    assert pause_s(1000, 0.0) == BACKOFF_MAX_S / 2


@pytest.mark.parametrize(
    "answer", [{}, {"status": 0}, {"status": "400"}, {"status": 302, "error": {"code": -2019}}, {"error": "no"}]
)
def test_an_answer_that_proves_nothing_leaves_the_order_unknown(answer: dict[str, Any]) -> None:
    """For a write, whatever is not known to have failed may live on the venue."""
    api = WsApi(Venue(ws_api_url="ws://127.0.0.1:1/"), HMAC_KEY, Clock())
    assert isinstance(api.refusal(answer, write=True), OrderUnknown)
    assert isinstance(api.refusal({"status": 400, "error": {"code": -2019, "msg": "no"}}, write=True), VenueError)
