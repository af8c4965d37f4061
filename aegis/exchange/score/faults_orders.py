"""Cases: faults on the way of an order. Exactly once, counted while unknown, settled by evidence."""

from __future__ import annotations

import contextlib
from decimal import Decimal

from aegis.exchange.score.case import case
from aegis.exchange.score.scene import BTC, PLACE, SETTLE_S, Scene
from aegis.exchange.score.speech import Answer, Failed

FAMILY = "orders"
CANCEL = ("DELETE /fapi/v1/order", "order.cancel")
QUERY = ("GET /fapi/v1/order", "order.status")
GONE_S = 25.0  # PROTOCOL 5.7: absence is proven by repeated -2013 after recvWindow and a margin
UNKNOWN_503 = "Unknown error, please check your request or try again later."
OVERLOADED = "Server is currently overloaded with other requests. Please try again in a few minutes."


async def _resting(s: Scene) -> Answer:
    price, quantity = await s.far("BUY")
    return await s.ask(
        "place", symbol=BTC, side="BUY", type="LIMIT", time_in_force="GTC", price=price, quantity=quantity
    )


def _claims_failure(answer: Answer) -> bool:
    return not answer.ok and answer.kind not in ("unknown", "rate_limited")


async def _counted(s: Scene, answer: Answer) -> None:
    """The order was executed though its answer was lost: it is not called failed, not repeated, and soon known."""
    if _claims_failure(answer):
        raise Failed(f"place: {answer}, though the order works")
    found = await s.sent_once()
    await s.order_agrees(str(found["clientOrderId"]))
    await s.agrees()


async def _absent(s: Scene, answer: Answer) -> None:
    """The order never was: not repeated, never called done, and in the end known as not existing."""
    if answer.ok:
        raise Failed("place: answered as done, though there is no order")
    client_id = answer.body.get("client_id")
    await s.holds(lambda: _at_most(s, 0), 3.0, "the order was sent again while its fate was unknown")
    await s.clear()
    if answer.kind == "unknown" and isinstance(client_id, str):

        async def settled() -> bool:
            said = await s.ask("order", symbol=BTC, client_id=client_id)
            order = said.body.get("order")
            return not said.ok or (isinstance(order, dict) and order.get("status") in ("REJECTED", "CANCELED"))

        await s.until(settled, GONE_S, "the client knows that the order never was")
    await s.new_orders(0)
    await s.agrees()


async def _at_most(s: Scene, count: int) -> bool:
    return len((await s.world.truth()).orders) <= s.before + count


async def _failed_or_tried_again(s: Scene, answer: Answer) -> None:
    """The venue said it did nothing: the client may try again, but what it says is what is."""
    await s.holds(lambda: _at_most(s, 1), 3.0, "the order was sent twice")
    await s.new_orders(1 if answer.ok else 0)
    await s.clear()
    await s.agrees()


@case(FAMILY)
async def answer_lost_resting_order(s: Scene) -> None:
    """The order rests, its answer is lost: it is counted, found, and not sent a second time."""
    await s.plant(PLACE, "answer_lost")
    await _counted(s, await _resting(s))


@case(FAMILY)
async def answer_lost_filled_order(s: Scene) -> None:
    """A market order fills, its answer is lost: the position is known and the order was sent once."""
    await s.plant(PLACE, "answer_lost")
    answer = await s.ask("place", symbol=BTC, side="BUY", type="MARKET", quantity=await s.small())
    await _counted(s, answer)


@case(FAMILY)
async def answer_lost_ioc(s: Scene) -> None:
    """An IOC ends at once and its answer is lost: its end is known, it was sent once."""
    await s.plant(PLACE, "answer_lost")
    price, quantity = await s.far("BUY")
    answer = await s.ask(
        "place", symbol=BTC, side="BUY", type="LIMIT", time_in_force="IOC", price=price, quantity=quantity
    )
    await _counted(s, answer)


@case(FAMILY)
async def answer_late(s: Scene) -> None:
    """Two seconds pass before the order is taken: one order and known as working, or none and known as none."""
    await s.plant(PLACE, "request_delay", ms=2000)
    await _either(s, await _resting(s))


@case(FAMILY)
async def answer_later_than_patience(s: Scene) -> None:
    """The order lies at the venue for six seconds: taken late or dead by its recvWindow, and known as what it is."""
    await s.plant(PLACE, "request_delay", ms=6000)
    answer = await _resting(s)
    await s.holds(lambda: _at_most(s, 1), 7.0, "the order was sent twice")
    await _either(s, answer)


async def _either(s: Scene, answer: Answer) -> None:
    """Taken or not: the client ends with what is."""
    if len((await s.world.truth()).orders) > s.before:
        await _counted(s, answer)
    else:
        await _absent(s, answer)


@case(FAMILY)
async def stale_query_after_a_lost_answer(s: Scene) -> None:
    """Answer lost, user stream silent, and the query says -2013 twice while the order works: it is not given up."""
    await s.world.fault("user_silent")
    await s.plant(PLACE, "answer_lost")
    await s.plant(QUERY, "error", code=-2013, status=400, msg="Order does not exist.", count=2)
    await _counted(s, await _resting(s))


