"""Between two cases: what the last one left is ended by the client itself, and the pair proves that it can go on.

What must stay true: nothing here forgives; a pair that is not clean in time is replaced, never played on.
"""

from __future__ import annotations

import aiohttp

from aegis.errors import AegisError
from aegis.exchange.score.scene import Scene
from aegis.exchange.score.world import Truth

CLEAN_S = 3.0


async def clean(s: Scene) -> bool:
    """Whether another case may be played here: nothing open or held, no fault, and a client that trades."""
    try:
        await s.world.heal()
        await s.until(lambda: _would_trade(s), CLEAN_S, "the client would trade")
        await _end_all(s, await s.world.truth())
        await s.until(lambda: _trades(s), CLEAN_S, "the client trades")
        truth = await s.world.truth()
        return not (truth.open or truth.algos or truth.positions) and await _would_trade(s)
    except (AegisError, aiohttp.ClientError, TimeoutError):
        return False


async def _would_trade(s: Scene) -> bool:
    return (await s.health()).get("trading") is True


async def _trades(s: Scene) -> bool:
    await s.still_trades()
    return True


async def _end_all(s: Scene, truth: Truth) -> None:
    for symbol in {str(o["symbol"]) for o in truth.open}:
        await s.ok("cancel_all", symbol=symbol)
    for symbol, held in truth.positions.items():
        await s.place("SELL" if held > 0 else "BUY", abs(held), symbol=symbol, reduce_only=True)
    if truth.positions:
        await s.agrees(CLEAN_S)
