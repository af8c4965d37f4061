"""Faults of the user stream, of accounts and of markets, each noticed by a client; and the law that every fault is."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from exchange_client import Client, on_a_loop, receive, until
from faults_client import (
    NOTICED,
    STREAM,
    SYMBOL,
    events,
    inject,
    limit,
    live,
    market,
    notices,
    numbers,
    place,
    publish,
    quiet,
    reading,
    silent,
    user_stream,
)

from aegis.exchange import options
from aegis.exchange.faults.catalogue import CATALOGUE

ROOT = Path(__file__).resolve().parents[2]
OTHER = "ethusdt@bookTicker"  # of a symbol that this venue does not list


def trades(rows: list[dict[str, Any]]) -> list[int]:
    """Trade ids of the fills among user events."""
    return [e["o"]["t"] for e in rows if e["e"] == "ORDER_TRADE_UPDATE" and e["o"]["x"] == "TRADE"]


async def position(client: Client) -> str:
    """The position by REST: what a client compares its own against."""
    rows: Any = await client.ok("GET", "/fapi/v3/positionRisk", symbol=SYMBOL)
    return str(rows[0]["positionAmt"]) if rows else "0"


async def filled(client: Client, ws: aiohttp.ClientWebSocketResponse, ident: str) -> list[dict[str, Any]]:
    """The four events of one market order that meets one maker."""
    assert await place(client, market(ident)) == (200, 0)
    return await events(ws, 4)


@on_a_loop
async def test_one_order_is_four_events(tmp_path: Path) -> None:
    """Without a fault: TRADE_LITE, NEW, ACCOUNT_UPDATE, TRADE, and nothing more."""
    async with quiet(tmp_path) as client, user_stream(client) as ws:
        rows = await filled(client, ws, "a")
        assert [e["e"] for e in rows] == ["TRADE_LITE", "ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE", "ORDER_TRADE_UPDATE"]
        assert len(trades(rows)) == 1
        assert await silent(ws)


@notices("user_silent")
async def test_a_silent_user_stream_is_found_by_rest(tmp_path: Path) -> None:
    """No event, pings answered, and the position by REST has moved."""
    async with quiet(tmp_path) as client, user_stream(client) as ws:
        await inject(client, "user_silent")
        await place(client, market("a"))
        assert await silent(ws)
        await ws.ping(b"x")
        assert (await ws.receive()).type == aiohttp.WSMsgType.PONG
        assert await position(client) == "0.004"
        await client.operate("fault/clear")
        assert len(trades(await filled(client, ws, "b"))) == 1


@notices("user_late")
async def test_late_user_events_come_in_their_order(tmp_path: Path) -> None:
    """REST knows the position before the stream does; market frames are not late."""
    async with quiet(tmp_path) as client, user_stream(client) as ws, reading(client, f"public/ws/{OTHER}") as other:
        await inject(client, "user_late", ms=1500)
        await place(client, market("a"))
        assert await position(client) == "0.004"
        publish(client, 1, stream=OTHER)
        assert await numbers(other, 1) == [1]
        assert await silent(ws)
        rows = await events(ws, 4)
        assert [e["e"] for e in rows[::2]] == ["TRADE_LITE", "ACCOUNT_UPDATE"]
        assert len(trades(rows)) == 1


@notices("new_after_fill")
async def test_new_told_after_the_fill(tmp_path: Path) -> None:
    """A status that falls from FILLED back to NEW must not reopen the order; the next order is told in order."""
    async with quiet(tmp_path) as client, user_stream(client) as ws:
        await inject(client, "new_after_fill")
        for ident, want in (("a", ["FILLED", "NEW"]), ("b", ["NEW", "FILLED"])):
            rows = await filled(client, ws, ident)
            assert [e["o"]["X"] for e in rows if e["e"] == "ORDER_TRADE_UPDATE"] == want


@notices("fill_repeat")
async def test_a_fill_told_twice_has_one_trade_id(tmp_path: Path) -> None:
    """A client that adds up events is wrong against REST, one that keys by trade id is right."""
    async with quiet(tmp_path) as client, user_stream(client) as ws:
        await inject(client, "fill_repeat")
        await place(client, market("a"))
        ids = trades(await events(ws, 5))
        assert (len(ids), len(set(ids))) == (2, 1)
        assert await position(client) == "0.004"


@notices("fill_replay")
async def test_an_old_fill_is_told_among_newer_orders(tmp_path: Path) -> None:
    """Its trade id was seen before, its event time is later than the newer order's."""
    async with quiet(tmp_path) as client, user_stream(client) as ws:
        first = await filled(client, ws, "a")
        assert await place(client, limit(client, "b")) == (200, 0)
        (new,) = await events(ws, 1)
        await inject(client, "fill_replay")
        (again,) = await events(ws, 1)
        assert new["o"]["c"] == "b"
        assert trades([again]) == trades(first)
        assert (again["E"] >= new["E"], again["o"]["T"] <= new["o"]["T"]) == (True, True)
        with pytest.raises(AssertionError, match="no account"):
            await inject(client, "fill_replay", account="nobody")


