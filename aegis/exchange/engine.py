"""The exchange proper: orders in, executions booked on both sides, user events out, in the venue's observed order.

Problem: REST, the WebSocket API, background agents, the capture and the operator's control endpoint all change the
same books, and every client must see one consistent story whichever door was used. So every change goes through
`submit`, `finish`, `amend` or `settle` here.
What must stay true: one taker's events come as TRADE_LITE, NEW, ACCOUNT_UPDATE, TRADE; every execution is booked
once for each side, before any event about it leaves; ids grow, also over restarts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

from aegis.errors import VenueError
from aegis.exchange import events
from aegis.exchange.account import Account, Execution, Traded
from aegis.exchange.faults.hooks import Faults
from aegis.exchange.filters import take_bound
from aegis.exchange.house import House
from aegis.exchange.instrument import Market
from aegis.exchange.margin import closes
from aegis.exchange.marketdata import MarketData
from aegis.exchange.matching import AGENT, Fill, Order, Outcome
from aegis.exchange.prices import Prices
from aegis.exchange.rules import Rules
from aegis.exchange.streams import Hub
from aegis.exchange.symbols import E8, Spec, trim

if TYPE_CHECKING:
    from aegis.exchange.algo import Algo
    from aegis.exchange.clockwork import Clockwork
    from aegis.exchange.liquidation import Liquidation

WIDE_SYMBOL = "ETHUSDT"  # its order ids exceed 2**53, as seen on the wire
WIDE_BASE = 8_000_000_000_000_000_000
INSURANCE_E8 = 1_000_000 * 10**8  # the fund's first deposit, per quote asset
Done = tuple[Order, Execution, tuple[str, int, int]]


class Engine(Protocol):
    """What the exchange needs of a book, beyond looking at it."""

    def submit(self, order: Order, bound: int = 0) -> Outcome: ...
    def cancel(self, order: Order) -> None: ...
    def crosses(self, side: int, px: int) -> bool: ...


class Exchange:
    """
    One venue.

    Args:
        markets: by symbol; each market's book also satisfies `Engine`.
        accounts: at least one; the first is the one paper trading uses.
        clock: wall clock in ms.

    Attributes:
        street: the other side of every trade with somebody who is no user.
        on_change: called with (market, accounts) after their orders there were filled or ended.
        margin_moves: changes of isolated margin by hand: (account, symbol, side, amount 1e-8, ms).
        prints: false in a replay: then no market frame is the venue's own.
    """

    def __init__(
        self,
        markets: dict[str, Market],
        accounts: Iterable[Account],
        hub: Hub,
        clock: Callable[[], int],
        rules: Rules | None = None,
    ) -> None:
        self.markets, self.hub, self.clock, self.rules = markets, hub, clock, rules or Rules()
        self.street = Account({}, 0, 0, name="street", number=AGENT)
        self.accounts: dict[str, Account] = {}
        self.by_number: dict[int, Account] = {AGENT: self.street}
        self.listen_keys: dict[str, Account] = {}
        self.quotes = {name: m.spec.quote for name, m in markets.items()}
        for account in accounts:
            self.add(account)
        self.account = next(iter(self.accounts.values()))
        self.house = House(dict.fromkeys(set(self.quotes.values()), INSURANCE_E8))
        start = clock() * 1000
        self.md = MarketData(markets, hub, start)
        self.prices = Prices(markets)
        self.next_order, self.next_agent = start, 1
        self.faults = Faults()
        self.prints = True
        self.margin_moves: list[tuple[int, str, str, int, int]] = []
        self.clockwork: Clockwork
        self.algo: Algo
        self.liquidation: Liquidation
        self.on_change: Callable[[Market, list[Account]], None] = lambda _m, _accounts: None
        for m in markets.values():
            m.book.room = self.room  # type: ignore[attr-defined]
        hub.key_known = self.listen_keys.__contains__

    def add(self, account: Account) -> None:
        """Open an account; its name and number must be new."""
        if account.name in self.accounts or account.number in self.by_number:
            raise ValueError(f"account {account.name} exists")
        self.accounts[account.name] = self.by_number[account.number] = account

    def everybody(self) -> list[Account]:
        """All accounts and the street."""
        return list(self.by_number.values())

    def verify(self) -> dict[str, str]:
        """
        Prove that books are lawful and money only moved.

        Raises:
            BooksBroken, AssertionError: with what is wrong.
        """
        for m in self.markets.values():
            check = getattr(m.book, "check", None)
            if check is not None:
                check()
        return self.house.verify(self.everybody(), {name: m.spec for name, m in self.markets.items()})

    # ids ------------------------------------------------------------------
    def order_id(self, symbol: str) -> int:
        """A new order id."""
        self.next_order += 1
        return WIDE_BASE + self.next_order * 100 if symbol == WIDE_SYMBOL else self.next_order

    def user_order(self, acc: Account, symbol: str, fields: dict[str, object]) -> Order:
        """A new order object of an account with a fresh id."""
        return Order(id=self.order_id(symbol), owner=acc.number, symbol=symbol, **fields)  # type: ignore[arg-type]

    def market(self, symbol: str) -> Market:
        """The market of a symbol; -1121 when not listed."""
        found = self.markets.get(symbol)
        if found is None:
            raise VenueError(-1121, "Invalid symbol.")
        return found

    def bnb_e8(self, quote: str) -> int:
        """Price of BNB in a quote asset, 1e-8; 0 when it is not listed."""
        m = self.markets.get(f"BNB{quote}") or self.markets.get("BNBUSDT")
        return m.mark() if m else 0

    # user events ----------------------------------------------------------
    def tell(self, acc: Account, text: str) -> None:
        """Send a user event to the readers of the account's living listen key."""
        if acc.listen_key:
            self.hub.user(text, acc.listen_key)

    def open_notional(self, acc: Account, spec: Spec) -> tuple[str, str]:
        """Texts of the notional of open buys and sells."""
        buys, sells = acc.open[spec.name].summed("shown", spec, lambda _o: True)
        return trim(buys, E8), trim(sells, E8)

    def report(self, o: Order, x: str, **more: object) -> None:
        """Send ORDER_TRADE_UPDATE of an order."""
        acc, spec = self.by_number[o.owner], self.markets[o.symbol].spec
        if acc.listen_key:
            both = self.open_notional(acc, spec)
            self.tell(acc, events.order_update(spec, o, x, self.clock(), open_notional=both, **more))  # type: ignore[arg-type]

    # orders ---------------------------------------------------------------
    def submit(self, o: Order) -> None:
        """
        Run a checked user order through the book.

        Raises:
            VenueError: -5021, -5022 (nothing happened then).
        """
        m, acc = self.markets[o.symbol], self.by_number[o.owner]
        bound = take_bound(m.spec, o.side, m.mark()) if o.kind == "MARKET" else 0
        out = m.book.submit(o, bound)  # type: ignore[attr-defined]
        o.time_ms = o.update_ms = self.clock()
        acc.file(o)
        if o.is_open:
            acc.open[o.symbol][o.id] = o
        self.settle(m, out, o)

    def room(self, o: Order, fills: list[Fill]) -> int:
        """How much of a reduce-only order may still trade, after fills that are not booked yet."""
        held = self.by_number[o.owner].position(o.symbol, o.position_side).qty
        for f in fills:
            for x, side in ((f.maker, -f.side), (f.taker, f.side)):
                if x is not None and (x.owner, x.position_side) == (o.owner, o.position_side):
                    held += side * f.qty
        return max(-held * o.side, 0)

    def stillborn(self, o: Order, reason: int) -> None:
        """Tell of an order the book refused when nobody waits for a refusal: it ends as it begins."""
        o.time_ms = o.update_ms = self.clock()
        self.by_number[o.owner].file(o)
        self.report(o, "NEW")
        o.end("EXPIRED", reason)
        self.report(o, "EXPIRED")

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
        done: list[Done] = []
        progress = self._before(out.fills)
        for f in out.fills:
            tid, m.next_trade = m.next_trade, m.next_trade + 1
            rows.append((tid, f.px, f.qty))
            done += self.book(m, f, tid, progress, now)
        if rows and self.prints:
            self.md.traded(m, rows, out.fills[0].side, now)
        self.md.changed(m, now)
        self.tell_all(m, out, new, done, now)

    def book(self, m: Market, f: Fill, tid: int, progress: dict[int, tuple[int, int]], now: int) -> list[Done]:
        """Book both sides of one execution; returns what users are to be told."""
        spec, done = m.spec, []
        sides = ((f.maker, -f.side, True), (f.taker, f.side, False))
        if all(o is None or o.owner == AGENT for o, _, _ in sides):
            return []
        for o, side, is_maker in sides:
            if o is None or o.owner == AGENT:
                self.street.flow(spec.quote, "realised", self.street.opened(spec.name).move(spec, side, f.px, f.qty))
                continue
            acc = self.by_number[o.owner]
            filled, cost = progress[o.id][0] + f.qty, progress[o.id][1] + f.px * f.qty
            progress[o.id] = (filled, cost)
            o.update_ms = now
            traded = Traded(
                (tid, o.id, o.client_id), o.side, f.px, f.qty, now, is_maker, o.position_side, self.bnb_e8(spec.quote)
            )
            ex = acc.fill(spec, traded)
            self.house.charge(ex.asset, ex.fee_e8)
            done.append((o, ex, ("FILLED" if filled == o.qty else "PARTIALLY_FILLED", filled, cost)))
            acc.open[o.symbol].changed()
            if not o.is_open:
                acc.open[o.symbol].drop(o)
        return done

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

    def tell_all(
        self, m: Market, out: Outcome, new: Order | None, done: list[Done], now: int, *, how: str = "TRADE"
    ) -> None:
        """User events of one submission: notices first, then accounts, then fills (`how` is their execution type)."""
        for o, ex, _ in done:
            self.tell(self.by_number[o.owner], events.trade_lite(m.spec, o, ex, now))
        if new is not None:
            self.report(new, "NEW", progress=("NEW", 0, 0))
        for o in [o for o in out.stopped if o.reason == 1]:
            self.finish(o, o.status, o.reason, booked=True)
        concerned = list(dict.fromkeys(self.by_number[o.owner] for o, _, _ in done))
        for acc in concerned:
            sides = dict.fromkeys(o.position_side for o, _, _ in done if o.owner == acc.number)
            assets = {ex.asset for o, ex, _ in done if o.owner == acc.number} | {m.spec.quote}
            self.tell_account(acc, "ORDER", [(m, side) for side in sides], dict.fromkeys(assets, 0))
        for o, ex, state in done:
            self.report(o, how, ex=ex, progress=state)
        for o in [o for o in out.stopped if o.reason != 1]:
            self.finish(o, o.status, o.reason, booked=True)
        if new is not None and not new.is_open:
            self.by_number[new.owner].open[new.symbol].drop(new)
            if new.status != "FILLED":
                new.update_ms = now
                self.report(new, "EXPIRED")
        for acc in concerned:
            self._trim_reduce_only(acc, m)
        if concerned:
            self.on_change(m, concerned)

    def tell_account(
        self, acc: Account, reason: str, rows: list[tuple[Market, str]], changes: dict[str, int], about: str = ""
    ) -> None:
        """Send ACCOUNT_UPDATE: positions by (market, side), per asset the change besides profit and fees."""
        if acc.listen_key:
            text = events.account_update(
                acc, rows, reason, self.clock(), changes=changes, quotes=self.quotes, about=about
            )
            self.tell(acc, text)

    def finish(self, o: Order, status: str, reason: int = 0, booked: bool = False) -> None:
        """End a user order without a fill (`booked`: the book already let it go) and tell."""
        if not booked:
            m = self.markets[o.symbol]
            m.book.cancel(o)  # type: ignore[attr-defined]
            self.md.changed(m, self.clock())
        o.end(status, reason)
        o.update_ms = self.clock()
        acc = self.by_number[o.owner]
        acc.open[o.symbol].drop(o)
        self.report(o, "CANCELED" if status == "CANCELED" else "EXPIRED")
        self.on_change(self.markets[o.symbol], [acc])

    def _trim_reduce_only(self, acc: Account, m: Market) -> None:
        """Expire closing orders that a changed position no longer covers, newest first (er 4)."""
        working = sorted((o for o in acc.open[m.spec.name].values() if closes(o)), key=lambda o: o.id)
        covered: dict[str, int] = {}
        for o in working:
            qty = acc.position(o.symbol, o.position_side).qty
            left = covered.setdefault(o.position_side, abs(qty))
            if o.side * qty >= 0 or o.left > left:
                self.finish(o, "EXPIRED", 4)
            else:
                covered[o.position_side] = left - o.left

    def amend(self, o: Order, px: int, qty: int, modify_id: str) -> None:
        """Change price and total quantity; the order loses its place in the queue (see Rules for one exception)."""
        m, acc = self.markets[o.symbol], self.by_number[o.owner]
        if qty <= o.filled or (o.tif in ("GTX", "RPI") and m.book.crosses(o.side, px)):  # type: ignore[attr-defined]
            self.finish(o, "CANCELED")
            return
        before, now = (o.px, o.qty), self.clock()
        o.changes.append((now, modify_id, before, (px, qty)))
        keeps = self.rules.amend_down_keeps_place and px == o.px and qty < o.qty
        if keeps and m.book.shrink(o, qty):  # type: ignore[attr-defined]
            o.update_ms = now
            acc.open[o.symbol].changed()
            self.report(o, "AMENDMENT", modify_id=modify_id)
            self.md.changed(m, now)
            return
        m.book.cancel(o)  # type: ignore[attr-defined]
        o.px, o.qty, o.update_ms = px, qty, now
        acc.open[o.symbol].changed()
        self.report(o, "AMENDMENT", modify_id=modify_id)
        out = m.book.submit(o)  # type: ignore[attr-defined]
        self.settle(m, out, None)
        if not o.is_open:
            acc.open[o.symbol].drop(o)
            if o.status != "FILLED":
                self.report(o, "EXPIRED")
                self.on_change(m, [acc])
