"""The pump thread from Python: every byte arrives once and in order, whatever waits, is held, tapped or full."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import certs
import native_rig as rig
import numpy as np
import pytest

from aegis.errors import Unreachable
from aegis.native import abi
from aegis.native.conn import Conn, Tls, Want
from aegis.native.latency import LatencyPage
from aegis.native.loop import HALF_BYTES, Event, Kind, Line, Loop, Mode

LIMIT_S = 20.0
SYMBOL = [("X", 2, 1)]


def ticker(n: int) -> bytes:
    """The n-th frame of a stream, as it stands on the wire."""
    body = f'{{"e":"bookTicker","u":{n},"s":"X","b":"{n}.25","B":"3.1","a":"{n}.50","A":"4.2","T":170000,"E":170001}}'
    return rig.wrap(body.encode())


class Pumped(rig.Bench):
    """A market with its pump thread and one connection, whose other end the test writes to."""

    def __init__(self, root: Path, wait: str = "block") -> None:
        super().__init__(root, SYMBOL)
        self.loop = Loop(self.market)
        assert self.loop.start(wait)
        self.peer, near = socket.socketpair()
        self.line = self.add(near)
        self.events: list[Event] = []

    def add(self, near: socket.socket, tls: Tls | None = None) -> Line:
        conn = Conn(near.detach(), "localhost", tls)
        while (want := conn.handshake()) is not Want.NOTHING:
            assert any(select.select([conn.fd], [conn.fd] if want is Want.WRITE else [], [], LIMIT_S))
        return self.loop.add(conn)

    def until(self, condition: Callable[[], object], what: str, *, take: bool = True) -> None:
        end = time.monotonic() + LIMIT_S
        while not condition():
            assert time.monotonic() < end, f"not in time: {what}"
            if take:
                self.events += self.loop.take()
            time.sleep(0.001)

    def of(self, kind: Kind) -> list[bytes]:
        return [e.body for e in self.events if e.kind is kind]

    def bids(self) -> list[int]:
        return [r.a for r in self.records()]

    def close(self) -> None:
        self.loop.close()
        self.peer.close()
        self.market.close()
        self.ring.close()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Pumped]]:
    made: list[Pumped] = []

    def one(wait: str = "block") -> Pumped:
        made.append(Pumped(tmp_path, wait))
        return made[-1]

    yield one
    for each in made:
        each.close()


def wanted(first: int, last: int) -> list[int]:
    return [n * 100 + 25 for n in range(first, last + 1)]


@pytest.mark.parametrize("wait", ["block", "adaptive", "spin"])
def test_frames_become_records_and_the_rest_events(make: Callable[..., Pumped], wait: str) -> None:
    """Each way of waiting: records in order, text, pings and the end told in order, hops measured."""
    it = make(wait)
    latency = LatencyPage(it.root / "latency", create=True).block("feed")
    latency.begin()
    it.market.measure(latency)
    it.line.mode(Mode.RUNS)
    it.peer.sendall(ticker(1) + rig.wrap(b'{"id":7}') + ticker(2) + b"\x89\x02hi" + ticker(3))
    it.until(lambda: it.of(Kind.CONTROL), "the ping")
    it.line.write(b"pong")
    assert it.peer.recv(9) == b"pong"
    it.peer.close()
    it.until(lambda: it.of(Kind.CLOSED), "the end")
    told = [(e.kind, e.body) for e in it.events]
    assert told[:2] == [(Kind.TEXT, b'{"id":7}'), (Kind.CONTROL, b"\x89\x02hi")] and len(told) == 3
    assert it.bids() == wanted(1, 3)
    assert it.line.bytes_in == len(ticker(1) * 3) + len(rig.wrap(b'{"id":7}')) + 4
    assert set(latency.read()) == {"receive", "parsed", "published"}
    with pytest.raises(Unreachable):
        it.line.write(b"too late")


def test_records_carry_the_time_their_bytes_came_at(make: Callable[..., Pumped]) -> None:
    """Live bytes: the receive stamp. Bytes given back later: the time they came at."""
    it = make()
    assert it.line.replay(ticker(1), 77) == len(ticker(1))
    before_ns = time.time_ns()
    it.line.mode(Mode.RUNS)
    it.peer.sendall(ticker(2))
    it.until(lambda: it.reader.newest == 2, "the record")
    rows = it.reader.read()
    assert int(rows["recv_ns"][0]) == 77 and before_ns <= int(rows["recv_ns"][1]) <= time.time_ns()


def test_held_bytes_wait_for_room_and_come_back_whole(make: Callable[..., Pumped]) -> None:
    """More than the queue holds, nobody taking: the ring stays empty, nothing is lost, all of it can be replayed."""
    it = make()
    it.line.mode(Mode.HOLDS)
    sent = b"".join(ticker(n) for n in range(1, 90_001))
    assert len(sent) > HALF_BYTES
    writer = threading.Thread(target=it.peer.sendall, args=(sent,))
    writer.start()
    it.until(lambda: it.loop.counters()["pump_starved"] > 0, "a full queue", take=False)
    it.until(lambda: sum(map(len, it.of(Kind.HELD))) == len(sent), "all bytes")
    writer.join(LIMIT_S)
    held = [(e.body, e.recv_ns) for e in it.events]
    assert b"".join(data for data, _ in held) == sent and all(ns > 0 for _, ns in held)
    assert it.reader.newest == 0
    it.line.mode(Mode.PAUSED)
    bids: list[int] = []
    for data, recv_ns in held:
        assert it.line.replay(data, recv_ns) == len(data)
        bids += it.bids()
    assert bids == wanted(1, 90_000)


def test_a_tap_without_room_is_dropped_and_says_so(make: Callable[..., Pumped]) -> None:
    """
    The market never waits for whoever looks on: all records are there, and the tap after a hole is marked, no other.

    A full queue may still have room for a shorter tap than the one it dropped; that one is behind a hole as well.
    """
    it = make()
    it.line.mode(Mode.RUNS, tap=True)
    last = 2 * HALF_BYTES // len(ticker(10_000))
    sent = b"".join(ticker(n) for n in range(1, last + 2))
    it.peer.sendall(sent[: -len(ticker(last + 1))])
    it.until(lambda: int(it.market.counts[abi.KIND_BOOK_TICKER, 0]) == last, "all frames", take=False)
    dropped = it.loop.counters()["pump_taps_dropped"]
    it.events += it.loop.take()
    assert dropped > 0
    it.peer.sendall(ticker(last + 1))
    it.until(lambda: it.events[-1].body == ticker(last + 1), "the tap after the last hole")
    at = cuts = 0
    for event in it.events:
        begins = sent.index(event.body, at)
        assert event.cut == (begins > at), "a hole without its mark, or a mark without a hole"
        at, cuts = begins + len(event.body), cuts + event.cut
    assert at == len(sent) and 0 < cuts <= dropped == it.loop.counters()["pump_taps_dropped"]


def test_tls_records_at_hand_are_taken_without_a_poll(make: Callable[..., Pumped], tmp_path: Path) -> None:
    """Many small TLS records in one segment: no poll announces them, all become records; then the end is told."""
    certs.make(tmp_path)
    it = make()
    far, near = socket.socketpair()

    def serve() -> None:
        with certs.server_context(tmp_path).wrap_socket(far, server_side=True) as secure:
            for n in range(1, 3001):
                secure.sendall(ticker(n))
            secure.sendall(rig.wrap(b'{"id":1}'))
            secure.unwrap()

    server = threading.Thread(target=lambda: _quietly(serve))
    server.start()
    line = it.add(near, Tls(str(tmp_path / certs.CA_FILE)))
    line.mode(Mode.RUNS)
    it.until(lambda: it.of(Kind.CLOSED), "the end")
    line.close()
    server.join(LIMIT_S)
    assert it.bids() == wanted(1, 3000) and it.of(Kind.TEXT) == [b'{"id":1}']


def _quietly(serve: Callable[[], None]) -> None:
    with contextlib.suppress(OSError):  # the client hung up first
        serve()


def test_the_owners_calls_find_their_turn_beside_a_blast(make: Callable[..., Pumped]) -> None:
    """Snapshot, reset and publish beside a full stream: each returns, and the frames lose nothing by it."""
    it = make("spin")
    it.line.mode(Mode.RUNS)
    last = 60_000
    writer = threading.Thread(target=it.peer.sendall, args=(b"".join(ticker(n) for n in range(1, last + 1)),))
    writer.start()
    calls, bids, own = 0, list[int](), np.zeros(1, abi.TICK)
    while len(bids) < last:
        it.market.book_snapshot("X", calls + 1, np.array([[1, 1]]), np.array([[2, 1]]))
        it.market.reset(["X"], [abi.KIND_DEPTH])
        own["kind"] = abi.KIND_TRADE
        assert it.market.publish(own) == 1
        calls += 1
        bids += [int(row["a"]) for row in it.reader.read(65536) if row["kind"] == abi.KIND_BOOK_TICKER]
    writer.join(LIMIT_S)
    assert bids == wanted(1, last) and it.reader.lost == 0 and calls > 0
