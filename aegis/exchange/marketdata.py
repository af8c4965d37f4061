"""What the market sees of each symbol: update ids, best prices, trades, aggregates, liquidations, and the clock's turn.

Problem: with hundreds of symbols most frames have no reader, and update ids are drawn from one space of all symbols,
so that a client may not expect them to be consecutive. Frames that follow an event are made here; frames that follow
the clock are made by the stream's own module and sent by the timetable.
What must stay true: ids grow over all symbols; nothing is built for nobody; a trade is in exactly one aggregate, and an
aggregate holds fills of one price and one aggressor side within 100 ms.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from aegis.exchange import brackets, depthfeed, klines
from aegis.exchange.instrument import MINUTE_MS, Candle, Market, Trade
from aegis.exchange.matching import BUY, SELL
from aegis.exchange.streams import Hub
from aegis.exchange.tickers import Tickers, book_ticker
from aegis.exchange.timetable import Timed, Timetable

AGGREGATE_MS = 100
LIQUIDATION_MS = 1000


@dataclass(slots=True)
class Aggregate:
    """Fills of one price and aggressor side that are not published yet; `began_ms` is its first fill's time."""

    first: int
    last: int
    px: int
    qty: int
    maker: bool
    began_ms: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class ForceOrder:
    """
    One execution of a liquidation order, as forceOrder shows it.

    Args:
        side: BUY closes a short.
        px: bankruptcy price, average: of all its fills so far; ints of the symbol's price places.
        qty, last, filled: ordered, filled just now, filled in all.
    """

    side: int
    qty: int
    px: int
    average: int
    last: int
    filled: int
    status: str = "FILLED"


