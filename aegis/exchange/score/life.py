"""Cases: the life of orders, with nothing going wrong."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from aegis.exchange.score.case import case
from aegis.exchange.score.scene import BTC, ETH, NOTICE_S, SETTLE_S, Scene
from aegis.exchange.score.speech import Failed, Unmet, number

FAMILY = "life"
MARKET_TRIES = 4  # for a case that needs the book not to move under an order
SHIB, CHINESE = "1000SHIBUSDT", "币安人生USDT"
LARGE, LARGEST, NEAR_TICKS = Decimal(90_000), Decimal(800_000), 20


async def large_quantity(s: Scene) -> Decimal:
    """A quantity that the best levels do not hold, however they move meanwhile, and the margin does."""
    bid, ask = await s.world.quote(BTC)
    grid = await s.world.grid(BTC)
    near = await s.world.ahead(BTC, "SELL", ask + grid.tick * NEAR_TICKS)
    return min(max(grid.quantity(LARGE / bid), near * 3), grid.quantity(LARGEST / bid))


async def status_agrees(s: Scene, client_id: str, status: str) -> dict[str, object]:
    """Client and venue agree on the order, and its status is this; the venue's order."""
    found = await s.order_agrees(client_id)
    if found["status"] != status:
        raise Failed(f"the venue's order is {found['status']}, expected {status}")
    return found


async def _rests(s: Scene, side: str, symbol: str = BTC) -> None:
    price, quantity = await s.far(side, symbol)
    client_id = await s.place(side, quantity, price, symbol=symbol)
    found = await s.order_agrees(client_id, symbol)
    if Decimal(found["price"]) != price or Decimal(found["origQty"]) != quantity:
        raise Failed(f"the venue has {found['price']} x {found['origQty']}, asked {price} x {quantity}")
    await s.agrees()
    await s.ok("cancel", symbol=symbol, client_id=client_id)
    if (await s.order_agrees(client_id, symbol))["status"] != "CANCELED":
        raise Failed("the order is not cancelled")
    await s.agrees()
    await s.new_orders(1)


@case(FAMILY)
async def connects_and_trusts(s: Scene) -> None:
    """After connect the client trusts market and account, and its best prices are the venue's."""
    await s.trusts("market", "account")
    await s.top_agrees()


@case(FAMILY)
async def opening_balances(s: Scene) -> None:
    """Balances, positions and open orders of an untouched account are the venue's."""
    await s.agrees()


@case(FAMILY)
async def buy_limit_rests_and_is_cancelled(s: Scene) -> None:
    """A buy far below rests with exactly the price and quantity asked, is shown, and is gone after the cancel."""
    await _rests(s, "BUY")


@case(FAMILY)
async def sell_limit_rests_and_is_cancelled(s: Scene) -> None:
    """The same above the market."""
    await _rests(s, "SELL")


@case(FAMILY)
async def small_prices_are_exact(s: Scene) -> None:
    """A price with six decimal places arrives digit by digit: no exponent, no rounding."""
    await _rests(s, "BUY", SHIB)


@case(FAMILY)
async def symbol_in_chinese_characters(s: Scene) -> None:
    """A symbol outside ASCII is signed, sent and shown like any other."""
    await _rests(s, "BUY", CHINESE)


@case(FAMILY)
async def second_symbol_has_its_own_grid(s: Scene) -> None:
    """ETHUSDT rests with its own tick and lot; its order ids exceed 2**53."""
    await _rests(s, "SELL", ETH)


@case(FAMILY)
async def cancel_all_leaves_nothing(s: Scene) -> None:
    """Three resting orders, one cancel-all: none works, and the client knows all three ends."""
    price, quantity = await s.far("BUY")
    tick = (await s.world.grid(BTC)).tick
    ids = [await s.place("BUY", quantity, price - n * tick) for n in range(3)]
    await s.agrees()
    await s.ok("cancel_all", symbol=BTC)
    for client_id in ids:
        await status_agrees(s, client_id, "CANCELED")
    await s.agrees()


