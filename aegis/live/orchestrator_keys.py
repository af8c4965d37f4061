"""The listen key: made, kept alive, replaced. The feed follows the file.

Problem: a key dies silently, and the socket that used it stays open and says nothing. So the key is refreshed long
before its 60 minutes, failures are retried at 5, 10 and 30 s, and two failures in a row, -1125 or the venue's notice
make a new key.
What must stay true: the file is 0600, replaced in one step, and its content is never logged.

Source: PROTOCOL 1.2.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from aegis.errors import AegisError, VenueError
from aegis.live.log import Log
from aegis.live.orchestrator_books import write_atomic

PATH = "/fapi/v1/listenKey"
REFRESH_S = 1500.0
RETRY_S = (5.0, 10.0, 30.0)


class ListenKey:
    """
    Keeper of the one key.

    Args:
        file: where the feed looks for it.
        refresh_s: pause between keepalives.
    """

    def __init__(self, rest: Any, file: Path, log: Log, refresh_s: float = REFRESH_S) -> None:
        self._rest, self._file, self._log, self._refresh_s = rest, file, log, refresh_s
        self.expired = asyncio.Event()
        self.rotations = 0

    async def run(self) -> None:
        """Until cancelled."""
        failures = 0
        await self._create()
        while True:
            pause = RETRY_S[min(failures, len(RETRY_S)) - 1] if failures else self._refresh_s
            try:
                async with asyncio.timeout(pause):
                    await self.expired.wait()
            except TimeoutError:
                pass
            if self.expired.is_set() or failures >= 2:
                self.expired.clear()
                failures = 0
                self.rotations += 1
                await self._create()
                continue
            try:
                await self._rest.put(PATH, {}, signed=False)
                failures = 0
            except VenueError as e:
                failures = 2 if e.code == -1125 else failures + 1
                self._log.warn("keepalive refused", code=e.code)
                if e.code == -1125:
                    self.expired.set()
            except (AegisError, OSError, TimeoutError) as e:
                failures += 1
                self._log.warn("keepalive failed", why=repr(e))

    async def _create(self) -> None:
        attempt = 0
        while True:
            try:
                found = await self._rest.post(PATH, {}, signed=False)
                write_atomic(self._file, found["listenKey"].encode(), 0o600)
                self._log.info("private stream key written", rotations=self.rotations)
                return
            except (AegisError, OSError, TimeoutError, KeyError) as e:
                self._log.warn("private stream key not made, will retry", why=repr(e))
            await asyncio.sleep(min(0.5 * 2**attempt, RETRY_S[-1]))
            attempt = min(attempt + 1, 6)
