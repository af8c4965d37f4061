"""Faults of requests and reads, each noticed by a client: codes, deadlines, and a cross-check of what is true."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from exchange_client import DEADLINE_S, Client, on_a_loop, receive, until
from faults_client import (
    SILENCE_S,
    SYMBOL,
    inject,
    limit,
    live,
    market,
    notices,
    place,
    quiet,
    reading,
    user_stream,
)

WRITE = "POST /fapi/v1/order"


async def settled(client: Client, ident: str) -> bool:
    """The cross-check of a client that does not know: does the venue have the order?"""
    status, _ = await client.call("GET", "/fapi/v1/order", symbol=SYMBOL, origClientOrderId=ident)
    return status == 200


async def message(client: Client, order: dict[str, str], method: str = "order.place") -> dict[str, Any]:
    """The answer of the WebSocket API to an order."""
    async with client.http.ws_connect(f"{client.base}/ws-fapi/v1") as api:
        await api.send_json(client.signed_message(5, method, **order))
        row: dict[str, Any] = json.loads(await receive(api))
        return row


@pytest.mark.parametrize(
    ("fault", "status", "code", "word"),
    [
        ("unknown_503", 503, -1000, "Unknown error"),
        ("unexpected_1006", 400, -1006, "Execution status unknown"),
        ("timeout_1007", 408, -1007, "execution status unknown"),
        ("duplicate_4116", 400, -4116, "duplicated"),
    ],
)
@pytest.mark.parametrize("took_effect", [True, False])
@on_a_loop
async def test_unknown_outcomes(
    tmp_path: Path, fault: str, status: int, code: int, word: str, took_effect: bool
) -> None:
    """The same words before and after the order took effect, by REST and WebSocket API; only a query tells."""
    async with quiet(tmp_path) as client:
        await inject(client, fault, took_effect=took_effect)
        answer: Any = await client.call("POST", "/fapi/v1/order", **limit(client, "a"))
        assert (answer[0], answer[1]["code"]) == (status, code)
        assert word in answer[1]["msg"]
        assert await settled(client, "a") == took_effect == live(client, "a")
        await inject(client, fault, took_effect=took_effect)
        row = await message(client, limit(client, "b"))
        assert (row["id"], row["status"], row["error"]["code"]) == (5, status, code)
        assert "result" not in row
        assert await settled(client, "b") == took_effect
        assert await place(client, limit(client, "c")) == (200, 0)


@notices("unknown_503", "unexpected_1006", "timeout_1007", "duplicate_4116")
async def test_an_unknown_outcome_is_found_out_by_a_query(tmp_path: Path) -> None:
    """Each of the four leaves an order that its client must find, as the default."""
    async with quiet(tmp_path) as client:
        for fault in ("unknown_503", "unexpected_1006", "timeout_1007", "duplicate_4116"):
            await inject(client, fault)
            assert (await place(client, limit(client, fault)))[1] < 0
            assert await settled(client, fault)


@notices("unavailable_503", "internal_503", "bad_signature_1022", "error")
async def test_failures_that_did_nothing(tmp_path: Path) -> None:
    """The code is told, the order does not exist, and the same id is taken at once afterwards."""
    async with quiet(tmp_path) as client:
        rows: list[tuple[str, dict[str, object], tuple[int, int]]] = [
            ("unavailable_503", {}, (503, -1000)),
            ("internal_503", {}, (503, -1001)),
            ("bad_signature_1022", {}, (400, -1022)),
            ("error", {"code": -2010, "msg": "no", "status": 409}, (409, -2010)),
        ]
        for fault, params, want in rows:
            await inject(client, fault, **params)
            assert await place(client, limit(client, fault)) == want
            assert not await settled(client, fault)
            assert await place(client, limit(client, fault)) == (200, 0)


@notices("overload")
async def test_an_overloaded_venue_lets_exits_through(tmp_path: Path) -> None:
    """New orders get 503 -1008 and are not counted; cancels, reduce-only orders and reads pass, on both doors."""
    async with quiet(tmp_path) as client:
        assert await place(client, market("in")) == (200, 0)
        assert await place(client, limit(client, "rest")) == (200, 0)
        counts = client.venue.api.limits.orders("main")
        await inject(client, "overload")
        used = counts.minute.used
        assert await place(client, limit(client, "more")) == (503, -1008)
        assert (await message(client, limit(client, "more")))["error"]["code"] == -1008
        assert counts.minute.used == used
        assert await place(client, market("out", "SELL", reduceOnly="true")) == (200, 0)
        await client.ok("DELETE", "/fapi/v1/order", symbol=SYMBOL, origClientOrderId="rest")
        assert await client.ok("GET", "/fapi/v1/openOrders", symbol=SYMBOL) == []


@notices("server_overload")
async def test_a_venue_overloaded_as_a_whole(tmp_path: Path) -> None:
    """Reads and cancels are refused too, until it ends."""
    async with quiet(tmp_path) as client:
        await inject(client, "server_overload", ms=5, count=2)
        assert (await client.call("GET", "/fapi/v1/time", signed=False))[0] == 503
        status, row = await client.call("DELETE", "/fapi/v1/order", symbol=SYMBOL, orderId=1)
        assert (status, row["code"]) == (503, -1008)  # type: ignore[index,call-overload]
        assert (await client.call("GET", "/fapi/v1/time", signed=False))[0] == 200


@notices("rate_limited_429")
async def test_going_too_fast_says_when_to_come_again(tmp_path: Path) -> None:
    """429, -1003, Retry-After."""
    async with quiet(tmp_path) as client:
        await inject(client, "rate_limited_429", retry_after_s=7)
        async with client.http.get(f"{client.base}/fapi/v1/ping") as r:
            assert (r.status, r.headers["Retry-After"], (await r.json())["code"]) == (429, "7", -1003)
        assert (await client.call("GET", "/fapi/v1/ping", signed=False))[0] == 200


@notices("banned_418")
async def test_a_ban_closes_every_door(tmp_path: Path) -> None:
    """418 with the end of the ban, by REST and at the WebSocket API's handshake; it ends."""
    async with quiet(tmp_path) as client:
        await inject(client, "banned_418", ms=60_000)
        async with client.http.get(f"{client.base}/fapi/v1/ping") as r:
            assert (r.status, int(r.headers["Retry-After"]) in (59, 60)) == (418, True)
            assert "banned until" in (await r.json())["msg"]
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await client.http.ws_connect(f"{client.base}/ws-fapi/v1")
        await client.operate("fault/clear")
        assert (await client.call("GET", "/fapi/v1/ping", signed=False))[0] == 200


