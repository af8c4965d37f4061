"""One injection of a fault: what it may act on, how often it strikes, and how it ends.

What must stay true: every random choice comes from the injection's own generator, so that it does not depend on what
else is injected; an ended injection never strikes again and leaves nothing attached.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aegis.exchange.account import Account
from aegis.exchange.clock import mono_ns
from aegis.exchange.faults.hooks import AfterRule, Answer, Before, BeforeRule, Params, SeenRule

if TYPE_CHECKING:
    from aegis.exchange.conn import Conn, Tamper
    from aegis.exchange.engine import Exchange
    from aegis.exchange.wsapi import WsApi

WRITES = ("order.place", "order.modify", "order.cancel", "algoOrder.")
ORDER_PATHS = ("order", "batchOrders", "allOpenOrders", "algoOrder", "algoOpenOrders")


def is_write(name: str) -> bool:
    """Does a request of this name command orders?"""
    if name.startswith("WS "):
        return name[3:].startswith(WRITES)
    method, _, path = name.partition(" ")
    return method != "GET" and path.rpartition("/")[2] in ORDER_PATHS


def meant(path: str, name: str) -> bool:
    """Is the request meant by `path`: "writes" for every order command, else a part of its name, "" for all?"""
    return is_write(name) if path == "writes" else path in name


@dataclass(slots=True)
class Injection:
    """
    A fault that was asked for.

    Args:
        ident: number of the injection, from 1.
        params: as given.
        at_ms: when.
        rng: its choices.

    Attributes:
        hits: how often it has struck.
        standing: it goes on after it was injected, until its count, its time or the operator ends it.
    """

    ex: Exchange
    api: WsApi
    rng: random.Random
    ident: int
    name: str
    params: dict[str, Any]
    at_ms: int
    hits: int = 0
    standing: bool = False
    live: bool = True
    _count: int = 0
    _skip: int = 0
    _percent: int = 100
    _until_ns: int = 0
    _undo: list[Callable[[], object]] | None = None

    # how often ----------------------------------------------------------------
    def stand(self, count: int = 0, skip: int = 0, percent: int = 100, for_ms: int = 0) -> None:
        """Go on: `skip` occasions pass, then `percent` of them are struck, `count` in all, for `for_ms`; 0 is ever."""
        if min(count, skip, for_ms) < 0 or not 0 < percent <= 100:
            raise ValueError("count, skip and for_ms are not negative, percent is 1 to 100")
        self.standing, self._count, self._skip, self._percent = True, count, skip, percent
        self._until_ns = mono_ns() + for_ms * 1_000_000 if for_ms else 0

    def strikes(self) -> bool:
        """Does it strike on this occasion? The last strike ends it."""
        if self.over():
            return False
        if self._skip:
            self._skip -= 1
            return False
        if self._percent < 100 and self.rng.randrange(100) >= self._percent:
            return False
        self.hits += 1
        if self._count and self.hits >= self._count:
            self.end()
        return True

    def over(self) -> bool:
        """Has it ended? Its time is looked at here."""
        if self.live and self._until_ns and mono_ns() >= self._until_ns:
            self.end()
        return not self.live

    @property
    def left(self) -> int:
        """How many strikes of its count are still to come; 0 without a count, and when it is over."""
        return self._count - self.hits if self._count and not self.over() else 0

    def undo(self, step: Callable[[], object]) -> None:
        """Do this when it ends."""
        self._undo = [*(self._undo or ()), step]

    def end(self) -> None:
        """Stop, and take back what was attached, latest first."""
        self.live = False
        steps, self._undo = self._undo or [], None
        for step in reversed(steps):
            step()

    # where --------------------------------------------------------------------
    def conns(self, route: str) -> list[Conn]:
        """Stream connections of a route; "" for all."""
        return [c for c in self.ex.hub.conns if route in ("", c.route)]

    def account(self, name: str) -> Account:
        """An account by name, the first for ""; ValueError when there is none."""
        if not name:
            return self.ex.account
        if name not in self.ex.accounts:
            raise ValueError(f"no account {name!r}")
        return self.ex.accounts[name]

    def accounts(self, name: str) -> list[Account]:
        """One account, or all for ""."""
        return [self.account(name)] if name else list(self.ex.accounts.values())

    def before(self, path: str, what: Callable[[str, Params], Before | None]) -> None:
        """Let requests meant by `path` meet `what` before they are run; None from it is no strike."""

        def rule(name: str, p: Params) -> Before | None:
            found = what(name, p) if self.live and meant(path, name) else None
            return found if found is not None and self.strikes() else None

        rules: list[BeforeRule] = self.ex.faults.before_rules
        rules.append(rule)
        self.undo(lambda: rules.remove(rule))

    def after(self, path: str, change: Callable[[Answer], None]) -> None:
        """Let answers to requests meant by `path` be changed."""

        def rule(name: str, answer: Answer) -> bool:
            struck = meant(path, name) and self.strikes()
            if struck:
                change(answer)
            return struck

        rules: list[AfterRule] = self.ex.faults.after_rules
        rules.append(rule)
        self.undo(lambda: rules.remove(rule))

    def seen(self, rule: SeenRule) -> None:
        """Let reads see what `rule` makes of an account."""
        rules = self.ex.faults.seen_rules
        rules.append(rule)
        self.undo(lambda: rules.remove(rule))

    def tamper(self, make: Callable[[Conn], Tamper]) -> None:
        """Let what present and future stream connections send go through a tamper of their own."""
        hub, mine = self.ex.hub, set()

        def attach(conn: Conn) -> None:
            made = make(conn)
            mine.add(made)
            conn.tampers = [*conn.tampers, made]

        def detach() -> None:
            hub.on_open.remove(attach)
            for conn in hub.conns:
                conn.tampers = [t for t in conn.tampers if t not in mine]

        for conn in hub.conns:
            attach(conn)
        hub.on_open.append(attach)
        self.undo(detach)
