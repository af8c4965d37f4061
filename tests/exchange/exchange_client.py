"""A venue in this process on a free port, and a client that signs as an outsider would: nothing is shared with the
venue's own code."""

from __future__ import annotations

import argparse
import asyncio
import base64
import functools
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from aegis.exchange.server import Venue, listen

DEADLINE_S = 10.0


def on_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """A coroutine as a test that runs on a loop of its own."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


class Client:
    """Talks to the venue at `base` with one HMAC and one Ed25519 key; `control` is the operator's address."""

    def __init__(
        self, http: aiohttp.ClientSession, base: str, control: str, venue: Venue, private: Ed25519PrivateKey
    ) -> None:
        self.http, self.base, self.control, self.venue, self.private = http, base, control, venue, private
        self.api_key, self.secret = "test-key", b"test-secret"

    async def call(self, method: str, path: str, signed: bool = True, **params: object) -> tuple[int, object]:
        """(status, decoded body) of a REST call."""
        rows = {k: str(v) for k, v in params.items()}
        if signed:
            rows["timestamp"] = str(time.time_ns() // 1_000_000)
        text = "&".join(f"{k}={quote(v, safe='')}" for k, v in rows.items())
        if signed:
            text += "&signature=" + hmac.new(self.secret, text.encode(), hashlib.sha256).hexdigest()
        url = aiohttp.client.URL(f"{self.base}{path}?{text}", encoded=True)
        async with self.http.request(method, url, headers={"X-MBX-APIKEY": self.api_key}) as r:
            return r.status, json.loads(await r.text())

    async def operate(self, what: str, **body: object) -> object:
        """The answer of the control endpoint: a POST of `body`, a GET without one."""
        method = "POST" if body or what in ("replay/start", "fault/clear") else "GET"
        async with self.http.request(method, f"{self.control}/control/{what}", json=body or None) as r:
            assert r.status == 200, await r.text()
            return json.loads(await r.text())

    async def ok(self, method: str, path: str, **params: object) -> object:
        """The body of a signed call that must succeed."""
        status, body = await self.call(method, path, **params)
        assert status == 200, body
        return body

    def signed_message(self, ident: object, method: str, ed25519: bool = False, **params: object) -> dict[str, object]:
        """A WebSocket API request signed by itself."""
        rows = params | {"apiKey": self.api_key, "timestamp": time.time_ns() // 1_000_000}
        text = "&".join(f"{k}={rows[k]}" for k in sorted(rows)).encode()
        sign = (
            base64.b64encode(self.private.sign(text)).decode()
            if ed25519
            else hmac.new(self.secret, text, hashlib.sha256).hexdigest()
        )
        return {"id": ident, "method": method, "params": rows | {"signature": sign}}


async def receive(ws: aiohttp.ClientWebSocketResponse) -> str:
    """The next text frame, within the deadline."""
    msg = await asyncio.wait_for(ws.receive(), DEADLINE_S)
    assert msg.type == aiohttp.WSMsgType.TEXT, msg
    return str(msg.data)


async def until(condition: object, what: str) -> None:
    """Yield to the loop until `condition()` holds or the deadline passes."""
    end = time.monotonic() + DEADLINE_S
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, f"deadline: {what}"
        await asyncio.sleep(0)


def hold_interval(client: Client) -> None:
    """Keep the venue's clock inside the present ten seconds, so that no counter starts again in a test's midst."""
    end = (time.time_ns() // 10_000_000_000 + 1) * 10_000 - 1
    client.venue.ex.clock = lambda: min(time.time_ns() // 1_000_000, end)


@asynccontextmanager
async def running(tmp: Path, **options: object) -> AsyncIterator[Client]:
    """A venue with its loop running, and a client for it."""
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    keys = tmp / "keys.json"
    keys.write_text(json.dumps({"api_key": "test-key", "secret": "test-secret", "ed25519_pem": pem}))
    venue = Venue(argparse.Namespace(keys=str(keys), **options))
    doors = [await listen(venue.app(), 0), await listen(venue.control.app(), 0)]
    base, control = (f"http://127.0.0.1:{runner.addresses[0][1]}" for runner in doors)
    stop = asyncio.Event()
    loop = asyncio.create_task(venue.loop(stop))
    try:
        async with aiohttp.ClientSession() as http:
            yield Client(http, base, control, venue, private)
    finally:
        stop.set()
        await loop
        for conn in list(venue.hub.conns):
            conn.close(1008)
        for runner in doors:
            await runner.cleanup()
