"""Margin calls, liquidations, the insurance fund and deleveraging: who pays, who is told, and that money only moves."""

from __future__ import annotations

import json

import pytest
from core import Venue

from aegis.exchange import account_views, history, settings
from aegis.exchange.rules import Rules

LONG = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "1.000"}


def long_position(deep: str, wallet: int = 4000, **rules: bool) -> Venue:
    """A long of 1 BTC at 61 800 on a thin wallet; afterwards the book bids at `deep`."""
    venue = Venue({"main": wallet, "second": 100_000}, rules=Rules(**rules))  # type: ignore[arg-type]
    venue.quote("BTCUSDT", "61799.90", "61800.00")
    venue.mark("BTCUSDT", "61800")
    venue.place(**LONG)
    venue.quote("BTCUSDT", deep, "61800.00")
    return venue


def test_a_margin_call_comes_once_and_before() -> None:
    """When maintenance nears the balance the account is warned, once, and nothing is closed."""
    venue = long_position("58000.00")
    for mark in ("58110", "58105", "58110"):
        venue.mark("BTCUSDT", mark)
        venue.tick(1000)
    (call,) = venue.events("MARGIN_CALL")
    assert (call["p"][0]["s"], call["p"][0]["pa"]) == ("BTCUSDT", "1")
    assert venue.acc().position("BTCUSDT").qty == 1000


def test_the_displayed_price_is_where_it_happens() -> None:
    """At one unit above positionRisk's liquidationPrice nothing happens, below it the position goes."""
    venue = long_position("57000.00")
    (row,) = account_views.position_risk(venue.ex, venue.acc(), {})
    at = int(float(row["liquidationPrice"]))
    venue.mark("BTCUSDT", str(at + 1))
    venue.tick(1000)
    assert venue.acc().position("BTCUSDT").qty == 1000
    venue.mark("BTCUSDT", str(at - 1))
    venue.tick(1000)
    assert venue.acc().position("BTCUSDT").qty == 0


def test_a_liquidation_trades_tells_and_pays_its_fee() -> None:
    """Open orders expire (er 5), an autoclose order trades in the book, the fund takes its fee, the books balance."""
    venue = long_position("58050.00")
    venue.place(symbol="BTCUSDT", side="SELL", type="LIMIT", timeInForce="GTC", price="63000", quantity="0.010")
    fund = venue.ex.house.insurance["USDT"]
    venue.mark("BTCUSDT", "58060")
    venue.tick(1000)
    ends = [e["o"] for e in venue.events("ORDER_TRADE_UPDATE") if e["o"]["x"] in ("EXPIRED", "TRADE")]
    assert ends[1]["er"] == "5"
    assert ends[-1]["c"].startswith("autoclose-") and ends[-1]["X"] == "FILLED" and ends[-1]["L"] == "58050"
    assert venue.ex.house.insurance["USDT"] > fund
    (row,) = history.force_orders(venue.ex, venue.acc(), {"symbol": "BTCUSDT", "autoCloseType": "LIQUIDATION"})
    assert row["status"] == "FILLED"
    assert [r["incomeType"] for r in history.income(venue.ex, venue.acc(), {"incomeType": "INSURANCE_CLEAR"})]
    assert venue.acc().wallet["USDT"] >= 0
    venue.ex.verify()


def test_beyond_bankruptcy_the_fund_pays() -> None:
    """Nobody bids above the bankruptcy price: the rest is taken over there, and the wallet ends at nothing."""
    venue = long_position("50000.00")
    printed: list[str] = []
    venue.ex.hub.publish = lambda name, text: printed.append(text) if name == "btcusdt@trade" else None  # type: ignore[method-assign]
    venue.mark("BTCUSDT", "57000")
    venue.tick(1000)
    assert venue.acc().position("BTCUSDT").qty == 0
    assert "CALCULATED" in {e["o"]["x"] for e in venue.events("ORDER_TRADE_UPDATE")}
    assert [json.loads(text)["X"] for text in printed] == ["INSURANCE_FUND"]
    assert venue.acc().wallet["USDT"] == 0
    venue.ex.verify()


