"""The ledger against real user events: the wallet identity to the last digit, and every fill once."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from aegis.ledger.ledger import Ledger, margin_asset
from aegis.ledger.position import Position
from aegis.ledger.postings import PostingKind, kind_of
from aegis.messages import (
    BalanceUpdate,
    ExecType,
    Fill,
    OrderStatus,
    OrderType,
    OrderUpdate,
    PositionUpdate,
    Side,
    Tif,
    TradeLite,
)
from aegis.units import ZERO, Num

DATA = Path(os.environ.get("AEGIS_DATA", Path(__file__).resolve().parents[4] / "shared" / "data")) / "user_stream"
N = Num.parse


def decode(line: str) -> list[object]:
    """A second, small reading of PROTOCOL 3, independent of the product's decoder."""
    event = json.loads(line)
    ns = int(event["E"]) * 1_000_000
    if event["e"] == "TRADE_LITE":
        return [
            TradeLite(
                symbol=event["s"], client_id=event["c"], order_id=event["i"], side=Side[event["S"]],
                qty=N(event["q"]), last_qty=N(event["l"]), last_price=N(event["L"]), trade_id=event["t"], exch_ns=ns,
            )
        ]  # fmt: skip
    if event["e"] == "ORDER_TRADE_UPDATE":
        o = event["o"]
        return [
            OrderUpdate(
                symbol=o["s"], client_id=o["c"], order_id=o["i"], side=Side[o["S"]], type=OrderType[o["o"]],
                tif=Tif[o["f"]], exec_type=ExecType[o["x"]], status=OrderStatus[o["X"]], qty=N(o["q"]),
                price=N(o["p"]), filled_qty=N(o["z"]), last_qty=N(o["l"]), last_price=N(o["L"]), trade_id=o["t"],
                commission=N(o.get("n", "0")), commission_asset=o.get("N", ""), realised=N(o["rp"]), exch_ns=ns,
            )
        ]  # fmt: skip
    if event["e"] != "ACCOUNT_UPDATE":
        return []
    a = event["a"]
    out: list[object] = [
        BalanceUpdate(
            asset=b["a"], wallet=N(b["wb"]), cross_wallet=N(b["cw"]), change=N(b["bc"]), reason=a["m"], exch_ns=ns
        )
        for b in a["B"]
    ]
    out += [
        PositionUpdate(
            symbol=p["s"], qty=N(p["pa"]), entry_price=N(p["ep"]), realised_total=N(p["cr"]), unrealised=N(p["up"]),
            reason=a["m"], exch_ns=ns,
        )
        for p in a["P"]
    ]  # fmt: skip
    return out


def fold(name: str, times: int = 1) -> Ledger:
    lines = (DATA / name).read_text().splitlines()
    ledger = Ledger()
    for line in lines:
        for message in decode(line) if line else ():
            for _ in range(times):
                ledger.apply(message)
    return ledger


def identity(ledger: Ledger) -> None:
    for asset, wallet in ledger.wallets.items():
        assert wallet == sum((ledger.total(asset, kind) for kind in PostingKind), ZERO)


needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="captures not present")


@needs_data
@pytest.mark.parametrize("times", [1, 2])
def test_open_and_close_reach_the_venues_balance_exactly(times: int) -> None:
    ledger = fold("2024-11-18_prod_oneway_open_close.jsonl", times)
    assert str(ledger.wallets["USDT"].trim()) == "640.89671759"
    assert ledger.claimed_wallets["USDT"][0] == ledger.wallets["USDT"]
    assert ledger.total("USDT", PostingKind.OPENING) == N("642.85271069")
    assert ledger.total("USDT", PostingKind.REALISED) == N("-1.7734")
    assert ledger.total("USDT", PostingKind.COMMISSION) == N("-0.1825931")
    assert ledger.positions["BTCUSDT"] == Position()
    assert ledger.disputed == [] and ledger.early == {}
    identity(ledger)


@needs_data
@pytest.mark.parametrize(
    ("name", "symbol", "qty", "asset", "wallet"),
    [
        ("2025-03-21_testnet_market_fill.jsonl", "BTCUSDT", "0.1", "USDT", "15237.42937172"),
        ("2025-10-22_prod_admin_transfer.jsonl", "BTCUSDT", "0", "USDT", "0"),
        ("2026-02-23_prod_solusdt_market.jsonl", "SOLUSDT", "0.1", "USDT", "1.73744723"),
        ("2026-09-19_prod_algo_update.jsonl", "DOTUSDT", "0", "USDT", "0"),
    ],
)
def test_every_file_folds(name: str, symbol: str, qty: str, asset: str, wallet: str) -> None:
    ledger = fold(name)
    assert ledger.early_qty(symbol) == N(qty)
    assert ledger.wallets.get(asset, ZERO) == N(wallet)
    identity(ledger)


