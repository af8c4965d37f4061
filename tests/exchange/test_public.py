"""Public routes over a real socket: every one answers in the documented shape, pages as documented, refuses by code."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from exchange_client import Client, running, until

from aegis.exchange.instrument import HOUR_MS, MINUTE_MS

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
FUNDING = DATA / "wire_2026" / "prod_2026-09_funding_info_5symbols.json"
STATISTICS = (
    "openInterestHist", "topLongShortPositionRatio", "topLongShortAccountRatio", "globalLongShortAccountRatio",
    "takerlongshortRatio",
)  # fmt: skip


def play(tmp: Path, run: Callable[[Client], Awaitable[None]], **options: object) -> None:
    """Run a test's body against a venue of twelve symbols."""

    async def main() -> None:
        async with running(tmp, **{"symbols": 12, "events_per_s": 600, "weight": 0, **options}) as client:
            await run(client)

    asyncio.run(main())


async def get(client: Client, path: str, **params: object) -> Any:
    """The body of a public call that must succeed."""
    status, body = await client.call("GET", path, signed=False, **params)
    assert status == 200, (path, body)
    return body


async def refused(client: Client, path: str, **params: object) -> int:
    """The code of a public call that must be refused."""
    status, body = await client.call("GET", path, signed=False, **params)
    assert status == 400, (path, body)
    assert isinstance(body, dict)
    return int(body["code"])


