"""Cases: errors. What the venue refuses is told as refused, leaves nothing, and stops nothing else."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from aegis.exchange.clock import now_ms
from aegis.exchange.score.case import case
from aegis.exchange.score.scene import BTC, ETH, NOTICE_S, Scene
from aegis.exchange.score.speech import Failed, Unspoken

FAMILY = "errors"
LEARN_S, QUIET_S = 5.0, 3.0  # each process of a client may learn of the limit by a request of its own
QUIET_WEIGHT = 5
MINUTE_MS, ROOM_MS = 60_000, 40_000


@case(FAMILY)
async def price_off_the_tick(s: Scene) -> None:
    """A price between two ticks is refused (-4014, -1111), not rounded in silence."""
    price, quantity = await s.far("BUY")
    tick = (await s.world.grid(BTC)).tick
    await s.place_refused((-4014, -1111), "BUY", quantity, price=price + tick / 2)


@case(FAMILY)
async def quantity_off_the_lot(s: Scene) -> None:
    """A quantity between two lots is refused (-4023, -1111), not rounded in silence."""
    price, quantity = await s.far("BUY")
    lot = (await s.world.grid(BTC)).lot
    await s.place_refused((-4023, -1111, -1013), "BUY", quantity + lot / 2, price=price)


@case(FAMILY)
async def below_the_minimum_notional(s: Scene) -> None:
    """One lot far below the minimum notional is refused (-4164)."""
    price, _ = await s.far("BUY")
    await s.place_refused((-4164,), "BUY", (await s.world.grid(BTC)).lot, price=price)


@case(FAMILY)
async def price_above_the_band(s: Scene) -> None:
    """A buy a tenth above the mark is refused (-4016)."""
    grid = await s.world.grid(BTC)
    _, ask = await s.world.quote(BTC)
    await s.place_refused((-4016, -4131), "BUY", await s.small(), price=grid.price(ask * Decimal("1.1")))


@case(FAMILY)
async def price_below_the_band(s: Scene) -> None:
    """A sell a tenth below the mark is refused (-4024)."""
    grid = await s.world.grid(BTC)
    bid, _ = await s.world.quote(BTC)
    await s.place_refused((-4024, -4131), "SELL", await s.small(), price=grid.price(bid * Decimal("0.9")))


@case(FAMILY)
async def quantity_above_the_maximum(s: Scene) -> None:
    """A quantity above LOT_SIZE's maximum is refused (-4005)."""
    price, _ = await s.far("BUY")
    grid = await s.world.grid(BTC)
    await s.place_refused((-4005, -2019, -2027), "BUY", grid.quantity_max + grid.lot, price=price)


@case(FAMILY)
async def market_quantity_above_its_maximum(s: Scene) -> None:
    """A market order above MARKET_LOT_SIZE's maximum, though below LOT_SIZE's, is refused and nothing trades."""
    grid = await s.world.grid(BTC)
    await s.place_refused((-4005, -2019, -2027), "BUY", grid.market_quantity_max + grid.lot)


@case(FAMILY)
async def zero_quantity(s: Scene) -> None:
    """A quantity of zero is refused (-4003)."""
    price, _ = await s.far("BUY")
    await s.place_refused((-4003, -4004, -1102), "BUY", Decimal(0), price=price)


@case(FAMILY)
async def margin_is_insufficient(s: Scene) -> None:
    """An order beyond what the margin allows is refused (-2019), and a small one still goes through."""
    price, _ = await s.far("BUY")
    grid = await s.world.grid(BTC)
    large = min(grid.quantity(Decimal(4_000_000) / price), grid.quantity_max)
    await s.place_refused((-2019, -2027), "BUY", large, price=price)
    await s.agrees()


@case(FAMILY)
async def unknown_symbol(s: Scene) -> None:
    """An order for a symbol the venue does not list is refused (-1121)."""
    await s.refused("place", -1121, symbol="NOSUCHUSDT", side="BUY", type="MARKET", quantity="1")
    await s.new_orders(0)
    await s.still_trades()


@case(FAMILY)
async def cancel_of_an_unknown_order(s: Scene) -> None:
    """A cancel of what never existed is refused (-2011, -2013), not called done."""
    await s.refused("cancel", -2011, -2013, symbol=BTC, client_id="never-existed")


