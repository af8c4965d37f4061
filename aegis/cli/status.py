"""`aegis status`: what runs, how it stands, and how old each piece of that knowledge is.

Everything shown is read from what the processes publish (note, control page, books page, positions page); where
nothing is published, nothing is claimed. Exit 0: runs; 1: halted, or a process is not alive; 3: nothing runs.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

import msgspec

from aegis.cli.settings import Commands, command, running, show
from aegis.errors import AegisError
from aegis.live.clock import Clock
from aegis.messages import Halt

EXIT_FAULT, EXIT_UNKNOWN = 1, 3
PROCESSES = ("venue", "orchestrator", "feed", "brain")


def add(commands: Commands) -> None:
    """Add the family."""
    p = command(commands, "status", "what runs and how it stands", status)
    p.add_argument("--latency", action="store_true", help="show the time of each hop instead")


def status(args: argparse.Namespace) -> int:
    """Collect and print."""
    from aegis.native.latency import report as latency_report

    config, note = running(args)
    name = config.aegis.instance
    if note is None:
        show(args, {"instance": name, "running": False}, [f"instance '{name}': nothing runs"])
        return EXIT_UNKNOWN
    root = config.shm_path()
    control = control_view(root)
    rows = {process: process_view(process, note.processes.get(process, 0), control) for process in PROCESSES}
    if not note.rest_url.startswith("http://127."):
        rows.pop("venue")
    view = {
        "instance": name,
        "running": True,
        "mode": note.mode,
        "account": note.account,
        "supervisor_pid": note.pid,
        "up_s": round((time.time_ns() - note.started_ns) / 1e9, 1),
        "halted": control["halted"],
        "processes": rows,
        "books": books_view(root),
        "positions": positions_view(root),
        "latency": latency_report(root),
    }
    show(args, view, latency_lines(view["latency"]) if args.latency else _lines(view))
    return EXIT_FAULT if view["halted"] or not all(row["alive"] for row in rows.values()) else 0


def alive(pid: int) -> bool:
    """Whether a process of this id exists."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return pid > 0


def control_view(root: Path) -> dict[str, Any]:
    """The control page: counters and age of the last progress per process, halt words."""
    from aegis.native.control import ControlPage

    try:
        page = ControlPage(str(root / "control"))
    except (OSError, AegisError):
        return {"halted": {}, "blocks": {}}
    now_ns = Clock().mono_ns()
    blocks = {}
    for name in ("feed", "brain", "orchestrator"):
        block = page.block(name)
        age_ms = (now_ns - block.beat_ns) // 1_000_000 if block.beat_ns else None
        counters = {key: value for key, value in block.counters().items() if value}
        blocks[name] = {"progress_age_ms": age_ms, "counters": counters}
    return {"halted": {process: Halt(why).name for process, why in page.halted()}, "blocks": blocks}


def process_view(name: str, pid: int, control: dict[str, Any]) -> dict[str, Any]:
    """One process."""
    published: dict[str, Any] = control["blocks"].get(name, {})
    return {"pid": pid, "alive": alive(pid)} | published


def books_view(root: Path) -> dict[str, Any]:
    """Symbols with a book, and how many of them are trusted."""
    from aegis.native.books import BooksReader

    try:
        books = BooksReader(str(root / "books"))
        tops = [books.top(i) for i in range(len(books.symbols()))]
    except (OSError, AegisError):
        return {}
    return {"symbols": len(tops), "trusted": sum(1 for top in tops if top.trusted)}


def positions_view(root: Path) -> dict[str, Any]:
    """The positions page with its age; empty when there is none."""
    page = root / "positions.json"
    try:
        age_s = time.time() - page.stat().st_mtime
        found: dict[str, Any] = msgspec.json.decode(page.read_bytes())
    except (OSError, msgspec.DecodeError):
        return {}
    return found | {"age_s": round(age_s, 2)}


def latency_lines(view: dict[str, dict[str, Any]]) -> list[str]:
    """The latency report as a table, in microseconds since each process began."""
    if not view:
        return ["latency       nothing measured"]
    shown = ("p50", "p90", "p99", "p999", "max")
    lines = [f"{'process':<13} {'hop':<13}{'count':>12}" + "".join(f"{name + ' us':>12}" for name in shown)]
    for process, hops in view.items():
        for hop, row in hops.items():
            times = "".join(f"{row[name] / 1000:>12.2f}" for name in shown)
            behind = f"  clock set back {row['backwards']} times" if row["backwards"] else ""
            lines.append(f"{process:<13} {hop:<13}{row['count']:>12}{times}{behind}")
    return lines


def _lines(view: dict[str, Any]) -> list[str]:
    books, positions = view["books"], view["positions"]
    lines = [f"instance '{view['instance']}' mode {view['mode']} account {view['account']} up {view['up_s']} s"]
    for name, row in view["processes"].items():
        age = row.get("progress_age_ms")
        lines.append(
            f"{name:<13} pid {row['pid']:<8} {'alive' if row['alive'] else 'NOT ALIVE':<10}"
            + (f" progress {age} ms ago" if age is not None else "")
        )
        counters = row.get("counters", {})
        if counters:
            lines.append("              " + " ".join(f"{k}={v}" for k, v in counters.items()))
    lines.append(f"books         {books['trusted']} of {books['symbols']} trusted" if books else "books         none")
    if positions:
        state = "reconciled" if positions.get("reconciled") else "NOT RECONCILED"
        lines.append(f"positions     {state}, {positions['age_s']} s old, wallets {positions.get('wallets')}")
    else:
        lines.append("positions     none published")
    halted = view["halted"]
    lines.append("HALTED        " + " ".join(f"{k}:{v}" for k, v in halted.items()) if halted else "halted        no")
    return lines
