"""The ledger: a fold of what happened on the account into positions, wallets and postings.

Problem: the same fill is told up to four times (TRADE_LITE, ORDER_TRADE_UPDATE, ACCOUNT_UPDATE, userTrades) in any
order, and an ACCOUNT_UPDATE may merge several. So money and position come only from fills and labelled cash
flows, each booked once by its key; the venue's balances and positions are kept beside them as claims, for
reconciliation. TRADE_LITE moves the early position only until its fill is booked.
What must stay true: per asset, wallet == sum of its postings, exactly; applying a message twice changes nothing.
"""

from __future__ import annotations

import msgspec

from aegis.ledger.position import Position
from aegis.ledger.postings import Posting, PostingKind, kind_of
from aegis.messages import AccountMessage, BalanceUpdate, ExecType, Fill, OrderUpdate, PositionUpdate, Side, TradeLite
from aegis.units import ZERO, Num

_QUOTES = ("USDT", "USDC", "FDUSD", "BUSD", "USD1", "BTC", "ETH", "BNFCR", "U")
_FLOWS_MAX = 20_000


class Effect(msgspec.Struct, frozen=True):
    """What one message changed: the fill it booked, if any, and the postings."""

    fill: Fill | None = None
    postings: tuple[Posting, ...] = ()


NOTHING = Effect()


def margin_asset(symbol: str, known: dict[str, str]) -> str:
    """The asset a symbol settles in: from exchangeInfo when known, else its suffix ("BTCUSDT" -> USDT)."""
    if symbol in known:
        return known[symbol]
    return next((q for q in _QUOTES if symbol.split("_")[0].endswith(q)), "")


def fill_of(update: OrderUpdate, margin: str, source: str = "stream") -> Fill | None:
    """
    The fill inside an order update, or None.

    Source: PROTOCOL 3.2 fill rule: only TRADE or CALCULATED with a quantity and a trade id.
    """
    if update.exec_type not in (ExecType.TRADE, ExecType.CALCULATED) or not update.last_qty or not update.trade_id:
        return None
    return Fill(
        symbol=update.symbol,
        trade_id=update.trade_id,
        order_id=update.order_id,
        side=update.side,
        qty=update.last_qty,
        price=update.last_price,
        commission=update.commission,
        commission_asset=update.commission_asset or margin,
        realised=update.realised,
        margin_asset=margin,
        maker=update.maker,
        exch_ns=update.exch_ns,
        client_id=update.client_id,
        source=source,
    )


