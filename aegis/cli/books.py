"""`aegis positions` and `aegis orders`: the books as the orchestrator publishes and stores them.

Both work when nothing runs, from the store, and then say so. Exit 0: shown; 3: neither page nor store exists.
"""

from __future__ import annotations

import argparse
import sqlite3
from typing import Any

import msgspec

from aegis.cli.settings import Commands, command, running, show
from aegis.cli.status import EXIT_UNKNOWN, positions_view
from aegis.config import Config
from aegis.ledger.ledger import Ledger
from aegis.live.store import OrderRow, Store


def add(commands: Commands) -> None:
    """Add the family."""
    command(commands, "positions", "positions, wallets, realised result and fees", positions)
    command(commands, "orders", "orders that are not done", orders)


def _store(config: Config) -> Store | None:
    path = config.state_path() / "store.sqlite"
    try:
        return Store(path, read_only=True) if path.exists() else None
    except sqlite3.Error:
        return None


def positions(args: argparse.Namespace) -> int:
    """The published page, or the stored books when nothing runs."""
    config, note = running(args)
    view: dict[str, Any] = positions_view(config.shm_path()) if note else {}
    if not view:
        store = _store(config)
        if store is None:
            show(args, {"running": note is not None, "account": config.aegis.account}, ["no books yet"])
            return EXIT_UNKNOWN
        ledger = store.load(Ledger())
        store.close()
        held = {s: {"qty": str(p.qty), "cost": str(p.cost)} for s, p in ledger.positions.items() if p.qty}
        view = {"positions": held, "wallets": {a: str(w) for a, w in ledger.wallets.items()}}
    view |= {"running": note is not None, "account": config.aegis.account}
    lines = [] if note else ["nothing runs; from the store:"]
    lines += [
        f"{symbol:<16}{row['qty']:>18}  " + (f"@ {row['entry']}" if "entry" in row else f"cost {row['cost']}")
        for symbol, row in view["positions"].items()
    ]
    lines += [f"wallet {asset:<9}{amount:>18}" for asset, amount in view["wallets"].items()]
    lines += [f"{key:<16}{view[key]:>18}" for key in ("realised", "fees") if isinstance(view.get(key), str)]
    show(args, view, lines)
    return 0


def orders(args: argparse.Namespace) -> int:
    """Working orders from the store."""
    config, note = running(args)
    store = _store(config)
    if store is None:
        show(args, {"running": note is not None, "account": config.aegis.account}, ["no books yet"])
        return EXIT_UNKNOWN
    rows = list(store.orders_working().values())
    store.close()
    view = {
        "running": note is not None,
        "account": config.aegis.account,
        "orders": [msgspec.structs.asdict(row) for row in rows],
    }
    lines = [] if note else ["nothing runs; from the store:"]
    show(args, view, lines + ([_line(row) for row in rows] or ["no working orders"]))
    return 0


def _line(row: OrderRow) -> str:
    side = "BUY" if row.side > 0 else "SELL"
    filled = f"{row.filled_qty}/{row.qty} @ {row.price}"
    return f"{row.client_id:<36} {row.symbol:<14} {side:<4} {filled} {row.phase} {row.status}"
