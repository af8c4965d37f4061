"""Faults of frames and sockets, each noticed by a client: numbers, `pu`, silence deadlines, close codes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from exchange_client import DEADLINE_S, Client, on_a_loop, receive, until
from faults_client import (
    STREAM,
    SYMBOL,
    inject,
    limit,
    notices,
    numbers,
    place,
    publish,
    quiet,
    reading,
    silent,
    user_stream,
)

SHORT = aiohttp.ClientWSTimeout(ws_close=0.1)  # a dead peer does not answer a close either


@notices("frame_drop")
async def test_a_lost_frame_is_a_hole_in_the_numbers(tmp_path: Path) -> None:
    """Of frames 1 to 4, one skipped and one hit, 1, 3 and 4 arrive; other streams lose nothing."""
    async with quiet(tmp_path) as client, reading(client, f"public/ws/{STREAM}/btcusdt@trade") as ws:
        await inject(client, "frame_drop", stream=STREAM, skip=1)
        publish(client, 1)
        publish(client, 9, stream="btcusdt@trade")
        publish(client, 2, 3, 4)
        assert await numbers(ws, 4) == [1, 9, 3, 4]


@notices("frame_delay")
async def test_a_late_frame_is_overtaken(tmp_path: Path) -> None:
    """The client sees numbers fall."""
    async with quiet(tmp_path) as client, reading(client) as ws:
        await inject(client, "frame_delay", ms=30)
        publish(client, 1, 2, 3)
        assert await numbers(ws, 3) == [2, 3, 1]


@notices("frame_repeat")
async def test_a_repeated_frame_has_the_number_of_the_last(tmp_path: Path) -> None:
    """Each of the two frames hit comes twice, and a connection opened later is hit as well."""
    async with quiet(tmp_path) as client:
        await inject(client, "frame_repeat", count=2)
        async with reading(client) as ws:
            publish(client, 1, 2, 3)
            assert await numbers(ws, 5) == [1, 1, 2, 2, 3]


@notices("frame_reorder")
async def test_reordered_frames_change_places(tmp_path: Path) -> None:
    """Two frames are told after their successors, then order is back."""
    async with quiet(tmp_path) as client, reading(client) as ws:
        await inject(client, "frame_reorder", count=2)
        publish(client, 1, 2, 3, 4, 5, 6)
        assert await numbers(ws, 6) == [2, 1, 4, 3, 5, 6]


class Follower:
    """A client's book: counts the events whose `pu` is not the last `u`."""

    def __init__(self) -> None:
        self.last, self.seen, self.holes = 0, 0, 0

    def take(self, text: str) -> None:
        """One depth event."""
        row = json.loads(text)
        self.holes += bool(self.last) and row["pu"] != self.last
        self.last, self.seen = row["u"], self.seen + 1


@notices("pu_hole")
async def test_a_pu_hole_is_found_by_the_book(tmp_path: Path) -> None:
    """Six events join without the fault; with it, one does not."""
    async with quiet(tmp_path, events_per_s=300) as client, reading(client, "public/ws/btcusdt@depth@0ms") as ws:
        book = Follower()
        while book.seen < 6:
            book.take(await receive(ws))
        assert book.holes == 0
        await inject(client, "pu_hole", symbol=SYMBOL)
        while book.holes == 0:
            book.take(await receive(ws))
        assert book.holes == 1


@notices("stream_silent")
async def test_a_stream_silent_after_its_acknowledgement(tmp_path: Path) -> None:
    """The subscription is acknowledged, its neighbour talks, the stream never does; cleared, it does."""
    async with quiet(tmp_path) as client:
        await inject(client, "stream_silent", stream=STREAM)
        async with reading(client, "public/ws") as ws:
            await ws.send_json({"method": "SUBSCRIBE", "params": [STREAM, "btcusdt@trade"], "id": 7})
            assert json.loads(await receive(ws)) == {"result": None, "id": 7}
            publish(client, 1)
            publish(client, 2, stream="btcusdt@trade")
            assert await numbers(ws, 1) == [2]
            assert await silent(ws)
            await client.operate("fault/clear")
            publish(client, 3)
            assert await numbers(ws, 1) == [3]


async def ending(ws: aiohttp.ClientWebSocketResponse) -> aiohttp.WSMessage:
    """The next message that is no text."""
    while (msg := await asyncio.wait_for(ws.receive(), DEADLINE_S)).type == aiohttp.WSMsgType.TEXT:
        pass
    return msg


