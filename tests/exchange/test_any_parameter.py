"""Nothing a client may put into a parameter makes the venue fall: every handler answers or refuses."""

from __future__ import annotations

import argparse
import random

import msgspec
import pytest

from aegis.errors import VenueError
from aegis.exchange.auth import parse_pairs
from aegis.exchange.route import NONE, Route
from aegis.exchange.routes import METHODS
from aegis.exchange.server import Venue
from aegis.exchange.wsapi import decode

CALLS = 15_000
SYMBOLS = ("BTCUSDT", "币安人生USDT", "NOPE", "", "btcusdt", "²")
ODD = (
    *("", "0", "1", "-1", "³", "٣", "1e5", "1.5", "0.001", "9" * 26, "1" * 5000, "NaN", "∞", "abc", "null", "true"),
    *("[]", "[1]", "{}", '["a"]', '[{"symbol":"BTCUSDT"}]', "[null]", "[" * 5000, "1000", "9999999999999", "\x00"),
)
PLAUSIBLE = {
    "side": ("BUY", "SELL"),
    "type": ("LIMIT", "MARKET", "STOP", "STOP_MARKET", "TRAILING_STOP_MARKET", "1", "2"),
    "timeInForce": ("GTC", "IOC", "FOK", "GTX", "GTD"),
    "quantity": ("0.01", "1"),
    "price": ("60000.0", "0.3"),
    "triggerPrice": ("50000",),
    "interval": ("1m", "5m"),
    "period": ("5m",),
    "contractType": ("PERPETUAL",),
    "pair": ("BTCUSDT",),
    "marginType": ("ISOLATED", "CROSSED"),
    "algoType": ("CONDITIONAL",),
    "positionSide": ("BOTH", "LONG"),
    "workingType": ("MARK_PRICE",),
    "amount": ("1",),
}
OTHERS = (
    *("newClientOrderId", "origClientOrderId", "orderId", "limit", "fromId", "startTime", "endTime", "batchOrders"),
    *("orderIdList", "origClientOrderIdList", "countdownTime", "leverage", "dualSidePosition", "multiAssetsMargin"),
    *("feeBurn", "clientAlgoId", "algoId", "callbackRate", "activatePrice", "priceProtect", "closePosition"),
    *("reduceOnly", "priceMatch", "selfTradePreventionMode", "goodTillDate", "modifyId", "newOrderRespType"),
    *("incomeType", "listenKey", "page", "autoCloseType"),
)


def drawn(luck: random.Random) -> dict[str, str]:
    """Parameters, some of them as they should be."""
    p = {name: luck.choice(ODD) for name in OTHERS if luck.random() < 0.4}
    for name, good in PLAUSIBLE.items():
        if luck.random() < 0.6:
            p[name] = luck.choice(good if luck.random() < 0.7 else ODD)
    if luck.random() < 0.9:
        p["symbol"] = luck.choice(SYMBOLS) if luck.random() < 0.4 else "BTCUSDT"
    return p


def run(venue: Venue, route: Route, p: dict[str, str]) -> bool:
    """Weigh and run a route as its door does; whether it was answered. Anything but a refusal escapes."""
    ex = venue.ex
    try:
        if not isinstance(route.weight, int):
            assert route.weight(p) > 0
        answer = route.run(ex, p) if route.security == NONE else route.run(ex, ex.accounts["main"], p)
    except VenueError as e:
        assert e.code < 0, "a refusal has a code"
        assert e.msg, "a refusal has a text"
        return False
    msgspec.json.encode(answer)
    return True


@pytest.mark.parametrize("seed", [1, 2])
def test_every_route_answers_or_refuses(seed: int) -> None:
    """Odd values in every parameter of every route and method: an answer that is JSON, or a refusal with its code."""
    venue = Venue(argparse.Namespace(symbols=8, events_per_s=0))
    luck = random.Random(seed)
    routes = [*venue.rest.routes.items(), *METHODS.items()]
    answered = set()
    for _ in range(CALLS):
        name, route = luck.choice(routes)
        p = drawn(luck)
        try:
            if run(venue, route, p):
                answered.add(name)
        except Exception as e:
            e.add_note(f"{name} with { {k: v[:60] for k, v in p.items()} }")
            raise
    assert len(answered) > len(routes) // 2, "most routes were reached, not only refused"


@pytest.mark.parametrize(
    "text",
    [
        '{"id":1,"method":"x","params":{"a":' + "[" * 5000 + "]" * 5000 + "}}",
        '{"id":1,"method":"x","params":{"a":"\\ud800"}}',
        '{"id":1,"method":"x","params":{"a":' + "9" * 5000 + "}}",
        "",
        "\x00",
        "null",
    ],
)
def test_every_message_is_a_request_or_refused(text: str) -> None:
    """Nesting, lone surrogates, endless numbers: refused as no JSON of ours, the connection lives."""
    _, found = decode(text)
    assert isinstance(found, VenueError)
    assert found.code == -1135


def test_every_form_text_has_a_reading() -> None:
    """Broken percent-escapes, empty names, bytes that are no UTF-8: parameters of some kind, never a failure."""
    assert parse_pairs(b"a=%zz&&=b&c&%ff=\xff&d=1=2") == {
        "a": "%zz",
        "": "b",
        "c": "",
        "\ufffd": "\ufffd",
        "d": "1=2",
    }
