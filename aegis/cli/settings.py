"""What all commands share: --config, --set, --json, and the settings of what already runs.

A command in another terminal must speak to the instance that runs, with the account and addresses it really has (paper
mode draws them anew each time). So the running supervisor's note is laid over the file's settings.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

import msgspec

from aegis.config import Config, Loaded, load
from aegis.errors import ConfigError
from aegis.live.supervisor_instance import Note, read_note

Commands = Any  # argparse keeps the type of what add_subparsers returns private


def command(commands: Commands, name: str, text: str, handler: Any) -> argparse.ArgumentParser:
    """Add a command with the options every command has."""
    p: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    p.add_argument("--config", metavar="FILE", help="settings (TOML)")
    p.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="override, e.g. feed.stale_s=30")
    p.add_argument("--json", action="store_true", help="JSON on standard output")
    p.set_defaults(handler=handler)
    return p


def settings(args: argparse.Namespace, more: dict[str, Any] | None = None) -> Loaded:
    """
    Effective settings of a command.

    Args:
        args: with `config` and `set`.
        more: overrides from the command's own options; None values are left out.

    Raises:
        ConfigError: see `aegis.config.load`.
    """
    overrides = {key: value for key, value in (more or {}).items() if value is not None}
    for item in args.set:
        key, equals, value = item.partition("=")
        if not equals:
            raise ConfigError(f"config: --set {item!r}: expected section.field=value")
        overrides[key] = value
    return load(args.config, os.environ, overrides)


def running(args: argparse.Namespace) -> tuple[Config, Note | None]:
    """Settings laid under those of the running instance, and its note; None when nothing runs."""
    config = settings(args).config
    note = read_note(config.shm_path())
    if note is not None:
        config = settings(args, dict(note.settings())).config
    return config, note


def show(args: argparse.Namespace, value: Any, lines: list[str]) -> None:
    """Print `value` as JSON, or `lines`, as asked for."""
    text = msgspec.json.encode(value).decode() if args.json else "\n".join(lines)
    if text:
        sys.stdout.write(text + "\n")
