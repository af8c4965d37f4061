"""Laws of the feed's sockets against a small WebSocket server, on the real pump thread."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve

from aegis.errors import BadMessage, Unreachable
from aegis.live.dial import Dialer
from aegis.live.feed_private import Private
from aegis.live.feed_sockets import Backoff, Socket, Timing
from aegis.live.net import Link, Receiver
from aegis.market.streams import Route, SocketPlan, route_of
from aegis.messages import Note
from aegis.native.loop import Loop
from aegis.native.market import Market
from aegis.native.ring import RingWriter

DEADLINE_S = 10.0


async def until(condition: Callable[[], Any]) -> None:
    """Wait for a condition, with a deadline."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.005)


class TextReceiver:
    """The real pump thread, all frames as text: messages of streams go to `take`, the rest to whoever opened."""

    def __init__(self, receiver: Receiver, take: Callable[[str, dict[str, Any]], None]) -> None:
        self._receiver, self._take = receiver, take

    async def open(
        self, url: str, on_text: Callable[[bytes, int], None], *, market: bool = True, held: bool = False
    ) -> Link:
        def text(body: bytes, recv_ns: int) -> None:
            assert recv_ns > 0
            message = json.loads(body) if market else {}
            if "stream" in message:
                self._take(message["stream"], message["data"])
            else:
                on_text(body, recv_ns)

        return await self._receiver.open(url, text, market=False, held=held)


class FakeHub:
    """A Hub that remembers what it was told."""

    def __init__(self, port: int, timing: Timing, receiver: Receiver) -> None:
        self.stream_url, self.timing = f"ws://127.0.0.1:{port}", timing
        self.receiver = TextReceiver(receiver, self._take)
        self.now_ns, self.mono_ns = time.time_ns, time.monotonic_ns
        self.taken: dict[str, list[int]] = defaultdict(list)
        self.counts: dict[str, int] = defaultdict(int)
        self.said: list[str] = []
        self.gaps: list[str] = []

    def _take(self, stream: str, data: dict[str, Any]) -> None:
        ids = self.taken[stream]
        if not ids or data["n"] > ids[-1]:
            ids.append(data["n"])

    def evidence(self, stream: str) -> int:
        return len(self.taken[stream])

    def count(self, name: str, n: int = 1) -> None:
        self.counts[name] += n

    def say(self, level: str, event: str, **facts: object) -> None:
        self.said.append(event)

    def lost(self, plan: SocketPlan) -> object:
        self.gaps.append("lost")
        return "mark"

    def back(self, plan: SocketPlan, mark: object, settled: Callable[[], bool]) -> None:
        assert mark == "mark"
        self.gaps.append("back")


class Venue:
    """Streams numbers under every subscribed name; a name on the wrong route is acknowledged and silent."""

    def __init__(self) -> None:
        self.server: Server
        self.receiver: Receiver
        self.subscribers: dict[ServerConnection, set[str]] = {}
        self.number, self.muted, self.messages = 0, set[str](), list[tuple[float, int]]()
        self.slow: Callable[[ServerConnection], bool] = lambda _: False
        self._backlog: dict[ServerConnection, list[str]] = defaultdict(list)

    @property
    def port(self) -> int:
        return next(iter(self.server.sockets)).getsockname()[1]

    async def handle(self, ws: ServerConnection) -> None:
        assert ws.request is not None
        route = Route(ws.request.path.split("/")[1])
        self.subscribers[ws] = set()
        await ws.send(json.dumps({"result": None, "id": 999}))  # shares a segment with the handshake response
        try:
            async for text in ws:
                body = json.loads(text)
                self.messages.append((time.monotonic(), len(body["params"])))
                await ws.send(json.dumps({"result": None, "id": body["id"]}))
                self.subscribers[ws] |= {s for s in body["params"] if route_of(s) is route}
        except Exception:
            pass
        finally:
            self.subscribers.pop(ws, None)

    async def stream(self) -> None:
        while True:
            self.number += 1
            for ws, names in list(self.subscribers.items()):
                texts = [json.dumps({"stream": s, "data": {"n": self.number}}) for s in names - self.muted]
                self._backlog[ws] += texts
                if self.slow(ws) and len(self._backlog[ws]) < 60 * len(texts):
                    continue  # this connection lags: its frames leave later, in bursts
                with contextlib.suppress(Exception):
                    for text in self._backlog.pop(ws):
                        await ws.send(text)
            await asyncio.sleep(0.002)


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    """A pump thread with a market nobody reads."""
    with tempfile.TemporaryDirectory() as tmp:
        ring = RingWriter(Path(tmp) / "market", 16, 64, "market")
        market = Market([], ring, Path(tmp) / "books")
        receiver = Receiver(Loop(market), Dialer())
        assert receiver.start()
        try:
            yield receiver
        finally:
            receiver.close()
            market.close()
            ring.close()


