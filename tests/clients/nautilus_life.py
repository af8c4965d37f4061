"""A life cycle through NautilusTrader: a live TradingNode with its Binance futures data and execution clients, their
addresses given by `base_url_http`, `base_url_ws` and `base_url_ws_stream`.

The node's own risk checks are bypassed, so that the venue and not the client refuses what is wrong.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

from lifecycle import SYMBOL, Steps, depth_truth, http_base, main, same_book, setting, until, ws_base
from nautilus_trader.adapters.binance import (
    BINANCE,
    BINANCE_VENUE,
    BinanceAccountType,
    BinanceDataClientConfig,
    BinanceExecClientConfig,
    BinanceFuturesMarkPriceUpdate,
    BinanceLiveDataClientFactory,
    BinanceLiveExecClientFactory,
    get_cached_binance_http_client,
)
from nautilus_trader.adapters.binance.futures.enums import BinanceFuturesMarginType
from nautilus_trader.adapters.binance.futures.http.account import BinanceFuturesAccountHttpAPI
from nautilus_trader.adapters.binance.http.error import BinanceClientError
from nautilus_trader.common.component import LiveClock
from nautilus_trader.config import (
    InstrumentProviderConfig,
    LiveExecEngineConfig,
    LiveRiskEngineConfig,
    LoggingConfig,
    TradingNodeConfig,
)
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model import BarType, ClientId, DataType, InstrumentId, Price, Quantity
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.enums import BookType, OrderSide, TimeInForce, TriggerType
from nautilus_trader.trading.strategy import Strategy

PERP = InstrumentId.from_str(f"{SYMBOL}-PERP.BINANCE")
BARS = BarType.from_str(f"{PERP}-1-MINUTE-LAST-EXTERNAL")


class Keeper(Strategy):
    """A strategy that subscribes to everything, keeps what it is told, and acts only when the script calls it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, list[Any]] = {}

    def on_start(self) -> None:
        """Subscribe."""
        self.subscribe_order_book_deltas(PERP, BookType.L2_MBP)
        self.subscribe_quote_ticks(PERP)
        self.subscribe_trade_ticks(PERP)
        self.subscribe_bars(BARS)
        self.subscribe_mark_prices(PERP)
        kind = DataType(BinanceFuturesMarkPriceUpdate, metadata={"instrument_id": PERP})
        self.subscribe_data(kind, client_id=ClientId(BINANCE))
        self.request_bars(BARS, start=self.clock.utc_now().floor("h"))
        self.request_instrument(PERP)
        self.request_trade_ticks(PERP, limit=20, start=self.clock.utc_now().floor("h"))

    def keep(self, kind: str, what: Any) -> None:
        """Remember one thing told."""
        self.seen.setdefault(kind, []).append(what)

    def on_quote_tick(self, tick: Any) -> None:
        """Best bid and ask."""
        self.keep("quote", tick)

    def on_trade_tick(self, tick: Any) -> None:
        """A trade."""
        self.keep("trade", tick)

    def on_bar(self, bar: Any) -> None:
        """A closed candle."""
        self.keep("bar", bar)

    def on_mark_price(self, mark: Any) -> None:
        """A mark price."""
        self.keep("mark", mark)

    def on_data(self, data: Any) -> None:
        """The adapter's own mark price, with funding."""
        self.keep("funding", data)

    def on_historical_data(self, data: Any) -> None:
        """What was requested."""
        self.keep("history", data)

    def on_event(self, event: Any) -> None:
        """Every order and position event."""
        self.keep(type(event).__name__, event)


def config() -> TradingNodeConfig:
    """A node that knows no other address than the venue's."""
    shared = {
        "api_key": setting("KEY"),
        "api_secret": setting("SECRET"),
        "account_type": BinanceAccountType.USDT_FUTURES,
        "base_url_http": http_base(),
        "instrument_provider": InstrumentProviderConfig(load_all=True),
    }
    return TradingNodeConfig(
        trader_id="CLIENT-001",
        logging=LoggingConfig(log_level="WARNING", use_pyo3=False),
        exec_engine=LiveExecEngineConfig(reconciliation=True, reconciliation_startup_delay_secs=0.1),
        risk_engine=LiveRiskEngineConfig(bypass=True),
        data_clients={BINANCE: BinanceDataClientConfig(base_url_ws=ws_base(), **shared)},
        exec_clients={
            BINANCE: BinanceExecClientConfig(
                base_url_ws=ws_base() + "/ws-fapi/v1",
                base_url_ws_stream=ws_base() + "/private",
                futures_leverages={SYMBOL: 10},
                futures_margin_types={SYMBOL: BinanceFuturesMarginType.CROSS},
                **shared,
            )
        },
        timeout_connection=15.0,
        timeout_disconnection=3.0,
        timeout_post_stop=0.5,
    )


