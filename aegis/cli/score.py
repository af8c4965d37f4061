"""`aegis venue score`: any client, or AEGIS itself, through the cases of the venue.

Exit 0: every chosen case passed; 2: one did not, or was not spoken; 1: a fault of the score.
"""

from __future__ import annotations

import argparse
import shlex
import sys

from aegis.cli.settings import Commands
from aegis.exchange.score import SPEECH

ABOUT = """\
Plays a scripted set of cases (life cycles, errors, faults) against a client and prints what it got right. Each case
arranges something at a simulated venue, asks the client to act or to say what it believes, and compares that with
what the venue knows. Without --client it is AEGIS itself: feed, brain and orchestrator as `aegis up` runs them.
"""


def add(verbs: Commands) -> None:
    """Add the command to the venue's."""
    p: argparse.ArgumentParser = verbs.add_parser(
        "score",
        help="put a client through the venue's cases, faults included",
        description=ABOUT,
        epilog=SPEECH,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--client", metavar="CMD", default="", help="command line of the client; AEGIS itself when left out")
    p.add_argument("--only", metavar="PATTERN", default="", help="cases whose family/name holds or matches this")
    p.add_argument("--list", action="store_true", help="print the cases and their laws, play nothing")
    p.add_argument("--jobs", type=int, default=3, help="venues and clients at once (3)")
    p.add_argument("--seed", type=int, default=1, help="seed of the venues' markets")
    p.add_argument("--patience", type=float, default=1.0, metavar="FACTOR", help="on every deadline of the cases (1)")
    p.add_argument("--logs", metavar="DIR", help="keep what clients and venues say on standard error here")
    p.add_argument("--markdown", action="store_true", help="print the README's table instead")
    p.add_argument("--json", action="store_true", help="JSON on standard output, progress on standard error")
    p.set_defaults(handler=score)


def score(args: argparse.Namespace) -> int:
    """Play."""
    from aegis.exchange.score.score import run

    return run(args, args.client or shlex.join([sys.executable, "-m", "aegis.cli.score_client"]))
