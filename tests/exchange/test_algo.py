"""Conditional orders: when they trigger, what they become, and what is told about it."""

from __future__ import annotations

import pytest
from core import Venue

from aegis.errors import VenueError
from aegis.exchange import algo_orders, history, orders, settings
from aegis.exchange.matching import BUY
from aegis.exchange.rules import Rules

BASE = {"symbol": "BTCUSDT", "algoType": "CONDITIONAL", "quantity": "0.010"}


@pytest.fixture
def venue() -> Venue:
    """One account, long 0.010 BTCUSDT at 61 800."""
    it = Venue({"main": 10_000})
    it.quote("BTCUSDT", "61799.90", "61800.00")
    it.mark("BTCUSDT", "61800")
    it.place(symbol="BTCUSDT", quantity="0.010", side="BUY", type="MARKET")
    return it


def add(venue: Venue, **p: str) -> dict[str, object]:
    """POST algoOrder."""
    return algo_orders.place(venue.ex, venue.acc(), BASE | p)


def states(venue: Venue) -> list[str]:
    """States told so far."""
    return [e["o"]["X"] for e in venue.events("ALGO_UPDATE")]


@pytest.mark.parametrize(
    ("kind", "side", "trigger", "before", "after"),
    [
        ("STOP_MARKET", "SELL", "61000.00", "61001", "61000"),
        ("STOP_MARKET", "BUY", "62000.00", "61999", "62000"),
        ("TAKE_PROFIT_MARKET", "SELL", "62000.00", "61999", "62000"),
        ("TAKE_PROFIT_MARKET", "BUY", "61000.00", "61001", "61000"),
    ],
)
def test_each_kind_triggers_at_its_price_and_not_before(
    venue: Venue, kind: str, side: str, trigger: str, before: str, after: str
) -> None:
    """Stops trigger against the position, take-profits with it, at the trigger and not one short of it."""
    a = add(venue, type=kind, side=side, triggerPrice=trigger, workingType="MARK_PRICE", clientAlgoId="stop")
    venue.mark("BTCUSDT", before)
    venue.tick(1000)
    assert states(venue) == ["NEW"]
    venue.mark("BTCUSDT", after)
    venue.tick(1000)
    assert states(venue) == ["NEW", "TRIGGERING", "TRIGGERED", "FINISHED"]
    row = algo_orders.query(venue.ex, venue.acc(), {"clientAlgoId": "stop"})
    became = orders.query(venue.ex, venue.acc(), {"symbol": "BTCUSDT", "orderId": str(row["actualOrderId"])})
    assert became["orderId"] != a["algoId"] and became["clientOrderId"] != "stop"
    assert (became["status"], became["origType"], became["type"]) == ("FILLED", kind, "MARKET")


def test_last_price_is_the_default_and_a_limit_rests(venue: Venue) -> None:
    """Without workingType the last trade counts; a STOP becomes a resting LIMIT and finishes with its fill."""
    add(venue, type="STOP", side="BUY", triggerPrice="61900.00", price="61850.00")
    venue.mark("BTCUSDT", "62000")
    venue.tick(1000)
    assert states(venue) == ["NEW"]
    venue.quote("BTCUSDT", "61899.00", "61900.00")
    venue.place(symbol="BTCUSDT", quantity="0.010", side="BUY", type="MARKET")
    venue.tick(1000)
    assert states(venue)[-1] == "TRIGGERED"
    (row,) = history.open_orders(venue.ex, venue.acc(), {})
    assert (row["price"], row["stopPrice"], row["origType"]) == ("61850", "61900", "STOP")
    venue.street("BTCUSDT", -BUY, "61850.00", "200")
    venue.tick(1000)
    assert states(venue)[-1] == "FINISHED"


def test_cancelling_what_it_became_finishes_it(venue: Venue) -> None:
    """FINISHED says the conditional order's work is done, not that anything was filled."""
    add(venue, type="STOP", side="BUY", triggerPrice="61900.00", price="61850.00", workingType="MARK_PRICE")
    venue.mark("BTCUSDT", "61900")
    venue.quote("BTCUSDT", "61899.00", "61900.00")
    venue.tick(1000)
    assert states(venue)[-1] == "TRIGGERED"
    orders.cancel_all(venue.ex, venue.acc(), {"symbol": "BTCUSDT"})
    assert states(venue)[-1] == "FINISHED"


def test_a_trailing_stop_follows_and_falls(venue: Venue) -> None:
    """It activates (told with `ia`), keeps the best price, and triggers one callback away from it."""
    add(
        venue,
        type="TRAILING_STOP_MARKET",
        side="SELL",
        callbackRate="1",
        activatePrice="62000.00",
        workingType="MARK_PRICE",
    )
    for mark, told in (("61900", 1), ("62000", 2), ("63000", 2), ("62371", 2)):
        venue.mark("BTCUSDT", mark)
        venue.tick(1000)
        assert len(states(venue)) == told, mark
    assert [e["o"]["ia"] for e in venue.events("ALGO_UPDATE")] == [False, True]
    venue.mark("BTCUSDT", "62370")
    venue.tick(1000)
    assert states(venue)[-1] == "FINISHED" and venue.acc().position("BTCUSDT").qty == 0