@notices("html_answer", "empty_5xx")
async def test_answers_that_are_no_json(tmp_path: Path) -> None:
    """A page or nothing: the status alone tells; a WebSocket API request on the same path is not met."""
    async with quiet(tmp_path) as client:
        for fault, status, head in (("html_answer", 403, b"<html>"), ("empty_5xx", 502, b"")):
            await inject(client, fault)
            assert (await message(client, limit(client, fault)))["status"] == 200
            async with client.http.get(f"{client.base}/fapi/v1/ping") as r:
                body = await r.read()
                assert (r.status, body[: len(head)]) == (status, head)
                assert bool(body) == bool(head)


@notices("request_delay")
async def test_a_request_that_waits_grows_too_old(tmp_path: Path) -> None:
    """With a small recvWindow the order dies of -1021 instead of trading late."""
    async with quiet(tmp_path) as client:
        await inject(client, "request_delay", ms=60)
        assert (await place(client, limit(client, "a") | {"recvWindow": "10"}))[1] == -1021
        assert not live(client, "a")


@notices("request_lost", "answer_lost")
async def test_a_broken_connection_does_not_tell_whether_it_was_done(tmp_path: Path) -> None:
    """The client sees the same end; one order exists, the other does not."""
    async with quiet(tmp_path) as client:
        for fault, there in (("request_lost", False), ("answer_lost", True)):
            await inject(client, fault)
            with pytest.raises(aiohttp.ClientError):
                await place(client, limit(client, fault))
            assert await settled(client, fault) == there


@pytest.mark.parametrize("count", [1, 90, 400])
@notices("answer_cut")
async def test_an_answer_cut_inside(tmp_path: Path, count: int) -> None:
    """Head or body end early: the client has no answer, the venue has the order."""
    async with quiet(tmp_path) as client:
        await inject(client, "answer_cut", after_bytes=count)
        with pytest.raises((aiohttp.ClientError, json.JSONDecodeError)):
            await place(client, limit(client, "a"))
        assert await settled(client, "a")


@pytest.mark.parametrize("took_effect", [True, False])
@notices("answer_never")
async def test_no_answer_ever(tmp_path: Path, took_effect: bool) -> None:
    """Only a deadline tells; the connection stays open."""
    async with quiet(tmp_path) as client:
        await inject(client, "answer_never", took_effect=took_effect)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(place(client, limit(client, "a")), SILENCE_S)
        assert live(client, "a") == took_effect


@notices("answer_delay")
async def test_a_late_answer_misses_a_deadline_and_comes(tmp_path: Path) -> None:
    """The order is done before its answer; the answer is a good one."""
    async with quiet(tmp_path) as client:
        await inject(client, "answer_delay", ms=1000)
        asked = asyncio.ensure_future(place(client, limit(client, "a")))
        await until(lambda: live(client, "a"), "the order")
        assert not asked.done()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(asked), SILENCE_S)
        assert await asyncio.wait_for(asked, DEADLINE_S) == (200, 0)


