"""Orders-ring records: OrderRecord in 256 bytes and back.

What must stay true: unpack(pack(r)) == r for every record that fits; what does not fit raises Inexact.
"""

from __future__ import annotations

from typing import Any

from aegis.messages import OrderRecord, OrderStep, OrderType, Side, Tif
from aegis.native import abi
from aegis.native._aegis import ffi
from aegis.native.account import seq_of
from aegis.native.records import get_nums, get_texts, pair, texts

__all__ = ["pack", "seq_of", "unpack"]
_ROOM = ffi.sizeof("ae_order_t") - ffi.offsetof("ae_order_t", "text")
_REDUCE = 1
_PACK = abi.packer("ae_order_t").pack


def pack(r: OrderRecord) -> bytes:
    """
    256 bytes for RingWriter.publish.

    Raises:
        Inexact: a number or the strings do not fit.
    """
    (qty, qty_e), (price, price_e), (filled, filled_e) = pair(r.qty), pair(r.price), pair(r.filled_qty)
    return _PACK(
        0, r.now_ns, r.order_id, r.market_seq, r.account_seq, r.digest & (2**64 - 1), qty, price, filled, qty_e,
        price_e, filled_e, r.step, r.side, r.type, r.tif, _REDUCE if r.reduce_only else 0, r.state, r.reason,
        texts(_ROOM, (r.client_id, r.symbol, r.tag)),
    )  # fmt: skip


def unpack(slot: Any) -> OrderRecord:
    """The record of one 256-byte slot."""
    c = ffi.new("ae_order_t *")
    ffi.memmove(c, bytes(slot), ffi.sizeof("ae_order_t"))
    client_id, symbol, tag = get_texts(bytes(ffi.buffer(c.text)), 3)
    qty, price, filled = get_nums(c, 3)
    return OrderRecord(
        step=OrderStep(c.step),
        now_ns=c.now_ns,
        client_id=client_id,
        symbol=symbol,
        side=Side(c.side),
        type=OrderType(c.type),
        tif=Tif(c.tif),
        reduce_only=bool(c.bits & _REDUCE),
        state=c.state,
        reason=c.reason,
        order_id=c.order_id,
        qty=qty,
        price=price,
        filled_qty=filled,
        tag=tag,
        market_seq=c.market_seq,
        account_seq=c.account_seq,
        digest=c.digest,
    )