@needs_data
def test_a_capture_with_missing_events_keeps_the_gap_visible() -> None:
    ledger = fold("2026-04-21_prod_ethusdc_amend_cancel_fill_funding.REENCODED.jsonl")
    assert ledger.qty("ETHUSDC") == N("0.02")
    assert ledger.total("USDC", PostingKind.FUNDING) == N("-0.00085067")
    assert ledger.total("USDC", PostingKind.TRANSFER) == N("0")
    assert ledger.wallets["USDC"] == N("38.84564996")
    assert ledger.claimed_wallets["USDC"][0] == N("37.87866827")
    identity(ledger)


def fill(side: Side, qty: str, price: str, trade_id: int, **more: object) -> Fill:
    base: dict[str, object] = {
        "symbol": "BTCUSDT", "order_id": 1, "commission": ZERO, "commission_asset": "USDT", "realised": ZERO,
        "margin_asset": "USDT", "maker": False, "exch_ns": trade_id,
    }  # fmt: skip
    return Fill(side=side, qty=N(qty), price=N(price), trade_id=trade_id, **(base | more))  # type: ignore[arg-type]  # test data


def test_trade_lite_moves_the_early_position_once() -> None:
    ledger = Ledger()
    lite = TradeLite(
        symbol="BTCUSDT", client_id="a", order_id=1, side=Side.SELL, qty=N("2"), last_qty=N("1"), last_price=N("9"),
        trade_id=5,
    )  # fmt: skip
    ledger.apply(lite)
    ledger.apply(lite)
    assert (ledger.early_qty("BTCUSDT"), ledger.qty("BTCUSDT")) == (N("-1"), ZERO)
    assert ledger.apply(fill(Side.SELL, "1", "9", 5)).fill is not None
    ledger.apply(lite)
    assert (ledger.early_qty("BTCUSDT"), ledger.qty("BTCUSDT")) == (N("-1"), N("-1"))
    ledger.confirm("BTCUSDT", 9)
    assert ledger.booked["BTCUSDT"] == set() and ledger.knows("BTCUSDT", 5) and not ledger.knows("BTCUSDT", 10)


def test_position_through_zero_and_partial_close() -> None:
    held, own = Position().after(N("3"), N("10"))
    held, own = held.after(N("-1"), N("13"))
    assert (held.qty, held.cost, own) == (N("2"), N("20"), N("3"))
    held, own = held.after(N("-5"), N("9"))
    assert (held.qty, held.cost, held.entry(), own) == (N("-3"), N("-27"), N("9"), N("-2"))
    held, own = held.after(N("3"), N("8"))
    assert (held, own) == (Position(), N("3"))


def test_commission_in_another_asset_falls_on_that_wallet() -> None:
    ledger = Ledger()
    ledger.open_wallet("USDT", N("100"), 0, "test")
    ledger.open_wallet("BNB", N("1"), 0, "test")
    ledger.apply(fill(Side.BUY, "1", "10", 1, commission=N("0.01"), commission_asset="BNB"))
    assert (ledger.wallets["USDT"], ledger.wallets["BNB"]) == (N("100"), N("0.99"))


def test_a_liquidation_without_trade_id_asks_for_the_records() -> None:
    ledger = Ledger()
    ledger.apply(
        OrderUpdate(
            symbol="BTCUSDT", client_id="autoclose-1", order_id=1, side=Side.SELL, type=OrderType.LIMIT, tif=Tif.IOC,
            exec_type=ExecType.CALCULATED, status=OrderStatus.FILLED, qty=N("1"), price=N("1"), filled_qty=N("1"),
            last_qty=N("1"), last_price=N("1"),
        )
    )  # fmt: skip
    assert ledger.unbookable == {"BTCUSDT"} and ledger.qty("BTCUSDT") == ZERO


def test_names() -> None:
    assert margin_asset("ETHUSDC", {}) == "USDC" and margin_asset("BTCUSDT_261225", {}) == "USDT"
    assert margin_asset("BTCUSDT", {"BTCUSDT": "USDC"}) == "USDC"
    assert kind_of("NEVER_SEEN") is PostingKind.OTHER and kind_of("FUNDING_FEE") is PostingKind.FUNDING