class Life:
    """The running node and the orders the script makes with it."""

    def __init__(self, node: TradingNode, keeper: Keeper) -> None:
        self.node, self.keeper, self.cache = node, keeper, node.cache
        clock = LiveClock()
        http = get_cached_binance_http_client(
            clock=clock,
            account_type=BinanceAccountType.USDT_FUTURES,
            api_key=setting("KEY"),
            api_secret=setting("SECRET"),
            base_url=http_base(),
        )
        self.account_api = BinanceFuturesAccountHttpAPI(http, clock, BinanceAccountType.USDT_FUTURES)

    def price(self, value: float) -> Price:
        """A price on the instrument's grid."""
        return self.cache.instrument(PERP).make_price(value)

    def limit(self, side: OrderSide, qty: str, price: Price, **more: Any) -> Any:
        """Submit a limit order; returns it."""
        o = self.keeper.order_factory.limit(PERP, side, Quantity.from_str(qty), price, **more)
        self.keeper.submit_order(o)
        return o

    def market(self, side: OrderSide, qty: str, **more: Any) -> Any:
        """Submit a market order; returns it."""
        o = self.keeper.order_factory.market(PERP, side, Quantity.from_str(qty), **more)
        self.keeper.submit_order(o)
        return o

    def events(self, kind: str, order: Any) -> list[Any]:
        """Events of a kind of one order."""
        return [e for e in self.keeper.seen.get(kind, []) if e.client_order_id == order.client_order_id]

    async def wallet(self) -> Decimal:
        """The wallet as the venue's REST says through the adapter's own client."""
        found = await self.account_api.query_futures_account_info(recv_window="5000")
        return next(Decimal(a.walletBalance) for a in found.assets if a.asset == "USDT")


async def public(life: Life, steps: Steps) -> None:
    """Instruments, prices, book, trades, candles."""
    k, cache = life.keeper, life.cache
    async with steps("markets", "BTCUSDT-PERP with tick 0.10 and lot 0.001, among others") as came:
        i = cache.instrument(PERP)
        came(i, str(i.price_increment) == "0.10" and str(i.size_increment) == "0.001")
        came(len(cache.instruments()), len(cache.instruments()) > 3)
    async with steps("balances", "the starting wallet, all of it free") as came:
        account = life.node.portfolio.account(BINANCE_VENUE)
        total, free = account.balance_total(USDT).as_decimal(), account.balance_free(USDT).as_decimal()
        came((total, free), total == free == Decimal(setting("WALLET")))
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
        ("funding on the stream", "funding"),
    ):
        async with steps(name, f"a first {kind} typed by the node") as came:
            came(await until(lambda kind=kind: k.seen.get(kind), 15), True)
    async with steps("klines by REST", "requested candles arrive") as came:
        await until(lambda: any(type(b).__name__.endswith("Bar") for b in k.seen.get("history", [])))
        came("bars", True)
    async with steps("trades by REST", "requested trades arrive") as came:
        await until(lambda: any(type(b).__name__ == "TradeTick" for b in k.seen.get("history", [])))
        came("trades", True)
    async with steps("klines", "a closed candle within 70 s", 75) as came:
        came(await until(lambda: k.seen.get("bar"), 70), True)


