"""Cases: faults on the way of an order. Exactly once, counted while unknown, settled by evidence."""

from __future__ import annotations

from decimal import Decimal

from aegis.exchange.score.case import case
from aegis.exchange.score.scene import BTC, NOTICE_S, SETTLE_S, Scene
from aegis.exchange.score.speech import Answer, Failed

FAMILY = "orders"
GONE_S = 25.0  # PROTOCOL 5.7: absence is proven by repeated -2013 after recvWindow and a margin
AGAIN_S = 3.0


async def _resting(s: Scene, tif: str = "GTC") -> Answer:
    price, quantity = await s.far("BUY")
    return await s.ask("place", symbol=BTC, side="BUY", type="LIMIT", time_in_force=tif, price=price, quantity=quantity)


async def _market(s: Scene) -> Answer:
    return await s.ask("place", symbol=BTC, side="BUY", type="MARKET", quantity=await s.small())


async def _counted(s: Scene, answer: Answer) -> None:
    """The order was executed though its answer was lost: it is not called failed, not repeated, and soon known."""
    if not answer.ok and answer.kind not in ("unknown", "rate_limited"):
        raise Failed(f"place: {answer}, though the venue has the order")
    found = await s.sent_once(AGAIN_S)
    await s.order_agrees(str(found["clientOrderId"]))
    await s.agrees()


async def _absent(s: Scene, answer: Answer) -> None:
    """The order never was: not repeated, never called done, and in the end known as not existing."""
    if answer.ok:
        raise Failed("place: answered as done, though there is no order")
    client_id = answer.body.get("client_id")
    await s.holds(lambda: s.at_most(0), AGAIN_S, "the order was sent again while its fate was unknown")
    await s.clear()
    if answer.kind == "unknown" and isinstance(client_id, str):

        async def settled() -> bool:
            said = await s.ask("order", symbol=BTC, client_id=client_id)
            order = said.body.get("order")
            return not said.ok or (isinstance(order, dict) and order.get("status") in ("REJECTED", "CANCELED"))

        await s.until(settled, GONE_S, "the client knows that the order never was")
    await s.new_orders(0)
    await s.agrees()


async def _either(s: Scene, answer: Answer) -> None:
    """Taken or not: the client ends with what is."""
    if len((await s.world.truth()).orders) > s.before:
        await _counted(s, answer)
    else:
        await _absent(s, answer)


async def _failed_or_tried_again(s: Scene, answer: Answer) -> None:
    """The venue said it did nothing: the client may try again, but what it says is what is."""
    await s.holds(lambda: s.at_most(1), AGAIN_S, "the order was sent twice")
    await s.new_orders(1 if answer.ok else 0)
    await s.clear()
    await s.agrees()


@case(FAMILY)
async def answer_lost_resting_order(s: Scene) -> None:
    """The order rests, its answer is lost: it is counted, found, and not sent a second time."""
    await s.inject("answer_lost")
    await _counted(s, await _resting(s))


@case(FAMILY)
async def answer_lost_filled_order(s: Scene) -> None:
    """A market order fills, its answer is lost: the position is known and the order was sent once."""
    await s.inject("answer_lost")
    await _counted(s, await _market(s))


@case(FAMILY)
async def answer_lost_ioc(s: Scene) -> None:
    """An IOC ends at once and its answer is lost: its end is known, it was sent once."""
    await s.inject("answer_lost")
    await _counted(s, await _resting(s, "IOC"))


@case(FAMILY)
async def answer_cut_in_the_middle(s: Scene) -> None:
    """Forty bytes of the answer arrive, then the connection breaks: counted, and sent once."""
    await s.inject("answer_cut", after_bytes=40)
    await _counted(s, await _resting(s))


@case(FAMILY)
async def answer_never_comes(s: Scene) -> None:
    """The order rests, its answer never comes and the connection stays open: counted, found, sent once."""
    await s.inject("answer_never")
    await _counted(s, await _resting(s))


@case(FAMILY)
async def answer_late(s: Scene) -> None:
    """The order is executed at once and answered two seconds late: sent once, known as working."""
    await s.inject("answer_delay", ms=2000)
    await _counted(s, await _resting(s))


@case(FAMILY)
async def answer_after_the_fill(s: Scene) -> None:
    """The user stream tells the fill before the order's own answer comes: one order, one fill, one position."""
    await s.inject("ack_after_fill", ms=500)
    await _counted(s, await _market(s))


@case(FAMILY)
async def request_lost(s: Scene) -> None:
    """The connection breaks before the order is executed: not called done, not repeated under another id."""
    await s.inject("request_lost")
    await _either(s, await _resting(s))


