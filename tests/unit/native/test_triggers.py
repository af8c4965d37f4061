"""Armed triggers: once, through the same gate and journal as any order; ended by a halt, a lost book, their hour."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aegis.native._aegis import lib
from desk_rig import NOW, WIDE, Rig, buy, ticker
from hypothesis import given, settings
from hypothesis import strategies as st

from aegis.messages import Halt, OrderStep, OrderType, Place, Refusal, Side
from aegis.native import abi
from aegis.native.desk import End, Sent
from aegis.native.ring import RingReader, RingWriter
from aegis.native.turn import ENDED, MARKET, Turn
from aegis.native.wait import Wait
from aegis.units import Num

HOUR = 3600 * 10**9
PRICE = Num(670000, 1)
MAX = lib.AE_TRIGGERS_MAX
GOOD = buy()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    made.d.link(made.conn)
    yield made
    made.close()


def arm(rig: Rig, place: Place | None = None, **more: Any) -> int:
    """Arm a purchase for when the best ask is at or below PRICE."""
    fields: dict[str, Any] = {"market": 0, "watch": Side.SELL, "price": PRICE, "above": False}
    fields |= {"until_ns": NOW + HOUR, "now_ns": NOW} | more
    handle, why = rig.d.arm(place or buy("67000"), **fields)
    assert why is Refusal.ACCEPTED and handle >= 0
    return handle


def state(live: bool, market: int = 0) -> np.ndarray[Any, Any]:
    """A BOOK_STATE record."""
    return ticker(market, kind=abi.KIND_BOOK_STATE, a=int(live), b=1, c=5)


def test_fires_once(rig: Rig) -> None:
    """Not above the price, at it; one record, one frame; handed back once, as what was asked for."""
    place = buy("67000", tag="armed")
    handle = arm(rig, place)
    assert not rig.d.look(ticker(ask=670001), NOW + 1) and rig.frames() == []
    assert rig.d.look(np.concatenate([ticker(ask=670000, at=NOW - 5), ticker(ask=669990)]), NOW + 2)
    assert rig.d.armed == 0
    (ended,) = rig.d.ended()
    assert (ended.handle, ended.why, ended.place, ended.now_ns) == (handle, End.FIRED, place, NOW + 2)
    assert ended.placed is not None and ended.placed.sent is Sent.ALL and ended.placed.recv_ns == NOW - 5
    (record,) = rig.records()
    assert record.step is OrderStep.INTENT and record.client_id == ended.placed.client_id and record.tag == "armed"
    (text,) = rig.frames()
    assert f'"id":"{record.client_id}"' in text and '"price":"67000"' in text
    assert not rig.d.look(ticker(ask=660000), NOW + 3) and rig.d.ended() == [] and rig.frames() == []
    assert not rig.d.disarm(handle)


def test_other_sides_and_symbols(rig: Rig) -> None:
    """Bid or ask, above or below, of this symbol alone, whatever the exponent of the record."""
    sell = Place(symbol="BTCUSDT", side=Side.SELL, qty=Num(10, 3), price=Num(670000, 1))
    high = arm(rig, sell, watch=Side.BUY, price=Num(670005, 1), above=True)
    assert not rig.d.look(np.concatenate([ticker(1, bid=680000), ticker(bid=670004, ask=680000)]), NOW)
    assert not rig.d.look(ticker(bid=0, ask=0), NOW)
    assert rig.d.look(ticker(bid=67000500, ask=67000600, px_exp=3), NOW)
    assert [e.handle for e in rig.d.ended()] == [high]
    arm(rig, price=Num(67000, 0))
    assert not rig.d.look(ticker(bid=6699, ask=6701, px_exp=0, kind=abi.KIND_TRADE), NOW)
    assert not rig.d.look(ticker(bid=66999, ask=67001, px_exp=0), NOW)
    assert rig.d.look(ticker(bid=66999, ask=67000, px_exp=0), NOW)


def test_the_gate_stands_before_it(tmp_path: Path) -> None:
    """What fires is judged like any order: refused, it leaves nothing and is over."""
    rig = Rig(tmp_path, WIDE.__class__(orders_per_s=1, order_notional_max="1000"))
    rig.d.link(rig.conn)
    arm(rig, buy("67000", "0.001"))
    arm(rig, buy("67000", "0.001"))
    arm(rig, buy("67000", "0.1"), until_ns=NOW + HOUR)
    rig.d.look(ticker(ask=670000), NOW)
    reasons = [e.placed.refusal for e in rig.d.ended() if e.placed]
    assert reasons == [Refusal.ACCEPTED, Refusal.ORDER_RATE, Refusal.ORDER_RATE]
    arm(rig, buy("67000", "0.1"))
    rig.d.look(ticker(ask=670000), NOW + 2 * 10**9)
    (ended,) = rig.d.ended()
    assert ended.placed is not None and ended.placed.refusal is Refusal.ORDER_NOTIONAL
    assert len(rig.frames()) == len(rig.records()) == 1
    rig.close()


def test_a_halt_ends_all(rig: Rig) -> None:
    """At the next look, condition or not; resumed, nothing of it is left; while halted nothing can be armed."""
    handles = [arm(rig), arm(rig)]
    rig.control.block("operator").halt(Halt.OPERATOR)
    assert rig.d.look(ticker(ask=670000), NOW)
    assert [(e.handle, e.why, e.placed) for e in rig.d.ended()] == [(h, End.HALTED, None) for h in handles]
    assert rig.d.arm(buy(), 0, Side.SELL, PRICE, above=False, until_ns=NOW + 1, now_ns=NOW) == (-1, Refusal.HALTED)
    rig.control.block("operator").clear_halt()
    assert not rig.d.look(ticker(ask=670000), NOW) and rig.frames() == [] and rig.records() == []


def test_an_untrusted_book_ends_its_own(rig: Rig) -> None:
    """A BOOK_STATE that is not live ends that symbol's; a live one ends nothing; nothing is armed on such a book."""
    other = arm(rig, buy(symbol="ETHUSDT"), market=1)
    mine = arm(rig)
    assert not rig.d.look(state(live=True), NOW)
    assert rig.d.look(np.concatenate([state(live=False), ticker(ask=670000)]), NOW)
    assert [(e.handle, e.why) for e in rig.d.ended()] == [(mine, End.UNTRUSTED)]
    rig.page.entries[0].trusted = 0
    said = rig.d.arm(buy(), 0, Side.SELL, PRICE, above=False, until_ns=NOW + 1, now_ns=NOW)
    assert said == (-1, Refusal.BOOK_UNTRUSTED)
    rig.page.entries[1].trusted = 0
    assert rig.d.look(ticker(1, ask=670000), NOW)
    (ended,) = rig.d.ended()
    assert ended.handle == other and ended.placed is not None and ended.placed.refusal is Refusal.BOOK_UNTRUSTED
    assert rig.frames() == []


