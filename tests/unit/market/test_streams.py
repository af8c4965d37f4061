"""Laws of stream routing, subscription and trust."""

from __future__ import annotations

import itertools
import json

import pytest

from aegis.errors import IllegalTransition
from aegis.market import streams
from aegis.market.streams import NS, Do, Pacer, Route, Sniffer, StreamEvent, StreamState, Trust


@pytest.mark.parametrize(
    ("stream", "route"),
    [
        ("btcusdt@bookTicker", Route.PUBLIC),
        ("btcusdt@depth@100ms", Route.PUBLIC),
        ("btcusdt@depth20@100ms", Route.PUBLIC),
        ("btcusdt@trade", Route.PUBLIC),
        ("!bookTicker", Route.PUBLIC),
        ("btcusdt@aggTrade", Route.MARKET),
        ("btcusdt@markPrice@1s", Route.MARKET),
        ("btcusdt@kline_1m", Route.MARKET),
        ("!forceOrder@arr", Route.MARKET),
        ("btcusdt@ticker", Route.MARKET),
    ],
)
def test_each_stream_has_the_route_of_the_protocol(stream: str, route: Route) -> None:
    """PROTOCOL 1.3: on the wrong route a stream is acknowledged and silent."""
    assert streams.route_of(stream) is route


def test_only_ascii_letters_are_folded() -> None:
    """T17: the venue folds A-Z only; an accented capital keeps its form."""
    assert streams.stream_name("牛来USDT", "trade") == "牛来usdt@trade"
    assert streams.stream_name("ÉUSDT", "trade") == "Éusdt@trade"


def test_plan_holds_every_stream_once_within_the_limit() -> None:
    """No socket above its limit, no mixed routes, nothing lost or doubled."""
    names = streams.stream_names(
        [f"S{i}USDT" for i in range(700)], ["bookTicker", "depth@100ms", "aggTrade", "!forceOrder@arr"]
    )
    plans = streams.socket_plans(names)
    assert max(len(p.streams) for p in plans) <= 1024
    assert all(streams.route_of(s) is p.route for p in plans for s in p.streams)
    assert sorted(s for p in plans for s in p.streams) == sorted(names)
    assert len(names) == 2101


def test_subscribe_is_chunked_and_paced() -> None:
    """At most 200 names a message and 5 messages in any second."""
    names = [f"s{i}@trade" for i in range(1024)]
    chunks = list(streams.subscribe_chunks(names))
    assert [len(c) for c in chunks] == [200] * 5 + [24]
    assert json.loads(streams.subscribe_message(chunks[5], 7)) == {
        "method": "SUBSCRIBE",
        "params": names[1000:],
        "id": 7,
    }
    pacer, sent = Pacer(), []
    for _ in range(20):
        sent.append(10 * NS + pacer.take(10 * NS))
    assert all(b - a >= NS // 5 for a, b in itertools.pairwise(sent))
    assert sent[5] - sent[0] > NS


def test_sniffer_finds_names_in_any_cut() -> None:
    """Whole or split at every byte, each name is found; escaped names are decoded."""
    wire = b'\x81\x7e{"stream":"btcusdt@trade","data":{}}xx{"stream":"\\u725b\\u6765usdt@bookTicker","data":{}}'
    want = {"btcusdt@trade", "牛来usdt@bookTicker"}
    wire += b'..{"result":null,"id":41}{"id":42, "result":null}'
    assert Sniffer().feed(wire) == (want, {41, 42})
    for at in range(len(wire)):
        sniffer = Sniffer()
        first, then = sniffer.feed(wire[:at]), sniffer.feed(wire[at:])
        assert (first[0] | then[0], first[1] | then[1]) == (want, {41, 42})


STRICT, QUIET = "a@bookTicker", "a@trade"


def ready(*names: str) -> Trust:
    trust = Trust(names, 10 * NS, 60 * NS)
    trust.asked(names, 1, NS)
    assert trust.answered(1, ok=True) == names
    return trust


def test_an_ack_proves_nothing() -> None:
    """Acknowledged and silent past the deadline: alarm and one more try, then dead with an alarm only."""
    trust = ready(STRICT, "b@bookTicker")
    trust.frame("b@bookTicker", 2 * NS)
    assert trust.due(11 * NS) == []
    assert [a.do for a in trust.due(12 * NS)] == [Do.ALARM, Do.RESUBSCRIBE]
    trust.asked([STRICT], 2, 12 * NS)
    trust.answered(2, ok=True)
    actions = trust.due(23 * NS)
    assert [(a.do, a.streams) for a in actions] == [(Do.ALARM, (STRICT,))]
    assert trust.state[STRICT] is StreamState.DEAD
    assert trust.frame(STRICT, 24 * NS) and trust.state[STRICT] is StreamState.LIVE


def test_a_quiet_kind_is_not_judged_alone_but_with_its_socket() -> None:
    """Trades may rest for hours; a socket without any frame may not."""
    trust = ready(STRICT, QUIET)
    trust.frame(STRICT, 50 * NS)
    assert trust.due(59 * NS) == []
    assert trust.state[QUIET] is StreamState.ACKED
    assert [a.do for a in trust.due(111 * NS)] == [Do.RECONNECT]
    assert [a.do for a in ready(QUIET).due(62 * NS)] == [Do.RECONNECT]


def test_one_stale_stream_rotates_the_socket() -> None:
    """A strict stream that went silent among living ones asks for an overlapping socket, once."""
    trust = ready(STRICT, "b@depth@100ms")
    trust.frame(STRICT, 2 * NS)
    for second in range(2, 64):
        trust.frame("b@depth@100ms", second * NS)
    assert [(a.do, a.streams) for a in trust.due(63 * NS)] == [(Do.ROTATE, (STRICT,))]
    assert trust.due(63 * NS) == []
    assert trust.covers(["b@depth@100ms", QUIET]) and trust.alive() == {"b@depth@100ms"}


def test_refused_and_foreign_answers() -> None:
    """A refusal kills the asked streams; an unknown id changes nothing."""
    trust = Trust([STRICT], 10 * NS, 60 * NS)
    assert trust.answered(9, ok=True) == ()
    assert not trust.frame(STRICT, NS)
    trust.asked([STRICT], 1, NS)
    trust.answered(1, ok=False)
    assert trust.counts()[StreamState.DEAD] == 1
    assert trust.waiting() == [STRICT]


def test_the_table_is_closed() -> None:
    """Every reachable state stays inside the table; absent pairs raise."""
    assert all(isinstance(s, StreamState) for s in streams.TABLE.values())
    assert {s for s, _ in streams.TABLE} == set(StreamState)
    with pytest.raises(IllegalTransition):
        streams.step(StreamState.WANTED, StreamEvent.ACK)
