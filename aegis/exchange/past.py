"""The past of a symbol: candles of years before the venue opened, made when asked for.

Problem: a client that starts asks for 1500 candles of any interval, and an hour must be its sixty minutes. Keeping
minutes of years for hundreds of symbols needs gigabytes; making each interval on its own gives charts that disagree.
So days are walked backwards from the opening price, and a day is split into hours, an hour into quarters, a quarter
into minutes, each split summing to its parent in every field. A split depends on the seed and its place alone, so it
is made again whenever it was forgotten.
What must stay true: prices on the tick grid, volumes on the lot grid; the last trade before the opening is at the
start price; a parent is exactly the merge of its parts.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from math import isqrt

from aegis.exchange.instrument import DAY_MS, HOUR_MS, MINUTE_MS, QUARTER_MS, WATCH_MS, Candle, Market, Trade

PARTS = {DAY_MS: (WATCH_MS, 12), WATCH_MS: (HOUR_MS, 2), HOUR_MS: (QUARTER_MS, 4), QUARTER_MS: (MINUTE_MS, 15)}
KEPT_SPLITS = 4000
TRADES_BEFORE = 1000
QUOTE_PER_TRADE = 3000
DAY_QUOTE = {125: 8_000_000_000, 75: 600_000_000, 50: 60_000_000, 20: 20_000_000}  # turnover by highest leverage
DAY_MOVE_PPM = 30_000
FLOOR_TICKS = 400

_kept: OrderedDict[tuple[str, int, int], list[Candle]] = OrderedDict()


def merged(parts: Sequence[Candle]) -> Candle:
    """One candle of consecutive ones; the parts stay as they are."""
    first = parts[0]
    out = Candle(first.open_ms, first.first, first.last, first.o, first.h, first.l, first.c)
    out.v, out.n, out.quote, out.taker_v, out.taker_quote = (
        first.v, first.n, first.quote, first.taker_v, first.taker_quote,
    )  # fmt: skip
    for part in parts[1:]:
        out.merge(part)
    return out


def apportion(total: int, weights: Sequence[int]) -> list[int]:
    """`total` in whole parts by weight (> 0); the parts sum to `total`."""
    whole, left, out = sum(weights), total, []
    for w in weights:
        part = left * w // whole
        out.append(part)
        left, whole = left - part, whole - w
    return out


def spread(total: int, wishes: Sequence[int], lows: Sequence[int], highs: Sequence[int]) -> list[int] | None:
    """The wishes, moved inside their bounds until they sum to `total`; None when the bounds do not allow it."""
    gap = total - sum(wishes)
    rooms = [(high - wish if gap > 0 else wish - low) for wish, low, high in zip(wishes, lows, highs, strict=True)]
    if abs(gap) > sum(rooms):
        return None
    if not gap:
        return list(wishes)
    moves, left, whole = [], abs(gap), sum(rooms)
    for room in rooms:
        move = left * room // whole if whole else 0
        moves.append(move)
        left, whole = left - move, whole - room
    sign = 1 if gap > 0 else -1
    return [wish + sign * move for wish, move in zip(wishes, moves, strict=True)]


def split(parent: Candle, count: int, part_ms: int, rng: random.Random, tick: int, step: int) -> list[Candle]:
    """
    `count` candles whose merge is `parent`: a random bridge from open to close that touches high and low.

    A parent without a quote sum leaves it to its parts.
    """
    path = _bridge(parent, count, rng, tick)
    tops = [max(pair) for pair in pairwise(path)]
    bottoms = [min(pair) for pair in pairwise(path)]
    wick = max((parent.h - parent.l) // tick // (5 * isqrt(count)), 1)
    highs = [min(top + rng.randint(0, wick) * tick, parent.h) for top in tops]
    lows = [max(bottom - rng.randint(0, wick) * tick, parent.l) for bottom in bottoms]
    highs[tops.index(max(tops))], lows[bottoms.index(min(bottoms))] = parent.h, parent.l
    weights = [20 + rng.randint(0, 9) ** 2 for _ in range(count)]
    volumes = [v * step for v in apportion(parent.v // step, weights)]
    trades = apportion(parent.n, weights)
    wishes = [(path[i] + path[i + 1] + highs[i] + lows[i]) * v // 4 for i, v in enumerate(volumes)]
    quotes, wider = None if parent.quote else wishes, tick
    while quotes is None:
        bounds = [[p * v for p, v in zip(side, volumes, strict=True)] for side in (lows, highs)]
        quotes = spread(parent.quote, wishes, *bounds)
        if quotes is None:  # all parts together lie too low or too high: longer wicks, at last the parent's own range
            highs, lows = [min(p + wider, parent.h) for p in highs], [max(p - wider, parent.l) for p in lows]
            wider *= 2
    takers = spread(
        parent.taker_v // step,
        [v // step * rng.randint(35, 65) // 100 for v in volumes],
        [0] * count,
        [v // step for v in volumes],
    )
    assert takers is not None
    shares = [q * t * step // v if v else 0 for q, t, v in zip(quotes, takers, volumes, strict=True)]
    paid = spread(parent.taker_quote, shares, [0] * count, quotes) if parent.quote else shares
    assert paid is not None
    return [
        Candle(
            parent.open_ms + i * part_ms, 0, 0, path[i], highs[i], lows[i], path[i + 1],
            volumes[i], trades[i], quotes[i], takers[i] * step, paid[i],
        )
        for i in range(count)
    ]  # fmt: skip


def _bridge(parent: Candle, count: int, rng: random.Random, tick: int) -> list[int]:
    """count + 1 prices from open to close inside the parent's range, on the grid."""
    walk = [0]
    for _ in range(count):
        walk.append(walk[-1] + rng.randint(-1000, 1000))
    last = walk[-1]
    walk = [w - last * i // count for i, w in enumerate(walk)]
    width = max(max(walk) - min(walk), 1)
    low, span = parent.l // tick, (parent.h - parent.l) // tick
    out = []
    for i, w in enumerate(walk):
        line = parent.o // tick + (parent.c - parent.o) // tick * i // count
        at = (line - low + w * span // width) % (2 * span or 1)  # what leaves the range is turned back into it
        out.append((low + min(at, 2 * span - at)) * tick)
    out[0], out[-1] = parent.o, parent.c
    return out


class Past:
    """
    Candles of a market before it opened, and the trades just before.

    Args:
        m: its opening time, start price and first ids are the anchor, its seed decides everything else.
    """

    def __init__(self, m: Market) -> None:
        self.spec, self.seed, self.opened_ms = m.spec, m.seed, m.opened_ms
        self.day_ms = m.opened_ms // DAY_MS * DAY_MS
        self.trades = self._trades(m)
        tail = self._tail()
        self.run_ms = tail[0].open_ms // HOUR_MS * HOUR_MS  # from here on the past is kept in minutes
        missing = (tail[0].open_ms - self.run_ms) // MINUTE_MS
        self.minutes = self._before(tail[0].o, self.run_ms, MINUTE_MS, missing) + tail
        whole = (self.run_ms - self.day_ms) // HOUR_MS
        self.hours = self._before(self.minutes[0].o, self.day_ms, HOUR_MS, whole)
        self.days: list[Candle] = []
        self._next_close = (self.hours or self.minutes)[0].o

    def _before(self, close: int, open_ms: int, part_ms: int, count: int) -> list[Candle]:
        """So many candles of the opening day from `open_ms` on; the last one ends at `close`."""
        if count <= 0:
            return []
        rng = self._rng(f"day{part_ms}", self.day_ms)
        parent = replace(self._parent(open_ms, close, count * part_ms // MINUTE_MS, rng), quote=0)
        return split(parent, count, part_ms, rng, self.spec.tick, self.spec.step)

    def _rng(self, kind: str, place: int) -> random.Random:
        """Contracts of one base share their luck, so that their charts look alike."""
        return random.Random(f"{self.seed}/{self.spec.base}/{kind}/{place}")

    def _turnover(self) -> int:
        """Quote units traded on an ordinary day."""
        return DAY_QUOTE[max(k for k in DAY_QUOTE if k <= self.spec.brackets[0].leverage)]

    def _trades(self, m: Market) -> list[Trade]:
        """Trades up to the opening, oldest first; the last one at the start price."""
        rng, s = self._rng("trades", self.opened_ms), self.spec
        span_ms = min(max(TRADES_BEFORE * DAY_MS * QUOTE_PER_TRADE // self._turnover(), 30_000), 900_000)
        unit = max(QUOTE_PER_TRADE * 10 ** (s.px_exp + s.qty_exp) // s.start_px // s.step, 1)
        out, px = [], s.start_px
        for i in range(TRADES_BEFORE):
            at = self.opened_ms - 1 - span_ms * i // TRADES_BEFORE
            qty = max(unit * min(int(rng.paretovariate(1.2)), 40) // 4, 1) * s.step
            out.append(Trade(m.first_trade - 1 - i, px, qty, at, rng.random() < 0.5))
            px = max(px + rng.randint(-2, 2) * s.tick * (rng.random() < 0.3), s.tick * FLOOR_TICKS)
        return out[::-1]

    def _tail(self) -> list[Candle]:
        """Minutes of the trades just before the opening, contiguous."""
        out: list[Candle] = []
        for t in self.trades:
            minute = t.time_ms // MINUTE_MS * MINUTE_MS
            if minute < self.day_ms:
                continue
            while out and out[-1].open_ms < minute - MINUTE_MS:
                c = out[-1].c
                out.append(Candle(out[-1].open_ms + MINUTE_MS, 0, 0, c, c, c, c))
            if not out or out[-1].open_ms < minute:
                out.append(Candle(minute, 0, 0, t.px, t.px, t.px, t.px))
            out[-1].add(t.px, t.qty, t.id, not t.buyer_maker)
            out[-1].first = out[-1].first or t.id
        px = self.spec.start_px
        return out or [Candle(self.day_ms, 0, 0, px, px, px, px)]

    def _parent(self, open_ms: int, close: int, minutes: int, rng: random.Random) -> Candle:
        """A candle of so many minutes that ends at `close`."""
        s = self.spec
        reach = DAY_MOVE_PPM * max(minutes, 60) // 1440
        floor = s.tick * FLOOR_TICKS
        pull = (s.start_px - close) * 1_000_000 // s.start_px // 100  # the past stays in sight of the present
        move = (rng.randint(-reach, reach) + rng.randint(-reach, reach)) // 2 + pull
        opened = max(close * (1_000_000 + move) // 1_000_000 // s.tick * s.tick, min(floor, close))
        high = max(opened, close) + close * rng.randint(0, reach // 2) // 1_000_000 // s.tick * s.tick
        low = min(opened, close) - close * rng.randint(0, reach // 2) // 1_000_000 // s.tick * s.tick
        low = max(low, min(opened, close, floor))
        turnover = self._turnover() * minutes // 1440 * rng.randint(50, 180) // 100
        lots = max(turnover * int(10 ** (s.px_exp + s.qty_exp)) // close // s.step, minutes * 8)
        volume = lots * s.step
        quote = (opened + high + low + close) * volume // 4
        taker = lots * rng.randint(45, 55) // 100 * s.step
        trades = max(turnover // QUOTE_PER_TRADE, minutes * 60)
        return Candle(open_ms, 0, 0, opened, high, low, close, volume, trades, quote, taker, quote * taker // volume)

    def _day(self, day_ms: int) -> Candle:
        """A whole day before the opening day; the walk is made backwards as far as needed."""
        place = (self.day_ms - day_ms) // DAY_MS - 1
        while len(self.days) <= place:
            at = self.day_ms - (len(self.days) + 1) * DAY_MS
            day = self._parent(at, self._next_close, 1440, self._rng("day", at))
            self.days.append(day)
            self._next_close = day.o
        return self.days[place]

    def _parts(self, span_ms: int, at_ms: int) -> list[Candle]:
        """The parts of one unit, made or remembered."""
        key = (f"{self.seed}/{self.spec.name}/{self.opened_ms}", span_ms, at_ms)
        found = _kept.get(key)
        if found is None:
            parent = self.unit(span_ms, at_ms)
            assert parent is not None
            part_ms, count = PARTS[span_ms]
            found = split(parent, count, part_ms, self._rng(f"split{span_ms}", at_ms), self.spec.tick, self.spec.step)
            _kept[key] = found
            if len(_kept) > KEPT_SPLITS:
                _kept.popitem(last=False)
        else:
            _kept.move_to_end(key)
        return found

    def _opening_day(self, span_ms: int, at_ms: int) -> Candle | None:
        """A unit of the opening day: hours until `run_ms`, minutes from there to the opening."""
        if at_ms >= self.run_ms:
            low = (at_ms - self.run_ms) // MINUTE_MS
            found = self.minutes[low : low + span_ms // MINUTE_MS]
        elif span_ms > HOUR_MS:
            low = (at_ms - self.day_ms) // HOUR_MS
            found = self.hours[low : low + span_ms // HOUR_MS]
            rest = (at_ms + span_ms - self.run_ms) // MINUTE_MS
            found = found + self.minutes[: max(rest, 0)]
        elif span_ms == HOUR_MS:
            return self.hours[(at_ms - self.day_ms) // HOUR_MS]
        else:
            return self._part(span_ms, at_ms)
        return merged(found) if found else None

    def _part(self, span_ms: int, at_ms: int) -> Candle:
        whole = next(s for s, (part, _) in PARTS.items() if part == span_ms)
        start = at_ms // whole * whole
        return self._parts(whole, start)[(at_ms - start) // span_ms]

    def unit(self, span_ms: int, at_ms: int) -> Candle | None:
        """
        One minute, quarter, hour or day.

        Args:
            span_ms: one of the four lengths.
            at_ms: where it opens, on its own grid.

        Returns:
            A candle that must not be changed; of the opening day only what lies before the opening; None when it lies
            after the opening or before the contract was listed.
        """
        if at_ms // DAY_MS * DAY_MS < self.spec.onboard_ms // DAY_MS * DAY_MS or at_ms > self.opened_ms:
            return None
        if at_ms >= self.day_ms:
            return self._opening_day(span_ms, at_ms)
        if span_ms == DAY_MS:
            return self._day(at_ms)
        return self._part(span_ms, at_ms)

    def since(self, start_ms: int) -> Candle | None:
        """Everything from a minute on until the opening; None when that is nothing."""
        parts: list[Candle] = []
        at = start_ms
        while at <= self.opened_ms:
            span = HOUR_MS if at % HOUR_MS == 0 else MINUTE_MS
            part = self.unit(span, at)
            parts += [part] if part is not None else []
            at += span
        return merged(parts) if parts else None


def before_opening(m: Market) -> Past | None:
    """The past of a market, made at its first use; the trades just before the opening then join its trades."""
    if not m.has_past:
        return None
    if m.past is None:
        m.past = made = Past(m)
        room = min((rows.maxlen or 0) - len(rows) for rows in (m.trades, m.aggs))  # a full one would lose its newest
        for i, t in enumerate(reversed(made.trades[-room:] if room > 0 else [])):
            m.trades.appendleft(t)
            m.aggs.appendleft(Trade(m.first_agg - 1 - i, t.px, t.qty, t.time_ms, t.buyer_maker, t.id, t.id))
    assert isinstance(m.past, Past)
    return m.past


def make_next(markets: Iterable[Market]) -> Market | None:
    """Make the past of one more market, so that nobody has to wait for all at once; None when all have theirs."""
    for m in markets:
        if m.has_past and m.past is None:
            before_opening(m)
            return m
    return None
