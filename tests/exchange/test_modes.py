"""Position modes, margin types and what they allow; priceMatch, amendments, self-trade prevention, two-sided books."""

from __future__ import annotations

import pytest
from core import Venue

from aegis.errors import VenueError
from aegis.exchange import account_views, algo_orders, batch, history, orders, settings
from aegis.exchange.matching import BUY, SELL
from aegis.exchange.rules import Rules

BTC = {"symbol": "BTCUSDT", "quantity": "0.010"}
LIMIT = BTC | {"type": "LIMIT", "timeInForce": "GTC"}


@pytest.fixture
def venue() -> Venue:
    """Two accounts of 10 000 USDT, BTCUSDT at 61 800."""
    it = Venue({"main": 10_000, "second": 10_000})
    it.quote("BTCUSDT", "61799.90", "61800.00")
    it.mark("BTCUSDT", "61800")
    return it


def code(call: object, *args: object) -> int:
    """The code of a refusal."""
    with pytest.raises(VenueError) as e:
        call(*args)  # type: ignore[operator]
    return e.value.code


def test_hedge_mode_holds_both_sides(venue: Venue) -> None:
    """Long and short live side by side; each is closed by its own side; one-way parameters are refused."""
    acc = venue.acc()
    assert venue.refused(**BTC, side="BUY", type="MARKET", positionSide="LONG") == -4061
    settings.set_dual(venue.ex, acc, {"dualSidePosition": "true"})
    assert code(settings.set_dual, venue.ex, acc, {"dualSidePosition": "true"}) == -4059
    assert venue.refused(**BTC, side="BUY", type="MARKET") == -4061
    assert venue.refused(**BTC, side="SELL", type="MARKET", positionSide="LONG", reduceOnly="true") == -1106
    assert venue.refused(**BTC, side="SELL", type="MARKET", positionSide="LONG") == -2022
    venue.place(**BTC, side="BUY", type="MARKET", positionSide="LONG")
    venue.place(**BTC, side="SELL", type="MARKET", positionSide="SHORT")
    rows = {r["positionSide"]: r["positionAmt"] for r in account_views.position_risk(venue.ex, acc, {})}
    assert rows == {"LONG": "0.010", "SHORT": "-0.010"}
    assert code(settings.set_dual, venue.ex, acc, {"dualSidePosition": "false"}) == -4068
    venue.place(**BTC, side="SELL", type="MARKET", positionSide="LONG")
    venue.place(**BTC, side="BUY", type="MARKET", positionSide="SHORT")
    assert account_views.position_risk(venue.ex, acc, {}) == []
    assert {e["a"]["P"][0]["ps"] for e in venue.events("ACCOUNT_UPDATE")} == {"LONG", "SHORT"}
    venue.ex.verify()


def test_isolated_margin_is_set_aside_and_released(venue: Venue) -> None:
    """The isolated wallet is the entry's share of leverage, follows the size, and leaves the cross wallet."""
    acc = venue.acc()
    settings.margin_type(venue.ex, acc, {"symbol": "BTCUSDT", "marginType": "ISOLATED"})
    assert code(settings.margin_type, venue.ex, acc, {"symbol": "BTCUSDT", "marginType": "ISOLATED"}) == -4046
    venue.place(**BTC, side="BUY", type="MARKET")
    (row,) = account_views.position_risk(venue.ex, acc, {})
    assert row["isolatedWallet"] == "30.90000000"
    (usdt,) = (a for a in account_views.account(venue.ex, acc, {})["assets"] if a["asset"] == "USDT")
    assert usdt["walletBalance"] == "9999.69100000" and usdt["crossWalletBalance"] == "9968.79100000"
    settings.position_margin(venue.ex, acc, {"symbol": "BTCUSDT", "amount": "10", "type": "1"})
    assert code(settings.position_margin, venue.ex, acc, {"symbol": "BTCUSDT", "amount": "20", "type": "2"}) == -4051
    assert account_views.position_risk(venue.ex, acc, {})[0]["isolatedWallet"] == "40.90000000"
    assert code(settings.margin_type, venue.ex, acc, {"symbol": "BTCUSDT", "marginType": "CROSSED"}) == -4048
    venue.place(symbol="BTCUSDT", quantity="0.005", side="SELL", type="MARKET", reduceOnly="true")
    assert account_views.position_risk(venue.ex, acc, {})[0]["isolatedWallet"] == "20.45000000"
    venue.place(symbol="BTCUSDT", quantity="0.005", side="SELL", type="MARKET")
    assert acc.position("BTCUSDT").isolated_e8 == 0
    venue.ex.verify()


