"""Every endpoint and every event answers in its documented shape, asked through real sockets in one day's work."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from documented_shapes import Judge, read, table
from exchange_client import Client, receive, running
from scene import Gathered
from shapes import Grid, grid

from aegis.exchange import events
from aegis.exchange.routes import METHODS, rest_routes

V1 = "/fapi/v1/"
BTC = {"symbol": "BTCUSDT"}
SESSION = ("session.logon", "session.status", "session.logout")  # of the door itself
MARKET = ["btcusdt@miniTicker", "btcusdt_perpetual@continuousKline_1m", "!assetIndex@arr", "tradingSession"]


class Work:
    """
    A client's day, each answer kept under the name of its endpoint.

    Attributes:
        answers: name -> decoded answers.
        grids: places of every symbol's numbers.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.answers: dict[str, list[Any]] = {}
        self.envelopes: list[dict[str, Any]] = []
        self.grids: dict[str, Grid] = {}
        self.events = Gathered()

    async def ask(self, method: str, path: str, **params: object) -> Any:
        """A call that must succeed."""
        path = path if path.startswith("/") else V1 + path
        status, body = await self.client.call(method, path, **params)
        assert status == 200, (method, path, body)
        self.answers.setdefault(f"{method} {path}", []).append(body)
        return body

    async def public(self) -> None:
        """Everything that needs no account."""
        info = await self.ask("GET", "exchangeInfo")
        self.grids = {r["symbol"]: grid(r["pricePrecision"], r["quantityPrecision"]) for r in info["symbols"]}
        plain = "ping time depth trades historicalTrades aggTrades premiumIndex fundingRate fundingInfo openInterest"
        more = "ticker/24hr ticker/price ticker/bookTicker indexInfo constituents insuranceBalance symbolAdlRisk"
        for name in f"{plain} {more} apiTradingStatus".split():
            await self.ask("GET", name, **BTC)
        tickers = ["ticker/24hr", "ticker/price", "ticker/bookTicker"]
        for name in [*tickers, "premiumIndex", "assetIndex", "symbolAdlRisk", "insuranceBalance"]:
            assert isinstance(await self.ask("GET", name), list)
        wallet = "/sapi/v1/system/status", "/sapi/v1/capital/config/getall", "/sapi/v1/margin/allPairs"
        for name in ("/api/v3/ping", "/api/v3/time", *wallet, "tradingSchedule"):
            await self.ask("GET", name)
        await self.ask("GET", "rpiDepth", **BTC, limit=1000)
        await self.ask("GET", "/fapi/v2/ticker/price", **BTC)
        await self.ask("GET", "assetIndex", symbol="BTCUSD")
        for name in ("klines", "markPriceKlines", "premiumIndexKlines"):
            await self.ask("GET", name, **BTC, interval="1h", limit=3)
        await self.ask("GET", "indexPriceKlines", pair="BTCUSDT", interval="1h", limit=3)
        await self.ask("GET", "continuousKlines", pair="BTCUSDT", contractType="PERPETUAL", interval="1h", limit=3)
        data = "openInterestHist topLongShortPositionRatio topLongShortAccountRatio globalLongShortAccountRatio"
        for name in f"{data} takerlongshortRatio".split():
            await self.ask("GET", f"/futures/data/{name}", **BTC, period="1h")
        await self.ask("GET", "/futures/data/basis", pair="BTCUSDT", contractType="PERPETUAL", period="1h")
        await self.ask("GET", "/futures/data/delivery-price", pair="BTCUSDT")

    async def settings(self) -> None:
        """Modes forth and back, while nothing is open."""
        for value in ("true", "false"):
            await self.ask("POST", "positionSide/dual", dualSidePosition=value)
            await self.ask("POST", "multiAssetsMargin", multiAssetsMargin=value)
            await self.ask("POST", "feeBurn", feeBurn=value)
        for name in ("positionSide/dual", "multiAssetsMargin", "feeBurn", "accountConfig"):
            await self.ask("GET", name)
        await self.ask("POST", "leverage", **BTC, leverage=10)
        await self.ask("POST", "marginType", symbol="ETHUSDT", marginType="ISOLATED")
        for name in ("symbolConfig", "leverageBracket", "commissionRate"):
            await self.ask("GET", name, **BTC)

    async def orders(self) -> None:
        """Orders of every kind: resting, changed, cancelled, filled, in batches, refused, conditional."""
        px = int(self.client.venue.ex.markets["BTCUSDT"].mark() // 10**8) * 97 // 100
        buy: dict[str, object] = BTC | {"side": "BUY", "quantity": "0.010"}
        limit = buy | {"type": "LIMIT", "timeInForce": "GTC"}
        await self.ask("POST", "order/test", **limit, price=px)
        await self.ask("POST", "order", **buy, type="MARKET")
        await self.ask("POST", "order", **buy | {"symbol": "ETHUSDT", "quantity": "0.100"}, type="MARKET")
        rest = await self.ask("POST", "order", **limit, price=px)
        ident = BTC | {"orderId": rest["orderId"]}
        await self.ask("PUT", "order", **buy, orderId=rest["orderId"], price=px - 10)
        await self.ask("PUT", "order", **buy, orderId=rest["orderId"], price=px - 20, modifyId=7)
        for name in ("order", "openOrder", "openOrders", "orderAmendment"):
            await self.ask("GET", name, **ident)
        await self.ask("GET", "/fapi/v3/account")
        await self.ask("DELETE", "order", **ident)
        rows = [{k: str(v) for k, v in (limit | {"price": px - i}).items()} for i in (1, 2)]
        batch = await self.ask("POST", "batchOrders", batchOrders=json.dumps([*rows, rows[0] | {"price": "0.03"}]))
        changes = [buy | {"orderId": batch[0]["orderId"], "price": px - 30}, buy | {"orderId": 1, "price": px}]
        await self.ask("PUT", "batchOrders", batchOrders=json.dumps(changes))
        await self.ask("DELETE", "batchOrders", **BTC, orderIdList=json.dumps([batch[0]["orderId"], 1]))
        await self.ask("POST", "countdownCancelAll", **BTC, countdownTime=100_000)
        await self.ask("DELETE", "allOpenOrders", **BTC)
        stop = buy | {"side": "SELL", "algoType": "CONDITIONAL", "type": "STOP_MARKET", "triggerPrice": px}
        trail = {k: v for k, v in stop.items() if k != "triggerPrice"} | {"type": "TRAILING_STOP_MARKET"}
        algo = await self.ask("POST", "algoOrder", **stop)
        await self.ask("POST", "algoOrder", **trail, callbackRate="5")
        for name in ("algoOrder", "openAlgoOrders"):
            await self.ask("GET", name, algoId=algo["algoId"])
        await self.ask("DELETE", "algoOrder", algoId=algo["algoId"])
        await self.ask("GET", "openAlgoOrders")
        await self.ask("DELETE", "algoOpenOrders", **BTC)
        ex, high = self.client.venue.ex, px * 102 // 97
        take = {"type": "TAKE_PROFIT_MARKET", "workingType": "MARK_PRICE", "triggerPrice": high}
        due = await self.ask("POST", "algoOrder", **stop | take)
        ex.prices.pin("BTCUSDT", high * 10**8)
        ex.algo.tick()
        row = await self.ask("GET", "algoOrder", algoId=due["algoId"])
        assert row["actualQty"] == "0.010", "a triggered order shows what it traded"
        await self.ask("POST", "order", **buy, type="MARKET")
        await self.ask("GET", "allAlgoOrders", **BTC)
        await self.ask("GET", "rateLimit/order")

    async def account(self) -> None:
        """Money and positions, and what only a liquidation leaves behind."""
        await self.ask("POST", "positionMargin", symbol="ETHUSDT", amount="10", type=1)
        await self.ask("GET", "positionMargin/history", symbol="ETHUSDT")
        ex = self.client.venue.ex
        m, acc = ex.markets["BTCUSDT"], ex.account
        ex.tell(acc, events.margin_call(acc, [(m, "BOTH", 10**9)], 10**10, ex.clock()))
        for version in ("v2", "v3"):
            for name in ("account", "balance", "positionRisk"):
                await self.ask("GET", f"/fapi/{version}/{name}")
        await self.ask("GET", "adlQuantile", **BTC)
        await self.ask("POST", "stock/contract")
        await self.ask("GET", "convert/exchangeInfo")
        quote = await self.ask("POST", "convert/getQuote", fromAsset="USDT", toAsset="USDC", fromAmount="10")
        taken = await self.ask("POST", "convert/acceptQuote", quoteId=quote["quoteId"])
        await self.ask("GET", "convert/orderStatus", orderId=taken["orderId"])
        await self.ask("GET", "pmAccountInfo", asset="USDT")
        hour = {"startTime": ex.clock() - 3_600_000, "endTime": ex.clock()}
        for past in ("income", "order", "trade"):
            made = await self.ask("GET", f"{past}/asyn", **hour)
            await self.ask("GET", f"{past}/asyn/id", downloadId=made["downloadId"])
        await self.methods_of_the_account()
        ex.liquidation.now(acc, m, "BOTH", deleverage=False)
        for name in ("forceOrders", "allOrders", "userTrades", "income"):
            await self.ask("GET", name, **BTC)

    async def request(self, ws: Any, name: str, signed: bool = True, **params: object) -> Any:
        """A WebSocket API request that must succeed."""
        asked = {"id": name, "method": name, "params": params}
        if signed:
            asked = self.client.signed_message(name, name, ed25519=name == "session.logon", **params)
        elif name.startswith("userDataStream"):
            asked["params"] = {"apiKey": self.client.api_key}
        await ws.send_str(json.dumps(asked))
        answer = json.loads(await receive(ws))
        assert answer["status"] == 200, answer
        self.envelopes.append(answer)
        self.answers.setdefault(f"WS {name}", []).append(answer["result"])
        return answer["result"]

    async def methods(self) -> None:
        """The WebSocket API as far as it needs no position."""
        px = int(self.client.venue.ex.markets["BTCUSDT"].mark() // 10**8) * 97 // 100
        buy: dict[str, object] = BTC | {"side": "BUY", "quantity": "0.010"}
        async with self.client.http.ws_connect(f"{self.client.base}/ws-fapi/v1") as ws:
            for name in ("ping", "time", "depth", "ticker.price", "ticker.book"):
                await self.request(ws, name, signed=False, **BTC)
            order = await self.request(ws, "order.place", **buy, type="LIMIT", timeInForce="GTC", price=str(px))
            ident = BTC | {"orderId": order["orderId"]}
            await self.request(ws, "order.modify", **buy, orderId=order["orderId"], price=str(px - 10), modifyId=3)
            await self.request(ws, "order.status", **ident)
            await self.request(ws, "order.cancel", **ident)
            stop = buy | {"side": "SELL", "algoType": "CONDITIONAL", "type": "STOP_MARKET", "triggerPrice": str(px)}
            algo = await self.request(ws, "algoOrder.place", **stop)
            await self.request(ws, "algoOrder.cancel", algoId=algo["algoId"])
            for name in SESSION:
                await self.request(ws, name, signed=name == "session.logon")

    async def methods_of_the_account(self) -> None:
        """Balances and positions by the WebSocket API."""
        async with self.client.http.ws_connect(f"{self.client.base}/ws-fapi/v1") as ws:
            for name in sorted(METHODS):
                if "account." in name:
                    await self.request(ws, name)

    async def streams(self) -> None:
        """Listen keys by both doors, and the events that no capture holds."""
        async with self.client.http.ws_connect(f"{self.client.base}/ws-fapi/v1") as ws:
            for name in ("start", "ping", "stop"):
                await self.request(ws, f"userDataStream.{name}", signed=False)
        key = await self.ask("POST", "listenKey")
        await self.ask("PUT", "listenKey")
        for path in (f"/private/ws/{key['listenKey']}", "/market/ws/" + "/".join([*MARKET, "!contractInfo"])):
            self.events.listen(await self.client.http.ws_connect(self.client.base + path))

    async def end(self) -> None:
        """The last events, and the listen key given back."""
        ex = self.client.venue.ex
        ex.md.contract(ex.markets["BTCUSDT"], ex.clock())
        await self.events.has("24hrMiniTicker", "continuous_kline", "assetIndexUpdate", "EquityUpdate", "contractInfo")
        await self.events.has("MARGIN_CALL", "ACCOUNT_CONFIG_UPDATE")
        ex.clockwork.end_listen_key(ex.account, expired=True)
        await self.events.has("listenKeyExpired")
        await self.ask("POST", "listenKey")
        await self.ask("DELETE", "listenKey")
        for task in self.events.tasks:
            task.cancel()


async def day(tmp: Path) -> Work:
    """A client's day at a venue of sixteen symbols."""
    async with running(tmp, symbols=16, seed=5, events_per_s=2000, weight=6000) as client:
        work = Work(client)
        await work.streams()
        await work.public()
        await work.settings()
        await work.orders()
        await work.methods()
        await work.account()
        await work.end()
    return work


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    """Everything asked and answered."""
    return asyncio.run(day(tmp_path_factory.mktemp("day")))


def test_no_endpoint_is_without_a_documented_shape() -> None:
    """A new route has to be written down before it is served."""
    lines = {name for name in table() if not name.startswith("EVENT")}
    served = {f"{method} {path}" for method, path in rest_routes()}
    served |= {f"WS {name}" for name in (*METHODS, *SESSION)}
    assert served - lines == set()
    assert lines - served == set()


def test_every_answer_is_as_documented(work: Work) -> None:
    """Keys, order where it is known, types, digits."""
    judge = Judge(work.grids)
    told = [f"{name} was not asked" for name in table() if not name.startswith("EVENT") and name not in work.answers]
    for name, bodies in work.answers.items():
        spec = read(table()[name])
        for body in bodies:
            told += [f"{name}: {t}" for t in judge.mismatches(body, spec, work.grids["BTCUSDT"])]
    assert not told, "\n".join(dict.fromkeys(told))


def test_every_envelope_is_as_documented(work: Work) -> None:
    """WebSocket API answers carry id, status, result and rateLimits with their counts."""
    limits = "rateLimits:[{rateLimitType:s interval:s intervalNum:i limit:i count:i}]"
    for answer in work.envelopes:
        kept = {k: v for k, v in answer.items() if k != "result"}
        assert list(answer) == ["id", "status", "result", "rateLimits"]
        assert not (told := Judge({}).mismatches(kept, read(f"{{id:s status:i {limits}}}"), grid(2, 3))), told


def test_every_variant_of_an_event_is_as_documented(work: Work) -> None:
    """Captures hold some variants of some events; these are all that a day brings, with every optional key."""
    judge, told = Judge(work.grids), []
    for name, line in table().items():
        event = name.removeprefix("EVENT ")
        kinds = [k for k in work.events.texts if k.partition(" ")[0] == event] if event != name else [""]
        assert kinds, f"{event} was not seen"
        for text in [t for k in kinds if k for t in work.events.texts[k]]:
            told += [f"{event}: {t}" for t in judge.mismatches(json.loads(text), read(line), work.grids["BTCUSDT"])]
    assert not told, "\n".join(dict.fromkeys(told))
    seen = {k.partition(" ")[2] for k in work.events.texts}
    assert seen >= {"NEW", "TRADE", "CANCELED", "AMENDMENT", "TRIGGERED", "FINISHED", "ORDER", "MARGIN_TRANSFER"}
    assert any('"M":7,' in t for t in work.events.texts["ORDER_TRADE_UPDATE AMENDMENT"])


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ('{"symbol":"BTCUSDT","price":"61800.00","time":1}', ""),
        ('{"symbol":"BTCUSDT","price":61800.0,"time":1}', "answer.price: 61800.0 is not p"),
        ('{"symbol":"BTCUSDT","price":"61800","time":1}', "answer.price: '61800' is not p"),
        ('{"symbol":"BTCUSDT","price":"61800.00","time":"1"}', "answer.time: '1' is not i"),
        ('{"symbol":"BTCUSDT","price":"61800.00","time":true}', "answer.time: True is not i"),
        ('{"symbol":"BTCUSDT","price":"61800.00"}', "answer.time: missing"),
        ('{"symbol":"BTCUSDT","price":"61800.00","time":1,"u":1}', "answer.u: should not be there"),
        ('{"price":"61800.00","symbol":"BTCUSDT","time":1}', "answer: keys in the order price symbol time, should be"),
        ("[]", "answer: [] is no object"),
    ],
)
def test_planted_differences_ring(body: str, told: str) -> None:
    """Each kind of difference is told, with its place; the right answer rings nothing."""
    found = Judge({}).mismatches(json.loads(body), read("$price"), grid(2, 3))
    assert len(found) == bool(told)
    assert not told or found[0].startswith(told)


def test_an_empty_list_is_no_comparison() -> None:
    """A list that must have rows rings when it has none."""
    judge = Judge({})
    assert judge.mismatches([], read("[$price]"), grid(2, 3)) == ["answer: empty, so nothing was compared"]
    assert judge.mismatches([], read("[$price]*"), grid(2, 3)) == []
    assert judge.mismatches([{"price": "1"}], read("[~{price:z}]"), grid(2, 3)) == ["answer[].price: '1' is not z"]
