"""Cases: faults of streams and connections. Silence is not health, and what was missed is made up for."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from aegis.exchange.score.case import case
from aegis.exchange.score.scene import BTC, NOTICE_S, Scene
from aegis.exchange.score.speech import Failed

FAMILY = "streams"
BLIND_S = 20.0  # within which a client must stop trusting what has gone silent
HAND = "0.010"
ALL_BTC = "btcusdt@*"


async def _hand_trade(s: Scene) -> None:
    await s.world.control("position", {"symbol": BTC, "qty": HAND})


async def _noticed(s: Scene) -> None:
    if await s.position_seen() != Decimal(HAND):
        raise Failed("the venue's position is another")
    await s.agrees(NOTICE_S)


async def _distrusted(s: Scene) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + BLIND_S * s.patience
    while (await s.ok("top", symbol=BTC)).body.get("trusted") is True:
        if loop.time() > end:
            raise Failed(f"still trusted {BLIND_S:g} s after the last frame")
        await asyncio.sleep(0.2)


async def _survives(s: Scene) -> None:
    """The best prices are the venue's again, and an order goes through."""
    await s.top_agrees()
    await s.trusts("market", "account")
    await s.still_trades()


@case(FAMILY)
async def market_sockets_closed(s: Scene) -> None:
    """All market sockets are closed: the client connects again and its best prices are the venue's."""
    for route in ("public", "market", "any"):
        await s.inject("day_cut", route=route)
    await _survives(s)


@case(FAMILY)
async def market_sockets_cut_in_a_frame(s: Scene) -> None:
    """Market sockets break 100 bytes on, within a frame, without a close: as if closed."""
    for route in ("public", "market", "any"):
        await s.inject("socket_cut", route=route, after_bytes=100)
    await _survives(s)


@case(FAMILY)
async def half_a_frame_and_silence(s: Scene) -> None:
    """Half of a frame arrives and nothing after it, the socket stays open: not trusted, or replaced, in time."""
    for route in ("public", "market", "any"):
        await s.inject("partial_write", route=route)
    await s.top_agrees(limit_s=NOTICE_S * 2)


@case(FAMILY)
async def server_shutdown_is_announced(s: Scene) -> None:
    """serverShutdown, then every connection is closed: the client is back, and no order is sent twice."""
    price, quantity = await s.far("BUY")
    client_id = await s.place("BUY", quantity, price)
    await s.inject("server_shutdown")
    await s.sent_once()
    await s.order_agrees(client_id, limit_s=NOTICE_S)
    await s.top_agrees()
    await s.ok("cancel", symbol=BTC, client_id=client_id)
    await s.agrees(NOTICE_S)


@case(FAMILY)
async def hole_in_the_depth_stream(s: Scene) -> None:
    """Depth events are lost (pu): the book is fetched anew, its best prices are the venue's."""
    await s.inject("pu_hole", symbol=BTC, count=3)
    await s.struck()
    await _survives(s)


@case(FAMILY)
async def snapshot_older_than_the_stream(s: Scene) -> None:
    """After a hole the snapshot is older than the stream: asked again until it joins, never joined wrongly."""
    await s.inject("snapshot_old", symbol=BTC, count=2)
    await asyncio.sleep(1)
    await s.inject("pu_hole", symbol=BTC, count=2)
    await s.struck()
    await _survives(s)


@case(FAMILY)
async def market_frames_doubled(s: Scene) -> None:
    """Half of all market frames come twice: the best prices stay the venue's."""
    await s.inject("frame_repeat", stream=ALL_BTC, count=0, percent=50)
    await s.struck()
    await asyncio.sleep(2)
    await s.top_agrees()
    await s.clear()
    await _survives(s)


@case(FAMILY)
async def market_frames_swapped(s: Scene) -> None:
    """Frames overtake each other for a while: afterwards the best prices are the venue's."""
    await s.inject("frame_reorder", stream=ALL_BTC, count=20, percent=30)
    await s.struck()
    await asyncio.sleep(2)
    await s.clear()
    await _survives(s)


@case(FAMILY)
async def market_frames_lost(s: Scene) -> None:
    """One frame in five is lost for a while: afterwards the best prices are the venue's."""
    await s.inject("frame_drop", stream=ALL_BTC, count=30, percent=20)
    await s.struck()
    await asyncio.sleep(2)
    await s.clear()
    await _survives(s)


