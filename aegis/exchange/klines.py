"""Candle streams: kline and continuousKline of every interval.

Problem: clients build bars from these frames alone. A candle that is never told closed, or told closed twice, or whose
closing frame carries a later trade, breaks them without a sign.
What must stay true: frames of one stream never go back in time; each candle that was shown open is shown closed exactly
once; blanks stand after the inner commas, as on the wire since 2026.
"""

from __future__ import annotations

from aegis.exchange.candles import INTERVALS, Chart, next_open
from aegis.exchange.instrument import Candle, Market
from aegis.exchange.symbols import dec
from aegis.exchange.timetable import Timed

EVERY_MS = 250
CONTRACTS = {"perpetual": "PERPETUAL", "current_quarter": "CURRENT_QUARTER", "next_quarter": "NEXT_QUARTER"}


class Candles:
    """One kline stream of a market; `contract` is its type on a continuous stream, "" on an ordinary one."""

    def __init__(self, m: Market, interval: str, contract: str = "") -> None:
        self.m, self.interval, self.contract = m, interval, contract
        self.shown = (0, 0)  # open time and trade count of the candle last shown open
        self.closed_ms = 0  # open time of the candle last shown closed

    def render(self, now_ms: int) -> list[str]:
        """The close of a candle that is over, then the running one if it changed."""
        rows = Chart(self.m).query(self.interval, None, now_ms, 2)
        out = []
        for c in rows:
            over = now_ms >= next_open(self.interval, c.open_ms)
            if over and c.open_ms == self.shown[0] != self.closed_ms:
                self.closed_ms = c.open_ms
                out.append(self.text(c, now_ms, True))
            elif not over and (c.open_ms, c.n) != self.shown:
                self.shown = (c.open_ms, c.n)
                out.append(self.text(c, now_ms, False))
        return out

    def text(self, c: Candle, now_ms: int, over: bool) -> str:
        """One frame; its ids are -1 when nothing traded, and counted back from the last where the past kept none."""
        s, e = self.m.spec, self.m.spec.px_exp + self.m.spec.qty_exp
        last = c.last or -1
        first = c.first or (last - c.n + 1 if c.last else -1)
        outer = f'"e":"kline","E":{now_ms},"s":"{s.name}"'
        symbol = f' "s":"{s.name}",'
        if self.contract:
            outer = f'"e":"continuous_kline","E":{now_ms},"ps":"{s.pair}","ct":"{self.contract}"'
            symbol = ""
        return (
            f'{{{outer},"k":{{"t":{c.open_ms}, "T":{next_open(self.interval, c.open_ms) - 1},{symbol} '
            f'"i":"{self.interval}", "f":{first}, "L":{last}, "o":"{s.px(c.o)}", "c":"{s.px(c.c)}", '
            f'"h":"{s.px(c.h)}", "l":"{s.px(c.l)}", "v":"{s.qty(c.v)}", "n":{c.n}, "x":{"true" if over else "false"}, '
            f'"q":"{dec(c.quote, e)}", "V":"{s.qty(c.taker_v)}", "Q":"{dec(c.taker_quote, e)}", "B":"0"}}}}'
        )


def timed(m: Market, kind: str, contract: str = "") -> Timed | None:
    """The maker of `kline_<interval>`, or of `continuousKline_<interval>` where a contract type is given."""
    head, _, interval = kind.partition("_")
    if head != ("continuousKline" if contract else "kline") or interval not in INTERVALS:
        return None
    return Timed(EVERY_MS, Candles(m, interval, contract).render)
