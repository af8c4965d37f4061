"""The orchestrator's books: rings in, ledger folded, store committed, positions page published, in that order.

Problem: what the page shows must be in the store first, and what is in the store must have moved the cursors in the
same transaction; otherwise a kill between two steps loses or doubles a fill.
What must stay true: cursors are committed with what they brought; a lost record (lap, new epoch) is never passed
over silently: `gap` stays set until a full reconciliation clears it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from aegis.errors import AegisError, RingRefused
from aegis.ledger.ledger import Effect, Ledger
from aegis.ledger.postings import PostingKind
from aegis.live.store import Batch, OrderRow, Store
from aegis.messages import Note, OrderRecord, OrderStatus, OrderStep, OrderUpdate
from aegis.native import account, orders
from aegis.native.ring import RingReader
from aegis.recon.compare import Books, Difference
from aegis.units import ZERO, Num

READ_MAX = 1024
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
EARLY_WAIT_NS = 250_000_000
_ENDED = {
    OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.EXPIRED_IN_MATCH, OrderStatus.REJECTED,
}  # fmt: skip
_STEP_PHASE = {
    OrderStep.INTENT: "pending",
    OrderStep.SENT: "pending",
    OrderStep.UNKNOWN: "pending",
    OrderStep.ACKED: "open",
    OrderStep.REFUSED: "done",
    OrderStep.REJECTED: "done",
    OrderStep.SETTLED: "done",
}
_RANK = {"": 0, "pending": 1, "open": 2, "done": 3}


def write_atomic(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Replace a file in one step; readers see the old or the new, never a part."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        os.write(handle, data)
    finally:
        os.close(handle)
    fresh.replace(path)


class Tail:
    """
    One ring read from a stored cursor, however often its writer restarts.

    Args:
        path: of the ring; it may not exist yet.
        unpack: slot -> noun.
        place: what `place()` gave when the books were last stored; "" = nothing read ever: start at the oldest
            record kept (the ledger passes over what is older than its opening).
    """

    def __init__(self, path: Path, unpack: Any, place: str) -> None:
        self.path, self._unpack = path, unpack
        identity, epoch, seq = place.rsplit("/", 2) if place else ("", "0", "0")
        self._identity, self.epoch, self.seq = identity, int(epoch), int(seq)
        self.bad = 0
        self._reader: RingReader | None = None
        self._lost = 0

    def place(self) -> str:
        """Where reading goes on: the file's identity, its writer's epoch, the last number taken."""
        return f"{self._identity}/{self.epoch}/{self.seq}"

    def read(self) -> tuple[list[tuple[int, Any]], bool]:
        """What came since, as (seq, noun), and whether records may have been lost on the way."""
        gap = False
        if self._reader is None:
            try:
                gap = self._open()
            except (RingRefused, OSError):
                return [], False
        reader = self._reader
        assert reader is not None
        if reader.epoch != self.epoch:
            self.epoch, gap = reader.epoch, True
        slots = reader.read(READ_MAX)
        if reader.lost != self._lost:
            self._lost, gap = reader.lost, True
        self.seq = reader.cursor
        found = []
        for seq, slot in enumerate(slots, self.seq - len(slots) + 1):
            try:
                found.append((seq, self._unpack(slot)))
            except (AegisError, ValueError):
                self.bad += 1
                gap = True
        return found, gap

    def _open(self) -> bool:
        """Open at the stored place; True when it cannot be continued without a gap."""
        stat = self.path.stat()
        identity = f"{BOOT_ID.read_text().strip()}:{stat.st_ino}"
        reader = RingReader(self.path, 0)
        known = bool(self._identity)
        usable = identity == self._identity and reader.oldest - 1 <= self.seq <= reader.newest
        if usable:
            reader = RingReader(self.path, self.seq)
        gap = known and not (usable and reader.epoch == self.epoch)
        self._reader, self._lost = reader, reader.lost
        self._identity, self.epoch, self.seq = identity, reader.epoch, reader.cursor
        return gap


class Keeper:
    """
    Ledger, orders and store of one account.

    Args:
        shm: directory of the instance.
        store: opened for writing.
        margin_assets: symbol -> settlement asset.
    """

    def __init__(self, shm: Path, store: Store, margin_assets: dict[str, str]) -> None:
        self.shm, self.store = shm, store
        self.ledger = store.load(Ledger(margin_assets))
        self.orders = store.orders_working()
        self.batch = Batch()
        self.account = Tail(shm / "account", account.unpack, store.meta("account_place"))
        self.steps = Tail(shm / "orders", orders.unpack, store.meta("orders_place"))
        self.gap = bool(self.ledger.opened_ns)  # until the first full pass nobody knows what happened meanwhile
        self.reconciled = False
        self.private_up = store.meta("private_up") == "1"
        self.reconciled_ns = int(store.meta("reconciled_ns", "0"))
        self.notes: list[Note] = []
        self.trail: dict[tuple[Difference, str], set[Num]] | None = None
        self.changed = True
        self._early_since_ns = 0
        self.fills = 0

    def turn(self, now_ns: int) -> int:
        """Read both rings, fold, commit, publish. Returns how many records came."""
        count = 0
        for tail, fold, name in ((self.steps, self._step, "orders"), (self.account, self._message, "account")):
            before = tail.place()
            found, gap = tail.read()
            if gap:
                self.gap = True
                self.private_up = self.private_up and name != "account"
                self.incident(now_ns, "gap", f"{name} ring: records lost or written by a new epoch")
            for _, noun in found:
                fold(noun)
            count += len(found)
            if tail.place() != before:
                self.batch.meta[f"{name}_place"] = tail.place()
        self.commit()
        if self.changed and not self._early_unsettled(now_ns):
            self.publish()
        return count

    def drain(self, now_ns: int) -> None:
        """Turn until the rings are read up."""
        while self.turn(now_ns) >= READ_MAX:
            pass

    def take(self, effect: Effect) -> None:
        """Book one effect: into the batch and the trail."""
        self.batch.add(effect)
        self.fills += effect.fill is not None
        self.changed = self.changed or bool(effect.postings) or effect.fill is not None
        if self.trail is not None:
            self.mark()

    def mark(self) -> None:
        """Add the present values to the trail."""
        if self.trail is None:
            return
        for s, held in self.ledger.positions.items():
            self.trail.setdefault((Difference.POSITION, s), set()).add(held.qty)
        for a, amount in self.ledger.wallets.items():
            self.trail.setdefault((Difference.WALLET, a), set()).add(amount)

    def _message(self, message: Any) -> None:
        if isinstance(message, Note):
            self.notes.append(message)
            if message.what in ("STREAM_UP", "STREAM_DOWN"):
                self.private_up = message.what == "STREAM_UP"
                self.reconciled, self.gap, self.changed = False, True, True
                self.batch.meta["private_up"] = str(int(self.private_up))
            return
        self.take(self.ledger.apply(message))
        self.changed = True
        if isinstance(message, OrderUpdate):
            ours = message.client_id in self.orders
            phase = "done" if message.status in _ENDED else "open"
            row = OrderRow(
                client_id=message.client_id, symbol=message.symbol, side=int(message.side), qty=str(message.qty),
                price=str(message.price), filled_qty=str(message.filled_qty), order_id=message.order_id, phase=phase,
                status=message.status.name, updated_ns=message.exch_ns,
                origin=self.orders[message.client_id].origin if ours else "foreign",
            )  # fmt: skip
            self.put_order(row)

    def _step(self, record: OrderRecord) -> None:
        phase = _STEP_PHASE.get(record.step)
        if phase is None or not record.client_id:
            return
        self.put_order(
            OrderRow(
                client_id=record.client_id, symbol=record.symbol, side=int(record.side), qty=str(record.qty),
                price=str(record.price), filled_qty=str(record.filled_qty), order_id=record.order_id, phase=phase,
                status=record.step.name, updated_ns=record.now_ns,
            )
        )  # fmt: skip

    def put_order(self, row: OrderRow) -> None:
        """Store an order's newest state; it never goes back from done to open, nor from open to pending."""
        old = self.orders.get(row.client_id)
        phase = old.phase if old else self.store.order_phase(row.client_id)
        if row.client_id in self.batch.orders:
            phase = self.batch.orders[row.client_id].phase
        if _RANK[row.phase] < _RANK[phase] or (phase == "done" and row.status not in OrderStatus.__members__):
            return
        self.batch.orders[row.client_id] = row
        if row.phase == "done":
            self.orders.pop(row.client_id, None)
        else:
            self.orders[row.client_id] = row

    def incident(self, now_ns: int, what: str, detail: str) -> None:
        """Remember something an operator may have to explain later."""
        self.batch.incidents.append((now_ns, what, detail[:500]))

    def commit(self) -> None:
        """Write what was folded; nothing when nothing came."""
        if self.batch:
            self.store.commit(self.batch, self.ledger)

    def snapshot(self, now_ns: int, theirs: Books | None = None) -> Books:
        """Our side for a comparison; an order still pending counts only when the venue shows it."""
        shown = theirs.orders if theirs else {}
        works = {c: o.symbol for c, o in self.orders.items() if o.phase == "open" or c in shown}
        held = {s: p.qty for s, p in self.ledger.positions.items() if p.qty}
        return Books(positions=held, wallets=dict(self.ledger.wallets), orders=works, taken_ns=now_ns)

    def _early_unsettled(self, now_ns: int) -> bool:
        """A fill known by TRADE_LITE only: its full event is milliseconds away; show the page with it, not before."""
        if not self.ledger.early:
            self._early_since_ns = 0
            return False
        self._early_since_ns = self._early_since_ns or now_ns
        return now_ns - self._early_since_ns < EARLY_WAIT_NS

    def publish(self) -> None:
        """Write the positions page."""
        ledger = self.ledger
        names = sorted({*ledger.positions, *(s for s, _ in ledger.early)})
        rows = {s: {"qty": str(ledger.early_qty(s).trim()), "entry": self._entry(s)} for s in names}
        page = {
            "account_epoch": self.account.epoch,
            "account_seq": self.account.seq,
            "reconciled": self.reconciled,
            "reconciled_ns": self.reconciled_ns,
            "positions": {s: row for s, row in rows.items() if row["qty"] != "0"},
            "wallets": {a: str(w.trim()) for a, w in ledger.wallets.items()},
            "realised": str(self._sum(PostingKind.REALISED)),
            "fees": str(-self._sum(PostingKind.COMMISSION)),
            "last_trade": dict(ledger.last_trade),
        }
        write_atomic(self.shm / "positions.json", msgspec.json.encode(page))
        self.changed = False

    def _entry(self, symbol: str) -> str:
        held = self.ledger.positions.get(symbol)
        return str(held.entry()) if held else "0"

    def _sum(self, kind: PostingKind) -> Num:
        return sum((v for (_, k), v in self.ledger.totals.items() if k is kind), ZERO).trim()