def test_refusals_by_code(tmp_path: Path) -> None:
    """Unknown symbol, missing symbol, wrong interval, wrong limit, wrong window, wrong combination."""
    at = 1_790_000_000_000
    cases: list[tuple[int, str, dict[str, object]]] = [
        (-1121, "/fapi/v1/depth", {"symbol": "NOUSDT"}),
        (-1102, "/fapi/v1/depth", {}),
        (-4021, "/fapi/v1/depth", {"symbol": "BTCUSDT", "limit": 7}),
        (-1130, "/fapi/v1/depth", {"symbol": "BTCUSDT", "limit": 5000}),
        (-4021, "/fapi/v1/rpiDepth", {"symbol": "BTCUSDT", "limit": 100}),
        (-1130, "/fapi/v1/trades", {"symbol": "BTCUSDT", "limit": 1001}),
        (-1102, "/fapi/v1/klines", {"symbol": "BTCUSDT"}),
        (-1120, "/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "7m"}),
        (-1130, "/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": 1501}),
        (-1100, "/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "1m", "startTime": "x"}),
        (-1127, "/fapi/v1/aggTrades", {"symbol": "BTCUSDT", "startTime": at, "endTime": at + HOUR_MS + 1}),
        (-1128, "/fapi/v1/aggTrades", {"symbol": "BTCUSDT", "startTime": at, "fromId": 1}),
        (-1130, "/fapi/v1/continuousKlines", {"pair": "BTCUSDT", "contractType": "SPOT", "interval": "1m"}),
        (-4144, "/fapi/v1/continuousKlines", {"pair": "NOUSDT", "contractType": "PERPETUAL", "interval": "1m"}),
        (-1130, "/fapi/v1/fundingRate", {"symbol": "BTCUSDT", "limit": 0}),
        (-1121, "/fapi/v1/ticker/24hr", {"symbol": "NOUSDT"}),
        (-1130, "/futures/data/openInterestHist", {"symbol": "BTCUSDT", "period": "1m"}),
        (-1121, "/fapi/v1/assetIndex", {"symbol": "NOUSD"}),
    ]

    async def body(client: Client) -> None:
        for want, path, params in cases:
            assert await refused(client, path, **params) == want, (path, params)

    play(tmp_path, body)


def test_klines_reach_back_and_join_the_trades(tmp_path: Path) -> None:
    """1500 candles of a venue a moment old, the running one made of its trades, in every spelling of the family."""

    async def body(client: Client) -> None:
        m = client.venue.ex.markets["BTCUSDT"]
        await until(lambda: m.next_trade > m.first_trade + 5, "live trades")
        rows = await get(client, "/fapi/v1/klines", symbol="BTCUSDT", interval="1m", limit=1500)
        assert len(rows) == 1500 and [len(r) for r in rows] == [12] * 1500
        assert all(b[0] - a[0] == MINUTE_MS and a[6] + 1 == b[0] for a, b in pairwise(rows))
        kinds = [int, str, str, str, str, str, int, str, int, str, str, str]
        assert [type(x) for x in rows[-1]] == kinds and rows[-1][11] == "0"
        assert [len(x.partition(".")[2]) for x in (rows[0][1], rows[0][5])] == [2, 3]
        hours = await get(client, "/fapi/v1/klines", symbol="BTCUSDT", interval="1h", limit=24)
        hour = hours[5]
        inside = [r for r in rows if hour[0] <= r[0] < hour[0] + HOUR_MS]
        assert len(inside) == 60 and hour[1] == inside[0][1] and hour[4] == inside[-1][4]
        assert Decimal(hour[5]) == sum(Decimal(r[5]) for r in inside)
        assert Decimal(hour[7]) == sum(Decimal(r[7]) for r in inside)
        assert Decimal(hour[2]) == max(Decimal(r[2]) for r in inside)
        page = await get(client, "/fapi/v1/klines", symbol="BTCUSDT", interval="1m", startTime=rows[7][0], limit=3)
        assert page == rows[7:10]
        same = await get(
            client, "/fapi/v1/continuousKlines", pair="BTCUSDT", contractType="PERPETUAL", interval="1m", limit=9
        )
        assert [r[:2] for r in same][:-1] == [r[:2] for r in rows][-9:-1]
        quarter = {"pair": "BTCUSDT", "contractType": "CURRENT_QUARTER", "interval": "1d"}
        dated = await get(client, "/fapi/v1/continuousKlines", **quarter)
        assert 60 < len(dated) < 500
        quarter["contractType"] = "NEXT_QUARTER"
        assert await get(client, "/fapi/v1/continuousKlines", **quarter) == []

    play(tmp_path, body)


def test_candles_of_what_is_not_traded(tmp_path: Path) -> None:
    """Mark, index and premium: eight places, no volume, as full as the traded ones."""

    async def body(client: Client) -> None:
        m = client.venue.ex.markets["BTCUSDT"]
        await until(lambda: m.mark_e8, "the first second")
        for name, key in (
            ("indexPriceKlines", "pair"),
            ("markPriceKlines", "symbol"),
            ("premiumIndexKlines", "symbol"),
        ):
            rows = await get(client, f"/fapi/v1/{name}", interval="15m", limit=1500, **{key: "BTCUSDT"})
            assert len(rows) == 1500 and all(re.fullmatch(r"-?\d+\.\d{8}", x) for r in rows for x in r[1:5])
            assert all(r[5] == r[7] == r[9] == r[10] == r[11] == "0" and r[8] == 900 for r in rows[:-2])
            for r in rows:
                o, h, low, c = (Decimal(x) for x in r[1:5])
                assert low <= min(o, c) <= max(o, c) <= h
        marks = await get(client, "/fapi/v1/markPriceKlines", symbol="BTCUSDT", interval="1m", limit=1)
        assert Decimal(marks[0][3]) <= Decimal(m.mark()).scaleb(-8) or m.mark_bars[-1].open_ms > marks[0][0]

    play(tmp_path, body)


def test_trades_and_aggregates_have_a_past(tmp_path: Path) -> None:
    """A full page on a new venue, ids consecutive into the live ones; from an id on; only the last ones on /trades."""

    async def body(client: Client) -> None:
        m = client.venue.ex.markets["BTCUSDT"]
        await until(lambda: m.next_trade > m.first_trade + 5, "live trades")
        rows = await get(client, "/fapi/v1/trades", symbol="BTCUSDT", limit=1000)
        assert [r["id"] for r in rows] == list(range(rows[0]["id"], rows[0]["id"] + 1000))
        assert rows[0]["id"] < m.first_trade <= rows[-1]["id"]
        old = await client.ok("GET", "/fapi/v1/historicalTrades", symbol="BTCUSDT", fromId=rows[3]["id"], limit=2)
        assert old == rows[3:5]
        assert set(rows[0]) == {"id", "price", "qty", "quoteQty", "time", "isBuyerMaker", "isRPITrade"}
        aggs = await get(client, "/fapi/v1/aggTrades", symbol="BTCUSDT", limit=1000)
        assert len(aggs) == 1000 and all(a["l"] + 1 == b["f"] for a, b in pairwise(aggs))
        window = {"startTime": aggs[5]["T"], "endTime": aggs[5]["T"] + 1000}
        some = await get(client, "/fapi/v1/aggTrades", symbol="BTCUSDT", **window)
        assert some and all(window["startTime"] <= a["T"] <= window["endTime"] for a in some)
        again = await get(client, "/fapi/v1/aggTrades", symbol="BTCUSDT", fromId=aggs[900]["a"], limit=5)
        assert again == aggs[900:905]

    play(tmp_path, body)


def test_funding(tmp_path: Path) -> None:
    """Rates page by time over the years; each symbol at its own hours; a dated contract has none."""

    async def body(client: Client) -> None:
        last = await get(client, "/fapi/v1/fundingRate", symbol="BTCUSDT")
        assert len(last) == 100 and set(last[0]) == {"symbol", "fundingTime", "fundingRate", "markPrice", "rateType"}
        assert all(b["fundingTime"] - a["fundingTime"] == 8 * HOUR_MS for a, b in pairwise(last))
        page = await get(client, "/fapi/v1/fundingRate", symbol="BTCUSDT", startTime=last[10]["fundingTime"], limit=5)
        assert page == last[10:15]
        ends = await get(client, "/fapi/v1/fundingRate", symbol="BTCUSDT", endTime=last[10]["fundingTime"], limit=5)
        assert ends == last[6:11]
        first = await get(client, "/fapi/v1/fundingRate", symbol="BTCUSDT", startTime=0, limit=1000)
        assert len(first) == 1000 and first[0]["fundingTime"] < last[0]["fundingTime"] - 1000 * 8 * HOUR_MS
        every = await get(client, "/fapi/v1/fundingRate")
        dated = next(name for name in client.venue.ex.markets if "_" in name)
        assert {r["symbol"] for r in every} == set(client.venue.ex.markets) - {dated}
        premium = {r["symbol"]: r for r in await get(client, "/fapi/v1/premiumIndex")}
        assert (premium[dated]["lastFundingRate"], premium[dated]["nextFundingTime"]) == ("", 0)
        hourly = premium["牛来USDT"]
        assert hourly["nextFundingTime"] - hourly["time"] <= HOUR_MS and hourly["nextFundingTime"] % HOUR_MS == 0
        one = await get(client, "/fapi/v1/premiumIndex", symbol="BTCUSDT")
        assert {k: type(v) for k, v in one.items()} == {k: type(v) for k, v in premium["BTCUSDT"].items()}

    play(tmp_path, body)


@pytest.mark.skipif(not FUNDING.exists(), reason="captured fundingInfo is not at hand")
def test_funding_info_has_the_shape_of_the_wire(tmp_path: Path) -> None:
    """Keys, types and number of places of captured rows; symbols of 8 h with the ordinary cap are not named."""
    captured = {r["symbol"]: r for r in json.loads(FUNDING.read_text())}

    async def body(client: Client) -> None:
        rows = {r["symbol"]: r for r in await get(client, "/fapi/v1/fundingInfo")}
        assert rows["BTCUSDT"] == captured["BTCUSDT"]
        shape = {k: type(v) for k, v in captured["LPTUSDT"].items()}
        assert {k: type(v) for k, v in rows["牛来USDT"].items()} == shape
        assert rows["牛来USDT"]["fundingIntervalHours"] == 1 and "SOLUSDT" not in rows
        assert rows["牛来USDT"]["adjustedFundingRateCap"] == captured["LPTUSDT"]["adjustedFundingRateCap"]

    play(tmp_path, body)


def test_tickers_count_the_whole_day(tmp_path: Path) -> None:
    """The 24 h ticker of a new venue is that of its candles; without a symbol every one is there."""

    async def body(client: Client) -> None:
        names = set(client.venue.ex.markets)
        day = await get(client, "/fapi/v1/ticker/24hr", symbol="BTCUSDT")
        window = {"startTime": day["openTime"], "endTime": day["closeTime"]}
        rows = await get(client, "/fapi/v1/klines", symbol="BTCUSDT", interval="1m", limit=1500, **window)
        assert len(rows) in (1440, 1441) and day["openTime"] == rows[0][0]
        assert Decimal(day["volume"]) == sum(Decimal(r[5]) for r in rows)
        assert day["count"] == sum(r[8] for r in rows)
        assert abs(Decimal(day["quoteVolume"]) - sum(Decimal(r[7]) for r in rows)) <= Decimal("0.005")
        prices = (max(Decimal(r[2]) for r in rows), min(Decimal(r[3]) for r in rows))
        assert (Decimal(day["highPrice"]), Decimal(day["lowPrice"])) == prices
        assert Decimal(day["openPrice"]) == Decimal(rows[0][1]) and day["count"] > 100_000
        assert day["lastId"] - day["firstId"] + 1 == day["count"]
        change = Decimal(day["lastPrice"]) - Decimal(day["openPrice"])
        assert Decimal(day["priceChange"]) == change and re.fullmatch(r"-?\d+\.\d{3}", day["priceChangePercent"])
        for path in ("/fapi/v1/ticker/24hr", "/fapi/v1/ticker/price", "/fapi/v2/ticker/price",
                     "/fapi/v1/ticker/bookTicker", "/fapi/v1/premiumIndex"):  # fmt: skip
            assert {r["symbol"] for r in await get(client, path)} == names, path

    play(tmp_path, body, events_per_s=0)


def test_statistics_are_full_and_the_same_again(tmp_path: Path) -> None:
    """Each kind answers a full page on its period's grid, and the same again for the past."""

    async def body(client: Client) -> None:
        for name in STATISTICS:
            ask: dict[str, object] = {"symbol": "BTCUSDT", "period": "1h", "limit": 48}
            rows = await get(client, f"/futures/data/{name}", **ask)
            again = await get(client, f"/futures/data/{name}", **ask)
            assert len(rows) == 48 and rows[:-1] == again[:-1]
            assert all(b["timestamp"] - a["timestamp"] == HOUR_MS for a, b in pairwise(rows))
            assert all(isinstance(v, str) for k, v in rows[0].items() if k != "timestamp")
        shares = await get(client, "/futures/data/globalLongShortAccountRatio", symbol="BTCUSDT", period="5m")
        assert all(Decimal(r["longAccount"]) + Decimal(r["shortAccount"]) == 1 for r in shares)
        for contract in ("PERPETUAL", "CURRENT_QUARTER"):
            rows = await get(client, "/futures/data/basis", pair="BTCUSDT", contractType=contract, period="1d")
            assert len(rows) == 30
            for r in rows:
                assert Decimal(r["futuresPrice"]) - Decimal(r["indexPrice"]) == Decimal(r["basis"])
                assert bool(r["annualizedBasisRate"]) == (contract == "CURRENT_QUARTER")
        old = await get(client, "/futures/data/openInterestHist", symbol="BTCUSDT", period="1d", startTime=0, limit=500)
        assert len(old) in (30, 31)

    play(tmp_path, body)


def test_the_rest_answers(tmp_path: Path) -> None:
    """Every other public route, in its documented keys."""
    keys = {
        "ping": set(),
        "time": {"serverTime"},
        "openInterest": {"symbol", "openInterest", "time"},
        "constituents": {"symbol", "time", "constituents"},
        "insuranceBalance": {"symbols", "assets"},
        "symbolAdlRisk": {"symbol", "adlRisk", "updateTime"},
        "rpiDepth": {"lastUpdateId", "E", "T", "bids", "asks"},
    }

    async def body(client: Client) -> None:
        for name, want in keys.items():
            assert set(await get(client, f"/fapi/v1/{name}", symbol="BTCUSDT")) == want
        assert await get(client, "/fapi/v1/indexInfo") == []
        index = await get(client, "/fapi/v1/assetIndex", symbol="BTCUSD")
        assert Decimal(index["bidRate"]) < Decimal(index["index"]) < Decimal(index["askRate"]) and len(index) == 11
        assert len(await get(client, "/futures/data/delivery-price", pair="BTCUSDT")) >= 4
        assert await client.ok("GET", "/fapi/v1/apiTradingStatus") == {"indicators": {}, "updateTime": 0}
        info = await get(client, "/fapi/v1/exchangeInfo")
        assert {a["asset"] for a in info["assets"]} >= {"USDT", "USDC", "BTC", "BNB", "ETH"}
        assert set(info) == {
            "timezone", "serverTime", "futuresType", "rateLimits", "exchangeFilters", "assets", "symbols",
        }  # fmt: skip
        for limit in (5, 10, 20, 50, 100, 500, 1000):
            book = await get(client, "/fapi/v1/depth", symbol="BTCUSDT", limit=limit)
            assert 0 < len(book["bids"]) <= limit and Decimal(book["bids"][0][0]) < Decimal(book["asks"][0][0])

    play(tmp_path, body)
