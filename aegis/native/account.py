"""Account-ring records: the private channel's nouns in 256 bytes and back.

What must stay true: unpack(pack(m)) == m for every AccountMessage that fits; what does not fit raises Inexact.
"""

from __future__ import annotations

from typing import Any

from aegis.errors import BadMessage
from aegis.messages import (
    AccountMessage,
    BalanceUpdate,
    ExecType,
    Note,
    OrderStatus,
    OrderType,
    OrderUpdate,
    PositionUpdate,
    Side,
    Tif,
    TradeLite,
)
from aegis.native._aegis import ffi, lib
from aegis.native.records import get_nums, get_texts, put_nums, put_texts

_ROOM = ffi.sizeof("ae_account_t") - ffi.offsetof("ae_account_t", "text")
_MAKER, _REDUCE, _LAST = 1, 2, 4


def pack(message: AccountMessage) -> bytes:
    """
    256 bytes for RingWriter.publish.

    Raises:
        Inexact: a number or the strings do not fit.
    """
    c = ffi.new("ae_account_t *")
    c.exch_ns, c.recv_ns = message.exch_ns, message.recv_ns
    m = message
    if isinstance(m, OrderUpdate):
        _pack_order(c, m)
    elif isinstance(m, TradeLite):
        c.type, c.order_id, c.trade_id, c.side = lib.AE_ACCOUNT_TRADE_LITE, m.order_id, m.trade_id, int(m.side)
        c.bits = _MAKER if m.maker else 0
        put_nums(c, (m.qty, m.last_qty, m.last_price))
        put_texts(c, _ROOM, (m.symbol, m.client_id))
    elif isinstance(m, BalanceUpdate):
        c.type, c.bits = lib.AE_ACCOUNT_BALANCE, _LAST if m.last else 0
        put_nums(c, (m.wallet, m.cross_wallet, m.change))
        put_texts(c, _ROOM, (m.asset, m.reason, m.symbol))
    elif isinstance(m, PositionUpdate):
        c.type, c.bits = lib.AE_ACCOUNT_POSITION, _LAST if m.last else 0
        put_nums(c, (m.qty, m.entry_price, m.realised_total, m.unrealised))
        put_texts(c, _ROOM, (m.symbol, m.reason, m.position_side, m.margin_type))
    else:
        c.type = lib.AE_ACCOUNT_NOTE
        fixed = len(m.what.encode()) + len(m.symbol.encode()) + 3
        detail = m.detail.encode()[: max(0, _ROOM - fixed)].decode("utf-8", "ignore")  # for people; may be cut
        put_texts(c, _ROOM, (m.what, m.symbol, detail))
    return bytes(ffi.buffer(c))


def _pack_order(c: Any, m: OrderUpdate) -> None:
    c.type, c.order_id, c.trade_id, c.side = lib.AE_ACCOUNT_ORDER, m.order_id, m.trade_id, int(m.side)
    c.order_type, c.tif, c.exec_type, c.status = int(m.type), int(m.tif), int(m.exec_type), int(m.status)
    c.bits = (_MAKER if m.maker else 0) | (_REDUCE if m.reduce_only else 0)
    c.expiry_reason = m.expiry_reason if 0 <= m.expiry_reason < 256 else 255
    numbers = (m.qty, m.price, m.filled_qty, m.avg_price, m.last_qty, m.last_price, m.commission, m.realised)
    put_nums(c, numbers)
    put_texts(c, _ROOM, (m.symbol, m.client_id, m.commission_asset))


def unpack(slot: Any) -> AccountMessage:
    """
    The noun of one 256-byte slot (bytes, memoryview or one item of RingReader.read).

    Raises:
        BadMessage: unknown record type.
    """
    c = ffi.new("ae_account_t *")
    ffi.memmove(c, bytes(slot), ffi.sizeof("ae_account_t"))
    times: dict[str, Any] = {"exch_ns": c.exch_ns, "recv_ns": c.recv_ns}
    text = bytes(ffi.buffer(c.text))
    if c.type == lib.AE_ACCOUNT_ORDER:
        return _unpack_order(c, text, times)
    if c.type == lib.AE_ACCOUNT_TRADE_LITE:
        symbol, client_id = get_texts(text, 2)
        qty, last_qty, last_price = get_nums(c, 3)
        ids: dict[str, Any] = {"order_id": c.order_id, "trade_id": c.trade_id, "maker": bool(c.bits & _MAKER)}
        lite: dict[str, Any] = {"side": Side(c.side), "qty": qty, "last_qty": last_qty, "last_price": last_price}
        return TradeLite(symbol=symbol, client_id=client_id, **ids, **lite, **times)
    if c.type == lib.AE_ACCOUNT_BALANCE:
        asset, reason, symbol = get_texts(text, 3)
        wallet, cross, change = get_nums(c, 3)
        money: dict[str, Any] = {"wallet": wallet, "cross_wallet": cross, "change": change}
        return BalanceUpdate(asset=asset, reason=reason, symbol=symbol, last=bool(c.bits & _LAST), **money, **times)
    if c.type == lib.AE_ACCOUNT_POSITION:
        symbol, reason, side, margin = get_texts(text, 4)
        qty, entry, realised, unrealised = get_nums(c, 4)
        held: dict[str, Any] = {"qty": qty, "entry_price": entry, "realised_total": realised, "unrealised": unrealised}
        words: dict[str, Any] = {"reason": reason, "position_side": side, "margin_type": margin}
        return PositionUpdate(symbol=symbol, last=bool(c.bits & _LAST), **held, **words, **times)
    if c.type == lib.AE_ACCOUNT_NOTE:
        what, symbol, detail = get_texts(text, 3)
        return Note(what=what, symbol=symbol, detail=detail, **times)
    raise BadMessage(f"account record of unknown type {c.type}")


def _unpack_order(c: Any, text: bytes, times: dict[str, Any]) -> OrderUpdate:
    symbol, client_id, asset = get_texts(text, 3)
    qty, price, filled, avg, last_qty, last_price, commission, realised = get_nums(c, 8)
    return OrderUpdate(
        symbol=symbol,
        client_id=client_id,
        order_id=c.order_id,
        side=Side(c.side),
        type=OrderType(c.order_type),
        tif=Tif(c.tif),
        exec_type=ExecType(c.exec_type),
        status=OrderStatus(c.status),
        qty=qty,
        price=price,
        filled_qty=filled,
        avg_price=avg,
        last_qty=last_qty,
        last_price=last_price,
        trade_id=c.trade_id,
        commission=commission,
        commission_asset=asset,
        realised=realised,
        maker=bool(c.bits & _MAKER),
        reduce_only=bool(c.bits & _REDUCE),
        expiry_reason=c.expiry_reason,
        **times,
    )


def seq_of(slot: Any) -> int:
    """Sequence number of a slot."""
    return int.from_bytes(bytes(slot)[:8], "little")