def test_isolated_margin_through_zero_and_at_other_prices(venue: Venue) -> None:
    """A turn frees what the old side had, also what was added by hand; more size brings its own price's share."""
    acc = venue.acc()
    settings.margin_type(venue.ex, acc, {"symbol": "BTCUSDT", "marginType": "ISOLATED"})
    venue.place(**BTC, side="BUY", type="MARKET")
    settings.position_margin(venue.ex, acc, {"symbol": "BTCUSDT", "amount": "500", "type": "1"})
    venue.place(symbol="BTCUSDT", quantity="0.030", side="SELL", type="MARKET")
    assert account_views.position_risk(venue.ex, acc, {})[0]["isolatedWallet"] == "61.79990000"  # 0.020 * 61799.9 / 20
    assert venue.events("ACCOUNT_UPDATE")[-1]["a"]["P"][0]["iw"] == "61.7999"
    venue.quote("BTCUSDT", "60000.00", "60001.00")
    venue.place(**BTC, side="SELL", type="MARKET")
    assert account_views.position_risk(venue.ex, acc, {})[0]["isolatedWallet"] == "91.79990000"  # + 0.010 * 60000 / 20
    venue.ex.verify()


def test_leverage_bounds_and_its_notice(venue: Venue) -> None:
    """Out of range, too large a position and too little margin are refused; a change is told and shown."""
    acc = venue.acc()
    ask = {"symbol": "BTCUSDT"}
    assert code(settings.leverage, venue.ex, acc, ask | {"leverage": "126"}) == -4028
    assert settings.leverage(venue.ex, acc, ask | {"leverage": "50"})["leverage"] == 50
    assert venue.events("ACCOUNT_CONFIG_UPDATE")[-1]["ac"] == {"s": "BTCUSDT", "l": 50}
    venue.place(symbol="BTCUSDT", quantity="3.000", side="BUY", type="MARKET")
    assert code(settings.leverage, venue.ex, acc, ask | {"leverage": "5"}) == -2028
    assert acc.leverage("BTCUSDT") == 50
    assert venue.refused(symbol="BTCUSDT", quantity="8.000", side="BUY", type="MARKET") == -2019


def test_price_match_takes_the_book_s_price(venue: Venue) -> None:
    """OPPONENT takes the other side's best, QUEUE the own; a missing level is -5041, a withdrawn one -5037."""
    assert venue.place(**LIMIT, side="BUY", priceMatch="QUEUE")["price"] == "61799.90"
    venue.place(**LIMIT, side="BUY", priceMatch="OPPONENT")
    assert venue.acc().position("BTCUSDT").qty == 10
    assert venue.refused(**LIMIT, side="BUY", priceMatch="OPPONENT_5") == -5041
    assert venue.refused(**LIMIT, side="BUY", priceMatch="OPPONENT_10") == -5037
    assert venue.refused(**LIMIT, side="BUY", priceMatch="QUEUE", price="61000") == -1106


