"""`aegis reconcile --once`: compare our books with the venue's now, and with --resolve mend what may be mended.

Exit 0: no difference (left); 2: differences, listed; 1: the venue could not be asked.
"""

from __future__ import annotations

import argparse

from aegis.cli.settings import Commands, command, running, show

EXIT_DIFFERENCE = 2


def add(commands: Commands) -> None:
    """Add the family."""
    p = command(commands, "reconcile", "compare our books with the venue's", reconcile)
    p.add_argument("--once", action="store_true", required=True, help="one pass, now")
    p.add_argument("--resolve", action="store_true", help="adopt the venue's side, booked as labelled adjustments")


def reconcile(args: argparse.Namespace) -> int:
    """One pass."""
    config, _ = running(args)
    from aegis.live import orchestrator

    report = orchestrator.reconcile_once(config, resolve=args.resolve)
    show(args, report, report["lines"])
    return 0 if report["result"] == "ok" else EXIT_DIFFERENCE
