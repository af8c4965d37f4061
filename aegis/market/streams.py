"""Which stream travels on which socket, and what one socket may be believed about its streams.

Problem: the venue acknowledges a subscription on the wrong route and then never sends a frame (PROTOCOL 1.3),
and a connection can lose single streams while its pings live (PROTOCOL 10 T4). So an acknowledgement is not
evidence: a stream is LIVE only after its first frame, and STALE when its own clock ran out.
`Trust` holds that state for one connection; it reads no clock (`now_ns` comes in) and returns actions.
What must stay true: every state change goes through `TABLE`; an absent pair raises IllegalTransition; quiet kinds
(trades, liquidations) are never judged one by one, only together with their socket.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum, IntEnum

import msgspec

from aegis.errors import IllegalTransition
from aegis.limits import CLIENT_MESSAGES_PER_S, STREAMS_PER_SOCKET

NS = 1_000_000_000
SUBSCRIBE_NAMES_MAX = 200  # names in one SUBSCRIBE message: about 5 KB of text
PUBLIC_KINDS = frozenset({"bookTicker", "depth", "depth5", "depth10", "depth20", "rpiDepth", "trade"})
STRICT_KINDS = frozenset({"bookTicker", "depth", "depth5", "depth10", "depth20", "markPrice", "kline"})
SPACING_NS = NS // (CLIENT_MESSAGES_PER_S - 1)  # one message a second is left for pongs
_NAME_ON_WIRE = re.compile(rb'"stream"\s*:\s*"((?:[^"\\]|\\.){1,240})"')
_ANSWER_ON_WIRE = re.compile(
    rb'\{\s*"result"\s*:\s*null\s*,\s*"id"\s*:\s*(\d+)\s*\}|\{\s*"id"\s*:\s*(\d+)\s*,\s*"result"\s*:\s*null\s*\}'
)
_START_ON_WIRE = re.compile(rb'"stream"\s*:\s*"((?:[^"\\]|\\.){1,240})"\s*,\s*"data"\s*:\s*([^}]{160}|[^}]{1,159}\})')
_TAIL_BYTES = 480  # longer than name and beginning of a frame, so that what is split is found in the next read


class Route(Enum):
    """First part of a socket's path (PROTOCOL 1.3)."""

    PUBLIC = "public"
    MARKET = "market"
    PRIVATE = "private"


class SocketPlan(msgspec.Struct, frozen=True):
    """Streams that share one socket, in subscription order."""

    route: Route
    streams: tuple[str, ...]


def ascii_lower(text: str) -> str:
    """Lower-case A-Z only: the venue folds no other letters (PROTOCOL 2.1, T17)."""
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in text)


def stream_name(symbol: str, kind: str) -> str:
    """Name of a symbol's stream, e.g. ("BTCUSDT", "depth@100ms") -> "btcusdt@depth@100ms"."""
    return f"{ascii_lower(symbol)}@{kind}"


def kind_of(stream: str) -> str:
    """The bare kind of a stream name: "btcusdt@depth@100ms" -> "depth", "x@kline_1m" -> "kline"."""
    if stream.startswith("!"):
        kind = stream[1:].split("@", 1)[0]
    else:
        kind = stream.split("@", 1)[1].split("@", 1)[0] if "@" in stream else stream
    return kind.split("_", 1)[0]


def route_of(stream: str) -> Route:
    """Route a stream flows on (PROTOCOL 1.3); kinds nobody knows go to /market, the larger family."""
    return Route.PUBLIC if kind_of(stream) in PUBLIC_KINDS else Route.MARKET


def is_strict(stream: str) -> bool:
    """Whether silence of this one stream is a fault (trades and liquidations may be quiet for hours)."""
    return kind_of(stream) in STRICT_KINDS and not stream.startswith("!")


def stream_names(symbols: Iterable[str], kinds: Sequence[str]) -> list[str]:
    """All names for `symbols` x `kinds`, symbol by symbol; a kind starting with "!" is taken once, as it is."""
    names = [kind for kind in kinds if kind.startswith("!")]
    names += [stream_name(s, kind) for s in symbols for kind in kinds if not kind.startswith("!")]
    return list(dict.fromkeys(names))


def socket_plans(streams: Iterable[str], streams_max: int = STREAMS_PER_SOCKET) -> list[SocketPlan]:
    """Spread streams over sockets: one route each, at most `streams_max` (>= 1) streams each."""
    by_route: dict[Route, list[str]] = {}
    for stream in streams:
        by_route.setdefault(route_of(stream), []).append(stream)
    step = max(1, min(streams_max, STREAMS_PER_SOCKET))
    return [
        SocketPlan(route, tuple(names[at : at + step]))
        for route, names in by_route.items()
        for at in range(0, len(names), step)
    ]