@pytest.mark.parametrize("keeps", [False, True])
def test_an_amendment_and_its_place_in_the_queue(keeps: bool) -> None:
    """A smaller size loses the place in the queue, unless the switch says otherwise; it is on record."""
    venue = Venue({"main": 10_000}, rules=Rules(amend_down_keeps_place=keeps))
    venue.quote("BTCUSDT", "61700.00", "61800.00")
    placed = venue.place(**LIMIT, side="BUY", price="61750.00")
    venue.street("BTCUSDT", BUY, "61750.00", "0.010")
    orders.modify(
        venue.ex,
        venue.acc(),
        {
            "symbol": "BTCUSDT",
            "orderId": str(placed["orderId"]),
            "side": "BUY",
            "quantity": "0.005",
            "price": "61750.00",
        },
    )
    venue.street("BTCUSDT", SELL, "61750.00", "0.005")
    assert venue.acc().position("BTCUSDT").qty == (5 if keeps else 0)
    (row,) = history.amendments(venue.ex, venue.acc(), {"symbol": "BTCUSDT", "orderId": str(placed["orderId"])})
    assert row["amendment"]["origQty"] == {"before": "0.010", "after": "0.005"}
    venue.ex.verify()


def test_amendments_are_refused_as_documented(venue: Venue) -> None:
    """-5027 nothing changes, -5029 below the notional, -4014 off the tick, -5047 not reduce-only, -2013 gone."""
    placed = venue.place(**LIMIT, side="BUY", price="61000.00")
    base = {"symbol": "BTCUSDT", "orderId": str(placed["orderId"]), "side": "BUY", "quantity": "0.010"}

    def amend(**p: str) -> int:
        return code(orders.modify, venue.ex, venue.acc(), base | p)

    assert amend(price="61000.00") == -5027
    assert amend(price="61000.00", quantity="0.001") == -5029
    assert amend(price="61000.05") == -4014
    assert amend(price="61001.00", reduceOnly="true") == -5047
    assert amend(price="61001.00", side="SELL") == -1117
    orders.cancel(venue.ex, venue.acc(), base)
    assert amend(price="61001.00") == -2013


@pytest.mark.parametrize(
    ("mode", "maker", "taker"),
    [
        ("EXPIRE_MAKER", "EXPIRED_IN_MATCH", "NEW"),
        ("EXPIRE_TAKER", "NEW", "EXPIRED_IN_MATCH"),
        ("EXPIRE_BOTH", "EXPIRED_IN_MATCH", "EXPIRED_IN_MATCH"),
        ("NONE", "FILLED", "FILLED"),
    ],
)
def test_self_trade_prevention(venue: Venue, mode: str, maker: str, taker: str) -> None:
    """Own orders never meet unless the mode says so; another account's always do."""
    mine = venue.place(**LIMIT, side="BUY", price="61800.00", newOrderRespType="RESULT")
    venue.quote("BTCUSDT", "61700.00", "61900.00")
    resting = venue.place(**LIMIT, side="BUY", price="61750.00")
    crossing = venue.place(
        **LIMIT, side="SELL", price="61750.00", selfTradePreventionMode=mode, newOrderRespType="RESULT"
    )
    states = {r["orderId"]: r["status"] for r in history.all_orders(venue.ex, venue.acc(), {"symbol": "BTCUSDT"})}
    assert mine["status"] == "FILLED"
    assert (states[resting["orderId"]], states[crossing["orderId"]]) == (maker, taker)
    venue.ex.verify()


def test_two_accounts_trade_with_each_other(venue: Venue) -> None:
    """Both sides are booked, both are told, fees are the house's, and money only moved."""
    venue.quote("BTCUSDT", "61000.00", "62000.00")
    venue.place("second", **LIMIT, side="SELL", price="61500.00")
    venue.place(**LIMIT, side="BUY", price="61500.00")
    assert venue.acc().position("BTCUSDT").qty == 10 == -venue.acc("second").position("BTCUSDT").qty
    assert [e["o"]["m"] for e in venue.events("ORDER_TRADE_UPDATE", "second") if e["o"]["x"] == "TRADE"] == [True]
    assert venue.ex.house.fees["USDT"] == 615 * 10**8 * 700 // 1_000_000
    assert venue.ex.verify()["USDT"] == "1020000.00000000"


