"""Errors, split first by whose fault, then by what the reader has to do.

AegisError
├── Ours           a bug or a broken invariant: halt what it touches
│   ├── IllegalTransition   an order event no row of the state table allows
│   └── AbiMismatch         two builds disagree about a layout: rebuild, restart all
├── Venue          the exchange refused or answered nonsense
│   ├── BadNumber / Inexact / BadMessage    what came in cannot be taken exactly: drop it, count it
│   ├── VenueError          a refusal with code and message: final unless its code says otherwise
│   ├── RateLimited         wait `retry_after_s`, then only what is essential
│   └── OrderUnknown        sent, no answer: an exposure until proven otherwise (never resend)
├── Machine        this host or its network
│   ├── Unreachable         nothing was written: safe to try again
│   ├── RingRefused         a shared file is foreign, newer, or its writer lives
│   └── Lapped              a reader that must not lose records lost some
└── Operator       configuration or command: fix the input; exit code 2
    └── ConfigError
"""

from __future__ import annotations


class AegisError(Exception):
    """Root of everything AEGIS raises on purpose."""


class Ours(AegisError):
    """A bug or broken invariant of ours."""


class Venue(AegisError):
    """The venue refused, or sent what cannot be used."""


class Machine(AegisError):
    """The host or the network failed."""


class Operator(AegisError):
    """The person who configures or commands can mend it."""


class IllegalTransition(Ours):
    """An (order state, event) pair that the table does not hold."""


class AbiMismatch(Ours):
    """Layouts of header, compiled module and shared file differ."""


class BadMessage(Venue):
    """Bytes from the venue that are not what the protocol says."""


class BadNumber(BadMessage):
    """Text that is not a plain decimal number."""


class Inexact(Venue):
    """A value that does not fit the asked exponent without rounding."""


class VenueError(Venue):
    """
    A refusal by the venue.

    Args:
        code: venue code, e.g. -2013; 0 when the body had none.
        msg: venue's text.
        status: HTTP or WebSocket API status.
    """

    def __init__(self, code: int, msg: str, status: int = 400) -> None:
        super().__init__(f"venue refused ({status}, {code}): {msg}")
        self.code, self.msg, self.status = code, msg, status


class RateLimited(Venue):
    """Over a limit (429) or banned (418); `retry_after_s` is when to try again."""

    def __init__(self, status: int, retry_after_s: float, msg: str) -> None:
        super().__init__(f"rate limited ({status}), retry after {retry_after_s:g} s: {msg}")
        self.status, self.retry_after_s = status, retry_after_s


class OrderUnknown(Venue):
    """A write left and no usable answer came: count it in full, settle it by evidence."""


class Unreachable(Machine):
    """The request was never written: it certainly had no effect."""


class RingRefused(Machine):
    """A shared-memory file cannot be used; the message says which field disagrees."""


class Lapped(Machine):
    """A reader was overtaken by the writer and lost records."""


class ConfigError(Operator):
    """A setting is missing, unknown or of the wrong type; the message names it."""
