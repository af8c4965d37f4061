"""Faults of the user stream and its key: each public function is one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aegis.exchange import events
from aegis.exchange.faults.injection import Injection

if TYPE_CHECKING:
    from aegis.exchange.conn import Conn, Tamper

FILL = '"x":"TRADE"'
ORDER = '{"e":"ORDER_TRADE_UPDATE"'


def user_silent(f: Injection, *, for_ms: int = 0) -> None:
    """User events are lost; the socket stays open and answers pings."""
    f.stand(for_ms=for_ms)
    f.hits += 1
    hub = f.ex.hub
    hub.mute_private = True
    f.undo(lambda: setattr(hub, "mute_private", False))


def user_late(f: Injection, *, ms: int = 180_000, count: int = 0) -> None:
    """User events arrive `ms` late, all in their order."""
    f.stand(count)

    def make(conn: Conn) -> Tamper:
        return lambda name, text: [(ms / 1000 if name in conn.keys and f.strikes() else 0.0, text)]

    f.tamper(make)


def new_after_fill(f: Injection, *, count: int = 1) -> None:
    """The user stream tells an order's fill before its NEW."""
    f.stand()

    def make(conn: Conn) -> Tamper:
        held: list[str] = []

        def late(name: str, text: str) -> list[tuple[float, str]]:
            if name not in conn.keys or not text.startswith(ORDER):
                return [(0.0, text)]
            if '"x":"NEW"' in text and not held and f.live:
                held.append(text)
                return []
            if held and FILL in text and f.strikes():
                rows = [(0.0, text), (0.0, held.pop())]
                if count and f.hits >= count:
                    f.end()
                return rows
            return [*((0.0, held.pop()) for _ in held[:]), (0.0, text)]

        return late

    f.tamper(make)


def fill_repeat(f: Injection, *, count: int = 1) -> None:
    """A fill is told twice, with one trade id."""
    f.stand(count)

    def make(conn: Conn) -> Tamper:
        def twice(name: str, text: str) -> list[tuple[float, str]]:
            fill = name in conn.keys and text.startswith(ORDER) and FILL in text
            return [(0.0, text)] * (2 if fill and f.strikes() else 1)

        return twice

    f.tamper(make)


def fill_replay(f: Injection, *, account: str = "") -> None:
    """The account's last fill is told again, with the event time of now, among newer orders."""
    acc = f.account(account)
    if not acc.executions:
        raise ValueError(f"{acc.name} has no fill yet")
    last = acc.executions[-1]
    order = acc.orders[last.symbol, last.order_id]
    spec, state = f.ex.markets[last.symbol].spec, (order.status, order.filled, order.cost)
    f.ex.tell(acc, events.order_update(spec, order, "TRADE", f.ex.clock(), ex=last, progress=state))


def listen_key_expired(f: Injection, *, account: str = "", times: int = 1, text_time: bool = True) -> None:
    """The listen key dies with its notice, told `times` times, with E as a string or a number."""
    acc = f.account(account)
    notice = events.listen_key_expired(acc.listen_key, f.ex.clock())
    if not text_time:
        row = json.loads(notice)
        notice = json.dumps(row | {"E": int(row["E"])}, separators=(",", ":"))
    for _ in range(times):
        f.ex.tell(acc, notice)
    f.ex.clockwork.end_listen_key(acc, expired=False)


def listen_key_gone(f: Injection, *, account: str = "") -> None:
    """The listen key dies without a word; the socket stays open."""
    f.ex.clockwork.end_listen_key(f.account(account), expired=False)