@pytest.mark.parametrize(("times", "text_time"), [(1, True), (2, True), (1, False)])
@notices("listen_key_expired")
async def test_a_listen_key_dies_with_notice(tmp_path: Path, times: int, text_time: bool) -> None:
    """The notice comes as often as asked, E in the type asked; then silence, -1125, and a new key that works."""
    async with quiet(tmp_path) as client, user_stream(client) as ws:
        await inject(client, "listen_key_expired", times=times, text_time=text_time)
        rows = await events(ws, times)
        assert {(e["e"], type(e["E"])) for e in rows} == {("listenKeyExpired", str if text_time else int)}
        await place(client, market("a"))
        assert await silent(ws)
        assert (await client.call("PUT", "/fapi/v1/listenKey"))[1]["code"] == -1125  # type: ignore[index,call-overload]
        async with user_stream(client) as again:
            assert len(trades(await filled(client, again, "b"))) == 1


@notices("listen_key_gone")
async def test_a_listen_key_dies_without_a_word(tmp_path: Path) -> None:
    """Only a keepalive (-1125) or a REST cross-check tells."""
    async with quiet(tmp_path) as client, user_stream(client) as ws:
        await inject(client, "listen_key_gone")
        await place(client, market("a"))
        assert await silent(ws)
        assert await position(client) == "0.004"
        assert (await client.call("PUT", "/fapi/v1/listenKey"))[1]["code"] == -1125  # type: ignore[index,call-overload]


# out of the blue ----------------------------------------------------------------------
@notices("funding_now")
async def test_funding_outside_its_hours(tmp_path: Path) -> None:
    """An ACCOUNT_UPDATE FUNDING_FEE and an income row of the same amount, which a long pays."""
    async with quiet(tmp_path) as client, user_stream(client) as ws:
        await filled(client, ws, "a")
        await inject(client, "funding_now", symbol=SYMBOL, rate="0.001")
        (event,) = await events(ws, 1)
        assert event["a"]["m"] == "FUNDING_FEE"
        (row,) = await client.ok("GET", "/fapi/v1/income", incomeType="FUNDING_FEE")  # type: ignore[misc]
        assert float(row["income"]) == float(event["a"]["B"][0]["bc"]) < 0
        client.venue.ex.verify()


@pytest.mark.parametrize(("fault", "head"), [("liquidation_now", "autoclose-"), ("adl_now", "adl_autoclose")])
@on_a_loop
async def test_a_position_taken_away(tmp_path: Path, fault: str, head: str) -> None:
    """The position is gone by an order the client never sent, with a client id that says why."""
    async with quiet(tmp_path) as client, user_stream(client) as ws:
        await filled(client, ws, "a")
        await inject(client, fault, symbol=SYMBOL)
        seen = ""
        while not seen.startswith("autoclose-"):
            (event,) = await events(ws, 1)
            seen = event.get("o", {}).get("c", "")
        assert await position(client) == "0"
        rows: Any = await client.ok("GET", "/fapi/v1/forceOrders")
        assert rows[0]["clientOrderId"].startswith(("autoclose-", head))
        client.venue.ex.verify()


@notices("liquidation_now", "adl_now")
async def test_the_other_side_of_a_deleveraging(tmp_path: Path) -> None:
    """Two accounts: one is deleveraged, the holder of the other side is closed by an adl_autoclose order."""
    accounts = [(f"{name}-key", "secret", "") for name in ("more", "second")]
    async with quiet(tmp_path, account=accounts) as client:
        for account, qty in (("main", "0.010"), ("second", "-0.010")):
            await inject(client, "position_elsewhere", symbol=SYMBOL, qty=qty, account=account)
        await inject(client, "adl_now", symbol=SYMBOL, account="second")
        assert await position(client) == "0"
        rows: Any = await client.ok("GET", "/fapi/v1/forceOrders", autoCloseType="ADL")
        assert [r["side"] for r in rows] == ["SELL"]
        await inject(client, "position_elsewhere", symbol=SYMBOL, qty="0.010")
        await inject(client, "liquidation_now", symbol=SYMBOL)
        assert await position(client) == "0"
        with pytest.raises(AssertionError, match="no BOTH position"):
            await inject(client, "liquidation_now", symbol=SYMBOL)
        client.venue.ex.verify()


