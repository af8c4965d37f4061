"""How a client and the score speak: JSON lines on the client's standard input and output.

Problem: clients differ in language, in concurrency and in what they call things; a score written against one
library's classes would measure that library. So the score starts the client as a child and asks it in a vocabulary of
its own, small enough to be spoken by a page of code in any language.
What must stay true: one line asks, one line answers, joined by `id`; a verb the client does not know is answered
{"ok": false, "error": {"kind": "unsupported"}} and counts as not spoken, never as passed; an answer that does not come
is a failure of the case, not of the score.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import msgspec

from aegis.errors import AegisError

ENDED = ("FILLED", "CANCELED", "EXPIRED", "REJECTED", "EXPIRED_IN_MATCH")
_LINE_MAX = 1 << 20


class Failed(AegisError):
    """The client was wrong, late or silent: the case is failed, the message says why."""


class Unspoken(AegisError):
    """The client does not speak a verb the case needs."""


class Unmet(Unspoken):
    """What the case arranged met nobody, which may be another time's luck."""


class Answer:
    """
    One answer.

    Args:
        asked: the request, for messages.
        body: the decoded line.
    """

    def __init__(self, asked: Mapping[str, Any], body: Mapping[str, Any]) -> None:
        self.asked, self.body = asked, body
        error = body.get("error")
        self.error: Mapping[str, Any] = error if isinstance(error, Mapping) else {}

    @property
    def ok(self) -> bool:
        """Whether the client says it was done."""
        return self.body.get("ok") is True

    @property
    def kind(self) -> str:
        """Kind of the error; "" when there is none."""
        return str(self.error.get("kind", "")) if not self.ok else ""

    @property
    def code(self) -> int:
        """The venue's code in the error; 0 for none."""
        code = self.error.get("code", 0)
        return code if isinstance(code, int) else 0

    def text(self, name: str) -> str:
        """A field that must be there as text."""
        value = self.body.get(name)
        if not isinstance(value, str):
            raise Failed(f"{self.asked['do']}: {name} is {value!r}, expected text")
        return value

    def rows(self, name: str) -> list[dict[str, Any]]:
        """A field that must be a list of objects."""
        value = self.body.get(name)
        if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
            raise Failed(f"{self.asked['do']}: {name} is {value!r}, expected a list of objects")
        return value

    def __str__(self) -> str:
        shown = {k: v for k, v in self.body.items() if k != "id"}
        return msgspec.json.encode(shown).decode()[:200]


def number(value: object, what: str) -> Decimal:
    """
    The value of decimal text.

    Raises:
        Failed: not text, or not a plain number.
    """
    if not isinstance(value, str):
        raise Failed(f"{what} is {value!r}, expected decimal text")
    try:
        found = Decimal(value)
    except InvalidOperation as e:
        raise Failed(f"{what} is {value!r}, expected decimal text") from e
    if not found.is_finite():
        raise Failed(f"{what} is {value!r}, expected a finite number")
    return found


class Client:
    """
    A client as a child process.

    Args:
        process: started with pipes, in a session of its own.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._next = 0
        self._waiting: dict[int, asyncio.Future[Mapping[str, Any]]] = {}
        self._reader = asyncio.create_task(self._read())

    @staticmethod
    async def start(command: str, environ: Mapping[str, str], log: Path) -> Client:
        """
        Start a command line; its standard error goes to `log`.

        Raises:
            OSError: it cannot be started. ValueError: the line cannot be split.
        """
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                *shlex.split(command),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env=dict(environ),
                limit=_LINE_MAX,
                start_new_session=True,
            )
        return Client(process)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while True:
            try:
                line = await self._process.stdout.readline()
            except ValueError:  # a line beyond all measure
                continue
            if not line:
                break
            try:
                body = msgspec.json.decode(line)
            except msgspec.DecodeError:
                continue  # not an answer: whoever waits for one will say so
            ident = body.get("id") if isinstance(body, dict) else None
            waiting = self._waiting.pop(ident, None) if isinstance(ident, int) else None
            if waiting is not None and not waiting.done():
                waiting.set_result(body)
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(Failed("the client ended"))
        self._waiting.clear()

    async def ask(self, verb: str, limit_s: float, **fields: Any) -> Answer:
        """
        Ask and wait.

        Raises:
            Unspoken: the client does not know it. Failed: no answer within `limit_s` s, or the client ended.
        """
        ident = self._next = self._next + 1
        asked = {"id": ident, "do": verb} | fields
        if self._reader.done():
            raise Failed("the client ended")
        waiting: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[ident] = waiting
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(msgspec.json.encode(asked) + b"\n")
            await self._process.stdin.drain()
            answer = Answer(asked, await asyncio.wait_for(waiting, limit_s))
        except TimeoutError as e:
            raise Failed(f"{verb}: no answer within {limit_s:g} s") from e
        except (ConnectionError, BrokenPipeError) as e:
            raise Failed("the client ended") from e
        finally:
            self._waiting.pop(ident, None)
        if answer.kind == "unsupported":
            raise Unspoken(verb)
        return answer

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.returncode is not None

    async def end(self, patience_s: float = 10.0) -> None:
        """Ask it to stop by closing its input and SIGTERM; what then still lives of its session is killed."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), patience_s)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
