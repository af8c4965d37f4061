"""The venue's books under random clients: money only moves, books never cross, every trade has two sides.

Hypothesis draws bytes; eight of them are one action, so a failing history shrinks to the few actions that matter.
AEGIS_ACTIONS sets how many actions are run in all (make prove-venue runs a million).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from aegis.errors import VenueError

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "exchange"))
from core import START_MS, Venue

from aegis.exchange import algo_orders, orders
from aegis.exchange import settings as account_settings
from aegis.exchange.account import BooksBroken
from aegis.exchange.house import House
from aegis.exchange.matching import AGENT, BUY, SELL, Order

ACTIONS = int(os.environ.get("AEGIS_ACTIONS", "20000"))
PER_EXAMPLE = 400
BYTES = 8
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
NAMES = ("oneway", "hedge", "third")
TIFS = ("GTC", "IOC", "FOK", "GTX")
STPS = ("EXPIRE_MAKER", "EXPIRE_TAKER", "EXPIRE_BOTH", "NONE")
done = {"actions": 0, "taken": 0, "refused": 0, "fills": 0, "liquidations": 0}


class Clients:
    """Three accounts and a street, moved by bytes."""

    def __init__(self) -> None:
        self.venue = Venue(dict.fromkeys(NAMES, 20_000), symbols=9)
        ex = self.venue.ex
        ex.tell = lambda _acc, _text: None  # type: ignore[method-assign]
        account_settings.set_dual(ex, self.venue.acc("hedge"), {"dualSidePosition": "true"})
        self.start = {name: ex.markets[name].mid() for name in SYMBOLS}
        for name in SYMBOLS:
            for i in range(1, 6):
                self.street(name, BUY, -i, 20)
                self.street(name, SELL, i, 20)
        self.want = ex.verify()
        for m in ex.markets.values():
            assert m.next_trade

    def px(self, symbol: str, offset: int) -> int:
        """A price `offset` twentieths of a percent from the start, on the grid."""
        spec = self.venue.ex.markets[symbol].spec
        px = self.start[symbol] + self.start[symbol] * offset // 2000
        return max(px // spec.tick * spec.tick, spec.min_px + spec.tick)

    def lots(self, symbol: str, size: int) -> int:
        """A size of about `size` times 150 quote units."""
        spec = self.venue.ex.markets[symbol].spec
        one = spec.notional_e8(self.start[symbol], spec.step)
        return max(150 * 10**8 * size // one, 1) * spec.step

    def street(self, symbol: str, side: int, offset: int, size: int) -> None:
        """A background order, which may trade."""
        ex, m = self.venue.ex, self.venue.ex.markets[symbol]
        ex.next_agent += 1
        px, qty = self.px(symbol, offset), self.lots(symbol, size)
        ex.agent(m, Order(-ex.next_agent, "", AGENT, symbol, side, "LIMIT", "GTC", px, qty))

    def act(self, b: bytes) -> None:
        """One action; a refusal is an answer like any other."""
        kind, who, where, side, offset, size, extra, more = b
        symbol, name = SYMBOLS[where % len(SYMBOLS)], NAMES[who % len(NAMES)]
        direction, away = (BUY if side & 1 else SELL), offset % 41 - 20
        try:
            self.dispatch(kind, name, symbol, (direction, away, 1 + size % 60, extra, more))
            done["taken"] += 1
        except VenueError:
            done["refused"] += 1

    def dispatch(self, kind: int, name: str, symbol: str, terms: tuple[int, int, int, int, int]) -> None:
        """Run an action by its kind."""
        direction, away, size, extra, more = terms
        venue, ex, acc = self.venue, self.venue.ex, self.venue.acc(name)
        if kind < 60:
            self.street(symbol, direction, away, size)
        elif kind < 150:
            self.place(name, symbol, terms)
        elif kind < 180:
            rows = list(acc.open[symbol].values())
            orders.cancel(ex, acc, self.named(symbol, rows, extra))
        elif kind < 205:
            rows = list(acc.open[symbol].values())
            spec = ex.markets[symbol].spec
            p = {"side": "BUY" if direction == BUY else "SELL", "price": spec.px(self.px(symbol, away))}
            quantity = spec.qty(self.lots(symbol, size))
            orders.modify(ex, acc, self.named(symbol, rows, extra) | p | {"quantity": quantity})
        elif kind < 225:
            ex.prices.pin(symbol, ex.markets[symbol].spec.px_e8(self.px(symbol, away)))
            venue.tick(1000)
        elif kind < 232:
            m = ex.markets[symbol]
            ex.clockwork.fund(m, (extra - 128) * 3000, m.mark())
        elif kind < 240:
            self.conditional(name, symbol, terms)
        elif kind < 246:
            self.adjust(name, symbol, terms)
        elif kind < 249:
            ex.clockwork.transfer(acc, "BNB" if more & 1 else "USDT", (extra - 100) * 10**8, silent=False)
        elif kind < 251:
            side = ("LONG", "SHORT")[more & 1] if acc.settings.hedge else "BOTH"
            qty = acc.position(symbol, side).qty
            if qty:
                done["liquidations"] += 1
                ex.liquidation.now(acc, ex.markets[symbol], side, deleverage=bool(more & 2))
        else:
            venue.tick(100)

    @staticmethod
    def named(symbol: str, rows: list[Order], extra: int) -> dict[str, str]:
        """Parameters that name one of the open orders, or one that never was."""
        return {"symbol": symbol, "orderId": str(rows[extra % len(rows)].id if rows else 1)}

    def place(self, name: str, symbol: str, terms: tuple[int, int, int, int, int]) -> None:
        """An order of any kind."""
        direction, away, size, extra, more = terms
        spec, acc = self.venue.ex.markets[symbol].spec, self.venue.acc(name)
        p = {
            "symbol": symbol,
            "side": "BUY" if direction == BUY else "SELL",
            "quantity": spec.qty(self.lots(symbol, size)),
            "selfTradePreventionMode": STPS[extra & 3],
        }
        if acc.settings.hedge:
            p["positionSide"] = "LONG" if more & 1 else "SHORT"
        elif more & 6 == 6:
            p["reduceOnly"] = "true"
        if more & 24 == 24:
            p["type"] = "MARKET"
        else:
            p |= {"type": "LIMIT", "price": spec.px(self.px(symbol, away)), "timeInForce": TIFS[(extra >> 2) & 3]}
        self.venue.place(name, **p)

    def conditional(self, name: str, symbol: str, terms: tuple[int, int, int, int, int]) -> None:
        """A conditional order."""
        direction, away, size, extra, more = terms
        ex, acc = self.venue.ex, self.venue.acc(name)
        spec = ex.markets[symbol].spec
        p = {
            "symbol": symbol,
            "algoType": "CONDITIONAL",
            "side": "BUY" if direction == BUY else "SELL",
            "type": ("STOP_MARKET", "TAKE_PROFIT_MARKET")[extra & 1],
            "quantity": spec.qty(self.lots(symbol, size)),
            "triggerPrice": spec.px(self.px(symbol, away)),
            "workingType": "MARK_PRICE",
        }
        if acc.settings.hedge:
            p["positionSide"] = "LONG" if more & 1 else "SHORT"
        algo_orders.place(ex, acc, p)

    def adjust(self, name: str, symbol: str, terms: tuple[int, int, int, int, int]) -> None:
        """A setting."""
        _, _, size, extra, more = terms
        ex, acc = self.venue.ex, self.venue.acc(name)
        if more % 3 == 0:
            account_settings.leverage(ex, acc, {"symbol": symbol, "leverage": str(size)})
        elif more % 3 == 1:
            kind = "ISOLATED" if extra & 1 else "CROSSED"
            account_settings.margin_type(ex, acc, {"symbol": symbol, "marginType": kind})
        else:
            account_settings.set_burn(ex, acc, {"feeBurn": "true" if extra & 1 else "false"})

    def laws(self) -> None:
        """Money, sizes and books, after an action."""
        ex = self.venue.ex
        specs = {name: m.spec for name, m in ex.markets.items()}
        ex.house.verify(ex.everybody(), specs)
        for name in SYMBOLS:
            book = ex.markets[name].book
            bid, ask = book.best(BUY)[0], book.best(SELL)[0]
            assert not (bid and ask) or bid < ask, f"{name} is crossed: {bid} {ask}"


def legs(clients: Clients) -> None:
    """Every trade id of a user's fill has its other side: the same id in another account, or in the street's count."""
    ex = clients.venue.ex
    seen: dict[tuple[str, int], int] = {}
    for acc in ex.accounts.values():
        for t in acc.executions:
            seen[t.symbol, t.id] = seen.get((t.symbol, t.id), 0) + t.side * t.qty
    alone: dict[str, int] = {}
    for (symbol, _), qty in seen.items():
        alone[symbol] = alone.get(symbol, 0) + qty
    for symbol, qty in alone.items():
        assert ex.street.position(symbol).qty == -qty
    done["fills"] += len(seen)


@settings(
    max_examples=max(ACTIONS // PER_EXAMPLE, 1),
    deadline=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
@given(st.binary(min_size=PER_EXAMPLE * BYTES, max_size=PER_EXAMPLE * BYTES))
def test_money_only_moves(data: bytes) -> None:
    """After every action money adds up to the last digit, sizes to nothing, and no book is crossed."""
    clients = Clients()
    for i in range(0, len(data), BYTES):
        clients.act(data[i : i + BYTES])
        clients.laws()
        done["actions"] += 1
    clients.venue.ex.verify()
    legs(clients)


def test_one_lost_unit_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The canary: a house that drops 1e-8 of one fee breaks the very next proof."""
    charge = House.charge
    monkeypatch.setattr(House, "charge", lambda self, asset, amount: charge(self, asset, amount - 1))
    clients = Clients()
    clients.venue.place("oneway", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.010")
    with pytest.raises(BooksBroken, match="USDT"):
        clients.laws()


def test_the_run_was_not_idle() -> None:
    """The actions above were taken in good part, and traded."""
    print(f"venue books: {done}")
    assert START_MS and done["actions"] >= min(ACTIONS, PER_EXAMPLE)
    assert done["taken"] > done["actions"] // 3 and done["fills"] > done["actions"] // 50
