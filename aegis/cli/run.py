"""Commands that run processes: up, feed, brain, orchestrator."""

from __future__ import annotations

import argparse

from aegis.cli.settings import Commands, command, settings
from aegis.config import check_live


def add(commands: Commands) -> None:
    """Add the family."""
    p = command(commands, "up", "start everything, watch it, stop it in order", up)
    p.add_argument("--seed", type=int, help="seed of the paper venue's market")
    p.add_argument("--symbols", type=int, help="how many symbols the paper venue lists")
    p.add_argument("--replay", metavar="FILE", help="stream a capture instead of a synthetic market")
    p.add_argument("--speed", help="pace of the replay: 1, a factor, or max")
    p.add_argument("--exit-at-end", action="store_true", help="stop with the replay and print what it came to")
    p.add_argument("--duration", type=float, default=0.0, metavar="S", help="stop after this many seconds")
    p.add_argument("--live", action="store_true", help="allow mode 'live': real money")
    for name, text in (
        ("feed", "sockets to shared memory"),
        ("brain", "strategy, limits, orders"),
        ("orchestrator", "books and reconciliation"),
    ):
        p = command(commands, name, text, process)
        p.add_argument("--live", action="store_true", help="allow mode 'live': real money")


def up(args: argparse.Namespace) -> int:
    """Run the supervisor."""
    more = {
        "paper.seed": args.seed,
        "paper.symbols": args.symbols,
        "paper.replay": args.replay,
        "paper.speed": args.speed,
    }
    config = settings(args, more).config
    check_live(config, args.live)
    if not config.aegis.mode.startswith("paper"):
        from aegis.live import keys

        keys.load(config)
    from aegis.live import supervisor

    options = supervisor.Options(json=args.json, exit_at_end=args.exit_at_end, duration_s=args.duration, live=args.live)
    return supervisor.run(config, options)


def process(args: argparse.Namespace) -> int:
    """Run one of the three processes in this one."""
    from importlib import import_module

    config = settings(args).config
    check_live(config, args.live)
    return int(import_module(f"aegis.live.{args.command}").run(config))
