"""The private socket: user events to the account ring, in arrival order, with notes when the channel goes and comes.

Problem: a quiet account sends nothing, and a reader of the ring cannot tell that from a dead channel. So every
loss and return of the channel is itself a record (STREAM_DOWN, STREAM_UP): whoever keeps books reconciles on it.
What must stay true: nothing is dropped because it is unknown (the decoder makes a note of it); an event that cannot be
packed exactly is counted and followed by a STREAM_DOWN/STREAM_UP pair, so that the books are checked against the
venue; the listen key is read from its file only and never logged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from aegis.errors import AegisError, BadMessage, Unreachable
from aegis.live.feed_sockets import Backoff, Opener, Timing
from aegis.live.net import Link
from aegis.market.streams import NS
from aegis.messages import Note

LOOK_S = 0.05
PING_NS = 10 * NS
DROP_NS = 25 * NS


class Account(Protocol):
    """What the private socket needs of the process around it."""

    timing: Timing
    stream_url: str

    @property
    def receiver(self) -> Opener:
        """Opens its connections."""

    def now_ns(self) -> int:
        """Wall clock."""

    def mono_ns(self) -> int:
        """Monotonic clock."""

    def count(self, name: str, n: int = 1) -> None:
        """Add to a counter."""

    def say(self, level: str, event: str, **facts: object) -> None:
        """One log line."""


class Private:
    """
    Follows the listen key and its socket.

    Args:
        key_path: file the orchestrator writes the listen key to.
        decode: bytes of one event and their time to message nouns; raises AegisError.
        publish: puts one noun on the account ring; raises AegisError when it does not fit.
    """

    def __init__(
        self,
        hub: Account,
        key_path: Path,
        decode: Callable[[bytes, int], Sequence[Any]],
        publish: Callable[[Any], None],
    ) -> None:
        self.hub, self.key_path = hub, key_path
        self._decode, self._publish = decode, publish
        self.up = False
        self._key, self._mtime_ns = "", -1
        self._backoff = Backoff(hub.timing.reconnect_min_s, hub.timing.reconnect_max_s)

    async def run(self) -> None:
        """Connect with the current key; reconnect on loss or when the key changes; until cancelled."""
        link: Link | None = None
        try:
            while True:
                if not self._read_key():
                    await asyncio.sleep(LOOK_S)
                    continue
                try:
                    url = f"{self.hub.stream_url.rstrip('/')}/private/ws/{quote(self._key)}"
                    link = await self.hub.receiver.open(url, self._text, market=False)
                except (Unreachable, BadMessage) as exc:
                    self.hub.count("connect_failed")
                    self.hub.say("warn", "connect failed", route="private", why=exc)
                    await asyncio.sleep(self._backoff.next())
                    continue
                self._arrived()
                reason = await self._serve(link)
                link.close(reason)
                self._note("STREAM_DOWN", reason)
                self.hub.say("warn", "socket lost", route="private", why=reason)
                self.hub.count("reconnects")
                await asyncio.sleep(self._backoff.next())
        finally:
            if link is not None:
                link.close()
            self._note("STREAM_DOWN", "feed stops")

    async def _serve(self, link: Link) -> str:
        """Watch one connection; returns why it has to go."""
        key, bytes_seen, born_ns = self._key, -1, self.hub.mono_ns()
        heard_ns = pinged_ns = born_ns
        while True:
            await asyncio.wait({link.closed}, timeout=LOOK_S)
            if link.closed.done():
                return link.closed.result()
            if self._read_key() and self._key != key:
                return "listen key changed"
            now_ns = self.hub.mono_ns()
            if now_ns - born_ns > NS:
                self._backoff.reset()
            if link.bytes_in != bytes_seen:
                bytes_seen, heard_ns = link.bytes_in, now_ns
            if now_ns - heard_ns > DROP_NS:
                return "no answer to ping"
            if now_ns - max(heard_ns, pinged_ns) > PING_NS:
                pinged_ns = now_ns
                link.ping()
            if now_ns - born_ns > self.hub.timing.rotate_s * NS:
                return "rotation"

    def _read_key(self) -> bool:
        """Take the listen key from its file when that changed; True when there is one."""
        try:
            mtime_ns = self.key_path.stat().st_mtime_ns
            if mtime_ns != self._mtime_ns:
                self._key = self.key_path.read_text(encoding="ascii").strip()
                self._mtime_ns = mtime_ns
        except (OSError, UnicodeDecodeError):
            self._key, self._mtime_ns = "", -1
        return bool(self._key)

    def _text(self, body: bytes, recv_ns: int) -> None:
        """One user event; the first may have come with the handshake's answer."""
        self._arrived()
        try:
            for message in self._decode(body, recv_ns):
                self._publish(message)
                self.hub.count("user_events")
        except AegisError as exc:
            self.hub.count("user_events_bad")
            self.hub.say("error", "user event refused", why=exc, bytes=len(body))
            self._note("STREAM_DOWN", "an event was refused")
            self._note("STREAM_UP", "after a refused event")

    def _arrived(self) -> None:
        """The channel is up; said once, before its first event."""
        if not self.up:
            self._note("STREAM_UP", "private")

    def _note(self, what: str, detail: str) -> None:
        if what == "STREAM_DOWN" and not self.up:
            return
        self.up = what == "STREAM_UP"
        self._publish(Note(what=what, detail=detail[:120], recv_ns=self.hub.now_ns()))