@case(FAMILY)
async def request_held_up(s: Scene) -> None:
    """Two seconds pass before the order is taken: one order and known as working, or none and known as none."""
    await s.inject("request_delay", ms=2000)
    await _either(s, await _resting(s))


@case(FAMILY)
async def request_held_up_beyond_patience(s: Scene) -> None:
    """The order lies at the venue for six seconds: taken late or dead by its recvWindow, and known as what it is."""
    await s.inject("request_delay", ms=6000)
    answer = await _resting(s)
    await s.holds(lambda: s.at_most(1), 7.0, "the order was sent twice")
    await _either(s, answer)


@case(FAMILY)
async def stale_query_after_a_lost_answer(s: Scene) -> None:
    """Answer lost, user stream silent, and queries do not know the order for 3 s: it is not given up."""
    await s.inject("user_silent")
    await s.inject("query_unseen", ms=3000)
    await s.inject("answer_lost")
    await _counted(s, await _resting(s))


@case(FAMILY)
async def order_not_found_right_after_placing(s: Scene) -> None:
    """Queries do not know the order for two seconds after its answer: it is not taken for gone."""
    await s.inject("query_unseen", ms=2000)
    answer = await _resting(s)
    if not answer.ok:
        raise Failed(f"place: {answer}")
    client_id = answer.text("client_id")
    view = await s.ask("order", symbol=BTC, client_id=client_id)
    order = view.body.get("order")
    if isinstance(order, dict) and order.get("status") in ("REJECTED", "CANCELED", "EXPIRED", "FILLED"):
        raise Failed(f"order: {view}, though it works")
    await _counted(s, answer)


@case(FAMILY)
async def timeout_with_execution(s: Scene) -> None:
    """-1007 and the order works: counted as unknown, found, sent once."""
    await s.inject("timeout_1007")
    await _counted(s, await _resting(s))


@case(FAMILY)
async def timeout_without_execution(s: Scene) -> None:
    """-1007 and no order: counted as unknown, not repeated, in the end known as not existing."""
    await s.inject("timeout_1007", took_effect=False)
    await _absent(s, await _resting(s))


@case(FAMILY)
async def timeout_of_a_filled_order(s: Scene) -> None:
    """-1007 and the market order filled: the position is known, the order was sent once."""
    await s.inject("timeout_1007")
    await _counted(s, await _market(s))


@case(FAMILY)
async def unexpected_response_with_execution(s: Scene) -> None:
    """-1006 and the order works: as -1007."""
    await s.inject("unexpected_1006")
    await _counted(s, await _resting(s))


@case(FAMILY)
async def unexpected_response_without_execution(s: Scene) -> None:
    """-1006 and no order: as -1007."""
    await s.inject("unexpected_1006", took_effect=False)
    await _absent(s, await _resting(s))


@case(FAMILY)
async def unknown_error_503_with_execution(s: Scene) -> None:
    """503 "Unknown error" and the order works: found, and sent once."""
    await s.inject("unknown_503")
    await _counted(s, await _resting(s))


@case(FAMILY)
async def unknown_error_503_without_execution(s: Scene) -> None:
    """503 "Unknown error" and no order: the outcome is unknown, so it is not repeated."""
    await s.inject("unknown_503", took_effect=False)
    await _absent(s, await _resting(s))


@case(FAMILY)
async def service_unavailable_503(s: Scene) -> None:
    """503 "Service Unavailable." did nothing: tried again or told as refused, never two orders."""
    await s.inject("unavailable_503")
    await _failed_or_tried_again(s, await _resting(s))


@case(FAMILY)
async def internal_error_503(s: Scene) -> None:
    """503 "Internal error" did nothing: tried again or told as refused, never two orders."""
    await s.inject("internal_503")
    await _failed_or_tried_again(s, await _resting(s))


@case(FAMILY)
async def overloaded_on_placing(s: Scene) -> None:
    """-1008 did nothing: tried again or told as refused, never two orders."""
    await s.inject("overload", count=1)
    await _failed_or_tried_again(s, await _resting(s))


@case(FAMILY)
async def exits_while_overloaded(s: Scene) -> None:
    """New orders are refused with -1008 for a while: the client still closes its position and cancels its order."""
    quantity = await s.bought()
    price, _ = await s.far("BUY")
    client_id = await s.place("BUY", quantity, price)
    await s.inject("overload", optional=True)  # it must spare what follows, so it strikes nobody
    await s.ok("cancel", symbol=BTC, client_id=client_id)
    await s.place("SELL", quantity, reduce_only=True)
    await s.world.heal()
    if (await s.agrees()).positions:
        raise Failed("a position is left")


