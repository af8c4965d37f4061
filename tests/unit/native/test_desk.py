"""The desk: gate before id, id before record, record before bytes; what is handed back is what happened."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from aegis.native._aegis import ffi, lib
from desk_rig import NOW, SYMBOLS, WIDE, Rig, buy

from aegis.messages import Halt, OrderRecord, OrderStep, OrderType, Place, Refusal, Side, Tif
from aegis.native import orders
from aegis.native.desk import Placed, Sent
from aegis.orders.ids import base36
from aegis.orders.states import State
from aegis.units import Num
from aegis.venue import request
from aegis.venue.sign import hmac_signer

MS = 1_000_000


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.close()


def market(side: Side, qty: str) -> Place:
    """A market order."""
    return Place(symbol="ETHUSDT", side=side, qty=Num.parse(qty), type=OrderType.MARKET)


def test_one_order_whole(rig: Rig) -> None:
    """Id, record and signed message are those of the Python stations; the record was there before the bytes."""
    rig.d.link(rig.conn)
    for seq, place in enumerate((buy(tag="edge"), market(Side.SELL, "0.1"), buy("66990", "0.25", tif=Tif.GTX))):
        placed = rig.d.place(place, NOW + 7)
        client_id = f"ae-{base36(1_795_000_000)}-{base36(seq)}"
        assert placed.refusal is Refusal.ACCEPTED and placed.client_id == client_id and placed.sent is Sent.ALL
        assert placed.accepted == seq + 1 and placed.gated_ns <= placed.written_ns
        (record,) = rig.records()
        assert record == OrderRecord(
            step=OrderStep.INTENT, now_ns=NOW + 7, client_id=client_id, symbol=place.symbol, side=place.side,
            type=place.type, tif=place.tif, state=int(State.INTENT), qty=place.qty, price=place.price or Num(0),
            tag=place.tag,
        )  # fmt: skip
        assert placed.record == seq + 1
        fields = request.ws_params(request.order_params(place, client_id), NOW // MS, 5000)
        fields = request.ws_signed(fields, rig.key, hmac_signer(rig.secret.encode()))
        message = {"id": client_id, "method": "order.place", "params": fields}
        assert rig.frames() == [msgspec.json.encode(message).decode()]


def test_record_is_byte_for_byte_that_of_python(rig: Rig) -> None:
    """Whoever reads the ring cannot tell who wrote it."""
    rig.d.place(buy("67000.0", "0.010", tag="fifteen chars x", reduce_only=False), NOW)
    (slot,) = rig.reader.read()
    raw = bytes(slot)
    assert raw[8:] == orders.pack(orders.unpack(raw))[8:]
    assert raw[:8] == (1).to_bytes(8, "little")


def test_logged_on(rig: Rig) -> None:
    """After a logon neither key nor signature is in the message; after the next link without one both are."""
    rig.d.link(rig.conn, logged_on=True)
    rig.d.clock(250)
    rig.d.place(buy(), NOW)
    (text,) = rig.frames()
    assert "apiKey" not in text and "signature" not in text
    assert json.loads(text)["params"]["timestamp"] == NOW // MS + 250
    rig.d.link(rig.conn)
    rig.d.place(buy(), NOW)
    (text,) = rig.frames()
    params = json.loads(text)["params"]
    payload = request.ws_payload(params)
    assert params["signature"] == hmac_signer(rig.secret.encode())(payload) and params["apiKey"] == rig.key


def test_without_a_connection(rig: Rig) -> None:
    """The order is accepted, recorded and counted, and certainly not sent: others may send it under its id."""
    placed = rig.d.place(buy(), NOW)
    assert placed.sent is Sent.UNSENT and placed.client_id and rig.gate.accepted == 1
    assert [r.step for r in rig.records()] == [OrderStep.INTENT] and rig.frames() == []


def test_a_connection_that_fell(rig: Rig) -> None:
    """Writing to what is gone is UNSENT, not an error."""
    rig.d.link(rig.conn)
    rig.conn.close()
    assert rig.d.place(buy(), NOW).sent is Sent.UNSENT
    assert len(rig.records()) == 1


def test_a_connection_that_is_full(rig: Rig) -> None:
    """What the socket does not take is kept and flushed in order; when nothing more can be kept, it is UNSENT whole."""
    rig.far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    rig.d.link(rig.conn)
    placed: list[Placed] = []
    while not placed or placed[-1].sent is not Sent.UNSENT:
        placed.append(rig.d.place(buy(), NOW + len(placed) * 2 * MS))
        rig.gate.seen(rig.gate.accepted)
        assert placed[-1].refusal is Refusal.ACCEPTED
    assert {p.sent for p in placed} == {Sent.ALL, Sent.PART, Sent.UNSENT}
    texts: list[str] = []
    while True:
        done = rig.conn.flush()
        texts += rig.frames()
        if done:
            break
    ids = [json.loads(t)["id"] for t in texts]
    assert ids == [p.client_id for p in placed[:-1]]


def test_refusals_leave_nothing(rig: Rig) -> None:
    """No id, no record, no byte; the next order has the id that was not used."""
    rig.d.link(rig.conn)
    rig.control.block("operator").halt(Halt.OPERATOR)
    assert rig.d.place(buy(), NOW) == Placed(refusal=Refusal.HALTED)
    rig.control.block("operator").clear_halt()
    assert rig.d.place(buy(symbol="XRPUSDT"), NOW).refusal is Refusal.UNKNOWN_SYMBOL
    assert rig.d.place(buy("67000.15"), NOW).refusal is Refusal.BAD_TICK
    assert rig.d.place(buy("70000.1"), NOW).refusal is Refusal.PRICE_COLLAR
    assert rig.d.place(buy(tif=Tif.OTHER), NOW).refusal is Refusal.BAD_INTENT
    assert rig.d.place(buy(), -NOW).refusal is Refusal.BAD_INTENT
    assert rig.frames() == [] and rig.records() == [] and rig.gate.accepted == 0
    assert rig.d.place(buy(), NOW).client_id.endswith("-0")


def test_ids_are_reserved_before_they_are_used(tmp_path: Path) -> None:
    """Blocks are on disk ahead; where nobody refills, the desk refuses before it uses an id that is not."""
    rig = Rig(tmp_path, WIDE, block=4)
    assert rig.blocks == [4]
    for i in range(9):
        placed = rig.d.place(buy(), NOW + i * MS)
        assert placed.refusal is Refusal.ACCEPTED
        assert int(placed.client_id.rsplit("-", 1)[1], 36) < rig.blocks[-1]
    assert rig.blocks == [4, 8, 12]
    rig.d.refill()
    assert rig.blocks == [4, 8, 12]
    rig.d.place(buy(), NOW + 10 * MS)
    rig.d.refill()
    assert rig.blocks == [4, 8, 12, 14]
    out = ffi.new("ae_placed_t *")
    intent = ffi.new("ae_intent_t *")
    rig.gate.encode(buy(), ffi.buffer(intent))
    said = [lib.ae_desk_place(rig.d.c, intent, NOW + (20 + i) * MS, out) for i in range(6)]
    assert said == [0, 0, 0, 0, int(Refusal.NO_IDS), int(Refusal.NO_IDS)]
    rig.close()


def test_warm_changes_nothing(rig: Rig) -> None:
    """Walking the way leaves no trace, and the next order is the same."""
    rig.d.link(rig.conn)
    for i in range(50):
        rig.d.warm(SYMBOLS[i % 2], NOW)
    rig.d.warm("NONE", NOW)
    assert rig.records() == [] and rig.frames() == [] and rig.gate.accepted == 0
    placed = rig.d.place(buy(), NOW)
    (text,) = rig.frames()
    params = json.loads(text)["params"]
    assert placed.client_id.endswith("-0")
    assert params["signature"] == hmac_signer(rig.secret.encode())(request.ws_payload(params))


def test_hops_are_counted(rig: Rig) -> None:
    """gated and written, once per order that left."""
    block = ffi.new("ae_hist_block_t *")
    rig.d.hist(block)
    rig.d.place(buy(), NOW)
    rig.d.link(rig.conn)
    rig.d.place(buy(), NOW)
    counts = {hop: sum(block.hops[hop].cells) for hop in (lib.AE_HOP_GATED, lib.AE_HOP_WRITTEN)}
    assert counts == {lib.AE_HOP_GATED: 2, lib.AE_HOP_WRITTEN: 1}
    rig.d.hist(None)


def test_no_key_is_shown(rig: Rig) -> None:
    """Not in the repr of the desk, its encoder, or anything they hold."""
    shown = repr(rig.d) + repr(rig.d.encoder) + repr(vars(rig.d)) + repr(vars(rig.d.encoder))
    assert rig.secret not in shown and rig.key not in shown


def test_a_closed_desk_refuses(rig: Rig) -> None:
    """No key, no order."""
    rig.d.link(rig.conn)
    rig.d.close()
    assert rig.d.place(buy(), NOW).refusal is Refusal.BAD_INTENT
    assert rig.frames() == [] and rig.records() == []
