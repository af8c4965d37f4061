"""One margin account: cross margin, one-way mode, money as integers of 1e-8.

Problem: the books of AEGIS are judged against this account to the last digit, so its own arithmetic must have no
rounding that is not booked. A position keeps its cost; reducing it takes out a share of the cost rounded to 1e-8, and
the same rounded share makes the realised profit. So nothing is ever lost between entry and exit.
What must stay true, after every event and per asset: wallet == initial + realised - fees + funding + transfers.
"""

from __future__ import annotations

from dataclasses import dataclass

from aegis.errors import Ours
from aegis.exchange.symbols import E8, Spec, dec

UNIT_E8 = 100_000_000  # one, in 1e-8


class BooksBroken(Ours):
    """The venue's own identity does not hold."""


@dataclass(slots=True)
class Position:
    """`qty` signed at qty_exp; `cost_e8` what the open quantity cost, >= 0; `realised_e8` lifetime, before fees."""

    qty: int = 0
    cost_e8: int = 0
    realised_e8: int = 0
    update_ms: int = 0

    def entry_text(self, spec: Spec) -> str:
        """Entry average for display, rounded half up at 1e-8 ("0" when flat)."""
        if not self.qty:
            return "0"
        size = abs(self.qty)
        value = (2 * self.cost_e8 * 10**spec.qty_exp + size) // (2 * size)
        text = dec(value, E8)
        return text.rstrip("0").rstrip(".")

    def unrealised_e8(self, spec: Spec, mark: int) -> int:
        """Profit at `mark` in 1e-8."""
        value = spec.notional_e8(mark, abs(self.qty))
        return value - self.cost_e8 if self.qty > 0 else self.cost_e8 - value


@dataclass(frozen=True, slots=True)
class Execution:
    """One fill of the account as userTrades shows it; money in 1e-8 of `asset`."""

    id: int
    order_id: int
    client_id: str
    symbol: str
    side: int
    px: int
    qty: int
    maker: bool
    realised_e8: int
    fee_e8: int
    asset: str
    time_ms: int


@dataclass(frozen=True, slots=True)
class Income:
    """One row of the cash-flow list."""

    symbol: str
    kind: str
    amount_e8: int
    asset: str
    info: str
    time_ms: int
    tran_id: int
    trade_id: str


def share(cost_e8: int, part: int, whole: int) -> int:
    """`cost * part / whole`, rounded half up."""
    return (2 * cost_e8 * part + whole) // (2 * whole)


class Account:
    """
    Wallets, positions, fills and cash flows of the one account.

    Args:
        initial: starting wallet per asset, in 1e-8.
        maker_ppm, taker_ppm: fee rates in millionths of notional.
        next_id: a start for transaction ids that grows over restarts.
    """

    def __init__(self, initial: dict[str, int], maker_ppm: int = 200, taker_ppm: int = 500, next_id: int = 1) -> None:
        self.initial = dict(initial)
        self.wallet = dict(initial)
        self.flows = {asset: {"realised": 0, "fees": 0, "funding": 0, "transfers": 0} for asset in initial}
        self.positions: dict[str, Position] = {}
        self.executions: list[Execution] = []
        self.income: list[Income] = []
        self.maker_ppm, self.taker_ppm = maker_ppm, taker_ppm
        self.next_tran = next_id

    def position(self, symbol: str) -> Position:
        """The position of a symbol, made flat on first sight."""
        found = self.positions.get(symbol)
        if found is None:
            found = self.positions[symbol] = Position()
        return found

    def _flow(self, asset: str, name: str, amount_e8: int) -> None:
        self.flows[asset][name] += amount_e8
        self.wallet[asset] += -amount_e8 if name == "fees" else amount_e8

    def _row(self, symbol: str, kind: str, amount_e8: int, asset: str, now_ms: int, trade_id: str = "") -> None:
        self.income.append(Income(symbol, kind, amount_e8, asset, trade_id, now_ms, self.next_tran, trade_id))
        self.next_tran += 1

    def fill(
        self, spec: Spec, trade: tuple[int, int, str], side: int, px: int, qty: int, *, now_ms: int, maker: bool = False
    ) -> Execution:
        """
        Book one execution.

        Args:
            trade: (trade id, order id, client id).
            side: +1 bought, -1 sold; `px`, `qty` in the symbol's units, > 0.

        Raises:
            BooksBroken: the identity does not hold afterwards.
        """
        asset = spec.quote
        realised = self._move(spec, side, px, qty, now_ms)
        rate = self.maker_ppm if maker else self.taker_ppm
        fee = (spec.notional_e8(px, qty) * rate + 500_000) // 1_000_000
        self._flow(asset, "realised", realised)
        self._flow(asset, "fees", fee)
        if realised:
            self._row(spec.name, "REALIZED_PNL", realised, asset, now_ms, str(trade[0]))
        if fee:
            self._row(spec.name, "COMMISSION", -fee, asset, now_ms, str(trade[0]))
        done = Execution(*trade, spec.name, side, px, qty, maker, realised, fee, asset, now_ms)
        self.executions.append(done)
        self.check()
        return done

    def _move(self, spec: Spec, side: int, px: int, qty: int, now_ms: int) -> int:
        """Change the position; returns realised profit in 1e-8."""
        pos = self.position(spec.name)
        realised = 0
        closing = min(qty, abs(pos.qty)) if pos.qty * side < 0 else 0
        if closing:
            out = share(pos.cost_e8, closing, abs(pos.qty))
            value = spec.notional_e8(px, closing)
            realised = value - out if pos.qty > 0 else out - value
            pos.cost_e8 -= out
            pos.qty += side * closing
        if qty > closing:
            pos.cost_e8 += spec.notional_e8(px, qty - closing)
            pos.qty += side * (qty - closing)
        pos.realised_e8 += realised
        pos.update_ms = now_ms
        return realised

    def fund(self, spec: Spec, mark: int, rate_e8: int, now_ms: int) -> int:
        """Settle funding for one position: longs pay a positive rate. Returns the amount in 1e-8, 0 when flat."""
        pos = self.position(spec.name)
        if not pos.qty:
            return 0
        amount = share(spec.notional_e8(mark, abs(pos.qty)), abs(rate_e8), UNIT_E8)
        if (pos.qty > 0) == (rate_e8 > 0):
            amount = -amount
        if amount:
            self._flow(spec.quote, "funding", amount)
            self._row(spec.name, "FUNDING_FEE", amount, spec.quote, now_ms)
        self.check()
        return amount

    def transfer(self, asset: str, amount_e8: int, now_ms: int) -> None:
        """Deposit (> 0) or withdraw (< 0)."""
        if asset not in self.wallet:
            self.initial[asset] = self.wallet[asset] = 0
            self.flows[asset] = {"realised": 0, "fees": 0, "funding": 0, "transfers": 0}
        self._flow(asset, "transfers", amount_e8)
        self._row("", "TRANSFER", amount_e8, asset, now_ms)
        self.check()

    def check(self) -> None:
        """
        Prove the identity of the module docstring.

        Raises:
            BooksBroken: with the asset and both sides of the equation.
        """
        for asset, wallet in self.wallet.items():
            f = self.flows[asset]
            want = self.initial[asset] + f["realised"] - f["fees"] + f["funding"] + f["transfers"]
            if wallet != want:
                raise BooksBroken(f"{asset}: wallet {dec(wallet, E8)} but flows give {dec(want, E8)}")
