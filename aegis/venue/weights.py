"""The request weight we allow ourselves per minute, with a part that only exits and cancels may use.

Problem: the venue bans an address that ignores its limits, and an address that spent everything on snapshots cannot
cancel. So each request asks first, the venue's own count corrects ours upward, and a penalty closes the gate.
What must stay true: a non-essential request never takes the reserve; an essential one waits only for a penalty or for
an exhausted minute. Time is an argument: monotonic or wall, but always the same one.
"""

from __future__ import annotations

from collections.abc import Mapping

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


_WEIGHTS: dict[str, int] = {
    "GET /fapi/v1/historicalTrades": 200, "GET /fapi/v1/aggTrades": 20, "GET /fapi/v1/trades": 5,
    "GET /fapi/v1/income": 30, "GET /fapi/v1/allOrders": 5, "GET /fapi/v1/userTrades": 5,
    "GET /fapi/v1/commissionRate": 20, "GET /fapi/v1/accountConfig": 5, "GET /fapi/v1/symbolConfig": 5,
    "GET /fapi/v1/positionSide/dual": 30, "GET /fapi/v1/multiAssetsMargin": 30, "GET /fapi/v1/feeBurn": 30,
    "GET /fapi/v3/account": 5, "GET /fapi/v3/balance": 5, "GET /fapi/v3/positionRisk": 5,
    "GET /fapi/v2/account": 5, "GET /fapi/v2/balance": 5, "GET /fapi/v2/positionRisk": 5,
    "POST /fapi/v1/order": 0, "PUT /fapi/v1/order": 0, "POST /fapi/v1/algoOrder": 0,
    "POST /fapi/v1/batchOrders": 5, "PUT /fapi/v1/batchOrders": 5, "POST /fapi/v1/countdownCancelAll": 10,
}  # fmt: skip
_WITHOUT_SYMBOL: dict[str, int] = {
    "GET /fapi/v1/openOrders": 40,
    "GET /fapi/v1/openAlgoOrders": 40,
    "GET /fapi/v1/premiumIndex": 10,
    "GET /fapi/v1/ticker/24hr": 40,
}


def weight_of(method: str, path: str, params: Mapping[str, object]) -> int:
    """
    Weight of a REST call; 1 where no table says otherwise.

    Source: PROTOCOL 2.4 (depth), 7.
    """
    call = f"{method} {path}"
    if call == "GET /fapi/v1/depth":
        limit = int(str(params.get("limit") or 500))
        return 2 if limit <= 50 else 5 if limit <= 100 else 10 if limit <= 500 else 20
    if call == "GET /fapi/v1/klines":
        limit = int(str(params.get("limit") or 500))
        return 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10
    if not params.get("symbol") and call in _WITHOUT_SYMBOL:
        return _WITHOUT_SYMBOL[call]
    return _WEIGHTS.get(call, 1)
