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


async def _hand_trade(s: Scene, silent: bool = False) -> None:
    await s.world.control("position", {"symbol": BTC, "qty": HAND, "silent": silent})


async def _noticed(s: Scene) -> None:
    if await s.position_seen() != Decimal(HAND):
        raise Failed("the venue's position is another")
    await s.agrees(NOTICE_S)


@case(FAMILY)
async def market_sockets_cut(s: Scene) -> None:
    """All market sockets are cut: the client connects again and its best prices are the venue's."""
    await s.world.fault("day_cut", route="public")
    await s.world.fault("day_cut", route="market")
    await s.world.fault("day_cut", route="any")
    await s.top_agrees()
    await s.trusts("market")


@case(FAMILY)
async def private_socket_cut(s: Scene) -> None:
    """The user socket is cut and a trade happens meanwhile: it is known afterwards."""
    await s.world.fault("day_cut", route="private")
    await _hand_trade(s)
    await _noticed(s)


@case(FAMILY)
async def every_socket_cut_while_an_order_works(s: Scene) -> None:
    """All sockets are cut with an order working: it is neither lost nor sent again."""
    price, quantity = await s.far("BUY")
    client_id = await s.place("BUY", quantity, price)
    await s.world.fault("day_cut")
    await s.world.fault("socket_cut", route="wsapi")
    await s.sent_once()
    await s.order_agrees(client_id, limit_s=NOTICE_S)
    await s.trusts("market", "account")
    await s.ok("cancel", symbol=BTC, client_id=client_id)
    await s.agrees()


@case(FAMILY)
async def listen_key_expires_with_notice(s: Scene) -> None:
    """listenKeyExpired: a new key is fetched, and a trade after it is known."""
    await s.world.fault("listen_key_expired")
    await s.trusts("account")
    await _hand_trade(s)
    await _noticed(s)


@case(FAMILY)
async def listen_key_gone_without_notice(s: Scene) -> None:
    """The key dies in silence, the socket stays open: a trade after it is known in time all the same."""
    await s.world.fault("listen_key_gone")
    await _hand_trade(s)
    await _noticed(s)


@case(FAMILY)
async def user_stream_silent(s: Scene) -> None:
    """The user stream stays open and says nothing: an own fill and another hand's trade are known in time."""
    await s.world.fault("user_silent")
    await _hand_trade(s)
    await _noticed(s)


@case(FAMILY)
async def own_fill_on_a_silent_user_stream(s: Scene) -> None:
    """The user stream says nothing: the client's own market order is known as filled."""
    await s.world.fault("user_silent")
    client_id = await s.place("BUY", await s.small())
    await s.order_agrees(client_id, limit_s=NOTICE_S)
    await s.position_seen()
    await s.agrees(NOTICE_S)


@case(FAMILY)
async def resting_order_filled_in_silence(s: Scene) -> None:
    """The user stream says nothing while another account fills the client's resting order: fill and position known."""
    quantity = await s.small()
    client_id, price = await s.inside(quantity)
    await s.world.fault("user_silent")
    await s.hit(client_id, price, quantity)
    await s.order_agrees(client_id, limit_s=NOTICE_S)
    await s.agrees(NOTICE_S)


@case(FAMILY)
async def resting_order_filled_while_reconnecting(s: Scene) -> None:
    """The user socket is cut, and the client's order is filled before it is back: no fill is lost, none doubled."""
    quantity = await s.small()
    client_id, price = await s.inside(quantity * 2)
    await s.hit(client_id, price, quantity)
    await s.world.fault("day_cut", route="private")
    await s.hit(client_id, price, quantity * 2)
    await s.order_agrees(client_id, limit_s=NOTICE_S)
    await s.agrees(NOTICE_S)


@case(FAMILY, last=True)
async def venue_goes_silent(s: Scene) -> None:
    """Nothing is answered and nothing is closed: best prices are not trusted any more, and trusted again after."""
    await s.top_agrees()
    s.world.freeze()
    try:
        loop = asyncio.get_running_loop()
        end = loop.time() + BLIND_S * s.patience
        while (await s.ok("top", symbol=BTC)).body.get("trusted") is True:
            if loop.time() > end:
                raise Failed(f"still trusted {BLIND_S:g} s after the last byte")
            await asyncio.sleep(0.2)
    finally:
        s.world.thaw()
    await s.top_agrees(limit_s=NOTICE_S * 2)
    await s.trusts("market", "account", limit_s=NOTICE_S * 2)


@case(FAMILY, last=True)
async def no_entry_on_a_silent_market(s: Scene) -> None:
    """With market data silent for longer than it may be, a new order is refused by the client itself."""
    await s.top_agrees()
    s.world.freeze()
    try:
        await asyncio.sleep(BLIND_S)
        answer = await s.ask("place", symbol=BTC, side="BUY", type="LIMIT", time_in_force="IOC", price="60000.0",
                             quantity="0.01")  # fmt: skip
    finally:
        s.world.thaw()
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
