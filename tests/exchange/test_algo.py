"""Conditional orders: when they trigger, what they become, and what is told about it."""

from __future__ import annotations

import pytest
from core import Venue

from aegis.errors import VenueError
from aegis.exchange import algo_orders, history, orders
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
    assert refusal(type="STOP_MARKET", side="SELL", triggerPrice="61000.00", closePosition="true") == -1106
    assert refusal(type="STOP_MARKET", side="SELL") == -1102
    for call, want in ((algo_orders.cancel, -2011), (algo_orders.query, -2013)):
        with pytest.raises(VenueError) as e:
            call(venue.ex, venue.acc(), {"algoId": "1"})
        assert e.value.code == want
