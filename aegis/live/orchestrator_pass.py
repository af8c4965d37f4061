"""One pass from outside: what `aegis reconcile --once` runs.

Problem: an operator wants a second opinion that does not depend on the process it judges. So the plain pass opens the
store read-only, asks the venue itself and changes nothing; the resolving pass asks the running orchestrator, the only
writer of the books, through a file and waits for its report.
What must stay true: without --resolve nothing on either side changes, whatever is found.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from aegis.config import Config
from aegis.errors import ConfigError, Unreachable
from aegis.ledger.ledger import Ledger
from aegis.live import keys
from aegis.live import orchestrator_venue as venue
from aegis.live.clock import Clock
from aegis.live.orchestrator_recon import SETTLE_S, as_dict
from aegis.live.rest import Rest
from aegis.live.store import Store
from aegis.recon.compare import Books, Difference, Report, compare, in_flight, persistent
from aegis.units import Num

LOOKS = 5
SAMPLE_S = 0.01
RESOLVE_S = 60.0
Trail = dict[tuple[Difference, str], set[Num]]


def reconcile_once(config: Config, *, resolve: bool = False) -> dict[str, Any]:
    """
    Compare the stored books with the venue now.

    Args:
        resolve: ask the running orchestrator to adopt or correct; False changes nothing.

    Returns:
        The report: result "ok" or "mismatch", matches, mismatches, positions, times, `lines` for people.

    Raises:
        ConfigError: no store, or no credentials. Unreachable: the venue or (resolve) the orchestrator does not answer.
    """
    return asyncio.run(_resolve(config, RESOLVE_S) if resolve else _compare(config))


async def _compare(config: Config) -> dict[str, Any]:
    path = config.state_path() / "store.sqlite"
    if not path.exists():
        raise ConfigError(f"no books yet: {path} does not exist")
    rest = Rest(config.venue, keys.load(config), Clock())
    try:
        report = await _looks(path, rest)
    finally:
        await rest.close()
    return shown(report)


def shown(report: Report) -> dict[str, Any]:
    """The report as data and as lines."""
    lines = [f"{m.kind.value} {m.name}: ours {m.ours}, venue {m.theirs}" for m in report.mismatches]
    return as_dict(report) | {"lines": report.lines() + lines}


async def _looks(path: Path, rest: Any) -> Report:
    """Look until clean, at most `LOOKS` times; what differs in every look is a difference."""
    report = await _look(path, rest)
    for _ in range(LOOKS - 1):
        if report.clean():
            break
        report = persistent(report, await _look(path, rest))
    return report


async def _look(path: Path, rest: Any) -> Report:
    clock, trail = Clock(), Trail()
    async with _sampled(path, trail):
        theirs = await venue.snapshot(rest, clock.now_ns())
        await asyncio.sleep(SETTLE_S)
    ours, phases = _stored(path, clock.now_ns(), theirs)
    gone = {c for c in theirs.orders if phases.get(c) == "done"}
    theirs = msgspec.structs.replace(theirs, orders={c: s for c, s in theirs.orders.items() if c not in gone})
    return compare(in_flight(ours, theirs, trail), theirs)


def _stored(path: Path, now_ns: int, theirs: Books) -> tuple[Books, dict[str, str]]:
    """Our side from the store, and the phases of the orders the venue shows."""
    store = Store(path, read_only=True)
    try:
        ledger, working = store.load(Ledger()), store.orders_working()
        phases = {c: store.order_phase(c) for c in theirs.orders}
    finally:
        store.close()
    works = {c: o.symbol for c, o in working.items() if o.phase == "open" or c in theirs.orders}
    held = {s: p.qty for s, p in ledger.positions.items() if p.qty}
    return Books(positions=held, wallets=dict(ledger.wallets), orders=works, taken_ns=now_ns), phases


@contextlib.asynccontextmanager
async def _sampled(path: Path, trail: Trail) -> AsyncIterator[None]:
    """While inside, collect every value the stored books go through: wallets posting by posting, positions sampled."""
    store = Store(path, read_only=True)
    start = store.newest_posting()

    def note() -> None:
        for symbol, held in store.load(Ledger()).positions.items():
            trail.setdefault((Difference.POSITION, symbol), set()).add(held.qty)

    async def watch() -> None:
        seen = -1
        while True:
            version = store.version()
            if version != seen:
                seen = version
                note()
            await asyncio.sleep(SAMPLE_S)

    note()
    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        note()
        for asset, balance in store.wallet_trail(start):
            trail.setdefault((Difference.WALLET, asset), set()).add(balance)
        store.close()


async def _resolve(config: Config, timeout_s: float) -> dict[str, Any]:
    """Ask the running orchestrator; its first comparison is the report, `result` is what is left afterwards."""
    root = config.shm_path()
    request, answer = root / "reconcile.request", root / "reconcile.report.json"
    if not root.is_dir():
        raise Unreachable(f"instance '{config.aegis.instance}' is not running")
    request.touch()
    asked = request.stat().st_mtime_ns
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                with contextlib.suppress(OSError, msgspec.DecodeError):
                    found: dict[str, Any] = msgspec.json.decode(answer.read_bytes())
                    if found["request_ns"] >= asked:
                        break
                await asyncio.sleep(0.02)
    except TimeoutError as e:
        raise Unreachable(f"no report of the orchestrator within {timeout_s:g} s") from e
    rows = [f"{m['kind']} {m['name']}: ours {m['ours']}, venue {m['theirs']}" for m in found["mismatches"]]
    head = f"Report: {found['matches']} matches, {len(found['mismatches'])} mismatches; action {found['action']}"
    return found | {"result": found["result_after"], "lines": [head, *rows, f"afterwards: {found['result_after']}"]}
