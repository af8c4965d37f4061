"""Other hands than the client's: signed REST calls of the score's own, on the scored account or another one.

Problem: orders placed from a telephone and a second programme with the same key are facts of life; a client has to
notice them. The venue's control endpoint can move books by decree, but only a real request leaves the real traces.
What must stay true: nothing is shared with the client; a refusal here is an error of the score, not of the client.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from aegis.errors import VenueError
from aegis.exchange.clock import now_ms


class Hand:
    """
    REST of one key.

    Args:
        http: session it uses.
        base: the venue's REST address.
    """

    def __init__(self, http: aiohttp.ClientSession, base: str, api_key: str, secret: str) -> None:
        self._http, self._base, self._api_key, self._secret = http, base, api_key, secret.encode()

    async def call(self, method: str, path: str, signed: bool = True, **params: object) -> Any:
        """
        One request; its decoded body.

        Raises:
            VenueError: refused.
        """
        return (await self.answer(method, path, signed, **params))[1]

    async def answer(self, method: str, path: str, signed: bool = True, **params: object) -> tuple[dict[str, str], Any]:
        """As `call`, with the answer's headers."""
        rows = {k: str(v) for k, v in params.items()}
        if signed:
            rows |= {"recvWindow": "60000", "timestamp": str(now_ms())}
        text = "&".join(f"{k}={quote(v, safe='')}" for k, v in rows.items())
        if signed:
            text += "&signature=" + hmac.new(self._secret, text.encode(), hashlib.sha256).hexdigest()
        url = URL(f"{self._base}{path}?{text}", encoded=True)
        async with self._http.request(method, url, headers={"X-MBX-APIKEY": self._api_key}) as r:
            body = msgspec.json.decode(await r.read())
            if r.status != 200:
                raise VenueError(int(body.get("code", 0)), str(body.get("msg", "")), r.status)
            return dict(r.headers), body
