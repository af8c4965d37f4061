"""Orders between two ways: sent once more, told by an answer before the stream, left by an earlier brain."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("aegis.native._aegis")

from test_brain import PLACE, SECOND, Desk, Played, Ring, Script, bad, good, row, state

from aegis.errors import OrderUnknown, VenueError
from aegis.live.brain_orders import Entry
from aegis.live.clock import Clock
from aegis.live.log import Log
from aegis.messages import Cancel, Place, Side
from aegis.native.desk import Sent
from aegis.orders.states import State
from aegis.units import ZERO, Num

ABSENT = VenueError(-2013, "no such order")


def entry_of(ring: Ring, rest: Script, ws: Script, now: list[int], sent: Sent = Sent.ALL) -> Entry:
    """An Entry whose clock is `now`."""
    clock = Clock(lambda: now[0], lambda: now[0])
    entry = Entry(rest, ws, 5000, clock=clock, log=Log("test"), ring=ring)
    entry.desk = Desk(ring, sent)
    return entry


class Slow(Script):
    """Its calls on the order connection or by POST take until `go`; queries answer at once."""

    def __init__(self, ring: Ring, *answers: Any, ready: bool = True) -> None:
        super().__init__(ring, *answers, ready=ready)
        self.go = asyncio.Event()

    async def _slowly(self, *_a: Any, **_k: Any) -> Any:
        await self.go.wait()
        self.asked.append(("sent", len(self.ring.records)))
        return row("NEW", "0")

    call = post = _slowly  # type: ignore[assignment]


def test_no_entry_leaves_once_more_after_a_halt() -> None:
    """Refused by its timestamp, then halted: the order is over, and an exit still goes."""

    async def play(place: Place) -> tuple[Entry, Script]:
        ring, now = Ring(), [SECOND]
        ws = Script(ring, row("NEW", "0"))
        entry = entry_of(ring, Script(ring), ws, now)
        entry.follow(place, entry.desk.place(place, now[0]))
        entry.desk.gate.halted = True
        entry.on_answer("ae-1-0", bad(-1021))
        await entry.pending(5)
        return entry, ws

    entry, ws = asyncio.run(play(PLACE))
    assert [what for what, _ in ws.asked] == ["sync"] and state(entry) is State.REJECTED
    leaving = Place(symbol="X", side=Side.SELL, qty=Num(3), price=Num(10), reduce_only=True)
    entry, ws = asyncio.run(play(leaving))
    assert [what for what, _ in ws.asked] == ["sync", "order.place"] and state(entry) is State.WORKING


@pytest.mark.parametrize("sent", [Sent.ALL, Sent.UNSENT])
def test_an_order_still_being_sent_is_never_proven_absent(sent: Sent) -> None:
    """Law 5: the venue does not know it yet, and will: it counts in full until its sending has ended."""

    async def play() -> None:
        ring, now = Ring(), [SECOND]
        slow = Slow(ring)
        rest = Script(ring, *[ABSENT, ABSENT, ABSENT, ABSENT, []] * 4)
        rest.post = slow.post  # type: ignore[method-assign]
        entry = entry_of(ring, rest, slow, now, sent)
        entry.follow(PLACE, entry.desk.place(PLACE, now[0]))
        if sent is Sent.ALL:
            entry.on_answer("ae-1-0", bad(-1021))
        for _ in range(8):
            now[0] += 3 * SECOND
            entry.settle()
            for _ in range(20):
                await asyncio.sleep(0)
        assert entry.orders.exposure("X").buy == Num(3) and state(entry) is State.SENT
        slow.go.set()
        await entry.pending(5)
        assert state(entry) is State.WORKING and not entry.halted

    asyncio.run(play())


@pytest.mark.parametrize("status", ["CANCELED", "PARTIALLY_FILLED"])
def test_a_fill_told_by_an_answer_alone_blocks_entries_until_it_is_read(status: str) -> None:
    """Between the answer and its trades the fill is neither open nor position."""
    played = Played(answers=(good("NEW", "0"),), cancel=True)
    played.entry.touched.clear()
    played.entry.on_answer("c-ae-1-0", good(status, "2"))
    assert "X" in played.entry.settler.unseen and "X" in played.entry.touched
    played.entry.settle()
    assert "X" in played.entry.settler.unseen
    order = played.entry.orders.get("ae-1-0")
    assert order is not None
    order.trades[1] = Num(2)
    played.entry.settle()
    assert "X" not in played.entry.settler.unseen


def test_the_same_fills_told_again_block_nothing() -> None:
    """An audit of an order whose fills an earlier brain read shows nothing new."""
    played = Played(row("PARTIALLY_FILLED", "2"), answers=(good("PARTIALLY_FILLED", "2"),), steps=0)
    played.entry.settler.unseen.clear()
    played.entry.take(row("PARTIALLY_FILLED", "2"))
    assert not played.entry.settler.unseen


def test_what_an_earlier_brain_left_is_booked_and_ours_is_left_alone() -> None:
    """Open on the venue and on no ring: it may fill until its cancel is answered. Orders of this start stay."""

    async def play() -> Entry:
        ring, now = Ring(), [SECOND]
        old, foreign = row("NEW", "0") | {"clientOrderId": "ae-0-5"}, row("NEW", "0") | {"clientOrderId": "web_1"}
        rest = Script(ring, [row("NEW", "0"), old, foreign], OrderUnknown("no answer"))
        ws = Script(ring, ready=False)
        entry = entry_of(ring, rest, ws, now)
        assert not entry.tidy
        entry.follow(PLACE, entry.desk.place(PLACE, now[0]))
        entry.on_answer("ae-1-0", good("NEW", "0"))
        entry.touched.clear()
        await entry.settler.leftovers()
        assert entry.tidy and "X" in entry.touched
        assert entry.orders.exposure("X").buy == Num(6)
        await entry.pending(5)
        assert [what for what, _ in rest.asked] == ["/fapi/v1/openOrders", "/fapi/v1/order"]
        return entry

    entry = asyncio.run(play())
    assert state(entry) is State.WORKING
    left = entry.orders.get("ae-0-5")
    assert left is not None and left.state is State.UNKNOWN and left.open_qty == Num(3) and left.price != ZERO


def test_two_orders_told_by_answers_are_two_doubts() -> None:
    """The second's trades prove nothing of the first's; a pass that ended well after both does."""
    played = Played(answers=(good("NEW", "0"),))
    settler = played.entry.settler
    first = played.entry.orders.get("ae-1-0")
    second = played.entry.orders.add("ae-1-1", PLACE, SECOND)
    assert first is not None
    first.cumulative = second.cumulative = Num(2)
    settler.told(first)
    settler.told(second)
    second.trades[1] = Num(2)
    played.entry.settle()
    now = played.now[0]
    assert settler.untold("X", now + SECOND) and not settler.untold("X", now + 11 * SECOND)
    first.trades[1] = Num(2)
    played.entry.settle()
    assert not settler.untold("X", 0) and not settler.unseen


def test_a_cancel_refused_by_its_timestamp_is_asked_for_again() -> None:
    """Who only cancels would never measure the clock otherwise; the desk learns of it too."""

    async def play() -> None:
        ring, now = Ring(), [SECOND]
        ws = Script(ring, row("CANCELED", "0"))
        entry = entry_of(ring, Script(ring), ws, now)
        entry.follow(PLACE, entry.desk.place(PLACE, now[0]))
        entry.on_answer("ae-1-0", good("NEW", "0"))
        entry.cancel(Cancel(symbol="X", client_id="ae-1-0"))
        ws.clock_offset_ms = 99  # what `call` measures when it is refused
        entry.on_answer("c-ae-1-0", bad(-1021))
        await entry.pending(5)
        assert [what for what, _ in ws.asked] == ["c-ae-1-0", "order.cancel"]
        assert state(entry) is State.CANCELED and entry.desk.offset_ms == 99

    asyncio.run(play())
