"""Faults of requests and their answers, REST and WebSocket API alike: each public function is one.

`path` is part of a request's name ("POST /fapi/v1/order", "WS order.place"), "writes" for every order command, "" for
all. `took_effect` tells whether the request is run before its answer goes wrong.
"""

from __future__ import annotations

from aegis.errors import VenueError
from aegis.exchange.faults.hooks import Answer, Before, Params
from aegis.exchange.faults.injection import Injection, is_write
from aegis.exchange.limits import TooMany

NEVER_MS = 86_400_000
OVERLOADED = "Server is currently overloaded with other requests. Please try again in a few minutes."
HTML = {"Content-Type": "text/html"}
PAGE = b"<html><head><title>%d</title></head><body><center><h1>%d</h1></center></body></html>\r\n"


def _refuse(f: Injection, e: VenueError, path: str, took_effect: bool) -> None:
    """Tell a refusal in place of running a request, or in place of its answer."""

    def spoil(answer: Answer) -> None:
        answer.error = e

    if took_effect:
        f.after(path, spoil)
    else:
        f.before(path, lambda _name, _p: Before(instead=e))


def error(
    f: Injection,
    *,
    code: int,
    msg: str = "",
    status: int = 400,
    path: str = "writes",
    count: int = 1,
    took_effect: bool = False,
) -> None:
    """Any refusal of the caller's choice."""
    f.stand(count)
    _refuse(f, VenueError(code, msg, status), path, took_effect)


def unknown_503(f: Injection, *, path: str = "writes", count: int = 1, took_effect: bool = True) -> None:
    """HTTP 503 "Unknown error": the backend was reached and its answer lost, so nobody knows."""
    f.stand(count)
    msg = "Unknown error, please check your request or try again later."
    _refuse(f, VenueError(-1000, msg, 503), path, took_effect)


def unavailable_503(f: Injection, *, path: str = "writes", count: int = 1) -> None:
    """HTTP 503 "Service Unavailable.": the request failed and did nothing."""
    f.stand(count)
    _refuse(f, VenueError(-1000, "Service Unavailable.", 503), path, False)


def internal_503(f: Injection, *, path: str = "writes", count: int = 1) -> None:
    """HTTP 503 -1001 "Internal error": the request failed and did nothing."""
    f.stand(count)
    msg = "Internal error; unable to process your request. Please try again."
    _refuse(f, VenueError(-1001, msg, 503), path, False)


def _may_pass(name: str, p: Params) -> bool:
    """Cancels, and orders that only reduce, are let through an overloaded venue."""
    if not is_write(name) or name.startswith("DELETE") or name.endswith("cancel"):
        return True
    return "true" in (p.get("reduceOnly", "").lower(), p.get("closePosition", "").lower())


def overload(f: Injection, *, count: int = 0, for_ms: int = 0) -> None:
    """HTTP 503 -1008: new orders are refused unrun and uncounted; cancels and reduce-only orders pass."""
    f.stand(count, for_ms=for_ms)
    full = Before(instead=VenueError(-1008, OVERLOADED, 503))
    f.before("", lambda name, p: None if _may_pass(name, p) else full)


def server_overload(f: Injection, *, ms: int = 0, count: int = 0, for_ms: int = 0) -> None:
    """The whole venue is overloaded: every request, reads too, waits `ms` and is refused with 503 -1008."""
    f.stand(count, for_ms=for_ms)
    f.before("", lambda _name, _p: Before(ms, VenueError(-1008, OVERLOADED, 503)))


def unexpected_1006(f: Injection, *, path: str = "writes", count: int = 1, took_effect: bool = True) -> None:
    """-1006: an unexpected response came from the message bus, execution status unknown."""
    f.stand(count)
    msg = "An unexpected response was received from the message bus. Execution status unknown."
    _refuse(f, VenueError(-1006, msg), path, took_effect)


def timeout_1007(f: Injection, *, path: str = "writes", count: int = 1, took_effect: bool = True) -> None:
    """-1007: the backend gave no answer in time, send status unknown, execution status unknown."""
    f.stand(count)
    msg = "Timeout waiting for response from backend server. Send status unknown; execution status unknown."
    _refuse(f, VenueError(-1007, msg, 408), path, took_effect)


