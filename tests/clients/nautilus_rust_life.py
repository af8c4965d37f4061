"""A life cycle through NautilusTrader 2's LiveNode (its Rust Binance adapter): streams, orders by its own WebSocket API
connection, conditional orders by REST, with an Ed25519 key and three addresses.

The node's own risk checks are bypassed, so that the venue and not the client refuses what is wrong.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from lifecycle import SYMBOL, Steps, depth_truth, http_base, main, same_book, setting, until, ws_base
from nautilus_trader.adapters.binance import (
    BINANCE_VENUE,
    BinanceDataClientConfig,
    BinanceDataClientFactory,
    BinanceExecutionClientConfig,
    BinanceExecutionClientFactory,
    BinanceProductType,
)
from nautilus_trader.common import Environment, LoggerConfig, LogLevel
from nautilus_trader.live import LiveNode, LiveRiskEngineConfig
from nautilus_trader.model import (
    AccountId,
    BarType,
    BookType,
    Currency,
    InstrumentId,
    OrderSide,
    Price,
    Quantity,
    TraderId,
    TriggerType,
)
from nautilus_trader.trading import Strategy

PERP = InstrumentId.from_str(f"{SYMBOL}-PERP.BINANCE")
BARS = BarType.from_str(f"{PERP}-1-MINUTE-LAST-EXTERNAL")


class Keeper(Strategy):
    """Subscribes to everything, keeps what it is told, acts only when the script calls it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, list[Any]] = {}

    def on_start(self) -> None:
        """Subscribe."""
        self.subscribe_book_deltas(PERP, BookType.L2_MBP, managed=True)
        self.subscribe_quotes(PERP)
        self.subscribe_trades(PERP)
        self.subscribe_bars(BARS)
        self.subscribe_mark_prices(PERP)
        self.subscribe_index_prices(PERP)
        self.subscribe_funding_rates(PERP)
        self.request_bars(BARS, limit=10)
        self.request_trades(PERP, limit=10)
        self.keep("start", True)

    def keep(self, kind: str, what: Any) -> None:
        """Remember one thing told."""
        self.seen.setdefault(kind, []).append(what)

    def on_quote(self, quote: Any) -> None:
        """Best bid and ask."""
        self.keep("quote", quote)

    def on_trade(self, trade: Any) -> None:
        """A trade."""
        self.keep("trade", trade)

    def on_bar(self, bar: Any) -> None:
        """A closed candle."""
        self.keep("bar", bar)

    def on_mark_price(self, mark_price: Any) -> None:
        """A mark price."""
        self.keep("mark", mark_price)

    def on_index_price(self, index_price: Any) -> None:
        """An index price."""
        self.keep("index", index_price)

    def on_funding_rate(self, funding_rate: Any) -> None:
        """A funding rate."""
        self.keep("funding", funding_rate)

    def on_historical_bars(self, bars: Any) -> None:
        """Requested candles."""
        self.keep("bars", bars)

    def on_historical_trades(self, trades: Any) -> None:
        """Requested trades."""
        self.keep("trades", trades)

    def on_order_event(self, event: Any) -> None:
        """Every order event."""
        self.keep(type(event).__name__, event)


def make_node(keeper: Keeper) -> LiveNode:
    """A node that knows no other address than the venue's."""
    trader, key, pem = TraderId("CLIENT-001"), setting("KEY_ED"), Path(setting("PEM")).read_text()
    data = BinanceDataClientConfig(
        product_type=BinanceProductType.USD_M,
        base_url_http=http_base(),
        base_url_ws=ws_base(),
        api_key=key,
        api_secret=pem,
    )
    execution = BinanceExecutionClientConfig(
        account_id=AccountId("BINANCE-001"),
        product_type=BinanceProductType.USD_M,
        base_url_http=http_base(),
        base_url_ws=ws_base(),
        base_url_ws_trading=ws_base() + "/ws-fapi/v1",
        api_key=key,
        api_secret=pem,
        futures_leverages={SYMBOL: 10},
    )
    node = (
        LiveNode.builder("CLIENT", trader, Environment.LIVE)
        .with_logging(LoggerConfig(stdout_level=LogLevel.WARNING, is_colored=False))
        .with_risk_engine_config(LiveRiskEngineConfig(bypass=True))
        .with_reconciliation(True)
        .with_timeout_connection(20)
        .add_data_client(None, BinanceDataClientFactory(), data)
        .add_exec_client(None, BinanceExecutionClientFactory(), execution)
        .build()
    )
    node.add_strategy(keeper)
    return node