def test_deleveraging_takes_the_other_side_s_winners() -> None:
    """With the fund left out, the short in profit is closed at the bankruptcy price by an adl_autoclose order."""
    venue = long_position("50000.00", adl_first=True)
    venue.quote("BTCUSDT", "61799.90", "61800.00")
    venue.place("second", symbol="BTCUSDT", side="SELL", type="MARKET", quantity="0.400")
    venue.quote("BTCUSDT", "50000.00", "61800.00")
    venue.mark("BTCUSDT", "57000")
    assert account_views.adl_quantile(venue.ex, venue.acc("second"), {"symbol": "BTCUSDT"})[0]["adlQuantile"] == {
        "BOTH": 4
    }
    venue.tick(1000)
    mine = [e["o"]["c"] for e in venue.events("ORDER_TRADE_UPDATE", "second") if e["o"]["x"] == "CALCULATED"]
    assert len(mine) == 1 and mine[0].startswith("adl_autoclose")
    assert venue.acc("second").position("BTCUSDT").qty == 0 == venue.acc().position("BTCUSDT").qty
    venue.ex.verify()


@pytest.mark.parametrize("deep", ["59300.00", "50000.00"])
def test_an_isolated_position_costs_no_more_than_its_margin(deep: str) -> None:
    """Its own margin is used up; the cross wallet beside it is not touched."""
    venue = Venue({"main": 10_000})
    venue.quote("BTCUSDT", "61799.90", "61800.00")
    venue.mark("BTCUSDT", "61800")
    settings.margin_type(venue.ex, venue.acc(), {"symbol": "BTCUSDT", "marginType": "ISOLATED"})
    venue.place(**LONG)
    aside = venue.acc().position("BTCUSDT").isolated_e8
    cross = venue.acc().wallet["USDT"] - aside
    venue.quote("BTCUSDT", deep, "61800.00")
    venue.mark("BTCUSDT", "58000")
    venue.tick(1000)
    assert venue.acc().position("BTCUSDT").qty == 0
    assert venue.acc().wallet["USDT"] >= cross
    venue.ex.verify()


def test_a_healthy_account_is_left_alone() -> None:
    """The canary of the other tests: with a full wallet the same marks close nothing."""
    venue = long_position("50000.00", wallet=100_000)
    venue.mark("BTCUSDT", "57000")
    venue.tick(1000)
    assert venue.acc().position("BTCUSDT").qty == 1000 and not venue.events("MARGIN_CALL")


def test_funding_moves_money_and_makes_none() -> None:
    """A long pays what the other side receives; the event names the symbol and lists no cross position."""
    venue = long_position("61799.90", wallet=100_000)
    before = venue.acc().wallet["USDT"]
    m = venue.ex.markets["BTCUSDT"]
    venue.ex.clockwork.fund(m, 10_000, m.mark())
    assert venue.acc().wallet["USDT"] == before - 618 * 10**6
    event = venue.events("ACCOUNT_UPDATE")[-1]["a"]
    assert (event["m"], event["S"], event["P"], event["B"][0]["bc"]) == ("FUNDING_FEE", "BTCUSDT", [], "-6.18")
    venue.ex.verify()


def test_a_margin_call_of_one_asset_is_not_repeated_by_another() -> None:
    """A healthy position in USDC does not make the venue warn again and again about the one in USDT."""
    venue = long_position("58000.00")
    venue.acc().transfer("USDC", 1000 * 10**8, venue.now)
    venue.quote("BTCUSDC", "61790.0", "61795.0")
    venue.mark("BTCUSDC", "61795")
    venue.place(symbol="BTCUSDC", side="BUY", type="MARKET", quantity="0.010")
    for _ in range(3):
        venue.mark("BTCUSDT", "58110")
        venue.tick(1000)
    assert len(venue.events("MARGIN_CALL")) == 1


