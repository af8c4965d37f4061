"""Liquidation: margin calls, orders the venue makes in an account's name, the insurance fund, deleveraging.

Problem: clients meet these a few times a year and mostly get them wrong: the orders look like plain LIMIT orders, the
account never sent them, and the wallet moves for reasons that are neither trade nor fee.
What must stay true: a liquidation only makes a position smaller; every unit of money it moves goes between the account,
the other side of the trade and the insurance fund; an account whose margin carries its positions is not touched.
Way of one: open orders go (er 5); the position is offered to the book down to its bankruptcy price; what is left the
insurance fund takes over at that price, or holders of the opposite side by automatic deleveraging; then the fund takes
its fee from what remains of the margin, or pays what is missing.
"""

from __future__ import annotations

from dataclasses import dataclass

from aegis.exchange import events, margin
from aegis.exchange.account import Account, Position
from aegis.exchange.brackets import maintenance_e8
from aegis.exchange.engine import Exchange
from aegis.exchange.instrument import Market, Trade
from aegis.exchange.marketdata import ForceOrder
from aegis.exchange.matching import BUY, SELL, Fill, Order, Outcome

CALL_NUM, CALL_DEN = 8, 10  # a margin call goes out when maintenance reaches this share of the balance
QUANTILES = 5


@dataclass(frozen=True, slots=True)
class Victim:
    """A position to be closed; `behind_e8` is the margin that stands behind it besides its own profit."""

    acc: Account
    m: Market
    side: str
    pos: Position
    behind_e8: int

    def bankruptcy_px(self) -> int:
        """Price at which the margin is used up, on the grid, rounded to the account's disadvantage, > 0."""
        spec, size = self.m.spec, abs(self.pos.qty)
        long = self.pos.qty > 0
        money = self.pos.cost_e8 - self.behind_e8 if long else self.pos.cost_e8 + self.behind_e8
        unit = spec.notional_e8(spec.tick, size)
        ticks = max(money // unit if not long else -(-money // unit), 1)
        return ticks * spec.tick


class Liquidation:
    """The venue's risk engine."""

    def __init__(self, ex: Exchange) -> None:
        self.ex = ex

    def tick(self) -> None:
        """Look at every account once."""
        for acc in self.ex.accounts.values():
            for asset in sorted({self.ex.quotes[s] for (s, _), pos in acc.positions.items() if pos.qty}):
                self._cross(acc, asset)
            for (symbol, side), pos in list(acc.positions.items()):
                if pos.qty and symbol in acc.settings.isolated:
                    self._isolated(acc, self.ex.markets[symbol], side, pos)

    # who ------------------------------------------------------------------
    def standing(self, acc: Account, asset: str) -> tuple[int, int]:
        """
        (balance, maintenance) that decide over an asset's cross positions, 1e-8: of the asset alone, or in multi-assets
        mode of the whole account in US dollars.
        """
        if not acc.settings.multi_assets:
            a = margin.of_asset(self.ex, acc, asset)
            return a.cross_balance, a.cross_maintenance
        rows = [(each, margin.of_asset(self.ex, acc, each)) for each in acc.wallet]
        return (
            sum(margin.worth_usd_e8(self.ex, each, a.cross_balance) for each, a in rows),
            sum(margin.worth_usd_e8(self.ex, each, a.cross_maintenance) for each, a in rows),
        )

    def _cross(self, acc: Account, asset: str) -> None:
        balance, need = self.standing(acc, asset)
        if not need:
            acc.margin_called.discard(asset)
        elif balance < need:
            self._liquidate_cross(acc, asset)
        elif need * CALL_DEN >= balance * CALL_NUM:
            self._call(acc, asset, margin.of_asset(self.ex, acc, asset).cross_wallet)
        else:
            acc.margin_called.discard(asset)

    def _call(self, acc: Account, asset: str, cross_e8: int) -> None:
        if asset in acc.margin_called:
            return
        acc.margin_called.add(asset)
        rows = [
            (m, side, maintenance_e8(m.spec.brackets, m.spec.value_e8(m.mark(), pos.qty)))
            for m, side, pos in self.held(acc, asset)
        ]
        self.ex.tell(acc, events.margin_call(acc, rows, cross_e8, self.ex.clock()))

    def held(self, acc: Account, asset: str) -> list[tuple[Market, str, Position]]:
        """Cross positions of an asset, largest first."""
        rows = [
            (self.ex.markets[s], side, pos)
            for (s, side), pos in acc.positions.items()
            if pos.qty and self.ex.quotes[s] == asset and s not in acc.settings.isolated
        ]
        return sorted(rows, key=lambda r: -abs(r[0].spec.value_e8(r[0].mark(), r[2].qty)))

    def _liquidate_cross(self, acc: Account, asset: str) -> None:
        self._cancel_orders(acc, [m for m, _, _ in self.held(acc, asset)])
        for m, side, pos in self.held(acc, asset):
            balance, need = self.standing(acc, asset)
            if balance >= need:
                return
            self.close(Victim(acc, m, side, pos, balance - pos.unrealised_e8(m.spec, m.mark())))
        self.clear(acc, asset)

    def _isolated(self, acc: Account, m: Market, side: str, pos: Position) -> None:
        need = maintenance_e8(m.spec.brackets, m.spec.value_e8(m.mark(), pos.qty))
        left, name = pos.isolated_e8 + pos.unrealised_e8(m.spec, m.mark()), f"{m.spec.name} {side}"
        if left >= need:
            if need * CALL_DEN < left * CALL_NUM:
                acc.margin_called.discard(name)
            elif name not in acc.margin_called:
                acc.margin_called.add(name)
                self.ex.tell(acc, events.margin_call(acc, [(m, side, need)], None, self.ex.clock()))
            return
        self._cancel_orders(acc, [m])
        before = acc.wallet[m.spec.quote]
        aside = pos.isolated_e8
        self.close(Victim(acc, m, side, pos, aside))
        lost = before - acc.wallet[m.spec.quote]
        if lost > aside:
            self.ex.house.insure(acc, m.spec.name, m.spec.quote, lost - aside, self.ex.clock())
            self.ex.tell_account(acc, "INSURANCE_CLEAR", [], {m.spec.quote: lost - aside})

    def _cancel_orders(self, acc: Account, markets: list[Market]) -> None:
        for m in markets:
            for o in list(acc.open[m.spec.name].values()):
                self.ex.finish(o, "EXPIRED", 5)

    # how ------------------------------------------------------------------
    def close(self, v: Victim, deleverage: bool | None = None) -> Order:
        """Close a whole position in the account's name; `deleverage` skips book and insurance fund."""
        ex, m = self.ex, v.m
        adl = ex.rules.adl_first if deleverage is None else deleverage
        qty, px, before = abs(v.pos.qty), v.bankruptcy_px(), v.acc.wallet[m.spec.quote]
        o = self._order(v.acc, m, v.side, (SELL if v.pos.qty > 0 else BUY, px, qty), "autoclose-")
        v.acc.file(o)
        if adl:
            ex.report(o, "NEW", progress=("NEW", 0, 0))
        else:
            out = m.book.submit(o)  # type: ignore[attr-defined]
            o.status = "PARTIALLY_FILLED" if o.filled and o.left else o.status
            if o.left:
                o.status, o.reason = ("PARTIALLY_FILLED" if o.filled else "NEW"), 5
            ex.settle(m, out, o)
        if o.left:
            self._take_over(v, o, px, adl)
        self._fee(v, o, before - v.acc.wallet[m.spec.quote])
        last = v.acc.executions[-1].qty
        status = "FILLED" if o.filled == o.qty else "PARTIALLY_FILLED"
        row = ForceOrder(o.side, o.qty, o.px, o.cost // o.filled, last, o.filled, status)
        ex.md.liquidated(m, row, ex.clock())
        return o

    def _order(self, acc: Account, m: Market, side: str, terms: tuple[int, int, int], prefix: str) -> Order:
        now = self.ex.clock()
        direction, px, qty = terms
        fields: dict[str, object] = {
            "client_id": f"{prefix}{now}{self.ex.next_order % 1000:03d}",
            "side": direction,
            "kind": "LIMIT",
            "tif": "IOC",
            "px": px,
            "qty": qty,
            "stp": "NONE",
            "position_side": side,
            "time_ms": now,
            "update_ms": now,
        }
        return self.ex.user_order(acc, m.spec.name, fields)

    def _take_over(self, v: Victim, o: Order, px: int, adl: bool) -> None:
        """Settle the rest at the bankruptcy price: against holders of the other side, or the street for the fund."""
        if adl:
            for acc, side, pos in self.queue(v.m, -1 if o.side == SELL else 1, v.acc):
                if not o.left:
                    break
                qty = min(o.left, abs(pos.qty))
                other = self._order(acc, v.m, side, (-o.side, px, qty), "adl_autoclose-")
                acc.file(other)
                self._cross_trade(v.m, o, other, px, qty)
        if o.left:
            self._cross_trade(v.m, o, None, px, o.left)

    def _cross_trade(self, m: Market, o: Order, other: Order | None, px: int, qty: int) -> None:
        """One execution outside the book."""
        ex, now = self.ex, self.ex.clock()
        before = {x.id: (x.filled, x.cost) for x in (o, other) if x is not None}
        for x in (o, other):
            if x is not None:
                x.take(px, qty)
        tid, m.next_trade = m.next_trade, m.next_trade + 1
        done = ex.book(m, Fill(other, o, o.side, px, qty), tid, before, now)
        if ex.prints:
            ex.md.outside(m, Trade(tid, px, qty, now, o.side == SELL), "INSURANCE_FUND" if other is None else "ADL")
        ex.tell_all(m, Outcome(), other, done, now, how="CALCULATED")

    def _fee(self, v: Victim, o: Order, lost: int) -> None:
        """The fund's fee on what was closed, as far as the margin reaches after what the closing cost."""
        spec, ex = v.m.spec, self.ex
        left = v.behind_e8 - lost
        if spec.name not in v.acc.settings.isolated:
            left = min(v.acc.wallet[spec.quote], self.standing(v.acc, spec.quote)[0])
        unit = int(10 ** (8 - spec.px_exp - spec.qty_exp))
        fee = min(o.cost * unit * spec.liquidation_fee_ppm // 1_000_000, max(left, 0))
        if fee:
            ex.house.insure(v.acc, spec.name, spec.quote, -fee, ex.clock())
            ex.tell_account(v.acc, "INSURANCE_CLEAR", [], {spec.quote: -fee})

    def clear(self, acc: Account, asset: str) -> None:
        """The fund pays what a flat account owes; in multi-assets mode what all its assets together do not cover."""
        missing, assets = -acc.wallet.get(asset, 0), [asset]
        if acc.settings.multi_assets:
            assets = list(acc.wallet)
            missing = min(missing, -sum(margin.worth_usd_e8(self.ex, each, acc.wallet[each]) for each in assets))
        if missing > 0 and not any(self.held(acc, each) for each in assets):
            self.ex.house.insure(acc, "", asset, missing, self.ex.clock())
            self.ex.tell_account(acc, "INSURANCE_CLEAR", [], {asset: missing})

    # deleveraging ------------------------------------------------------------
    def queue(self, m: Market, direction: int, but: Account | None = None) -> list[tuple[Account, str, Position]]:
        """Holders of a direction (+1 long), those with most profit and leverage first."""
        spec = m.spec
        rows = [
            (acc, side, pos)
            for acc in self.ex.accounts.values()
            for side, pos in acc.held(spec.name)
            if pos.qty * direction > 0 and acc is not but
        ]

        def score(row: tuple[Account, str, Position]) -> int:
            acc, _, pos = row
            profit = pos.unrealised_e8(spec, m.mark())
            return profit * acc.leverage(spec.name) * 1_000_000 // max(pos.cost_e8, 1)

        return sorted(rows, key=score, reverse=True)

    def adl_quantile(self, acc: Account, m: Market, side: str) -> int:
        """Place of a position in its queue: 4 is first in line, 0 last or flat."""
        qty = acc.position(m.spec.name, side).qty
        if not qty:
            return 0
        line = self.queue(m, 1 if qty > 0 else -1)
        place = next(i for i, (a, s, _) in enumerate(line) if a is acc and s == side)
        return QUANTILES - 1 - place * QUANTILES // len(line)

    def now(self, acc: Account, m: Market, side: str, deleverage: bool) -> Order:
        """
        Liquidate (or deleverage) a position whatever its margin, as a planted fault.

        Raises:
            ValueError: the account has no such position.
        """
        pos = acc.position(m.spec.name, side)
        if not pos.qty:
            raise ValueError(f"{acc.name} has no {side} position in {m.spec.name}")
        self._cancel_orders(acc, [m])
        a = margin.of_asset(self.ex, acc, m.spec.quote)
        profit = pos.unrealised_e8(m.spec, m.mark())
        behind = pos.isolated_e8 or a.cross_balance - profit
        done = self.close(Victim(acc, m, side, pos, behind), deleverage)
        self.clear(acc, m.spec.quote)
        return done