def subscribe_chunks(streams: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Streams in groups small enough for one SUBSCRIBE message."""
    for at in range(0, len(streams), SUBSCRIBE_NAMES_MAX):
        yield tuple(streams[at : at + SUBSCRIBE_NAMES_MAX])


def subscribe_message(streams: Sequence[str], request_id: int) -> bytes:
    """JSON text of one SUBSCRIBE request, UTF-8."""
    body = {"method": "SUBSCRIBE", "params": list(streams), "id": request_id}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


class Pacer:
    """Keeps one connection's messages `SPACING_NS` apart, so at most 4 a second (PROTOCOL 2.1)."""

    def __init__(self) -> None:
        self._next_ns = 0

    def take(self, now_ns: int) -> int:
        """Reserve the next slot; returns nanoseconds to wait before sending."""
        at = max(now_ns, self._next_ns)
        self._next_ns = at + SPACING_NS
        return at - now_ns


class Sniffer:
    """
    Finds stream names and acknowledgements in raw server bytes, however the bytes are cut.

    For the first seconds of a connection and for rotations only: it tells which streams *this* socket shows, before
    or beside the pump. With `prints` it keeps, for each stream, hashes of its frames' beginnings (ids and times stand
    there), so that two sockets can be compared without decoding.
    """

    def __init__(self, *, prints: bool = False) -> None:
        self._tail = b""
        self.with_prints = prints
        self.prints: dict[bytes, set[int]] = {}
        self.firsts: dict[bytes, int] = {}

    def feed(self, data: bytes | memoryview) -> tuple[set[str], set[int]]:
        """Stream names and acknowledged request ids in `data` (joined with the end of what came before)."""
        joined = self._tail + bytes(data)
        self._tail = joined[-_TAIL_BYTES:]
        names = set()
        for raw in set(_NAME_ON_WIRE.findall(joined)):
            try:
                names.add(json.loads(b'"' + raw + b'"'))
            except ValueError:  # bytes that only look like a name: the pump judges frames, not this
                continue
        if self.with_prints:
            for name, start in _START_ON_WIRE.findall(joined):
                mark = hash(start)
                self.prints.setdefault(name, set()).add(mark)
                self.firsts.setdefault(name, mark)
        return names, {int(a or b) for a, b in _ANSWER_ON_WIRE.findall(joined)}

    def cut(self) -> None:
        """Bytes are missing before the next ones: nothing is joined across them."""
        self._tail = b""

    def overlaps(self, later: Sniffer) -> bool:
        """Whether this socket has shown the first frame that `later` showed, for each of its streams."""
        return all(first in self.prints.get(name, ()) for name, first in later.firsts.items())


class StreamState(IntEnum):
    """What is known about one stream on one connection."""

    WANTED = 0
    ASKED = 1
    ACKED = 2
    LIVE = 3
    STALE = 4
    DEAD = 5


class StreamEvent(IntEnum):
    """What happened to a stream."""

    ASK = 0
    ACK = 1
    REFUSE = 2
    FRAME = 3
    LATE = 4


S, E = StreamState, StreamEvent
TABLE: dict[tuple[StreamState, StreamEvent], StreamState] = {
    (S.WANTED, E.ASK): S.ASKED,
    (S.ASKED, E.ASK): S.ASKED,
    (S.ASKED, E.ACK): S.ACKED,
    (S.ASKED, E.REFUSE): S.DEAD,
    (S.ASKED, E.FRAME): S.LIVE,  # data may overtake the acknowledgement
    (S.ASKED, E.LATE): S.DEAD,
    (S.ACKED, E.ASK): S.ASKED,
    (S.ACKED, E.ACK): S.ACKED,
    (S.ACKED, E.FRAME): S.LIVE,
    (S.ACKED, E.LATE): S.DEAD,  # acknowledged and silent: the wrong route looks like this
    (S.LIVE, E.ACK): S.LIVE,
    (S.LIVE, E.REFUSE): S.LIVE,  # a repeated SUBSCRIBE refused: frames are the better evidence
    (S.LIVE, E.FRAME): S.LIVE,
    (S.LIVE, E.LATE): S.STALE,
    (S.STALE, E.FRAME): S.LIVE,
    (S.STALE, E.LATE): S.DEAD,
    (S.STALE, E.ACK): S.STALE,
    (S.DEAD, E.ASK): S.ASKED,
    (S.DEAD, E.ACK): S.DEAD,
    (S.DEAD, E.REFUSE): S.DEAD,
    (S.DEAD, E.FRAME): S.LIVE,
    (S.DEAD, E.LATE): S.DEAD,
}
ALIVE = frozenset({S.LIVE, S.STALE})


def step(state: StreamState, event: StreamEvent) -> StreamState:
    """
    Next state of a stream.

    Raises:
        IllegalTransition: the table has no such row (Ours).
    """
    try:
        return TABLE[state, event]
    except KeyError:
        raise IllegalTransition(f"stream {state.name} cannot take {event.name}") from None


class Do(IntEnum):
    """Duties `Trust` hands to the owner of the socket."""

    RESUBSCRIBE = 1  # ask again for these streams on this socket
    ROTATE = 2  # bring up a second socket, then drop this one: some streams went stale
    RECONNECT = 3  # the whole socket is silent: drop it now
    ALARM = 4  # these streams were acknowledged or asked and never spoke


class Action(msgspec.Struct, frozen=True):
    """One duty, with the streams that caused it."""

    do: Do
    streams: tuple[str, ...] = ()


class Trust:
    """
    State of every stream on one connection.

    Args:
        streams: names wanted on this connection.
        first_frame_ns: time a strict stream has from its SUBSCRIBE to its first frame.
        stale_ns: silence after which a live strict stream, or the whole socket, is no longer believed.
    """

    def __init__(self, streams: Sequence[str], first_frame_ns: int, stale_ns: int) -> None:
        self.state: dict[str, StreamState] = dict.fromkeys(streams, S.WANTED)
        self._first_frame_ns, self._stale_ns = first_frame_ns, stale_ns
        self._asked_ns: dict[str, int] = {}
        self._tries: dict[str, int] = {}
        self._seen_ns: dict[str, int] = {}
        self._requests: dict[int, tuple[str, ...]] = {}
        self._socket_ns = 0

    def asked(self, streams: Sequence[str], request_id: int, now_ns: int) -> None:
        """A SUBSCRIBE for `streams` was written."""
        self._requests[request_id] = tuple(streams)
        self._socket_ns = self._socket_ns or now_ns
        for stream in streams:
            if self.state[stream] not in ALIVE:
                self._step(stream, E.ASK)
            self._asked_ns[stream] = now_ns
            self._tries[stream] = self._tries.get(stream, 0) + 1

    def answered(self, request_id: int, ok: bool) -> tuple[str, ...]:
        """The venue answered a SUBSCRIBE; returns its streams (none when the id is foreign or answered)."""
        streams = self._requests.pop(request_id, ())
        for stream in streams:
            self._step(stream, E.ACK if ok else E.REFUSE)
        return streams

    def frame(self, stream: str, now_ns: int) -> bool:
        """A frame of `stream` came; True when it is the one that made the stream live."""
        before = self.state.get(stream)
        if before is None or before is S.WANTED:
            return False
        self._step(stream, E.FRAME)
        self._seen_ns[stream] = self._socket_ns = max(now_ns, self._socket_ns)
        return before is not S.LIVE

    def heard(self, now_ns: int) -> None:
        """Any data frame came on this socket."""
        self._socket_ns = max(now_ns, self._socket_ns)

    def waiting(self) -> list[str]:
        """Streams without a first frame on this connection."""
        return [s for s, state in self.state.items() if state not in ALIVE]

    def covers(self, streams: Iterable[str]) -> bool:
        """Whether this connection has shown a frame of each strict stream in `streams`."""
        return all(self.state.get(s) in ALIVE for s in streams if is_strict(s))

    def settled(self) -> bool:
        """Whether every stream has been acknowledged or has spoken (a refused one never will)."""
        return all(state not in (S.WANTED, S.ASKED) for state in self.state.values())

    def alive(self) -> set[str]:
        """Streams that are LIVE now."""
        return {s for s, state in self.state.items() if state is S.LIVE}

    def counts(self) -> dict[StreamState, int]:
        """How many streams are in each state."""
        counts = dict.fromkeys(S, 0)
        for state in self.state.values():
            counts[state] += 1
        return counts

    def due(self, now_ns: int) -> list[Action]:
        """Judge all deadlines; call it about once a second."""
        if not self._asked_ns:
            return []
        if now_ns - self._socket_ns > self._stale_ns:
            return [Action(Do.RECONNECT, tuple(self.state))]
        stale: list[str] = []
        again: list[str] = []
        dead: list[str] = []
        for stream, state in self.state.items():
            if not is_strict(stream) or stream not in self._asked_ns:
                continue
            if state is S.LIVE and now_ns - self._seen_ns[stream] > self._stale_ns:
                self._step(stream, E.LATE)
                stale.append(stream)
            elif state in (S.ASKED, S.ACKED) and now_ns - self._asked_ns[stream] > self._first_frame_ns:
                self._step(stream, E.LATE)
                (again if self._tries[stream] < 2 else dead).append(stream)
        return [
            Action(do, tuple(names))
            for do, names in ((Do.ALARM, again + dead), (Do.RESUBSCRIBE, again), (Do.ROTATE, stale))
            if names
        ]

    def _step(self, stream: str, event: StreamEvent) -> None:
        self.state[stream] = step(self.state[stream], event)