@case(FAMILY)
async def query_of_an_unknown_order(s: Scene) -> None:
    """An order that never existed is not shown as anything."""
    await s.refused("order", -2013, symbol=BTC, client_id="never-existed")


@case(FAMILY)
async def cancel_of_a_filled_order(s: Scene) -> None:
    """A cancel that comes too late is refused, and the order is known as filled."""
    client_id = await s.place("BUY", await s.small())
    await s.order_agrees(client_id)
    await s.refused("cancel", -2011, symbol=BTC, client_id=client_id)
    if (await s.order_agrees(client_id))["status"] != "FILLED":
        raise Failed("the venue's order is not filled")
    await s.agrees()


@case(FAMILY)
async def duplicate_client_id(s: Scene) -> None:
    """A second order under a working order's client id is not taken (-4116), and the first one is left alone."""
    price, quantity = await s.far("BUY")
    name = "score-twice"
    await s.place("BUY", quantity, price, client_id=name)
    answer = await s.ask(
        "place", symbol=BTC, side="BUY", type="LIMIT", time_in_force="GTC", price=price, quantity=quantity,
        client_id=name,
    )  # fmt: skip
    if answer.ok or answer.kind not in ("refused", "unknown") or answer.code not in (0, -4116):
        raise Failed(f"place: {answer}, expected refused (-4116)")
    await s.new_orders(1)
    await s.ok("cancel", symbol=BTC, client_id=name)
    await s.agrees()


@case(FAMILY)
async def reduce_only_without_a_position(s: Scene) -> None:
    """A reduce-only order while flat is refused (-2022) and opens nothing."""
    await s.place_refused((-2022,), "SELL", await s.small(), reduce_only=True)
    await s.agrees()


@case(FAMILY)
async def reduce_only_on_the_wrong_side(s: Scene) -> None:
    """A reduce-only buy while long is refused (-2022) and adds nothing."""
    quantity = await s.bought()
    before = len((await s.world.truth()).orders)
    await s.refused("place", -2022, symbol=BTC, side="BUY", type="MARKET", quantity=quantity, reduce_only=True)
    if len((await s.world.truth()).orders) != before:
        raise Failed("the venue took the order")
    await s.still_trades()
    await s.agrees()


@case(FAMILY)
async def amend_of_a_gone_order(s: Scene) -> None:
    """Amending a cancelled order is refused (-2013) and brings nothing back."""
    price, quantity = await s.far("BUY")
    client_id = await s.place("BUY", quantity, price)
    await s.ok("cancel", symbol=BTC, client_id=client_id)
    await s.refused("amend", -2013, -2011, symbol=BTC, client_id=client_id, price=price, quantity=quantity * 2)
    await s.new_orders(1)
    await s.agrees()


@case(FAMILY)
async def amend_that_changes_nothing(s: Scene) -> None:
    """An amendment to the same price and quantity is harmless: done or refused (-5027), and the order still works."""
    price, quantity = await s.far("BUY")
    client_id = await s.place("BUY", quantity, price)
    answer = await s.ask("amend", symbol=BTC, client_id=client_id, price=price, quantity=quantity)
    if not answer.ok and answer.code not in (0, -5027):
        raise Failed(f"amend: {answer}")
    if (await s.order_agrees(client_id))["status"] != "NEW":
        raise Failed("the order does not work any more")
    await s.ok("cancel", symbol=BTC, client_id=client_id)


async def _told(s: Scene, code: int, status: int = 400) -> None:
    """A planted refusal is told with its code, leaves no order, is not tried again, and the next order goes through."""
    await s.inject("error", code=code, status=status, msg="planted")
    price, quantity = await s.far("BUY")
    answer = await s.ask("place", symbol=BTC, side="BUY", type="LIMIT", time_in_force="GTC", price=price,
                         quantity=quantity)  # fmt: skip
    if answer.ok or answer.kind not in ("refused", "rate_limited"):
        raise Failed(f"place: {answer}, expected refused")
    if answer.code != code:
        raise Failed(f"place: code {answer.code}, expected {code}")
    await s.new_orders(0)
    await s.clear()


@case(FAMILY)
async def order_rejected_by_the_venue(s: Scene) -> None:
    """-2010 is told with its code; nothing works; the next order goes through."""
    await _told(s, -2010)
    await s.still_trades()