class Life:
    """The running node and the orders the script makes with it."""

    def __init__(self, cache: Any, keeper: Keeper) -> None:
        self.keeper, self.cache = keeper, cache

    def price(self, value: float) -> Price:
        """A price on the instrument's grid."""
        return Price(round(value, 1), 2)

    def send(self, kind: str, side: OrderSide, qty: str, *args: Any, **more: Any) -> Any:
        """Submit an order of a factory method; returns its client order id."""
        order = getattr(self.keeper.order_factory, kind)(PERP, side, Quantity.from_str(qty), *args, **more)
        self.keeper.submit_order(order)
        return order.client_order_id

    def events(self, kind: str, ident: Any) -> list[Any]:
        """Events of a kind of one order."""
        return [e for e in self.keeper.seen.get(kind, []) if e.client_order_id == ident]

    def status(self, ident: Any) -> str:
        """The cache's status of an order."""
        order = self.cache.order(ident)
        return str(order.status).rpartition(".")[2] if order else "?"

    async def is_in(self, ident: Any, *wanted: str) -> str:
        """Wait until an order has one of these statuses; returns it."""
        return str(await until(lambda: next((s for s in wanted if s == self.status(ident)), None)))


async def market_data(life: Life, steps: Steps) -> None:
    """Instruments, prices, book, trades, candles."""
    k, cache = life.keeper, life.cache
    async with steps("markets", "BTCUSDT-PERP with tick 0.10 and lot 0.001, among others") as came:
        i = cache.instrument(PERP)
        came(i, str(i.price_increment) == "0.10" and str(i.size_increment) == "0.001")
        came(len(cache.instruments()), len(cache.instruments()) > 3)
    async with steps("balances", "the starting wallet, all of it free") as came:
        account = cache.account_for_venue(BINANCE_VENUE)
        total, free = (float(f(Currency.from_str("USDT"))) for f in (account.balance_total, account.balance_free))
        came((total, free), total == free == float(setting("WALLET")))
    async with steps("book sync", "the node's book equals the venue's at one update id, 20 levels a side", 45) as came:

        def picture() -> tuple[int, list[Any], list[Any]] | None:
            b = cache.order_book(PERP)
            if b is None or not b.sequence:
                return None
            sides = [
                [(round(float(x.price), 8), round(float(x.size()), 8)) for x in rows] for rows in (b.bids(), b.asks())
            ]
            return b.sequence, sides[0], sides[1]

        diff = await same_book(picture, 20)
        came(diff or "equal", not diff)
    for name, kind in (
        ("trades", "trade"),
        ("best bid and ask stream", "quote"),
        ("mark price", "mark"),
        ("index price", "index"),
        ("funding on the stream", "funding"),
        ("klines by REST", "bars"),
        ("trades by REST", "trades"),
    ):
        async with steps(name, f"a first {kind} typed by the node") as came:
            came(await until(lambda kind=kind: k.seen.get(kind), 15), True)
    async with steps("klines", "a closed candle within 70 s", 75) as came:
        came(await until(lambda: k.seen.get("bar"), 70), True)


async def orders(life: Life, steps: Steps) -> None:
    """Place, watch, amend and cancel over the node's WebSocket API connection."""
    bid = (await asyncio.to_thread(depth_truth, 1))[1][0][0]
    o: Any = None
    async with steps("place by WebSocket API", "accepted") as came:
        o = life.send("limit", OrderSide.BUY, "0.010", life.price(bid * 0.97))
        status = await life.is_in(o, "ACCEPTED", "REJECTED", "DENIED")
        came((status, life.events("OrderRejected", o)), status == "ACCEPTED")
    async with steps("amend by WebSocket API", "updated to the new price and size") as came:
        life.keeper.modify_order(o, Quantity.from_str("0.012"), life.price(bid * 0.98))
        await until(lambda: life.events("OrderUpdated", o) or life.events("OrderModifyRejected", o))
        found = life.cache.order(o)
        came((found.price, found.quantity), found.price == life.price(bid * 0.98) and str(found.quantity) == "0.012")
    async with steps("cancel by WebSocket API", "canceled") as came:
        life.keeper.cancel_order(o)
        came(await life.is_in(o, "CANCELED"), True)
    async with steps("cancel all and batch cancel", "four orders gone: two by one batch, two by cancel-all") as came:
        made = [life.send("limit", OrderSide.BUY, "0.010", life.price(bid * f)) for f in (0.95, 0.96, 0.97, 0.98)]
        for ident in made:
            await life.is_in(ident, "ACCEPTED")
        life.keeper.cancel_orders(made[:2])
        for ident in made[:2]:
            await life.is_in(ident, "CANCELED")
        life.keeper.cancel_all_orders(PERP)
        for ident in made[2:]:
            came(await life.is_in(ident, "CANCELED"), True)


