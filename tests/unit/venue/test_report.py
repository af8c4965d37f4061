"""Reports: every recorded user event becomes nouns, and money comes from fills once and exactly."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from aegis.errors import BadMessage
from aegis.messages import AccountMessage, BalanceUpdate, ExecType, Note, OrderStatus, OrderType, OrderUpdate, Side, Tif
from aegis.units import ZERO, Num
from aegis.venue.report import (
    UNREADABLE,
    balances_from_rest,
    decode_user_event,
    fill_from_update,
    fill_from_user_trade,
    order_from_rest,
    positions_from_rest,
)

N = Num.parse
SEEN = {
    "2024-11-18_prod_oneway_open_close.jsonl": "TradeLite 2 OrderUpdate 4 BalanceUpdate 2 PositionUpdate 2",
    "2025-03-21_testnet_market_fill.jsonl": "OrderUpdate 2 TradeLite 1 BalanceUpdate 1 PositionUpdate 1",
    "2025-10-22_prod_admin_transfer.jsonl": "BalanceUpdate 2",
    "2026-02-23_prod_solusdt_market.jsonl": "TradeLite 1 OrderUpdate 1 BalanceUpdate 1 PositionUpdate 1",
    "2026-04-21_prod_ethusdc_amend_cancel_fill_funding.REENCODED.jsonl": (
        "BalanceUpdate 4 OrderUpdate 4 TradeLite 1 PositionUpdate 1"
    ),
    "2026-09-19_prod_algo_update.jsonl": "Note 2",
}


def read(path: Path) -> list[list[AccountMessage]]:
    return [decode_user_event(line, 7) for line in path.read_bytes().splitlines() if line.strip()]


@pytest.mark.parametrize("name", SEEN)
def test_every_recorded_file_gives_its_nouns(data_dir: Path, name: str) -> None:
    """Law: no recorded event is unreadable; each ends with one `last` row and carries both times."""
    events = read(data_dir / "user_stream" / name)
    words = SEEN[name].split()
    counted = Counter(type(m).__name__ for event in events for m in event)
    assert counted == dict(zip(words[::2], map(int, words[1::2]), strict=True))
    for event in events:
        assert all(m.recv_ns == 7 and m.exch_ns > 1_600_000_000 * 10**9 for m in event)
        assert [getattr(m, "last", True) for m in event] == [False] * (len(event) - 1) + [True]
        assert not any(isinstance(m, Note) and m.what == UNREADABLE for m in event)


def test_wallet_identity_of_a_real_round_trip(data_dir: Path) -> None:
    """Law: wallet after = wallet before + realised - commission, from decoded fills, to the last digit."""
    events = read(data_dir / "user_stream" / "2024-11-18_prod_oneway_open_close.jsonl")
    flat = [m for event in events for m in event]
    wallets = [m.wallet for m in flat if isinstance(m, BalanceUpdate)]
    fills = [f for m in flat if isinstance(m, OrderUpdate) and (f := fill_from_update(m, "USDT")) is not None]
    assert [(f.side, f.qty, f.maker) for f in fills] == [(Side.BUY, N("0.002"), False), (Side.SELL, N("0.002"), False)]
    assert wallets[1] - wallets[0] == fills[1].realised - fills[1].commission
    assert str(fills[1].commission) == "0.09085320"


def test_only_trade_and_calculated_are_fills() -> None:
    """Law: an end that repeats `z`, or a fill of nothing, is booked by nobody."""
    base = decode_user_event(order_event(x="TRADE", l="0.1", z="0.3", X="PARTIALLY_FILLED"), 0)[0]
    assert isinstance(base, OrderUpdate) and (fill := fill_from_update(base, "USDT")) is not None
    assert (fill.qty, fill.trade_id, fill.margin_asset, fill.source) == (N("0.1"), 9, "USDT", "stream")
    verdicts = {"CALCULATED": True, "EXPIRED": False, "CANCELED": False, "AMENDMENT": False, "SOMETHING": False}
    for word, is_fill in verdicts.items():
        update = decode_user_event(order_event(x=word, l="0.1"), 0)[0]
        assert isinstance(update, OrderUpdate) and (fill_from_update(update, "USDT") is not None) is is_fill
    empty = decode_user_event(order_event(x="TRADE", l="0"), 0)[0]
    assert isinstance(empty, OrderUpdate) and fill_from_update(empty, "USDT") is None


def order_event(**changes: str) -> str:
    fields = {"s": "币安人生USDT", "c": "a-1", "S": "BUY", "o": "LIMIT", "f": "GTC", "q": "1.0", "x": "NEW", "X": "NEW",
              "z": "0", "l": "0", "L": "2.50"} | changes  # fmt: skip
    body = ",".join(f'"{k}":"{v}"' for k, v in fields.items())
    return f'{{"stream":"key","data":{{"e":"ORDER_TRADE_UPDATE","T":5,"o":{{{body},"i":8389765739703625592,"t":9}}}}}}'


def test_wrapped_unknown_words_and_large_ids() -> None:
    """Law: the combined wrapper is transparent, new words are OTHER, ids keep all their digits."""
    (got,) = decode_user_event(order_event(X="NEW_ADL", o="RETIRED", f="RPI"), 0)
    assert isinstance(got, OrderUpdate) and got.order_id == 8389765739703625592 and got.symbol == "币安人生USDT"
    assert (got.status, got.type, got.tif) == (OrderStatus.OTHER, OrderType.OTHER, Tif.OTHER)
    assert got.exch_ns == 5_000_000


@pytest.mark.parametrize(
    ("frame", "what"),
    [
        ('{"e":"listenKeyExpired","E":"1736996475556","listenKey":"x"}', "listenKeyExpired"),
        ('{"e":"listenKeyExpired","E":"never"}', "listenKeyExpired"),
        ('{"e":"MARGIN_CALL","E":1,"p":[{"s":"BTCUSDT"}]}', "MARGIN_CALL"),
        ('{"e":"ACCOUNT_CONFIG_UPDATE","E":1,"ac":{"s":"BTCUSDT","l":25}}', "ACCOUNT_CONFIG_UPDATE"),
        ('{"e":"ACCOUNT_UPDATE","E":1,"a":{"m":"ORDER"}}', "ACCOUNT_UPDATE"),
        ('{"e":"BRAND_NEW"}', "BRAND_NEW"),
        ('{"e":"ORDER_TRADE_UPDATE","o":{"s":"BTCUSDT"}}', UNREADABLE),
        ('{"e":"TRADE_LITE","s":"X","c":"","i":1,"S":"BUY","q":"1e5","l":"1","L":"1","t":1}', UNREADABLE),
        ("[1]", UNREADABLE),
        ('{"x":1}', UNREADABLE),
    ],
)
def test_what_is_not_decoded_is_noted(frame: str, what: str) -> None:
    """Law: nothing on the private stream passes in silence, and the key is never repeated."""
    (got,) = decode_user_event(frame, 3)
    assert isinstance(got, Note) and got.what == what and got.recv_ns == 3 and len(got.detail.encode()) <= 120
    assert what != "listenKeyExpired" or got.detail == ""


def test_only_what_is_no_json_raises() -> None:
    """Law: BadMessage for broken bytes; the answer to a subscription is nothing."""
    for frame in (b"", b"{", b"\xff\xfe", "nonsense"):
        with pytest.raises(BadMessage):
            decode_user_event(frame, 0)
    assert decode_user_event(b'{"result":null,"id":1}', 0) == []


def test_funding_names_its_symbol() -> None:
    """Law: by `S`, else by the only position row."""
    rows = '"B":[{"a":"USDT","wb":"1","cw":"1","bc":"-0.1"}]'
    named = decode_user_event(f'{{"e":"ACCOUNT_UPDATE","a":{{"m":"FUNDING_FEE","S":"ETHUSDT",{rows}}}}}', 0)
    single = f'{{"e":"ACCOUNT_UPDATE","a":{{"m":"FUNDING_FEE",{rows},"P":[{{"s":"ADAUSDT","pa":"1"}}]}}}}'
    assert [m.symbol for m in named + decode_user_event(single, 0)] == ["ETHUSDT", "ADAUSDT", "ADAUSDT"]


def test_rows_of_rest() -> None:
    """Law: REST rows become the same nouns; a row without its fields is BadMessage."""
    order: dict[str, Any] = {"symbol": "BTCUSDT", "clientOrderId": "a", "orderId": 2**60, "side": "SELL",
        "type": "MARKET", "timeInForce": "GTC", "status": "FILLED", "origQty": "0.10", "executedQty": "0.1",
        "reduceOnly": True, "updateTime": 12}  # fmt: skip
    got = order_from_rest(order)
    assert (got.order_id, got.status, got.exec_type) == (2**60, OrderStatus.FILLED, ExecType.OTHER)
    assert got.reduce_only and got.avg_price == ZERO and got.exch_ns == 12_000_000
    trade = {"symbol": "BTCUSDT", "id": 4, "orderId": 5, "side": "BUY", "qty": "1", "price": "2", "commission": "-0.1",
             "commissionAsset": "BNB", "realizedPnl": "0", "marginAsset": "USDT", "maker": True, "time": 1}  # fmt: skip
    fill = fill_from_user_trade(trade)
    assert (fill.commission, fill.commission_asset, fill.margin_asset, fill.source) == (
        N("-0.1"), "BNB", "USDT", "userTrades",
    )  # fmt: skip
    held = positions_from_rest([{"symbol": "A", "positionAmt": "-1"}, {"symbol": "B", "positionAmt": "0"}])
    assert [(p.qty, p.last) for p in held] == [(N("-1"), False), (ZERO, True)]
    cash = balances_from_rest([{"asset": "USDT", "balance": "1.5"}, {"asset": "USDC", "walletBalance": "2"}])
    assert [b.wallet for b in cash] == [N("1.5"), N("2")] and balances_from_rest([]) == []
    for read_row in (order_from_rest, fill_from_user_trade):
        with pytest.raises(BadMessage):
            read_row({"symbol": "BTCUSDT"})
    for read_rows in (positions_from_rest, balances_from_rest):
        with pytest.raises(BadMessage):
            read_rows([{}])
