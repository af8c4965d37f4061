"""A strategy without an opinion: its intents are lines of a file, so that the score can ask the whole product to trade.

Problem: the score must judge the processes as they run, and in these only a strategy makes intents. A strategy does no
I/O (Law 3), because a replay of its inputs has to make the same decisions; this one has none to make: the file is the
decision. So it is no part of `aegis.strategy` and no example to follow.
What must stay true: each line is acted on once; lines written before this process began are somebody else's; what
passes from here to the venue passes the gate like any strategy's intent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from aegis.messages import Cancel, Intent, OrderType, OrderUpdate, Place, Side, Tif
from aegis.strategy.base import Context
from aegis.units import Num


class Mailbox:
    """
    Args:
        params: `mailbox`, file of asked lines; `answers`, file its answers are added to.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._mailbox, self._answers = Path(params["mailbox"]), Path(params["answers"])
        self._place = self._mailbox.stat().st_size

    def on_batch(self, _ctx: Context, _batch: Any) -> Sequence[Intent]:
        """The market decides nothing here."""
        return ()

    def on_order(self, _ctx: Context, _update: OrderUpdate) -> Sequence[Intent]:
        """The orders ring tells the rest."""
        return ()

    def on_timer(self, ctx: Context) -> Sequence[Intent]:
        """What was written since."""
        with self._mailbox.open("rb") as lines:
            lines.seek(self._place)
            text = lines.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._place += len(whole)
        intents: list[Intent] = []
        for line in whole.splitlines():
            asked = msgspec.json.decode(line)
            if asked["do"] == "top":
                self._tell(ctx, asked)
            else:
                intents.append(intent(asked))
        return intents

    def _tell(self, ctx: Context, asked: Mapping[str, Any]) -> None:
        """The best prices, if they may be traded on now."""
        quote = ctx.quote(asked["symbol"])
        answer: dict[str, Any] = {"tag": asked["tag"], "trusted": quote is not None}
        if quote is not None:
            answer |= {"bid": str(quote.bid), "ask": str(quote.ask)}
        with self._answers.open("ab") as out:
            out.write(msgspec.json.encode(answer) + b"\n")


def intent(asked: Mapping[str, Any]) -> Intent:
    """
    The intent of one line.

    Raises:
        KeyError, BadNumber: it is none.
    """
    if asked["do"] == "cancel":
        return Cancel(symbol=asked["symbol"], client_id=asked["client_id"])
    price = asked.get("price")
    return Place(
        symbol=asked["symbol"],
        side=Side[asked["side"]],
        qty=Num.parse(asked["quantity"]),
        price=None if price is None else Num.parse(price),
        type=OrderType[asked["type"]],
        tif=Tif[asked.get("time_in_force") or "GTC"],
        reduce_only=bool(asked.get("reduce_only", False)),
        tag=asked["tag"],
    )
