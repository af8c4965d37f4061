"""What the operator may look at: accounts, orders and fills as tables, and the proof that all invariants hold now.

What must stay true: looking changes nothing; a check that cannot run is a failed check; every check names its subject,
so that a broken book is not hidden behind a whole one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aegis.errors import AegisError
from aegis.exchange.engine import Exchange

Books = dict[str, dict[str, Any]]  # complete books by account name
BULK = ("open_orders", "open_algos", "orders", "fills", "income", "client_ids")


def accounts(books: Books) -> dict[str, Any]:
    """Every account without its long lists, which are counted instead."""
    return {
        name: {k: v for k, v in one.items() if k not in BULK} | {"counts": {k: len(one[k]) for k in BULK}}
        for name, one in books.items()
    }


def rows(books: Books, table: str, query: dict[str, str]) -> list[dict[str, Any]]:
    """`orders` or `fills` of all accounts, each with its account; `account` and `symbol` narrow them."""
    return [
        {"account": name, **row}
        for name, one in books.items()
        for row in one[table]
        if query.get("account", name) == name and query.get("symbol", row["symbol"]) == row["symbol"]
    ]


def _checked(check: str, subject: str, run: Callable[[], object]) -> dict[str, Any]:
    """One row: what was checked, whether it holds, and why not."""
    try:
        run()
    except (AegisError, AssertionError, ArithmeticError, LookupError, TypeError) as e:
        return {"check": check, "subject": subject, "ok": False, "detail": f"{type(e).__name__}: {e}"}
    return {"check": check, "subject": subject, "ok": True, "detail": ""}


def verify(ex: Exchange) -> dict[str, Any]:
    """Every invariant, checked now: {"ok", "checks": [{"check", "subject", "ok", "detail"}]}."""
    checks = []
    for name, m in ex.markets.items():
        lawful = getattr(m.book, "check", None)
        if lawful is not None:  # a captured book is what was captured
            checks.append(_checked("book", name, lawful))
    checks += [_checked("account", account.name, account.check) for account in ex.everybody()]
    checks.append(_checked("money", "all", ex.verify))
    return {"ok": all(row["ok"] for row in checks), "checks": checks}
