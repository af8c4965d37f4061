"""The life of an order as data: `(state, event) -> state`.

Problem: acks, stream events and query answers race each other, are repeated and reordered (PROTOCOL 3.1); code full of
conditions would meet an order nobody thought of. Here every pair that may happen is listed; what is absent raises.
What must stay true: late or repeated news never moves an order backwards; a terminal state is left by nothing; two
different ends for one order, or life after a proven end, are contradictions and have no row.
"""

from __future__ import annotations

from enum import IntEnum

from aegis.errors import IllegalTransition
from aegis.messages import OrderStatus


class State(IntEnum):
    """Where an order stands; the numbers are stored in the orders ring."""

    INTENT = 1  # recorded, nothing sent
    SENT = 2
    UNKNOWN = 3  # sent, no answer: counted in full
    WORKING = 4
    PARTIAL = 5
    CANCEL_SENT = 6
    FILLED = 7
    CANCELED = 8
    EXPIRED = 9
    REJECTED = 10


class Event(IntEnum):
    """What can happen to an order."""

    SEND = 1
    ACK = 2
    REJECT = 3  # the venue's own refusal
    UNSENT = 4  # certainly never written
    LOST = 5  # written, no answer
    NEW = 6
    PARTIAL = 7
    FILL = 8
    CANCELED = 9
    EXPIRED = 10
    REJECTED = 11
    CANCEL = 12
    CANCEL_DOUBT = 13  # the cancel was refused or lost: ask
    ABSENT = 14  # proven absent (PROTOCOL 5.7)


LIVE = (State.INTENT, State.SENT, State.UNKNOWN, State.WORKING, State.PARTIAL, State.CANCEL_SENT)
TERMINAL = frozenset({State.FILLED, State.CANCELED, State.EXPIRED, State.REJECTED})
_ENDS = {
    Event.FILL: State.FILLED,
    Event.CANCELED: State.CANCELED,
    Event.EXPIRED: State.EXPIRED,
    Event.REJECTED: State.REJECTED,
}

TABLE: dict[tuple[State, Event], State] = {
    (State.INTENT, Event.SEND): State.SENT,
    (State.INTENT, Event.REJECT): State.REJECTED,
    (State.INTENT, Event.UNSENT): State.REJECTED,
    (State.INTENT, Event.LOST): State.UNKNOWN,
    (State.SENT, Event.UNSENT): State.REJECTED,
    (State.SENT, Event.REJECT): State.REJECTED,
    (State.SENT, Event.ACK): State.WORKING,
    (State.SENT, Event.LOST): State.UNKNOWN,
    (State.UNKNOWN, Event.ACK): State.WORKING,
    (State.UNKNOWN, Event.REJECT): State.REJECTED,
    (State.UNKNOWN, Event.LOST): State.UNKNOWN,
    (State.UNKNOWN, Event.ABSENT): State.REJECTED,
    (State.CANCEL_SENT, Event.CANCEL_DOUBT): State.UNKNOWN,
    (State.UNKNOWN, Event.CANCEL_DOUBT): State.UNKNOWN,
    (State.UNKNOWN, Event.CANCEL): State.UNKNOWN,
}
for _s in LIVE:
    TABLE |= {(_s, event): end for event, end in _ENDS.items()}
    TABLE |= {(_s, Event.NEW): State.WORKING, (_s, Event.PARTIAL): State.PARTIAL}
for _s in (State.WORKING, State.PARTIAL, State.CANCEL_SENT):
    TABLE |= {(_s, Event.ACK): _s, (_s, Event.LOST): _s, (_s, Event.CANCEL): State.CANCEL_SENT}
for _s in (State.PARTIAL, State.CANCEL_SENT):
    TABLE[(_s, Event.NEW)] = _s
TABLE[(State.WORKING, Event.CANCEL_DOUBT)] = State.UNKNOWN
TABLE[(State.PARTIAL, Event.CANCEL_DOUBT)] = State.UNKNOWN
TABLE[(State.CANCEL_SENT, Event.PARTIAL)] = State.CANCEL_SENT
_LATE = (Event.ACK, Event.LOST, Event.NEW, Event.PARTIAL, Event.CANCEL, Event.CANCEL_DOUBT)
for _end, _state in _ENDS.items():
    TABLE[(_state, _end)] = _state
    if _state is not State.REJECTED:
        TABLE |= {(_state, late): _state for late in _LATE}
for _late in (Event.REJECT, Event.LOST, Event.ABSENT, Event.CANCEL_DOUBT):
    TABLE[(State.REJECTED, _late)] = State.REJECTED

_BY_STATUS = {
    OrderStatus.NEW: Event.NEW,
    OrderStatus.PARTIALLY_FILLED: Event.PARTIAL,
    OrderStatus.FILLED: Event.FILL,
    OrderStatus.CANCELED: Event.CANCELED,
    OrderStatus.EXPIRED: Event.EXPIRED,
    OrderStatus.EXPIRED_IN_MATCH: Event.EXPIRED,
    OrderStatus.REJECTED: Event.REJECTED,
}


def step(state: State, event: Event) -> State:
    """
    The state after `event`.

    Raises:
        IllegalTransition: the table has no such pair; the symbol has to be halted.
    """
    after = TABLE.get((state, event))
    if after is None:
        raise IllegalTransition(f"order in {state.name} cannot take {event.name}")
    return after


def event_of(status: OrderStatus) -> Event | None:
    """The event a venue status is; None for words this build does not know."""
    return _BY_STATUS.get(status)
