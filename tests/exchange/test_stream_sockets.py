"""Stream connections on real sockets: pings, limits, slow readers, address forms, and every seam for planted faults."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from exchange_client import DEADLINE_S, Client, receive, running, until

from aegis.exchange import conn as conn_module
from aegis.exchange.conn import Conn
from aegis.exchange.wire import frame

ENDED = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)


def venue_test(tmp_path: Path, act: Callable[[Client], Awaitable[None]], **more: object) -> None:
    """Run `act` against a quiet venue."""

    async def main() -> None:
        async with running(tmp_path, **{"events_per_s": 0, "symbols": 6, **more}) as client:
            await act(client)

    asyncio.run(main())


async def opened(client: Client, path: str, **how: Any) -> tuple[aiohttp.ClientWebSocketResponse, Conn]:
    """A socket and the venue's side of it."""
    known = set(client.venue.hub.conns)
    ws = await client.http.ws_connect(client.base + path, **how)
    await until(lambda: set(client.venue.hub.conns) - known, "connection")
    (made,) = set(client.venue.hub.conns) - known
    return ws, made


async def raw(client: Client, path: str) -> tuple[socket.socket, Conn]:
    """A bare socket after its handshake, which reads nothing by itself."""
    known = set(client.venue.hub.conns)
    sock = socket.create_connection(("127.0.0.1", int(client.base.rpartition(":")[2])))
    sock.setblocking(False)
    ask = (
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    )
    await asyncio.get_running_loop().sock_sendall(sock, f"{ask}Sec-WebSocket-Key: {'A' * 22}==\r\n\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 1), DEADLINE_S)
    await until(lambda: set(client.venue.hub.conns) - known, "connection")
    (made,) = set(client.venue.hub.conns) - known
    return sock, made


async def rest_of(sock: socket.socket) -> bytes:
    """Everything up to the end of the stream."""
    out = b""
    while data := await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 1 << 20), DEADLINE_S):
        out += data
    return out


async def ended(ws: aiohttp.ClientWebSocketResponse) -> int | None:
    """The close code, once the connection ended."""
    while (await asyncio.wait_for(ws.receive(), DEADLINE_S)).type not in ENDED:
        pass
    return ws.close_code


# pings, limits, queues --------------------------------------------------------------
def test_pings_carry_a_payload_and_want_it_back(tmp_path: Path) -> None:
    """A copied pong keeps the connection; one that copies nothing, or none, ends it in time; so do unsolicited ones."""

    async def act(client: Client) -> None:
        deaf, _ = await opened(client, "/public/ws", autoping=False)
        good, theirs = await opened(client, "/public/ws", autoping=False)
        for i in range(4):
            msg = await asyncio.wait_for(good.receive(), DEADLINE_S)
            assert msg.type == aiohttp.WSMsgType.PING and int(msg.data) > 10**12
            await good.pong(msg.data)
            first = await asyncio.wait_for(deaf.receive(), DEADLINE_S)
            if first.type in ENDED:
                break
            await deaf.pong(f"other{i}".encode())
        assert await ended(deaf) == 1008
        assert theirs in client.venue.hub.conns and not theirs.closing
        await good.close()

    venue_test(tmp_path, act, ping_s=0.2, pong_s=0.9)


def test_client_pings_are_answered_and_counted(tmp_path: Path) -> None:
    """A ping gets its payload back; pings, pongs and text together make at most ten messages a second."""

    async def act(client: Client) -> None:
        ws, _ = await opened(client, "/public/ws", autoping=False)
        await ws.ping(b"hello")
        msg = await asyncio.wait_for(ws.receive(), DEADLINE_S)
        assert (msg.type, msg.data) == (aiohttp.WSMsgType.PONG, b"hello")
        for i in range(4):
            await ws.ping()
            await ws.pong()
            await ws.send_json({"method": "LIST_SUBSCRIPTIONS", "id": i})
        assert await ended(ws) == 1008

    venue_test(tmp_path, act)