async def orders(life: Life, steps: Steps) -> None:
    """Place, watch, amend and cancel: this adapter sends orders by REST and hears of them on the stream."""
    bid = (await asyncio.to_thread(depth_truth, 1))[1][0][0]
    o: Any = None
    async with steps("place by REST", "accepted, with the venue's order id") as came:
        o = life.limit(OrderSide.BUY, "0.010", life.price(bid * 0.97))
        await until(lambda: life.events("OrderAccepted", o) or life.events("OrderRejected", o))
        came((o.status_string(), o.venue_order_id), o.status_string() == "ACCEPTED")
    async with steps("amend by REST", "updated to the new price and size") as came:
        life.keeper.modify_order(o, Quantity.from_str("0.012"), life.price(bid * 0.98))
        await until(lambda: life.events("OrderUpdated", o) or life.events("OrderModifyRejected", o))
        came((o.price, o.quantity), o.price == life.price(bid * 0.98) and str(o.quantity) == "0.012")
    async with steps("cancel by REST", "canceled") as came:
        life.keeper.cancel_order(o)
        await until(lambda: o.is_closed)
        came(o.status_string(), o.status_string() == "CANCELED")
    async with steps("cancel all and batch cancel", "four orders gone: two by one batch, two by cancel-all") as came:
        made = [life.limit(OrderSide.BUY, "0.010", life.price(bid * f)) for f in (0.95, 0.96, 0.97, 0.98)]
        await until(lambda: all(x.status_string() == "ACCEPTED" for x in made))
        life.keeper.cancel_orders(made[:2])
        await until(lambda: all(x.is_closed for x in made[:2]))
        life.keeper.cancel_all_orders(PERP)
        await until(lambda: all(x.is_closed for x in made))
        came([x.status_string() for x in made], all(x.status_string() == "CANCELED" for x in made))


async def position(life: Life, steps: Steps) -> None:
    """Market fill, position, reduce-only close, profit and loss."""
    before = await life.wallet()
    async with steps("market fill", "filled in full, with a commission") as came:
        o = life.market(OrderSide.BUY, "0.020")
        await until(lambda: o.is_closed)
        fills = life.events("OrderFilled", o)
        came((o.status_string(), fills[-1:]), o.status_string() == "FILLED" and fills[-1].commission.as_decimal() > 0)
    async with steps("position appears", "long 0.020 in the cache and by REST") as came:
        await until(lambda: life.cache.positions_open(instrument_id=PERP))
        p = life.cache.positions_open(instrument_id=PERP)[0]
        came(p, p.is_long and str(p.quantity) == "0.020")
        found = [r for r in await life.account_api.query_futures_position_risk(SYMBOL) if Decimal(r.positionAmt)]
        came(found, len(found) == 1 and Decimal(found[0].positionAmt) == Decimal("0.02"))
    async with steps("reduce-only close", "flat, and a second reduce-only order is refused") as came:
        position_id = p.id
        o = life.keeper.order_factory.market(PERP, OrderSide.SELL, Quantity.from_str("0.020"), reduce_only=True)
        life.keeper.submit_order(o, position_id=position_id)
        await until(lambda: o.is_closed)
        came(o.status_string(), o.status_string() == "FILLED" and not life.cache.positions_open(instrument_id=PERP))
        o = life.market(OrderSide.SELL, "0.020", reduce_only=True)
        await until(lambda: o.is_closed)
        reason = life.events("OrderRejected", o)[-1].reason
        came(reason, "-2022" in reason)
    async with steps("profit and loss", "wallet change = the closed position's realised profit") as came:
        p = life.cache.positions_closed(instrument_id=PERP)[-1]
        change = await life.wallet() - before
        came((change, p.realized_pnl), abs(change - p.realized_pnl.as_decimal()) < Decimal("1e-7"))
        account = life.node.portfolio.account(BINANCE_VENUE)
        await until(lambda: abs(account.balance_total(USDT).as_decimal() - before - change) < Decimal("1e-7"))
        came(account.balance_total(USDT), True)


