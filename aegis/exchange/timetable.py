"""Streams that go out by the clock: which are wanted, how often, and who makes their payloads.

Problem: three hundred symbols times thirty stream kinds are ten thousand frames a second that nobody asked for. So a
stream enters the timetable with its first reader and leaves with its last, and its maker is found once, by its name.
What must stay true: cost grows with what is read, never with what is listed; a stream is due at most once per period,
on the period's own boundaries.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from aegis.exchange.streams import Hub

Render = Callable[[int], list[str]]  # now in ms -> payloads, empty when there is nothing to say


class Timed(NamedTuple):
    """
    A stream's period in ms (0: every turn of the venue's loop), the maker of its payloads, and what to do when its
    last reader is gone.
    """

    every_ms: int
    render: Render
    stop: Callable[[], object] = lambda: None


class Timetable:
    """
    Runs what is due.

    Args:
        find: the maker of a stream name; None for a name that is not sent by the clock.
    """

    def __init__(self, hub: Hub, find: Callable[[str], Timed | None]) -> None:
        self.hub, self.find = hub, find
        self.rows: dict[int, dict[str, Timed]] = {}
        self.last: dict[int, int] = {}

    def add(self, name: str) -> None:
        """A stream got a reader."""
        if any(name in rows for rows in self.rows.values()):
            return
        found = self.find(name)
        if found is not None:
            self.rows.setdefault(found.every_ms, {})[name] = found

    def run(self, now_ms: int) -> None:
        """Send everything due; forget streams nobody reads any more."""
        for every, rows in self.rows.items():
            turn = now_ms // every if every else now_ms
            if not rows or turn == self.last.get(every):
                continue
            self.last[every] = turn
            for name in [name for name in rows if not self.hub.wants(name)]:
                rows.pop(name).stop()
            for name, timed in rows.items():
                for payload in timed.render(now_ms):
                    self.hub.publish(name, payload)
