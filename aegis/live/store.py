"""The durable books: one SQLite file in WAL mode, written by the orchestrator alone.

Problem: a process that dies between "folded" and "cursor moved" loses or doubles what it folded. So every batch is
one transaction that holds its fills, postings, positions, wallets, orders and the ring cursors; after SIGKILL the
cursor says exactly what is in. (synchronous=NORMAL: a power cut may take the last commits away, but then the rings
are gone too, their epoch is new, and reconciliation fills the gap.)
What must stay true: numbers are stored as text, never as REAL; a second writer is refused by the lock file; schema
changes only by a further migration.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path

import msgspec

from aegis.errors import Machine
from aegis.ledger.ledger import Effect, Ledger
from aegis.ledger.position import Position
from aegis.ledger.postings import PostingKind
from aegis.messages import Fill, Side
from aegis.units import Num

MIGRATIONS = (
    """
    CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE fills(symbol TEXT NOT NULL, trade_id INTEGER NOT NULL, order_id INTEGER NOT NULL,
      side INTEGER NOT NULL, qty TEXT NOT NULL, price TEXT NOT NULL, commission TEXT NOT NULL,
      commission_asset TEXT NOT NULL, realised TEXT NOT NULL, margin_asset TEXT NOT NULL,
      maker INTEGER NOT NULL, exch_ns INTEGER NOT NULL, client_id TEXT NOT NULL, source TEXT NOT NULL,
      PRIMARY KEY(symbol, trade_id)) WITHOUT ROWID;
    CREATE TABLE postings(id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, asset TEXT NOT NULL, amount TEXT NOT NULL,
      exch_ns INTEGER NOT NULL, symbol TEXT NOT NULL, trade_id INTEGER NOT NULL, qty TEXT NOT NULL, price TEXT NOT NULL,
      note TEXT NOT NULL);
    CREATE TABLE positions(symbol TEXT PRIMARY KEY, qty TEXT NOT NULL, cost TEXT NOT NULL, confirmed INTEGER NOT NULL,
      last_trade INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE wallets(asset TEXT PRIMARY KEY, wallet TEXT NOT NULL, anchor_ns INTEGER) WITHOUT ROWID;
    CREATE TABLE totals(asset TEXT, kind INTEGER, amount TEXT NOT NULL, PRIMARY KEY(asset, kind)) WITHOUT ROWID;
    CREATE TABLE orders(client_id TEXT PRIMARY KEY, symbol TEXT NOT NULL, side INTEGER NOT NULL, qty TEXT NOT NULL,
      price TEXT NOT NULL, filled_qty TEXT NOT NULL, order_id INTEGER NOT NULL, phase TEXT NOT NULL,
      status TEXT NOT NULL, updated_ns INTEGER NOT NULL, origin TEXT NOT NULL) WITHOUT ROWID;
    CREATE INDEX orders_working ON orders(phase) WHERE phase != 'done';
    CREATE TABLE reports(id INTEGER PRIMARY KEY, taken_ns INTEGER NOT NULL, kind TEXT NOT NULL, result TEXT NOT NULL,
      body TEXT NOT NULL);
    CREATE TABLE incidents(id INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, what TEXT NOT NULL, detail TEXT NOT NULL);
    """,
)


class StoreBusy(Machine):
    """Another process writes this store."""


class OrderRow(msgspec.Struct, kw_only=True):
    """An order as the books know it. `phase`: pending (sent, no evidence) | open | done; `origin`: ours | foreign."""

    client_id: str
    symbol: str
    side: int = 0
    qty: str = "0"
    price: str = "0"
    filled_qty: str = "0"
    order_id: int = 0
    phase: str = "pending"
    status: str = ""
    updated_ns: int = 0
    origin: str = "ours"


class Batch:
    """What one transaction will hold; filled while folding, emptied by the commit."""

    def __init__(self) -> None:
        self.fills: list[Fill] = []
        self.postings: list[object] = []
        self.symbols: set[str] = set()
        self.assets: set[str] = set()
        self.orders: dict[str, OrderRow] = {}
        self.meta: dict[str, str] = {}
        self.reports: list[tuple[int, str, str, str]] = []
        self.incidents: list[tuple[int, str, str]] = []

    def add(self, effect: Effect) -> None:
        """Take over what one message changed."""
        if effect.fill is not None:
            self.fills.append(effect.fill)
            self.symbols.add(effect.fill.symbol)
        for p in effect.postings:
            self.postings.append(p)
            self.assets.add(p.asset)
            if p.symbol:
                self.symbols.add(p.symbol)

    def __bool__(self) -> bool:
        return any((self.fills, self.postings, self.symbols, self.orders, self.meta, self.reports, self.incidents))


class Store:
    """
    The file and its one connection.

    Args:
        path: of the database; its directory is created (0700) unless read-only.
        read_only: open for looking only (any number of readers).

    Raises:
        StoreBusy: another writer lives. sqlite3.OperationalError: read-only and absent.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path, self._lock = path, -1
        if read_only:
            self._db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None, timeout=2)
            return
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            os.close(self._lock)
            raise StoreBusy(f"{path} has a living writer") from e
        self._db = sqlite3.connect(path, isolation_level=None, timeout=2)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._migrate()

    def close(self) -> None:
        """Close the file; the lock goes with it."""
        self._db.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def version(self) -> int:
        """A number that changes when another connection commits."""
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def meta(self, key: str, default: str = "") -> str:
        """One stored word."""
        row = self._db.execute("SELECT value FROM meta WHERE key=?", (key,)).fetchone()
        return str(row[0]) if row else default

    def load(self, ledger: Ledger) -> Ledger:
        """Fill an empty ledger with the stored state, read in one transaction."""
        with _Transaction(self._db, "BEGIN"):
            ledger.opened_ns = int(self.meta("opened_ns", "0"))
            for symbol, qty, cost, confirmed, last in self._db.execute("SELECT * FROM positions"):
                ledger.positions[symbol] = Position(Num.parse(qty), Num.parse(cost))
                if confirmed:
                    ledger.confirmed[symbol] = confirmed
                if last:
                    ledger.last_trade[symbol] = last
                found = self._db.execute(
                    "SELECT trade_id FROM fills WHERE symbol=? AND trade_id>?", (symbol, confirmed)
                )
                ledger.booked[symbol] = {t for (t,) in found}
            for asset, wallet, anchor in self._db.execute("SELECT * FROM wallets"):
                ledger.wallets[asset] = Num.parse(wallet)
                if anchor is not None:
                    ledger.anchors[asset] = anchor
            for asset, kind, amount in self._db.execute("SELECT * FROM totals"):
                ledger.totals[asset, PostingKind(kind)] = Num.parse(amount)
        return ledger

    def orders_working(self) -> dict[str, OrderRow]:
        """Orders that are not done."""
        names = OrderRow.__struct_fields__
        rows = self._db.execute(f"SELECT {','.join(names)} FROM orders WHERE phase != 'done'")  # own names
        return {row[0]: OrderRow(**dict(zip(names, row, strict=True))) for row in rows}

    def order_phase(self, client_id: str) -> str:
        """pending | open | done, or "" for an order never seen."""
        row = self._db.execute("SELECT phase FROM orders WHERE client_id=?", (client_id,)).fetchone()
        return str(row[0]) if row else ""

    def fills(self, symbol: str | None = None) -> list[Fill]:
        """Booked fills in order of (symbol, trade id)."""
        names = Fill.__struct_fields__
        where, args = (" WHERE symbol=?", (symbol,)) if symbol else ("", ())
        rows = self._db.execute(
            f"SELECT {','.join(names)} FROM fills{where} ORDER BY symbol, trade_id", args
        )  # own names
        return [_fill(dict(zip(names, row, strict=True))) for row in rows]

    def wallet_trail(self, after_id: int) -> list[tuple[str, Num]]:
        """Every (asset, balance) the wallets went through since posting `after_id`, newest first, in one snapshot."""
        with _Transaction(self._db, "BEGIN"):
            query = "SELECT asset, amount FROM postings WHERE id>? ORDER BY id DESC"
            rows = list(self._db.execute(query, (after_id,)))
            held = {a: Num.parse(w) for a, w in self._db.execute("SELECT asset, wallet FROM wallets")}
        found = list(held.items())
        for asset, amount in rows:
            held[asset] = held[asset] - Num.parse(amount)
            found.append((asset, held[asset]))
        return found

    def newest_posting(self) -> int:
        """Id of the last posting, 0 when none."""
        return int(self._db.execute("SELECT COALESCE(MAX(id), 0) FROM postings").fetchone()[0])

    def flows(self, asset: str, since_ns: int) -> list[tuple[int, Num, int]]:
        """(kind, amount, exch_ns) of cash flows that are not of a trade, for matching with income records."""
        kinds = (PostingKind.FUNDING, PostingKind.TRANSFER, PostingKind.OTHER)
        query = "SELECT kind, amount, exch_ns FROM postings WHERE asset=? AND exch_ns>=? AND kind IN (?,?,?)"
        return [(k, Num.parse(a), ns) for k, a, ns in self._db.execute(query, (asset, since_ns, *kinds))]

    def commit(self, batch: Batch, ledger: Ledger) -> None:
        """Write one batch and the state of what it touched, all or nothing; then empty it."""
        with _Transaction(self._db, "BEGIN IMMEDIATE"):
            self._insert("INSERT INTO fills", Fill.__struct_fields__, batch.fills)
            names = ("kind", "asset", "amount", "exch_ns", "symbol", "trade_id", "qty", "price", "note")
            self._insert("INSERT INTO postings", names, batch.postings)
            for s in batch.symbols:
                held = ledger.positions.get(s, Position())
                row = (s, str(held.qty), str(held.cost), ledger.confirmed.get(s, 0), ledger.last_trade.get(s, 0))
                self._db.execute("INSERT OR REPLACE INTO positions VALUES(?,?,?,?,?)", row)
            for a in batch.assets:
                wallet = (a, str(ledger.wallets[a]) if a in ledger.wallets else "0", ledger.anchors.get(a))
                self._db.execute("INSERT OR REPLACE INTO wallets VALUES(?,?,?)", wallet)
                for kind in PostingKind:
                    if (a, kind) in ledger.totals:
                        total = (a, int(kind), str(ledger.totals[a, kind]))
                        self._db.execute("INSERT OR REPLACE INTO totals VALUES(?,?,?)", total)
            self._insert("INSERT OR REPLACE INTO orders", OrderRow.__struct_fields__, batch.orders.values())
            self._db.executemany("INSERT OR REPLACE INTO meta VALUES(?,?)", batch.meta.items())
            self._db.executemany("INSERT INTO reports(taken_ns,kind,result,body) VALUES(?,?,?,?)", batch.reports)
            self._db.executemany("INSERT INTO incidents(at_ns,what,detail) VALUES(?,?,?)", batch.incidents)
        batch.__init__()  # type: ignore[misc]  # emptied in place: the folder keeps its reference

    def _insert(self, into: str, names: Iterable[str], rows: Iterable[object]) -> None:
        names = tuple(names)
        marks = ",".join("?" * len(names))
        values = [tuple(_column(getattr(r, n)) for n in names) for r in rows]
        self._db.executemany(f"{into}({','.join(names)}) VALUES({marks})", values)  # own names

    def _migrate(self) -> None:
        done = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        if done > len(MIGRATIONS):
            raise StoreBusy(f"{self.path} has schema {done}, newer than {len(MIGRATIONS)}")
        for number, script in enumerate(MIGRATIONS[done:], done + 1):
            self._db.executescript(f"BEGIN;{script};PRAGMA user_version={number};COMMIT;")


class _Transaction:
    """`with`: commit on success, roll back on any exception."""

    def __init__(self, db: sqlite3.Connection, begin: str) -> None:
        self._db, self._begin = db, begin

    def __enter__(self) -> None:
        self._db.execute(self._begin)

    def __exit__(self, kind: object, *_: object) -> None:
        self._db.execute("COMMIT" if kind is None else "ROLLBACK")


def _column(value: object) -> object:
    if isinstance(value, Num):
        return str(value)
    return int(value) if isinstance(value, int) else value


def _fill(row: dict[str, object]) -> Fill:
    for name in ("qty", "price", "commission", "realised"):
        row[name] = Num.parse(str(row[name]))
    row["side"], row["maker"] = Side(int(str(row["side"]))), bool(row["maker"])
    return Fill(**row)  # type: ignore[arg-type]  # columns are the fields
