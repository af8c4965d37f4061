"""The nouns that stations hand to each other: frozen, typed, without behaviour.

Numbers are `Num`; times are wall-clock nanoseconds; enums have the integer values stored in shared memory
(`csrc/aegis_abi.h` holds the same numbers for what C fills). An unknown venue word becomes the enum's OTHER,
never an error (PROTOCOL 0.1: unknown values must not be fatal).
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from aegis.units import ZERO, Num


class Side(IntEnum):
    """Direction of an order or of the aggressor of a trade."""

    SELL = -1
    OTHER = 0
    BUY = 1


class OrderType(IntEnum):
    """Order types AEGIS sends (LIMIT, MARKET); everything else the venue may show is OTHER."""

    OTHER = 0
    LIMIT = 1
    MARKET = 2
    LIQUIDATION = 3


class Tif(IntEnum):
    """Time in force (PROTOCOL 5.1)."""

    OTHER = 0
    GTC = 1
    IOC = 2
    FOK = 3
    GTX = 4
    GTD = 5


class ExecType(IntEnum):
    """`x` of ORDER_TRADE_UPDATE."""

    OTHER = 0
    NEW = 1
    TRADE = 2
    CANCELED = 3
    EXPIRED = 4
    AMENDMENT = 5
    CALCULATED = 6
    TRADE_PREVENTION = 7
    REJECTED = 8


class OrderStatus(IntEnum):
    """`X` of ORDER_TRADE_UPDATE and `status` of order queries."""

    OTHER = 0
    NEW = 1
    PARTIALLY_FILLED = 2
    FILLED = 3
    CANCELED = 4
    EXPIRED = 5
    EXPIRED_IN_MATCH = 6
    REJECTED = 7


class Refusal(IntEnum):
    """Why the gate (or order entry) refused an intent; 0 is acceptance."""

    ACCEPTED = 0
    HALTED = 1
    BOOK_UNTRUSTED = 2
    NOT_RECONCILED = 3
    UNKNOWN_SYMBOL = 4
    BAD_TICK = 5
    BAD_LOT = 6
    MIN_NOTIONAL = 7
    ORDER_NOTIONAL = 8
    POSITION_NOTIONAL = 9
    PRICE_COLLAR = 10
    ORDER_RATE = 11
    LOSS_LIMIT = 12
    UNKNOWN_ORDERS = 13
    OPEN_ORDERS = 14
    REDUCE_ONLY = 15
    SYMBOL_HALTED = 16
    NOT_CONNECTED = 17
    BAD_INTENT = 18
    TOTAL_NOTIONAL = 19
    NO_IDS = 20  # the block of client ids on disk is used up


class Halt(IntEnum):
    """Reason in a halt word; 0 is none."""

    NONE = 0
    OPERATOR = 1
    RECONCILIATION = 2
    LAPPED = 3
    ILLEGAL_TRANSITION = 4
    LOSS_LIMIT = 5
    STRATEGY_FAULT = 6
    CLOCK = 7
    STORE = 8


class _Noun(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all messages."""


class Place(_Noun, frozen=True, kw_only=True):
    """Intent: send an order. `price` is None for MARKET. `tag` is the strategy's own word (<= 15 ASCII)."""

    symbol: str
    side: Side
    qty: Num
    price: Num | None = None
    type: OrderType = OrderType.LIMIT
    tif: Tif = Tif.GTC
    reduce_only: bool = False
    tag: str = ""


class Cancel(_Noun, frozen=True, kw_only=True):
    """Intent: cancel one working order by its client id."""

    symbol: str
    client_id: str


Intent = Place | Cancel


class OrderUpdate(_Noun, frozen=True, kw_only=True):
    """ORDER_TRADE_UPDATE, or one order as a REST/WS-API query shows it (then exec_type is OTHER, no fill)."""

    symbol: str
    client_id: str
    order_id: int
    side: Side
    type: OrderType
    tif: Tif
    exec_type: ExecType
    status: OrderStatus
    qty: Num
    price: Num
    filled_qty: Num
    avg_price: Num = ZERO
    last_qty: Num = ZERO
    last_price: Num = ZERO
    trade_id: int = 0
    commission: Num = ZERO
    commission_asset: str = ""
    realised: Num = ZERO
    maker: bool = False
    reduce_only: bool = False
    expiry_reason: int = 0
    exch_ns: int = 0
    recv_ns: int = 0


