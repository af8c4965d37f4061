"""What a client may ask how often: request weight per address, orders per account.

What must stay true: a request is counted before it is served, refused ones too.
"""

from __future__ import annotations

from collections import deque

from aegis.errors import VenueError
from aegis.limits import WEIGHT_PER_MINUTE


class Limits:
    """Counters of weight per minute and of orders per 10 s and minute."""

    def __init__(self, weight_max: int = WEIGHT_PER_MINUTE) -> None:
        self.weight_max, self.used, self.minute = weight_max, 0, 0
        self.stamps: deque[int] = deque()

    def charge(self, weight: int, now: int) -> int:
        """Count `weight`; returns the used weight of this minute."""
        minute = now // 60_000
        if minute != self.minute:
            self.minute, self.used = minute, 0
        self.used += weight
        return self.used

    def order(self, count: int, now: int) -> None:
        """Count orders; -1015 over 300 in 10 s or 1200 in a minute."""
        while self.stamps and self.stamps[0] < now - 60_000:
            self.stamps.popleft()
        if len(self.stamps) + count > 1200 or self.recent(now) + count > 300:
            raise VenueError(-1015, "Too many new orders; current limit is 300 orders per TEN_SECONDS.", 429)
        self.stamps.extend([now] * count)

    def recent(self, now: int) -> int:
        """Orders of the last 10 s."""
        return sum(1 for t in self.stamps if t > now - 10_000)
