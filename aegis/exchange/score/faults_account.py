"""Cases: the account moves by another hand. What the client did not do is noticed, and booked as what it was."""

from __future__ import annotations

from decimal import Decimal

from aegis.exchange.score.case import case
from aegis.exchange.score.scene import BTC, NOTICE_S, Scene
from aegis.exchange.score.speech import Failed

FAMILY = "account"


@case(FAMILY)
async def position_opened_by_another_hand(s: Scene) -> None:
    """Someone buys on this account and the user stream says so: position and balance are known."""
    await s.world.control("position", {"symbol": BTC, "qty": "0.010"})
    await s.position_seen()
    await s.agrees(NOTICE_S)


@case(FAMILY)
async def position_opened_in_silence(s: Scene) -> None:
    """The same without a word on the user stream: noticed by comparing."""
    await s.world.control("position", {"symbol": BTC, "qty": "-0.010", "silent": True})
    await s.position_seen()
    await s.agrees(NOTICE_S)


@case(FAMILY)
async def position_closed_by_another_hand(s: Scene) -> None:
    """The client's own position is closed by another hand: known as flat, result and fee in the balance."""
    quantity = await s.bought()
    await s.world.control("position", {"symbol": BTC, "qty": str(-quantity)})
    if await s.position_seen():
        raise Failed("the venue still holds something")
    await s.agrees(NOTICE_S)


@case(FAMILY)
async def deposit(s: Scene) -> None:
    """A deposit is in the balance."""
    await s.world.control("transfer", {"asset": "USDT", "amount": "123.456789"})
    await s.agrees(NOTICE_S)


@case(FAMILY)
async def withdrawal_in_silence(s: Scene) -> None:
    """A withdrawal nobody told of is noticed by comparing."""
    await s.world.control("transfer", {"asset": "USDT", "amount": "-50.00000001", "silent": True})
    await s.agrees(NOTICE_S)


@case(FAMILY)
async def funding_out_of_the_blue(s: Scene) -> None:
    """Funding at a large rate at an odd time is in the balance, to the last digit."""
    await s.bought()
    await s.world.control("funding", {"rate": "0.00317"})
    await s.agrees(NOTICE_S)


@case(FAMILY)
async def funding_received_on_a_short(s: Scene) -> None:
    """A short receives positive funding."""
    await s.place("SELL", await s.small())
    await s.position_seen()
    await s.world.control("funding", {"rate": "0.0011"})
    await s.agrees(NOTICE_S)


@case(FAMILY)
async def order_cancelled_by_another_hand(s: Scene) -> None:
    """The client's order is cancelled from elsewhere: known as cancelled, and not placed again."""
    price, quantity = await s.far("BUY")
    client_id = await s.place("BUY", quantity, price)
    await s.world.hand.call("DELETE", "/fapi/v1/order", symbol=BTC, origClientOrderId=client_id)
    await s.order_agrees(client_id, limit_s=NOTICE_S)
    await s.sent_once()
    await s.agrees(NOTICE_S)


@case(FAMILY)
async def order_amended_by_another_hand(s: Scene) -> None:
    """The client's order gets another price and quantity from elsewhere: its view follows."""
    price, quantity = await s.far("BUY")
    client_id = await s.place("BUY", quantity, price)
    await s.world.hand.call(
        "PUT", "/fapi/v1/order", symbol=BTC, side="BUY", origClientOrderId=client_id, price=price,
        quantity=quantity * 2,
    )  # fmt: skip
    await s.order_agrees(client_id, limit_s=NOTICE_S)
    await s.ok("cancel", symbol=BTC, client_id=client_id)
    await s.agrees(NOTICE_S)


@case(FAMILY)
async def order_placed_by_another_hand(s: Scene) -> None:
    """An order from a telephone on the same account is among the open orders, and its end is known."""
    price, quantity = await s.far("SELL")
    row = await s.world.hand.call(
        "POST", "/fapi/v1/order", symbol=BTC, side="SELL", type="LIMIT", timeInForce="GTC", price=price,
        quantity=quantity, newClientOrderId="android_score",
    )  # fmt: skip
    await s.agrees(NOTICE_S)
    if any(o["orderId"] == row["orderId"] for o in (await s.world.truth()).open):
        await s.world.hand.call("DELETE", "/fapi/v1/order", symbol=BTC, orderId=row["orderId"])
    await s.agrees(NOTICE_S)