@case(FAMILY)
async def code_nobody_has_heard_of(s: Scene) -> None:
    """An unknown code with status 400 is a refusal like any other, not an unknown outcome and not a crash."""
    await _told(s, -9876)
    await s.still_trades()


@case(FAMILY)
async def bad_signature_is_told(s: Scene) -> None:
    """-1022 is told as refused and not sent again and again."""
    await _told(s, -1022)
    await s.still_trades()


@case(FAMILY, last=True)
async def key_taken_away(s: Scene) -> None:
    """The API key is revoked: an order is told as refused (-2015), and the account is not called trusted any more."""
    price, quantity = await s.far("BUY")
    await s.inject("key_revoked", key=s.world.api_key)
    await s.refused(
        "place", -2015, symbol=BTC, side="BUY", type="LIMIT", time_in_force="GTC", price=price, quantity=quantity
    )

    async def doubted() -> bool:
        return (await s.health()).get("account") != "trusted"

    await s.until(doubted, NOTICE_S, "the account is not called trusted")


@case(FAMILY)
async def symbol_stops_trading(s: Scene) -> None:
    """A symbol that stops trading: its orders are refused (-4140), others go through."""
    price, quantity = await s.far("SELL", ETH)
    await s.inject("symbol_halted", symbol=ETH)
    await s.refused(
        "place", -4140, -4141, -1122, -4108, symbol=ETH, side="SELL", type="LIMIT", time_in_force="GTC", price=price,
        quantity=quantity,
    )  # fmt: skip
    await s.new_orders(0)
    await s.still_trades()


@case(FAMILY)
async def filters_change_on_a_live_symbol(s: Scene) -> None:
    """The tick becomes ten times coarser without notice: the old grid is refused, nothing is left in doubt."""
    grid = await s.world.grid(ETH)
    price, quantity = await s.far("BUY", ETH)
    crooked = price // (grid.tick * 10) * (grid.tick * 10) + grid.tick * 3
    await s.inject("filter_change", symbol=ETH, tick=format(grid.tick * 10, "f"))
    await s.refused(
        "place", -4014, -1111, -1013, symbol=ETH, side="BUY", type="LIMIT", time_in_force="GTC", price=crooked,
        quantity=quantity,
    )  # fmt: skip
    await s.new_orders(0)
    await s.still_trades()


@case(FAMILY)
async def key_without_permission_is_told(s: Scene) -> None:
    """-2015 with status 401 is told as refused."""
    await _told(s, -2015, 401)
    await s.still_trades()


@case(FAMILY)
async def symbol_may_only_be_reduced(s: Scene) -> None:
    """-4105 (reduce only) is told with its code."""
    await _told(s, -4105)
    await s.still_trades()


@case(FAMILY)
async def too_many_orders_is_told(s: Scene) -> None:
    """-1015 with status 429 is told as refused or rate limited; the order is not sent again by itself."""
    await s.inject("error", code=-1015, status=429, msg="Too many new orders.")
    price, quantity = await s.far("BUY")
    answer = await s.ask("place", symbol=BTC, side="BUY", type="LIMIT", time_in_force="GTC", price=price,
                         quantity=quantity)  # fmt: skip
    if answer.ok or answer.kind not in ("refused", "rate_limited"):
        raise Failed(f"place: {answer}, expected rate_limited or refused")
    await s.holds(lambda: s.at_most(0), QUIET_S, "the order was sent again")


@case(FAMILY, venue={"weight": 400}, last=True)
async def weight_limit_is_honoured(s: Scene) -> None:
    """Told 429 with Retry-After, the client stops asking: the venue's count for this address stands still."""
    if "reconcile" not in s.verbs:
        raise Unspoken("reconcile")
    await s.until(_room, MINUTE_MS / 1000, "enough of the venue's minute is left")
    while await s.world.used_weight() <= 400:
        await s.world.spend_weight(BTC)
    await s.ask("reconcile", NOTICE_S)
    await asyncio.sleep(LEARN_S)
    before = await s.world.used_weight()
    await asyncio.sleep(QUIET_S)
    asked = await s.world.used_weight() - before - 1
    if asked > QUIET_WEIGHT:
        raise Failed(f"{asked} weight was asked for within {QUIET_S:g} s, {LEARN_S:g} s after 429")


async def _room() -> bool:
    return now_ms() % MINUTE_MS < ROOM_MS
