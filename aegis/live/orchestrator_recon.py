"""Reconciliation at work: open the books, look, look again, adopt or correct or halt, report.

Problem: our books and the venue's answer never show the same instant, and REST, stream and ring each lag in their own
way. So while an answer is fetched the keeper notes every value the books go through; only a value that is none of
these, in two looks, is a difference. Records (userTrades, income) are then booked as what they are, and only what is
left after that is judged by size.
What must stay true: nothing is booked without a record or a label; a failure of the API leaves everything as it was
and is tried again; the books are called reconciled only after a clean pass with the private stream up.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from aegis.config import Config
from aegis.ledger.postings import PostingKind, kind_of
from aegis.live import orchestrator_venue as venue
from aegis.live.clock import Clock
from aegis.live.log import Log
from aegis.live.orchestrator_books import Keeper, write_atomic
from aegis.live.store import OrderRow
from aegis.messages import Halt
from aegis.recon.compare import Books, Difference, Report, compare, in_flight, persistent
from aegis.recon.resolve import Evidence, Tolerance, Verdict, decide
from aegis.units import ZERO, Num

SETTLE_S = 0.25  # what is on its way from the venue's match to our ledger; loopback needs 0.01, Tokyo less than 0.1
EVIDENCE_PASSES = 3  # cheap passes that may fail in a row before the books are not called reconciled any more
LOOKS_MAX = 5  # before a difference that no record explains halts trading
OLD_NS = 60_000_000_000
INCOME_BACK_NS = 3_600_000_000_000


def as_dict(report: Report) -> dict[str, Any]:
    """The report as the CLI prints it."""
    rows = [
        {"kind": m.kind.value, "name": m.name, "symbol": m.symbol, "ours": str(m.ours), "theirs": str(m.theirs)}
        for m in report.mismatches
    ]
    return {
        "result": "ok" if report.clean() else "mismatch",
        "matches": report.matches,
        "mismatches": rows,
        "positions": report.positions,
        "ours_ns": report.ours_ns,
        "theirs_ns": report.theirs_ns,
        "action": report.action,
        "allowed_by": report.allowed_by,
    }


class Reconciler:
    """
    All passes of one account.

    Args:
        rest: signed client of the venue.
        halt: called with a Halt reason when a difference is beyond policy.
        tolerance: lots and money the policy may correct.
    """

    def __init__(  # one keeper, one venue, and the process around them
        self, keeper: Keeper, rest: Any, clock: Clock, log: Log, halt: Any, tolerance: Tolerance
    ) -> None:
        self.keeper, self.rest, self.clock, self.log = keeper, rest, clock, log
        self._halt, self._tolerance = halt, tolerance
        self.passes, self.failures = 0, 0
        self.first_pass = asyncio.Event()

    async def open_books(self) -> None:
        """Take an empty store's opening balances, positions and working orders from the venue."""
        ledger, keeper = self.keeper.ledger, self.keeper
        if ledger.opened_ns:
            return
        while True:
            before = await venue.snapshot(self.rest, self.clock.now_ns())
            at_ns = await venue.server_ms(self.rest) * venue.MS
            entries = await venue.entry_prices(self.rest) if before.positions else {}
            after = await venue.snapshot(self.rest, self.clock.now_ns())
            if (before.positions, before.wallets) == (after.positions, after.wallets):
                break
        for asset, amount in after.wallets.items():
            keeper.take(ledger.open_wallet(asset, amount, at_ns, "taken over from the venue"))
        for symbol, qty in after.positions.items():
            price = entries.get(symbol, ZERO)
            note = "taken over from the venue"
            keeper.take(ledger.move_position(symbol, qty, price, at_ns, PostingKind.OPENING, note))
        for client_id, symbol in after.orders.items():
            self._foreign(client_id, symbol)
        ledger.opened_ns = at_ns
        keeper.batch.meta["opened_ns"] = str(at_ns)
        keeper.commit()
        self.log.info("books opened", wallets=len(after.wallets), positions=len(after.positions))

    async def run_pass(self, kind: str, allowed_by: str = "policy") -> dict[str, Any]:
        """
        One pass. Raises what the venue's client raises; the books are then as before or better.

        Args:
            kind: "cheap" compares; anything else first asks userTrades of every symbol we trade.
            allowed_by: "policy" or "operator", for the report.

        Returns:
            The report of the first confirmed comparison with what was done about it, and `result_after`.
        """
        keeper = self.keeper
        keeper.gap = False if kind != "cheap" else keeper.gap
        adopted = await self._adopt_fills(self._traded()) if kind != "cheap" else 0
        first, theirs = await self._confirmed()
        last = first
        if not first.clean():
            self._say(first)
            adopted += await self._book_evidence(first, theirs)
            last, _ = await self._confirmed()
        if not last.clean():
            await self._judge(last)
            for _ in range(LOOKS_MAX):
                last, _ = await self._confirmed()
                if last.clean():
                    break
        halted = not last.clean()
        action = "halt" if halted else "adopt" if not first.clean() or adopted else "none"
        final = msgspec.structs.replace(first, action=action, allowed_by=allowed_by if action != "none" else "")
        self._finish(kind, final, last)
        return as_dict(final) | {"adopted": adopted, "result_after": "ok" if last.clean() else "mismatch"}

    def failed(self, kind: str, evidence_s: float) -> None:
        """
        A pass could not be made. The books stay; they are believed for `evidence_s` s after their last proof.
        """
        keeper, now = self.keeper, self.clock.now_ns()
        self.failures += 1
        keeper.gap = keeper.gap or kind != "cheap"
        if keeper.reconciled and now - keeper.reconciled_ns > evidence_s * 1e9:
            keeper.reconciled = False
            keeper.incident(now, "reconciliation", f"no clean pass within {evidence_s:g} s")
            keeper.commit()
            keeper.publish()

    def _finish(self, kind: str, first: Report, last: Report) -> None:
        keeper, now = self.keeper, self.clock.now_ns()
        self._say(last)
        if last.clean():
            keeper.reconciled = keeper.private_up and not keeper.gap
            keeper.reconciled_ns = now
            keeper.batch.meta["reconciled_ns"] = str(now)
        else:
            keeper.reconciled = False
            keeper.incident(
                now, "reconciliation", "; ".join(f"{m.kind} {m.name} {m.ours} {m.theirs}" for m in last.mismatches)
            )
            self._halt(Halt.RECONCILIATION)
        body = msgspec.json.encode(as_dict(first)).decode()
        keeper.batch.reports.append((now, kind, "clean" if last.clean() else "mismatch", body))
        self.passes += 1
        self.first_pass.set()
        keeper.commit()
        keeper.publish()

    def _say(self, report: Report) -> None:
        for line in report.lines():
            (self.log.info if report.clean() else self.log.warn)(line)
        for m in report.mismatches:
            self.log.warn("difference", kind=m.kind.value, name=m.name, ours=m.ours, theirs=m.theirs)

    async def _confirmed(self) -> tuple[Report, Books]:
        first, theirs = await self._look()
        if first.clean():
            return first, theirs
        second, theirs = await self._look()
        return persistent(first, second), theirs

    async def _look(self) -> tuple[Report, Books]:
        keeper = self.keeper
        keeper.drain(self.clock.now_ns())
        keeper.trail = {}
        keeper.mark()
        working = dict(keeper.orders)
        try:
            theirs = await venue.snapshot(self.rest, self.clock.now_ns())
            await asyncio.sleep(SETTLE_S)
            keeper.drain(self.clock.now_ns())
            ours = in_flight(keeper.snapshot(self.clock.now_ns(), theirs), theirs, keeper.trail)
        finally:
            keeper.trail = None
        return compare(ours, self._same_orders(ours, theirs, working)), theirs

    def _same_orders(self, ours: Books, theirs: Books, working: dict[str, OrderRow]) -> Books:
        """Their orders without those that came or went while they were being fetched."""
        ended = {c for c in theirs.orders if c in working and c not in self.keeper.orders}
        ended |= {c for c in theirs.orders if self.keeper.store.order_phase(c) == "done"}
        started = {c: s for c, s in ours.orders.items() if c not in working or working[c].phase != "open"}
        shown = {c: s for c, s in theirs.orders.items() if c not in ended} | started
        return msgspec.structs.replace(theirs, orders=shown)

    def _traded(self) -> list[str]:
        keeper = self.keeper
        ledger = keeper.ledger
        held = {s for s, p in ledger.positions.items() if p.qty} | set(ledger.last_trade) | ledger.unbookable
        return sorted(held | {o.symbol for o in keeper.orders.values()})

    async def _adopt_fills(self, symbols: list[str]) -> int:
        """Book what userTrades proves and we did not have; then everything older than a minute is confirmed."""
        keeper, adopted = self.keeper, 0
        ledger = keeper.ledger
        for symbol in symbols:
            found = await venue.fills_since(self.rest, symbol, ledger.confirmed.get(symbol, 0), ledger.margin_assets)
            keeper.drain(self.clock.now_ns())
            now = self.clock.now_ns()
            for fill in found:
                effect = ledger.apply(fill)
                if effect.fill is not None:
                    keeper.take(effect)
                    adopted += 1
            old = [f.trade_id for f in found if f.exch_ns < now - OLD_NS]
            if old:
                ledger.confirm(symbol, max(old))
                keeper.batch.symbols.add(symbol)
            ledger.unbookable.discard(symbol)
            keeper.commit()
        if adopted:
            self.log.info("fills adopted from userTrades", fills=adopted)
        return adopted

    async def _book_evidence(self, report: Report, theirs: Books) -> int:
        """Book every record that may explain the report: fills, incomes, ends of orders, orders of other hands."""
        keeper = self.keeper
        named = {m.symbol for m in report.mismatches if m.symbol}
        adopted = await self._adopt_fills(sorted(named | set(self._traded()) | set(theirs.positions)))
        if any(m.kind is Difference.WALLET for m in report.mismatches):
            adopted += await self._adopt_incomes()
        for m in report.mismatches:
            if m.kind is Difference.ORDER_FOREIGN:
                self._foreign(m.name, m.symbol)
            elif m.kind is Difference.ORDER_MISSING:
                await self._end_order(m.name, m.symbol)
        keeper.commit()
        return adopted

    async def _adopt_incomes(self) -> int:
        keeper = self.keeper
        ledger = keeper.ledger
        since = max(ledger.opened_ns + venue.MS, keeper.reconciled_ns - INCOME_BACK_NS)
        rows = [i for i in await venue.incomes_since(self.rest, since) if i.exch_ns > ledger.opened_ns]
        adopted = 0
        for asset in {i.asset for i in rows}:
            known = [(int(k), a, ns) for k, a, ns in keeper.store.flows(asset, since - OLD_NS)]
            for i in venue.unmatched((r for r in rows if r.asset == asset), known, OLD_NS):
                note = f"income {i.reason} {i.tran_id}"
                keeper.take(ledger.book_flow(kind_of(i.reason), asset, i.amount, i.exch_ns, note))
                adopted += 1
        return adopted

    async def _end_order(self, client_id: str, symbol: str) -> None:
        status = await venue.order_status(self.rest, symbol, client_id)
        if status and status not in venue.ENDED:
            return
        old = self.keeper.orders.get(client_id)
        if old is None:
            return
        if not status:
            self.keeper.incident(self.clock.now_ns(), "order", f"{client_id}: the venue does not know it any more")
        self.keeper.put_order(msgspec.structs.replace(old, phase="done", status=status or "VANISHED"))

    def _foreign(self, client_id: str, symbol: str) -> None:
        row = OrderRow(
            client_id=client_id,
            symbol=symbol,
            phase="open",
            status="NEW",
            updated_ns=self.clock.now_ns(),
            origin="foreign",
        )
        self.keeper.put_order(row)

    async def _judge(self, report: Report) -> None:
        """What no record explains: correct it when small and the same in a further look; else leave it (halt)."""
        again, _ = await self._look()
        same = {(m.kind, m.name): m.delta() for m in again.mismatches}
        entries: dict[str, Num] = {}
        for action in decide(report, Evidence(), self._tolerance):
            m = action.mismatch
            if action.verdict is not Verdict.CORRECT or same.get((m.kind, m.name)) != m.delta():
                continue
            now = self.clock.now_ns()
            note = f"reconciliation: {action.why}"
            if m.kind is Difference.WALLET:
                self.keeper.take(self.keeper.ledger.book_flow(PostingKind.ADJUSTMENT, m.name, action.rest, now, note))
            else:
                entries = entries or await venue.entry_prices(self.rest)
                price = entries.get(m.name) or self.keeper.ledger.positions[m.name].entry()
                moved = self.keeper.ledger.move_position(m.name, action.rest, price, now, PostingKind.ADJUSTMENT, note)
                self.keeper.take(moved)
            self.keeper.incident(now, "adjustment", note)
        self.keeper.commit()


