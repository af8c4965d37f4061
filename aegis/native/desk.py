"""The desk (csrc/desk.c): gate, client id, record, signature and write of an order in one call; armed triggers.

Problem: each Python step between a decision and its bytes is longer than all of the C way. So what an order needs is
pushed ahead of it (ids reserved on disk, the connection, the clock), and what happened is read afterwards.
What must stay true: an id is below what `reserve` made durable before it is used; the INTENT record is on the ring
before the first byte leaves; what was UNSENT has not put one byte on the wire; no key material in a repr; one thread.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from aegis.messages import OrderType, Place, Refusal, Side, Tif
from aegis.native._aegis import ffi, lib
from aegis.native.conn import Conn
from aegis.native.encoder import Encoder
from aegis.native.gate import Gate
from aegis.native.ring import RingWriter
from aegis.units import Num

ENDED_AT_ONCE = 32
NO_IDS, NO_SLOT = int(Refusal.NO_IDS), int(lib.AE_SYMBOLS_MAX)
_order = lib.ae_desk_order


class Sent(enum.IntEnum):
    """How far the bytes of an order came; PART: taken, the connection is to be flushed."""

    UNSENT = lib.AE_UNSENT
    ALL = lib.AE_SENT
    PART = lib.AE_SENT_PART


class End(enum.IntEnum):
    """What became of an armed trigger; FIRED: placed or refused, see its order."""

    NOT = lib.AE_ENDED_NOT
    FIRED = lib.AE_ENDED_FIRED
    EXPIRED = lib.AE_ENDED_EXPIRED
    HALTED = lib.AE_ENDED_HALTED
    UNTRUSTED = lib.AE_ENDED_UNTRUSTED
    ASKED = lib.AE_ENDED_ASKED


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """
    What became of an intent. Everything but `refusal` is empty when it is not ACCEPTED.

    Args:
        accepted: the gate's number of it, for `Gate.seen` once the books hold it.
        record: its number on the orders ring.
        gated_ns, written_ns: wall stamps. recv_ns: of the tick that fired it, else 0.
    """

    refusal: Refusal
    client_id: str = ""
    sent: Sent = Sent.UNSENT
    accepted: int = 0
    record: int = 0
    gated_ns: int = 0
    written_ns: int = 0
    recv_ns: int = 0


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """An armed trigger that is over: its handle, why, its order as asked for, and what became of that (FIRED only)."""

    handle: int
    why: End
    place: Place
    placed: Placed | None
    now_ns: int = 0


def _placed(c: Any) -> Placed:
    if c.refusal:
        return Placed(refusal=Refusal(c.refusal), recv_ns=c.recv_ns)
    return Placed(
        refusal=Refusal.ACCEPTED, client_id=ffi.string(c.id).decode("ascii"), sent=Sent(c.sent), accepted=c.accepted,
        record=c.record, gated_ns=c.gated_ns, written_ns=c.written_ns, recv_ns=c.recv_ns,
    )  # fmt: skip


class Desk:
    """
    Places orders of one account.

    Args:
        gate, ring: of the brain; they outlive the desk. ring: writer of the orders ring.
        encoder: with the account's key and this start's epoch; the desk closes it.
        reserve: called with the first id number NOT covered; durable when it returns (orders.ids.ClientIds.reserve).
        block: id numbers per reservation.

    Attributes:
        left_out: symbols that cannot be written into an order.
    """

    def __init__(
        self, gate: Gate, encoder: Encoder, ring: RingWriter, reserve: Callable[[int], None], block: int = 1024
    ) -> None:
        self.gate, self.encoder, self._ring, self._reserve, self._block = gate, encoder, ring, reserve, block
        self._memory = ffi.new("uint64_t[]", lib.ae_desk_bytes() // 8 + 8)
        start = int(ffi.cast("uintptr_t", self._memory))
        self.c = ffi.cast("ae_desk_t *", ffi.cast("uint8_t *", self._memory) + -start % 64)
        lib.ae_desk_init(self.c, gate.c, encoder.c, ring.ring)
        self.left_out: list[str] = []
        for slot, rules in enumerate(gate.rules):
            name = rules.symbol.encode()
            if lib.ae_desk_slot(self.c, slot, name, len(name), rules.px_exp, rules.qty_exp):
                self.left_out.append(rules.symbol)
        self._intent, self._out = ffi.new("ae_intent_t *"), ffi.new("ae_placed_t *")
        self._intent_bytes = ffi.buffer(self._intent)
        self._trigger, self._why = ffi.new("ae_trigger_t *"), ffi.new("int *")
        self._ended = ffi.new("ae_placed_t[]", ENDED_AT_ONCE)
        self._conn: Conn | None = None
        self._hist: Any = None
        self._limit, self._slots = 0, gate.slots
        self.refill()

    def __repr__(self) -> str:
        return "Desk(...)"

    # -- what is pushed ahead

    def refill(self) -> None:
        """
        Reserve another block of ids when half of one is used; writes to the disk, so call it while idle.

        Raises:
            OSError: the disk refuses; what is left of the last block stays usable.
        """
        if self._limit - self.encoder.seq <= self._block // 2:
            limit = self.encoder.seq + self._block
            self._reserve(limit)
            self._limit = limit
            lib.ae_desk_ids(self.c, limit)

    def _refilled(self) -> bool:
        """In the middle of an order: False where the disk refuses, and so is the order."""
        try:
            self.refill()
        except OSError:
            return False
        return True

    def link(self, conn: Conn | None, logged_on: bool = False) -> None:
        """Orders leave on this open connection from now on, or come back UNSENT; logged_on: without a signature."""
        lib.ae_desk_link(self.c, ffi.NULL if conn is None else conn.pointer, logged_on)
        self._conn = conn

    def clock(self, offset_ms: int) -> None:
        """Venue time minus ours."""
        lib.ae_desk_clock(self.c, offset_ms)

    def hist(self, block: Any) -> None:
        """Count the hops gated, written (and tick_to_wire of triggers) in this `ae_hist_block_t *`; None: not."""
        self._hist = block
        lib.ae_desk_hist(self.c, ffi.NULL if block is None else block)

    # -- orders

    def place(self, place: Place, now_ns: int) -> Placed:
        """
        Check, record, sign and send; now_ns: wall, of the decision.

        The numbers go into C as they are, in one call: what Python does here once in a hundred ticks is cold, and costs
        several times what it does when measured alone (tests/bench/where.py).
        """
        if self._order(place, now_ns) == NO_IDS and self._refilled():
            self._order(place, now_ns)
        return _placed(self._out)

    def _order(self, place: Place, now_ns: int) -> int:
        slot, price, qty = self._slots.get(place.symbol, NO_SLOT), place.price, place.qty
        px, px_exp = (0, -1) if price is None else (price.m, price.e)
        try:
            return int(
                _order(self.c, slot, place.side, place.type, place.tif, place.reduce_only, px, px_exp, qty.m, qty.e,
                       place.tag.encode("ascii", "replace"), now_ns, self._out)
            )  # fmt: skip
        except OverflowError:
            self._out.refusal = Refusal.BAD_INTENT
            return int(Refusal.BAD_INTENT)

    def warm(self, symbol: str, now_ns: int) -> None:
        """Keep the way of an order in the caches; call it while idle."""
        slot = self.gate.slots.get(symbol)
        if slot is not None:
            lib.ae_desk_warm(self.c, slot, now_ns)

    # -- triggers

    def arm(
        self, place: Place, market: int, watch: Side, price: Num, *, until_ns: int, now_ns: int, above: bool = False
    ) -> tuple[int, Refusal]:
        """
        Place an order by itself, once.

        Args:
            market: index of the symbol on the market ring. watch: BUY the best bid, SELL the best ask.
            price, above: fires when it is at or above `price`, else at or below.

        Returns:
            (handle, ACCEPTED), or (-1, why not). Limits are asked for when it fires.
        """
        reason = self.gate.encode(place, self._intent_bytes)
        if reason:
            return -1, reason
        rules = self.gate.rules[self._intent.symbol]
        trigger = self._trigger
        number = price.trim()
        if number.e > rules.px_exp or not 0 < number.at(rules.px_exp) < 2**63:
            return -1, Refusal.BAD_TICK
        trigger.px, trigger.until_ns, trigger.market = number.at(rules.px_exp), until_ns, market
        trigger.side, trigger.above, trigger.intent = int(watch), above, self._intent[0]
        handle = lib.ae_desk_arm(self.c, trigger, now_ns, self._why)
        if self._why[0] == Refusal.NO_IDS and self._refilled():
            handle = lib.ae_desk_arm(self.c, trigger, now_ns, self._why)
        return int(handle), Refusal(self._why[0])

    def disarm(self, handle: int) -> bool:
        """False: it was not armed any more, and `ended` has or had it."""
        return bool(lib.ae_desk_disarm(self.c, handle) == 0)

    def disarm_all(self, why: End = End.ASKED) -> None:
        """End every trigger: a stop, a lost record, a feed that began anew, a fault of the strategy."""
        lib.ae_desk_disarm_all(self.c, why)

    @property
    def armed(self) -> int:
        """How many triggers are armed."""
        return int(lib.ae_desk_armed(self.c))

    def look(self, batch: np.ndarray[Any, Any], now_ns: int) -> bool:
        """Fold a batch (contiguous) into the gate and fire what it fulfils; True when `ended` has something."""
        ticks = ffi.cast("ae_tick_t *", ffi.from_buffer(batch))
        return bool(lib.ae_desk_look(self.c, ticks, len(batch), now_ns))

    def ended(self) -> list[Ended]:
        """Triggers that are over since the last call, in their order."""
        found: list[Ended] = []
        while count := lib.ae_desk_ended(self.c, self._ended, ENDED_AT_ONCE):
            found += [self._over(self._ended[i]) for i in range(count)]
        return found

    def _over(self, c: Any) -> Ended:
        rules, asked = self.gate.rules[c.intent.symbol], c.intent
        place = Place(
            symbol=rules.symbol, side=Side(asked.side), qty=Num(asked.qty, rules.qty_exp),
            price=Num(asked.px, rules.px_exp) if asked.type == OrderType.LIMIT else None, type=OrderType(asked.type),
            tif=Tif(asked.tif), reduce_only=bool(asked.bits & lib.AE_GATE_REDUCE_ONLY),
            tag=ffi.string(asked.tag, 16).decode("ascii"),
        )  # fmt: skip
        why = End(c.ended)
        return Ended(
            handle=c.trigger, why=why, place=place, placed=_placed(c) if why is End.FIRED else None, now_ns=c.now_ns
        )

    def close(self) -> None:
        """Forget the key; every later order is refused."""
        self.link(None)
        self.encoder.close()
