"""Order entry of the brain against scripted clients: recorded first, unknown until proven, settled by evidence."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

pytest.importorskip("aegis.native._aegis")

from aegis.errors import Unreachable, VenueError
from aegis.live.brain_orders import Entry
from aegis.live.clock import Clock
from aegis.live.log import Log
from aegis.messages import Cancel, OrderRecord, OrderStep, Place, Refusal, Side
from aegis.native import orders as wire
from aegis.native.desk import Placed, Sent
from aegis.orders.states import State
from aegis.units import Num
from aegis.venue.errors import classify

PLACE = Place(symbol="X", side=Side.BUY, qty=Num(3), price=Num(10))
SECOND = 1_000_000_000


class Ring:
    """Keeps what was published."""

    def __init__(self) -> None:
        self.records: list[OrderRecord] = []

    def publish(self, slot: bytes) -> int:
        self.records.append(wire.unpack(slot))
        return len(self.records)


class Script:
    """A client whose calls answer from a list; `asked` is what was asked, with the ring's length at that moment."""

    def __init__(self, ring: Ring, *answers: Any, ready: bool = True) -> None:
        self.ring, self.answers, self.asked = ring, list(answers), []  # type: Ring, list[Any], list[tuple[str, int]]
        self.ready, self.clock_offset_ms, self.logged_on, self.kicked = ready, 0, False, 0

    async def call(self, what: str, *_a: Any, **_k: Any) -> Any:
        self.asked.append((what, len(self.ring.records)))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    get = post = delete = call

    async def sync(self, _timeout_s: float) -> None:
        self.asked.append(("sync", len(self.ring.records)))
        self.clock_offset_ms = 77

    def send(self, name: str, _method: str, _params: Any) -> None:
        if not self.ready:
            raise Unreachable("closed")
        self.asked.append((name, len(self.ring.records)))

    def kick(self) -> None:
        self.kicked += 1

    def refusal(self, answer: dict[str, Any], *, write: bool) -> Exception:
        return classify(answer["status"], msgspec.json.encode(answer["error"]), write=write)


class Desk:
    """Stands for the one in C (test_desk.py judges that): records the intent, then says how far its bytes came."""

    def __init__(self, ring: Ring, sent: Sent) -> None:
        self.ring, self.sent, self.linked, self.offset_ms = ring, sent, [], 0  # type: Ring, Sent, list[Any], int
        self.gate = SimpleNamespace(halted=False)
        self.encoder = SimpleNamespace(client_id="ae-1-1")

    def place(self, place: Place, now_ns: int) -> Placed:
        record = OrderRecord(step=OrderStep.INTENT, now_ns=now_ns, client_id="ae-1-0", symbol=place.symbol, state=1)
        self.ring.publish(wire.pack(record))
        return Placed(refusal=Refusal.ACCEPTED, client_id="ae-1-0", sent=self.sent, accepted=1, written_ns=now_ns)

    def link(self, conn: Any, logged_on: bool = False) -> None:
        self.linked.append((conn, logged_on))

    def clock(self, offset_ms: int) -> None:
        self.offset_ms = offset_ms


def row(status: str, filled: str) -> dict[str, Any]:
    """A query's answer about the first order."""
    return {
        "symbol": "X", "clientOrderId": "ae-1-0", "orderId": 7, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
        "status": status, "origQty": "3", "price": "10", "executedQty": filled, "reduceOnly": False, "updateTime": 1,
    }  # fmt: skip


def good(status: str, filled: str) -> dict[str, Any]:
    """The venue's answer on the order connection."""
    return {"id": "ae-1-0", "status": 200, "result": row(status, filled)}


def bad(code: int, status: int = 400) -> dict[str, Any]:
    """Its refusal."""
    return {"id": "ae-1-0", "status": status, "error": {"code": code, "msg": "no"}}


class Played:
    """
    One order, then what happens to it.

    Args:
        rest: answers of REST, in order. ws: answers of calls on the order connection.
        sent: how far the order's bytes came. answers: what comes back on the order connection.
        fell: the connection falls after that. steps: rounds of settlement, six seconds each.
    """

    def __init__(
        self, *rest: Any, ws: tuple[Any, ...] = (), sent: Sent = Sent.ALL, answers: tuple[Any, ...] = (),
        fell: bool = False, steps: int = 0, cancel: bool = False,
    ) -> None:  # fmt: skip
        self.now, self.ring = [SECOND], Ring()
        self.ws, self.rest = Script(self.ring, *ws, ready=sent is not Sent.UNSENT), Script(self.ring, *rest)
        self.desk, self.acknowledged = Desk(self.ring, sent), []  # type: Desk, list[int]
        self.entry = asyncio.run(self._play(answers, fell, steps, cancel))

    async def _play(self, answers: tuple[Any, ...], fell: bool, steps: int, cancel: bool) -> Entry:
        clock = Clock(lambda: self.now[0], lambda: self.now[0])
        entry = Entry(self.rest, self.ws, 5000, clock=clock, log=Log("test"), ring=self.ring)
        entry.desk, entry.acknowledged = self.desk, self.acknowledged.append
        entry.follow(PLACE, self.desk.place(PLACE, self.now[0]))
        self.now[0] += 1000
        for answer in answers:
            entry.on_answer("ae-1-0", answer)
        if cancel:
            entry.cancel(Cancel(symbol="X", client_id="ae-1-0"))
        if fell:
            entry.on_state(None)
        await entry.pending(0 if not answers and not fell and sent_all(self.desk) else 5)
        for _ in range(steps):
            self.now[0] += 6 * SECOND
            entry.settle()
            await entry.pending(5)
        return entry


