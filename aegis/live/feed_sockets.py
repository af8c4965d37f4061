"""Market sockets: each plan of streams is held by one connection, replaced before it dies, rebuilt when it does.

Problem: the venue ends every connection at 24 h, and two connections race: the newer one may show update N+1 before
the older delivered N, which a book reads as a break. So the successor's bytes are *held* (only stream names are
read from them) until it has shown each live stream and the older one has answered a ping; then the older one goes and
the held bytes enter the pump, where what was seen already is dropped by its ids.
What must stay true: at most one connection of a plan feeds the pump at any instant; a connection that is lost without a
covering successor is reported to `Hub.lost`, once, before its replacement's first record.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from aegis.errors import BadMessage, Unreachable
from aegis.live.net import Link
from aegis.market.streams import (
    NS,
    Do,
    Pacer,
    Sniffer,
    SocketPlan,
    StreamState,
    Trust,
    is_strict,
    subscribe_chunks,
    subscribe_message,
)

TICK_S = 0.25
DRAIN_S = 2.0
OVERLAP_S = 3.0
SILENT_PING_NS = 15 * NS
SILENT_DROP_NS = 40 * NS


class Timing(msgspec.Struct, frozen=True):
    """Deadlines of a socket, from the config; seconds."""

    first_frame_s: float
    stale_s: float
    rotate_s: float
    reconnect_min_s: float
    reconnect_max_s: float


class Opener(Protocol):
    """Opens connections whose frames the pump thread takes (aegis.live.net.Receiver)."""

    async def open(
        self, url: str, on_text: Callable[[bytes, int], None], *, market: bool = True, held: bool = False
    ) -> Link:
        """Connect and shake hands; `held`: nothing reaches the pump until `Link.release`. Raises Unreachable."""


class Hub(Protocol):
    """What sockets need of the process around them."""

    timing: Timing
    stream_url: str

    @property
    def receiver(self) -> Opener:
        """Opens its connections."""

    def mono_ns(self) -> int:
        """Monotonic clock, for all deadlines."""

    def evidence(self, stream: str) -> int:
        """A number that changes with every record the pump takes of `stream`."""

    def count(self, name: str, n: int = 1) -> None:
        """Add to a counter of the control page."""

    def say(self, level: str, event: str, **facts: object) -> None:
        """One log line."""

    def lost(self, plan: SocketPlan) -> Any:
        """A connection ended unbridged: reset its books, remember what its streams had delivered."""

    def back(self, plan: SocketPlan, mark: Any, settled: Callable[[], bool]) -> None:
        """The replacement has asked for its streams: once `settled()`, fetch what was missed."""


class Backoff:
    """Capped, jittered waiting times between attempts; seconds."""

    def __init__(self, least_s: float, most_s: float) -> None:
        self._least_s, self._most_s, self._step = least_s, most_s, 0

    def next(self) -> float:
        """Half to whole of a doubling time, at most `most_s`."""
        ceiling: float = min(self._most_s, self._least_s * 2**self._step)
        self._step = min(self._step + 1, 16)
        return ceiling * (0.5 + random.random() / 2)

    def reset(self) -> None:
        """A connection has proven itself."""
        self._step = 0


class Conn:
    """One connection with its subscriptions and what is known about them."""

    def __init__(self, hub: Hub, plan: SocketPlan) -> None:
        self.hub, self.plan = hub, plan
        timing = hub.timing
        self.trust = Trust(plan.streams, int(timing.first_frame_s * NS), int(timing.stale_s * NS))
        self.link: Link
        self.held = False
        self.born_ns = self._heard_ns = hub.mono_ns()
        self.sniffer = Sniffer()
        self._pacer = Pacer()
        self._request_id = 0
        self._pinged_ns = self._bytes_seen = 0
        self._evidence: dict[str, int] = {}

    async def open(self, *, held: bool = False) -> None:
        """
        Connect and subscribe everything, at the permitted pace.

        Raises:
            Unreachable: no connection, or it ended meanwhile.
        """
        self.held = held
        self.sniffer = Sniffer(prints=held)
        url = f"{self.hub.stream_url.rstrip('/')}/{self.plan.route.value}/stream"
        self.link = await self.hub.receiver.open(url, self._text, held=held)
        self.link.tap = self._tap
        await self.subscribe(self.plan.streams)

    def compare(self) -> None:
        """Start to keep prints of frames, for a rotation."""
        self.sniffer = Sniffer(prints=True)
        self.link.tap = self._tap

    async def subscribe(self, streams: Sequence[str]) -> None:
        """Ask for `streams` in paced messages; raises Unreachable when the connection ended."""
        for chunk in subscribe_chunks(streams):
            wait_ns = self._pacer.take(self.hub.mono_ns())
            if wait_ns:
                await asyncio.wait({self.link.closed}, timeout=wait_ns / NS)
            self._request_id += 1
            self.trust.asked(chunk, self._request_id, self.hub.mono_ns())
            self.link.send_text(subscribe_message(chunk, self._request_id))

    def release(self) -> None:
        """Let the held bytes into the pump."""
        self.held = False
        if not self.link.closed.done():
            self.link.release()

    def refresh(self) -> None:
        """Move first frames and ages from the pump's records into `trust`."""
        if self.held:
            return
        comparing = self.sniffer.with_prints
        if self.link.tap is not None and not comparing and not any(is_strict(s) for s in self.trust.waiting()):
            self.link.tap = None  # every judged stream has spoken; from now on the pump's own times do
        now_ns = self.hub.mono_ns()
        for stream, state in self.trust.state.items():
            seen = self.hub.evidence(stream)
            if seen != self._evidence.setdefault(stream, seen) and state is not StreamState.WANTED:
                self._evidence[stream] = seen
                self.trust.frame(stream, now_ns)

    def keep_alive(self, now_ns: int) -> bool:
        """Ping a silent connection; False when it stays silent."""
        if self.link.bytes_in != self._bytes_seen:
            self._bytes_seen, self._heard_ns = self.link.bytes_in, now_ns
        silent_ns = now_ns - self._heard_ns
        if silent_ns > SILENT_PING_NS and now_ns - self._pinged_ns > SILENT_PING_NS:
            self._pinged_ns = now_ns
            self.link.ping()
        return silent_ns < SILENT_DROP_NS

    def _tap(self, data: bytes, cut: bool) -> None:
        now_ns = self.hub.mono_ns()
        if cut:
            self.sniffer.cut()
        names, answers = self.sniffer.feed(data)
        for name in names:
            self.trust.frame(name, now_ns)
        for request_id in answers:
            self.trust.answered(request_id, ok=True)

    def _text(self, body: bytes, _recv_ns: int) -> None:
        try:
            answer: Any = msgspec.json.decode(body)
        except msgspec.DecodeError:
            self.hub.count("text_bad")
            return
        if not isinstance(answer, dict) or "id" not in answer:
            if isinstance(answer, dict) and answer.get("e") == "serverShutdown":
                self.born_ns = 0  # due for rotation at once
            return
        failed = "error" in answer or "code" in answer
        streams = self.trust.answered(answer["id"], ok=not failed) if isinstance(answer["id"], int) else ()
        if failed:
            self.hub.count("subscribe_refused")
            self.hub.say(
                "error", "subscribe refused", answer=body[:200].decode("utf-8", "replace"), streams=len(streams)
            )


