"""What the market sees of each symbol: trades, candles, depth feeds and the texts of the streams.

Problem: with hundreds of symbols most frames have no reader, and update ids are drawn from one space of all symbols,
so that a client may not expect them to be consecutive. A depth feed collects touched levels per (symbol, interval)
from its first reader on.
What must stay true: `pu` of a feed's event is its previous event's `u`; sizes are absolute; nothing is built for
nobody.
"""

from __future__ import annotations

from aegis.exchange.instrument import CANDLE_MS, MINUTE_MS, Candle, DepthFeed, Market, Trade, gather, next_funding_ms
from aegis.exchange.matching import BUY, SELL
from aegis.exchange.streams import Hub
from aegis.exchange.symbols import E8, Spec, dec, trim


def levels_text(spec: Spec, rows: list[tuple[int, int]]) -> str:
    """`["price","size"],…` of levels."""
    return ",".join(f'["{spec.px(px)}","{spec.qty(qty)}"]' for px, qty in rows)


class MarketData:
    """
    Turns book changes and trades into stream frames.

    Args:
        base_id: start of the update id space; grows over restarts.
    """

    def __init__(self, markets: dict[str, Market], hub: Hub, base_id: int) -> None:
        self.markets, self.hub, self.u = markets, hub, base_id
        self.by_lower = {m.lower: m for m in markets.values()}
        self.last_flush: dict[str, int] = {}
        hub.on_subscribe = self.subscribed

    def subscribed(self, name: str) -> None:
        """Start the depth feed of a stream name at its first reader."""
        lower, _, kind = name.partition("@")
        m = self.by_lower.get(lower)
        if m is not None and kind.startswith("depth") and kind not in m.feeds:
            m.feeds[kind] = DepthFeed(m.last_u)

    def changed(self, m: Market, now_ms: int) -> None:
        """Take the book's touched levels into the feeds and publish a new best."""
        book = m.book
        if not book.touched:
            return
        first = self.u + 1
        self.u += len(book.touched)
        m.last_u = self.u
        for feed in m.feeds.values():
            feed.first_u = feed.first_u or first
            feed.pending |= book.touched
        book.touched = set()
        best = (*book.best(BUY), *book.best(SELL))
        if best == m.best:
            return
        m.best = best
        name = f"{m.lower}@bookTicker"
        if self.hub.wants(name):
            s = m.spec
            self.hub.publish(
                name,
                (
                    f'{{"e":"bookTicker","u":{m.last_u},"s":"{s.name}","ps":"{s.name}","b":"{s.px(best[0])}",'
                    f'"B":"{s.qty(best[1])}",'
                    f'"a":"{s.px(best[2])}","A":"{s.qty(best[3])}","T":{now_ms},"E":{now_ms},"st":1}}'
                ),
            )

    def traded(self, m: Market, fills: list[tuple[int, int, int]], side: int, now_ms: int) -> None:
        """Publish executions of one taker: rows of (trade id, price, quantity)."""
        spec, maker = m.spec, side != BUY
        flag = "true" if maker else "false"
        name = f"{m.lower}@trade"
        wanted = self.hub.wants(name)
        minute = now_ms // MINUTE_MS * MINUTE_MS
        for tid, px, qty in fills:
            m.trades.append(Trade(tid, px, qty, now_ms, maker))
            if not m.candles or m.candles[-1].open_ms < minute:
                m.candles.append(Candle(minute, tid, tid, px, px, px, px))
            m.candles[-1].add(px, qty, tid, not maker)
            if wanted:
                self.hub.publish(
                    name,
                    (
                        f'{{"e":"trade","E":{now_ms},"T":{now_ms},"s":"{spec.name}","t":{tid},"p":"{spec.px(px)}",'
                        f'"q":"{spec.qty(qty)}","X":"MARKET","m":{flag},"st":1}}'
                    ),
                )
        m.last_px, m.news = fills[-1][1], True
        self._aggregate(m, fills, maker, now_ms)

    def _aggregate(self, m: Market, fills: list[tuple[int, int, int]], maker: bool, now_ms: int) -> None:
        """One aggTrade per run of equal prices."""
        spec = m.spec
        runs: list[list[int]] = []
        for tid, px, qty in fills:
            if runs and runs[-1][1] == px:
                runs[-1][2] += qty
                runs[-1][3] = tid
            else:
                runs.append([tid, px, qty, tid])
        name = f"{m.lower}@aggTrade"
        wanted = self.hub.wants(name)
        for first, px, qty, last in runs:
            agg = Trade(m.next_agg, px, qty, now_ms, maker, first, last)
            m.next_agg += 1
            m.aggs.append(agg)
            if wanted:
                self.hub.publish(
                    name,
                    (
                        f'{{"e":"aggTrade","E":{now_ms},"a":{agg.id},"s":"{spec.name}","p":"{spec.px(px)}",'
                        f'"q":"{spec.qty(qty)}",'
                        f'"nq":"{spec.qty(qty)}","f":{first},"l":{last},"T":{now_ms},'
                        f'"m":{"true" if maker else "false"},"st":1}}'
                    ),
                )

    def due(self, name: str, every_ms: int, now_ms: int) -> bool:
        """Has `every_ms` passed since the last time this returned true?"""
        if now_ms - self.last_flush.get(name, 0) < every_ms:
            return False
        self.last_flush[name] = now_ms - now_ms % every_ms if every_ms else now_ms
        return True

    def tick(self, now_ms: int) -> None:
        """Everything that goes out by the clock."""
        due = {ms for ms in (0, 100, 250, 500) if self.due(f"depth{ms}", ms, now_ms)}
        candles, marks1, marks3 = (
            self.due("kline", 250, now_ms),
            self.due("mark1", 1000, now_ms),
            self.due("mark3", 3000, now_ms),
        )
        tickers = self.due("ticker", 1000, now_ms)
        for m in self.markets.values():
            for kind, feed in m.feeds.items():
                self._flush(m, kind, feed, due, now_ms)
            if marks1:
                self._mark(m, marks3, now_ms)
            if candles and m.candles:
                self._klines(m, now_ms)
            if tickers:
                self._ticker(m, now_ms)
            if candles:
                m.news = False

    def _flush(self, m: Market, kind: str, feed: DepthFeed, due: set[int], now_ms: int) -> None:
        head, _, speed = kind.partition("@")
        every = int(speed[:-2]) if speed.endswith("ms") and speed[:-2].isdigit() else 250
        if every not in due or not feed.pending:
            return
        count = int(head[5:]) if head[5:].isdigit() else 0
        name, spec, book = f"{m.lower}@{kind}", m.spec, m.book
        if self.hub.wants(name):
            if count:
                bids, asks = book.top(BUY, count), book.top(SELL, count)
            else:
                bids = [(px, book.level(BUY, px)) for side, px in sorted(feed.pending) if side == BUY]
                asks = [(px, book.level(SELL, px)) for side, px in sorted(feed.pending) if side == SELL]
            self.hub.publish(
                name,
                (
                    f'{{"e":"depthUpdate","E":{now_ms},"T":{now_ms},"s":"{spec.name}","ps":"{spec.name}",'
                    f'"U":{feed.first_u},"u":{m.last_u},'
                    f'"pu":{feed.prev_u},"b":[{levels_text(spec, bids)}],"a":[{levels_text(spec, asks)}],"st":1}}'
                ),
            )
        feed.prev_u, feed.first_u = m.last_u, 0
        feed.pending.clear()

    def _mark(self, m: Market, slow: bool, now_ms: int) -> None:
        names = [f"{m.lower}@markPrice@1s"] + ([f"{m.lower}@markPrice"] if slow else [])
        for name in names:
            if self.hub.wants(name):
                mark = m.spec.px(m.mid())
                self.hub.publish(
                    name,
                    (
                        f'{{"e":"markPriceUpdate","E":{now_ms},"s":"{m.spec.name}","p":"{mark}","ap":"{mark}",'
                        f'"P":"{mark}","i":"{mark}",'
                        f'"r":"{dec(m.rate_e8, E8)}","T":{next_funding_ms(now_ms)},"st":1}}'
                    ),
                )

    def _klines(self, m: Market, now_ms: int) -> None:
        last_ms = m.candles[-1].open_ms
        closed = now_ms // MINUTE_MS * MINUTE_MS > last_ms and now_ms - last_ms < MINUTE_MS + 500
        if not (m.news or closed):
            return
        for interval, minutes in CANDLE_MS.items():
            name = f"{m.lower}@kline_{interval}"
            if not self.hub.wants(name):
                continue
            c, s, span = gather(m, interval, 1)[0], m.spec, minutes * MINUTE_MS
            ended, e = now_ms >= c.open_ms + span, s.px_exp + s.qty_exp
            self.hub.publish(
                name,
                (
                    f'{{"e":"kline","E":{now_ms},"s":"{s.name}","k":{{"t":{c.open_ms}, "T":{c.open_ms + span - 1},'
                    f' "s":"{s.name}", '
                    f'"i":"{interval}", "f":{c.first}, "L":{c.last}, "o":"{s.px(c.o)}", "c":"{s.px(c.c)}",'
                    f' "h":"{s.px(c.h)}", '
                    f'"l":"{s.px(c.l)}", "v":"{s.qty(c.v)}", "n":{c.n}, "x":{"true" if ended else "false"},'
                    f' "q":"{dec(c.quote, e)}", '
                    f'"V":"{s.qty(c.taker_v)}", "Q":"{dec(c.taker_quote, e)}", "B":"0"}}}}'
                ),
            )

    def _ticker(self, m: Market, now_ms: int) -> None:
        name = f"{m.lower}@ticker"
        if not (self.hub.wants(name) and m.candles):
            return
        s, e = m.spec, m.spec.px_exp + m.spec.qty_exp
        c = gather(m, "1d", 1)[0]
        self.hub.publish(
            name,
            (
                f'{{"e":"24hrTicker","E":{now_ms},"s":"{s.name}","ps":"{s.name}","p":"{s.px(c.c - c.o)}",'
                f'"P":"0.000","w":"{s.px(c.quote // c.v)}",'
                f'"c":"{s.px(c.c)}","Q":"{trim(m.trades[-1].qty, s.qty_exp)}","o":"{s.px(c.o)}","h":"{s.px(c.h)}",'
                f'"l":"{s.px(c.l)}",'
                f'"v":"{s.qty(c.v)}","q":"{dec(c.quote, e)}","O":{c.open_ms},"C":{now_ms},"F":{c.first},'
                f'"L":{c.last},"n":{c.n},"st":1}}'
            ),
        )