def test_their_hour(rig: Rig) -> None:
    """Until `until_ns`, not at it; each by its own clock, with or without a tick."""
    short, long = arm(rig, until_ns=NOW + 10), arm(rig, until_ns=NOW + 20)
    assert not rig.d.look(np.empty(0, abi.TICK), NOW + 9)
    assert rig.d.look(ticker(ask=670000), NOW + 10)
    assert [(e.handle, e.why) for e in rig.d.ended()] == [(short, End.EXPIRED), (long, End.FIRED)]
    last = arm(rig, until_ns=NOW + 30)
    assert rig.d.look(np.empty(0, abi.TICK), NOW + 30)
    assert [(e.handle, e.why) for e in rig.d.ended()] == [(last, End.EXPIRED)]
    said = rig.d.arm(buy(), 0, Side.SELL, PRICE, above=False, until_ns=NOW, now_ns=NOW)
    assert said == (-1, Refusal.BAD_INTENT)


def test_disarmed(rig: Rig) -> None:
    """By its handle, silently and once; all of them, handed back with the reason; places are used again."""
    first, second, third = arm(rig), arm(rig), arm(rig)
    assert rig.d.disarm(second) and not rig.d.disarm(second) and not rig.d.disarm(-1) and not rig.d.disarm(12345)
    again = arm(rig)
    assert again != second and rig.d.armed == 3
    rig.d.disarm_all()
    assert {(e.handle, e.why) for e in rig.d.ended()} == {(h, End.ASKED) for h in (first, third, again)}
    for _ in range(3):
        handles = [arm(rig, until_ns=NOW + 1 + i) for i in range(MAX)]
        assert len(set(handles)) == MAX
        said = rig.d.arm(buy(), 0, Side.SELL, PRICE, above=False, until_ns=NOW + 1, now_ns=NOW)
        assert said == (-1, Refusal.UNKNOWN_ORDERS)
        rig.d.look(np.empty(0, abi.TICK), NOW + 1 + MAX)
        assert len(rig.d.ended()) == MAX
    assert rig.frames() == []


