"""Opening a WebSocket over a C connection: it opens, hands on what came with the upgrade, or fails with one line."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import certs
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Opcode
from websockets.utils import accept_key

from aegis.errors import BadMessage, Unreachable
from aegis.live.dial import Dialer

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def raw_door(handle: Handler) -> tuple[asyncio.Server, str]:
    """A TCP server that says what a test wants, and its address as a WebSocket URL."""
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    return server, f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"


def refusal(url: str, dialer: Dialer | None = None, timeout_s: float = 5.0) -> str:
    """The line with which opening fails."""

    async def run() -> str:
        with pytest.raises(Unreachable) as refused:
            await (dialer or Dialer()).open(url, timeout_s)
        return str(refused.value)

    line = asyncio.run(run())
    assert "\n" not in line
    return line


@pytest.mark.parametrize("kind", [None, *certs.KINDS])
def test_it_opens_or_says_why(tmp_path: Path, kind: str | None) -> None:
    """Law: plain and trusted connections exchange messages; each bad certificate is one line of its own."""
    ca = certs.make(tmp_path)
    why = {
        "wrong_host": "wrong host name",
        "expired": "expired",
        "early": "not valid before",
        "self_signed": "self-signed",
        "stranger": "authority is not trusted",
    }.get(kind or "")

    async def greet(ws: ServerConnection) -> None:
        await ws.send("welcome")
        await ws.wait_closed()

    async def run() -> None:
        context: ssl.SSLContext | None = certs.server_context(tmp_path, kind) if kind else None
        async with serve(greet, "127.0.0.1", 0, ssl=context, compression=None) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            dialer, url = Dialer(str(ca)), f"{'wss' if kind else 'ws'}://localhost:{port}/stream"
            if why:
                with pytest.raises(Unreachable, match=why) as refused:
                    await dialer.open(url)
                assert "\n" not in str(refused.value)
                return
            got = await dialer.open(url)
            data, room = got.rest, bytearray(1000)
            while not data:
                data = bytes(room[: got.conn.read(room)])
                await asyncio.sleep(0)
            got.ws.receive_data(data)
            frame = got.ws.events_received()[0]
            assert (frame.opcode, frame.data) == (Opcode.TEXT, b"welcome")
            assert got.conn.about.startswith("TLSv1.3") == (kind is not None)
            got.conn.close()

    asyncio.run(run())


def test_bytes_behind_the_upgrade_are_handed_on() -> None:
    """Law: frames in the same packet as the answer's head are not lost."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = next(line.split(": ")[1] for line in head.split("\r\n") if line.lower().startswith("sec-websocket-key"))
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + f"Sec-WebSocket-Accept: {accept_key(key)}\r\n\r\n".encode()
            + b"\x81\x02hi"
        )

    async def run() -> None:
        server, url = await raw_door(handle)
        got = await Dialer().open(url)
        assert got.rest == b"\x81\x02hi" and got.rest_ns > 0
        got.conn.close()
        server.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", "upgrade refused: 'HTTP/1.1 403 Forbidden'"),
        (b"SSH-2.0-x\r\n\r\n", "upgrade refused: 'SSH-2.0-x'"),
        (b"HTTP/1.1 101 Switching", "closed by the peer"),
        (b"x" * 200_000, "has no end"),
        (None, "no answer within 0.2 s"),
    ],
)
def test_an_upgrade_that_fails_is_one_line(answer: bytes | None, line: str) -> None:
    """Law: a refusal, a stranger, an early end, an endless head and silence are told apart."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer is not None:
            writer.write(answer)
            writer.close()
        else:
            await reader.read()

    async def run() -> None:
        server, url = await raw_door(handle)
        with pytest.raises(Unreachable) as refused:
            await Dialer().open(url, 0.2 if answer is None else 5.0)
        assert line in str(refused.value) and "\n" not in str(refused.value)
        server.close()

    asyncio.run(run())


def test_no_connection_is_one_line() -> None:
    """Law: a closed port, an unknown name and a text that is no address each say so."""
    assert refusal("ws://127.0.0.1:1/") == "127.0.0.1:1: connection refused"
    assert refusal("wss://host.invalid/x").startswith("host.invalid:443: ")
    with pytest.raises(BadMessage):
        asyncio.run(Dialer().open("http://x"))