@case(FAMILY)
async def one_symbol_goes_silent(s: Scene) -> None:
    """No frame of one symbol comes any more while the others go on: its prices are not trusted, and are again after."""
    await s.top_agrees()
    await s.inject("frame_drop", stream=ALL_BTC, count=0)
    await s.struck()
    await _distrusted(s)
    await s.clear()
    await s.top_agrees(limit_s=NOTICE_S * 2)


@case(FAMILY)
async def silent_after_its_acknowledgement(s: Scene) -> None:
    """The sockets are closed, the streams acknowledged anew and never served: an acknowledgement is no trust."""
    await s.inject("frame_drop", stream=ALL_BTC, count=0)
    for route in ("public", "market", "any"):
        await s.inject("day_cut", route=route)
    await s.struck()
    await _distrusted(s)
    await s.holds(lambda: _not_trusted(s), 5.0, "trusted again without a frame")
    await s.clear()
    await s.top_agrees(limit_s=NOTICE_S * 2)


async def _not_trusted(s: Scene) -> bool:
    return (await s.ok("top", symbol=BTC)).body.get("trusted") is not True


@case(FAMILY)
async def private_socket_closed(s: Scene) -> None:
    """The user socket is closed and a trade happens meanwhile: it is known afterwards."""
    await s.inject("day_cut", route="private")
    await _hand_trade(s)
    await _noticed(s)


@case(FAMILY)
async def private_socket_half_open(s: Scene) -> None:
    """The user socket is dead without a FIN: a trade meanwhile is known in time all the same."""
    await s.inject("half_open", route="private")
    await _hand_trade(s)
    await _noticed(s)


@case(FAMILY)
async def every_socket_cut_while_an_order_works(s: Scene) -> None:
    """All sockets are cut with an order working: it is neither lost nor sent again."""
    price, quantity = await s.far("BUY")
    client_id = await s.place("BUY", quantity, price)
    await s.inject("socket_cut")
    await s.sent_once()
    await s.order_agrees(client_id, limit_s=NOTICE_S)
    await s.trusts("market", "account")
    await s.ok("cancel", symbol=BTC, client_id=client_id)
    await s.agrees()


@case(FAMILY)
async def listen_key_expires_with_notice(s: Scene) -> None:
    """listenKeyExpired, its time as text: a new key is fetched, and a trade after it is known."""
    await s.inject("listen_key_expired")
    await s.trusts("account")
    await _hand_trade(s)
    await _noticed(s)


@case(FAMILY)
async def listen_key_expiry_told_three_times(s: Scene) -> None:
    """The notice comes three times in a row: one renewal is enough, and a trade after it is known."""
    await s.inject("listen_key_expired", times=3, text_time=False)
    await s.trusts("account")
    await _hand_trade(s)
    await _noticed(s)


@case(FAMILY)
async def listen_key_gone_without_notice(s: Scene) -> None:
    """The key dies in silence, the socket stays open: a trade after it is known in time all the same."""
    await s.inject("listen_key_gone")
    await _hand_trade(s)
    await _noticed(s)


@case(FAMILY)
async def user_stream_silent(s: Scene) -> None:
    """The user stream stays open and says nothing: another hand's trade is known in time."""
    await s.inject("user_silent")
    await _hand_trade(s)
    await _noticed(s)


@case(FAMILY)
async def own_fill_on_a_silent_user_stream(s: Scene) -> None:
    """The user stream says nothing: the client's own market order is known as filled."""
    await s.inject("user_silent")
    client_id = await s.place("BUY", await s.small())
    await s.order_agrees(client_id, limit_s=NOTICE_S)
    await s.position_seen()
    await s.agrees(NOTICE_S)


@case(FAMILY)
async def user_events_two_minutes_late(s: Scene) -> None:
    """User events come two minutes late: an own fill is known within half a minute all the same."""
    await s.inject("user_late", ms=120_000)
    client_id = await s.place("BUY", await s.small())
    await s.order_agrees(client_id, limit_s=NOTICE_S)
    await s.position_seen()
    await s.agrees(NOTICE_S)


@case(FAMILY)
async def user_events_late_then_all_at_once(s: Scene) -> None:
    """User events come eight seconds late, after the client may have asked: nothing is booked twice."""
    await s.inject("user_late", ms=8000)
    quantity = await s.small()
    await s.place("BUY", quantity)
    await s.place("BUY", quantity)
    await asyncio.sleep(10)
    await s.agrees(NOTICE_S)
    if await s.position_seen() != quantity * 2:
        raise Failed("the venue's position is another")