def bad_signature_1022(f: Injection, *, path: str = "writes", count: int = 1) -> None:
    """-1022: a correct signature is refused."""
    f.stand(count)
    _refuse(f, VenueError(-1022, "Signature for this request is not valid."), path, False)


def duplicate_4116(f: Injection, *, path: str = "writes", count: int = 1, took_effect: bool = True) -> None:
    """-4116: the order is live and its own answer says that its client id is a duplicate."""
    f.stand(count)
    _refuse(f, VenueError(-4116, "ClientOrderId is duplicated."), path, took_effect)


def rate_limited_429(f: Injection, *, path: str = "", count: int = 1, retry_after_s: int = 1) -> None:
    """HTTP 429 -1003 with Retry-After, whatever was used."""
    f.stand(count)
    msg = "Too many requests; please use the websocket for live updates to avoid polling the API."
    _refuse(f, TooMany(-1003, msg, 429, retry_after_s), path, False)


def banned_418(f: Injection, *, ms: int = 0, ip: str = "127.0.0.1") -> None:
    """HTTP 418: an address is banned on every door, for `ms` or as long as the venue's rules say, each time longer."""
    limits, now = f.api.limits, f.ex.clock()
    address = limits.address(ip)
    until = now + ms if ms else limits.ban(ip, now)
    address.banned_until_ms = until
    f.stand(for_ms=until - now)
    f.hits += 1
    f.undo(lambda: setattr(address, "banned_until_ms", 0))


def _ws(name: str) -> bool:
    return name.startswith("WS")


def html_answer(f: Injection, *, status: int = 403, path: str = "", count: int = 1) -> None:
    """A page of HTML from something in front of the venue, in place of running the request."""
    f.stand(count)
    page = PAGE % (status, status)
    f.before(path, lambda name, _p: None if _ws(name) else Before(instead=Answer(status, page, dict(HTML))))


def empty_5xx(f: Injection, *, status: int = 502, path: str = "", count: int = 1) -> None:
    """A 5xx without a body, in place of running the request."""
    f.stand(count)
    f.before(path, lambda name, _p: None if _ws(name) else Before(instead=Answer(status, b"")))


def request_delay(f: Injection, *, ms: int, path: str = "writes", count: int = 1) -> None:
    """A request waits `ms` before it is run; the timestamp it carries grows old."""
    f.stand(count)
    f.before(path, lambda _name, _p: Before(ms))


def request_lost(f: Injection, *, path: str = "writes", count: int = 1) -> None:
    """The connection breaks before the request is run."""
    f.stand(count)
    f.before(path, lambda _name, _p: Before(instead=Answer(0, b"", cut=0)))


def answer_delay(f: Injection, *, ms: int, path: str = "writes", count: int = 1) -> None:
    """A request is run at once and answered `ms` late."""
    f.stand(count)
    f.after(path, lambda answer: setattr(answer, "delay_ms", ms))


def ack_after_fill(f: Injection, *, ms: int = 200, count: int = 1) -> None:
    """An order's answer comes `ms` late, after its own fill was told on the user stream."""
    answer_delay(f, ms=ms, count=count)


def answer_lost(f: Injection, *, path: str = "writes", count: int = 1) -> None:
    """A request is run and the connection breaks before a byte of its answer."""
    answer_cut(f, after_bytes=0, path=path, count=count)


def answer_cut(f: Injection, *, after_bytes: int, path: str = "writes", count: int = 1) -> None:
    """A request is run and the connection breaks after that many bytes of its answer."""
    if after_bytes < 0:
        raise ValueError("after_bytes is not negative")
    f.stand(count)
    f.after(path, lambda answer: setattr(answer, "cut", after_bytes))


def answer_never(f: Injection, *, path: str = "writes", count: int = 1, took_effect: bool = True) -> None:
    """No answer ever, on a connection that stays open."""
    f.stand(count)
    if took_effect:
        f.after(path, lambda answer: setattr(answer, "delay_ms", NEVER_MS))
    else:
        f.before(path, lambda _name, _p: Before(NEVER_MS))
