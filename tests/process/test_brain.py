"""Order entry of the brain against scripted clients: recorded first, unknown until proven, settled by evidence."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("aegis.native._aegis")

from aegis.errors import OrderUnknown, Unreachable, VenueError
from aegis.live.brain_orders import Entry
from aegis.live.clock import Clock
from aegis.live.log import Log
from aegis.messages import OrderRecord, OrderStep, Place, Side
from aegis.native import orders as wire
from aegis.orders.ids import ClientIds
from aegis.orders.states import State
from aegis.units import Num

PLACE = Place(symbol="X", side=Side.BUY, qty=Num(3), price=Num(10))
SECOND = 1_000_000_000


class Ring:
    """Keeps what was published."""

    def __init__(self) -> None:
        self.records: list[OrderRecord] = []

    def publish(self, slot: bytes) -> None:
        self.records.append(wire.unpack(slot))


class Script:
    """A client whose calls answer from a list; `asked` is what was asked, with the ring's length at that moment."""

    ready = True

    def __init__(self, ring: Ring, *answers: Any) -> None:
        self.ring, self.answers, self.asked = ring, list(answers), []  # type: Ring, list[Any], list[tuple[str, int]]

    async def call(self, what: str, *_a: Any, **_k: Any) -> Any:
        self.asked.append((what, len(self.ring.records)))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    get = post = delete = call


def row(status: str, filled: str) -> dict[str, Any]:
    """A query's answer about the first order."""
    return {
        "symbol": "X", "clientOrderId": "ae-1-0", "orderId": 7, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
        "status": status, "origQty": "3", "price": "10", "executedQty": filled, "reduceOnly": False, "updateTime": 1,
    }  # fmt: skip


def drive(ws: list[Any], rest: list[Any], *, steps: int = 0) -> tuple[Entry, Ring, Script, Script]:
    """Place one order, then let `steps` rounds of settlement pass, three seconds each."""
    now, ring = [SECOND], Ring()
    sockets, client = Script(ring, *ws), Script(ring, *rest)

    async def play() -> Entry:
        clock = Clock(lambda: now[0], lambda: now[0])
        entry = Entry(client, sockets, ClientIds(1, lambda _n: None), 5000, clock=clock, log=Log("test"), ring=ring)
        entry.place(PLACE)
        await entry.pending(5)
        for _ in range(steps):
            now[0] += 6 * SECOND
            entry.settle()
            await entry.pending(5)
        return entry

    return asyncio.run(play()), ring, sockets, client


def state(entry: Entry) -> State:
    """State of the one order."""
    order = entry.orders.get("ae-1-0")
    assert order is not None
    return order.state


def test_recorded_before_the_first_byte() -> None:
    """INTENT is in the ring when the first call is made."""
    _, ring, ws, _ = drive([row("NEW", "0")], [])
    assert ring.records[0].step is OrderStep.INTENT
    assert ws.asked[0][1] >= 1


def test_rest_only_when_nothing_was_written() -> None:
    """Unreachable falls back to REST; a lost answer never does."""
    entry, _, _, rest = drive([Unreachable("closed")], [row("NEW", "0")])
    assert state(entry) is State.WORKING
    assert len(rest.asked) == 1
    entry, _, _, rest = drive([OrderUnknown("no answer")], [])
    assert state(entry) is State.UNKNOWN
    assert rest.asked == []
    assert entry.orders.exposure("X").buy == Num(3)


def test_unknown_is_settled_by_a_query() -> None:
    """The venue's own row ends the doubt."""
    entry, _, _, _ = drive([OrderUnknown("no answer")], [row("FILLED", "3")], steps=1)
    assert state(entry) is State.FILLED
    assert "X" in entry.unseen  # its fills have not been read: no entries on X until they are, or a reconciliation


def test_not_found_is_no_proof_until_late_repeated_and_agreed() -> None:
    """Two times -2013 leave it UNKNOWN; the third, with openOrders empty, ends it."""
    gone = [VenueError(-2013, "Order does not exist.") for _ in range(3)]
    entry, _, _, _ = drive([OrderUnknown("no answer")], gone[:2], steps=2)
    assert state(entry) is State.UNKNOWN
    entry, ring, _, _ = drive([OrderUnknown("no answer")], [*gone, []], steps=3)
    assert state(entry) is State.REJECTED
    assert ring.records[-1].step is OrderStep.SETTLED


def test_refusal_is_final() -> None:
    """A venue's no is a no, with its code in the record."""
    entry, ring, _, _ = drive([VenueError(-2019, "Margin is insufficient.")], [])
    assert state(entry) is State.REJECTED
    assert ring.records[-1].reason == -2019