def test_a_slow_reader_blocks_nobody_and_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that reads nothing is closed over its bound, and what waited is dropped; its neighbour gets every frame."""
    monkeypatch.setattr(conn_module, "QUEUE_MAX", 4 << 20)
    payload = '{"e":"x","pad":"' + "p" * 20_000 + '"}'

    async def act(client: Client) -> None:
        sock, slow = await raw(client, "/public/ws/btcusdt@trade")
        ws, _ = await opened(client, "/public/ws/btcusdt@trade")
        for _ in range(1500):
            client.venue.hub.publish("btcusdt@trade", payload)
            assert await receive(ws) == payload
        assert (slow.closing, slow.queued) == (1008, 0)
        await until(lambda: slow not in client.venue.hub.conns, "the slow one's end")
        sock.close()
        await ws.close()

    venue_test(tmp_path, act)


def test_an_address_holds_1024_streams_and_not_one_more(tmp_path: Path) -> None:
    """All of them are served; with 1025 the connection is ended."""

    async def act(client: Client) -> None:
        names = [f"averylongsymbolusdt{i:04d}@depth20@100ms" for i in range(1025)]
        ws, made = await opened(client, f"/public/stream?streams={'/'.join(names[:1024])}")
        assert len(made.names) == 1024
        client.venue.hub.publish(names[1023], "1")
        assert json.loads(await receive(ws)) == {"stream": names[1023], "data": 1}
        await ws.close()
        over = await client.http.ws_connect(f"{client.base}/public/stream?streams={'/'.join(names)}")
        assert await ended(over) == 1008

    venue_test(tmp_path, act)


def test_deflate_is_declined_and_close_is_answered(tmp_path: Path) -> None:
    """No extension is granted; a client's close frame is answered with its code."""

    async def act(client: Client) -> None:
        async with client.http.ws_connect(f"{client.base}/public/ws", compress=15) as ws:
            assert ws.compress == 0
        ws, made = await opened(client, "/public/ws")
        assert await ws.close(code=1000)
        assert ws.close_code == 1000
        await until(lambda: made not in client.venue.hub.conns, "forgotten")

    venue_test(tmp_path, act)


# what clients say -------------------------------------------------------------------
def test_ids_come_back_as_they_were(tmp_path: Path) -> None:
    """Numbers, strings, none; properties; errors with code and message; a wrong route acknowledged and silent."""

    async def act(client: Client) -> None:
        ws, made = await opened(client, "/public/ws/0/btcusdt@trade")

        async def said(**asked: object) -> dict[str, Any]:
            await ws.send_json(asked)
            answer: dict[str, Any] = json.loads(await receive(ws))
            return answer

        assert await said(method="SUBSCRIBE", params=["btcusdt@trade"], id="again") == {"result": None, "id": "again"}
        assert await said(method="SUBSCRIBE", params=["btcusdt@aggTrade"], id=2**53 + 1) == {
            "result": None,
            "id": 2**53 + 1,
        }
        listed = await said(method="LIST_SUBSCRIPTIONS", id=3)
        assert listed == {"result": ["btcusdt@trade", "btcusdt@aggTrade"], "id": 3}
        client.venue.hub.publish("btcusdt@aggTrade", '{"e":"aggTrade"}')
        client.venue.hub.publish("btcusdt@trade", '{"e":"trade"}')
        assert await receive(ws) == '{"e":"trade"}'
        assert (await said(method="GET_PROPERTY", params=["combined"], id=4))["result"] is False
        await said(method="SET_PROPERTY", params=["combined", True], id=5)
        client.venue.hub.publish("btcusdt@trade", '{"e":"trade"}')
        assert json.loads(await receive(ws)) == {"stream": "btcusdt@trade", "data": {"e": "trade"}}
        assert (await said(method="SET_PROPERTY", params=["combined", 1], id=6))["error"]["code"] == 1
        assert (await said(method="SET_PROPERTY", params=["x", True], id=7))["error"]["code"] == 0
        assert made.names == {"btcusdt@trade": None, "btcusdt@aggTrade": None}
        await ws.close()

    venue_test(tmp_path, act)