class Ledger:
    """
    Books of one account in one-way mode.

    Args:
        margin_assets: symbol -> margin asset; symbols not in it go by their suffix.
    """

    def __init__(self, margin_assets: dict[str, str] | None = None) -> None:
        self.margin_assets = dict(margin_assets or {})
        self.positions: dict[str, Position] = {}
        self.wallets: dict[str, Num] = {}
        self.totals: dict[tuple[str, PostingKind], Num] = {}
        self.confirmed: dict[str, int] = {}  # every trade id up to here is booked or belongs to the opening
        self.booked: dict[str, set[int]] = {}  # ids above `confirmed`
        self.last_trade: dict[str, int] = {}
        self.early: dict[tuple[str, int], Num] = {}
        self.opened_ns = 0  # books taken over from the venue's snapshot of this moment; 0: opened by the stream
        self.anchors: dict[str, int] = {}  # asset -> exch_ns up to which its opening contains everything
        self.flow_keys: dict[tuple[str, str, int, str], None] = {}
        self.claimed_wallets: dict[str, tuple[Num, int]] = {}
        self.claimed_positions: dict[str, tuple[Num, int]] = {}
        self.disputed: list[tuple[str, int, Num]] = []  # (symbol, trade id, own realised - venue's)
        self.unbookable: set[str] = set()  # symbols with a fill that had no trade id: ask userTrades

    def knows(self, symbol: str, trade_id: int) -> bool:
        """True when this fill is in the books (or in their opening)."""
        return trade_id <= self.confirmed.get(symbol, 0) or trade_id in self.booked.get(symbol, ())

    def qty(self, symbol: str) -> Num:
        """Signed position from booked fills."""
        held = self.positions.get(symbol)
        return held.qty if held else ZERO

    def early_qty(self, symbol: str) -> Num:
        """Signed position including fills so far known by TRADE_LITE only."""
        return sum((q for (s, _), q in self.early.items() if s == symbol), self.qty(symbol))

    def total(self, asset: str, kind: PostingKind) -> Num:
        """Sum of the postings of one kind in one asset."""
        return self.totals.get((asset, kind), ZERO)

    def apply(self, message: AccountMessage | Fill) -> Effect:
        """Fold one message; what is already known changes nothing."""
        match message:
            case Fill():
                return self._fill(message)
            case OrderUpdate():
                return self._order(message)
            case TradeLite():
                if not self.knows(message.symbol, message.trade_id) and not 0 < message.exch_ns <= self.opened_ns:
                    sign = Num(int(message.side))
                    self.early[message.symbol, message.trade_id] = sign * message.last_qty
            case BalanceUpdate():
                return self._balance(message)
            case PositionUpdate():
                self.claimed_positions[message.symbol] = (message.qty, message.exch_ns)
        return NOTHING

    def open_wallet(self, asset: str, amount: Num, exch_ns: int, note: str) -> Effect:
        """Take a wallet over from the venue; flows at or before `exch_ns` are inside it."""
        if asset in self.anchors:
            return NOTHING
        self.anchors[asset] = exch_ns
        return Effect(
            None, (self._post(PostingKind.OPENING, asset, amount - self.wallets.get(asset, ZERO), exch_ns, note),)
        )

    def move_position(self, symbol: str, qty: Num, price: Num, exch_ns: int, kind: PostingKind, note: str) -> Effect:
        """Open or adjust a position without a fill: a labelled posting of quantity, no money."""
        held, _ = self.positions.get(symbol, Position()).after(qty, price)
        self.positions[symbol] = held
        posting = Posting(
            kind=kind, asset=margin_asset(symbol, self.margin_assets), amount=ZERO, exch_ns=exch_ns,
            symbol=symbol, qty=qty, price=price, note=note,
        )  # fmt: skip
        return Effect(None, (posting,))

    def book_flow(self, kind: PostingKind, asset: str, amount: Num, exch_ns: int, note: str) -> Effect:
        """Book a cash flow proved by the venue's income record, or a labelled adjustment."""
        return Effect(None, (self._post(kind, asset, amount, exch_ns, note),))

    def confirm(self, symbol: str, trade_id: int) -> None:
        """Every trade of `symbol` up to `trade_id` is in the books: forget their single ids."""
        if trade_id <= self.confirmed.get(symbol, 0):
            return
        self.confirmed[symbol] = trade_id
        self.last_trade[symbol] = max(trade_id, self.last_trade.get(symbol, 0))
        self.booked[symbol] = {t for t in self.booked.get(symbol, ()) if t > trade_id}
        for key in [k for k in self.early if k[0] == symbol and k[1] <= trade_id]:
            del self.early[key]

    def _order(self, update: OrderUpdate) -> Effect:
        fill = fill_of(update, margin_asset(update.symbol, self.margin_assets))
        if fill is not None:
            return self._fill(fill)
        if update.exec_type in (ExecType.TRADE, ExecType.CALCULATED) and update.last_qty:
            self.unbookable.add(update.symbol)
        return NOTHING

    def _fill(self, fill: Fill) -> Effect:
        if self.knows(fill.symbol, fill.trade_id) or fill.exch_ns <= self.opened_ns:
            return NOTHING
        self.early.pop((fill.symbol, fill.trade_id), None)
        self.booked.setdefault(fill.symbol, set()).add(fill.trade_id)
        self.last_trade[fill.symbol] = max(fill.trade_id, self.last_trade.get(fill.symbol, 0))
        signed = fill.qty if fill.side == Side.BUY else -fill.qty
        held, own = self.positions.get(fill.symbol, Position()).after(signed, fill.price)
        self.positions[fill.symbol] = held
        if abs(own - fill.realised) > Num(1, 2):
            self.disputed = [*self.disputed[-99:], (fill.symbol, fill.trade_id, own - fill.realised)]
        asset, paid = fill.margin_asset, fill.commission_asset or fill.margin_asset
        before = [(asset, fill.realised, PostingKind.REALISED), (paid, -fill.commission, PostingKind.COMMISSION)]
        postings: list[Posting] = []
        for name, amount, kind in before:
            if amount:
                postings.append(self._post(kind, name, amount, fill.exch_ns, fill.source, (fill.symbol, fill.trade_id)))
                postings += self._inside_opening(name, amount, fill.exch_ns)
        return Effect(fill, tuple(postings))

    def _anchor(self, asset: str) -> int:
        return self.anchors.get(asset, self.opened_ns or -1)

    def _inside_opening(self, asset: str, amount: Num, exch_ns: int) -> list[Posting]:
        """A flow no younger than the claim the wallet was opened from is contained in it: take it out again."""
        if exch_ns > self._anchor(asset):
            return []
        return [self._post(PostingKind.OPENING, asset, -amount, exch_ns, "contained in the opening balance")]

    def _balance(self, update: BalanceUpdate) -> Effect:
        self.claimed_wallets[update.asset] = (update.wallet, update.exch_ns)
        postings: list[Posting] = []
        key = (update.asset, update.reason, update.exch_ns, str(update.wallet))
        if update.change and key not in self.flow_keys and update.exch_ns > self._anchor(update.asset):
            self.flow_keys[key] = None
            if len(self.flow_keys) > _FLOWS_MAX:
                del self.flow_keys[next(iter(self.flow_keys))]
            kind = kind_of(update.reason)
            postings.append(
                self._post(kind, update.asset, update.change, update.exch_ns, update.reason, (update.symbol, 0))
            )
        if update.asset not in self.anchors and not self.opened_ns:
            postings += self.open_wallet(
                update.asset, update.wallet, update.exch_ns, "first balance of the stream"
            ).postings
        return Effect(None, tuple(postings))

    def _post(  # a posting has this many columns
        self, kind: PostingKind, asset: str, amount: Num, exch_ns: int, note: str, of: tuple[str, int] = ("", 0)
    ) -> Posting:
        self.wallets[asset] = self.wallets.get(asset, ZERO) + amount
        self.totals[asset, kind] = self.totals.get((asset, kind), ZERO) + amount
        return Posting(kind=kind, asset=asset, amount=amount, exch_ns=exch_ns, symbol=of[0], trade_id=of[1], note=note)
