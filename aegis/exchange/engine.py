"""The exchange proper: orders in, executions booked, user events out, in the venue's observed order.

Problem: REST, the WebSocket API, background agents, the capture and the operator's control endpoint all change the
same books, and the client must see one consistent story whichever door was used. So every change goes through
`submit`, `finish` or `settle` here.
What must stay true: one taker's events come as TRADE_LITE, NEW, ACCOUNT_UPDATE, TRADE; every execution is booked
once, before any event about it leaves; ids grow, also over restarts.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Protocol

from aegis.errors import VenueError
from aegis.exchange import events
from aegis.exchange.account import Account, Execution
from aegis.exchange.clock import mono_ns
from aegis.exchange.faults import Faults
from aegis.exchange.instrument import Market, next_funding_ms
from aegis.exchange.marketdata import MarketData
from aegis.exchange.matching import AGENT, BUY, USER, Fill, Order, Outcome
from aegis.exchange.prices import Prices
from aegis.exchange.streams import Hub
from aegis.exchange.symbols import E8, trim

WIDE_SYMBOL = "ETHUSDT"  # its order ids exceed 2**53, as seen on the wire
WIDE_BASE = 8_000_000_000_000_000_000
LISTEN_KEY_S = 3600.0


class Engine(Protocol):
    """What the exchange needs of a book, beyond looking at it."""

    def submit(self, order: Order, bound: int = 0) -> Outcome: ...
    def cancel(self, order: Order) -> None: ...
    def crosses(self, side: int, px: int) -> bool: ...


class Exchange:
    """
    One venue with one account.

    Args:
        markets: by symbol; each market's book also satisfies `Engine`.
        clock: wall clock in ms.
    """

    def __init__(self, markets: dict[str, Market], account: Account, hub: Hub, clock: Callable[[], int]) -> None:
        self.markets, self.account, self.hub, self.clock = markets, account, hub, clock
        self.accounts = {"main": account}
        start = clock() * 1000
        self.md = MarketData(markets, hub, start)
        self.prices = Prices(markets)
        self.next_order, self.next_agent = start, 1
        self.orders: dict[tuple[str, int], Order] = {}
        self.by_client: dict[tuple[str, str], Order] = {}
        self.open: dict[str, dict[int, Order]] = {name: {} for name in markets}
        self.deadlines: dict[str, tuple[int, int]] = {}
        self.faults = Faults()
        self.prints = True  # false in a replay: then no market frame is the venue's own
        self.listen_key, self.listen_until_ns, self.listen_s = "", 0, LISTEN_KEY_S
        hub.key_known = lambda key: bool(key) and key == self.listen_key
        self.funding_at = next_funding_ms(clock())

    # ids ------------------------------------------------------------------
    def order_id(self, symbol: str) -> int:
        """A new order id for the account."""
        self.next_order += 1
        return WIDE_BASE + self.next_order * 100 if symbol == WIDE_SYMBOL else self.next_order

    def market(self, symbol: str) -> Market:
        """The market of a symbol; -1121 when not listed."""
        found = self.markets.get(symbol)
        if found is None:
            raise VenueError(-1121, "Invalid symbol.")
        return found

    # user events ----------------------------------------------------------
    def tell(self, text: str) -> None:
        """Send a user event to the live listen key's readers."""
        if self.listen_key:
            self.hub.user(text, self.listen_key)

    def open_notional(self, m: Market) -> tuple[str, str]:
        """Texts of the notional of open buys and sells."""
        sums = {1: 0, -1: 0}
        for o in self.open[m.spec.name].values():
            sums[o.side] += m.spec.notional_e8(o.px, o.left)
        return trim(sums[1], E8), trim(sums[-1], E8)

    def report(self, o: Order, x: str, **more: object) -> None:
        """Send ORDER_TRADE_UPDATE of an order."""
        m = self.markets[o.symbol]
        self.tell(events.order_update(m.spec, o, x, self.clock(), open_notional=self.open_notional(m), **more))  # type: ignore[arg-type]

    # orders ---------------------------------------------------------------
    def submit(self, o: Order) -> None:
        """
        Run a checked user order through the book.

        Raises:
            VenueError: -5021, -5022 (nothing happened then).
        """
        m = self.markets[o.symbol]
        bound = 0
        if o.kind == "MARKET":
            mid = m.mid()
            bound = mid + o.side * (mid * 5 // 100)
        out = m.book.submit(o, bound)  # type: ignore[attr-defined]
        o.time_ms = o.update_ms = self.clock()
        self.orders[o.symbol, o.id] = self.by_client[o.symbol, o.client_id] = o
        if o.is_open:
            self.open[o.symbol][o.id] = o
        self.settle(m, out, o)

    def agent(self, m: Market, o: Order, bound: int = 0) -> None:
        """Run a background order through the book."""
        out = m.book.submit(o, bound)  # type: ignore[attr-defined]
        if out.fills:
            self.settle(m, out, None)
        else:
            self.md.changed(m, self.clock())

    def settle(self, m: Market, out: Outcome, new: Order | None) -> None:
        """Book what a submission did, then publish market data and user events; `new` is the user's own taker."""
        now = self.clock()
        rows: list[tuple[int, int, int]] = []
        done: list[tuple[Order, Execution, tuple[str, int, int]]] = []
        progress = self._before(out.fills)
        for f in out.fills:
            tid, m.next_trade = m.next_trade, m.next_trade + 1
            rows.append((tid, f.px, f.qty))
            for o, is_maker in ((f.maker, True), (f.taker, False)):
                if o is None or o.owner == AGENT:
                    continue
                filled, cost = progress[o.id][0] + f.qty, progress[o.id][1] + f.px * f.qty
                progress[o.id] = (filled, cost)
                o.update_ms = now
                ex = self.account.fill(
                    m.spec, (tid, o.id, o.client_id), o.side, f.px, f.qty, maker=is_maker, now_ms=now
                )
                done.append((o, ex, ("FILLED" if filled == o.qty else "PARTIALLY_FILLED", filled, cost)))
                if not o.is_open:
                    self.open[o.symbol].pop(o.id, None)
        if rows and self.prints:
            self.md.traded(m, rows, out.fills[0].side, now)
        self.md.changed(m, now)
        self._tell_all(m, out, new, done, now)

    @staticmethod
    def _before(fills: list[Fill]) -> dict[int, tuple[int, int]]:
        """(filled, cost) of every user order before these fills."""
        out: dict[int, tuple[int, int]] = {}
        for f in reversed(fills):
            for o in (f.maker, f.taker):
                if o is not None and o.owner != AGENT:
                    filled, cost = out.get(o.id, (o.filled, o.cost))
                    out[o.id] = (filled - f.qty, cost - f.px * f.qty)
        return out

    def _tell_all(
        self,
        m: Market,
        out: Outcome,
        new: Order | None,
        done: list[tuple[Order, Execution, tuple[str, int, int]]],
        now: int,
    ) -> None:
        for o, ex, _ in done:
            self.tell(events.trade_lite(m.spec, o, ex, now))
        if new is not None:
            self.report(new, "NEW", progress=("NEW", 0, 0))
        for o in out.stopped:
            self.finish(o, o.status, o.reason, booked=True)
        if done:
            self.tell(events.account_update(self.account, [m.spec], "ORDER", now, marks={m.spec.name: m.mid()}))
        for o, ex, state in done:
            self.report(o, "TRADE", ex=ex, progress=state)
        if new is not None and not new.is_open:
            self.open[new.symbol].pop(new.id, None)
            if new.status != "FILLED":
                new.update_ms = now
                self.report(new, "EXPIRED")
        if done:
            self._trim_reduce_only(m)

    def finish(self, o: Order, status: str, reason: int = 0, booked: bool = False) -> None:
        """End a user order without a fill (`booked`: the book already let it go) and tell."""
        if not booked:
            m = self.markets[o.symbol]
            m.book.cancel(o)  # type: ignore[attr-defined]
            self.md.changed(m, self.clock())
        o.end(status, reason)
        o.update_ms = self.clock()
        self.open[o.symbol].pop(o.id, None)
        self.report(o, "CANCELED" if status == "CANCELED" else "EXPIRED")

    def _trim_reduce_only(self, m: Market) -> None:
        """Expire reduce-only orders that a changed position no longer covers, newest first (er 4)."""
        qty = self.account.position(m.spec.name).qty
        working = sorted((o for o in self.open[m.spec.name].values() if o.reduce_only), key=lambda o: o.id)
        covered = abs(qty)
        for o in working:
            if o.side * qty >= 0 or o.left > covered:
                self.finish(o, "EXPIRED", 4)
            else:
                covered -= o.left

    def amend(self, o: Order, px: int, qty: int, modify_id: str) -> None:
        """Change price and total quantity; the order loses its place in the queue."""
        m = self.markets[o.symbol]
        if qty <= o.filled or (o.tif == "GTX" and m.book.crosses(o.side, px)):  # type: ignore[attr-defined]
            self.finish(o, "CANCELED")
            return
        m.book.cancel(o)  # type: ignore[attr-defined]
        o.px, o.qty, o.amendments, o.update_ms = px, qty, o.amendments + 1, self.clock()
        self.report(o, "AMENDMENT", modify_id=modify_id)
        out = m.book.submit(o)  # type: ignore[attr-defined]
        self.settle(m, out, None)
        if not o.is_open:
            self.open[o.symbol].pop(o.id, None)
            if o.status != "FILLED":
                self.report(o, "EXPIRED")

    # margin ---------------------------------------------------------------
    def margins(self, asset: str) -> tuple[int, int, int]:
        """(unrealised, position margin, open-order margin) of an asset, 1e-8."""
        unrealised = held = working = 0
        for name, pos in self.account.positions.items():
            m = self.markets.get(name)
            if m is not None and m.spec.quote == asset and pos.qty:
                unrealised += pos.unrealised_e8(m.spec, m.mid())
                held += m.spec.notional_e8(m.mid(), abs(pos.qty)) // m.spec.leverage
        for name, orders in self.open.items():
            spec = self.markets[name].spec
            if spec.quote == asset:
                working += sum(
                    spec.notional_e8(o.px, o.left) // spec.leverage for o in orders.values() if not o.reduce_only
                )
        return unrealised, held, working

    def available_e8(self, asset: str) -> int:
        """What new orders may use."""
        unrealised, held, working = self.margins(asset)
        return self.account.wallet.get(asset, 0) + unrealised - held - working

    # listen key -----------------------------------------------------------
    def start_listen_key(self) -> str:
        """The current key, extended; a new one when none lives."""
        if not self.listen_key:
            self.listen_key = secrets.token_hex(32)
        self.listen_until_ns = mono_ns() + int(self.listen_s * 1e9)
        return self.listen_key

    def end_listen_key(self, expired: bool) -> None:
        """Kill the key; an expiry is told in-band, a deletion is not."""
        if expired:
            self.tell(events.listen_key_expired(self.listen_key, self.clock()))
        self.listen_key = ""

    # time -----------------------------------------------------------------
    def tick(self) -> None:
        """Everything the clock does: dead-man switches, key expiry, GTD, funding, timed frames."""
        now, mono = self.clock(), mono_ns()
        for symbol in [s for s, (at, _) in self.deadlines.items() if at <= mono]:
            del self.deadlines[symbol]
            for o in list(self.open[symbol].values()):
                self.finish(o, "CANCELED")
        if self.listen_key and mono > self.listen_until_ns:
            self.end_listen_key(True)
        for orders in self.open.values():
            for o in [o for o in orders.values() if o.gtd_ms and o.gtd_ms <= now]:
                self.finish(o, "EXPIRED", 6)
        if now >= self.funding_at:
            self.funding_at = next_funding_ms(now)
            self.fund(None)
        self.prices.advance(now)
        if self.prints:
            self.md.tick(now)

    def fund(self, rate_e8: int | None) -> None:
        """Settle funding on every open position, at a given rate or each symbol's own."""
        now = self.clock()
        for name in list(self.account.positions):
            m = self.markets[name]
            rate = m.rate_e8 if rate_e8 is None else rate_e8
            amount = self.account.fund(m.spec, m.mid(), rate, now)
            if amount:
                text = events.account_update(self.account, [m.spec], "FUNDING_FEE", now, changes={m.spec.quote: amount})
                self.tell(text)

    def transfer(self, asset: str, amount_e8: int, silent: bool) -> None:
        """Deposit or withdraw, told as ACCOUNT_UPDATE unless `silent`."""
        now = self.clock()
        self.account.transfer(asset, amount_e8, now)
        if not silent:
            reason = "DEPOSIT" if amount_e8 > 0 else "WITHDRAW"
            self.tell(events.account_update(self.account, [], reason, now, changes={asset: amount_e8}))

    def user_order(self, symbol: str, fields: dict[str, object]) -> Order:
        """A new order object of the account with a fresh id."""
        return Order(id=self.order_id(symbol), owner=USER, symbol=symbol, **fields)  # type: ignore[arg-type]

    def hand_trade(self, m: Market, delta: int, px: int, silent: bool) -> Execution:
        """A trade behind the client's back: ordinary records, no book; `silent` sends no user event."""
        now = self.clock()
        o = self.user_order(
            m.spec.name,
            {
                "client_id": f"web_{secrets.token_hex(8)}",
                "side": BUY if delta > 0 else -BUY,
                "kind": "MARKET",
                "tif": "GTC",
                "px": 0,
                "qty": abs(delta),
            },
        )
        o.time_ms = o.update_ms = now
        self.orders[o.symbol, o.id] = self.by_client[o.symbol, o.client_id] = o
        o.take(px, o.qty)
        tid, m.next_trade = m.next_trade, m.next_trade + 1
        ex = self.account.fill(m.spec, (tid, o.id, o.client_id), o.side, px, o.qty, maker=False, now_ms=now)
        if not silent:
            self._tell_all(m, Outcome(), o, [(o, ex, ("FILLED", o.qty, o.cost))], now)
        return ex