def sent_all(desk: Desk) -> bool:
    return desk.sent is not Sent.UNSENT


def state(entry: Entry) -> State:
    """State of the one order."""
    order = entry.orders.get("ae-1-0")
    assert order is not None
    return order.state


def test_recorded_before_the_first_byte() -> None:
    """INTENT is in the ring when the first call is made, and it is the first record."""
    played = Played(row("NEW", "0"), sent=Sent.UNSENT)
    assert played.ring.records[0].step is OrderStep.INTENT
    assert played.rest.asked[0][1] >= 1


def test_rest_only_when_nothing_was_written() -> None:
    """A frame of which no byte left goes by REST; one whose answer is lost never does."""
    played = Played(row("NEW", "0"), sent=Sent.UNSENT)
    assert state(played.entry) is State.WORKING
    assert len(played.rest.asked) == 1
    for lost in (Played(fell=True), Played(sent=Sent.PART, fell=True), Played(answers=(bad(-1007, 503),))):
        assert state(lost.entry) is State.UNKNOWN
        assert lost.rest.asked == []
        assert lost.entry.orders.exposure("X").buy == Num(3)


def test_an_answer_that_never_comes_is_a_doubt() -> None:
    """The connection holds, the deadline passes: UNKNOWN, and asked about."""
    played = Played(row("NEW", "0"), steps=2)
    assert state(played.entry) is State.WORKING
    steps = [r.step for r in played.ring.records]
    assert OrderStep.UNKNOWN in steps
    assert played.entry.counts["orders_unknown"] == 1


def test_answered_on_the_order_connection() -> None:
    """ACKED is recorded, the answer is news, and the hop is counted."""
    played = Played(answers=(good("PARTIALLY_FILLED", "1"),))
    assert state(played.entry) is State.PARTIAL
    assert OrderStep.ACKED in [r.step for r in played.ring.records]
    assert played.acknowledged == [1000]
    assert played.entry.accepted == 1
    assert "X" in played.entry.touched


def test_a_late_answer_still_shows_the_order() -> None:
    """After the doubt began, what the venue says of the order is evidence."""
    played = Played(fell=True)
    played.entry.on_answer("ae-1-0", good("FILLED", "3"))
    assert state(played.entry) is State.FILLED
    played = Played(fell=True)
    played.entry.on_answer("ae-1-0", bad(-2019))
    assert state(played.entry) is State.UNKNOWN


def test_a_rest_of_a_frame_is_sent_on() -> None:
    """The connection took a part: whoever writes is told."""
    assert Played(sent=Sent.PART, answers=(good("NEW", "0"),)).ws.kicked == 1


def test_a_refused_timestamp_is_measured_and_tried_once_more() -> None:
    """Not executed for certain, so the same order under the same id, by the clock of the venue."""
    played = Played(ws=(row("NEW", "0"),), answers=(bad(-1021),))
    assert [what for what, _ in played.ws.asked] == ["sync", "order.place"]
    assert played.desk.offset_ms == 77
    assert state(played.entry) is State.WORKING


def test_the_connection_is_handed_to_the_desk_and_taken_back() -> None:
    """Up: with clock and logon. Gone: none."""
    played = Played(answers=(good("NEW", "0"),))
    played.ws.clock_offset_ms, played.ws.logged_on = 5, True
    played.entry.on_state("conn")
    played.entry.on_state(None)
    assert played.desk.linked == [("conn", True), (None, False)]
    assert played.desk.offset_ms == 5


def test_a_cancel_leaves_at_once_and_its_refusal_is_a_doubt() -> None:
    """Written with the turn; whatever the venue then says of it, the order is asked about."""
    played = Played(answers=(good("NEW", "0"),), cancel=True, fell=True)
    assert played.ws.asked[0][0] == "c-ae-1-0"
    assert state(played.entry) is State.UNKNOWN
    played = Played(answers=(good("NEW", "0"),), cancel=True)
    played.entry.on_answer("c-ae-1-0", good("CANCELED", "0"))
    assert state(played.entry) is State.CANCELED


def test_unknown_is_settled_by_a_query() -> None:
    """The venue's own row ends the doubt."""
    played = Played(row("FILLED", "3"), fell=True, steps=1)
    assert state(played.entry) is State.FILLED
    assert "X" in played.entry.settler.unseen  # its fills have not been read: no entries on X until they are


def test_not_found_is_no_proof_until_late_repeated_and_agreed() -> None:
    """Two times -2013 leave it UNKNOWN; the third, with openOrders empty, ends it."""
    gone = [VenueError(-2013, "Order does not exist.") for _ in range(3)]
    assert state(Played(*gone[:2], fell=True, steps=2).entry) is State.UNKNOWN
    played = Played(*gone, [], fell=True, steps=3)
    assert state(played.entry) is State.REJECTED
    assert played.ring.records[-1].step is OrderStep.SETTLED


def test_refusal_is_final() -> None:
    """A venue's no is a no, with its code in the record, whichever way it came."""
    for played in (Played(answers=(bad(-2019),)), Played(VenueError(-2019, "no"), sent=Sent.UNSENT)):
        assert state(played.entry) is State.REJECTED
        assert played.ring.records[-1].reason == -2019


def test_a_refusal_of_the_gate_is_recorded_and_nothing_else() -> None:
    """REFUSED with its reason; no order."""
    played = Played(answers=(good("NEW", "0"),))
    played.entry.follow(PLACE, Placed(refusal=Refusal.PRICE_COLLAR))
    assert played.ring.records[-1].step is OrderStep.REFUSED
    assert played.ring.records[-1].reason == Refusal.PRICE_COLLAR
