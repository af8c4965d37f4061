"""No request, however odd its parameters, gets anything out of a handler but an answer or a refusal."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from core import Venue

from aegis.errors import VenueError
from aegis.exchange import orders
from aegis.exchange.engine import Exchange
from aegis.exchange.route import NONE, Route
from aegis.exchange.routes import METHODS, rest_routes

# Every parameter any handler knows, each with values that are right, so that odd ones meet the deep checks too.
GOOD: dict[str, tuple[str, ...]] = {
    "symbol": ("BTCUSDT", "ETHUSDT", "BTCUSDC", "币安人生USDT"),
    "pair": ("BTCUSDT",),
    "side": ("BUY", "SELL"),
    "type": ("LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET", "1", "2"),
    "positionSide": ("BOTH", "LONG", "SHORT"),
    "timeInForce": ("GTC", "IOC", "FOK", "GTX", "GTD", "GTE_GTC", "RPI"),
    "quantity": ("0.010", "0.020", "1", "100"),
    "price": ("61700", "61800.00", "62000", "2400", "0.31"),
    "triggerPrice": ("61000", "62500"),
    "activatePrice": ("61900", "61000"),
    "callbackRate": ("1", "0.1"),
    "reduceOnly": ("true", "false"),
    "closePosition": ("true", "false"),
    "priceProtect": ("true", "false"),
    "workingType": ("MARK_PRICE", "CONTRACT_PRICE"),
    "priceMatch": ("NONE", "QUEUE", "OPPONENT", "OPPONENT_5"),
    "newClientOrderId": ("a", "b", "c"),
    "clientAlgoId": ("a", "b"),
    "newOrderRespType": ("ACK", "RESULT"),
    "selfTradePreventionMode": ("NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"),
    "goodTillDate": ("1790001000000",),
    "algoType": ("CONDITIONAL",),
    "algoId": ("4000000000000001",),
    "orderId": ("1",),
    "origClientOrderId": ("a", "b", "c"),
    "orderIdList": ("[1,2]",),
    "origClientOrderIdList": ('["a","b"]',),
    "batchOrders": ('[{"symbol":"BTCUSDT","side":"BUY","type":"MARKET","quantity":0.01}]',),
    "modifyId": ("7",),
    "leverage": ("5", "20", "125"),
    "marginType": ("ISOLATED", "CROSSED"),
    "amount": ("1", "0.5"),
    "dualSidePosition": ("true", "false"),
    "multiAssetsMargin": ("true", "false"),
    "feeBurn": ("true", "false"),
    "countdownTime": ("0", "1000"),
    "listenKey": ("key-main",),
    "incomeType": ("COMMISSION",),
    "autoCloseType": ("ADL", "LIQUIDATION"),
    "interval": ("1m", "1h", "1w", "1M"),
    "period": ("5m", "1d"),
    "contractType": ("PERPETUAL",),
    "limit": ("1", "5", "500", "1000"),
    "fromId": ("0", "1"),
    "page": ("1", "2"),
    "startTime": ("1790000000000",),
    "endTime": ("1790000100000",),
}
ODD = (
    "", " ", "0", "-0", "-1", "1.0", "1e5", "NaN", "null", "true", "[]", "{}", "[[[", "[{}]", "[1]", '["a"]',
    "[null,true]", '[{"symbol":1,"side":[],"type":{}}]', "9999999999999999999", "-9999999999999999999",
    "18446744073709551616", "9" * 30, "9" * 5000, "0." + "0" * 5000 + "1", "1" + "0" * 4400 + ".5", "\u00b2", "\u0663",
    "\ud800", "\x00", "\n", '"', "\\", "\U0001d7d9", "\uff22\uff34", "btcusdt", "BTCUSDT ", "[" * 3000, "a" * 36,
    "a" * 37, "\U0001f642",
)  # fmt: skip
ROUTES: list[tuple[str, Route]] = [
    *((f"{method} {path}", route) for (method, path), route in rest_routes().items()),
    *METHODS.items(),
]


def venue() -> Venue:
    """Two accounts, three quoted markets, a position and a resting order with its client id."""
    it = Venue({"main": 1_000_000, "second": 1_000_000})
    for symbol, bid, ask in (
        ("BTCUSDT", "61799.90", "61800.00"),
        ("ETHUSDT", "2463.00", "2463.10"),
        ("币安人生USDT", "0.31410", "0.31420"),
    ):
        it.quote(symbol, bid, ask)
    it.mark("BTCUSDT", "61800")
    it.place(symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.050")
    it.place(
        symbol="BTCUSDT",
        side="BUY",
        type="LIMIT",
        timeInForce="GTC",
        price="61500",
        quantity="0.010",
        newClientOrderId="a",
    )
    return it


def draw(rng: random.Random, ids: list[str]) -> dict[str, str]:
    """A random set of parameters: mostly right values, some odd, some of other parameters."""
    names = rng.sample(sorted(GOOD), rng.randrange(len(GOOD) // 2))
    p = {name: rng.choice(GOOD[name]) for name in names}
    for must in ("symbol", "side", "type", "quantity", "algoType"):
        if rng.random() < 0.8:
            p[must] = rng.choice(GOOD[must])
    if ids and rng.random() < 0.5:
        p["orderId"] = rng.choice(ids)
    for name in list(p):
        if rng.random() < 0.08:
            p[name] = rng.choice(ODD)
    return p


def run(ex: Exchange, route: Route, who: str, p: dict[str, str]) -> Any:
    """One request as the doors run it: weighed, run, written as JSON; the refusal's text instead when refused."""
    try:
        weight = route.weight if isinstance(route.weight, int) else route.weight(p)
        assert weight >= 0
        answer = route.run(ex, p) if route.security == NONE else route.run(ex, ex.accounts[who], p)
    except VenueError as e:
        answer = {"code": e.code, "msg": e.msg}
    msgspec.json.encode(answer)
    return answer


