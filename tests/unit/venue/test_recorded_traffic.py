"""Recorded traffic through the venue station: every user event becomes nouns, every listing becomes rules.

The oracle is the JSON itself, read by the standard library: no count or digit here comes from the code under test.
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from aegis.errors import BadMessage
from aegis.messages import BalanceUpdate, Note, OrderUpdate, PositionUpdate, TradeLite
from aegis.venue.report import UNREADABLE, decode_user_event, fill_from_update
from aegis.venue.rules import parse_exchange_info, tradable


def events(data_dir: Path) -> list[tuple[bytes, dict[str, Any]]]:
    lines = [s for f in sorted((data_dir / "user_stream").glob("*.jsonl")) for s in f.read_bytes().splitlines() if s]
    bodies = [json.loads(s) for s in lines]
    return [(s, b.get("data", b)) for s, b in zip(lines, bodies, strict=True)]


def test_every_recorded_event_is_read(data_dir: Path) -> None:
    seen = events(data_dir)
    assert seen
    for line, body in seen:
        nouns = decode_user_event(line, 7)
        assert nouns, body
        assert all(n.recv_ns == 7 for n in nouns)
        assert not any(isinstance(n, Note) and n.what == UNREADABLE for n in nouns), body


def test_no_digit_of_money_is_lost(data_dir: Path) -> None:
    for line, body in events(data_dir):
        nouns = decode_user_event(line, 1)
        if body.get("e") == "ORDER_TRADE_UPDATE":
            (n,), o = nouns, body["o"]
            assert isinstance(n, OrderUpdate)
            pairs = ((n.qty, "q"), (n.last_qty, "l"), (n.last_price, "L"), (n.commission, "n"), (n.realised, "rp"))
            assert all(Decimal(str(v)) == Decimal(o.get(k, "0")) for v, k in pairs)
            assert (n.order_id, n.trade_id, n.client_id) == (o["i"], o["t"], o["c"])
            assert (fill_from_update(n, "USDT") is not None) == (o["x"] == "TRADE")
        elif body.get("e") == "TRADE_LITE":
            (n,) = nouns
            assert isinstance(n, TradeLite)
            assert Decimal(str(n.last_price)) == Decimal(body["L"])
        elif body.get("e") == "ACCOUNT_UPDATE":
            a = body["a"]
            wallets = [Decimal(str(n.wallet)) for n in nouns if isinstance(n, BalanceUpdate)]
            amounts = [Decimal(str(n.qty)) for n in nouns if isinstance(n, PositionUpdate)]
            assert wallets == [Decimal(b["wb"]) for b in a.get("B", [])]
            assert amounts == [Decimal(p["pa"]) for p in a.get("P", [])]
            rows = [n for n in nouns if isinstance(n, BalanceUpdate | PositionUpdate)]
            assert [n.last for n in rows] == [False] * (len(rows) - 1) + [True]


@pytest.mark.parametrize("stamp", ["1693427319838", 1693427319838])
def test_an_expired_listen_key_may_stamp_in_text_and_is_not_repeated(stamp: object) -> None:
    frame = json.dumps({"e": "listenKeyExpired", "E": stamp, "listenKey": "abcdef"})
    assert decode_user_event(frame, 2) == [Note(what="listenKeyExpired", exch_ns=1_693_427_319_838_000_000, recv_ns=2)]


@pytest.mark.parametrize("frame", ["[]", "1", "{}", '{"e":5}', '{"e":"ORDER_TRADE_UPDATE"}', '{"e":"TRADE_LITE"}'])
def test_a_strange_shape_is_a_note(frame: str) -> None:
    (note,) = decode_user_event(frame, 1)
    assert isinstance(note, Note)
    assert note.what == UNREADABLE


def test_an_order_id_beyond_2_53_is_exact_and_only_no_json_raises() -> None:
    frame = (
        '{"stream":"k","data":{"e":"TRADE_LITE","E":1,"T":1,"s":"ETHUSDC","q":"1","p":"0","m":false,"c":"x",'
        '"S":"SELL","L":"2463.26","l":"0.10","t":9,"i":8389765739703625592,"new":{}}}'
    )
    (n,) = decode_user_event(frame, 1)
    assert isinstance(n, TradeLite)
    assert n.order_id == 8389765739703625592
    with pytest.raises(BadMessage):
        decode_user_event(b"<html>", 1)


@pytest.mark.parametrize(
    "name", ["multi_2021-07-22/exchange_info.txt", "wire_2026/demo_2026-09-10_exchange_info_2symbols.json"]
)
def test_recorded_listings_give_rules_of_their_filters(data_dir: Path, name: str) -> None:
    text = (data_dir / name).read_text()
    body, _ = json.JSONDecoder().raw_decode(text, text.index("{"))  # the 2021 file goes on after its first answer
    body = body.get("data", body)
    rules = parse_exchange_info(body)
    assert list(rules) == [row["symbol"] for row in body["symbols"]]
    for row in body["symbols"]:
        filters = {f["filterType"]: f for f in row["filters"]}
        r = rules[row["symbol"]]
        assert Decimal(str(r.tick)) == Decimal(filters["PRICE_FILTER"]["tickSize"])
        assert Decimal(str(r.lot)) == Decimal(filters["LOT_SIZE"]["stepSize"])
        assert r.px_exp >= -Decimal(filters["PRICE_FILTER"]["tickSize"]).normalize().as_tuple().exponent  # type: ignore[operator]
    assert all("_" not in r.symbol for r in tradable(rules, "USDT"))