def test_what_cannot_be_armed(rig: Rig) -> None:
    """Conditions and orders that are none."""

    def said(place: Place = GOOD, market: int = 0, price: Num = PRICE, watch: Side = Side.SELL) -> Refusal:
        handle, why = rig.d.arm(place, market, watch, price, above=False, until_ns=NOW + 1, now_ns=NOW)
        assert handle == -1
        return why

    assert said(market=1024) is Refusal.BAD_INTENT
    assert said(watch=Side.OTHER) is Refusal.BAD_INTENT
    assert said(price=Num(0)) is said(price=Num(12345, 2)) is said(price=Num(2**70)) is Refusal.BAD_TICK
    assert said(buy(symbol="NONE")) is Refusal.UNKNOWN_SYMBOL
    assert said(buy("0.15")) is Refusal.BAD_TICK


def test_on_the_brains_turn(rig: Rig, tmp_path: Path) -> None:
    """A turn fires before the strategy sees the batch; when records were lost, what is armed ends unfired."""
    market = RingWriter(tmp_path / "market", 64, 64, "market")
    turn = Turn(Wait("block"), 60_000, 1_000_000)
    turn.desk(rig.d)
    turn.market(RingReader(tmp_path / "market"))
    now = time.time_ns()
    arm(rig, until_ns=now + HOUR)
    rig.page.entries[0].recv_ns = now
    market.publish(ticker(ask=670000, at=now))
    assert turn.step(0) & (ENDED | MARKET) == ENDED | MARKET
    assert [e.why for e in rig.d.ended()] == [End.FIRED] and len(rig.frames()) == 1
    last = arm(rig, until_ns=now + HOUR, now_ns=now)
    for _ in range(100):
        market.publish(ticker(ask=670001, at=now))
    market.publish(ticker(ask=670000, at=now))
    assert turn.step(0) & ENDED
    assert [(e.handle, e.why) for e in rig.d.ended()] == [(last, End.UNTRUSTED)] and rig.frames() == []
    market.close()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_each_trigger_has_one_end(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever happens in whatever order, every handle is over exactly once, and only what fired left a frame."""
    rig = Rig(tmp_path_factory.mktemp("desk"))
    rig.d.link(rig.conn)
    armed: set[int] = set()
    over: list[int] = []
    fired, now = 0, NOW
    for what in data.draw(st.lists(st.sampled_from("aaatdsxe"), max_size=40)):
        now += 1000
        if what == "a":
            ask = data.draw(st.integers(669998, 670002))
            armed.add(arm(rig, price=Num(ask, 1), until_ns=now + data.draw(st.integers(1, 9000)), now_ns=now))
        elif what == "t":
            rig.d.look(ticker(ask=data.draw(st.integers(669998, 670002)), bid=669990, at=now), now)
        elif what == "d" and armed:
            handle = data.draw(st.sampled_from(sorted(armed)))
            if rig.d.disarm(handle):
                over.append(handle)
        elif what == "s":
            rig.d.look(state(live=data.draw(st.booleans())), now)
        elif what == "x":
            rig.d.disarm_all()
        elif what == "e":
            ended = rig.d.ended()
            over += [e.handle for e in ended]
            fired += sum(e.placed is not None and e.placed.refusal is Refusal.ACCEPTED for e in ended)
        assert rig.d.armed <= len(armed) - len(set(over))
    rig.d.disarm_all()
    ended = rig.d.ended()
    over += [e.handle for e in ended]
    fired += sum(e.placed is not None and e.placed.refusal is Refusal.ACCEPTED for e in ended)
    assert sorted(over) == sorted(armed) and len(over) == len(set(over))
    assert len(rig.frames()) == len(rig.records()) == fired
    rig.close()


def test_a_quote_from_before_a_stall_fires_nothing(rig: Rig) -> None:
    """What a process reads late is the past: its price is gone, though a newer quote may be traded on."""
    late = NOW + 6 * 10**9
    handle = arm(rig, Place(symbol="BTCUSDT", side=Side.BUY, qty=Num(10, 3), type=OrderType.MARKET))
    assert not rig.d.look(np.concatenate([ticker(ask=660000, at=NOW), ticker(at=late - 1)]), late)
    assert rig.frames() == [] and rig.d.armed == 1
    assert rig.d.look(ticker(ask=670000, at=late - 5 * 10**9), late)
    assert [(e.handle, e.why) for e in rig.d.ended()] == [(handle, End.FIRED)]
