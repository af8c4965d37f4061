"""The request weight we allow ourselves per minute, with a part that only exits and cancels may use.

Problem: the venue bans an address that ignores its limits, and an address that spent everything on snapshots cannot
cancel. So each request asks first, the venue's own count corrects ours upward, and a penalty closes the gate.
What must stay true: a non-essential request never takes the reserve; an essential one waits only for a penalty or for
an exhausted minute. Time is an argument: monotonic or wall, but always the same one.
"""

from __future__ import annotations

MINUTE_NS = 60_000_000_000


class WeightBudget:
    """
    Weight of one minute window.

    Args:
        per_minute: what the venue allows.
        reserve: the part kept for essential requests.
    """

    __slots__ = ("_blocked_ns", "_minute", "per_minute", "reserve", "used")

    def __init__(self, per_minute: int, reserve: int) -> None:
        self.per_minute, self.reserve = per_minute, min(reserve, per_minute // 2)
        self.used, self._minute, self._blocked_ns = 0, -1, 0

    def ask(self, weight: int, now_ns: int, essential: bool = False) -> int:
        """
        Nanoseconds to wait before asking again; 0 means go, and the weight is taken.

        Args:
            weight: of the request; one above the whole share is let through on an untouched minute.
            now_ns: nanoseconds.
            essential: a cancel, an exit, a dead-man renewal.
        """
        if now_ns < self._blocked_ns:
            return self._blocked_ns - now_ns
        self._turn(now_ns)
        share = self.per_minute if essential else self.per_minute - self.reserve
        if self.used and self.used + weight > share:
            return (self._minute + 1) * MINUTE_NS - now_ns
        self.used += weight
        return 0

    def learn(self, used: int, now_ns: int) -> None:
        """The venue's own count of this minute: it wins when higher (other processes spend from it too)."""
        self._turn(now_ns)
        self.used = max(self.used, used)

    def penalise(self, retry_after_s: float, now_ns: int) -> None:
        """Close the gate, for essential requests too: calling during a ban prolongs it (PROTOCOL 7)."""
        self._blocked_ns = max(self._blocked_ns, now_ns + int(retry_after_s * 1e9))

    def _turn(self, now_ns: int) -> None:
        minute = now_ns // MINUTE_NS
        if minute != self._minute:
            self._minute, self.used = minute, 0