def test_close_all_closes_what_is_there(venue: Venue) -> None:
    """closePosition takes the position's size at the trigger; it expires when the position goes first."""
    stop = {k: v for k, v in BASE.items() if k != "quantity"}
    ask = stop | {"type": "STOP_MARKET", "side": "SELL", "triggerPrice": "61000.00", "closePosition": "true"}
    algo_orders.place(venue.ex, venue.acc(), ask)
    with pytest.raises(VenueError, match="-4130"):
        algo_orders.place(venue.ex, venue.acc(), ask)
    venue.place(symbol="BTCUSDT", quantity="0.010", side="SELL", type="MARKET")
    assert states(venue) == ["NEW", "EXPIRED"]


def test_a_trigger_without_margin_is_rejected_with_its_reason(venue: Venue) -> None:
    """Margin is looked at only then: REJECTED with `rm`."""
    add(venue, type="STOP_MARKET", side="BUY", triggerPrice="62000.00", quantity="8.000", workingType="MARK_PRICE")
    venue.mark("BTCUSDT", "62000")
    venue.tick(1000)
    assert states(venue) == ["NEW", "TRIGGERING", "REJECTED"]
    assert venue.events("ALGO_UPDATE")[-1]["o"]["rm"] == "Margin is insufficient."


def test_price_protection_holds_a_trigger_back(venue: Venue) -> None:
    """With priceProtect a mark far from the last price does not trigger."""
    add(venue, type="STOP_MARKET", side="SELL", triggerPrice="58000.00", workingType="MARK_PRICE", priceProtect="true")
    venue.mark("BTCUSDT", "57000")
    venue.tick(1000)
    assert states(venue) == ["NEW"]


@pytest.mark.parametrize("spares", [True, False])
def test_the_dead_man_switch_and_conditional_orders(spares: bool) -> None:
    """Whether it cancels them is a switch, because the notes leave it open."""
    venue = Venue({"main": 10_000}, rules=Rules(countdown_spares_algo=spares))
    venue.quote("BTCUSDT", "61799.90", "61800.00")
    add(venue, type="STOP_MARKET", side="SELL", triggerPrice="61000.00")
    orders.countdown(venue.ex, venue.acc(), {"symbol": "BTCUSDT", "countdownTime": "1"})
    venue.acc().deadlines["BTCUSDT"] = (0, 1)
    venue.tick()
    assert states(venue) == (["NEW"] if spares else ["NEW", "CANCELED"])


def test_bounds_of_parameters(venue: Venue) -> None:
    """Callback rates from 0.1 to 20, known ids, a quantity or closePosition."""

    def refusal(**p: str) -> int:
        with pytest.raises(VenueError) as e:
            add(venue, **p)
        return e.value.code

    trail = {"type": "TRAILING_STOP_MARKET", "side": "SELL"}
    assert refusal(**trail, callbackRate="0.05") == refusal(**trail, callbackRate="20.1") == -2007
    assert refusal(type="LIMIT", side="SELL") == -1116
    assert refusal(type="STOP_MARKET", side="SELL", triggerPrice="61000.00", closePosition="true") == -4137
    assert refusal(type="STOP_MARKET", side="SELL") == -1102
    for call, want in ((algo_orders.cancel, -2011), (algo_orders.query, -2013)):
        with pytest.raises(VenueError) as e:
            call(venue.ex, venue.acc(), {"algoId": "1"})
        assert e.value.code == want


def test_close_all_waits_for_a_position_on_its_way(venue: Venue) -> None:
    """It may come before its entry, which then rests; when neither is left it expires. GTE_GTC is alike."""
    venue.place(symbol="BTCUSDT", quantity="0.010", side="SELL", type="MARKET")
    entry = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.010"}
    stop = {"type": "STOP_MARKET", "side": "SELL", "triggerPrice": "61000.00"}
    bare = {k: v for k, v in BASE.items() if k != "quantity"}
    algo_orders.place(venue.ex, venue.acc(), bare | stop | {"closePosition": "true"})
    add(venue, **stop, timeInForce="GTE_GTC", reduceOnly="true")
    ids = [str(venue.place(**entry, price=price)["orderId"]) for price in ("61500.00", "61600.00")]
    orders.cancel(venue.ex, venue.acc(), {"symbol": "BTCUSDT", "orderId": ids[0]})
    assert states(venue) == ["NEW", "NEW"]
    orders.cancel(venue.ex, venue.acc(), {"symbol": "BTCUSDT", "orderId": ids[1]})
    assert states(venue) == ["NEW", "NEW", "EXPIRED", "EXPIRED"]


