"""Injects faults: now, or when a plan's moment has come; knows which are standing and ends them.

Problem: "after the tenth frame" must be after the tenth frame, not at the next look at a counter, or a seed does not
give the same run. So frames and requests are counted where they pass, and only while a row waits for them.
What must stay true: an injection's choices depend on the venue's seed and its own number alone; a fault that cannot be
injected leaves nothing behind.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from aegis.errors import AegisError
from aegis.exchange.clock import mono_ns
from aegis.exchange.faults.catalogue import CATALOGUE
from aegis.exchange.faults.injection import Injection
from aegis.exchange.faults.plan import Row

if TYPE_CHECKING:
    from aegis.exchange.conn import Conn
    from aegis.exchange.engine import Exchange
    from aegis.exchange.wsapi import WsApi


class Injector:
    """
    Faults of one venue.

    Args:
        seed: of every choice.

    Attributes:
        injected: all of them, by number.
        standing: those that may still be live.
        waiting: rows to come, each with the second, frame or request after which it is due.
        failed: rows of the plan that could not be injected when their moment came, each with why.
    """

    def __init__(self, ex: Exchange, api: WsApi, seed: int) -> None:
        self.ex, self.api, self.seed = ex, api, seed
        self.injected: dict[int, Injection] = {}
        self.standing: list[Injection] = []
        self.waiting: list[tuple[Row, float]] = []
        self.failed: list[dict[str, Any]] = []
        self.began_ns = mono_ns()
        self.frames = 0

    # now ------------------------------------------------------------------------
    def inject(self, row: Row) -> Injection:
        """
        Inject a fault now.

        Raises:
            AegisError, ValueError: it does not fit the venue's state; nothing has happened then.
        """
        ident = len(self.injected) + 1
        rng = random.Random(f"{self.seed}/faults/{ident}")
        made = Injection(self.ex, self.api, rng, ident, row.name, row.params, self.ex.clock())
        try:
            CATALOGUE[row.name].run(made, **row.params)
        except (AegisError, ValueError):
            made.end()
            raise
        self.injected[ident] = made
        if made.standing:
            self.standing.append(made)
        else:
            made.hits = 1
            made.end()
        return made

    def clear(self, ident: int = 0) -> int:
        """End an injection, or with 0 all of them and what waits; returns how many were live."""
        found = [i for i in self.injected.values() if i.live and ident in (0, i.ident)]
        for one in reversed(found):
            one.end()
        if not ident:
            self.waiting = []
            self._count()
        return len(found)

    # later ------------------------------------------------------------------------
    def schedule(self, rows: list[Row]) -> None:
        """Take a plan: rows without a moment at once, the others when it comes, counted from now."""
        for row in rows:
            if row.moment:
                self.waiting.append((row, row.value + self._past(row.moment)))
            else:
                self.inject(row)
        self._count()

    def tick(self) -> None:
        """Inject what is due by the clock, and end what has had its time."""
        self._due("at_s")
        self.standing = [one for one in self.standing if not one.over()]

    def _past(self, moment: str) -> float:
        """Seconds, frames or requests until now."""
        if moment == "at_s":
            return (mono_ns() - self.began_ns) / 1e9
        return self.frames if moment == "after_frames" else self.ex.faults.requests

    def _due(self, moment: str) -> None:
        """Inject the rows of a moment that has come."""
        past = self._past(moment) if self.waiting else 0.0
        due = [(row, at) for row, at in self.waiting if row.moment == moment and at <= past]
        if not due:
            return
        self.waiting = [one for one in self.waiting if one not in due]
        self._count()
        for row, _ in due:
            try:
                self.inject(row)
            except (AegisError, ValueError) as e:
                self.failed.append(row.shown() | {"error": f"{type(e).__name__}: {e}"})

    def _count(self) -> None:
        """Count frames and requests while a row waits for them, and only then."""
        moments = {row.moment for row, _ in self.waiting}
        self.ex.faults.on_request = self._request if "after_requests" in moments else None
        hub = self.ex.hub
        if ("after_frames" in moments) != (self._attach in hub.on_open):
            if "after_frames" in moments:
                hub.on_open.append(self._attach)
                for conn in hub.conns:
                    self._attach(conn)
            else:
                hub.on_open.remove(self._attach)
                for conn in hub.conns:
                    conn.tampers = [t for t in conn.tampers if t != self._frame]

    def _attach(self, conn: Conn) -> None:
        conn.tampers = [self._frame, *conn.tampers]

    def _frame(self, _stream: str, text: str) -> list[tuple[float, str]]:
        """One frame passes; what is due after it meets the next one."""
        self.frames += 1
        self._due("after_frames")
        return [(0.0, text)]

    def _request(self) -> None:
        """A request comes; what was due after those before it meets this one."""
        self._due("after_requests")

    # seen -------------------------------------------------------------------------
    def view(self) -> dict[str, Any]:
        """The catalogue with its documentation, what was injected, what waits."""
        return {
            "catalogue": [
                {
                    "name": fault.name,
                    "family": fault.family,
                    "doc": fault.doc,
                    "params": {p.name: {"type": p.type, "default": p.default} for p in fault.params},
                }
                for fault in CATALOGUE.values()
            ],
            "injected": [
                {
                    "id": i.ident,
                    "name": i.name,
                    "params": i.params,
                    "at": i.at_ms,
                    "hits": i.hits,
                    "left": i.left,
                    "live": not i.over(),
                }
                for i in self.injected.values()
            ],
            "waiting": [row.shown() for row, _ in self.waiting],
            "failed": self.failed,
        }