def test_fee_burn_pays_in_bnb(venue: Venue) -> None:
    """With burning on the fee leaves the BNB wallet at a tenth less and the USDT wallet is untouched."""
    acc = venue.acc()
    acc.transfer("BNB", 10**8, venue.now)
    settings.set_burn(venue.ex, acc, {"feeBurn": "true"})
    venue.mark("BNBUSDT", "900")
    venue.place(**BTC, side="BUY", type="MARKET")
    (fill,) = history.user_trades(venue.ex, acc, {"symbol": "BTCUSDT"})
    assert (fill["commission"], fill["commissionAsset"]) == ("0.00030900", "BNB")
    assert acc.wallet["USDT"] == 10_000 * 10**8
    venue.ex.verify()


def test_reduce_only_orders_cover_each_other(venue: Venue) -> None:
    """-2022 without or beyond the position, -4118 when other exits already cover it."""
    assert venue.refused(**BTC, side="SELL", type="MARKET", reduceOnly="true") == -2022
    venue.place(**BTC, side="BUY", type="MARKET")
    venue.place(**LIMIT, side="SELL", price="62500.00", reduceOnly="true")
    assert venue.refused(**BTC, side="SELL", type="MARKET", reduceOnly="true") == -4118
    orders.cancel_all(venue.ex, venue.acc(), {"symbol": "BTCUSDT"})
    venue.place(**BTC, side="SELL", type="MARKET", reduceOnly="true")
    assert venue.acc().position("BTCUSDT").qty == 0


@pytest.mark.parametrize("default", ["EXPIRE_MAKER", "NONE"])
def test_default_self_trade_prevention_is_a_switch(default: str) -> None:
    """Batch orders that name no mode get the configured one."""
    venue = Venue({"main": 10_000}, rules=Rules(default_stp_batch=default))
    venue.quote("BTCUSDT", "61799.90", "61800.00")
    row = '[{"symbol":"BTCUSDT","side":"BUY","type":"LIMIT","timeInForce":"GTC","quantity":"0.010","price":"61000"}]'
    (placed,) = batch.place(venue.ex, venue.acc(), {"batchOrders": row})
    assert placed["selfTradePreventionMode"] == default


def test_conditional_orders_are_no_orders(venue: Venue) -> None:
    """The order endpoint refuses them with -4120, openOrders does not show them, -2021 meets a reached trigger."""
    assert venue.refused(**BTC, side="SELL", type="STOP_MARKET", stopPrice="60000") == -4120
    ask = BTC | {"algoType": "CONDITIONAL", "type": "STOP_MARKET", "side": "SELL", "triggerPrice": "60000"}
    algo_orders.place(venue.ex, venue.acc(), ask)
    assert history.open_orders(venue.ex, venue.acc(), {}) == []
    assert code(algo_orders.place, venue.ex, venue.acc(), ask | {"triggerPrice": "61900"}) == -2021


def test_multi_assets_mode_is_refused_by_what_stands_in_its_way(venue: Venue) -> None:
    """-4171 no change, -4167 isolated symbols, -4170 open orders."""
    acc = venue.acc()

    def switch() -> int:
        return code(settings.set_multi, venue.ex, acc, {"multiAssetsMargin": "true"})

    assert code(settings.set_multi, venue.ex, acc, {"multiAssetsMargin": "false"}) == -4171
    ask = {"symbol": "BTCUSDT"}
    settings.margin_type(venue.ex, acc, ask | {"marginType": "ISOLATED"})
    assert switch() == -4167
    settings.margin_type(venue.ex, acc, ask | {"marginType": "CROSSED"})
    venue.place(**LIMIT, side="BUY", price="61000.00")
    assert switch() == -4170
    orders.cancel_all(venue.ex, acc, ask)
    settings.set_multi(venue.ex, acc, {"multiAssetsMargin": "true"})
    assert code(settings.margin_type, venue.ex, acc, ask | {"marginType": "ISOLATED"}) == -4168