@case(FAMILY)
async def timeout_without_execution(s: Scene) -> None:
    """-1007 and no order: counted as unknown, not repeated, in the end known as not existing."""
    await s.plant(PLACE, "error", code=-1007, status=503, msg="Timeout waiting for response from backend server.")
    await _absent(s, await _resting(s))


@case(FAMILY)
async def unexpected_response_without_execution(s: Scene) -> None:
    """-1006 and no order: as -1007."""
    await s.plant(PLACE, "error", code=-1006, status=400, msg="An unexpected response was received.")
    await _absent(s, await _resting(s))


@case(FAMILY)
async def unknown_error_503_without_execution(s: Scene) -> None:
    """503 "Unknown error" and no order: the outcome is unknown, so it is not repeated."""
    await s.plant(PLACE, "error", code=-1000, status=503, msg=UNKNOWN_503)
    await _absent(s, await _resting(s))


@case(FAMILY)
async def service_unavailable_503(s: Scene) -> None:
    """503 "Service Unavailable." did nothing: tried again or told as refused, never two orders."""
    await s.plant(PLACE, "error", code=-1000, status=503, msg="Service Unavailable.")
    await _failed_or_tried_again(s, await _resting(s))


@case(FAMILY)
async def internal_error_503(s: Scene) -> None:
    """503 "Internal error" did nothing: tried again or told as refused, never two orders."""
    text = "Internal error; unable to process your request. Please try again."
    await s.plant(PLACE, "error", code=-1001, status=503, msg=text)
    await _failed_or_tried_again(s, await _resting(s))


@case(FAMILY)
async def overloaded_on_placing(s: Scene) -> None:
    """-1008 did nothing: tried again or told as refused, never two orders."""
    await s.plant(PLACE, "error", code=-1008, status=503, msg=OVERLOADED)
    await _failed_or_tried_again(s, await _resting(s))


@case(FAMILY)
async def overloaded_on_cancelling(s: Scene) -> None:
    """-1008 on a cancel: the order still works, the client knows or tries again, and ends with the venue's state."""
    price, quantity = await s.far("BUY")
    client_id = await s.place("BUY", quantity, price)
    await s.plant(CANCEL, "error", code=-1008, status=503, msg=OVERLOADED)
    await s.ask("cancel", symbol=BTC, client_id=client_id)
    await s.order_agrees(client_id)
    await s.clear()
    await s.ask("cancel_all", symbol=BTC)
    await s.agrees()


@case(FAMILY)
async def cancel_answer_lost(s: Scene) -> None:
    """The cancel is executed, its answer is lost: the client learns that the order is gone."""
    price, quantity = await s.far("BUY")
    client_id = await s.place("BUY", quantity, price)
    await s.plant(CANCEL, "answer_lost")
    await s.ask("cancel", symbol=BTC, client_id=client_id)
    if (await s.order_agrees(client_id))["status"] != "CANCELED":
        raise Failed("the order is not cancelled")
    await s.agrees()


@case(FAMILY)
async def cancel_refused_though_working(s: Scene) -> None:
    """-2011 on a cancel while the order works is no proof that it is gone."""
    price, quantity = await s.far("BUY")
    client_id = await s.place("BUY", quantity, price)
    await s.plant(CANCEL, "error", code=-2011, status=400, msg="Unknown order sent.")
    await s.ask("cancel", symbol=BTC, client_id=client_id)
    found = await s.order_agrees(client_id)
    await s.clear()
    if found["status"] == "NEW":
        await s.ok("cancel", symbol=BTC, client_id=client_id)
    await s.agrees()


@case(FAMILY)
async def order_socket_cut_between_orders(s: Scene) -> None:
    """The WebSocket API connection is cut: the next order goes through, once, by whatever door."""
    await s.world.fault("socket_cut", route="wsapi")

    async def placed() -> bool:
        return (await _resting(s)).ok

    await s.until(placed, SETTLE_S, "an order goes through after the cut")
    await s.new_orders(1)
    await s.ok("cancel_all", symbol=BTC)
    await s.agrees()


@case(FAMILY)
async def filled_behind_a_lost_cancel(s: Scene) -> None:
    """A bid is hit while its cancel's answer is lost: what was filled is held, what was not is gone."""
    bid, _ = await s.world.quote(BTC)
    quantity = await s.small() * 20
    client_id = await s.place("BUY", quantity, bid)
    await s.plant(CANCEL, "answer_lost")
    await s.ask("cancel", symbol=BTC, client_id=client_id)
    found = await s.order_agrees(client_id)
    if await s.position_seen() != Decimal(found["executedQty"]):
        raise Failed("the position is not what was filled")
    await s.agrees()


@case(FAMILY)
async def reads_fail_for_a_while(s: Scene) -> None:
    """Every account query fails with 503 for a while: orders go on, and the account is right again afterwards."""
    reads = ("positionRisk", "/balance", "account", "openOrders", "userTrades")
    await s.plant(reads, "error", code=-1000, status=503, msg="Service Unavailable.", count=6)
    quantity = await s.small()
    answer = await s.ask("place", symbol=BTC, side="BUY", type="MARKET", quantity=quantity)
    if answer.ok:
        await s.new_orders(1)
    with contextlib.suppress(Failed):
        await s.ask("positions")
        await s.until(s.met, SETTLE_S, "the client reads its account")
    await s.clear()
    await s.agrees()