async def position(life: Life, steps: Steps) -> None:
    """Market fill, position, reduce-only close."""
    async with steps("market fill", "filled in full, with a commission") as came:
        o = life.send("market", OrderSide.BUY, "0.020")
        status = await life.is_in(o, "FILLED", "REJECTED")
        fill = life.events("OrderFilled", o)[-1]
        came((status, fill), status == "FILLED" and float(fill.commission) > 0)
    async with steps("position appears", "long 0.020 in the cache") as came:
        await until(lambda: life.cache.positions_open(instrument_id=PERP))
        p = life.cache.positions_open(instrument_id=PERP)[0]
        came(p, str(p.quantity) == "0.020")
    async with steps("reduce-only close", "flat, and a second reduce-only order is refused") as came:
        o = life.send("market", OrderSide.SELL, "0.020", reduce_only=True)
        status = await life.is_in(o, "FILLED", "REJECTED")
        came(status, status == "FILLED")
        await until(lambda: not life.cache.positions_open(instrument_id=PERP))
        o = life.send("market", OrderSide.SELL, "0.020", reduce_only=True)
        status = await life.is_in(o, "FILLED", "REJECTED")
        came(
            life.events("OrderRejected", o),
            status == "REJECTED" and "-2022" in life.events("OrderRejected", o)[-1].reason,
        )
    async with steps("profit and loss", "the closed position has a realised profit, the account the change") as came:
        p = life.cache.positions_closed(instrument_id=PERP)[-1]
        change = float(p.realized_pnl)
        account = life.cache.account_for_venue(BINANCE_VENUE)
        came(change, change < 0)
        left = float(setting("WALLET")) + change
        usdt = Currency.from_str("USDT")
        await until(lambda: abs(float(life.cache.account_for_venue(BINANCE_VENUE).balance_total(usdt)) - left) < 1e-6)
        came(account, True)


async def conditional(life: Life, steps: Steps) -> None:
    """Conditional orders, which live in the algo service."""
    bid = (await asyncio.to_thread(depth_truth, 1))[1][0][0]
    async with steps("conditional order by REST", "accepted, then cancelled") as came:
        o = life.send("stop_market", OrderSide.SELL, "0.010", life.price(bid * 0.9), TriggerType.MARK_PRICE)
        status = await life.is_in(o, "ACCEPTED", "REJECTED")
        came((status, life.events("OrderRejected", o)), status == "ACCEPTED")
        life.keeper.cancel_order(o)
        came(await life.is_in(o, "CANCELED"), True)
    async with steps("conditional order triggers", "a stop just above the market is reached and fills") as came:
        asks = (await asyncio.to_thread(depth_truth, 20))[2]
        o = life.send("stop_market", OrderSide.BUY, "0.010", life.price(asks[1][0]), TriggerType.LAST_PRICE)
        await life.is_in(o, "ACCEPTED", "TRIGGERED")
        swept = life.send("market", OrderSide.BUY, f"{sum(q for _, q in asks[:3]):.3f}")
        await life.is_in(swept, "FILLED")
        came(await life.is_in(o, "FILLED"), True)


async def errors(life: Life, steps: Steps) -> None:
    """What the venue refuses arrives as a rejected order with its code."""
    _, bids, asks = await asyncio.to_thread(depth_truth, 1)
    bid, ask = bids[0][0], asks[0][0]
    for name, code, qty, price, more in (
        ("bad tick", "-4014", "0.010", Price(round(bid * 0.98, 1) + 0.05, 2), {}),
        ("insufficient margin", "-2019", "60.000", life.price(bid * 0.99), {}),
        ("post-only cross", "-5022", "0.010", life.price(ask * 1.001), {"post_only": True}),
    ):
        async with steps(name, f"rejected with {code}") as came:
            o = life.send("limit", OrderSide.BUY, qty, price, **more)
            status = await life.is_in(o, "REJECTED", "DENIED", "ACCEPTED", "CANCELED")
            found = life.events("OrderRejected", o)
            came((status, found), bool(found) and code in found[-1].reason)


async def life(steps: Steps) -> None:
    """All steps in order."""
    keeper = Keeper()
    node = make_node(keeper)
    cache, handle = node.cache, node.handle()
    running = asyncio.ensure_future(node.run_async())
    async with steps("node starts", "both clients connect, reconciliation passes, the strategy runs", 40) as came:
        await until(lambda: running.done() or keeper.seen.get("start"), 35)
        if running.done():
            running.result()
        came("running", bool(keeper.seen.get("start")))
    this = Life(cache, keeper)
    for part in (market_data, orders, position, conditional, errors):
        await part(this, steps)
    async with steps("node stops", "in order") as came:
        handle.stop()
        await until(lambda: running.done() or not handle.is_running)
        came("stopped", True)


if __name__ == "__main__":
    main(life)
