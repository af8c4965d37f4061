"""Refusals by what they mean, and the weight that is kept for exits."""

from __future__ import annotations

import pytest

from aegis.errors import OrderUnknown, RateLimited, VenueError
from aegis.venue.errors import Duty, classify, duty
from aegis.venue.weights import MINUTE_NS, WeightBudget, weight_of

UNKNOWN = '{"code":-1000,"msg":"Unknown error, please check your request or try again later."}'
FAILED = '{"code":-1000,"msg":"Service Unavailable."}'
OVERLOAD = '{"code":-1008,"msg":"Server is currently overloaded with other requests."}'
INTERNAL = '{"code":-1000,"msg":"Internal error; unable to process your request. Please try again."}'


@pytest.mark.parametrize(
    ("status", "body", "write", "error"),
    [
        (503, UNKNOWN, True, OrderUnknown),
        (503, UNKNOWN, False, VenueError),
        (503, "Unknown error, please check your request or try again later.", True, OrderUnknown),
        (503, FAILED, True, VenueError),
        (503, "Service Unavailable.", True, VenueError),
        (503, OVERLOAD, True, VenueError),
        (500, INTERNAL, True, VenueError),
        (502, "<html>bad gateway</html>", True, OrderUnknown),
        (504, "", True, OrderUnknown),
        (408, "", True, OrderUnknown),
        (400, '{"code":-1006,"msg":"?"}', True, OrderUnknown),
        (400, '{"code":-1007,"msg":"Timeout waiting"}', True, OrderUnknown),
        (400, '{"code":-2010,"msg":"rejected"}', True, VenueError),
        (403, "<html>", True, VenueError),
        (400, "[]", True, VenueError),
        (429, '{"code":-1003,"msg":"Too many requests"}', True, RateLimited),
        (400, '{"code":-1015,"msg":"Too many new orders"}', True, RateLimited),
        (418, "", False, RateLimited),
    ],
)
def test_a_write_is_unknown_unless_proven_failed(status: int, body: str, write: bool, error: type[Exception]) -> None:
    """Law: PROTOCOL 5.7: the two bodies of 503 are opposite facts; a read is never unknown."""
    assert type(classify(status, body, write=write)) is error


def test_a_refusal_keeps_code_text_and_status() -> None:
    """Law: nothing of the venue's answer is lost on the way; HTML is cut, not parsed."""
    found = classify(400, b'{"code":-4014,"msg":"Price not increased by tick size."}')
    assert isinstance(found, VenueError)
    assert (found.code, found.msg, found.status) == (-4014, "Price not increased by tick size.", 400)
    html = classify(403, "<" * 5000)
    assert isinstance(html, VenueError) and html.code == 0 and len(html.msg) == 200


@pytest.mark.parametrize(
    ("status", "body", "header", "pause_s"),
    [
        (429, "", "7", 7.0),
        (418, '{"code":-1003,"msg":"Way too many requests; IP(1.2.3.4) banned until 1700000300000."}', None, 300.0),
        (418, '{"code":-1003,"msg":"banned until 1600000000000."}', None, 1.0),
        (429, "", None, 60.0),
        (418, "", "soon", 120.0),
        (429, '{"code":-1015,"msg":"Too many new orders"}', None, 10.0),
    ],
)
def test_how_long_to_wait(status: int, body: str, header: str | None, pause_s: float) -> None:
    """Law: the header first, then the end of the ban in the text, then a default; never no pause."""
    found = classify(status, body, retry_after=header, now_ms=1_700_000_000_000)
    assert isinstance(found, RateLimited) and found.retry_after_s == pause_s


def test_duties() -> None:
    """Law: a code nobody listed is final; the dangerous ones have the duty the protocol names."""
    expected = {
        -1007: Duty.UNKNOWN, -1021: Duty.CLOCK, -2011: Duty.QUERY, -2022: Duty.REFRESH, -4014: Duty.RULES,
        -2015: Duty.HALT, -1125: Duty.LISTEN_KEY, -4046: Duty.DONE, -5022: Duty.FINAL, -99999: Duty.FINAL,
        -1008: Duty.RETRY, -1003: Duty.PAUSE, -4400: Duty.EXIT_ONLY, -1102: Duty.BUG,
    }  # fmt: skip
    assert {code: duty(code) for code in expected} == expected


def test_entries_never_take_the_reserve() -> None:
    """Law: at 80 % others wait for the minute's end, exits go on to 100 %, and the next minute is fresh."""
    budget, now = WeightBudget(100, 20), 5 * MINUTE_NS + 1
    assert budget.ask(80, now) == 0
    assert budget.ask(1, now) == MINUTE_NS - 1
    assert budget.ask(20, now, essential=True) == 0
    assert budget.ask(1, now, essential=True) == MINUTE_NS - 1
    assert budget.ask(1, now + MINUTE_NS) == 0 and budget.used == 1


def test_the_venue_counts_for_us_and_a_penalty_closes() -> None:
    """Law: the higher count wins; during a penalty not even exits are sent."""
    budget, now = WeightBudget(100, 20), 5 * MINUTE_NS
    budget.learn(79, now)
    budget.learn(3, now)
    assert budget.used == 79
    assert budget.ask(1, now) == 0 and budget.ask(1, now) > 0
    budget.penalise(2.5, now)
    assert budget.ask(1, now, essential=True) == 2_500_000_000
    assert budget.ask(1, now + 2_500_000_000, essential=True) == 0


def test_one_call_above_the_whole_share_is_let_through_once() -> None:
    """Law: a small budget cannot starve a large call for ever; it takes an untouched minute."""
    budget = WeightBudget(100, 20)
    assert budget.ask(200, 0) == 0 and budget.ask(200, 1) > 0 and budget.ask(200, MINUTE_NS) == 0


@pytest.mark.parametrize(
    ("call", "params", "weight"),
    [
        ("GET /fapi/v1/depth", {"limit": 1000}, 20),
        ("GET /fapi/v1/depth", {"limit": 50}, 2),
        ("GET /fapi/v1/depth", {}, 10),
        ("GET /fapi/v1/klines", {"limit": 1000}, 5),
        ("GET /fapi/v1/openOrders", {}, 40),
        ("GET /fapi/v1/openOrders", {"symbol": "BTCUSDT"}, 1),
        ("GET /fapi/v1/historicalTrades", {"symbol": "BTCUSDT"}, 200),
        ("POST /fapi/v1/order", {"symbol": "BTCUSDT"}, 0),
        ("DELETE /fapi/v1/order", {"symbol": "BTCUSDT"}, 1),
        ("GET /fapi/v1/never-heard-of", {}, 1),
    ],
)
def test_weights_of_calls(call: str, params: dict[str, object], weight: int) -> None:
    """Law: PROTOCOL 7."""
    assert weight_of(*call.split(), params) == weight
