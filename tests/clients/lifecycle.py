"""What the life-cycle scripts of all clients share: where the venue is, and a record of steps.

Problem: four clients with four ways to say "filled" must be judged by one list of steps. So each script writes its
steps with its own client's public methods, and this file only records (name, what was expected, what came).
What must stay true: standard library alone, because it runs inside every client's own environment; a step that says
nothing has failed; a step that hangs fails alone, within its own deadline, and the next one runs.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import traceback
import urllib.request
from collections.abc import Callable
from types import TracebackType

SYMBOL = "BTCUSDT"
STEP_S = 25.0
SCRIPT_S = 400.0


def setting(name: str) -> str:
    """One variable the runner hands down; the script cannot run without it."""
    return os.environ[f"AEGIS_CLIENT_{name}"]


def http_base() -> str:
    """`http://host:port` of the venue."""
    return setting("HTTP")


def ws_base() -> str:
    """`ws://host:port` of the venue."""
    return http_base().replace("http", "ws", 1)


def venue_json(path: str) -> object:
    """The venue's own answer to a public GET, outside any client: the truth to compare a client's picture with."""
    with urllib.request.urlopen(http_base() + path, timeout=5) as r:
        return json.load(r)


def depth_truth(levels: int, symbol: str = SYMBOL) -> tuple[int, list[tuple[float, float]], list[tuple[float, float]]]:
    """(lastUpdateId, bids, asks) of the venue's book, best first, `levels` a side."""
    found = venue_json(f"/fapi/v1/depth?symbol={symbol}&limit=50")
    assert isinstance(found, dict)
    rows = {side: [(float(p), float(q)) for p, q in found[side][:levels]] for side in ("bids", "asks")}
    return int(found["lastUpdateId"]), rows["bids"], rows["asks"]


class Step:
    """
    One step, as an async context manager: `async with steps("name", "what should come") as came: came(x, x == y)`.

    What the client raises inside ends the step as failed; nothing escapes but cancellation from outside.
    """

    def __init__(self, steps: Steps, name: str, expected: str, deadline_s: float) -> None:
        self.steps, self.name, self.expected = steps, name, expected
        self.rows: list[tuple[str, bool]] = []
        self.clock = asyncio.timeout(deadline_s)

    def __call__(self, what: object, passed: bool) -> None:
        """Record what came and whether it is what was expected; each call must pass."""
        self.rows.append((str(what), bool(passed)))

    async def __aenter__(self) -> Step:
        await self.clock.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        try:
            await self.clock.__aexit__(kind, error, trace)
        except TimeoutError as e:
            kind, error = TimeoutError, e
        if error is not None and not isinstance(error, Exception):
            return False
        if error is not None:
            self.rows.append((f"{type(error).__name__}: {error}", False))
            traceback.print_exception(error)
        self.steps.record(self)
        return True


class Steps:
    """The record of one script; each step is printed as a line of JSON the moment it ends."""

    def __init__(self) -> None:
        self.failed = 0

    def __call__(self, name: str, expected: str, deadline_s: float = STEP_S) -> Step:
        """A step to enter; `name` is the row of the table, `expected` one short sentence."""
        return Step(self, name, expected, deadline_s)

    def record(self, step: Step) -> None:
        """Print a finished step."""
        rows = step.rows or [("nothing", False)]
        bad = [what for what, passed in rows if not passed]
        self.failed += bool(bad)
        came = "; ".join(bad) if bad else rows[-1][0]
        row = {"step": step.name, "expected": step.expected, "came": came[:600], "passed": not bad}
        print(json.dumps(row, ensure_ascii=False), flush=True)


async def until(condition: Callable[[], object], deadline_s: float = 10.0) -> object:
    """The first true value of `condition()`; TimeoutError when the deadline passes first."""
    end = time.monotonic() + deadline_s
    while not (found := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"nothing within {deadline_s} s")
        await asyncio.sleep(0.02)
    return found


async def same_book(picture: Callable[[], tuple[int, list, list] | None], levels: int, deadline_s: float = 20.0) -> str:
    """
    Wait until the client's book and the venue's are seen at one update id, then compare them.

    Args:
        picture: (update id, bids, asks) of the client's book now, best first; None when it has none yet.

    Returns:
        "" when equal, else the first difference.
    """
    seen: dict[int, tuple[list, list]] = {}
    end, asked = time.monotonic() + deadline_s, 0.0
    truths: dict[int, tuple[list, list]] = {}
    while time.monotonic() < end:
        now = picture()
        if now is not None:
            seen[now[0]] = (now[1][:levels], now[2][:levels])
        if time.monotonic() - asked > 0.25:
            asked = time.monotonic()
            u, bids, asks = await asyncio.to_thread(depth_truth, levels)
            truths[u] = (bids, asks)
        for u in seen.keys() & truths.keys():
            if len(seen[u][0]) == len(truths[u][0]) == levels:
                return "" if seen[u] == truths[u] else f"at {u}: client {seen[u]} venue {truths[u]}"
        await asyncio.sleep(0.01)
    return f"no common update id: client {sorted(seen)[-3:]}, venue {sorted(truths)[-3:]}"


def main(life: Callable[[Steps], object]) -> None:
    """Run a script's coroutine; exit code 1 when a step failed or the script itself broke between two steps."""
    steps = Steps()

    async def whole() -> None:
        async with steps("the script", "to reach its end", SCRIPT_S) as came:
            await life(steps)  # type: ignore[misc]
            came("its end", True)

    asyncio.run(whole())
    sys.stdout.flush()
    os._exit(1 if steps.failed else 0)  # clients leave threads and sockets behind that must not hold up the run
