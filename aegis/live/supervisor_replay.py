"""A replay from its start to the end of its effects, and the account of both.

Problem: "the replay is over" is not one event: the venue has sent its last frame, the feed has taken it, the brain has
answered it, the books have settled. Each is a condition on what the processes themselves publish, with a deadline.
What must stay true: the numbers come from the venue (what was sent), the feed's own counters (what was taken) and the
books page (what it came to); nothing is computed here that could agree by construction.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from typing import Any

import msgspec

from aegis.config import Config
from aegis.errors import Unreachable
from aegis.live.clock import Clock
from aegis.live.supervisor_child import Child
from aegis.live.supervisor_instance import child_environ
from aegis.live.supervisor_paper import Control
from aegis.native import latency
from aegis.native.books import BooksReader
from aegis.native.control import ControlPage
from aegis.native.ring import RingReader
from aegis.units import Num

START_S = 15.0
SETTLE_S = 15.0
QUIET_S = 0.5
POLL_S = 0.05


class ReplayRun:
    """
    One replay on the paper venue.

    Args:
        config: with the venue's address filled in.
        control: the venue's control endpoint.
        children: the supervised processes by name.
        clock: monotonic time for deadlines.
    """

    def __init__(self, config: Config, control: Control, children: dict[str, Child], clock: Clock) -> None:
        self.config, self._control, self._children, self._clock = config, control, children, clock

    async def start(self) -> None:
        """Let the frames flow once the brain is ready and the feed is subscribed (it is ready by its first frames)."""
        await self._until(self._listening, START_S)
        await self._control.post("replay/start", {})

    async def to_the_end(self) -> dict[str, Any]:
        """
        Replay, wait until all effects are settled, reconcile.

        Returns:
            The report of `aegis up --replay ... --exit-at-end --json`.
        """
        await self.start()
        state = await self._control.get("state")
        while not state["replay_done"]:
            await asyncio.sleep(POLL_S)
            state = await self._control.get("state")
        await self._until(lambda: _counters(self.config).get("frames", 0) >= state["frames_sent"], SETTLE_S)
        await self._still(lambda: _counters(self.config))
        await self._still(lambda: self._written("orders"))
        state = await self._control.get("state")
        return await self._report(state)

    def _listening(self) -> bool:
        return all(self._children[name].ready.is_set() for name in ("brain", "feed", "orchestrator"))

    def _written(self, ring: str) -> int:
        return RingReader(str(self.config.shm_path() / ring)).newest

    async def _until(self, done: Callable[[], bool], limit_s: float) -> bool:
        deadline_ns = self._clock.mono_ns() + int(limit_s * 1e9)
        while not done():
            if self._clock.mono_ns() > deadline_ns:
                return False
            await asyncio.sleep(POLL_S)
        return True

    async def _still(self, look: Callable[[], object]) -> None:
        """Until what `look` sees has not changed for QUIET_S, at most SETTLE_S."""
        seen, since_ns = look(), self._clock.mono_ns()
        deadline_ns = since_ns + int(SETTLE_S * 1e9)
        while self._clock.mono_ns() - since_ns < QUIET_S * 1e9 and self._clock.mono_ns() < deadline_ns:
            await asyncio.sleep(POLL_S)
            now = look()
            if now != seen:
                seen, since_ns = now, self._clock.mono_ns()

    async def _report(self, state: dict[str, Any]) -> dict[str, Any]:
        counters = _counters(self.config)
        books = await self._control.get("books")
        return {
            "frames_in_capture": state["frames_in_capture"],
            "frames_received": counters.get("frames", 0),
            "records_published": self._written("market"),
            "refused": {k.removeprefix("refused_"): v for k, v in counters.items() if k.startswith("refused_") and v},
            "book_breaks": counters.get("book_breaks", 0),
            "top_of_book": _tops(self.config),
            "orders": len(books["orders"]),
            "fills": len(books["fills"]),
            "reconciliation": await self._reconcile(),
            "latency": latency.report(self.config.shm_path()),
        }

    async def _reconcile(self) -> Any:
        """What `aegis reconcile --once --json` says: the same command an operator would give."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "aegis.cli.main", "reconcile", "--once", "--json"),
            stdout=asyncio.subprocess.PIPE,
            env=child_environ(self.config, dict(os.environ)),
        )
        text, _ = await process.communicate()
        try:
            return {"exit_code": process.returncode} | msgspec.json.decode(text)
        except (msgspec.DecodeError, TypeError) as e:
            raise Unreachable(f"reconcile gave no report (exit code {process.returncode})") from e


def _counters(config: Config) -> dict[str, int]:
    return dict(ControlPage(str(config.shm_path() / "control")).block("feed").counters())


def _tops(config: Config) -> dict[str, dict[str, Any]]:
    """Best bid and ask per symbol with the update id they stand for, as decimal text."""
    books = BooksReader(str(config.shm_path() / "books"))
    tops = {}
    for i, name in enumerate(books.symbols()):
        top = books.top(i)
        row: dict[str, Any] = {"trusted": bool(top.trusted), "u": int(top.u)}
        for side, levels in (("bid", top.bids), ("ask", top.asks)):
            if len(levels):
                row[side] = str(Num(int(levels[0][0]), books.px_exp(i)))
                row[side + "_qty"] = str(Num(int(levels[0][1]), books.qty_exp(i)))
        tops[name] = row
    return tops