@notices("position_elsewhere", "transfer_elsewhere", "cancel_elsewhere")
async def test_somebody_else_acts_for_the_account(tmp_path: Path) -> None:
    """Positions and money move by ids the client never sent, told or silent; REST always knows."""
    async with quiet(tmp_path) as client, user_stream(client) as ws:
        await inject(client, "position_elsewhere", symbol=SYMBOL, qty="0.010")
        assert (await events(ws, 4))[3]["o"]["c"].startswith("web_")
        await inject(client, "transfer_elsewhere", asset="USDT", amount="-50")
        (event,) = await events(ws, 1)
        assert (event["a"]["m"], float(event["a"]["B"][0]["bc"])) == ("WITHDRAW", -50)
        await inject(client, "position_elsewhere", symbol=SYMBOL, qty="-0.004", silent=True)
        await inject(client, "transfer_elsewhere", asset="USDT", amount="7", silent=True)
        assert await silent(ws)
        assert await position(client) == "0.006"
        rows: Any = await client.ok("GET", "/fapi/v1/income", incomeType="TRANSFER")
        assert [float(r["income"]) for r in rows] == [-50, 7]
        await place(client, limit(client, "mine"))
        await inject(client, "cancel_elsewhere", symbol=SYMBOL)
        assert [(e["o"]["x"], e["o"]["c"]) for e in await events(ws, 2)] == [("NEW", "mine"), ("CANCELED", "mine")]
        assert not live(client, "mine")
        client.venue.ex.verify()


@notices("key_revoked")
async def test_a_revoked_key(tmp_path: Path) -> None:
    """-2015 on REST, and a logged-on connection is told in-band."""
    async with quiet(tmp_path) as client, client.http.ws_connect(f"{client.base}/ws-fapi/v1") as api:
        await api.send_json(client.signed_message(1, "session.logon", ed25519=True))
        assert json.loads(await receive(api))["status"] == 200
        await inject(client, "key_revoked", key=client.api_key)
        notice = json.loads(await receive(api))
        assert (notice["id"], notice["error"]["code"]) == (None, -2015)
        assert await place(client, limit(client, "a")) == (401, -2015)
        with pytest.raises(AssertionError, match="no key"):
            await inject(client, "key_revoked", key=client.api_key)


# markets --------------------------------------------------------------------------------
async def listed(client: Client) -> dict[str, Any]:
    """The symbol in exchangeInfo, with its filters by type."""
    _, info = await client.call("GET", "/fapi/v1/exchangeInfo", signed=False)
    row: dict[str, Any] = info["symbols"][0]  # type: ignore[index,call-overload]
    return row | {"filters": {f["filterType"]: f for f in row["filters"]}}


@notices("filter_change")
async def test_filters_change_on_a_live_symbol(tmp_path: Path) -> None:
    """Orders on the old grid get -4014, -4023 and -4164; exchangeInfo has the new grid; then the old is back."""
    async with quiet(tmp_path) as client:
        order = limit(client, "a") | {"price": "60000.10"}
        assert await place(client, order) == (200, 0)
        await inject(client, "filter_change", symbol=SYMBOL, tick="1", step="0.01", min_notional="700")
        assert (await place(client, order | {"newClientOrderId": "b"}))[1] == -4014
        assert (await place(client, order | {"price": "60000", "quantity": "0.015"}))[1] == -4023
        assert (await place(client, order | {"price": "60000", "newClientOrderId": "c"}))[1] == -4164
        filters = (await listed(client))["filters"]
        assert (float(filters["PRICE_FILTER"]["tickSize"]), float(filters["LOT_SIZE"]["stepSize"])) == (1, 0.01)
        await client.operate("fault/clear")
        assert await place(client, order | {"newClientOrderId": "d"}) == (200, 0)
        with pytest.raises(AssertionError, match="above 0"):
            await inject(client, "filter_change", symbol=SYMBOL)


@notices("symbol_halted")
async def test_a_symbol_stops_trading(tmp_path: Path) -> None:
    """!contractInfo tells, exchangeInfo agrees, orders get -4140; and back."""
    async with quiet(tmp_path) as client, reading(client, "market/ws/!contractInfo") as ws:
        await inject(client, "symbol_halted", symbol=SYMBOL)
        assert json.loads(await receive(ws))["cs"] == (await listed(client))["status"] == "SETTLING"
        assert (await place(client, limit(client, "a")))[1] == -4140
        await client.operate("fault/clear")
        assert json.loads(await receive(ws))["cs"] == "TRADING"
        assert await place(client, limit(client, "a")) == (200, 0)


async def mark(client: Client) -> float:
    """The mark price by REST."""
    _, row = await client.call("GET", "/fapi/v1/premiumIndex", signed=False, symbol=SYMBOL)
    return float(row["markPrice"])  # type: ignore[index,call-overload]


