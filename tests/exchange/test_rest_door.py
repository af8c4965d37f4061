"""The HTTP door as bytes on a socket: what is counted, refused and cut."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
from exchange_client import DEADLINE_S, Client, hold_interval, on_a_loop, running

from aegis.exchange.auth import Key
from aegis.exchange.faults.hooks import Answer, Before, Faults, Params
from aegis.exchange.limits import Quota

SYMBOL = "BTCUSDT"


async def raw(
    client: Client, method: str, target: str, body: str = "", api_key: str = "test-key"
) -> tuple[bytes, bytes]:
    """(head, body) of one request sent byte for byte on a connection of its own; all that came before the end."""
    port = int(client.base.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    key = f"X-MBX-APIKEY: {api_key}\r\n" if api_key else ""
    data = body.encode()
    writer.write(
        f"{method} {target} HTTP/1.1\r\nHost: x\r\n{key}Content-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(data)}\r\nConnection: close\r\n\r\n".encode()
        + data
    )
    try:
        whole = await asyncio.wait_for(reader.read(), DEADLINE_S)
    except ConnectionResetError:
        whole = b""
    writer.close()
    head, _, rest = whole.partition(b"\r\n\r\n")
    return head, rest


def signed(text: str) -> str:
    """A text with its time and HMAC signature."""
    text = f"{text}&timestamp={time.time_ns() // 1_000_000}".lstrip("&")
    return f"{text}&signature={hmac.new(b'test-secret', text.encode(), hashlib.sha256).hexdigest()}"


def order(price: str, client_id: str) -> str:
    """Parameters of a resting order."""
    return (
        f"symbol={SYMBOL}&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.010&price={price}"
        f"&newClientOrderId={quote(client_id, safe='')}"
    )


async def open_ids(client: Client) -> set[str]:
    """Client ids of the open orders."""
    return {row["clientOrderId"] for row in await client.ok("GET", "/fapi/v1/openOrders", symbol=SYMBOL)}  # type: ignore[union-attr]


async def low_price(client: Client) -> str:
    """A buy price that rests."""
    _, book = await client.call("GET", "/fapi/v1/depth", signed=False, symbol=SYMBOL, limit=5)
    return book["bids"][-1][0]  # type: ignore[index]


@on_a_loop
async def test_unknown_paths_and_methods(tmp_path: Path) -> None:
    """404 for no such path (a trailing slash makes another path), 405 for its other methods, each with -5000."""
    async with running(tmp_path) as client:
        for method, path, status in (
            ("GET", "/fapi/v1/nothing", b"404"),
            ("GET", "/fapi/v1/time/", b"404"),
            ("GET", "/futures/data/nothing", b"404"),
            ("GET", "/", b"404"),
            ("POST", "/public/stream", b"404"),
            ("GET", "/public/ws/btcusdt@trade", b"404"),
            ("GET", "/ws-fapi/v1", b"404"),
            ("GET", "/sapi/v1/nothing", b"404"),
            ("POST", "/fapi/v1/time", b"405"),
        ):
            head, body = await raw(client, method, path)
            assert head.split()[1] == status
            assert json.loads(body) == {"code": -5000, "msg": f"Path {path}, Method {method} is invalid"}
        head, body = await raw(client, "HEAD", "/fapi/v1/time")
        assert (head.split()[1], body) == (b"200", b"")


@on_a_loop
async def test_what_is_no_request_is_refused_without_a_trace(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A body too large or not what it says it is answers JSON; broken HTTP and a client that leaves log nothing."""
    async with running(tmp_path) as client:
        head, body = await raw(client, "POST", "/fapi/v1/order", "a" * (1 << 20) + "a")
        assert (head.split()[1], json.loads(body)["code"]) == (b"413", -1000)
        port = int(client.base.rpartition(":")[2])
        for text, status in (
            (
                b"POST /fapi/v1/order HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nno",
                b"400",
            ),
            (b"POST /fapi/v1/order HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
            (b"\x00\xff\r\n\r\n", b"400"),
            (b"GET /fapi/v1/depth?symbol=\xff HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
            (b"POST /fapi/v1/order HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc", b""),
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(text)
            if not status:
                writer.write_eof()
            head = await asyncio.wait_for(reader.read(1 << 16), DEADLINE_S)
            assert (head.split() or [b"", b""])[1] == status
            writer.close()
        assert (await client.call("GET", "/fapi/v1/ping", signed=False))[0] == 200
    assert not caplog.records


@on_a_loop
async def test_the_wallet_door(tmp_path: Path) -> None:
    """ccxt with all its addresses on the venue: no coins (signed, else refused), and a venue in good health."""
    async with running(tmp_path) as client:
        path = "/sapi/v1/capital/config/getall"
        assert await client.ok("GET", path) == []
        head, body = await raw(client, "GET", path)
        assert (head.split()[1], json.loads(body)["code"]) == (b"400", -1102)
        _, body = await raw(client, "GET", "/sapi/v1/system/status")
        assert json.loads(body) == {"status": 0, "msg": "normal"}


@on_a_loop
async def test_an_id_spelt_without_capitals(tmp_path: Path) -> None:
    """node-binance-api cancels a conditional order by `algoid`."""
    async with running(tmp_path) as client:
        price = await low_price(client)
        asked = {
            "algoType": "CONDITIONAL",
            "symbol": SYMBOL,
            "side": "SELL",
            "type": "STOP_MARKET",
            "quantity": "0.010",
        }
        made = await client.ok("POST", "/fapi/v1/algoOrder", **asked, triggerPrice=price)
        gone = await client.ok("DELETE", "/fapi/v1/algoOrder", symbol=SYMBOL, algoid=made["algoId"])  # type: ignore[index]
        assert gone["algoId"] == made["algoId"]  # type: ignore[index]
        assert await client.ok("GET", "/fapi/v1/openAlgoOrders") == []


@on_a_loop
async def test_headers(tmp_path: Path) -> None:
    """JSON with its charset and used weight everywhere, counts of orders with accepted orders alone."""
    async with running(tmp_path) as client:
        hold_interval(client)
        head, _ = await raw(client, "GET", "/fapi/v1/time")
        assert b"Content-Type: application/json;charset=UTF-8" in head
        assert b"X-MBX-USED-WEIGHT-1M: 1" in head
        assert b"X-MBX-USED-WEIGHT:" not in head
        assert b"ORDER-COUNT" not in head
        spot, _ = await raw(client, "GET", "/api/v3/ping")
        assert b"X-MBX-USED-WEIGHT: 2" in spot, "unicorn's depth cache reads it before it takes a snapshot"
        assert b"X-MBX-USED-WEIGHT-1M: 2" in spot
        price = await low_price(client)
        head, body = await raw(client, "POST", "/fapi/v1/order", signed(order(price, "one")))
        assert json.loads(body)["status"] == "NEW", body
        assert b"X-MBX-ORDER-COUNT-10S: 1" in head
        assert b"X-MBX-ORDER-COUNT-1M: 1" in head
        head, _ = await raw(client, "GET", f"/fapi/v1/openOrders?{signed('')}")
        assert b"ORDER-COUNT" not in head
        head, body = await raw(client, "POST", "/fapi/v1/order", signed(order("0.01", "two")))
        assert head.split()[1] == b"400"
        assert b"ORDER-COUNT" not in head


@on_a_loop
async def test_parameters_in_query_body_or_both(tmp_path: Path) -> None:
    """Wherever the parameters stand, and JSON lists raw or encoded, the order is the same; ids may hold `:` and `/`."""
    async with running(tmp_path) as client:
        hold_interval(client)
        price = await low_price(client)
        head, tail = order(price, "c:/3").split("&side", 1)
        whole = f"{head}side{tail}&timestamp={time.time_ns() // 1_000_000}"
        signature = hmac.new(b"test-secret", whole.encode(), hashlib.sha256).hexdigest()
        split_body = f"side{tail}{whole.rpartition(tail)[2]}&signature={signature}"
        for target, body in (
            (f"/fapi/v1/order?{signed(order(price, 'a:/1'))}", ""),
            ("/fapi/v1/order", signed(order(price, "b:/2"))),
            (f"/fapi/v1/order?{head}", split_body),
        ):
            _, answer = await raw(client, "POST", target, body)
            assert json.loads(answer)["clientOrderId"] in ("a:/1", "b:/2", "c:/3"), answer
        rows = json.dumps(
            [
                {
                    "symbol": SYMBOL,
                    "side": "BUY",
                    "type": "LIMIT",
                    "timeInForce": "GTC",
                    "quantity": "0.010",
                    "price": price,
                }
            ],
            separators=(",", ":"),
        )
        ids = []
        for target, body in (
            ("/fapi/v1/batchOrders", signed(f"batchOrders={rows}")),
            (f"/fapi/v1/batchOrders?{signed('batchOrders=' + quote(rows, safe=''))}", ""),
        ):
            answer_head, answer = await raw(client, "POST", target, body)
            ids.append(json.loads(answer)[0]["orderId"])
        assert b"X-MBX-ORDER-COUNT-10S: 13" in answer_head
        assert b"X-MBX-ORDER-COUNT-1M: 5" in answer_head
        text = signed(f"symbol={SYMBOL}&orderidlist={quote(json.dumps(ids, separators=(',', ':')), safe='')}")
        _, answer = await raw(client, "DELETE", f"/fapi/v1/batchOrders?{text}")
        assert [r["status"] for r in json.loads(answer)] == ["CANCELED", "CANCELED"]


@on_a_loop
async def test_one_flipped_bit_is_refused_before_any_parameter_is_read(tmp_path: Path) -> None:
    """A signed request with one bit of its payload or signature changed answers -1022, whatever it would ask then."""
    async with running(tmp_path) as client:
        text = signed(f"symbol={SYMBOL}&orderId=1")
        payload, _, signature = text.partition("&signature=")
        first = len(text) - len(signature)
        for at in [*range(len(payload)), *range(first, len(text), 7)]:
            char, flipped = text[at], chr(ord(text[at]) ^ 1)
            if not (char.isalnum() and flipped.isalnum()):
                continue  # the request would be no HTTP any more
            _, body = await raw(client, "GET", f"/fapi/v1/order?{text[:at]}{flipped}{text[at + 1 :]}")
            assert json.loads(body)["code"] == -1022, (at, body)
        _, body = await raw(client, "GET", f"/fapi/v1/order?{text}")
        assert json.loads(body)["code"] == -2013


@on_a_loop
async def test_keys_without_signature(tmp_path: Path) -> None:
    """Listen keys want the key alone and take a signed call too; 401 names what is wrong with a key."""
    async with running(tmp_path) as client:
        _, plain = await raw(client, "POST", "/fapi/v1/listenKey")
        _, in_query = await raw(client, "POST", f"/fapi/v1/listenKey?{signed('')}")
        _, in_body = await raw(client, "POST", "/fapi/v1/listenKey", signed(""))
        assert plain == in_query == in_body
        assert json.loads(plain)["listenKey"]
        for api_key, code in (("", -2014), ("nobody", -2015)):
            head, body = await raw(client, "POST", "/fapi/v1/listenKey", api_key=api_key)
            assert head.split()[1] == b"401"
            assert json.loads(body)["code"] == code


@on_a_loop
async def test_permissions(tmp_path: Path) -> None:
    """A key that may only read is refused by what changes something, and reads."""
    async with running(tmp_path) as client:
        client.venue.rest.gate.keys["test-key"] = Key("test-key", b"test-secret", trading=False)
        head, body = await raw(client, "DELETE", f"/fapi/v1/allOpenOrders?{signed(f'symbol={SYMBOL}')}")
        assert head.split()[1] == b"401"
        assert json.loads(body) == {
            "code": -2015,
            "msg": "Invalid API-key, IP, or permissions for action, request ip: 127.0.0.1",
        }
        assert await client.ok("GET", "/fapi/v1/openOrders") == []


@on_a_loop
async def test_limits_answer_429_then_418_with_retry_after(tmp_path: Path) -> None:
    """Over the weight 429, after ignoring it 418; the ban holds on the WebSocket API's door too and then ends."""
    async with running(tmp_path, weight=3) as client:
        hold_interval(client)
        limits = client.venue.rest.limits
        limits.quota = Quota(weight=3, ban_after=2, ban_s=3600.0)
        answers = [await raw(client, "GET", "/fapi/v1/time") for _ in range(7)]
        statuses = [head.split()[1] for head, _ in answers]
        assert statuses[:6] == [b"200"] * 3 + [b"429"] * 2 + [b"418"]
        assert all(b"Retry-After: " in head for head, _ in answers[3:])
        until = limits.address("127.0.0.1").banned_until_ms
        assert f"IP(127.0.0.1) banned until {until}." in json.loads(answers[-1][1])["msg"]
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.http.ws_connect(client.base + "/ws-fapi/v1")
        assert refused.value.status == 418
        limits.addresses.clear()
        assert (await raw(client, "GET", "/fapi/v1/time"))[0].split()[1] == b"200"
        client.venue.control.fault({"name": "banned_418"})
        assert (await raw(client, "GET", "/fapi/v1/time"))[0].split()[1] == b"418"


@on_a_loop
async def test_order_limits_answer_1015(tmp_path: Path) -> None:
    """Orders over the account's limit are 429 with -1015; rateLimit/order tells the limits in force."""
    async with running(tmp_path, orders_10s=1) as client:
        hold_interval(client)
        price = await low_price(client)
        assert [r["limit"] for r in await client.ok("GET", "/fapi/v1/rateLimit/order")] == [1, 1200]  # type: ignore[union-attr]
        _, info = await client.call("GET", "/fapi/v1/exchangeInfo", signed=False)
        assert [r["limit"] for r in info["rateLimits"]] == [2400, 1200, 1]  # type: ignore[index]
        await raw(client, "POST", "/fapi/v1/order", signed(order(price, "one")))
        head, body = await raw(client, "POST", "/fapi/v1/order", signed(order(price, "two")))
        assert head.split()[1] == b"429"
        assert json.loads(body)["code"] == -1015
        assert b"Retry-After: " in head


class Whole(Faults):
    """Faults of this test: the HTML of a firewall in place of running, or the answer cut after some bytes."""

    def __init__(self, instead: Answer | None = None, cut: int | None = None) -> None:
        super().__init__()
        self.instead, self.cut_at, self.names = instead, cut, []  # type: ignore[var-annotated]

    def before(self, name: str, _params: Callable[[], Params]) -> Before | None:
        """Answer in place of the venue."""
        self.names.append(name)
        return Before(0, self.instead) if self.instead else None

    def after(self, name: str, answer: Answer) -> Answer:
        """Cut what goes out."""
        self.names.append(name)
        answer.cut = self.cut_at
        return answer


@on_a_loop
async def test_a_fault_may_answer_in_place_of_the_venue(tmp_path: Path) -> None:
    """Status, body and headers are the fault's own, nothing is run, and both hooks hear the request's name."""
    async with running(tmp_path) as client:
        faults = Whole(Answer(403, b"<html>no</html>", {"Content-Type": "text/html"}))
        client.venue.ex.faults = faults
        head, body = await raw(client, "POST", "/fapi/v1/order", signed(order("1", "x")))
        assert (head.split()[1], body) == (b"403", b"<html>no</html>")
        assert b"Content-Type: text/html" in head
        assert faults.names == ["POST /fapi/v1/order"] * 2
        client.venue.ex.faults = Faults()
        assert await open_ids(client) == set()


@pytest.mark.parametrize("count", [0, 1, 17, 200])
@on_a_loop
async def test_a_fault_may_cut_the_answer_at_any_byte(tmp_path: Path, count: int) -> None:
    """Exactly the asked bytes of a correct answer arrive, and the order took effect."""
    async with running(tmp_path) as client:
        price = await low_price(client)
        client.venue.ex.faults = Whole(cut=count)
        head, body = await raw(client, "POST", "/fapi/v1/order", signed(order(price, "cut")))
        whole = head + b"\r\n\r\n" + body if body else head
        assert len(whole.rstrip(b"\r\n")) <= len(whole) <= count
        assert whole.startswith(b"HTTP/1.1 200 OK\r\n"[:count])
        client.venue.ex.faults = Faults()
        assert await open_ids(client) == {"cut"}


@on_a_loop
async def test_planted_kinds(tmp_path: Path) -> None:
    """error refuses before anything happens, answer_lost acts and is silent, request_delay acts late; each once."""
    async with running(tmp_path) as client:
        price = await low_price(client)
        plant, path = client.operate, "POST /fapi/v1/order"
        await plant("fault", name="error", path=path, code=-1008, status=503)
        head, body = await raw(client, "POST", "/fapi/v1/order", signed(order(price, "e")))
        assert (head.split()[1], json.loads(body)["code"]) == (b"503", -1008)
        await plant("fault", name="answer_lost", path=path)
        assert await raw(client, "POST", "/fapi/v1/order", signed(order(price, "d"))) == (b"", b"")
        await plant("fault", name="request_delay", path=path, ms=20)
        before = time.monotonic()
        _, body = await raw(client, "POST", "/fapi/v1/order", signed(order(price, "l")))
        assert time.monotonic() - before >= 0.02
        assert json.loads(body)["clientOrderId"] == "l"
        assert await open_ids(client) == {"d", "l"}
        assert not any(i.live for i in client.venue.injector.injected.values())
        with pytest.raises(AssertionError, match="no fault"):
            await plant("fault", name="nonsense")