class Socket:
    """Keeps one plan connected for as long as `run` runs."""

    def __init__(self, hub: Hub, plan: SocketPlan) -> None:
        self.hub, self.plan = hub, plan
        self.conn: Conn | None = None
        self._backoff = Backoff(hub.timing.reconnect_min_s, hub.timing.reconnect_max_s)
        self._rotate_wanted = False
        self._retry_rotate_ns = 0
        self._rotate_s = hub.timing.rotate_s * (1 - random.random() / 20)

    async def run(self) -> None:
        """Connect, serve, and again, until cancelled."""
        marks: list[Any] = []  # losses not yet handed to repair; more than one when a replacement dies young
        while True:
            conn = Conn(self.hub, self.plan)
            try:
                await conn.open()
            except (Unreachable, BadMessage) as exc:
                self.hub.count("connect_failed")
                self.hub.say("warn", "connect failed", route=self.plan.route.value, why=exc)
                if hasattr(conn, "link"):
                    conn.link.close()
                    marks.append(self.hub.lost(self.plan))
                await asyncio.sleep(self._backoff.next())
                continue
            self.conn = conn
            try:
                for mark in marks:
                    self.hub.back(self.plan, mark, conn.trust.settled)
                reason = await self._serve()
            finally:
                self.conn.link.close()
            marks = [self.hub.lost(self.plan)]
            self.hub.count("reconnects")
            self.hub.say("warn", "socket lost", route=self.plan.route.value, why=reason)
            await asyncio.sleep(self._backoff.next())

    async def _serve(self) -> str:
        """Watch the current connection; returns why it ended without a successor."""
        while True:
            conn = self.conn
            assert conn is not None
            await asyncio.wait({conn.link.closed}, timeout=TICK_S)
            if conn.link.closed.done():
                return conn.link.closed.result()
            now_ns = self.hub.mono_ns()
            conn.refresh()
            if conn.trust.alive():
                self._backoff.reset()
            if not conn.keep_alive(now_ns):
                return "no answer to ping"
            self._rotate_wanted |= now_ns - conn.born_ns > self._rotate_s * NS
            for action in conn.trust.due(now_ns):
                if action.do is Do.RECONNECT:
                    self.hub.count("sockets_stale")
                    return "socket silent"
                self._rotate_wanted |= await self._obey(conn, action.do, action.streams)
            if self._rotate_wanted and now_ns >= self._retry_rotate_ns:
                await self._rotate(conn)

    async def _obey(self, conn: Conn, do: Do, streams: tuple[str, ...]) -> bool:
        """Carry out one duty; True asks for a rotation."""
        shown = ",".join(streams[:5])
        if do is Do.ALARM:
            self.hub.count("streams_dead", len(streams))
            self.hub.say("error", "no first frame", route=self.plan.route.value, streams=len(streams), first=shown)
        elif do is Do.RESUBSCRIBE:
            try:
                await conn.subscribe(streams)
            except Unreachable:
                return False  # `closed` is set: the next turn sees it
        elif do is Do.ROTATE:
            self.hub.count("streams_stale", len(streams))
            self.hub.say("warn", "stream stale", route=self.plan.route.value, streams=len(streams), first=shown)
            return True
        return False

    async def _rotate(self, old: Conn) -> None:
        """Bring up a successor beside `old`; on failure `old` stays and a later turn tries again."""
        new = Conn(self.hub, self.plan)
        adopted = False
        old.compare()
        try:
            await new.open(held=True)
            if await self._covered(old, new):
                await old.link.drained(DRAIN_S)
                old.link.close("rotated")
                new.release()
                self.conn, adopted, self._rotate_wanted = new, True, False
                self.hub.count("rotations")
                self.hub.say("info", "socket rotated", route=self.plan.route.value, streams=len(self.plan.streams))
        except (Unreachable, BadMessage) as exc:
            self.hub.say("warn", "rotation failed", route=self.plan.route.value, why=exc)
        finally:
            (new if adopted else old).sniffer = Sniffer()
            if not adopted:
                self.hub.count("rotations_failed")
                self._retry_rotate_ns = self.hub.mono_ns() + int(self._backoff.next() * NS)
                if hasattr(new, "link"):
                    new.link.close()

    async def _covered(self, old: Conn, new: Conn) -> bool:
        """
        Wait until nothing can be lost by the change.

        `new` must have shown every strict stream live on `old`, and have an answer for the rest; then `old` must
        have shown what `new` showed first (the two overlap), or `OVERLAP_S` have passed (quiet or cut differently).
        """
        started_ns, covered_ns = self.hub.mono_ns(), 0
        while self.hub.mono_ns() - started_ns < self.hub.timing.first_frame_s * NS:
            old.refresh()
            if new.trust.covers(old.trust.alive()) and new.trust.settled():
                covered_ns = covered_ns or self.hub.mono_ns()
                if old.sniffer.overlaps(new.sniffer) or self.hub.mono_ns() - covered_ns > OVERLAP_S * NS:
                    return True
            await asyncio.wait({old.link.closed, new.link.closed}, timeout=0.02, return_when=asyncio.FIRST_COMPLETED)
            if old.link.closed.done() or new.link.closed.done():
                return False
        return covered_ns > 0
