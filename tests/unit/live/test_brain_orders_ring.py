"""The orders ring remembers what is unfinished, however much is written after it."""

from __future__ import annotations

from pathlib import Path

from aegis.limits import ORDERS_SLOTS
from aegis.live import log
from aegis.live.brain_orders import Entry
from aegis.live.clock import Clock
from aegis.messages import OrderStep, Place, Refusal, Side
from aegis.native import orders as wire
from aegis.native.ring import RingReader, RingWriter
from aegis.orders.book import WorkingOrders
from aegis.units import Num


def test_a_flood_of_refusals_hides_no_unfinished_order(tmp_path: Path) -> None:
    """Refused on every tick, a strategy laps the ring in moments; the next brain still asks about the order."""
    path, clock = tmp_path / "orders", Clock()
    ring = RingWriter(path, ORDERS_SLOTS, 256, "orders")
    entry = Entry(None, None, 5000, clock=clock, log=log.get("brain"), ring=ring)
    place = Place(symbol="AUSDT", side=Side.BUY, qty=Num(3), price=Num(7))
    order = entry.orders.add("ae-1-0", place, clock.now_ns())
    entry.write(order.record(OrderStep.INTENT, clock.now_ns()))
    for _ in range(2 * ORDERS_SLOTS):
        entry.refuse(place, Refusal.ORDER_RATE)
    reader, records = RingReader(path, from_seq=0), []
    while len(slots := reader.read()):
        records += [wire.unpack(slot) for slot in slots]
    left = WorkingOrders().recover(records, clock.now_ns())
    assert [o.client_id for o in left] == ["ae-1-0"]
    assert left[0].open_qty == Num(3)
