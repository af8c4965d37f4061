"""REST to the venue: one warm session, requests signed as they are sent, every failure named by what it means.

Problem: "no answer" is two facts. A request that was never written had no effect and may be repeated; a write that
left without an answer may have had one and must not be. The HTTP library reports both as an error, so a trace marks
the moment before the first byte of a request goes out.
What must stay true: after a write left, only an answer that proves failure is anything but `OrderUnknown`; the query
is built and encoded once; nothing is sent while the venue's or our own weight limit says wait.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any

import aiohttp
import msgspec
from yarl import URL

from aegis.config import Venue
from aegis.errors import BadMessage, ConfigError, OrderUnknown, RateLimited, Unreachable, VenueError
from aegis.live.clock import Clock
from aegis.live.keys import Creds
from aegis.venue import request
from aegis.venue.errors import CLOCK_CODE, classify
from aegis.venue.weights import WeightBudget, weight_of

MS = 1_000_000
RESERVE_PART = 5  # one fifth of the weight is for exits, PROTOCOL 7
CONNECT_S = 5.0
USED_WEIGHT = "X-MBX-USED-WEIGHT-1M"
TIME_PATH = "/fapi/v1/time"

_decode = msgspec.json.Decoder(float_hook=str).decode


class _Trace:
    """Whether the first byte of one request may have left."""

    __slots__ = ("sent",)

    def __init__(self) -> None:
        self.sent = False


async def _mark_sent(_session: object, context: Any, _params: object) -> None:
    context.trace_request_ctx.sent = True


def _trust(ca_file: str) -> ssl.SSLContext | bool:
    """Whom to trust: the authorities of a file, or (True) the system's; raises ConfigError."""
    if not ca_file:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as e:
        raise ConfigError(f"venue.ca_file {ca_file} cannot be used: {e.strerror or e}") from e