@case(FAMILY)
async def cancel_all_of_one_symbol_only(s: Scene) -> None:
    """Cancel-all of one symbol leaves the other's order working."""
    price, quantity = await s.far("BUY")
    gone = await s.place("BUY", quantity, price)
    price, quantity = await s.far("BUY", ETH)
    kept = await s.place("BUY", quantity, price, symbol=ETH)
    await s.ok("cancel_all", symbol=BTC)
    await status_agrees(s, gone, "CANCELED")
    if (await s.order_agrees(kept, ETH))["status"] != "NEW":
        raise Failed("the other symbol's order does not work any more")
    await s.ok("cancel", symbol=ETH, client_id=kept)
    await s.agrees()


@case(FAMILY)
async def client_ids_are_never_used_twice(s: Scene) -> None:
    """Six orders carry six different client ids, at the client and at the venue."""
    price, quantity = await s.far("BUY")
    ids = [await s.place("BUY", quantity, price) for _ in range(6)]
    seen = [str(o["clientOrderId"]) for o in await s.new_orders(6)]
    if len(set(ids)) != 6 or sorted(seen) != sorted(ids):
        raise Failed(f"client {ids}, venue {seen}")
    await s.ok("cancel_all", symbol=BTC)
    await s.agrees()


@case(FAMILY)
async def amend_price(s: Scene) -> None:
    """An amended price is the venue's; it stays the same order."""
    price, quantity = await s.far("BUY")
    client_id = await s.place("BUY", quantity, price)
    lower = price - (await s.world.grid(BTC)).tick * 7
    await s.ok("amend", symbol=BTC, client_id=client_id, price=lower, quantity=quantity)
    found = await s.order_agrees(client_id)
    if Decimal(found["price"]) != lower or number((await s.view(client_id)).get("price"), "price") != lower:
        raise Failed(f"price {found['price']}, asked {lower}")
    await s.new_orders(1)
    await s.ok("cancel", symbol=BTC, client_id=client_id)
    await s.agrees()


@case(FAMILY)
async def amend_quantity(s: Scene) -> None:
    """An amended quantity is the total, not what is added."""
    price, quantity = await s.far("SELL")
    client_id = await s.place("SELL", quantity, price)
    await s.ok("amend", symbol=BTC, client_id=client_id, price=price, quantity=quantity * 2)
    if Decimal((await s.order_agrees(client_id))["origQty"]) != quantity * 2:
        raise Failed("the venue has another quantity")
    await s.ok("cancel", symbol=BTC, client_id=client_id)
    await s.agrees()


@case(FAMILY)
async def ioc_takes_what_is_there(s: Scene) -> None:
    """An IOC larger than the best level fills in part, and its remainder is expired, not working."""
    quantity = await large_quantity(s)
    for _ in range(MARKET_TRIES):
        _, ask = await s.world.quote(BTC)
        client_id = await s.place("BUY", quantity, ask, time_in_force="IOC")
        found = await s.order_agrees(client_id)
        if found["status"] == "EXPIRED" and Decimal(found["executedQty"]) < quantity:
            await s.agrees()
            return
        if found["status"] != "FILLED":
            raise Failed(f"the venue's order is {found['status']} with {found['executedQty']}")
        await s.place("SELL", quantity, reduce_only=True)  # the market had come down meanwhile: all of it was there
    raise Unmet("a market that does not outrun the order")


@case(FAMILY)
async def ioc_without_counterparty(s: Scene) -> None:
    """An IOC below the market ends without a fill; position and balance stay."""
    price, quantity = await s.far("BUY")
    client_id = await s.place("BUY", quantity, price, time_in_force="IOC")
    await status_agrees(s, client_id, "EXPIRED")
    await s.agrees()


@case(FAMILY)
async def fok_that_cannot_fill(s: Scene) -> None:
    """A FOK the book cannot fill is refused (-5021) and leaves nothing."""
    quantity = await large_quantity(s)
    _, ask = await s.world.quote(BTC)
    await s.place_refused((-5021,), "BUY", quantity, price=ask, time_in_force="FOK")
    await s.agrees()