@pytest.mark.parametrize(("name", "route"), ROUTES, ids=[name for name, _ in ROUTES])
def test_each_parameter_takes_each_odd_value(name: str, route: Route) -> None:
    """One odd value at a time in an otherwise plausible request: only VenueError leaves a handler."""
    it = venue()
    rng = random.Random(name)
    for odd in ODD:
        for parameter in GOOD:
            p = {n: rng.choice(GOOD[n]) for n in ("symbol", "side", "quantity", "algoType", "interval", "period")}
            if "algo" in name:
                p |= {"type": "STOP", "triggerPrice": "61000", "price": "61000"}
            elif rng.random() < 0.7:
                p |= {"type": "LIMIT", "timeInForce": "GTC", "price": "61000", "origClientOrderId": "a"}
            p[parameter] = odd
            run(it.ex, route, "main", p)
    it.ex.verify()


@pytest.mark.parametrize("seed", range(6))
def test_random_requests_leave_the_books_whole(seed: int) -> None:
    """Random requests to all routes in a row, time passing in between: only VenueError, and money only moved."""
    it, rng = venue(), random.Random(seed)
    ids: list[str] = []
    for step in range(1500):
        _, route = rng.choice(ROUTES)
        answer = run(it.ex, route, rng.choice(("main", "second")), draw(rng, ids))
        if isinstance(answer, dict) and "orderId" in answer:
            ids = [*ids[-20:], str(answer["orderId"])]
        if step % 25 == 0:
            it.quote(
                "BTCUSDT", *rng.choice((("61799.90", "61800.00"), ("61000.00", "61010.00"), ("62500.00", "62501.00")))
            )
            it.tick(rng.choice((10, 1000, 60_000)))
    it.ex.verify()


def test_the_requests_drawn_reach_the_books() -> None:
    """The canary: among random order requests a fair share is taken, else the test above tests refusals only."""
    it, rng = venue(), random.Random(1)
    before = len(it.acc().orders)
    for _ in range(300):
        p = draw(rng, []) | {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010"}
        for name in ("timeInForce", "price", "priceMatch", "goodTillDate", "positionSide", "reduceOnly"):
            p.pop(name, None)
        try:
            orders.place(it.ex, it.acc(), p)
        except VenueError:
            continue
    assert len(it.acc().orders) - before > 50