def test_close_all_of_a_hedge_never_opens(venue: Venue) -> None:
    """BUY with LONG and SELL with SHORT would make the position larger."""
    venue.place(symbol="BTCUSDT", quantity="0.010", side="SELL", type="MARKET")
    settings.set_dual(venue.ex, venue.acc(), {"dualSidePosition": "true"})
    venue.place(symbol="BTCUSDT", quantity="0.010", side="BUY", positionSide="LONG", type="MARKET")
    bare = {k: v for k, v in BASE.items() if k != "quantity"} | {"positionSide": "LONG", "closePosition": "true"}
    with pytest.raises(VenueError, match="-2022"):
        algo_orders.place(
            venue.ex, venue.acc(), bare | {"type": "STOP_MARKET", "side": "BUY", "triggerPrice": "62000.00"}
        )
    algo_orders.place(venue.ex, venue.acc(), bare | {"type": "STOP_MARKET", "side": "SELL", "triggerPrice": "61000.00"})


@pytest.mark.parametrize("tif", ["GTX", "FOK"])
def test_an_order_the_book_refuses_after_the_trigger_expires(venue: Venue, tif: str) -> None:
    """Triggered is triggered: the order exists and ends with er 8, the conditional order finishes, nothing trades."""
    price = "62000.00" if tif == "GTX" else "61700.00"
    add(venue, type="STOP", side="BUY", triggerPrice="61900.00", price=price, timeInForce=tif, workingType="MARK_PRICE")
    venue.mark("BTCUSDT", "61900")
    venue.tick(1000)
    assert states(venue) == ["NEW", "TRIGGERING", "TRIGGERED", "FINISHED"]
    last = [e["o"] for e in venue.events("ORDER_TRADE_UPDATE")][-2:]
    assert [(o["x"], o["X"], o["er"]) for o in last] == [("NEW", "NEW", "0"), ("EXPIRED", "EXPIRED", "8")]
    assert str(last[0]["i"]) == venue.events("ALGO_UPDATE")[-1]["o"]["ai"]
    assert history.open_orders(venue.ex, venue.acc(), {}) == []


def test_one_trigger_ends_its_rival_once(venue: Venue) -> None:
    """A close-all whose time is over in the very turn in which its rival closes the position is told to end once."""
    bare = {k: v for k, v in BASE.items() if k != "quantity"} | {"side": "SELL", "closePosition": "true"}
    bare |= {"workingType": "MARK_PRICE"}
    algo_orders.place(venue.ex, venue.acc(), bare | {"type": "STOP_MARKET", "triggerPrice": "61000.00"})
    algo_orders.place(
        venue.ex,
        venue.acc(),
        bare
        | {
            "type": "TAKE_PROFIT_MARKET",
            "triggerPrice": "62000.00",
            "timeInForce": "GTD",
            "goodTillDate": str(venue.now + 601_000),
        },
    )
    venue.mark("BTCUSDT", "61000")
    venue.tick(602_000)
    assert sorted(states(venue)) == ["EXPIRED", "FINISHED", "NEW", "NEW", "TRIGGERED", "TRIGGERING"]


def test_close_all_goes_before_resting_exits(venue: Venue) -> None:
    """A reduce-only take-profit over the whole position does not disarm the stop: it is displaced (er 4)."""
    venue.place(
        symbol="BTCUSDT",
        side="SELL",
        type="LIMIT",
        timeInForce="GTC",
        quantity="0.010",
        price="62500.00",
        reduceOnly="true",
    )
    bare = {k: v for k, v in BASE.items() if k != "quantity"} | {"side": "SELL", "closePosition": "true"}
    stop = {"type": "STOP_MARKET", "triggerPrice": "61000.00", "workingType": "MARK_PRICE"}
    algo_orders.place(venue.ex, venue.acc(), bare | stop)
    venue.mark("BTCUSDT", "61000")
    venue.tick(1000)
    assert venue.acc().position("BTCUSDT").qty == 0
    assert states(venue)[-1] == "FINISHED"
    last = venue.events("ORDER_TRADE_UPDATE")[-1]["o"]
    assert (last["p"], last["X"], last["er"]) == ("62500", "EXPIRED", "4")


def test_a_triggered_reduce_only_stop_closes_what_is_left(venue: Venue) -> None:
    """A stop larger than what is held by then is cut to it, so that it does its work."""
    add(venue, type="STOP_MARKET", side="SELL", triggerPrice="61000.00", reduceOnly="true", workingType="MARK_PRICE")
    venue.place(symbol="BTCUSDT", quantity="0.005", side="SELL", type="MARKET")
    venue.mark("BTCUSDT", "61000")
    venue.tick(1000)
    assert states(venue)[-1] == "FINISHED" and venue.acc().position("BTCUSDT").qty == 0
