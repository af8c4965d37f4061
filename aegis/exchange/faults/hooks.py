"""Where injected faults meet requests: before one is run, in the account it reads, and in its answer.

Problem: a failure before an order takes effect and one after it look alike to a client and are opposites in truth. So
a door asks twice: `before` it runs a request, where a fault may hold it up or answer in its place, and `after`, where
the deed is done and only the answer can still be changed, delayed, or cut on its way. Reads go through `seen`, because
at the venue a replica answers them, and replicas lag.
What must stay true: without a rule the hooks change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aegis.errors import VenueError

if TYPE_CHECKING:
    from aegis.exchange.account import Account


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
        error: a refusal that the door tells in place of `body`, in its own form.
    """

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    delay_ms: int = 0
    cut: int | None = None
    error: VenueError | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """A successful result told in place of running the request; each door wraps it in its own form."""

    value: Any


@dataclass(frozen=True, slots=True)
class Before:
    """What happens to a request before it is run: a wait, then a refusal, a result or a whole answer in its place."""

    delay_ms: int = 0
    instead: VenueError | Answer | Result | None = None


Params = Mapping[str, str]
BeforeRule = Callable[[str, Params], Before | None]
AfterRule = Callable[[str, Answer], bool]
SeenRule = Callable[[str, "Account"], "Account"]


class Faults:
    """
    The rules that requests meet, each asked in the order of its injection until one acts.

    Attributes:
        requests: how many requests have come.
        on_request: called with each, before its own rules are asked.
    """

    def __init__(self) -> None:
        self.before_rules: list[BeforeRule] = []
        self.after_rules: list[AfterRule] = []
        self.seen_rules: list[SeenRule] = []
        self.requests = 0
        self.on_request: Callable[[], None] | None = None

    def before(self, name: str, params: Callable[[], Params]) -> Before | None:
        """What a request of this name suffers before it is run; None for nothing. `params` is asked when needed."""
        if self.on_request is not None:
            self.on_request()
        self.requests += 1
        if self.before_rules:
            p = params()
            for rule in list(self.before_rules):
                found = rule(name, p)
                if found is not None:
                    return found
        return None

    def after(self, name: str, answer: Answer) -> Answer:
        """The answer as it will leave, the request having been run."""
        for rule in list(self.after_rules):
            if rule(name, answer):
                break
        return answer

    def seen(self, name: str, acc: Account) -> Account:
        """The account as a request of this name sees it: a stale copy when it only reads and its replica lags."""
        for rule in self.seen_rules:
            acc = rule(name, acc)
        return acc