@case(FAMILY)
async def fill_by_another_hand_in_an_unused_symbol(s: Scene) -> None:
    """A position appears in a symbol the client never traded: known all the same."""
    await s.world.control("position", {"symbol": "DOGEUSDT", "qty": "300"})
    if await s.position_seen("DOGEUSDT") != Decimal(300):
        raise Failed("the venue's position is another")
    await s.agrees(NOTICE_S)


@case(FAMILY)
async def entries_while_the_account_is_in_doubt(s: Scene) -> None:
    """A silent withdrawal and trade: whatever the client thinks meanwhile, afterwards its books are the venue's."""
    await s.world.control("transfer", {"asset": "USDT", "amount": "-7", "silent": True})
    await s.world.control("position", {"symbol": BTC, "qty": "0.010", "silent": True})
    price, quantity = await s.far("BUY")
    answer = await s.ask("place", symbol=BTC, side="BUY", type="LIMIT", time_in_force="GTC", price=price,
                         quantity=quantity)  # fmt: skip
    await s.agrees(NOTICE_S)
    if answer.ok:
        await s.ok("cancel_all", symbol=BTC)
        await s.agrees(NOTICE_S)


@case(FAMILY)
async def leverage_changed_by_another_hand(s: Scene) -> None:
    """ACCOUNT_CONFIG_UPDATE out of the blue: the client lives on and trades."""
    await s.world.hand.call("POST", "/fapi/v1/leverage", symbol=BTC, leverage=9)
    price, quantity = await s.far("BUY")

    async def placed() -> str:
        return await s.place("BUY", quantity, price)

    client_id = await s.until(placed, NOTICE_S, "an order goes through")
    await s.ok("cancel", symbol=BTC, client_id=client_id)
    await s.agrees()


@case(FAMILY, last=True)
async def position_mode_changed_by_another_hand(s: Scene) -> None:
    """Someone switches to hedge mode: an order of one-way mode is told as refused (-4061), not as unknown or done."""
    await s.world.hand.call("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")
    price, quantity = await s.far("BUY")
    await s.refused(
        "place", -4061, -4062, symbol=BTC, side="BUY", type="LIMIT", time_in_force="GTC", price=price,
        quantity=quantity,
    )  # fmt: skip
    await s.new_orders(0)


@case(FAMILY, last=True)
async def liquidated_out_of_the_blue(s: Scene) -> None:
    """The venue closes the client's position by orders of its own: position, fees and insurance are in its books."""
    price, _ = await s.far("BUY")
    quantity = (await s.world.grid(BTC)).quantity(Decimal(300_000) / price)
    client_id = await s.place("BUY", quantity)
    await s.order_agrees(client_id)
    await s.agrees()
    wallet = (await s.world.truth()).wallets["USDT"]
    await s.world.control("transfer", {"asset": "USDT", "amount": str(Decimal(500) - wallet)})

    async def closed() -> bool:
        held = (await s.world.truth()).position(BTC)
        return held < quantity

    await s.until(closed, NOTICE_S, "the venue liquidates")
    await s.position_seen()
    await s.agrees(NOTICE_S * 2)


@case(FAMILY)
async def liquidation_order_of_the_venue(s: Scene) -> None:
    """A position is liquidated whatever its margin, by an order with a client id of the venue's: booked."""
    await s.bought()
    await s.inject("liquidation_now", symbol=BTC)
    if await s.position_seen():
        raise Failed("the venue still holds something")
    await s.agrees(NOTICE_S)


@case(FAMILY)
async def deleveraged_out_of_the_blue(s: Scene) -> None:
    """A position is closed by automatic deleveraging: booked, its end known."""
    await s.bought()
    await s.inject("adl_now", symbol=BTC)
    await s.position_seen()
    await s.agrees(NOTICE_S)


@case(FAMILY)
async def all_orders_cancelled_by_another_hand(s: Scene) -> None:
    """Every order of the symbol is cancelled from elsewhere: all ends are known, none is placed again."""
    price, quantity = await s.far("BUY")
    ids = [await s.place("BUY", quantity, price) for _ in range(3)]
    await s.inject("cancel_elsewhere", symbol=BTC)
    for client_id in ids:
        if (await s.order_agrees(client_id, limit_s=NOTICE_S))["status"] != "CANCELED":
            raise Failed("the venue's order is not cancelled")
    await s.new_orders(3)
    await s.agrees(NOTICE_S)
