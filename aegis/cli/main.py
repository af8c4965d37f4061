"""`aegis`: read the arguments, hand over to the family that owns the command, turn its outcome into an exit code.

What must stay true: bad input is one line on standard error and exit code 2, never a trace; a command imports only
what it needs, so `aegis status` answers at once; nothing here knows what a command does.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from aegis import __version__
from aegis.cli import books, caps, check, latch, reconcile, run, status, venue
from aegis.errors import AegisError, Operator
from aegis.exchange.options import Parser

FAMILIES = (run, venue, status, books, reconcile, latch, caps, check)
EXIT_FAULT, EXIT_INPUT, EXIT_INTERRUPTED = 1, 2, 130


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = Parser(prog="aegis", description="Trades Binance USD-M futures; proves what it says.")
    top.add_argument("--version", action="version", version=f"aegis {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="command")
    for family in FAMILIES:
        family.add(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run one command.

    Args:
        argv: arguments without the program's name; the process's own when None.

    Returns:
        Exit code.
    """
    args = parser().parse_args(argv)
    try:
        return int(args.handler(args))
    except Operator as e:
        print(f"aegis: {e}", file=sys.stderr)
        return EXIT_INPUT
    except AegisError as e:
        print(f"aegis: {type(e).__name__}: {e}", file=sys.stderr)
        return EXIT_FAULT
    except BrokenPipeError:
        sys.stderr.close()
        return EXIT_FAULT
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