def with_receiver(scene: Callable[[Receiver], Awaitable[None]]) -> Callable[[], Coroutine[Any, Any, None]]:
    async def whole() -> None:
        with receiving() as receiver:
            await scene(receiver)

    return whole


@contextlib.asynccontextmanager
async def venue() -> AsyncIterator[Venue]:
    it = Venue()
    with receiving() as it.receiver:
        async with serve(it.handle, "127.0.0.1", 0, compression=None) as it.server:
            task = asyncio.create_task(it.stream())
            yield it
            task.cancel()


def timing(**changes: float) -> Timing:
    base = {"first_frame_s": 3.0, "stale_s": 5.0, "rotate_s": 3600.0, "reconnect_min_s": 0.01, "reconnect_max_s": 0.1}
    return Timing(**{**base, **changes})


def play(scene: Callable[[Venue], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with venue() as it:
            await scene(it)

    asyncio.run(whole())


@contextlib.asynccontextmanager
async def running(socket: Socket | Private) -> AsyncIterator[None]:
    task = asyncio.create_task(socket.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


NAMES = ("a@bookTicker", "b@depth@100ms", "c@trade")


def continuous(ids: list[int]) -> bool:
    return ids == list(range(ids[0], ids[-1] + 1))


def test_rotation_under_load_loses_nothing_even_when_the_old_socket_lags() -> None:
    """Several rotations, the older connection always behind: every stream's numbers stay without a hole."""

    async def scene(it: Venue) -> None:
        hub = FakeHub(it.port, timing(rotate_s=0.4), it.receiver)
        it.slow = lambda ws: ws is next(iter(it.subscribers))
        async with running(Socket(hub, SocketPlan(Route.PUBLIC, NAMES))):
            await until(lambda: hub.counts["rotations"] >= 4)
        assert all(continuous(hub.taken[name]) for name in NAMES)
        assert hub.gaps == [] and hub.counts["reconnects"] == 0

    play(scene)


def test_a_stream_on_the_wrong_route_is_noticed() -> None:
    """Acknowledged and silent: alarm after the first-frame deadline, one more try, alarm again; no reconnect."""

    async def scene(it: Venue) -> None:
        hub = FakeHub(it.port, timing(first_frame_s=0.3), it.receiver)
        async with running(Socket(hub, SocketPlan(Route.PUBLIC, ("a@bookTicker", "a@markPrice@1s")))):
            await until(lambda: hub.counts["streams_dead"] == 2)
            assert len(it.messages) == 2 and it.messages[1][1] == 1
        assert "no first frame" in hub.said and hub.counts["reconnects"] == 0

    play(scene)


def test_a_lost_socket_comes_back_and_reports_its_gap_once() -> None:
    """Server drop: lost, then back, in this order; streams live again."""

    async def scene(it: Venue) -> None:
        hub = FakeHub(it.port, timing(), it.receiver)
        async with running(Socket(hub, SocketPlan(Route.PUBLIC, NAMES))):
            await until(lambda: hub.taken["c@trade"])
            await next(iter(it.subscribers)).close()
            await until(lambda: hub.gaps == ["lost", "back"])
            seen = len(hub.taken["c@trade"])
            await until(lambda: len(hub.taken["c@trade"]) > seen)
        assert hub.counts["reconnects"] == 1

    play(scene)


def test_one_silent_stream_rotates_and_a_silent_socket_reconnects() -> None:
    """Staleness of one strict stream costs no gap; silence of the whole socket does."""

    async def scene(it: Venue) -> None:
        hub = FakeHub(it.port, timing(stale_s=0.5, first_frame_s=0.5), it.receiver)
        async with running(Socket(hub, SocketPlan(Route.PUBLIC, NAMES))):
            await until(lambda: all(hub.taken[n] for n in NAMES))
            it.muted.add(NAMES[0])
            await until(lambda: hub.counts["rotations"] == 1)
            assert hub.counts["streams_stale"] == 1 and hub.gaps == []
            it.muted |= set(NAMES)
            await until(lambda: hub.counts["sockets_stale"] >= 1)
            await until(lambda: "lost" in hub.gaps)

    play(scene)


def test_subscriptions_are_paced() -> None:
    """1000 names go out as five messages, never more than five in a second."""

    async def scene(it: Venue) -> None:
        hub = FakeHub(it.port, timing(first_frame_s=8.0), it.receiver)
        names = tuple(f"s{i}@trade" for i in range(1000))
        async with running(Socket(hub, SocketPlan(Route.PUBLIC, names))):
            await until(lambda: len(it.messages) == 5)
        times = [at for at, _ in it.messages]
        assert [n for _, n in it.messages] == [200] * 5
        assert all(b - a > 0.19 for a, b in itertools.pairwise(times))

    play(scene)


def test_ping_is_answered_and_a_refused_handshake_is_unreachable() -> None:
    """The venue's ping gets its pong; HTTP instead of WebSocket is a clean failure."""

    async def scene(it: Venue) -> None:
        hub = FakeHub(it.port, timing(), it.receiver)
        async with running(Socket(hub, SocketPlan(Route.PUBLIC, NAMES))):
            await until(lambda: it.subscribers)
            await asyncio.wait_for(await next(iter(it.subscribers)).ping(b"abc"), DEADLINE_S)

    play(scene)

    @with_receiver
    async def refused(receiver: Receiver) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Unreachable, match="403"):
            await receiver.open(f"ws://127.0.0.1:{port}/x", lambda *_: None)
        server.close()
        with pytest.raises(Unreachable):
            await receiver.open(f"ws://127.0.0.1:{port}/x", lambda *_: None)

    asyncio.run(refused())


def test_the_private_channel_follows_its_key_and_says_when_it_goes(tmp_path: Path) -> None:
    """No key: nothing. A key: STREAM_UP and events. New key or loss: STREAM_DOWN, then STREAM_UP. Bad event: both."""
    paths: list[str] = []
    sockets: list[ServerConnection] = []

    async def handle(ws: ServerConnection) -> None:
        assert ws.request is not None
        paths.append(ws.request.path)
        sockets.append(ws)
        await ws.send(json.dumps({"e": "hello", "n": len(paths)}))
        await ws.wait_closed()

    def decode(body: bytes, recv_ns: int) -> list[Note]:
        if b"nonsense" in body:
            raise BadMessage("nonsense")
        return [Note(what=json.loads(body)["e"], recv_ns=recv_ns)]

    @with_receiver
    async def scene(receiver: Receiver) -> None:
        heard: list[Note] = []
        key = tmp_path / "listen_key"
        async with serve(handle, "127.0.0.1", 0, compression=None) as server:
            hub = FakeHub(next(iter(server.sockets)).getsockname()[1], timing(), receiver)
            private = Private(hub, key, decode, heard.append)
            async with running(private):
                assert heard == [] and paths == []
                key.write_text("abc123\n")
                await until(lambda: [n.what for n in heard] == ["STREAM_UP", "hello"])
                (tmp_path / "new").write_text("def456")
                (tmp_path / "new").rename(key)
                await until(lambda: [n.what for n in heard][2:] == ["STREAM_DOWN", "STREAM_UP", "hello"])
                await sockets[-1].close()
                await until(lambda: [n.what for n in heard][5:] == ["STREAM_DOWN", "STREAM_UP", "hello"])
                await sockets[-1].send("nonsense")
                await until(lambda: [n.what for n in heard][8:] == ["STREAM_DOWN", "STREAM_UP"])
        assert [n.what for n in heard][10:] == ["STREAM_DOWN"] and all(n.recv_ns for n in heard)
        assert paths == ["/private/ws/abc123", "/private/ws/def456", "/private/ws/def456"]
        assert not any("abc123" in said for said in hub.said) and hub.counts["user_events_bad"] == 1

    asyncio.run(scene())


def test_backoff_is_capped_and_jittered() -> None:
    """Never above the cap, never below half of the step, and not always the same."""
    backoff = Backoff(0.2, 30.0)
    waits = [backoff.next() for _ in range(40)]
    assert max(waits) <= 30.0 and min(waits) >= 0.1 and len(set(waits[10:])) > 1
    backoff.reset()
    assert backoff.next() <= 0.2
