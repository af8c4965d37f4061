"""Links on a pump thread: one link's bug costs the others nothing, a thread that stands still is noticed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve

from aegis.errors import Machine
from aegis.live.dial import Dialer
from aegis.live.net import SILENT_S, Receiver
from aegis.market.streams import NS
from aegis.native.loop import Loop
from aegis.native.market import Market
from aegis.native.ring import RingWriter

LIMIT_S = 10.0


def play(tmp_path: Path, scene: Callable[[Receiver, str], Awaitable[None]], *, started: bool = True) -> None:
    """A scene with a receiver and a server that greets each connection with two texts."""

    async def greet(ws: ServerConnection) -> None:
        await ws.send("one")
        await ws.send("two")
        await ws.wait_closed()

    async def whole() -> None:
        ring = RingWriter(tmp_path / "market", 16, 64, "market")
        market = Market([], ring, tmp_path / "books")
        receiver = Receiver(Loop(market), Dialer())
        try:
            if started:
                assert receiver.start()
            async with serve(greet, "127.0.0.1", 0, compression=None) as server:
                await scene(receiver, f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/x")
                receiver.close()
        finally:
            receiver.close()
            market.close()
            ring.close()

    asyncio.run(whole())


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not condition():
            await asyncio.sleep(0.002)


def test_a_handlers_bug_ends_its_own_link_only(tmp_path: Path) -> None:
    """The link whose handler raised is closed with the reason and the loop hears of it; the other goes on."""

    async def scene(receiver: Receiver, url: str) -> None:
        heard: list[bytes] = []
        raised: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context.get("exception")))

        def broken(_: bytes, __: int) -> None:
            raise ValueError("a bug")

        bad = await receiver.open(url, broken, market=False)
        good = await receiver.open(url, lambda body, _: heard.append(body), market=False)
        await until(lambda: bad.closed.done() and heard == [b"one", b"two"])
        assert "a bug" in bad.closed.result() and not good.closed.done()
        assert [type(e) for e in raised] == [ValueError]
        assert await good.drained(LIMIT_S)

    play(tmp_path, scene)


def test_held_texts_are_told_after_the_release(tmp_path: Path) -> None:
    """Nothing is handled while held, and all of it afterwards, in order; a closed link releases nothing."""

    async def scene(receiver: Receiver, url: str) -> None:
        heard: list[bytes] = []
        seen: list[bytes] = []
        link = await receiver.open(url, lambda body, _: heard.append(body), market=False, held=True)
        link.tap = lambda data, _: seen.append(data)
        link.ping(b"while held")
        await until(lambda: b"while held" in b"".join(seen))
        assert heard == []
        link.release()
        await until(lambda: heard == [b"one", b"two"])
        link.close()
        link.release()

    play(tmp_path, scene)


def test_a_thread_that_stands_still_is_a_fault(tmp_path: Path) -> None:
    """Turning, it passes every check; never started, it is a fault of the machine after `SILENT_S`."""

    async def turning(receiver: Receiver, _: str) -> None:
        now_ns = time.monotonic_ns()
        receiver.check(now_ns)
        turns = receiver.turns
        await until(lambda: receiver.turns > turns)
        receiver.check(now_ns + int(2 * SILENT_S * NS))

    async def still(receiver: Receiver, _: str) -> None:
        receiver.check(NS)
        with pytest.raises(Machine):
            receiver.check(NS + int(2 * SILENT_S * NS))

    play(tmp_path, turning)
    (tmp_path / "other").mkdir()
    play(tmp_path / "other", still, started=False)
