"""What the venue says about the account, from bytes to nouns: the private stream and the rows of REST queries.

Problem: the same facts come in two spellings (one-letter keys on the stream, long names by REST), numbers are padded
or trimmed as the venue likes, and new events appear without notice; a strict reader crashes on them (PROTOCOL 10 T9,
T28). So fields are looked up one by one, unknown words become OTHER, and an event that cannot be used becomes a
`Note`, which the reader answers by reconciling.
What must stay true: no digit is lost (JSON numbers with a point are kept as text); an event is turned into nouns
whole or not at all; only bytes that are not JSON raise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import Any, TypeVar

import msgspec

from aegis.errors import BadMessage, BadNumber
from aegis.messages import (
    AccountMessage,
    BalanceUpdate,
    ExecType,
    Fill,
    Note,
    OrderStatus,
    OrderType,
    OrderUpdate,
    PositionUpdate,
    Side,
    Tif,
    TradeLite,
)
from aegis.units import ZERO, Num

MS = 1_000_000
DETAIL_BYTES_MAX = 120
UNREADABLE = "UNREADABLE"

_decode = msgspec.json.Decoder(float_hook=str).decode
_Word = TypeVar("_Word", bound=IntEnum)
_Row = dict[str, Any]


def decode_user_event(frame: bytes | str, recv_ns: int) -> list[AccountMessage]:
    """
    One frame of the private stream, raw or in the combined wrapper, as nouns in the order of the event's rows.

    Args:
        frame: JSON text of one message.
        recv_ns: wall-clock nanoseconds at receipt, copied into every noun.

    Returns:
        One noun per row of ACCOUNT_UPDATE (balances first, `last` on the final row), one noun for any other event;
        nothing for the answer to a subscription. An event whose fields cannot be read is a Note "UNREADABLE".

    Raises:
        BadMessage: the frame is not JSON.

    Source: PROTOCOL 3.2 to 3.5.
    """
    try:
        event = _decode(frame)
    except (msgspec.DecodeError, UnicodeError) as e:
        raise BadMessage(f"private stream: not JSON: {frame[:60]!r}") from e
    if isinstance(event, dict) and isinstance(event.get("data"), dict):
        event = event["data"]
    if not isinstance(event, dict):
        return [_note(UNREADABLE, "not an object", recv_ns=recv_ns)]
    name = event.get("e")
    if not isinstance(name, str):
        if "result" in event:
            return []
        return [_note(UNREADABLE, f"no event name: {event}", recv_ns=recv_ns)]
    try:
        return _EVENTS.get(name, _other)(event, recv_ns)
    except (BadNumber, KeyError, TypeError, ValueError, AttributeError) as e:
        return [_note(UNREADABLE, f"{name}: {e!r}", recv_ns=recv_ns)]


def _order_update(event: _Row, recv_ns: int) -> list[AccountMessage]:
    o = event["o"]
    return [
        OrderUpdate(
            symbol=_text(o["s"]), client_id=_text(o["c"]), order_id=int(o["i"]),
            side=_word(Side, o["S"]), type=_word(OrderType, o["o"]), tif=_word(Tif, o.get("f")),
            exec_type=_word(ExecType, o["x"]), status=_word(OrderStatus, o["X"]),
            qty=_num(o["q"]), price=_num(o.get("p")), filled_qty=_num(o["z"]), avg_price=_num(o.get("ap")),
            last_qty=_num(o.get("l")), last_price=_num(o.get("L")), trade_id=int(o.get("t") or 0),
            commission=_num(o.get("n")), commission_asset=_text(o.get("N") or ""), realised=_num(o.get("rp")),
            maker=_flag(o.get("m")), reduce_only=_flag(o.get("R")), expiry_reason=int(o.get("er") or 0),
            exch_ns=_ns(o.get("T"), event.get("T"), event.get("E")), recv_ns=recv_ns,
        )
    ]  # fmt: skip


def _trade_lite(event: _Row, recv_ns: int) -> list[AccountMessage]:
    return [
        TradeLite(
            symbol=_text(event["s"]), client_id=_text(event["c"]), order_id=int(event["i"]),
            side=_word(Side, event["S"]), qty=_num(event["q"]), last_qty=_num(event["l"]), last_price=_num(event["L"]),
            trade_id=int(event["t"]), maker=_flag(event.get("m")),
            exch_ns=_ns(event.get("T"), event.get("E")), recv_ns=recv_ns,
        )
    ]  # fmt: skip


def _account_update(event: _Row, recv_ns: int) -> list[AccountMessage]:
    """Balances, then positions. Funding of an isolated position names its symbol by its only `P` row."""
    a = event["a"]
    reason, balances, positions = _text(a.get("m") or ""), a.get("B") or [], a.get("P") or []
    symbol, exch_ns = _text(a.get("S") or ""), _ns(event.get("T"), event.get("E"))
    if reason == "FUNDING_FEE" and not symbol and len(positions) == 1:
        symbol = _text(positions[0]["s"])
    end = len(balances) + len(positions) - 1
    if end < 0:
        return [_note("ACCOUNT_UPDATE", reason, symbol, exch_ns, recv_ns)]
    rows: list[AccountMessage] = [
        BalanceUpdate(
            asset=_text(b["a"]), wallet=_num(b["wb"]), cross_wallet=_num(b.get("cw")), change=_num(b.get("bc")),
            reason=reason, symbol=symbol, last=i == end, exch_ns=exch_ns, recv_ns=recv_ns,
        )
        for i, b in enumerate(balances)
    ]  # fmt: skip
    rows += [
        PositionUpdate(
            symbol=_text(p["s"]), qty=_num(p["pa"]), entry_price=_num(p.get("ep")), realised_total=_num(p.get("cr")),
            unrealised=_num(p.get("up")), reason=reason, position_side=_text(p.get("ps") or "BOTH"),
            margin_type=_text(p.get("mt") or "cross"), last=i == end, exch_ns=exch_ns, recv_ns=recv_ns,
        )
        for i, p in enumerate(positions, len(balances))
    ]  # fmt: skip
    return rows


def _listen_key_expired(event: _Row, recv_ns: int) -> list[AccountMessage]:
    """Without the key itself: it is a credential and this noun reaches logs."""
    return [_note("listenKeyExpired", "", "", _ns(event.get("E")), recv_ns)]


def _other(event: _Row, recv_ns: int) -> list[AccountMessage]:
    """Any event nobody decodes further: its name, its symbol where it has one, the start of its body."""
    body = next((event[k] for k in ("o", "ac", "ai", "or", "p") if event.get(k)), None)
    row = body[0] if isinstance(body, list) and body else body
    symbol = row.get("s") if isinstance(row, dict) else event.get("s")
    detail = "" if body is None else msgspec.json.encode(body).decode()
    at_ns = _ns(event.get("T"), event.get("E"))
    return [_note(event["e"], detail, symbol if isinstance(symbol, str) else "", at_ns, recv_ns)]


_EVENTS: dict[str, Callable[[_Row, int], list[AccountMessage]]] = {
    "ORDER_TRADE_UPDATE": _order_update,
    "TRADE_LITE": _trade_lite,
    "ACCOUNT_UPDATE": _account_update,
    "listenKeyExpired": _listen_key_expired,
}


def fill_from_update(update: OrderUpdate, margin_asset: str) -> Fill | None:
    """
    The fill an order update carries, or None: only TRADE and CALCULATED with a quantity are fills.

    Args:
        update: from the stream; `filled_qty` repeats on later events and is never read here.
        margin_asset: asset the symbol's PnL is settled in.

    Source: PROTOCOL 3.2 fill rule.
    """
    if update.exec_type not in (ExecType.TRADE, ExecType.CALCULATED) or update.last_qty.sign() <= 0:
        return None
    return Fill(
        symbol=update.symbol, trade_id=update.trade_id, order_id=update.order_id, side=update.side,
        qty=update.last_qty, price=update.last_price, commission=update.commission,
        commission_asset=update.commission_asset or margin_asset, realised=update.realised, margin_asset=margin_asset,
        maker=update.maker, exch_ns=update.exch_ns, client_id=update.client_id, source="stream",
    )  # fmt: skip


def fill_from_user_trade(row: _Row) -> Fill:
    """
    One row of `/fapi/v1/userTrades`; raises BadMessage when a field is missing or no number.

    Source: PROTOCOL 9.1.
    """
    try:
        return Fill(
            symbol=_text(row["symbol"]), trade_id=int(row["id"]), order_id=int(row["orderId"]),
            side=_word(Side, row["side"]), qty=_num(row["qty"]), price=_num(row["price"]),
            commission=_num(row["commission"]), commission_asset=_text(row["commissionAsset"]),
            realised=_num(row["realizedPnl"]), margin_asset=_text(row.get("marginAsset") or row["commissionAsset"]),
            maker=_flag(row["maker"]), exch_ns=_ns(row["time"]), client_id="", source="userTrades",
        )  # fmt: skip
    except _MISSING as e:
        raise BadMessage(f"userTrades row: {e!r}") from e


def order_from_rest(row: _Row) -> OrderUpdate:
    """
    One order as place, cancel, query or openOrders shows it: no fill in it, exec_type OTHER.

    Raises:
        BadMessage: a field is missing or no number.

    Source: PROTOCOL 5.1 (place and cancel answers carry no avgPrice since July 2026).
    """
    try:
        return OrderUpdate(
            symbol=_text(row["symbol"]), client_id=_text(row["clientOrderId"]), order_id=int(row["orderId"]),
            side=_word(Side, row["side"]), type=_word(OrderType, row.get("type")),
            tif=_word(Tif, row.get("timeInForce")), exec_type=ExecType.OTHER,
            status=_word(OrderStatus, row["status"]), qty=_num(row["origQty"]), price=_num(row.get("price")),
            filled_qty=_num(row["executedQty"]), avg_price=_num(row.get("avgPrice")),
            reduce_only=_flag(row.get("reduceOnly")), exch_ns=_ns(row.get("updateTime"), row.get("time")),
        )  # fmt: skip
    except _MISSING as e:
        raise BadMessage(f"order row: {e!r}") from e


def positions_from_rest(rows: Iterable[_Row]) -> list[PositionUpdate]:
    """Rows of `/fapi/v3/positionRisk`, zero positions included; raises BadMessage. `reason` is "REST"."""
    try:
        found = [
            PositionUpdate(
                symbol=_text(r["symbol"]), qty=_num(r["positionAmt"]), entry_price=_num(r.get("entryPrice")),
                realised_total=ZERO, unrealised=_num(r.get("unRealizedProfit", r.get("unrealizedProfit"))),
                reason="REST", position_side=_text(r.get("positionSide") or "BOTH"),
                margin_type="isolated" if _num(r.get("isolatedWallet")) else "cross", last=False,
                exch_ns=_ns(r.get("updateTime")),
            )
            for r in rows
        ]  # fmt: skip
    except _MISSING as e:
        raise BadMessage(f"positionRisk row: {e!r}") from e
    return _end(found)


def balances_from_rest(rows: Iterable[_Row]) -> list[BalanceUpdate]:
    """Rows of `/fapi/v3/balance`, or of `assets` of `/fapi/v3/account`; raises BadMessage. `reason` is "REST"."""
    try:
        found = [
            BalanceUpdate(
                asset=_text(r["asset"]), wallet=_num(r["balance"] if "balance" in r else r["walletBalance"]),
                cross_wallet=_num(r.get("crossWalletBalance")), change=ZERO, reason="REST", last=False,
                exch_ns=_ns(r.get("updateTime")),
            )
            for r in rows
        ]  # fmt: skip
    except _MISSING as e:
        raise BadMessage(f"balance row: {e!r}") from e
    return _end(found)


_MISSING = (BadNumber, KeyError, TypeError, ValueError, AttributeError)
_Last = TypeVar("_Last", BalanceUpdate, PositionUpdate)


def _end(rows: list[_Last]) -> list[_Last]:
    if rows:
        rows[-1] = msgspec.structs.replace(rows[-1], last=True)
    return rows


def _num(value: object) -> Num:
    """Text or integer of the venue; absent and empty are 0."""
    if value is None or value == "":
        return ZERO
    if isinstance(value, int) and not isinstance(value, bool):
        return Num(value)
    return Num.parse(_text(value))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text expected, got {value!r}")
    return value


def _flag(value: object) -> bool:
    return value is True or value == "true"


def _word(kind: type[_Word], text: object) -> _Word:
    return kind.__members__.get(str(text), kind["OTHER"])


def _ns(*stamps: object) -> int:
    """First usable stamp, ms as number or digits, in ns; 0 when none is: an event outlives its bad stamp."""
    return next((int(str(s)) * MS for s in stamps if str(s).isdecimal() and s), 0)


def _note(what: str, detail: str, symbol: str = "", exch_ns: int = 0, recv_ns: int = 0) -> Note:
    short = detail.encode("utf-8", "replace")[:DETAIL_BYTES_MAX].decode("utf-8", "ignore")
    return Note(what=what, detail=short, symbol=symbol, exch_ns=exch_ns, recv_ns=recv_ns)
