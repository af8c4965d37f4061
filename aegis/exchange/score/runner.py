"""Plays the cases: venues and clients started, reused while nothing is left behind, renewed when something is.

Problem: a venue and a client of its own for each case is the fairest order and the slowest; one for all lets the
first wrong case spoil the rest. So a pair is used again only after a case that did not fail, when the client has ended
what was left, the venue shows nothing open and nothing held, and the client says it would trade; otherwise both are
ended and new ones started. Several pairs play at once.
What must stay true: a verdict never depends on the order of the cases; a venue that fails is told apart from a client
that fails; everything started here is ended here.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections import deque
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path

import msgspec

from aegis.exchange.clock import mono_ns
from aegis.exchange.score.case import Case
from aegis.exchange.score.scene import Scene
from aegis.exchange.score.speech import Failed, Unmet, Unspoken
from aegis.exchange.score.tidy import clean
from aegis.exchange.score.world import World

CASE_S = 120.0
ATTEMPTS = 2  # of a case whose venue failed; the client's own failures are never tried again


class Verdict(Enum):
    """What became of a case."""

    PASSED = "passed"
    FAILED = "failed"
    UNSPOKEN = "not spoken"


class Result(msgspec.Struct, frozen=True):
    """One row of the table; `why` is empty for passed."""

    family: str
    name: str
    doc: str
    verdict: Verdict
    took_ms: int
    why: str = ""


class Runner:
    """
    Args:
        command: the client's command line.
        jobs: how many venues with their clients play at once.
        seed: of the venues' markets.
        patience: factor on every deadline of the cases.
        logs: directory for what clients and venues write to standard error; a temporary one when None.
        tell: called with each result as it comes.
    """

    def __init__(
        self,
        command: str,
        jobs: int,
        seed: int,
        logs: Path | None = None,
        tell: Callable[[Result], None] = lambda _r: None,
        patience: float = 1.0,
    ) -> None:
        self.command, self.jobs, self.seed, self.tell, self.patience = command, jobs, seed, tell, patience
        self._logs = logs
        self.client_name = ""
        self._started = 0

    async def run(self, cases: list[Case]) -> list[Result]:
        """Play all; results in the order of `cases`."""
        waiting = deque(sorted(range(len(cases)), key=lambda i: bool(cases[i].venue or cases[i].early), reverse=True))
        found: dict[int, Result] = {}
        with tempfile.TemporaryDirectory(prefix="aegis-score-") as directory:
            root = self._logs or Path(directory)
            root.mkdir(parents=True, exist_ok=True)
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self.jobs, len(cases))):
                    group.create_task(self._worker(cases, waiting, found, root))
        return [found[i] for i in range(len(cases))]

    async def _worker(self, cases: list[Case], waiting: deque[int], found: dict[int, Result], root: Path) -> None:
        scene: Scene | None = None
        try:
            while waiting:
                index = waiting.popleft()
                case = cases[index]
                if scene is not None and (case.venue or case.early or not await clean(scene)):
                    await scene.end()
                    scene = None
                for attempt in range(ATTEMPTS):
                    began = mono_ns()
                    scene, result, again = await self._play(case, scene, root, attempt)
                    if not again:
                        break
                found[index] = msgspec.structs.replace(result, took_ms=(mono_ns() - began) // 1_000_000)
                self.tell(found[index])
                if scene is not None and (case.venue or case.last or result.verdict is Verdict.FAILED):
                    await scene.end()
                    scene = None
        finally:
            if scene is not None:
                await scene.end()

    async def _play(
        self, case: Case, scene: Scene | None, root: Path, attempt: int
    ) -> tuple[Scene | None, Result, bool]:
        """One case once: (scene for the next one, result, whether it showed nothing and is worth another try)."""
        verdict, why, again = Verdict.PASSED, "", False
        try:
            async with asyncio.timeout(CASE_S):
                if scene is None:
                    scene = await self._scene(case.venue, root)
                    if not case.early:
                        await scene.start()
                        self.client_name = scene.name
                await scene.begin()
                await case.run(scene)
                await scene.clear()
        except Unmet as e:
            verdict, why, again = Verdict.UNSPOKEN, str(e), attempt + 1 < ATTEMPTS
        except Unspoken as e:
            verdict, why = Verdict.UNSPOKEN, str(e)
        except Failed as e:
            verdict, why = Verdict.FAILED, str(e)
        except TimeoutError:
            verdict, why = Verdict.FAILED, f"not finished within {CASE_S:g} s"
        except Exception as e:  # whatever broke on the venue's side: the case gives no verdict on the client
            verdict, why, again = Verdict.FAILED, f"the venue, not the client: {e!r}", attempt + 1 < ATTEMPTS
        if scene is not None and verdict is not Verdict.PASSED and (again or not scene.started):
            await scene.end()
            scene = None
        return scene, Result(case.family, case.name, case.doc, verdict, 0, why), again

    async def _scene(self, venue: Mapping[str, object], root: Path) -> Scene:
        self._started += 1
        directory = root / f"{self._started:03d}"
        directory.mkdir()
        world = await World.start(directory, self.seed, venue)
        environ = {k: v for k, v in os.environ.items() if not k.startswith("AEGIS_")}
        return Scene(world, self.command, environ, directory / "client.log", self.patience)