@notices("mark_pinned")
async def test_a_pinned_mark_leaves_the_book(tmp_path: Path) -> None:
    """A client that compares mark and middle sees them part; an order near the book is refused by PERCENT_PRICE."""
    async with quiet(tmp_path) as client:
        order = limit(client, "a", 99)
        assert abs(await mark(client) / float(order["price"]) - 1) < 0.03
        await inject(client, "mark_pinned", symbol=SYMBOL, percent="-20")
        assert await mark(client) < 0.85 * float(order["price"])
        assert (await place(client, order))[1] == -4016
        await client.operate("fault/clear")
        m = client.venue.ex.market(SYMBOL)
        await until(lambda: abs(m.mark() - m.spec.px_e8(m.mid())) < m.mark() // 20, "the mark's own price")
        await inject(client, "mark_pinned", symbol=SYMBOL, mark="12345.6")
        assert await mark(client) == 12345.6
        with pytest.raises(AssertionError, match="mark or percent"):
            await inject(client, "mark_pinned", symbol=SYMBOL)


@notices("weight_limit")
async def test_a_lowered_weight_limit(tmp_path: Path) -> None:
    """429 comes at a weight that was allowed a moment ago."""
    async with quiet(tmp_path) as client:
        url = "/fapi/v1/depth"
        assert (await client.call("GET", url, signed=False, symbol=SYMBOL, limit=1000))[0] == 200
        await inject(client, "weight_limit", weight=5)
        assert (await client.call("GET", url, signed=False, symbol=SYMBOL, limit=1000))[0] == 429
        await client.operate("fault/clear")
        assert (await client.call("GET", url, signed=False, symbol=SYMBOL, limit=1000))[0] == 200


@pytest.mark.parametrize("ms", [60_000, -60_000])
@notices("clock_step")
async def test_a_step_of_the_venues_clock(tmp_path: Path, ms: int) -> None:
    """A signed request gets -1021; the time asked anew shows the step; the step ends with the fault."""
    async with quiet(tmp_path) as client:
        before = client.venue.ex.clock()
        await inject(client, "clock_step", ms=ms)
        assert (await place(client, limit(client, "a")))[1] == -1021
        _, row = await client.call("GET", "/fapi/v1/time", signed=False)
        assert 0 <= row["serverTime"] - before - ms < 10_000  # type: ignore[index,call-overload]
        await client.operate("fault/clear")
        assert await place(client, limit(client, "a")) == (200, 0)


# the laws -----------------------------------------------------------------------------------
def test_every_fault_is_noticed_by_a_test() -> None:
    """The faults that tests show a client noticing are the catalogue, no more and no fewer."""
    for name in ("test_faults_frames", "test_faults_door"):
        importlib.import_module(name)
    assert set(NOTICED) == set(CATALOGUE)


def test_a_test_whose_fault_never_strikes_is_red() -> None:
    """The mark itself alarms: no injection, no pass."""
    marked = dict(NOTICED)

    @notices("frame_drop")
    async def empty() -> None:
        return None

    NOTICED.clear()
    NOTICED.update(marked)
    with pytest.raises(AssertionError):
        empty()


def test_every_fault_says_what_it_does() -> None:
    """One line of documentation each, in --help too; parameters are of JSON's own types; the venue's page names it."""
    page, shown = (ROOT / "docs" / "venue.md").read_text(encoding="utf-8"), options.parser().format_help()
    for fault in CATALOGUE.values():
        assert fault.doc.endswith(".")
        assert "\n" not in fault.doc
        assert all(p.type in ("int", "str", "bool") for p in fault.params), fault.name
        assert f"  {fault.usage()}\n      {fault.doc}\n" in shown + "\n"
        assert f"`{fault.name}`" in page


@on_a_loop
async def test_no_fault_acts_without_being_asked(tmp_path: Path) -> None:
    """A venue nobody asked has no rule, no tamper, no hook, and GET /control/faults shows the catalogue alone."""
    async with quiet(tmp_path, events_per_s=200) as client, reading(client) as ws, user_stream(client) as user:
        assert await place(client, market("a")) == (200, 0)
        assert len(trades(await events(user, 4))) == 1
        last = 0
        for u in await numbers(ws, 20):
            assert u > last
            last = u
        hooks = client.venue.ex.faults
        assert hooks.before_rules == hooks.after_rules == hooks.seen_rules == client.venue.hub.on_open == []
        assert hooks.on_request is None
        assert not any(c.tampers or c.muted for c in client.venue.hub.conns)
        seen: Any = await client.operate("faults")
        assert (seen["injected"], seen["waiting"], seen["failed"]) == ([], [], [])
        assert [f["name"] for f in seen["catalogue"]] == list(CATALOGUE)
        assert seen["catalogue"][0]["params"]["stream"] == {"type": "str", "default": "*"}
        publish(client, 1, stream=STREAM)