def test_both_sides_of_a_hedge_share_one_liquidation_price() -> None:
    """A long of 0.6 against a short of 0.3 falls like 0.3 alone: the price shown is where it happens."""
    venue = Venue({"main": 3000})
    venue.quote("BTCUSDT", "61799.90", "61800.00")
    venue.mark("BTCUSDT", "61800")
    settings.set_dual(venue.ex, venue.acc(), {"dualSidePosition": "true"})
    for side, position_side, quantity in (("BUY", "LONG", "0.600"), ("SELL", "SHORT", "0.300")):
        venue.place(symbol="BTCUSDT", side=side, positionSide=position_side, type="MARKET", quantity=quantity)
    shown = {row["liquidationPrice"] for row in account_views.position_risk(venue.ex, venue.acc(), {})}
    assert len(shown) == 1
    at = int(float(shown.pop()))
    venue.mark("BTCUSDT", str(at + 1))
    venue.tick(1000)
    assert venue.acc().position("BTCUSDT", "LONG").qty == 600
    venue.mark("BTCUSDT", str(at - 1))
    venue.tick(1000)
    assert venue.acc().position("BTCUSDT", "LONG").qty == 0
    venue.ex.verify()


def test_multi_assets_stand_and_fall_together() -> None:
    """All maintenance stands against all balances, and the fund gives nothing while another asset covers a debt."""
    venue = Venue({"main": 100})
    venue.acc().transfer("USDC", 4000 * 10**8, venue.now)
    for symbol in ("BTCUSDT", "BTCUSDC"):
        venue.quote(symbol, "61799.90" if symbol == "BTCUSDT" else "61799.9", "61800.0")
        venue.mark(symbol, "61800")
    settings.set_multi(venue.ex, venue.acc(), {"multiAssetsMargin": "true"})
    for symbol in ("BTCUSDT", "BTCUSDC"):
        venue.place(symbol=symbol, side="BUY", type="MARKET", quantity="0.500")
    fund = sum(venue.ex.house.insurance.values())
    for mark, held in (("57980", 500), ("57950", 0)):  # 4100 - 31 of fees - loss against 0.5 % of two halves less cum
        for symbol in ("BTCUSDT", "BTCUSDC"):
            venue.quote(symbol, f"{mark}.0", "61800.0")
            venue.mark(symbol, mark)
        venue.tick(1000)
        assert venue.acc().position("BTCUSDT").qty == held, mark
    assert venue.acc().wallet["USDT"] < 0 <= sum(venue.acc().wallet.values())
    assert sum(venue.ex.house.insurance.values()) > fund
    venue.ex.verify()


def test_an_isolated_position_is_warned_of_and_pays_its_fee() -> None:
    """One warning without a cross wallet; closed above bankruptcy, the fund takes what is left of its margin."""
    venue = Venue({"main": 10_000})
    venue.quote("BTCUSDT", "61799.90", "61800.00")
    venue.mark("BTCUSDT", "61800")
    settings.margin_type(venue.ex, venue.acc(), {"symbol": "BTCUSDT", "marginType": "ISOLATED"})
    venue.place(**LONG)
    aside, fund = venue.acc().position("BTCUSDT").isolated_e8, venue.ex.house.insurance["USDT"]
    cross = venue.acc().wallet["USDT"] - aside
    for mark in ("59010", "59000", "59010"):
        venue.mark("BTCUSDT", mark)
        venue.tick(1000)
    (call,) = venue.events("MARGIN_CALL")
    assert "cw" not in call and call["p"][0]["mt"] == "ISOLATED" and call["p"][0]["iw"] == "3090"
    venue.quote("BTCUSDT", "58900.00", "61800.00")
    venue.mark("BTCUSDT", "58900")
    venue.tick(1000)
    assert venue.acc().position("BTCUSDT").qty == 0
    assert venue.acc().wallet["USDT"] == cross
    assert venue.ex.house.insurance["USDT"] - fund == aside - 2900 * 10**8 - 2945 * 10**6
    venue.ex.verify()
