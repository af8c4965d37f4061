"""Structured log lines: `<iso time> <process> <level> <event> key=value ...`, one line each, to standard error.

Problem: a log is read at three in the morning by a person and by grep; free text serves neither. What must stay
true: one record is one line whatever a value holds (control characters are escaped); a field whose name says it is
a secret is never printed; a full or closed pipe never stops a process that trades.
"""

from __future__ import annotations

import sys
import time
from typing import Any, TextIO

_SECRET = ("secret", "ed25519", "api_key", "signature", "listen_key", "password")


class Log:
    """
    Writer of log lines for one process.

    Args:
        process: name in each line, e.g. "feed".
        out: stream; standard error when None.
    """

    def __init__(self, process: str, out: TextIO | None = None) -> None:
        self._process = process
        self._out = out if out is not None else sys.stderr

    def info(self, event: str, /, **fields: Any) -> None:
        """Something expected happened."""
        self._write("info", event, fields)

    def warn(self, event: str, /, **fields: Any) -> None:
        """Something went wrong and is being dealt with."""
        self._write("warn", event, fields)

    def error(self, event: str, /, **fields: Any) -> None:
        """Something went wrong and stays so until somebody acts."""
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, Any]) -> None:
        text = "".join(f" {k}={_shown(k, v)}" for k, v in fields.items())
        try:
            self._out.write(f"{stamp(time.time_ns())} {self._process} {level} {_escaped(event)}{text}\n")
            self._out.flush()
        except (OSError, ValueError):
            return


def stamp(now_ns: int) -> str:
    """ISO time in UTC with microseconds, from wall nanoseconds."""
    whole, rest = divmod(now_ns, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{rest // 1000:06d}Z"


def get(process: str) -> Log:
    """The log of `process` on standard error."""
    return Log(process)


def _shown(key: str, value: Any) -> str:
    if any(word in key.lower() for word in _SECRET):
        return "[hidden]"
    text = _escaped(str(value))
    return f'"{text}"' if " " in text or not text else text


def _escaped(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
