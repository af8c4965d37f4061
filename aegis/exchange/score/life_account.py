"""Cases: positions, balances, starts and stops, with nothing going wrong."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from aegis.exchange.score.case import case
from aegis.exchange.score.life import FAMILY, large_quantity, status_agrees
from aegis.exchange.score.scene import BTC, ETH, NOTICE_S, SETTLE_S, Scene
from aegis.exchange.score.speech import Failed, number


@case(FAMILY)
async def market_buy_and_reduce_only_close(s: Scene) -> None:
    """A market buy fills, the position and fee are known; a reduce-only market sell closes it to the last lot."""
    quantity = await s.bought()
    client_id = await s.place("SELL", quantity, reduce_only=True)
    await status_agrees(s, client_id, "FILLED")
    if (await s.agrees()).positions:
        raise Failed("a position is left")


@case(FAMILY)
async def market_sell_opens_a_short(s: Scene) -> None:
    """A market sell from flat is a short position of that quantity; bought back, nothing is left."""
    quantity = await s.small()
    await s.place("SELL", quantity)
    if await s.position_seen() != -quantity:
        raise Failed("the venue's position is another")
    await s.place("BUY", quantity, reduce_only=True)
    if (await s.agrees()).positions:
        raise Failed("a position is left")


@case(FAMILY)
async def flip_from_long_to_short(s: Scene) -> None:
    """Selling twice what is held turns the position; realised result and fees are in the balance."""
    quantity = await s.bought()
    await s.place("SELL", quantity * 2)
    await s.agrees()
    await s.place("BUY", quantity, reduce_only=True)
    await s.agrees()


@case(FAMILY)
async def crossing_limit_fills_at_once(s: Scene) -> None:
    """A GTC limit through the best price fills as taker."""
    grid = await s.world.grid(BTC)
    _, ask = await s.world.quote(BTC)
    client_id = await s.place("BUY", await s.small(), grid.price(ask * Decimal("1.003")))
    await status_agrees(s, client_id, "FILLED")
    await s.agrees()


@case(FAMILY)
async def resting_order_is_hit(s: Scene) -> None:
    """A bid at the best price is hit as maker; client and venue agree on fill, position and fee."""
    quantity = await s.small()
    client_id, price = await s.inside(quantity)
    await s.hit(client_id, price, quantity)
    await status_agrees(s, client_id, "FILLED")
    await s.agrees()


@case(FAMILY)
async def part_fill_then_cancel(s: Scene) -> None:
    """A large bid at the best price is filled in part and cancelled: the filled part stays, the rest is gone."""
    client_id, price = await s.inside(await large_quantity(s))
    await s.hit(client_id, price, await s.small())
    await s.ok("cancel", symbol=BTC, client_id=client_id)
    found = await status_agrees(s, client_id, "CANCELED")
    if await s.position_seen() != Decimal(str(found["executedQty"])):
        raise Failed("the position is not what was filled")
    await s.agrees()


@case(FAMILY)
async def two_symbols_at_once(s: Scene) -> None:
    """Positions in two symbols are held apart, and both are the venue's."""
    await s.bought()
    await s.bought(ETH)
    truth = await s.agrees()
    if set(truth.positions) != {BTC, ETH}:
        raise Failed(f"the venue holds {truth.positions}")
    for symbol, quantity in truth.positions.items():
        await s.place("SELL", quantity, symbol=symbol, reduce_only=True)
    await s.agrees()


@case(FAMILY)
async def six_round_trips_to_the_last_digit(s: Scene) -> None:
    """After six buys and sells the client's balance is the venue's to the last decimal place."""
    quantity = await s.small()
    for _ in range(6):
        await s.place("BUY", quantity)
        await s.place("SELL", quantity)
    await s.agrees()


@case(FAMILY)
async def five_part_fills_of_one_order(s: Scene) -> None:
    """One resting order filled by five trades of another account: every fill counted once, fees to the last digit."""
    quantity = await s.small()
    client_id, price = await s.inside(quantity * 5, "SELL")
    for n in range(1, 6):
        await s.hit(client_id, price, quantity * n, "SELL")
    await status_agrees(s, client_id, "FILLED")
    await s.agrees()


