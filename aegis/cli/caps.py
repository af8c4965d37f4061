"""`aegis caps`: the limits of the account; `aegis caps raise --reason "..."`: let the next start take higher ones.

In force is what the sealed pages of the running brain hold. Exit 0: shown, or raised; 1: a setting is higher than what
is allowed, so a start trades with less than it asks for.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import msgspec

from aegis.cli.settings import Commands, command, running, show
from aegis.config import Config
from aegis.errors import AegisError
from aegis.live import caps
from aegis.live.log import stamp

EXIT_ABOVE = 1


def add(commands: Commands) -> None:
    """Add the family."""
    p = command(commands, "caps", "the limits in force; raise: let the next start take higher ones", run)
    p.add_argument("act", nargs="?", choices=("show", "raise"), default="show", help="show (default) or raise")
    p.add_argument("--reason", metavar="TEXT", default="", help="why they are raised; recorded")


def run(args: argparse.Namespace) -> int:
    """Show, or record an act."""
    return _raise(args) if args.act == "raise" else _show(args)


def _show(args: argparse.Namespace) -> int:
    config, note = running(args)
    now = caps.standing(config)
    asked, held = caps.written(config.risk), _sealed(config) if note is not None else {}
    view: dict[str, Any] = {
        "account": config.aegis.account,
        "running": note is not None,
        "caps": {
            name: {
                "setting": asked[name],
                "remembered": (now.remembered or {}).get(name),
                "in_force": held.get(name),
                "next_start": str(getattr(now.effective, name)),
            }
            for name in caps.NAMES
        },
        "above": list(now.above),
        "acts": [msgspec.structs.asdict(a) for a in now.acts],
    }
    lines = [f"{'risk.':<24}{'setting':>16}{'remembered':>16}{'in force':>16}{'next start':>16}"]
    for name, row in view["caps"].items():
        cells = "".join(f"{row[key] or '-':>16}" for key in ("setting", "remembered", "in_force", "next_start"))
        lines.append(f"{name:<24}{cells}{'  refused' if name in now.above else ''}")
    lines += [f"{stamp(a.at_ns)} raised by {a.who}: {_change(a)}: {a.reason}" for a in now.acts]
    show(args, view, lines)
    return EXIT_ABOVE if now.above else 0


def _sealed(config: Config) -> caps.Caps:
    """What the running brain's gate holds, as it published it."""
    from aegis.native.control import ControlPage

    try:
        return caps.sealed(ControlPage(str(config.shm_path() / "control")).block("brain"))
    except AegisError:
        return {}


def _raise(args: argparse.Namespace) -> int:
    config, note = running(args)
    act = caps.act(config, args.reason, time.time_ns())
    if act is None:
        show(args, {"raised": None}, ["no setting is higher than what is allowed: nothing to raise"])
        return 0
    when = "after a restart" if note is not None else "at the next start"
    show(args, {"raised": msgspec.structs.asdict(act)}, [f"allowed {when}: {_change(act)}"])
    return 0


def _change(act: caps.Act) -> str:
    return ", ".join(f"{name} {act.old[name]} -> {new}" for name, new in act.new.items())