def test_margin_by_hand_is_refused_with_its_reason(venue: Venue) -> None:
    """-4049 not isolated, -4054 no position, -4055 nothing to move."""
    acc, ask = venue.acc(), {"symbol": "BTCUSDT", "amount": "1", "type": "1"}
    assert code(settings.position_margin, venue.ex, acc, ask) == -4049
    settings.margin_type(venue.ex, acc, {"symbol": "BTCUSDT", "marginType": "ISOLATED"})
    assert code(settings.position_margin, venue.ex, acc, ask) == -4054
    venue.place(**BTC, side="BUY", type="MARKET")
    assert code(settings.position_margin, venue.ex, acc, ask | {"amount": "0"}) == -4055


def test_a_market_order_may_name_no_price_match(venue: Venue) -> None:
    """NONE is what every order has; another is -5038."""
    assert venue.refused(**BTC, side="BUY", type="MARKET", priceMatch="QUEUE") == -5038
    venue.place(**BTC, side="BUY", type="MARKET", priceMatch="NONE")
    assert venue.acc().position("BTCUSDT").qty == 10


def test_a_gtd_order_expires_without_a_reason_code(venue: Venue) -> None:
    """The table of reasons has none for GTD; 6 is a conditional order's."""
    venue.place(
        **BTC, side="BUY", type="LIMIT", timeInForce="GTD", price="61000.00", goodTillDate=str(venue.now + 601_000)
    )
    venue.tick(602_000)
    last = venue.events("ORDER_TRADE_UPDATE")[-1]["o"]
    assert (last["x"], last["X"], last["er"]) == ("EXPIRED", "EXPIRED", "0")


def test_open_orders_count_against_a_leverage(venue: Venue) -> None:
    """A leverage that would not have allowed what is already ordered is refused."""
    venue.acc().transfer("USDT", 10**7 * 10**8, venue.now)
    placed = venue.place(
        symbol="BTCUSDT", quantity="50.000", side="BUY", type="LIMIT", timeInForce="GTC", price="61000"
    )
    ask = {"symbol": "BTCUSDT", "leverage": "125"}
    assert code(settings.leverage, venue.ex, venue.acc(), ask) == -2027
    orders.cancel(venue.ex, venue.acc(), {"symbol": "BTCUSDT", "orderId": str(placed["orderId"])})
    assert settings.leverage(venue.ex, venue.acc(), ask)["maxNotionalValue"] == "300000"


def test_fill_or_kill_is_whole_also_against_an_own_order(venue: Venue) -> None:
    """Self-trade prevention spares FOK, else half of one could remain."""
    venue.quote("BTCUSDT", "61700.00", "62000.00", "0.005")
    venue.place(**LIMIT, side="SELL", price="62000.00")
    ask = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "FOK", "price": "62000.00"}
    assert venue.refused(**ask, quantity="0.016") == -5021
    assert venue.place(**ask, quantity="0.015", newOrderRespType="RESULT")["status"] == "FILLED"
    venue.ex.verify()


def test_an_amendment_that_ends_a_triggered_order_finishes_its_algo(venue: Venue) -> None:
    """Self-trade prevention ends the amended order; the conditional order it came from is FINISHED, not forgotten."""
    algo_orders.place(
        venue.ex,
        venue.acc(),
        BTC
        | {"algoType": "CONDITIONAL", "type": "STOP", "side": "BUY", "triggerPrice": "61900", "price": "61700.00"}
        | {"workingType": "MARK_PRICE", "selfTradePreventionMode": "EXPIRE_TAKER"},
    )
    venue.mark("BTCUSDT", "61900")
    venue.tick(1000)
    (row,) = history.open_orders(venue.ex, venue.acc(), {})
    venue.quote("BTCUSDT", "61600.00", "62000.00")
    venue.place(**LIMIT, side="SELL", price="61950.00")
    ask = {"symbol": "BTCUSDT", "orderId": str(row["orderId"]), "side": "BUY", "quantity": "0.010", "price": "61950.00"}
    assert orders.modify(venue.ex, venue.acc(), ask)["status"] == "EXPIRED_IN_MATCH"
    assert venue.events("ALGO_UPDATE")[-1]["o"]["X"] == "FINISHED"