@case(FAMILY)
async def own_orders_that_would_meet(s: Scene) -> None:
    """A sell through the client's own resting bid: whatever self-trade prevention ends, both ends are known."""
    quantity = await s.small()
    bought, price = await s.inside(quantity)
    sold = await s.place("SELL", quantity * 3, price)
    await s.order_agrees(bought)
    await s.order_agrees(sold)
    await s.ask("cancel_all", symbol=BTC)
    await s.agrees()


@case(FAMILY)
async def dead_mans_switch_is_armed(s: Scene) -> None:
    """While an order works the venue's countdown for its symbol is armed, and refreshed before it runs out (12 s)."""
    await s.ok("deadman", symbol=BTC, seconds=12)
    price, quantity = await s.far("BUY")
    client_id = await s.place("BUY", quantity, price)

    async def armed() -> bool:
        return BTC in (await s.world.truth()).countdowns

    await s.until(armed, SETTLE_S, "the countdown is armed")
    await asyncio.sleep(14)
    await status_agrees(s, client_id, "NEW")
    await s.ok("cancel", symbol=BTC, client_id=client_id)
    await s.agrees()


@case(FAMILY, last=True)
async def hedge_mode_holds_both_sides(s: Scene) -> None:
    """In hedge mode a long and a short of one symbol stand side by side."""
    await s.ok("position_mode", hedge=True)
    quantity = await s.small()
    await s.place("BUY", quantity, position_side="LONG")
    await s.place("SELL", quantity, position_side="SHORT")

    async def both() -> bool:
        rows = (await s.ok("positions")).rows("positions")
        held = {str(r.get("position_side")): number(r.get("quantity"), "quantity") for r in rows}
        return held.get("LONG") == quantity and held.get("SHORT") == -quantity

    await s.until(both, SETTLE_S, "the client holds a long and a short")


@case(FAMILY)
async def leverage_is_changed(s: Scene) -> None:
    """The venue's leverage of the symbol is what the client asked for."""
    await s.ok("leverage", symbol=BTC, leverage=7)
    rows = await s.world.hand.call("GET", "/fapi/v1/symbolConfig", symbol=BTC)
    if int(rows[0]["leverage"]) != 7:
        raise Failed(f"the venue has leverage {rows[0]['leverage']}")


@case(FAMILY)
async def reconcile_finds_nothing_to_mend(s: Scene) -> None:
    """After a round trip the client's own comparison with the venue is clean."""
    quantity = await s.bought()
    await s.place("SELL", quantity, reduce_only=True)
    await s.agrees()
    answer = await s.ok("reconcile", NOTICE_S)
    if answer.body.get("clean") is not True:
        raise Failed(f"reconcile: {answer}")


@case(FAMILY, early=True)
async def starts_onto_a_position(s: Scene) -> None:
    """A position that exists before the client starts is known after connect, and can be closed."""
    await s.world.control("position", {"symbol": BTC, "qty": "0.010"})
    await s.start()
    if await s.position_seen() != Decimal("0.010"):
        raise Failed("the venue's position is another")
    await s.agrees()
    await s.place("SELL", Decimal("0.010"), reduce_only=True)
    if (await s.agrees()).positions:
        raise Failed("a position is left")


@case(FAMILY, early=True)
async def starts_onto_a_working_order(s: Scene) -> None:
    """An order that works before the client starts is among its open orders, or is cancelled by it; never ignored."""
    price, quantity = await s.far("BUY")
    await s.world.hand.call(
        "POST", "/fapi/v1/order", symbol=BTC, side="BUY", type="LIMIT", timeInForce="GTC", price=price,
        quantity=quantity,
    )  # fmt: skip
    await s.start()
    await s.agrees()


@case(FAMILY, last=True)
async def stop_leaves_no_order_working(s: Scene) -> None:
    """Asked to stop, the client leaves nothing working at the venue."""
    price, quantity = await s.far("BUY")
    await s.place("BUY", quantity, price)
    await s.place("BUY", quantity, price)
    await s.ok("stop")

    async def none() -> bool:
        return not (await s.world.truth()).open

    await s.until(none, SETTLE_S, "no order works after the stop")
