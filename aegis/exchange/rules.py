"""Switches for what the protocol notes leave open, and the clocks an operator may change.

Problem: where the notes say [?], real clients have met both behaviours, so a venue that fixes one hides half of the
mistakes.
What must stay true: each default is the reading the notes hold more likely, and both values of a switch are tested.
"""

from __future__ import annotations

from dataclasses import dataclass

UNROUTED = ("public", "all", "none")  # what an address without a route may serve
STPS = ("NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH")


@dataclass(slots=True)
class Rules:
    """
    Behaviour of one venue.

    Args:
        default_stp: self-trade prevention of an order that names none.
        default_stp_batch: the same for batch orders and the WebSocket API.
        answer_money: answers to place, cancel and modify still carry avgPrice and cumQuote, as before July 2026.
        countdown_spares_algo: a dead-man switch leaves conditional orders alone.
        amend_down_keeps_place: an amendment that only lowers the quantity keeps its place in the queue.
        listen_key_s: life of a listen key.
        cut_reduce_only: a reduce-only order larger than the position is cut to it instead of refused.
        adl_first: liquidations skip the insurance fund and go to automatic deleveraging.
    """

    default_stp: str = "EXPIRE_MAKER"
    default_stp_batch: str = "EXPIRE_MAKER"
    answer_money: bool = False
    countdown_spares_algo: bool = True
    amend_down_keeps_place: bool = False
    listen_key_s: float = 3600.0
    cut_reduce_only: bool = False
    adl_first: bool = False