def test_no_message_is_too_odd_for_an_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What is no request is refused and the connection lives; depth without end is no exception."""
    odd = ("", "x", "[" * 60_000, '{"id":' + "[" * 5000 + "]" * 5000 + "}", '{"id":1,"method":"\\ud800"}', "[]", '"a"')

    async def act(client: Client) -> None:
        ws, _ = await opened(client, "/public/ws")
        for text in odd:
            await ws.send_str(text)
            assert json.loads(await receive(ws))["error"]["code"] in (2, 3)
        await ws.send_bytes(b"\xff\x00")
        assert json.loads(await receive(ws))["error"]["code"] == 3
        await ws.close()

    venue_test(tmp_path, act)
    assert not caplog.records


def test_chinese_names_and_every_address_form(tmp_path: Path) -> None:
    """A percent-encoded name is the stream itself, in the path, in `streams=` and in a SUBSCRIBE."""
    name = "币安人生usdt@bookTicker"

    async def act(client: Client) -> None:
        forms = [f"/public/ws/{quote(name)}", f"/public/stream?streams={quote(name, safe='')}", "/public", "/public/"]
        forms += ["/ws", "/stream", "/", f"/ws/{quote(name)}", f"/public/{quote(name)}"]
        for form in forms:
            ws, made = await opened(client, form)
            if name not in made.names:
                await ws.send_json({"method": "SUBSCRIBE", "params": [name], "id": 1})
                assert json.loads(await receive(ws))["id"] == 1
            client.venue.hub.publish(name, '{"s":"币安人生USDT"}')
            got = json.loads(await receive(ws))
            assert got.get("data", got) == {"s": "币安人生USDT"}, form
            assert ("stream" in got) == ("stream" in form)
            await ws.close()

    venue_test(tmp_path, act)


@pytest.mark.parametrize(("unrouted", "heard"), [("public", {"t"}), ("all", {"t", "a", "u"}), ("none", set())])
def test_addresses_without_a_route(tmp_path: Path, unrouted: str, heard: set[str]) -> None:
    """Since April 2026 only the public group flows there; the switch brings the older and the harsher behaviour."""

    async def act(client: Client) -> None:
        key = (await client.ok("POST", "/fapi/v1/listenKey"))["listenKey"]  # type: ignore[index]
        ws, _ = await opened(client, f"/ws/btcusdt@trade/btcusdt@aggTrade/{key}")
        hub = client.venue.hub
        hub.publish("btcusdt@trade", "t")
        hub.publish("btcusdt@aggTrade", "a")
        hub.user("u", key)
        await ws.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
        got = set()
        while not (text := await receive(ws)).startswith("{"):
            got.add(text)
        assert got == heard
        await ws.close()

    venue_test(tmp_path, act, unrouted=unrouted)


def test_events_belong_to_the_key_before_them(tmp_path: Path) -> None:
    """Two keys on one socket, each with its own filter; a key may also be subscribed by a frame."""

    async def act(client: Client) -> None:
        hub = client.venue.hub
        ws, _ = await opened(client, "/private/stream?listenKey=K1&events=A/B&listenKey=K2&listenKey=K3&events=C")
        await ws.send_json({"method": "SUBSCRIBE", "params": ["K4"], "id": 1})
        assert json.loads(await receive(ws)) == {"result": None, "id": 1}
        for key in ("K1", "K2", "K3", "K4", "K5"):
            for kind in "ABC":
                hub.user(f'{{"e":"{kind}"}}', key)
        await ws.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 2})
        got = []
        while "result" not in (row := json.loads(await receive(ws))):
            got.append(row["stream"] + row["data"]["e"])
        assert got == ["K1A", "K1B", "K2A", "K2B", "K2C", "K3C", "K4A", "K4B", "K4C"]
        await ws.close()

    venue_test(tmp_path, act)


# seams for planted faults ---------------------------------------------------------------
def test_tampers_drop_repeat_delay_and_reorder(tmp_path: Path) -> None:
    """Each sees (stream, payload) and answers what goes out and when; they chain; a muted stream is silent."""
    held: list[str] = []

    def swap(stream: str, payload: str) -> list[tuple[float, str]]:
        if stream != "btcusdt@trade":
            return [(0.0, payload)]
        held.append(payload)
        return [(0.0, held.pop()), (0.0, held.pop())] if len(held) == 2 else []

    def twice_and_late(_stream: str, payload: str) -> list[tuple[float, str]]:
        return [] if payload == "drop" else [(0.0, payload), (0.05, payload + "'")]

    async def act(client: Client) -> None:
        client.venue.hub.on_open.append(lambda made: made.tampers.extend([swap, twice_and_late]))
        ws, made = await opened(client, "/public/ws/btcusdt@trade/btcusdt@bookTicker")
        for text in ("1", "2", "drop", "3"):
            client.venue.hub.publish("btcusdt@trade", text)
        client.venue.hub.publish("btcusdt@bookTicker", "b")
        assert [await receive(ws) for _ in range(8)] == ["2", "1", "3", "b", "2'", "1'", "3'", "b'"]
        made.tampers.clear()
        made.muted.add("btcusdt@trade")
        client.venue.hub.publish("btcusdt@trade", "muted")
        client.venue.hub.publish("btcusdt@bookTicker", "heard")
        assert await receive(ws) == "heard"
        await ws.close()

    venue_test(tmp_path, act)


@pytest.mark.parametrize("count", [1, 3, 9, 10, 25])
def test_a_socket_is_cut_at_any_byte(tmp_path: Path, count: int) -> None:
    """Exactly `count` bytes arrive, then the end, and no close frame."""

    async def act(client: Client) -> None:
        sock, made = await raw(client, "/public/ws/btcusdt@trade")
        made.break_after(count)
        for text in ("12345678", "abcdefgh", "ijklmnop"):
            client.venue.hub.publish("btcusdt@trade", text)
        whole = b"".join(frame(text) for text in (b"12345678", b"abcdefgh", b"ijklmnop"))
        assert await rest_of(sock) == whole[:count]
        sock.close()

    venue_test(tmp_path, act)


def test_half_a_frame_then_silence_or_the_end(tmp_path: Path) -> None:
    """`break_next` leaves half a frame; with `stall` the socket stays open and silent."""

    async def act(client: Client) -> None:
        loop = asyncio.get_running_loop()
        for stall in (False, True):
            sock, made = await raw(client, "/public/ws/btcusdt@trade")
            client.venue.hub.publish("btcusdt@trade", "whole one")
            await until(lambda made=made: not made.queued, "first frame")
            made.break_next(stall=stall)
            client.venue.hub.publish("btcusdt@trade", "x" * 98)
            if not stall:
                assert await rest_of(sock) == frame(b"whole one") + frame(b"x" * 98)[:50]
            else:
                got = b""
                while len(got) < 11 + 50:
                    got += await asyncio.wait_for(loop.sock_recv(sock, 4096), DEADLINE_S)
                client.venue.hub.publish("btcusdt@trade", "never")
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(loop.sock_recv(sock, 1), 0.2)
                assert made in client.venue.hub.conns
            sock.close()

    venue_test(tmp_path, act)


def test_half_open_and_back(tmp_path: Path) -> None:
    """Frozen: nothing is read or sent, frames are lost, the socket lives; thawed: it goes on."""

    async def act(client: Client) -> None:
        ws, made = await opened(client, "/public/ws/btcusdt@trade")
        made.freeze()
        await ws.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
        client.venue.hub.publish("btcusdt@trade", "lost")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(ws.receive(), 0.2)
        assert not ws.closed and made.queued == 0
        made.thaw()
        assert json.loads(await receive(ws))["id"] == 1
        client.venue.hub.publish("btcusdt@trade", "heard")
        assert await receive(ws) == "heard"
        await ws.close()

    venue_test(tmp_path, act)