@case(FAMILY)
async def whole_venue_overloaded(s: Scene) -> None:
    """Every request is refused with -1008 for four seconds: an order's fate is known afterwards, so is the account."""
    price, quantity = await s.far("BUY")
    await s.inject("server_overload", for_ms=4000)
    answer = await s.ask(
        "place", symbol=BTC, side="BUY", type="LIMIT", time_in_force="GTC", price=price, quantity=quantity
    )
    await s.holds(lambda: s.at_most(1), 5.0, "the order was sent twice")
    await s.new_orders(1 if answer.ok else 0)
    await s.clear()
    await s.agrees(NOTICE_S)


@case(FAMILY)
async def duplicate_id_of_the_living_order(s: Scene) -> None:
    """The order is taken and its own answer is -4116: not called refused, not sent again, known as working."""
    await s.inject("duplicate_4116")
    await _counted(s, await _resting(s))


@case(FAMILY)
async def clock_steps(s: Scene) -> None:
    """The venue's clock steps five seconds on (-1021): the client looks at it again; sent at most once, told truly."""
    await s.inject("clock_step", ms=5000)
    answer = await _resting(s)
    if not answer.ok and answer.kind != "refused":
        raise Failed(f"place: {answer}, expected done or refused")
    await s.holds(lambda: s.at_most(1), AGAIN_S, "the order was sent twice")
    await s.new_orders(1 if answer.ok else 0)
    if answer.ok:
        await s.ok("cancel_all", symbol=BTC)
    await s.agrees(NOTICE_S)


@case(FAMILY)
async def timestamp_outside_the_window(s: Scene) -> None:
    """One -1021: the order is certainly not placed, so it may be sent once more; done is one order, refused none."""
    await s.inject("error", code=-1021, msg="Timestamp for this request is outside of the recvWindow.")
    answer = await _resting(s)
    if not answer.ok and answer.kind != "refused":
        raise Failed(f"place: {answer}, expected done or refused")
    await _failed_or_tried_again(s, answer)
    if answer.ok:
        await s.ok("cancel_all", symbol=BTC)


@case(FAMILY)
async def cancel_answer_lost(s: Scene) -> None:
    """The cancel is executed, its answer is lost: the client learns that the order is gone."""
    price, quantity = await s.far("BUY")
    client_id = await s.place("BUY", quantity, price)
    await s.inject("answer_lost")
    await s.ask("cancel", symbol=BTC, client_id=client_id)
    if (await s.order_agrees(client_id))["status"] != "CANCELED":
        raise Failed("the order is not cancelled")
    await s.agrees()


@case(FAMILY)
async def cancel_never_answered_and_not_done(s: Scene) -> None:
    """The cancel is lost on its way: the order still works, and the client's view ends where the venue's is."""
    price, quantity = await s.far("BUY")
    client_id = await s.place("BUY", quantity, price)
    await s.inject("request_lost")
    await s.ask("cancel", symbol=BTC, client_id=client_id)
    await s.order_agrees(client_id)
    await s.clear()
    await s.ask("cancel_all", symbol=BTC)
    await s.agrees()


@case(FAMILY)
async def cancel_refused_though_working(s: Scene) -> None:
    """-2011 on a cancel while the order works is no proof that it is gone."""
    price, quantity = await s.far("BUY")
    client_id = await s.place("BUY", quantity, price)
    await s.inject("error", code=-2011, msg="Unknown order sent.")
    await s.ask("cancel", symbol=BTC, client_id=client_id)
    found = await s.order_agrees(client_id)
    await s.clear()
    if found["status"] == "NEW":
        await s.ok("cancel", symbol=BTC, client_id=client_id)
    await s.agrees()


@case(FAMILY)
async def order_socket_cut_between_orders(s: Scene) -> None:
    """The WebSocket API connection is cut: the next order goes through, once, by whatever door."""
    await s.inject("socket_cut", route="wsapi")

    async def placed() -> bool:
        return (await _resting(s)).ok

    await s.until(placed, SETTLE_S, "an order goes through after the cut")
    await s.new_orders(1)
    await s.ok("cancel_all", symbol=BTC)
    await s.agrees()


@case(FAMILY)
async def filled_behind_a_lost_cancel(s: Scene) -> None:
    """An order is part filled, and its cancel's answer lost: what was filled is held, what was not is gone."""
    quantity = await s.small()
    client_id, price = await s.inside(quantity * 60)
    await s.hit(client_id, price, quantity)
    await s.inject("answer_lost")
    await s.ask("cancel", symbol=BTC, client_id=client_id)
    found = await s.order_agrees(client_id)
    if await s.position_seen() != Decimal(found["executedQty"]):
        raise Failed("the position is not what was filled")
    await s.agrees()
