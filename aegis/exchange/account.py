"""One margin account: wallets, positions, fills and cash flows, money as integers of 1e-8.

Problem: the books of AEGIS are judged against this account to the last digit, so its own arithmetic must have no
rounding that is not booked. A position keeps its cost; reducing it takes out a share of the cost rounded to 1e-8, and
the same rounded share makes the realised profit. So nothing is ever lost between entry and exit.
What must stay true, after every event and per asset: wallet == initial + realised - fees + funding + transfers +
insurance; a wallet includes what is set aside for isolated positions.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from aegis.errors import Ours
from aegis.exchange.order_file import OrderFile
from aegis.exchange.symbols import E8, Spec, dec

UNIT_E8 = 100_000_000  # one, in 1e-8
LEVERAGE = 20  # what a symbol has before anybody sets it
BOTH, LONG, SHORT = "BOTH", "LONG", "SHORT"
FLOWS = ("realised", "fees", "funding", "transfers", "insurance")
BURN_DISCOUNT = (9, 10)  # fees paid in BNB cost a tenth less


class BooksBroken(Ours):
    """The venue's own identity does not hold."""


@dataclass(slots=True)
class Position:
    """
    One position.

    Attributes:
        qty: signed, at qty_exp.
        cost_e8: what the open quantity cost, >= 0.
        fees_e8: fees paid in the quote asset for what is open; only the break-even price needs them.
        realised_e8: lifetime, before fees.
        isolated_e8: wallet set aside, 0 when cross.
    """

    qty: int = 0
    cost_e8: int = 0
    fees_e8: int = 0
    realised_e8: int = 0
    isolated_e8: int = 0
    update_ms: int = 0

    def signed_cost(self) -> int:
        """Cost with the position's sign."""
        return self.cost_e8 if self.qty > 0 else -self.cost_e8

    def _price_text(self, spec: Spec, money_e8: int) -> str:
        size = abs(self.qty)
        value = (2 * money_e8 * 10**spec.qty_exp + size) // (2 * size)
        text = dec(value, E8)
        return text.rstrip("0").rstrip(".")

    def entry_text(self, spec: Spec) -> str:
        """Entry average for display, rounded half up at 1e-8 ("0" when flat)."""
        return self._price_text(spec, self.cost_e8) if self.qty else "0"

    def break_even_text(self, spec: Spec) -> str:
        """Price at which closing pays the entry's fees back ("0" when flat)."""
        if not self.qty:
            return "0"
        return self._price_text(spec, self.cost_e8 + (self.fees_e8 if self.qty > 0 else -self.fees_e8))

    def unrealised_e8(self, spec: Spec, mark_e8: int) -> int:
        """Profit at a mark price of 1e-8 units."""
        return spec.value_e8(mark_e8, self.qty) - self.signed_cost()

    def move(self, spec: Spec, side: int, px: int, qty: int) -> int:
        """Book a trade of `side`; returns the realised profit in 1e-8."""
        realised = 0
        closing = min(qty, abs(self.qty)) if self.qty * side < 0 else 0
        if closing:
            whole = abs(self.qty)
            out = share(self.cost_e8, closing, whole)
            self.fees_e8 -= share(self.fees_e8, closing, whole)
            value = spec.notional_e8(px, closing)
            realised = value - out if self.qty > 0 else out - value
            self.cost_e8 -= out
            self.qty += side * closing
        if qty > closing:
            self.cost_e8 += spec.notional_e8(px, qty - closing)
            self.qty += side * (qty - closing)
        self.realised_e8 += realised
        return realised


@dataclass(frozen=True, slots=True)
class Execution:
    """One fill of the account as userTrades shows it; the fee in 1e-8 of `asset`, the profit in 1e-8 of the quote."""

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
    position_side: str = BOTH


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


@dataclass(frozen=True, slots=True)
class Traded:
    """
    One side of an execution, as an account books it.

    Args:
        trade: (trade id, order id, client id).
        side: +1 bought, -1 sold; `px`, `qty` in the symbol's units, > 0.
        bnb_e8: price of BNB in the quote asset, 1e-8; 0 when unknown (then fees are paid in the quote asset).
    """

    trade: tuple[int, int, str]
    side: int
    px: int
    qty: int
    now_ms: int
    maker: bool = False
    position_side: str = BOTH
    bnb_e8: int = 0


