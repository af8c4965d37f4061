"""Planted failures: what the operator of a test asks the venue to do wrong, and how often.

What must stay true: without a request to /control/fault this file changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

KINDS = ("error", "drop_reply", "delay")


@dataclass(slots=True)
class Fault:
    """
    One planted failure of replies.

    Args:
        kind: "error" (refuse before anything happens), "drop_reply" (do it, close without an answer), "delay".
        path: part of the REST path or WS API method it applies to; "" for all.
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

    def next(self, path: str) -> Fault | None:
        """The failure this request suffers, counted down; None for none."""
        for fault in self.planted:
            if fault.path in path:
                fault.count -= 1
                if fault.count <= 0:
                    self.planted.remove(fault)
                return fault
        return None