async def lots(rest: Any) -> tuple[Tolerance, dict[str, str]]:
    """Tolerance and margin assets from exchangeInfo."""
    info = await rest.get("/fapi/v1/exchangeInfo", {})
    steps: dict[str, Num] = {}
    margins: dict[str, str] = {}
    for s in info["symbols"]:
        margins[s["symbol"]] = s.get("marginAsset", s.get("quoteAsset", ""))
        for f in s.get("filters", ()):
            if f.get("filterType") == "LOT_SIZE":
                steps[s["symbol"]] = Num.parse(f["stepSize"])
    return Tolerance(lots=steps), margins


class Schedule:
    """
    Decides when which pass is due; runs until cancelled.

    Args:
        config: intervals and retry pace of section recon.
    """

    def __init__(self, reconciler: Reconciler, config: Config) -> None:
        self.reconciler, self._recon = reconciler, config.recon
        self._request = config.shm_path() / "reconcile.request"
        self._report = config.shm_path() / "reconcile.report.json"
        self._request_ns = self._asked()
        self.full_due_ns, self.cheap_due_ns, self._retry_s = 0, 0, config.recon.retry_s

    def _asked(self) -> int:
        try:
            return self._request.stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    async def run(self) -> None:
        """Passes by need (gap, stream back, request) and by clock; failures retried with a growing, capped pause."""
        r = self.reconciler
        while True:
            kind, asked = self._due(r.clock.mono_ns())
            if not kind:
                await asyncio.sleep(0.02)
                continue
            try:
                async with asyncio.timeout(self._recon.timeout_s * 6):
                    await r.open_books()
                    report = await r.run_pass(kind, "operator" if asked else "policy")
            except Exception as e:  # whatever the API did, the rest keeps running
                r.failed(kind, EVIDENCE_PASSES * self._recon.cheap_interval_s)
                r.log.warn("reconciliation failed, will retry", kind=kind, why=repr(e), retry_s=self._retry_s)
                await asyncio.sleep(self._retry_s)
                self._retry_s = min(self._retry_s * 2, self._recon.retry_cap_s)
                continue
            self._retry_s = self._recon.retry_s
            now = r.clock.mono_ns()
            self.cheap_due_ns = now + int(self._recon.cheap_interval_s * 1e9)
            if kind != "cheap":
                self.full_due_ns = now + int(self._recon.interval_s * 1e9)
            if asked:
                self._request_ns = asked
                write_atomic(self._report, msgspec.json.encode(report | {"request_ns": asked}))

    def _due(self, now: int) -> tuple[str, int]:
        keeper = self.reconciler.keeper
        asked = self._asked()
        if asked > self._request_ns:
            return "request", asked
        if keeper.gap or keeper.ledger.unbookable or now >= self.full_due_ns:
            return "full", 0
        return ("cheap", 0) if now >= self.cheap_due_ns else ("", 0)