class MarketData:
    """
    Turns book changes and trades into stream frames.

    Args:
        base_id: start of the update id space; grows over restarts.
    """

    def __init__(self, markets: dict[str, Market], hub: Hub, base_id: int) -> None:
        self.markets, self.hub, self.u = markets, hub, base_id
        self.by_lower = {m.lower: m for m in markets.values()}
        self.tickers = Tickers(markets)
        self.timetable = Timetable(hub, self.find)
        self.open_aggs: dict[str, Aggregate] = {}
        self.liquidations: dict[str, tuple[int, ForceOrder]] = {}
        self.told_ms = 0
        hub.on_subscribe = self.timetable.add

    def find(self, name: str) -> Timed | None:
        """The maker of a stream that goes out by the clock."""
        head, _, kind = name.partition("@")
        m = self.by_lower.get(head)
        if m is not None and kind.startswith(("depth", "rpiDepth")):
            return depthfeed.timed(m, kind)
        if m is not None and kind.startswith("kline_"):
            return klines.timed(m, kind)
        if m is None and kind.startswith("continuousKline_"):
            pair, _, suffix = head.partition("_")
            contract = klines.CONTRACTS.get(suffix, "")
            found = [
                x for x in self.markets.values() if (x.spec.pair.lower(), x.spec.contract_type) == (pair, contract)
            ]
            return klines.timed(found[0], kind, contract) if found else None
        return self.tickers.find(name, m, kind)

    # book ---------------------------------------------------------------------
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
            self.hub.publish(name, book_ticker(m, best, now_ms))

    # trades ---------------------------------------------------------------------
    def traded(self, m: Market, fills: list[tuple[int, int, int]], side: int, now_ms: int) -> None:
        """Publish executions of one taker: rows of (trade id, price, quantity)."""
        maker = side != BUY
        wanted = self.hub.wants(f"{m.lower}@trade")
        minute = now_ms // MINUTE_MS * MINUTE_MS
        for tid, px, qty in fills:
            m.trades.append(Trade(tid, px, qty, now_ms, maker))
            if not m.candles or m.candles[-1].open_ms < minute:
                m.candles.append(Candle(minute, tid, tid, px, px, px, px))
            m.candles[-1].add(px, qty, tid, not maker)
            self._aggregate(m, (tid, px, qty), maker, now_ms)
            if wanted:
                self._print(m, m.trades[-1], "MARKET")
        m.last_px = fills[-1][1]

    def outside(self, m: Market, trade: Trade, kind: str) -> None:
        """Publish an execution outside the book, of INSURANCE_FUND or ADL; it moves no price, joins no aggregate."""
        m.trades.append(trade)
        self._print(m, trade, kind)

    def _print(self, m: Market, t: Trade, kind: str) -> None:
        s = m.spec
        self.hub.publish(
            f"{m.lower}@trade",
            f'{{"e":"trade","E":{t.time_ms},"T":{t.time_ms},"s":"{s.name}","t":{t.id},"p":"{s.px(t.px)}",'
            f'"q":"{s.qty(t.qty)}","X":"{kind}","m":{"true" if t.buyer_maker else "false"},"st":1}}',
        )

    def _aggregate(self, m: Market, fill: tuple[int, int, int], maker: bool, now_ms: int) -> None:
        tid, px, qty = fill
        agg = self.open_aggs.get(m.spec.name)
        if agg is not None:
            if (agg.px, agg.maker) == (px, maker) and now_ms - agg.began_ms < AGGREGATE_MS:
                agg.qty, agg.last, agg.time_ms = agg.qty + qty, tid, now_ms
                return
            self._publish_aggregate(m, agg, now_ms)
        self.open_aggs[m.spec.name] = Aggregate(tid, tid, px, qty, maker, now_ms, now_ms)

    def _publish_aggregate(self, m: Market, agg: Aggregate, now_ms: int) -> None:
        ident, spec = m.next_agg, m.spec
        m.next_agg += 1
        m.aggs.append(Trade(ident, agg.px, agg.qty, agg.time_ms, agg.maker, agg.first, agg.last))
        name = f"{m.lower}@aggTrade"
        if self.hub.wants(name):
            qty = spec.qty(agg.qty)
            self.hub.publish(
                name,
                f'{{"e":"aggTrade","E":{now_ms},"a":{ident},"s":"{spec.name}","p":"{spec.px(agg.px)}","q":"{qty}",'
                f'"nq":"{qty}","f":{agg.first},"l":{agg.last},"T":{agg.time_ms},'
                f'"m":{"true" if agg.maker else "false"},"st":1}}',
            )

    # liquidations and contracts -----------------------------------------------------
    def liquidated(self, m: Market, row: ForceOrder, now_ms: int) -> None:
        """A liquidation order executed: of each symbol and second only the largest is shown."""
        seen = self.liquidations.get(m.spec.name)
        if seen is None or row.qty * row.average > seen[1].qty * seen[1].average:
            self.liquidations[m.spec.name] = (now_ms, row)

    def _tell_liquidations(self, now_ms: int) -> None:
        for symbol, (at_ms, row) in self.liquidations.items():
            m = self.markets[symbol]
            s = m.spec
            text = (
                f'{{"e":"forceOrder","E":{now_ms},"o":{{"s":"{s.name}","S":"{"BUY" if row.side == BUY else "SELL"}",'
                f'"o":"LIMIT","f":"IOC","q":"{s.qty(row.qty)}","p":"{s.px(row.px)}","ap":"{s.px(row.average)}",'
                f'"X":"{row.status}","l":"{s.qty(row.last)}","z":"{s.qty(row.filled)}","T":{at_ms},"ps":"{s.pair}",'
                f'"st":1}}}}'
            )
            self.hub.publish(f"{m.lower}@forceOrder", text)
            self.hub.publish("!forceOrder@arr", text)
        self.liquidations.clear()

    def contract(self, m: Market, now_ms: int) -> None:
        """Tell that a contract was listed, changed its state, or has new leverage tiers."""
        s = m.spec
        tiers = [
            {
                "bs": row["bracket"],
                "bnf": row["notionalFloor"],
                "bnc": row["notionalCap"],
                "mmr": row["maintMarginRatio"],
                "cf": row["cum"],
                "mi": s.brackets[i + 1].leverage + 1 if i + 1 < len(s.brackets) else 1,
                "ma": row["initialLeverage"],
            }
            for i, row in enumerate(brackets.rows(s.brackets))
        ]
        self.hub.publish(
            "!contractInfo",
            f'{{"e":"contractInfo","E":{now_ms},"s":"{s.name}","ct":"{s.contract_type}",'
            f'"dt":{s.delivery_ms},"ot":{s.onboard_ms},"cs":"{s.status}",'
            f'"bks":{msgspec.json.encode(tiers).decode()},"st":1}}',
        )

    # clock ----------------------------------------------------------------------------
    def tick(self, now_ms: int) -> None:
        """Everything that goes out by the clock."""
        for symbol, agg in list(self.open_aggs.items()):
            if now_ms - agg.began_ms >= AGGREGATE_MS:
                del self.open_aggs[symbol]
                self._publish_aggregate(self.markets[symbol], agg, now_ms)
        if now_ms // LIQUIDATION_MS != self.told_ms // LIQUIDATION_MS:
            self.told_ms = now_ms
            self._tell_liquidations(now_ms)
        self.timetable.run(now_ms)