@notices("ack_after_fill")
async def test_a_fill_before_its_own_answer(tmp_path: Path) -> None:
    """The user stream tells a fill of an order that has no answer yet."""
    async with quiet(tmp_path) as client, user_stream(client) as ws:
        await inject(client, "ack_after_fill", ms=800)
        asked = asyncio.ensure_future(place(client, market("a")))
        while '"X":"FILLED"' not in await receive(ws):
            assert not asked.done()
        assert not asked.done()
        assert await asyncio.wait_for(asked, DEADLINE_S) == (200, 0)


# reads ------------------------------------------------------------------------------
@notices("query_unseen")
async def test_a_query_does_not_know_a_young_order(tmp_path: Path) -> None:
    """-2013 and an empty list for a live order, which the cancel finds all the same; the lag passes."""
    async with quiet(tmp_path) as client:
        await inject(client, "query_unseen", ms=1500)
        row: Any = await client.ok("POST", "/fapi/v1/order", **limit(client, "a"))
        ident = {"symbol": SYMBOL, "origClientOrderId": "a"}
        assert (await client.call("GET", "/fapi/v1/order", **ident))[1]["code"] == -2013  # type: ignore[index,call-overload]
        assert await client.ok("GET", "/fapi/v1/openOrders", symbol=SYMBOL) == []
        assert (await message(client, ident, "order.status"))["error"]["code"] == -2013
        assert live(client, "a")
        await until(lambda: client.venue.ex.clock() > row["updateTime"] + 1500, "the lag")
        assert await settled(client, "a")
        await place(client, limit(client, "b"))
        await client.ok("DELETE", "/fapi/v1/order", symbol=SYMBOL, origClientOrderId="b")


@notices("reads_stale")
async def test_reads_show_the_past(tmp_path: Path) -> None:
    """Position, balance and open orders are those of before, on both doors; writes act on the truth; then it ends."""
    async with quiet(tmp_path) as client:
        await place(client, limit(client, "a"))
        await inject(client, "reads_stale", ms=60_000)
        await place(client, market("in"))
        await client.ok("DELETE", "/fapi/v1/order", symbol=SYMBOL, origClientOrderId="a")
        rows: Any = await client.ok("GET", "/fapi/v1/openOrders", symbol=SYMBOL)
        assert [r["clientOrderId"] for r in rows] == ["a"]
        risk: Any = await client.ok("GET", "/fapi/v2/positionRisk", symbol=SYMBOL)
        assert [float(r["positionAmt"]) for r in risk] == [0]
        row = await message(client, {}, "v2/account.balance")
        assert [float(r["balance"]) for r in row["result"] if r["asset"] == "USDT"] == [10_000]
        assert await place(client, market("out", "SELL", reduceOnly="true")) == (200, 0)
        await client.operate("fault/clear")
        assert await client.ok("GET", "/fapi/v1/openOrders", symbol=SYMBOL) == []
        client.venue.ex.verify()


@notices("snapshot_old")
async def test_a_snapshot_older_than_the_stream(tmp_path: Path) -> None:
    """It ends before the event a client began to buffer with, so that nothing joins; the next snapshot is newer."""
    async with (
        quiet(tmp_path, events_per_s=300) as client,
        reading(client, "public/ws/btcusdt@depth@0ms") as ws,
    ):
        await inject(client, "snapshot_old", symbol=SYMBOL)
        injected_u = client.venue.ex.market(SYMBOL).last_u
        first = json.loads(await receive(ws))
        while first["pu"] <= injected_u:
            first = json.loads(await receive(ws))
        url = f"{client.base}/fapi/v1/depth?symbol={SYMBOL}&limit=5"
        async with client.http.get(url) as r:
            old = await r.json()
        async with client.http.get(url) as r:
            new = await r.json()
        assert old["lastUpdateId"] <= injected_u < first["pu"] < first["u"] <= new["lastUpdateId"]
        assert (len(old["bids"]), set(old)) == (5, set(new))


@on_a_loop
async def test_the_websocket_api_gets_an_old_snapshot_in_its_own_form(tmp_path: Path) -> None:
    """A result with id and status, as any other."""
    async with quiet(tmp_path) as client, client.http.ws_connect(f"{client.base}/ws-fapi/v1") as api:
        await inject(client, "snapshot_old", symbol=SYMBOL)
        client.venue.ex.market(SYMBOL).last_u += 10
        await api.send_json({"id": 3, "method": "depth", "params": {"symbol": SYMBOL, "limit": 5}})
        row = json.loads(await receive(api))
        assert (row["id"], row["status"]) == (3, 200)
        assert row["result"]["lastUpdateId"] == client.venue.ex.market(SYMBOL).last_u - 10
