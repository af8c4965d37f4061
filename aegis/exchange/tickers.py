"""Statistics by the clock: marks, 24 h tickers, their all-market arrays, asset indices and trading sessions.

Problem: a 24 h window over every listed symbol each second is a million additions; so a day is kept per symbol and
moved on by the minutes that entered and left. The window starts on a whole minute, as on the wire: `O` is the minute
that holds the moment 24 h before `C`.
What must stay true: the numbers are those of the candles in the window, to the last digit; an array names only
symbols that traded since its last frame (the mark array: every symbol).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from aegis.exchange.instrument import MINUTE_MS, Candle, Market
from aegis.exchange.matching import BUY, SELL
from aegis.exchange.past import before_opening, merged
from aegis.exchange.symbols import E8, Spec, dec
from aegis.exchange.timetable import Timed
from aegis.exchange.trading_hours import us_session

DAY_MS = 86_400_000
QUOTE_PLACES = 2  # of a ticker's quote volume
ARRAY_MS, SINGLE_MS, BOOKS_MS = 1000, 2000, 5000


def nearest(m: int, over: int) -> int:
    """`m / over` to the nearest whole number, halves away from zero; `over` > 0."""
    return (2 * abs(m) + over) // (2 * over) * (-1 if m < 0 else 1)


def quote_volume(s: Spec, quote: int) -> str:
    """A sum of price times quantity as tickers write it: two places, the nearest."""
    return dec(nearest(quote * 10**QUOTE_PLACES, int(10 ** (s.px_exp + s.qty_exp))), QUOTE_PLACES)


class Day:
    """The last 24 h of one symbol, from its minutes and what its past has of them."""

    def __init__(self, m: Market) -> None:
        self.m = m
        self.minutes: deque[Candle] = deque()  # whole minutes inside the window, without the running one
        self.v = self.quote = self.n = self.high = self.low = 0
        self.past: tuple[int, Candle | None] = (0, None)  # (start of the window, what lies before the opening)

    def move(self, now_ms: int) -> tuple[int, Candle] | None:
        """(start of the window, its sum as one candle); None when nothing traded in it."""
        start = (now_ms - DAY_MS) // MINUTE_MS * MINUTE_MS
        running = now_ms // MINUTE_MS * MINUTE_MS
        moved = self._enter(running, start)
        while self.minutes and self.minutes[0].open_ms < start:
            gone = self.minutes.popleft()
            self.v, self.quote, self.n, moved = self.v - gone.v, self.quote - gone.quote, self.n - gone.n, True
        if moved and self.minutes:
            self.high, self.low = max(c.h for c in self.minutes), min(c.l for c in self.minutes)
        parts = [c] if (c := self._before(start)) is not None else []
        if self.minutes:
            first, end = self.minutes[0], self.minutes[-1]
            both = self.high, self.low
            parts.append(Candle(start, first.first, end.last, first.o, *both, end.c, self.v, self.n, self.quote))
        if self.m.candles and self.m.candles[-1].open_ms >= max(running, start):
            parts.append(self.m.candles[-1])
        if not parts:
            return None
        day = merged(parts)
        day.first = day.first or self.m.next_trade - day.n
        day.last = day.last or self.m.next_trade - 1
        return start, day

    def _before(self, start: int) -> Candle | None:
        if self.past[0] != start:
            past = before_opening(self.m) if start <= self.m.opened_ms else None
            self.past = (start, past.since(start) if past else None)
        return self.past[1]

    def _enter(self, running: int, start: int) -> bool:
        """Take the minutes that ended since the last call; were there any?"""
        known = self.minutes[-1].open_ms if self.minutes else start - 1
        fresh = []
        for c in reversed(self.m.candles):
            if c.open_ms <= known:
                break
            if start <= c.open_ms < running:
                fresh.append(c)
        for c in reversed(fresh):
            self.minutes.append(c)
            self.v, self.quote, self.n = self.v + c.v, self.quote + c.quote, self.n + c.n
        return bool(fresh)


class Tickers:
    """Makers of everything in this module, for a set of markets."""

    def __init__(self, markets: dict[str, Market]) -> None:
        self.markets = markets
        self.days: dict[str, Day] = {}

    def find(self, name: str, m: Market | None, kind: str) -> Timed | None:
        """The maker of a stream; `m` and `kind` are the parts of a single symbol's name, else None and ""."""
        if m is not None:
            return self._single(m, kind)
        arrays: dict[str, tuple[int, Callable[[Market, int], str]]] = {
            "!miniTicker@arr": (ARRAY_MS, self.mini),
            "!ticker@arr": (ARRAY_MS, self.ticker),
            "!markPrice@arr": (3000, self.mark),
            "!markPrice@arr@1s": (1000, self.mark),
        }
        if name in arrays:
            every, one = arrays[name]
            return Timed(every, self._array(one, one != self.mark))
        if name == "!bookTicker":
            return Timed(BOOKS_MS, self._books())
        if name == "!assetIndex@arr":
            return Timed(ARRAY_MS, lambda now_ms: [f"[{','.join(self.asset(a, now_ms) for a in self.assets())}]"])
        if name.endswith("@assetIndex") and name.partition("@")[0].upper() in self.assets():
            asset = name.partition("@")[0].upper()
            return Timed(ARRAY_MS, lambda now_ms: [self.asset(asset, now_ms)])
        return Timed(ARRAY_MS, lambda now_ms: [session(now_ms)]) if name == "tradingSession" else None

    def _single(self, m: Market, kind: str) -> Timed | None:
        makers: dict[str, tuple[int, Callable[[Market, int], str]]] = {
            "markPrice": (3000, self.mark),
            "markPrice@1s": (1000, self.mark),
            "ticker": (SINGLE_MS, self.ticker),
            "miniTicker": (SINGLE_MS, self.mini),
        }
        if kind not in makers:
            return None
        every, one = makers[kind]
        return Timed(every, lambda now_ms: [text] if (text := one(m, now_ms)) else [])

    def _array(self, one: Callable[[Market, int], str], changed_only: bool) -> Callable[[int], list[str]]:
        seen: dict[str, int] = {}

        def render(now_ms: int) -> list[str]:
            rows = []
            for name, m in self.markets.items():
                if changed_only and seen.get(name) == m.next_trade:
                    continue
                seen[name] = m.next_trade
                rows.append(one(m, now_ms))
            rows = [row for row in rows if row]
            return [f"[{','.join(rows)}]"] if rows else []

        return render

    def _books(self) -> Callable[[int], list[str]]:
        seen: dict[str, tuple[int, int, int, int]] = {}

        def render(now_ms: int) -> list[str]:
            out = []
            for name, m in self.markets.items():
                best = (*m.book.best(BUY), *m.book.best(SELL))
                if seen.get(name) != best:
                    seen[name] = best
                    out.append(book_ticker(m, best, now_ms))
            return out

        return render

    # payloads -------------------------------------------------------------------
    def mark(self, m: Market, now_ms: int) -> str:
        """markPriceUpdate at the second's boundary; the second of a settlement still tells the period that ended."""
        second = now_ms - now_ms % 1000
        due, settled = m.next_funding_ms(now_ms), m.rate_e8
        if m.settled and m.settled[-1][0] == second:
            due, settled = second, m.settled[-1][1]
        mark, index = dec(m.mark(), E8), dec(m.index(), E8)
        rate = dec(settled, E8) if m.interval_ms else ""
        return (
            f'{{"e":"markPriceUpdate","E":{second},"s":"{m.spec.name}","p":"{mark}","ap":"{mark}",'
            f'"P":"{dec(m.settle(), E8)}","i":"{index}","r":"{rate}","T":{due},"st":1}}'
        )

    def day(self, m: Market, now_ms: int) -> tuple[int, Candle] | None:
        """The last 24 h of a symbol: (start of the window, sum of its minutes)."""
        found = self.days.get(m.spec.name)
        if found is None:
            found = self.days[m.spec.name] = Day(m)
        return found.move(now_ms)

    def ticker(self, m: Market, now_ms: int) -> str:
        """24hrTicker; "" when nothing traded in the window."""
        found = self.day(m, now_ms)
        if found is None:
            return ""
        (start, c), s = found, m.spec
        change = c.c - c.o
        last = m.trades[-1].qty if m.trades else 0
        return (
            f'{{"e":"24hrTicker","E":{now_ms},"s":"{s.name}","ps":"{s.pair}","p":"{s.px(change)}",'
            f'"P":"{dec(nearest(change * 10**5, c.o), 3)}","w":"{s.px(nearest(c.quote, c.v) if c.v else c.c)}",'
            f'"c":"{s.px(c.c)}","Q":"{s.qty(last)}","o":"{s.px(c.o)}",'
            f'"h":"{s.px(c.h)}","l":"{s.px(c.l)}","v":"{s.qty(c.v)}","q":"{quote_volume(s, c.quote)}","O":{start},'
            f'"C":{now_ms},"F":{c.first},"L":{c.last},"n":{c.n},"st":1}}'
        )

    def mini(self, m: Market, now_ms: int) -> str:
        """24hrMiniTicker; "" when nothing traded in the window."""
        found = self.day(m, now_ms)
        if found is None:
            return ""
        c, s = found[1], m.spec
        return (
            f'{{"e":"24hrMiniTicker","E":{now_ms},"s":"{s.name}","ps":"{s.pair}","c":"{s.px(c.c)}","o":"{s.px(c.o)}",'
            f'"h":"{s.px(c.h)}","l":"{s.px(c.l)}","v":"{s.qty(c.v)}","q":"{quote_volume(s, c.quote)}","st":1}}'
        )

    def assets(self) -> list[str]:
        """Assets with an index against USD: bases of perpetuals quoted in USDT."""
        return [f"{m.spec.base}USD" for m in self.markets.values() if m.spec.quote == "USDT" and m.interval_ms]

    def asset(self, name: str, now_ms: int) -> str:
        """assetIndexUpdate: the index with its bid and ask buffers (5 %, auto exchange 2.5 %)."""
        index = self.markets[f"{name}T"].index()
        rates = [dec(index * ppm // 1000, E8) for ppm in (950, 1050, 975, 1025)]
        return (
            f'{{"e":"assetIndexUpdate","E":{now_ms - now_ms % 1000},"s":"{name}","i":"{dec(index, E8)}",'
            f'"b":"0.05000000","a":"0.05000000","B":"{rates[0]}","A":"{rates[1]}","q":"0.02500000",'
            f'"g":"0.02500000","Q":"{rates[2]}","G":"{rates[3]}"}}'
        )


def book_ticker(m: Market, best: tuple[int, int, int, int], now_ms: int) -> str:
    """bookTicker of a best (bid, size, ask, size)."""
    s = m.spec
    return (
        f'{{"e":"bookTicker","u":{m.last_u},"s":"{s.name}","ps":"{s.pair}","b":"{s.px(best[0])}","B":"{s.qty(best[1])}",'
        f'"a":"{s.px(best[2])}","A":"{s.qty(best[3])}","T":{now_ms},"E":{now_ms},"st":1}}'
    )


def session(now_ms: int) -> str:
    """EquityUpdate: the session of US equities now, with its bounds."""
    kind, begin_ms, end_ms = us_session(now_ms)
    return f'{{"e":"EquityUpdate","E":{now_ms},"t":{begin_ms},"T":{end_ms},"S":"{kind}"}}'