class Rest:
    """
    The venue's REST interface.

    Args:
        venue: `rest_url`, `ca_file`, `recv_window_ms`, `weight_per_minute`.
        creds: None for public calls only.
        clock: wall time for timestamps and for the minute of the weight budget.

    `clock_offset_ms` is venue time minus ours; it is measured on -1021 and by `sync`, and may be set by the owner.

    Raises:
        ConfigError: `ca_file` cannot be used.
    """

    def __init__(self, venue: Venue, creds: Creds | None, clock: Clock) -> None:
        self._base, self._window_ms = venue.rest_url.rstrip("/"), venue.recv_window_ms
        self._sign = creds.signer() if creds is not None else None
        self._headers = {"X-MBX-APIKEY": creds.api_key} if creds is not None else {}
        self._clock, self._trust = clock, _trust(venue.ca_file)
        self._session: aiohttp.ClientSession | None = None
        self.weights = WeightBudget(venue.weight_per_minute, venue.weight_per_minute // RESERVE_PART)
        self.clock_offset_ms = 0

    async def get(self, path: str, params: request.Params | None = None, **options: Any) -> Any:
        """
        GET; see `call` for the options and errors.

        Returns:
            Decoded JSON; decimals stay text.
        """
        return await self.call("GET", path, params, **options)

    async def post(self, path: str, params: request.Params | None = None, **options: Any) -> Any:
        """POST, parameters in the query; as `get`."""
        return await self.call("POST", path, params, **options)

    async def put(self, path: str, params: request.Params | None = None, **options: Any) -> Any:
        """PUT; as `get`."""
        return await self.call("PUT", path, params, **options)

    async def delete(self, path: str, params: request.Params | None = None, **options: Any) -> Any:
        """DELETE; as `get`."""
        return await self.call("DELETE", path, params, **options)

    async def call(
        self,
        method: str,
        path: str,
        params: request.Params | None = None,
        *,
        signed: bool = False,
        timeout_s: float = 10.0,
        essential: bool = False,
    ) -> Any:
        """
        One request with its answer, within `timeout_s` (each of its at most two attempts).

        Args:
            signed: with timestamp, recvWindow and signature.
            timeout_s: deadline in s, waiting for our own weight budget included.
            essential: may use the reserve of weight: cancels, exits, dead-man renewals.

        Raises:
            Unreachable: nothing was written, or a read got no answer.
            OrderUnknown: a write left and no answer proved what became of it.
            RateLimited: the venue, or our own budget, says wait longer than `timeout_s`.
            VenueError: refused. BadMessage: a read was answered with what is not JSON.
        """
        asked = params or {}
        try:
            return await self._once(method, path, asked, signed, timeout_s, essential)
        except VenueError as e:
            if e.code != CLOCK_CODE or not signed:
                raise
        await self.sync(timeout_s)
        return await self._once(method, path, asked, signed, timeout_s, essential)

    async def sync(self, timeout_s: float = 10.0) -> None:
        """Measure `clock_offset_ms` by the middle of one round trip; raises what `get` raises."""
        sent_ns = self._clock.now_ns()
        answer = await self._once("GET", TIME_PATH, {}, False, timeout_s, True)
        middle_ns = (sent_ns + self._clock.now_ns()) // 2
        try:
            self.clock_offset_ms = int(answer["serverTime"]) - middle_ns // MS
        except (KeyError, TypeError, ValueError) as e:
            raise BadMessage("venue time without serverTime") from e

    async def close(self) -> None:
        """Close the connections; pending requests fail as unanswered."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _once(
        self, method: str, path: str, params: Mapping[str, Any], signed: bool, timeout_s: float, essential: bool
    ) -> Any:
        await self._allowed(weight_of(method, path, params), timeout_s, essential)
        url, trace, write = self._url(path, params, signed), _Trace(), method != "GET"
        try:
            async with self._open().request(
                method, url, headers=self._headers, allow_redirects=False, trace_request_ctx=trace,
                timeout=aiohttp.ClientTimeout(total=timeout_s, connect=min(timeout_s, CONNECT_S)),
            ) as answer:  # fmt: skip
                body, status, headers = await answer.read(), answer.status, answer.headers
        except (aiohttp.ClientError, TimeoutError, OSError) as e:
            why = f"{method} {path}: {type(e).__name__}: {e}"
            if write and trace.sent:
                raise OrderUnknown(f"sent without an answer: {why}") from e
            raise Unreachable(why) from e
        self._learn(headers)
        if status >= 300:
            raise self._refusal(status, body, write, headers.get("Retry-After"))
        try:
            return _decode(body)
        except (msgspec.DecodeError, UnicodeError) as e:
            why = f"{method} {path}: status {status}, not JSON: {body[:60]!r}"
            raise (OrderUnknown(why) if write else BadMessage(why)) from e

    async def _allowed(self, weight: int, timeout_s: float, essential: bool) -> None:
        """Wait for weight; a pause that cannot end in time is refused at once."""
        while wait_ns := self.weights.ask(weight, self._venue_ns(), essential):
            if wait_ns > timeout_s * 1e9:
                raise RateLimited(429, wait_ns / 1e9, "own weight budget: nothing was sent")
            await asyncio.sleep(wait_ns / 1e9)

    def _url(self, path: str, params: Mapping[str, Any], signed: bool) -> URL:
        if signed:
            if self._sign is None:
                raise VenueError(-2014, f"{path} needs credentials: nothing was sent", 401)
            text = request.signed_query(params, self._sign, self._venue_ns() // MS, self._window_ms)
        else:
            text = request.query(params)
        return URL(f"{self._base}{path}?{text}" if text else f"{self._base}{path}", encoded=True)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            trace = aiohttp.TraceConfig()
            trace.on_request_headers_sent.append(_mark_sent)
            self._session = aiohttp.ClientSession(
                trace_configs=[trace],
                cookie_jar=aiohttp.DummyCookieJar(),
                connector=aiohttp.TCPConnector(limit=32, keepalive_timeout=60.0, ssl=self._trust),
            )
        return self._session

    def _refusal(self, status: int, body: bytes, write: bool, retry_after: str | None) -> Exception:
        now_ms = self._clock.now_ns() // MS
        refusal = classify(status, body, write=write, retry_after=retry_after, now_ms=now_ms)
        if isinstance(refusal, RateLimited) and b"-1015" not in body:  # -1015 counts orders, cancels stay free
            self.weights.penalise(refusal.retry_after_s, self._venue_ns())
        return refusal

    def _learn(self, headers: Mapping[str, str]) -> None:
        used = headers.get(USED_WEIGHT, "")
        if used.isdecimal():
            self.weights.learn(int(used), self._venue_ns())

    def _venue_ns(self) -> int:
        return self._clock.now_ns() + self.clock_offset_ms * MS
