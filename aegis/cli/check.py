"""`aegis config check`: every effective value and where it came from."""

from __future__ import annotations

import argparse

import msgspec

from aegis.cli.settings import Commands, command, settings
from aegis.config import SECTIONS


def add(commands: Commands) -> None:
    """Add the family."""
    family = commands.add_parser("config", help="look at the settings", description="look at the settings")
    verbs = family.add_subparsers(dest="verb", required=True, metavar="verb")
    command(verbs, "check", "print each effective value and its origin; exit 2 when one cannot be used", check)


def check(args: argparse.Namespace) -> int:
    """Load, check the credentials the mode needs, and print."""
    loaded = settings(args)
    if not loaded.config.aegis.mode.startswith("paper"):
        from aegis.live import keys

        keys.load(loaded.config)
    rows = {
        f"{section}.{field}": getattr(getattr(loaded.config, section), field)
        for section, kind in SECTIONS.items()
        for field in kind.__struct_fields__
    }
    if args.json:
        value = {key: {"value": value, "origin": loaded.origins[key]} for key, value in rows.items()}
        print(msgspec.json.encode(value).decode())
    else:
        for key, value in rows.items():
            print(f"{key:<28} {msgspec.json.encode(value).decode():<40} {loaded.origins[key]}")
    return 0
