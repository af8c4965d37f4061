"""Small things around the programs of the path bench: building them, waiting for them, what the machine does meanwhile.

What must stay true: nothing here measures; a program is built again when its source or `wire.h` is newer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
import certs  # noqa: E402  # the tests' own, in the directory above

BUILD = HERE.parents[1] / "build" / "bench"
CFLAGS = "-std=c11 -O2 -g -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror".split()
START_S = 60.0


def build(name: str) -> Path:
    """A program of `c/`, compiled when its source is newer."""
    made, source = BUILD / name, HERE / "c" / f"{name}.c"
    newest = max(p.stat().st_mtime for p in (source, HERE / "c" / "wire.h"))
    if not made.exists() or made.stat().st_mtime < newest:
        BUILD.mkdir(parents=True, exist_ok=True)
        fresh = made.with_suffix(f".{os.getpid()}")
        subprocess.run(["gcc", *CFLAGS, str(source), "-lssl", "-lcrypto", "-o", str(fresh)], check=True)
        fresh.replace(made)
    return made


def jitter(cpu: int, ms: int = 300) -> dict[str, int]:
    """The machine's own holes on a processor: see `c/jitter.c`."""
    return dict(json.loads(subprocess.check_output([str(build("jitter")), str(cpu), str(ms)])))


def cpu_s(pid: int) -> float:
    """Processor seconds a process's threads have used, by the scheduler's count (a clock tick misses short runs)."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(t.read_text().split()[0]) for t in tasks) / 1e9


def until(condition: Any, what: str, *processes: subprocess.Popen[Any], said: Any = str) -> None:
    """Wait for a condition while the processes live, with a deadline."""
    end = time.monotonic() + START_S
    while not condition():
        gone = any(p.poll() is not None for p in processes)
        if gone or time.monotonic() > end:
            raise AssertionError(f"{what}: {'ended' if gone else 'not in time'}\n{said()}")
        time.sleep(0.02)


def certificate(into: Path) -> tuple[Path, Path]:
    """A certificate for localhost, made now: (file of certificate and key, authority to trust)."""
    authority = certs.make(into)
    return into / "good.pem", authority