def test_a_window_turned_round_is_refused(venue: Venue) -> None:
    """-1023 when it ends before it starts, -4165 when it is wider than seven days."""
    ask = {"symbol": "BTCUSDT", "startTime": "1790000000000"}
    assert code(history.all_orders, venue.ex, venue.acc(), ask | {"endTime": "1789999999999"}) == -1023
    assert code(history.user_trades, venue.ex, venue.acc(), ask | {"endTime": "1790604800001"}) == -4165


def test_reduce_only_never_opens_in_the_middle_of_a_sweep(venue: Venue) -> None:
    """One large order takes a plain exit and then meets a reduce-only one: only what is still held trades (er 4)."""
    venue.place(**BTC, side="BUY", type="MARKET")
    venue.quote("BTCUSDT", "61799.90", "63000.00", "0.001")
    venue.place(**LIMIT | {"quantity": "0.006"}, side="SELL", price="62000.00")
    venue.place(**LIMIT, side="SELL", price="62100.00", reduceOnly="true")
    venue.told.clear()
    venue.street("BTCUSDT", BUY, "62200.00", "0.050")
    assert venue.acc().position("BTCUSDT").qty == 0
    seen = [(e["o"]["x"], e["o"]["X"], e["o"]["z"], e["o"]["er"]) for e in venue.events("ORDER_TRADE_UPDATE")]
    assert seen == [
        ("TRADE", "FILLED", "0.006", "0"),
        ("TRADE", "PARTIALLY_FILLED", "0.004", "0"),
        ("EXPIRED", "EXPIRED", "0.004", "4"),
    ]
    assert history.open_orders(venue.ex, venue.acc(), {}) == []
    venue.ex.verify()


@pytest.mark.parametrize("cut", [True, False])
def test_a_reduce_only_order_larger_than_the_position(cut: bool) -> None:
    """Refused, or cut to what is held: a switch, because clients have met both."""
    venue = Venue({"main": 10_000}, rules=Rules(cut_reduce_only=cut))
    venue.quote("BTCUSDT", "61799.90", "61800.00")
    venue.place(symbol="BTCUSDT", quantity="0.005", side="BUY", type="MARKET")
    if cut:
        venue.place(**BTC, side="SELL", type="MARKET", reduceOnly="true")
        assert venue.acc().position("BTCUSDT").qty == 0
    else:
        assert venue.refused(**BTC, side="SELL", type="MARKET", reduceOnly="true") == -2022


def test_the_oldest_orders_without_a_fill_are_let_go(venue: Venue) -> None:
    """A busy client does not fill the venue's memory; open and filled orders stay."""
    acc = venue.acc()
    acc.kept_max = acc.sweep_at = 40
    resting = venue.place(**LIMIT, side="BUY", price="60000.00")["orderId"]
    filled = venue.place(**BTC, side="BUY", type="MARKET")["orderId"]
    first = venue.place(**LIMIT, side="BUY", price="61000.00")["orderId"]
    for _ in range(200):
        placed = venue.place(**LIMIT, side="BUY", price="61000.00")
        orders.cancel(venue.ex, acc, {"symbol": "BTCUSDT", "orderId": str(placed["orderId"])})
    orders.cancel(venue.ex, acc, {"symbol": "BTCUSDT", "orderId": str(first)})
    assert len(acc.orders) <= 41 and len(acc.by_client) <= 41
    assert {o.id for o in acc.orders_of["BTCUSDT"]} == {i for _, i in acc.orders}
    for ident in (resting, filled, placed["orderId"]):
        assert orders.query(venue.ex, acc, {"symbol": "BTCUSDT", "orderId": str(ident)})["orderId"] == ident