@notices("day_cut")
async def test_the_forced_close_comes_with_its_code(tmp_path: Path) -> None:
    """Streams and WebSocket API get 1001; what is not on the route lives on."""
    async with (
        quiet(tmp_path) as client,
        reading(client) as ws,
        user_stream(client) as user,
        client.http.ws_connect(f"{client.base}/ws-fapi/v1") as api,
    ):
        await until(lambda: client.venue.api.sessions, "the session")
        await inject(client, "day_cut", route="public")
        assert (await ending(ws)).data == 1001
        assert await silent(user)
        await inject(client, "day_cut", route="wsapi")
        assert (await ending(api)).data == 1001


async def raw(client: Client, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A stream connection as bytes, after the handshake."""
    count = len(client.venue.hub.conns)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(client.base.rpartition(":")[2]))
    writer.write(
        f"GET /{path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDAwMDAwMDAwMDAwMDAwMA==\r\n\r\n".encode()
    )
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE_S)
    await until(lambda: len(client.venue.hub.conns) > count, "the connection")
    return reader, writer


@pytest.mark.parametrize("count", [1, 2, 3, 28, 29, 40])
@notices("socket_cut")
async def test_a_socket_is_cut_at_any_byte(tmp_path: Path, count: int) -> None:
    """Exactly that many bytes of correct frames arrive, then the end, without a close frame."""
    async with quiet(tmp_path) as client:
        reader, writer = await raw(client, f"public/ws/{STREAM}")
        await inject(client, "socket_cut", after_bytes=count)
        publish(client, 1, 2, 3)
        frames = b"".join(bytes((0x81, 27)) + b'{"e": "bookTicker", "u": %d}' % n for n in (1, 2, 3))
        assert await asyncio.wait_for(reader.read(-1), DEADLINE_S) == frames[:count]
        writer.close()


@notices("partial_write")
async def test_half_a_frame_and_then_nothing(tmp_path: Path) -> None:
    """Half of the frame comes; the rest never does, nor an end: only a deadline tells."""
    async with quiet(tmp_path) as client:
        reader, writer = await raw(client, f"public/ws/{STREAM}")
        await inject(client, "partial_write", route="public")
        publish(client, 1, 2)
        whole = bytes((0x81, 27)) + b'{"e": "bookTicker", "u": 1}'
        got = await asyncio.wait_for(reader.readexactly(len(whole) // 2), DEADLINE_S)
        assert got == whole[: len(whole) // 2]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.1)
        writer.close()


@notices("half_open")
async def test_a_half_open_socket_answers_no_ping(tmp_path: Path) -> None:
    """A ping is answered; with the fault neither ping nor frame nor close is, on streams and on the WebSocket API."""
    async with quiet(tmp_path) as client, reading(client) as ws:
        await ws.ping(b"a")
        assert (await asyncio.wait_for(ws.receive(), DEADLINE_S)).type == aiohttp.WSMsgType.PONG
        async with client.http.ws_connect(f"{client.base}/ws-fapi/v1", autoping=False, timeout=SHORT) as api:
            await api.send_str('{"id":1,"method":"ping"}')
            assert json.loads(await receive(api))["status"] == 200
            await inject(client, "half_open")
            await ws.ping(b"b")
            publish(client, 1)
            await api.send_str('{"id":2,"method":"ping"}')
            assert await silent(ws)
            assert await silent(api)
            await client.operate("fault/clear")
            assert json.loads(await receive(api))["id"] == 2


@notices("server_shutdown")
async def test_a_shutdown_is_announced(tmp_path: Path) -> None:
    """The notice comes first, then the close."""
    async with (
        quiet(tmp_path) as client,
        reading(client) as ws,
        client.http.ws_connect(f"{client.base}/ws-fapi/v1") as api,
    ):
        await until(lambda: client.venue.api.sessions, "the session")
        await inject(client, "server_shutdown", notice_ms=10)
        for one in (ws, api):
            assert json.loads(await receive(one))["e"] == "serverShutdown"
            assert (await ending(one)).data == 1001


# plans and seeds -----------------------------------------------------------------
async def struck(tmp_path: Path, seed: int) -> list[int]:
    """Which of forty frames a half of them lost leaves, with a venue of this seed."""
    async with quiet(tmp_path, seed=seed) as client, reading(client) as ws:
        await inject(client, "frame_drop", count=0, percent=50)
        publish(client, *range(40))
        await client.operate("fault/clear")
        publish(client, 99)
        got: list[int] = []
        while 99 not in got:
            got += await numbers(ws, 1)
        return got


@on_a_loop
async def test_the_same_seed_makes_the_same_choices(tmp_path: Path) -> None:
    """Two runs of one seed lose the same frames; another seed loses others."""
    first = await struck(tmp_path, 3)
    assert first == await struck(tmp_path, 3)
    assert 5 < len(first) < 36
    assert first != await struck(tmp_path, 4)


@on_a_loop
async def test_a_plan_counts_frames_and_requests_exactly(tmp_path: Path) -> None:
    """after_frames 3 leaves three frames whole and hits the fourth; after_requests 2 hits the third; at_s 0 is now."""
    rows = [
        {"name": "frame_drop", "after_frames": 3},
        {"name": "error", "path": "/fapi/v1/time", "code": -1001, "after_requests": 2},
        {"name": "user_silent", "at_s": 0},
        {"name": "position_elsewhere", "params": {"symbol": "NONE", "qty": "1"}, "after_frames": 5},
    ]
    (tmp_path / "plan").write_text("\n".join(json.dumps(row) for row in rows))
    async with quiet(tmp_path, faults=str(tmp_path / "plan")) as client, reading(client) as ws:
        publish(client, 1, 2, 3, 4, 5, 6)
        assert await numbers(ws, 5) == [1, 2, 3, 5, 6]
        assert [(await client.call("GET", "/fapi/v1/time", signed=False))[0] for _ in range(4)] == [200, 200, 400, 200]
        await until(lambda: client.venue.hub.mute_private, "the fault of the clock")
        seen: Any = await client.operate("faults")
        assert seen["waiting"] == []
        assert {i["name"] for i in seen["injected"]} == {"frame_drop", "error", "user_silent"}
        assert "Invalid symbol" in seen["failed"][0]["error"]
        assert not any(conn.tampers for conn in client.venue.hub.conns)
        assert client.venue.hub.on_open == []
        await inject(client, "frame_drop", after_frames=1)
        await inject(client, "error", path="time", code=-1001, after_requests=1)
        publish(client, 7, 8, 9)
        assert await numbers(ws, 2) == [7, 9]
        assert [(await client.call("GET", "/fapi/v1/time", signed=False))[0] for _ in range(3)] == [200, 400, 200]
        await inject(client, "frame_drop", at_s=3600)
        assert await client.operate("fault/clear") == {"ok": True, "ended": 1}
        assert client.venue.injector.waiting == []


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"name": "nonsense"}, "no fault"),
        ({"kind": "error"}, "no fault"),
        ({"name": "frame_delay"}, "needs ms"),
        ({"name": "frame_delay", "ms": "5"}, "ms is int"),
        ({"name": "frame_drop", "percent": 0}, "percent is 1 to 100"),
        ({"name": "frame_drop", "typo": 1}, "no parameter"),
        ({"name": "frame_drop", "at_s": 1, "after_frames": 1}, "one of"),
        ({"name": "frame_drop", "at_s": -1}, "not negative"),
        ({"name": "pu_hole", "symbol": "NONE"}, "Invalid symbol"),
        ({"name": "half_open", "route": "x"}, "route is one of"),
        ({"name": "partial_write", "route": "wsapi"}, "answer_cut"),
        ({"name": "socket_cut", "route": "wsapi", "after_bytes": 5}, "answer_cut"),
        ({"name": "day_cut", "code": 99_999}, "close code"),
        ({"name": "position_elsewhere", "symbol": "BTCUSDT", "qty": "1", "side": "UP"}, "side is one of"),
    ],
)
@on_a_loop
async def test_what_does_not_fit_is_refused_and_leaves_nothing(tmp_path: Path, row: dict[str, Any], why: str) -> None:
    """400 with the reason, and no rule or tamper stays behind."""
    async with quiet(tmp_path) as client, reading(client):
        with pytest.raises(AssertionError, match=why):
            await client.operate("fault", **row)
        assert client.venue.injector.injected == {}
        assert client.venue.injector.waiting == []
        assert client.venue.hub.on_open == []


@on_a_loop
async def test_an_injection_ends_by_number_by_time_and_with_all_others(tmp_path: Path) -> None:
    """One ended alone leaves the rest; one with a time ends by itself; clear ends the rest."""
    async with quiet(tmp_path) as client:
        await inject(client, "overload")
        await inject(client, "user_silent", for_ms=20)
        await inject(client, "frame_drop", count=0)
        await inject(client, "html_answer", path="nowhere", count=3)
        assert (await place(client, limit(client, "a")))[1] == -1008
        seen: Any = await client.operate("faults")
        assert [(i["hits"], i["left"]) for i in seen["injected"]] == [(1, 0), (1, 0), (0, 0), (0, 3)]
        assert await client.operate("fault/clear", id=1) == {"ok": True, "ended": 1}
        assert await place(client, limit(client, "b")) == (200, 0)
        await until(lambda: not client.venue.hub.mute_private, "the end of a time")
        assert await client.operate("fault/clear") == {"ok": True, "ended": 2}