async def conditional(life: Life, steps: Steps) -> None:
    """Conditional orders, which live in the algo service."""
    bid = (await asyncio.to_thread(depth_truth, 1))[1][0][0]
    async with steps("conditional order by REST", "accepted, listed by the venue, cancelled there") as came:
        o = life.keeper.order_factory.stop_market(
            PERP, OrderSide.SELL, Quantity.from_str("0.010"), life.price(bid * 0.9), trigger_type=TriggerType.MARK_PRICE
        )
        life.keeper.submit_order(o)
        await until(lambda: life.events("OrderAccepted", o) or life.events("OrderRejected", o))
        came((o.status_string(), life.events("OrderRejected", o)), o.status_string() == "ACCEPTED")
        rows = await life.account_api.query_open_algo_orders(SYMBOL)
        came(rows, o.client_order_id.value in [r.clientAlgoId for r in rows])
        life.keeper.cancel_order(o)
        for _ in range(50):
            rows = await life.account_api.query_open_algo_orders(SYMBOL)
            if not rows:
                break
        came(rows, not rows)
    async with steps(
        "conditional order triggers", "a stop just above the market is reached and fills as a new order"
    ) as came:
        asks = (await asyncio.to_thread(depth_truth, 20))[2]
        o = life.keeper.order_factory.stop_market(
            PERP, OrderSide.BUY, Quantity.from_str("0.010"), life.price(asks[1][0]), trigger_type=TriggerType.LAST_PRICE
        )
        life.keeper.submit_order(o)
        await until(lambda: life.events("OrderAccepted", o))
        life.market(OrderSide.BUY, f"{sum(q for _, q in asks[:3]):.3f}")
        await until(lambda: o.is_closed)
        came((o.status_string(), life.events("OrderRejected", o)), o.status_string() == "FILLED")
        held = (await life.account_api.query_futures_position_risk(SYMBOL))[
            0
        ].positionAmt  # the node knows the fill twice
        o = life.market(OrderSide.SELL, held, reduce_only=True)
        await until(lambda: o.is_closed)
        came((o.status_string(), life.events("OrderRejected", o)), o.status_string() == "FILLED")


async def errors(life: Life, steps: Steps) -> None:
    """What the venue refuses arrives as a rejected order with its code."""
    _, bids, asks = await asyncio.to_thread(depth_truth, 1)
    bid, ask = bids[0][0], asks[0][0]
    async with steps("bad signature", "BinanceClientError with -1022") as came:
        http = get_cached_binance_http_client(
            clock=LiveClock(),
            account_type=BinanceAccountType.USDT_FUTURES,
            api_key=setting("KEY"),
            api_secret="not-the-secret",
            base_url=http_base(),
        )
        try:
            bad = BinanceFuturesAccountHttpAPI(http, LiveClock(), BinanceAccountType.USDT_FUTURES)
            came(await bad.query_futures_account_info(recv_window="5000"), False)
        except BinanceClientError as e:
            came(e.message, e.message["code"] == -1022)
    cases = (
        ("bad tick", "-4014", "0.010", Price(bid * 0.98 // 0.1 * 0.1 + 0.05, 2), {}),
        ("insufficient margin", "-2019", "60.000", life.price(bid * 0.99), {}),
        ("post-only cross", "-5022", "0.010", life.price(ask * 1.001), {"post_only": True}),
        ("fill or kill", "-5021", "30.000", life.price(bid * 0.99), {"time_in_force": TimeInForce.FOK}),
    )
    for name, code, qty, price, more in cases:
        if name == "fill or kill":
            qty = "0.100"
        async with steps(name, f"rejected with {code}") as came:
            o = life.limit(OrderSide.BUY, qty, price, **more)
            await until(lambda o=o: o.is_closed)
            found = life.events("OrderRejected", o)
            came((o.status_string(), found[-1:]), bool(found) and code in found[-1].reason)
            came(name, name != "post-only cross" or found[-1].due_post_only)


async def life(steps: Steps) -> None:
    """All steps in order."""
    node = TradingNode(config=config())
    keeper = Keeper()
    node.trader.add_strategy(keeper)
    node.add_data_client_factory(BINANCE, BinanceLiveDataClientFactory)
    node.add_exec_client_factory(BINANCE, BinanceLiveExecClientFactory)
    node.build()
    running = asyncio.create_task(node.run_async())
    async with steps("node starts", "both clients connect, reconciliation passes, the strategy runs", 40) as came:
        await until(lambda: running.done() or keeper.is_running, 35)
        came("running", keeper.is_running)
    if not keeper.is_running:
        return
    this = Life(node, keeper)
    await public(this, steps)
    await orders(this, steps)
    await position(this, steps)
    await conditional(this, steps)
    await errors(this, steps)
    async with steps("node stops", "in order, listen key closed") as came:
        await node.stop_async()
        came("stopped", not keeper.is_running)


if __name__ == "__main__":
    main(life)
