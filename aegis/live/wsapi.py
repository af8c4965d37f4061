"""The WebSocket API: orders over one connection that is kept up, each call answered, refused or unknown.

Problem: an order whose answer never comes may live on the venue. So a call is in one of three states by fact: not
handed to the socket (safe to repeat), handed over (unknown until answered), answered.
What must stay true: every call ends, by its deadline at the latest; when the connection falls, all pending calls end
as `OrderUnknown` at once; nothing is sent before the logon of an Ed25519 key is answered; a late answer is dropped,
never given to another call. Orders that C writes on the same connection carry their client id as the message's id:
their answers go to `on_answer`, and `on_state` takes the connection away from C before it is closed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import msgspec

from aegis.config import Venue
from aegis.errors import AegisError, BadMessage, OrderUnknown, Unreachable, VenueError
from aegis.live import log
from aegis.live.channel import Channel
from aegis.live.clock import Clock
from aegis.live.dial import Dialer
from aegis.live.keys import Creds
from aegis.native.conn import Conn
from aegis.venue import request
from aegis.venue.errors import CLOCK_CODE, classify
from aegis.venue.sign import Signer, ed25519_signer

MS = 1_000_000
OPEN_S = 5.0
LOGON_S = 5.0
BACKOFF_MIN_S, BACKOFF_MAX_S = 0.1, 10.0
STEADY_S = 10.0  # a connection that held this long starts the back-off anew
_NO_WRITES = ("ping", "time", "session.", "order.status", "account.", "v2/account.", "depth", "ticker.")

_decode = msgspec.json.Decoder(float_hook=str).decode
_encode = msgspec.json.Encoder().encode


def pause_s(attempt: int, draw: float) -> float:
    """Pause before attempt n (0 first): doubling from 0.1 s, at most 10 s, of which `draw` in [0, 1) varies half."""
    top = min(BACKOFF_MAX_S, BACKOFF_MIN_S * 2 ** min(attempt, 16))
    return float(top * (0.5 + draw / 2))


class WsApi:
    """
    A connection to the WebSocket API that renews itself.

    Args:
        venue: `ws_api_url`, `ca_file`, `recv_window_ms`.
        creds: with `ed25519_pem` the connection logs on once, else every signed message carries an HMAC.
        clock: wall time for timestamps, monotonic for the back-off.

    Attributes:
        ready: True while calls can be sent.
        clock_offset_ms: venue time minus ours, set by the owner.
        logged_on: whether messages of this key go unsigned (after `session.logon`).
        conn: the connection while `ready`, else None; C may write whole frames on it, then `kick` sends what is left.
        on_answer: (client id, answer) of messages whose id is a text: the orders that C sent; see `refusal`.
        on_state: called with the connection when calls can be sent, with None as soon as they cannot.

    Raises:
        ConfigError: `ca_file` cannot be used.
    """

    def __init__(self, venue: Venue, creds: Creds, clock: Clock) -> None:
        self._url, self._window_ms = venue.ws_api_url, venue.recv_window_ms
        self._api_key, self._clock, self._log = creds.api_key, clock, log.get("wsapi")
        self._sign = creds.signer()
        self._logon: Signer | None = ed25519_signer(creds.ed25519_pem) if creds.ed25519_pem is not None else None
        self._dialer = Dialer(venue.ca_file)
        self._channel: Channel | None = None
        self._pending: dict[int, asyncio.Future[Any]] = {}
        self._number, self._up = 0, asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.ready, self.clock_offset_ms, self.connections = False, 0, 0
        self.logged_on = self._logon is not None
        self.conn: Conn | None = None
        self.on_answer: Callable[[str, dict[str, Any]], None] | None = None
        self.on_state: Callable[[Conn | None], None] | None = None

    async def connect(self, timeout_s: float = 30.0) -> None:
        """
        Start keeping the connection (unless `run` already does) and wait until calls can be sent.

        Raises:
            Unreachable: not within `timeout_s` s; it goes on trying.
        """
        if self._task is None:
            self._task = asyncio.create_task(self.run())
        try:
            async with asyncio.timeout(timeout_s):
                await self._up.wait()
        except TimeoutError as e:
            raise Unreachable(f"no WebSocket API connection within {timeout_s:g} s") from e

    async def run(self) -> None:
        """Connect, read, connect again, until cancelled. Never ends by itself."""
        attempt = 0
        while True:
            began_ns = self._clock.mono_ns()
            try:
                why = await self._serve()
            except (AegisError, OSError, TimeoutError) as e:
                why = f"{type(e).__name__}: {e}"
            finally:
                self._down()
            attempt = 0 if self._clock.mono_ns() - began_ns > STEADY_S * 1e9 else attempt + 1
            wait_s = pause_s(attempt, random.random())
            self._log.warn("disconnected", why=why, retry_s=round(wait_s, 2))
            await asyncio.sleep(wait_s)

    async def call(
        self, method: str, params: request.Params | None = None, timeout_s: float = 5.0, signed: bool = True
    ) -> Any:
        """
        One request and its result.

        Args:
            method: e.g. "order.place".
            params: without apiKey, timestamp, recvWindow and signature.
            timeout_s: deadline of the answer in s.
            signed: False for ping, time and market data.

        Returns:
            `result` of the answer; decimals stay text.

        Raises:
            Unreachable: not connected: nothing was written; or a read without an answer.
            OrderUnknown: written, and no answer by the deadline or before the connection fell.
            VenueError, RateLimited: refused.
        """
        if not self.ready:
            raise Unreachable(f"{method}: the WebSocket API is not connected")
        if not signed:
            return await self._ask(method, dict(params or {}), timeout_s)
        try:
            return await self._ask(method, self._signed(params or {}), timeout_s)
        except VenueError as e:
            if e.code != CLOCK_CODE:
                raise
        await self.sync(timeout_s)  # refused by its timestamp: certainly not executed, so once more
        return await self._ask(method, self._signed(params or {}), timeout_s)

    def send(self, name: str, method: str, params: request.Params) -> None:
        """
        Write one signed message now; its answer goes to `on_answer` under `name`.

        Raises:
            Unreachable: nothing of it was written.
        """
        if not self.ready or self._channel is None:
            raise Unreachable(f"{method}: the WebSocket API is not connected")
        self._channel.send(_encode({"id": name, "method": method, "params": self._signed(params)}))

    async def sync(self, timeout_s: float = 5.0) -> None:
        """Measure `clock_offset_ms` by the middle of one round trip; raises what `call` raises."""
        sent_ns = self._clock.now_ns()
        answer = await self._ask("time", {}, timeout_s)
        middle_ns = (sent_ns + self._clock.now_ns()) // 2
        try:
            self.clock_offset_ms = int(answer["serverTime"]) - middle_ns // MS
        except (KeyError, TypeError, ValueError) as e:
            raise BadMessage("venue time without serverTime") from e

    async def close(self) -> None:
        """End the connection; pending calls end as unanswered."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task}, timeout=1.0)
        self._down()

    def kick(self) -> None:
        """C's write on `conn` left a rest behind: send it as soon as the socket takes it."""
        if self._channel is not None:
            self._channel.kick()

    async def _serve(self) -> str:
        """One connection from its opening to its end; returns why it ended."""
        dialled = await self._dialer.open(self._url, OPEN_S)
        channel = Channel(dialled, self._take, lambda _why: self._down(), self._clock.mono_ns)
        self._channel = channel
        try:
            if self._logon is not None:
                await self._log_on(self._logon)
            if channel.open:
                self.ready, self.conn, self.connections = True, channel.conn, self.connections + 1
                self._tell(channel.conn)
                self._up.set()
            return await channel.ended()
        finally:
            channel.close()

    async def _log_on(self, sign: Signer) -> None:
        """Authenticate the connection; a refused timestamp measures the clock for the next attempt."""
        fields = request.ws_params({}, self._now_ms(), self._window_ms)
        try:
            await self._ask("session.logon", request.ws_signed(fields, self._api_key, sign), LOGON_S)
        except VenueError as e:
            if e.code == CLOCK_CODE:
                await self.sync()
            raise

    def _signed(self, params: request.Params) -> dict[str, Any]:
        """Params of now; with key and signature unless the connection is logged on."""
        fields = request.ws_params(params, self._now_ms(), self._window_ms)
        return fields if self.logged_on else request.ws_signed(fields, self._api_key, self._sign)

    def _take(self, message: bytes) -> None:
        """Hand an answer to its call or to `on_answer`; a key that was revoked ends the connection."""
        try:
            answer = _decode(message)
            number = answer.get("id")
        except (msgspec.DecodeError, UnicodeError, AttributeError):
            self._log.warn("unreadable", frame=repr(message[:60]))
            return
        if isinstance(number, str):
            if self.on_answer is not None:
                self.on_answer(number, answer)
            return
        waiting = self._pending.get(number) if isinstance(number, int) else None
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)
        elif number is None and answer.get("error") and self._channel is not None:
            self._channel.close(str(self.refusal(answer, write=False)))

    async def _ask(self, method: str, fields: dict[str, Any], timeout_s: float) -> Any:
        """Send one message and wait for its answer."""
        channel = self._channel
        if channel is None or not channel.open:
            raise Unreachable(f"{method}: the WebSocket API is not connected")
        write = not method.startswith(_NO_WRITES)
        self._number += 1
        number, waiting = self._number, asyncio.get_running_loop().create_future()
        channel.send(_encode({"id": number, "method": method, "params": fields}))
        self._pending[number] = waiting
        try:
            async with asyncio.timeout(timeout_s):
                answer = await waiting
        except (TimeoutError, Unreachable) as e:
            lost = f"{method}: no answer: {e or 'deadline'}"
            raise (OrderUnknown(lost) if write else Unreachable(lost)) from e
        finally:
            self._pending.pop(number, None)
        if answer.get("status") != 200 or "error" in answer:
            raise self.refusal(answer, write=write)
        return answer.get("result")

    def refusal(self, answer: dict[str, Any], *, write: bool) -> AegisError:
        """What an answer with an error means; `write`: whether its message could have changed something."""
        error = answer.get("error")
        detail = error.get("data") if isinstance(error, dict) else None
        status, now_ms = answer.get("status"), self._clock.now_ns() // MS
        until = detail.get("retryAfter") if isinstance(detail, dict) else None
        after = str(max(1, (until - now_ms) // 1000)) if isinstance(until, int) else None
        code = status if isinstance(status, int) else 0
        if write and not 400 <= code < 600:  # no refusal of the venue's making
            return OrderUnknown(f"answered ({status!r}): {error!r:.100}")
        return classify(code, _encode(error), write=write, retry_after=after, now_ms=now_ms)

    def _tell(self, conn: Conn | None) -> None:
        if self.on_state is not None:
            self.on_state(conn)

    def _down(self) -> None:
        """Nothing can be sent; C loses the connection, and whoever waits for an answer learns it now."""
        channel, self._channel = self._channel, None
        self._up.clear()
        if self.ready:
            self.ready, self.conn = False, None
            self._tell(None)
        for waiting in self._pending.values():
            if not waiting.done():
                waiting.set_exception(Unreachable("the connection fell"))
        if channel is not None:
            channel.close()

    def _now_ms(self) -> int:
        return self._clock.now_ns() // MS + self.clock_offset_ms
