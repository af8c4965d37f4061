"""Postings: the only way a wallet changes.

Problem: a balance that is overwritten by what the venue says proves nothing; one that is the sum of labelled
postings can be checked to the last digit. So every change of money is one posting with a kind, and
`wallet = sum of all postings of the asset` (opening included).
What must stay true: a posting is never edited; a mistake is mended by a further, labelled posting.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from aegis.units import ZERO, Num


class PostingKind(IntEnum):
    """What a posting is for. OPENING is what the account held when the books began."""

    OPENING = 0
    REALISED = 1
    COMMISSION = 2
    FUNDING = 3
    TRANSFER = 4
    OTHER = 5
    ADJUSTMENT = 6


class Posting(msgspec.Struct, frozen=True, kw_only=True):
    """
    One change of a wallet (`amount`, signed: a commission paid is negative) or, for openings and adjustments
    of positions, of a position (`qty` signed at `price`). `note` says who or what allowed it.
    """

    kind: PostingKind
    asset: str
    amount: Num
    exch_ns: int
    symbol: str = ""
    trade_id: int = 0
    qty: Num = ZERO
    price: Num = ZERO
    note: str = ""


_REASONS = {
    "FUNDING_FEE": PostingKind.FUNDING,
    "SPECIAL_FUNDING_FEE": PostingKind.FUNDING,
    "DEPOSIT": PostingKind.TRANSFER,
    "WITHDRAW": PostingKind.TRANSFER,
    "WITHDRAW_REJECT": PostingKind.TRANSFER,
    "ADMIN_DEPOSIT": PostingKind.TRANSFER,
    "ADMIN_WITHDRAW": PostingKind.TRANSFER,
    "MARGIN_TRANSFER": PostingKind.TRANSFER,
    "ASSET_TRANSFER": PostingKind.TRANSFER,
    "COIN_SWAP_DEPOSIT": PostingKind.TRANSFER,
    "COIN_SWAP_WITHDRAW": PostingKind.TRANSFER,
    "TRANSFER": PostingKind.TRANSFER,
    "INTERNAL_TRANSFER": PostingKind.TRANSFER,
    "CROSS_COLLATERAL_TRANSFER": PostingKind.TRANSFER,
    "STRATEGY_UMFUTURES_TRANSFER": PostingKind.TRANSFER,
}


def kind_of(reason: str) -> PostingKind:
    """
    Posting kind of a venue's reason (`m` of ACCOUNT_UPDATE or incomeType); unknown words are OTHER, never dropped.

    Source: PROTOCOL 3.3, 9.1.
    """
    return _REASONS.get(reason, PostingKind.OTHER)
