"""`aegis halt` and `aegis resume`: the operator's own halt word on the control page.

Halt stops entries, never exits nor cancels. Resume clears the operator's word and raises `resume_epoch`; each process
that sees it rise clears its own word. Both take effect within one turn of each process, without a restart.
"""

from __future__ import annotations

import argparse

from aegis.cli.settings import Commands, command, running, show
from aegis.cli.status import EXIT_UNKNOWN
from aegis.messages import Halt


def add(commands: Commands) -> None:
    """Add the family."""
    command(commands, "halt", "stop entries; exits and cancels go on", halt)
    command(commands, "resume", "allow entries again", resume)


def halt(args: argparse.Namespace) -> int:
    """Set the latch."""
    return _write(args, set_it=True)


def resume(args: argparse.Namespace) -> int:
    """Clear the latch."""
    return _write(args, set_it=False)


def _write(args: argparse.Namespace, *, set_it: bool) -> int:
    config, note = running(args)
    path = config.shm_path() / "control"
    if note is None and not path.exists():
        show(args, {"running": False}, [f"instance '{config.aegis.instance}': nothing runs"])
        return EXIT_UNKNOWN
    from aegis.native.control import ControlPage

    page = ControlPage(str(path))
    block = page.block("operator")
    if set_it:
        block.halt(Halt.OPERATOR)
    else:
        page.resume()
    halted = {process: Halt(why).name for process, why in page.halted()}
    show(args, {"running": note is not None, "halted": halted}, ["halted" if set_it else "resumed"])
    return 0
