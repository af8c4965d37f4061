"""`aegis venue`: run the simulated exchange; `aegis venue verify`: ask a running one whether its books hold.

What must stay true: verify exits 0 only when every invariant was checked and holds, 2 when one does not, 1 when the
venue could not be asked.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec

from aegis.cli import score
from aegis.cli.settings import Commands, command, settings, show
from aegis.errors import ConfigError, Unreachable
from aegis.exchange import options
from aegis.live.supervisor_instance import read_note

ASK_S = 30.0
CONFIGURED = ("port", "seed", "symbols", "replay", "speed", "wallet", "events_per_s", "tls")  # also in section [paper]


class Check(msgspec.Struct):
    """One invariant of one subject."""

    check: str
    subject: str
    ok: bool
    detail: str


class Verdict(msgspec.Struct):
    """What GET /control/verify answers."""

    ok: bool
    checks: list[Check]


def add(commands: Commands) -> None:
    """Add the family."""
    p = command(commands, "venue", "the simulated exchange alone, on loopback", run)
    options.add(p)
    more = p.add_subparsers(dest="venue_command", metavar="command", title="further commands")
    score.add(more)
    v = more.add_parser("verify", help="check the invariants of a running venue", description=__doc__)
    where = v.add_mutually_exclusive_group()
    where.add_argument(
        "--control-port",
        type=options.port,
        dest="ask_port",
        metavar="PORT",
        help="its control port (default: of `aegis up`)",
    )
    where.add_argument("--url", dest="ask_url", help="or the control address, http://127.0.0.1:PORT")
    v.add_argument("--json", action="store_true", help="JSON on standard output")
    v.set_defaults(handler=verify)


def run(args: argparse.Namespace) -> int:
    """Run the simulator; what is not given on the command line comes from the settings."""
    more = {f"paper.{name}": getattr(args, name) for name in CONFIGURED}
    config = settings(args, {**more, "venue.keys_file": args.keys}).config
    laid = {name: getattr(config.paper, name) for name in CONFIGURED}
    keys = config.venue.keys_file
    if not args.keys and (args.account or (keys == str(config.shm_path() / "keys.json") and not Path(keys).exists())):
        keys = ""  # the supervisor's own file: absent when nobody supervises, and nobody's with accounts given here
    from aegis.exchange import server

    return server.run(argparse.Namespace(**{**vars(args), **laid, "keys": keys}))


def verify(args: argparse.Namespace) -> int:
    """Ask, show a table, tell by the exit code."""
    verdict = ask(address(args))
    wide = max((len(row.subject) for row in verdict.checks), default=0)
    lines = [
        f"{'ok' if c.ok else 'BROKEN':6}  {c.check:8}  {c.subject:{wide}}  {c.detail}".rstrip() for c in verdict.checks
    ]
    broken = sum(not c.ok for c in verdict.checks)
    lines.append(f"{len(verdict.checks)} checks, {broken} broken")
    show(args, verdict, lines)
    return 0 if verdict.ok and verdict.checks and not broken else 2


def address(args: argparse.Namespace) -> str:
    """
    The control address asked for, or that of the paper venue which `aegis up` runs here.

    Raises:
        ConfigError: neither is to be had.
    """
    if args.ask_url or args.ask_port:
        return str(args.ask_url or f"http://127.0.0.1:{args.ask_port}")
    note = read_note(settings(args).config.shm_path())
    if note is None or not note.control_url:
        raise ConfigError(
            "venue verify: no paper venue runs here; give --control-port, it is in the venue's ready line"
        )
    return note.control_url


def ask(url: str) -> Verdict:
    """
    The verdict of the venue behind a control address.

    Raises:
        ConfigError: not a loopback address. Unreachable: no answer, or not a verdict.
    """
    if not url.startswith(("http://127.0.0.1:", "http://localhost:")):
        raise ConfigError(f"venue verify: {url}: expected http://127.0.0.1:PORT")
    import urllib.request  # here, because every command imports this family

    try:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback goes through no proxy
        with direct.open(f"{url.rstrip('/')}/control/verify", timeout=ASK_S) as answer:
            return msgspec.json.decode(answer.read(), type=Verdict)
    except (OSError, ValueError, msgspec.DecodeError) as e:
        raise Unreachable(f"venue verify: {url}: {e}") from e
