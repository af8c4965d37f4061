"""Planted failures of requests: what the operator of a test asks the venue to do wrong, and how often.

Problem: a failure before an order takes effect and one after it look alike to a client and are opposites in truth. So
a door asks twice: `before` it runs a request, where a fault may hold it up or answer in its place, and `after`, where
the deed is done and only the answer can still be changed, delayed, or cut on its way.
What must stay true: without a planted fault both hooks change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from aegis.errors import VenueError

BEFORE = ("error", "delay")
AFTER = ("drop_reply",)
KINDS = BEFORE + AFTER


@dataclass(slots=True)
class Answer:
    """
    What is about to be sent for one request.

    Args:
        status: HTTP status, or the status inside a WebSocket API answer.
        body: the body, or the whole text of a WebSocket API answer.
        headers: of an HTTP answer, Content-Type among them.
        delay_ms: how long the finished answer waits.
        cut: how many bytes of it, as it goes over the wire, still leave before the connection breaks; None for all.
    """

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    delay_ms: int = 0
    cut: int | None = None


@dataclass(frozen=True, slots=True)
class Before:
    """What happens to a request before it is run: a wait, then a refusal or a whole answer in place of running it."""

    delay_ms: int = 0
    instead: VenueError | Answer | None = None


@dataclass(slots=True)
class Fault:
    """
    One planted failure of replies.

    Args:
        kind: "error" (refuse before anything happens), "drop_reply" (do it, close without an answer), "delay".
        path: part of the request's name it applies to ("POST /fapi/v1/order", "WS order.place"); "" for all.
        count: how many requests it hits.
    """

    kind: str
    path: str = ""
    count: int = 1
    status: int = 503
    code: int = -1008
    msg: str = "Server is currently overloaded with other requests. Please try again in a few minutes."
    delay_ms: int = 0


class Faults:
    """The planted failures that are still to happen."""

    def __init__(self) -> None:
        self.planted: list[Fault] = []

    def plant(self, fault: Fault) -> None:
        """Add one; ValueError for an unknown kind."""
        if fault.kind not in KINDS:
            raise ValueError(f"fault kind is one of {', '.join(KINDS)}")
        self.planted.append(fault)

    def _next(self, kinds: tuple[str, ...], name: str) -> Fault | None:
        """The first failure of these kinds that this request suffers, counted down; None for none."""
        for fault in self.planted:
            if fault.kind in kinds and fault.path in name:
                fault.count -= 1
                if fault.count <= 0:
                    self.planted.remove(fault)
                return fault
        return None

    def before(self, name: str) -> Before | None:
        """What a request of this name suffers before it is run; None for nothing."""
        fault = self._next(BEFORE, name) if self.planted else None
        if fault is None:
            return None
        refusal = VenueError(fault.code, fault.msg, fault.status) if fault.kind == "error" else None
        return Before(fault.delay_ms, refusal)

    def after(self, name: str, answer: Answer) -> Answer:
        """The answer as it will leave, the request having been run."""
        fault = self._next(AFTER, name) if self.planted else None
        if fault is not None:
            answer.cut, answer.delay_ms = 0, fault.delay_ms
        return answer