@case(FAMILY)
async def fok_that_fills(s: Scene) -> None:
    """A small FOK through the best price fills whole."""
    grid = await s.world.grid(BTC)
    _, ask = await s.world.quote(BTC)
    client_id = await s.place("BUY", await s.small(), grid.price(ask * Decimal("1.003")), time_in_force="FOK")
    await status_agrees(s, client_id, "FILLED")
    await s.agrees()


@case(FAMILY)
async def post_only_rests(s: Scene) -> None:
    """A GTX below the market rests and can be cancelled."""
    price, quantity = await s.far("BUY")
    client_id = await s.place("BUY", quantity, price, time_in_force="GTX")
    await status_agrees(s, client_id, "NEW")
    await s.ok("cancel", symbol=BTC, client_id=client_id)
    await s.agrees()


@case(FAMILY)
async def post_only_that_would_take(s: Scene) -> None:
    """A GTX through the best price is refused (-5022) and leaves nothing."""
    grid = await s.world.grid(BTC)
    _, ask = await s.world.quote(BTC)
    price = grid.price(ask * Decimal("1.003"))
    await s.place_refused((-5022,), "BUY", await s.small(), price=price, time_in_force="GTX")
    await s.agrees()


@case(FAMILY)
async def orders_at_the_same_time(s: Scene) -> None:
    """Four orders asked for at once all arrive, once each."""
    price, quantity = await s.far("BUY")
    answers = await asyncio.gather(*(s.place("BUY", quantity, price) for _ in range(4)))
    await s.new_orders(len(answers))
    await s.agrees()
    await s.ok("cancel_all", symbol=BTC)
    await s.agrees()


@case(FAMILY)
async def batch_of_three(s: Scene) -> None:
    """Three orders in one request; the one off the grid is refused alone, the others rest."""
    price, quantity = await s.far("BUY")
    common = {"symbol": BTC, "side": "BUY", "type": "LIMIT", "time_in_force": "GTC", "quantity": format(quantity, "f")}
    crooked = format(price + (await s.world.grid(BTC)).tick / 3, ".6f")
    rows = [common | {"price": p} for p in (format(price, "f"), crooked, format(price, "f"))]
    answers = (await s.ok("batch", orders=rows)).rows("orders")
    if [a.get("ok") for a in answers] != [True, False, True]:
        raise Failed(f"answers {answers}")
    await s.new_orders(2)
    await s.ok("cancel_all", symbol=BTC)
    await s.agrees()


@case(FAMILY)
async def conditional_order_is_placed_and_cancelled(s: Scene) -> None:
    """A stop far away is accepted, shown among the open orders, and gone after its cancel."""
    price, quantity = await s.far("BUY")
    answer = await s.ok("place", symbol=BTC, side="SELL", type="STOP_MARKET", quantity=quantity, trigger_price=price)
    client_id = answer.text("client_id")

    async def shown() -> bool:
        return client_id in [o.get("client_id") for o in (await s.ok("open_orders")).rows("orders")]

    await s.until(shown, SETTLE_S, "the stop is shown")
    await s.ok("cancel", symbol=BTC, client_id=client_id)

    async def gone() -> bool:
        return not await shown()

    await s.until(gone, SETTLE_S, "the stop is gone")


@case(FAMILY)
async def conditional_order_triggers(s: Scene) -> None:
    """A stop just above the market triggers, fills as another order, and the position is known."""
    quantity = await s.small()
    _, ask = await s.world.quote(BTC)
    trigger = ask + (await s.world.grid(BTC)).tick * 2
    await s.ok("place", symbol=BTC, side="BUY", type="STOP_MARKET", quantity=quantity, trigger_price=trigger)

    async def held() -> bool:
        return bool((await s.world.truth()).positions)

    await s.until(held, NOTICE_S * 2, "the stop triggers")
    await s.position_seen()
    await s.agrees()
