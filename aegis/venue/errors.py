"""From the venue's refusals to exceptions and duties.

Problem: one HTTP status covers opposite facts: a 503 can mean "not executed" or "perhaps executed", told apart by its
text only, and bodies can be HTML or missing (PROTOCOL 5.7, 8). Getting it wrong either repeats an order or loses one.
What must stay true: for a write, whatever is not known to have failed is `OrderUnknown`; a code nobody listed is FINAL
(no retry).
"""

from __future__ import annotations

import re
from enum import Enum

import msgspec

from aegis.errors import OrderUnknown, RateLimited, Venue, VenueError

NOT_EXECUTED = ("Service Unavailable", "Internal error; unable to process", "currently overloaded")
CLOCK_CODE = -1021
NOT_EXECUTED_CODES = frozenset({-1008, CLOCK_CODE})
UNKNOWN_CODES = frozenset({-1000, -1001, -1006, -1007})
RATE_CODES = frozenset({-1003, -1015})
TEMPORARY_PAUSE_S = {429: 60.0, 418: 120.0}
ORDER_PAUSE_S = 10.0
_BANNED = re.compile(r"banned until (\d{10,16})", re.ASCII)
_TEXT_MAX = 200


class Duty(Enum):
    """What the caller has to do about a code."""

    FINAL = "the order or request is refused for good"
    RETRY = "not executed: try again with a growing pause"
    UNKNOWN = "perhaps executed: settle it by evidence, never resend"
    PAUSE = "over a limit: wait, only essential calls"
    CLOCK = "measure the clock again, then once more"
    RULES = "load the filters again, quantise again; never unchanged"
    QUERY = "look the order up: usually filled or gone"
    REFRESH = "our view of the account is stale: read it, then decide"
    EXIT_ONLY = "only orders that reduce are allowed"
    LISTEN_KEY = "new listen key, reconnect, reconcile"
    BUG = "our request is wrong: stop that path"
    HALT = "no trading with this account or key until a person looked"
    DONE = "already so: a success"


_TABLE: dict[Duty, tuple[int, ...]] = {
    Duty.RETRY: (-1008, -1112, -2012, -5028, -5043),
    Duty.UNKNOWN: (-1000, -1001, -1006, -1007),
    Duty.PAUSE: (-1003, -1015),
    Duty.CLOCK: (CLOCK_CODE,),
    Duty.RULES: (
        -1013, -1111, -1121, -1122, -4001, -4002, -4003, -4004, -4005, -4013, -4014, -4016, -4023, -4024, -4131, -4140,
        -4141, -4164, -4183, -4184, -5024, -5029,
    ),
    Duty.QUERY: (-2011, -2013, -4116),
    Duty.REFRESH: (-2018, -2019, -2022, -2024, -2025, -2027, -4050, -4051, -4118, -5047),
    Duty.EXIT_ONLY: (-4087, -4088, -4105, -4106, -4107, -4400, -4401, -4402, -4403),
    Duty.LISTEN_KEY: (-1125,),
    Duty.BUG: (
        -1100, -1101, -1102, -1103, -1104, -1105, -1106, -1114, -1115, -1116, -1117, -1130, -2026, -4006, -4007, -4015,
        -4062, -4082, -4120, -5025, -5037, -5038, -5039, -5040, -5041,
    ),
    Duty.HALT: (
        -1005, -1011, -1016, -1020, -1022, -1099, -2014, -2015, -2017, -2023, -2028, -4061, -4109, -4192,
    ),
    Duty.DONE: (-4046, -4059, -5027),
}  # fmt: skip
_DUTY = {code: duty for duty, codes in _TABLE.items() for code in codes}


def duty(code: int) -> Duty:
    """What a code asks for; FINAL for -2010, -2020, -2021, -5021, -5022 and every code not listed (PROTOCOL 8)."""
    return _DUTY.get(code, Duty.FINAL)


def classify(
    status: int, body: bytes | str, *, write: bool = True, retry_after: str | None = None, now_ms: int = 0
) -> Venue:
    """
    The exception for an answer that is not a success.

    Args:
        status: HTTP status, or `status` of a WebSocket API answer.
        body: as received: `{"code","msg"}`, HTML, or nothing; for the WebSocket API its `error` object.
        write: the request could change something.
        retry_after: the header's text, seconds.
        now_ms: wall-clock ms, to read "banned until".

    Returns:
        RateLimited (429, 418, -1003, -1015), OrderUnknown (a write that may have been executed), else VenueError.

    Source: PROTOCOL 5.7, 7, 8.
    """
    code, msg = _code_and_text(body)
    if status in TEMPORARY_PAUSE_S or code in RATE_CODES:
        return RateLimited(status, _pause_s(status, code, msg, retry_after, now_ms), msg)
    failed = code in NOT_EXECUTED_CODES or any(text in msg for text in NOT_EXECUTED)
    doubtful = status >= 500 or status == 408 or code in UNKNOWN_CODES
    if write and doubtful and not failed:
        return OrderUnknown(f"venue answered ({status}, {code}): {msg}")
    return VenueError(code, msg, status)


def _code_and_text(body: bytes | str) -> tuple[int, str]:
    raw = body if isinstance(body, bytes) else body.encode()
    try:
        found = msgspec.json.decode(raw)
        return int(found["code"]), str(found.get("msg", ""))[:_TEXT_MAX]
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError):
        return 0, raw[:_TEXT_MAX].decode("utf-8", "replace")


def _pause_s(status: int, code: int, msg: str, retry_after: str | None, now_ms: int) -> float:
    """Seconds to wait: the header, else the end of the ban in the text, else a default; never below 1."""
    if retry_after is not None and retry_after.strip().isdecimal():
        return max(1.0, float(retry_after))
    banned = _BANNED.search(msg)
    if banned is not None and now_ms:
        return max(1.0, (int(banned.group(1)) - now_ms) / 1000)
    return ORDER_PAUSE_S if code == -1015 else TEMPORARY_PAUSE_S.get(status, 60.0)