@case(FAMILY)
async def fill_told_before_its_order(s: Scene) -> None:
    """The fill is told before the order's NEW: the order ends filled, not working."""
    await s.inject("new_after_fill")
    client_id = await s.place("BUY", await s.small())
    if (await s.order_agrees(client_id))["status"] != "FILLED":
        raise Failed("the venue's order is not filled")
    await s.agrees()


@case(FAMILY)
async def fill_told_twice(s: Scene) -> None:
    """A fill is told twice with one trade id: booked once."""
    await s.inject("fill_repeat")
    await s.bought()
    await s.agrees()


@case(FAMILY)
async def old_fill_told_again(s: Scene) -> None:
    """An old fill comes again with a new time, among newer orders: booked once."""
    quantity = await s.bought()
    await s.place("SELL", quantity, reduce_only=True)
    await s.agrees()
    await s.inject("fill_replay")
    client_id = await s.place("BUY", quantity)
    await s.order_agrees(client_id)
    await s.agrees()


@case(FAMILY)
async def user_events_swapped(s: Scene) -> None:
    """User events overtake each other: orders, position and balance end as the venue's."""
    await s.inject("frame_reorder", stream="user", count=4)
    quantity = await s.small()
    ids = [await s.place("BUY", quantity) for _ in range(3)]
    await s.world.heal()
    for client_id in ids:
        await s.order_agrees(client_id, limit_s=NOTICE_S)
    await s.agrees(NOTICE_S)


@case(FAMILY)
async def user_events_doubled(s: Scene) -> None:
    """Every user event comes twice: everything is booked once."""
    await s.inject("frame_repeat", stream="user", count=0)
    quantity = await s.bought()
    await s.place("SELL", quantity * 2)
    await s.agrees()


@case(FAMILY)
async def resting_order_filled_in_silence(s: Scene) -> None:
    """The user stream says nothing while another account fills the client's resting order: fill and position known."""
    quantity = await s.small()
    client_id, price = await s.inside(quantity)
    await s.inject("user_silent")
    await s.hit(client_id, price, quantity)
    await s.order_agrees(client_id, limit_s=NOTICE_S)
    await s.agrees(NOTICE_S)


@case(FAMILY)
async def resting_order_filled_while_reconnecting(s: Scene) -> None:
    """The user socket is cut, and the client's order is filled before it is back: no fill is lost, none doubled."""
    quantity = await s.small()
    client_id, price = await s.inside(quantity * 2)
    await s.hit(client_id, price, quantity)
    await s.inject("socket_cut", route="private")
    await s.hit(client_id, price, quantity * 2)
    await s.order_agrees(client_id, limit_s=NOTICE_S)
    await s.agrees(NOTICE_S)


@case(FAMILY, last=True)
async def venue_goes_silent(s: Scene) -> None:
    """Nothing is answered and nothing is closed: best prices are not trusted any more, and trusted again after."""
    await s.top_agrees()
    s.world.freeze()
    try:
        await _distrusted(s)
    finally:
        s.world.thaw()
    await s.top_agrees(limit_s=NOTICE_S * 2)
    await s.trusts("market", "account", limit_s=NOTICE_S * 2)


@case(FAMILY, last=True)
async def no_entry_on_a_silent_market(s: Scene) -> None:
    """No market frame for longer than may be: a new order is refused by the client itself."""
    await s.top_agrees()
    price, quantity = await s.far("BUY")
    await s.inject("frame_drop", stream="*@*", count=0)
    await s.struck()
    await asyncio.sleep(BLIND_S)
    answer = await s.ask(
        "place", symbol=BTC, side="BUY", type="LIMIT", time_in_force="GTC", price=price, quantity=quantity
    )
    if answer.kind != "refused":
        raise Failed(f"place: {answer}, expected refused")
    await s.new_orders(0)


@case(FAMILY, venue={"lifetime-s": 6})
async def day_cut(s: Scene) -> None:
    """Every socket is closed after its allowed life (here 6 s): trust returns each time, no order is lost."""
    price, quantity = await s.far("BUY")
    client_id = await s.place("BUY", quantity, price)
    await asyncio.sleep(13)
    await s.trusts("market", "account")
    await s.top_agrees()
    await s.sent_once()
    await s.order_agrees(client_id, limit_s=NOTICE_S)


@case(FAMILY, venue={"listen-key-s": 8})
async def listen_key_is_kept_alive(s: Scene) -> None:
    """A listen key that lives 8 s: kept alive or renewed, so that a trade after 20 s is known."""
    await asyncio.sleep(20)
    await _hand_trade(s)
    await _noticed(s)
