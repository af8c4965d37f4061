"""Cases: queries that fail or lag. What a client cannot read it does not invent, and it is right again afterwards."""

from __future__ import annotations

import asyncio
import contextlib

from aegis.exchange.score.case import case
from aegis.exchange.score.scene import BTC, NOTICE_S, Scene
from aegis.exchange.score.speech import Failed

FAMILY = "reads"


@case(FAMILY)
async def reads_fail_for_a_while(s: Scene) -> None:
    """Account queries fail with 503 for a while: orders go on, and the account is right again afterwards."""
    await s.inject("unavailable_503", path="GET /fapi/v", count=12)
    answer = await s.ask("place", symbol=BTC, side="BUY", type="LIMIT", time_in_force="IOC", price="60000.0",
                         quantity="0.010")  # fmt: skip
    if answer.ok:
        await s.new_orders(1)
    with contextlib.suppress(Failed):
        await s.ask("positions")
    await s.struck()
    await s.clear()
    await s.agrees(NOTICE_S)


@case(FAMILY)
async def pages_of_html_for_a_while(s: Scene) -> None:
    """Something in front of the venue answers queries with HTML and 403: lived through, and right afterwards."""
    await s.inject("html_answer", path="GET /fapi/v", count=6)
    with contextlib.suppress(Failed):
        await s.ask("positions")
    await s.struck()
    await s.clear()
    await s.agrees(NOTICE_S)
    await s.still_trades()


@case(FAMILY)
async def empty_502_for_a_while(s: Scene) -> None:
    """Queries are answered 502 without a body: the client lives on and is right afterwards."""
    await s.inject("empty_5xx", path="GET /fapi/v", count=6)
    with contextlib.suppress(Failed):
        await s.ask("positions")
    await s.struck()
    await s.clear()
    await s.agrees(NOTICE_S)
    await s.still_trades()


@case(FAMILY)
async def account_reads_lag_behind(s: Scene) -> None:
    """For six seconds reads show the account as it was before a fill: the fill is not unbooked, nothing is invented."""
    quantity = await s.small()
    await s.inject("reads_stale", ms=6000)
    client_id = await s.place("BUY", quantity)
    await asyncio.sleep(7)
    await s.order_agrees(client_id)
    if await s.position_seen() != quantity:
        raise Failed("the venue's position is another")
    await s.agrees(NOTICE_S)
    await s.place("SELL", quantity, reduce_only=True)
    await s.agrees(NOTICE_S)
