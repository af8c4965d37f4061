"""Depth streams: diffs of every speed, and partial books.

Problem: update ids come from one space of all symbols, so a client can join events only by `pu`; a diff must name
every level touched since the stream's previous event, with its size of now.
What must stay true: `pu` of an event is the previous event's `u`; sizes are absolute and 0 removes; a partial book has
the same keys and only its stream name tells it apart.
"""

from __future__ import annotations

from aegis.exchange.instrument import DepthFeed, Market
from aegis.exchange.matching import BUY, SELL
from aegis.exchange.symbols import Spec
from aegis.exchange.timetable import Timed

LEVELS = (5, 10, 20)
SPEEDS = {"": 250, "0ms": 0, "100ms": 100, "250ms": 250, "500ms": 500}
RPI_MS = 500


def levels_text(spec: Spec, rows: list[tuple[int, int]]) -> str:
    """`["price","size"],…` of levels."""
    return ",".join(f'["{spec.px(px)}","{spec.qty(qty)}"]' for px, qty in rows)


def timed(m: Market, kind: str) -> Timed | None:
    """The maker of `depth`, `depth<N>` and `rpiDepth` with a speed; None for what is none of them."""
    head, _, speed = kind.partition("@")
    if speed not in SPEEDS:
        return None
    every, count = SPEEDS[speed], 0
    if head == "rpiDepth":
        every = RPI_MS
    elif head != "depth":
        if head[5:] not in map(str, LEVELS):
            return None
        count = int(head[5:])
    feed = m.feeds[kind] = DepthFeed(m.last_u)
    return Timed(every, lambda now_ms: flush(m, feed, count, now_ms), lambda: m.feeds.pop(kind))


def flush(m: Market, feed: DepthFeed, count: int, now_ms: int) -> list[str]:
    """The event since the last one; none when nothing was touched. `count` levels a side, 0 for the touched ones."""
    if not feed.pending:
        return []
    spec, book = m.spec, m.book
    if count:
        bids, asks = book.top(BUY, count), book.top(SELL, count)
    else:
        touched = sorted(feed.pending)
        bids = [(px, book.level(BUY, px)) for side, px in touched if side == BUY]
        asks = [(px, book.level(SELL, px)) for side, px in touched if side == SELL]
    text = (
        f'{{"e":"depthUpdate","E":{now_ms},"T":{now_ms},"s":"{spec.name}","ps":"{spec.pair}","U":{feed.first_u},'
        f'"u":{m.last_u},"pu":{feed.prev_u},"b":[{levels_text(spec, bids)}],"a":[{levels_text(spec, asks)}],"st":1}}'
    )
    feed.prev_u, feed.first_u = m.last_u, 0
    feed.pending.clear()
    return [text]