class TradeLite(_Noun, frozen=True, kw_only=True):
    """TRADE_LITE: a fill, early, without money (PROTOCOL 3.4)."""

    symbol: str
    client_id: str
    order_id: int
    side: Side
    qty: Num
    last_qty: Num
    last_price: Num
    trade_id: int
    maker: bool = False
    exch_ns: int = 0
    recv_ns: int = 0


class BalanceUpdate(_Noun, frozen=True, kw_only=True):
    """One `B` row of ACCOUNT_UPDATE; `change` excludes PnL and commission. `last` ends its event."""

    asset: str
    wallet: Num
    cross_wallet: Num
    change: Num
    reason: str
    symbol: str = ""
    last: bool = True
    exch_ns: int = 0
    recv_ns: int = 0


class PositionUpdate(_Noun, frozen=True, kw_only=True):
    """One `P` row of ACCOUNT_UPDATE: the venue's own view of a position. `position_side` BOTH|LONG|SHORT."""

    symbol: str
    qty: Num
    entry_price: Num
    realised_total: Num
    unrealised: Num
    reason: str
    position_side: str = "BOTH"
    margin_type: str = "cross"
    last: bool = True
    exch_ns: int = 0
    recv_ns: int = 0


class Note(_Noun, frozen=True, kw_only=True):
    """
    Anything else on the private channel that somebody has to act on.

    `what`: "listenKeyExpired", "MARGIN_CALL", "ACCOUNT_CONFIG_UPDATE", "ALGO_UPDATE", "STREAM_UP",
    "STREAM_DOWN" (the last two are feed's own), or the venue's unknown event name. `detail` <= 120 bytes.
    """

    what: str
    detail: str = ""
    symbol: str = ""
    exch_ns: int = 0
    recv_ns: int = 0


AccountMessage = OrderUpdate | TradeLite | BalanceUpdate | PositionUpdate | Note


class OrderStep(IntEnum):
    """What an orders-ring record says happened."""

    OTHER = 0
    INTENT = 1  # written before the first byte leaves
    REFUSED = 2  # by the gate; never sent
    SENT = 3
    ACKED = 4
    REJECTED = 5
    UNKNOWN = 6
    CANCEL_SENT = 7
    CANCEL_REJECTED = 8
    SETTLED = 9  # terminal, `status` says how
    TURN = 10  # one brain turn: cursors, now, hash of decisions
    STATE = 11  # any other change of order state


class OrderRecord(_Noun, frozen=True, kw_only=True):
    """One orders-ring record (writer: brain). For TURN only now_ns, market_seq, account_seq, digest count."""

    step: OrderStep
    now_ns: int
    client_id: str = ""
    symbol: str = ""
    side: Side = Side.OTHER
    type: OrderType = OrderType.OTHER
    tif: Tif = Tif.OTHER
    reduce_only: bool = False
    state: int = 0  # aegis.orders.states.State
    reason: int = 0  # Refusal, or the venue's code
    order_id: int = 0
    qty: Num = ZERO
    price: Num = ZERO
    filled_qty: Num = ZERO
    tag: str = ""
    market_seq: int = 0
    account_seq: int = 0
    digest: int = 0


class Fill(_Noun, frozen=True, kw_only=True):
    """A fill as the ledger books it, from the stream or from userTrades. Key: (symbol, trade_id)."""

    symbol: str
    trade_id: int
    order_id: int
    side: Side
    qty: Num
    price: Num
    commission: Num
    commission_asset: str
    realised: Num
    margin_asset: str
    maker: bool
    exch_ns: int
    client_id: str = ""
    source: str = "stream"


class Rules(_Noun, frozen=True, kw_only=True):
    """Filters of one symbol (PROTOCOL 6). 0 disables a bound. Exponents are those of tick and lot."""

    symbol: str
    base_asset: str
    quote_asset: str
    margin_asset: str
    status: str
    contract_type: str
    tick: Num
    price_min: Num
    price_max: Num
    lot: Num
    qty_min: Num
    qty_max: Num
    market_lot: Num
    market_qty_min: Num
    market_qty_max: Num
    min_notional: Num
    multiplier_up: Num
    multiplier_down: Num
    orders_max: int
    px_exp: int
    qty_exp: int
