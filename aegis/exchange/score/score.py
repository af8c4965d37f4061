"""`aegis venue score`: choose the cases, play them, print the table.

What must stay true: exit code 0 only when every chosen case passed; the table names every case that was chosen.
"""

from __future__ import annotations

import argparse
import asyncio
import fnmatch
import shlex
import shutil
import sys
from pathlib import Path

import msgspec

from aegis.errors import ConfigError
from aegis.exchange.clock import mono_ns
from aegis.exchange.score import (
    faults_account,
    faults_orders,
    faults_reads,
    faults_streams,
    life,
    life_account,
    refusals,
    table,
)
from aegis.exchange.score.case import CASES, Case
from aegis.exchange.score.runner import Result, Runner, Verdict

FAMILIES = (life, life_account, refusals, faults_orders, faults_reads, faults_streams, faults_account)
EXIT_NOT_ALL = 2


def cases(only: str = "") -> list[Case]:
    """The cases whose "family/name" matches the pattern, or holds it; all for ""."""
    return [c for c in CASES if not only or only in f"{c.family}/{c.name}" or fnmatch.fnmatch(c.name, only)]


def run(args: argparse.Namespace, command: str) -> int:
    """
    Play and print.

    Args:
        command: the client's command line.

    Raises:
        ConfigError: the client cannot be started.

    Returns:
        0 when every case passed, 2 otherwise (also when none was chosen).
    """
    chosen = cases(args.only)
    if args.list:
        print(table.listing(chosen))
        return 0
    if not chosen:
        print(f"score: no case matches {args.only!r}", file=sys.stderr)
        return EXIT_NOT_ALL
    words = shlex.split(command)
    if not words or shutil.which(words[0]) is None:
        raise ConfigError(f"score: --client {command!r}: no such program")
    quiet = args.json or args.markdown

    def tell(result: Result) -> None:
        print(table.line(result), file=sys.stderr if quiet else sys.stdout, flush=True)

    runner = Runner(command, max(1, args.jobs), args.seed, Path(args.logs) if args.logs else None, tell, args.patience)
    began = mono_ns()
    results = asyncio.run(runner.run(chosen))
    took_s = (mono_ns() - began) / 1e9
    name = runner.client_name or command
    if args.json:
        print(msgspec.json.encode(table.as_json(name, results, took_s)).decode())
    else:
        print(table.markdown(name, results) if args.markdown else table.summary(name, results, took_s))
    return 0 if all(r.verdict is Verdict.PASSED for r in results) else EXIT_NOT_ALL