def share(cost_e8: int, part: int, whole: int) -> int:
    """`cost * part / whole`, rounded half up."""
    return (2 * cost_e8 * part + whole) // (2 * whole)


@dataclass(slots=True)
class Settings:
    """What the owner may set; leverage and margin type per symbol."""

    hedge: bool = False
    multi_assets: bool = False
    fee_burn: bool = False
    leverage: dict[str, int] = field(default_factory=dict)
    isolated: set[str] = field(default_factory=set)


class Account(OrderFile):
    """
    Wallets, positions, orders, fills and cash flows of one account.

    Args:
        initial: starting wallet per asset, in 1e-8.
        maker_ppm, taker_ppm: fee rates in millionths of notional.
        next_id: a start for transaction ids that grows over restarts.
        number: who it is in the book; 0 is the street, everybody who is not a user.
        opened_ms: when the starting wallets were paid in; never 0, which clients read as "not a wallet yet".

    Attributes:
        changed_ms: last change of each wallet.
    """

    def __init__(
        self,
        initial: dict[str, int],
        maker_ppm: int = 200,
        taker_ppm: int = 500,
        next_id: int = 1,
        *,
        name: str = "main",
        number: int = 1,
        opened_ms: int = 1,
    ) -> None:
        super().__init__()
        self.name, self.number = name, number
        self.changed_ms: dict[str, int] = dict.fromkeys(initial, opened_ms)
        self.initial = dict(initial)
        self.wallet: dict[str, int] = dict(initial)
        self.flows: dict[str, dict[str, int]] = {asset: dict.fromkeys(FLOWS, 0) for asset in initial}
        self.positions: dict[tuple[str, str], Position] = {}
        self.executions: list[Execution] = []
        self.fills_of: dict[str, list[Execution]] = defaultdict(list)
        self.income: list[Income] = []
        self.settings = Settings()
        self.maker_ppm, self.taker_ppm = maker_ppm, taker_ppm
        self.next_tran = next_id
        self.deadlines: dict[str, tuple[int, int]] = {}
        self.listen_key, self.listen_until_ns = "", 0
        self.margin_called: set[str] = set()  # assets, and isolated positions, the owner was warned of

    # positions --------------------------------------------------------------
    def position(self, symbol: str, side: str = BOTH) -> Position:
        """The position of a symbol and side, to look at: a flat one when there never was any."""
        return self.positions.get((symbol, side)) or Position()

    def opened(self, symbol: str, side: str = BOTH) -> Position:
        """The position of a symbol and side, to trade in."""
        return self.positions.setdefault((symbol, side), Position())

    def held(self, symbol: str) -> list[tuple[str, Position]]:
        """(side, position) of a symbol that are not flat."""
        rows = ((side, self.positions.get((symbol, side))) for side in (BOTH, LONG, SHORT))
        return [(side, p) for side, p in rows if p is not None and p.qty]

    def leverage(self, symbol: str) -> int:
        """Leverage in force for a symbol."""
        return self.settings.leverage.get(symbol, LEVERAGE)

    def isolated_e8(self, asset: str, quotes: dict[str, str]) -> int:
        """What isolated positions of an asset set aside; `quotes` gives each symbol's margin asset."""
        return sum(p.isolated_e8 for (s, _), p in self.positions.items() if p.isolated_e8 and quotes[s] == asset)

    # money --------------------------------------------------------------------
    def flow(self, asset: str, name: str, amount_e8: int) -> None:
        """Book money in (> 0) or out under one of FLOWS; fees are counted as what was paid."""
        if asset not in self.wallet:
            self.initial[asset] = self.wallet[asset] = 0
            self.flows[asset] = dict.fromkeys(FLOWS, 0)
            self.changed_ms[asset] = self.changed_ms.get(asset, 1)
        self.flows[asset][name] += amount_e8
        self.wallet[asset] += -amount_e8 if name == "fees" else amount_e8

    def row(self, symbol: str, kind: str, amount_e8: int, asset: str, now_ms: int, trade_id: str = "") -> None:
        """Add a row to the cash-flow list."""
        self.changed_ms[asset] = now_ms
        self.income.append(Income(symbol, kind, amount_e8, asset, trade_id, now_ms, self.next_tran, trade_id))
        self.next_tran += 1

    def fill(self, spec: Spec, t: Traded) -> Execution:
        """
        Book one execution: position, profit, fee, isolated wallet.

        Raises:
            BooksBroken: the identity does not hold afterwards.
        """
        asset = spec.quote
        pos = self.opened(spec.name, t.position_side)
        before = pos.qty
        realised = pos.move(spec, t.side, t.px, t.qty)
        pos.update_ms = t.now_ms
        self._set_aside(spec, pos, before, t.px)
        fee, fee_asset = self._fee(spec, t)
        if fee_asset == asset and pos.qty * t.side > 0:
            pos.fees_e8 += share(fee, min(t.qty, abs(pos.qty)), t.qty)
        self.flow(asset, "realised", realised)
        self.flow(fee_asset, "fees", fee)
        if realised:
            self.row(spec.name, "REALIZED_PNL", realised, asset, t.now_ms, str(t.trade[0]))
        if fee:
            self.row(spec.name, "COMMISSION", -fee, fee_asset, t.now_ms, str(t.trade[0]))
        done = Execution(
            *t.trade,
            symbol=spec.name,
            side=t.side,
            px=t.px,
            qty=t.qty,
            maker=t.maker,
            realised_e8=realised,
            fee_e8=fee,
            asset=fee_asset,
            time_ms=t.now_ms,
            position_side=t.position_side,
        )
        self.executions.append(done)
        self.fills_of[spec.name].append(done)
        self.check(asset, fee_asset)
        return done

    def _fee(self, spec: Spec, t: Traded) -> tuple[int, str]:
        """(fee in 1e-8, asset): in BNB when burning is on and the BNB wallet can pay."""
        rate = self.maker_ppm if t.maker else self.taker_ppm
        fee = (spec.notional_e8(t.px, t.qty) * rate + 500_000) // 1_000_000
        if self.settings.fee_burn and t.bnb_e8 and fee > 0:
            num, den = BURN_DISCOUNT
            in_bnb = (2 * fee * num * UNIT_E8 + den * t.bnb_e8) // (2 * den * t.bnb_e8)
            if in_bnb <= self.wallet.get("BNB", 0):
                return in_bnb, "BNB"
        return fee, spec.quote

    def _set_aside(self, spec: Spec, pos: Position, before: int, px: int) -> None:
        """
        Isolated margin follows the size: a fill that adds brings its own share of leverage, one that takes away frees
        in proportion; a turn to the other side frees all and sets aside for what is then held.
        """
        if spec.name not in self.settings.isolated:
            return
        leverage, grown = self.leverage(spec.name), abs(pos.qty) - abs(before)
        if pos.qty * before <= 0:
            pos.isolated_e8 = pos.cost_e8 // leverage
        elif grown > 0:
            pos.isolated_e8 += spec.notional_e8(px, grown) // leverage
        else:
            pos.isolated_e8 -= share(pos.isolated_e8, -grown, abs(before))

    def pay_funding(self, spec: Spec, pos: Position, mark_e8: int, rate_e8: int, now_ms: int) -> int:
        """Settle funding for one position: longs pay a positive rate. Returns the amount in 1e-8, 0 when flat."""
        if not pos.qty:
            return 0
        amount = share(abs(spec.value_e8(mark_e8, pos.qty)), abs(rate_e8), UNIT_E8)
        if (pos.qty > 0) == (rate_e8 > 0):
            amount = -amount
        if amount:
            self.flow(spec.quote, "funding", amount)
            self.row(spec.name, "FUNDING_FEE", amount, spec.quote, now_ms)
            if pos.isolated_e8:
                pos.isolated_e8 += amount
        self.check(spec.quote)
        return amount

    def transfer(self, asset: str, amount_e8: int, now_ms: int) -> None:
        """Deposit (> 0) or withdraw (< 0)."""
        self.flow(asset, "transfers", amount_e8)
        self.row("", "TRANSFER", amount_e8, asset, now_ms)
        self.check(asset)

    def check(self, *assets: str) -> None:
        """
        Prove the identity of the module docstring, of the assets named or of all.

        Raises:
            BooksBroken: with the asset and both sides of the equation.
        """
        for asset in assets or self.wallet:
            f, wallet = self.flows[asset], self.wallet[asset]
            want = self.initial[asset] + f["realised"] - f["fees"] + f["funding"] + f["transfers"] + f["insurance"]
            if wallet != want:
                raise BooksBroken(f"{asset}: wallet {dec(wallet, E8)} but flows give {dec(want, E8)}")
