"""Counters of weight and orders, refusals and bans, on a clock that the test moves."""

from __future__ import annotations

import pytest

from aegis.exchange.limits import Limits, Quota, TooMany

MINUTE = 60_000
NOW = 28_333_333 * MINUTE + 45_000  # a quarter of a minute before its end
IP, OTHER = "10.0.0.1", "10.0.0.2"


def refused(
    limits: Limits, *, ip: str = IP, weight: int = 1, now: int = NOW, path: str = "", ws: bool = False
) -> TooMany:
    """The refusal of a request that must be refused."""
    with pytest.raises(TooMany) as caught:
        limits.charge(ip, weight, now, path=path, ws=ws)
    return caught.value


def test_weight_is_of_the_calendar_minute_and_of_the_address() -> None:
    """The limit itself is allowed, one more is 429 until the minute ends; another address has its own."""
    limits = Limits(Quota(weight=10))
    limits.charge(IP, 10, NOW)
    e = refused(limits)
    assert (e.code, e.status, e.retry_after_s) == (-1003, 429, 15)
    assert e.msg == (
        "Too many requests; current limit of IP(10.0.0.1) is 10 requests per minute. Please use the websocket for "
        "live updates to avoid polling the API."
    )
    assert limits.used(IP, NOW) == 11
    limits.charge(OTHER, 10, NOW)
    limits.charge(IP, 10, NOW + 15_000)
    assert limits.used(IP, NOW + 15_000) == 10


def test_calls_that_are_counted_by_number() -> None:
    """/futures/data/* and the two funding queries have counters of five minutes; they cost no weight."""
    limits = Limits(Quota(data_5m=2, funding_5m=2))
    for path in ("/futures/data/openInterestHist", "/futures/data/basis"):
        limits.charge(IP, 1, NOW, path=path)
    assert "2 requests per 5 minutes" in refused(limits, path="/futures/data/basis").msg
    limits.charge(IP, 1, NOW, path="/fapi/v1/fundingRate")
    limits.charge(IP, 1, NOW, path="/fapi/v1/fundingInfo")
    assert refused(limits, path="/fapi/v1/fundingRate").status == 429
    assert limits.used(IP, NOW) == 0
    assert Quota() == Quota(2400, 300, 1200, 1000, 500)


def test_who_ignores_429_is_banned_and_longer_each_time() -> None:
    """After `ban_after` refusals in a minute 418 until the named time; the second ban is twice as long."""
    limits = Limits(Quota(weight=1, ban_after=2, ban_s=120.0))
    limits.charge(IP, 1, NOW)
    assert [refused(limits).status for _ in range(3)] == [429, 429, 418]
    end = NOW + 120_000
    e = refused(limits, now=end - 1)
    assert (e.code, e.status, e.retry_after_s) == (-1003, 418, 1)
    assert e.msg.startswith(f"Way too many requests; IP(10.0.0.1) banned until {end}.")
    limits.charge(OTHER, 1, NOW)
    limits.charge(IP, 1, end)
    assert [refused(limits, now=end).status for _ in range(3)] == [429, 429, 418]
    assert refused(limits, now=end).retry_after_s == 240
    for _ in range(20):
        last = limits.ban(IP, end)
    assert last == end + 3 * 86_400_000


def test_orders_are_counted_per_account_five_for_a_batch_on_ten_seconds() -> None:
    """A batch is five on the 10 s counter and one on the minute's; each limit has its own -1015."""
    limits = Limits(Quota(orders_10s=12, orders_1m=6))
    limits.order("a", 5, NOW)
    limits.order("a", 5, NOW)
    assert limits.order_counts("a", NOW) == (10, 2)
    limits.order("b", 5, NOW)
    with pytest.raises(TooMany) as caught:
        limits.order("a", 5, NOW)
    e = caught.value
    assert (e.code, e.status, e.retry_after_s) == (-1015, 429, 5)
    assert e.msg == "Too many new orders; current limit is 12 orders per 10 SECOND."
    for _ in range(3):
        limits.order("a", 1, NOW + 10_000)
    with pytest.raises(TooMany, match="6 orders per 1 MINUTE"):
        limits.order("a", 1, NOW + 10_000)
    limits.order("a", 1, NOW + 15_000)
    assert limits.order_counts("a", NOW + 15_000) == (1, 1)


def test_zero_switches_a_limit_off() -> None:
    """No limit, no refusal; the counters go on."""
    limits = Limits(Quota(weight=0, orders_10s=0, orders_1m=0, data_5m=0))
    for _ in range(3):
        limits.charge(IP, 5000, NOW)
        limits.charge(IP, 1, NOW, path="/futures/data/basis")
        limits.order("a", 5000, NOW)
    assert limits.used(IP, NOW) == 15_000


@pytest.mark.parametrize("own", [False, True])
def test_the_pool_of_the_websocket_api_is_a_switch(own: bool) -> None:
    """One pool with REST, or one of its own."""
    limits = Limits(Quota(weight=10, ws_own_pool=own))
    limits.charge(IP, 10, NOW)
    if own:
        limits.charge(IP, 10, NOW, ws=True)
        assert limits.used(IP, NOW, ws=True) == 10
    else:
        assert refused(limits, ws=True).status == 429


def test_limits_as_rows() -> None:
    """The rows of rateLimit/order and of exchangeInfo carry the limits in force, the usual ones when switched off."""
    limits = Limits(Quota(weight=7, orders_10s=8, orders_1m=9))
    assert [r["limit"] for r in limits.order_rows()] == [8, 9]
    assert limits.rows() == [
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 7},
        {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 9},
        {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 8},
    ]
    assert [r["limit"] for r in Limits(Quota(weight=0, orders_10s=0, orders_1m=0)).rows()] == [2400, 1200, 300]
