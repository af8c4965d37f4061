"""What a client may ask how often: request weight per address, orders per account, and the ban for who goes on.

Problem: a limiter that slides its window lets through what the venue refuses at the end of a minute and refuses what
the venue takes at its start. The venue's intervals are those of the calendar, so these are too.
What must stay true: a request is counted before it is served, refused ones too; a limit of 0 is no limit; time comes
in as an argument.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from typing import Any

from aegis.errors import VenueError
from aegis.limits import WEIGHT_PER_MINUTE

TEN_S_MS, MINUTE_MS, FIVE_MINUTES_MS = 10_000, 60_000, 300_000
BAN_MAX_S = 3 * 86_400.0
HANDSHAKE_WEIGHT = 5  # opening a WebSocket API connection (PROTOCOL 1.4)
FUNDING_PATHS = ("/fapi/v1/fundingRate", "/fapi/v1/fundingInfo")


@dataclass(frozen=True, slots=True)
class Quota:
    """
    The limits in force; 0 switches one off.

    Args:
        weight: REQUEST_WEIGHT per address and minute.
        orders_10s, orders_1m: ORDERS per account.
        data_5m: calls of /futures/data/* per address in 5 minutes.
        funding_5m: calls of fundingRate and fundingInfo per address in 5 minutes.
        ban_after: how many refused requests of one window are borne before the address is banned.
        ban_s: length of the first ban in seconds; each further one is twice as long, up to three days.
        ws_own_pool: whether the WebSocket API counts its weight apart from REST (sources disagree).
    """

    weight: int = WEIGHT_PER_MINUTE
    orders_10s: int = 300
    orders_1m: int = 1200
    data_5m: int = 1000
    funding_5m: int = 500
    ban_after: int = 20
    ban_s: float = 120.0
    ws_own_pool: bool = False


def add_options(parser: argparse.ArgumentParser) -> None:
    """The limits as options of a command line (all but --weight, which is older)."""
    q = Quota()
    parser.add_argument(
        "--orders-10s", dest="orders_10s", type=int, default=q.orders_10s, help="orders per 10 s; 0 off"
    )
    parser.add_argument("--orders-1m", dest="orders_1m", type=int, default=q.orders_1m, help="orders per minute; 0 off")
    parser.add_argument("--ban-s", dest="ban_s", type=float, default=q.ban_s, help="first ban of an address, seconds")
    parser.add_argument("--ban-after", dest="ban_after", type=int, default=q.ban_after, help="429s borne before a ban")
    parser.add_argument(
        "--ws-own-pool", dest="ws_own_pool", action="store_true", help="count WebSocket API weight apart from REST"
    )


def quota_of(options: argparse.Namespace) -> Quota:
    """The quota a command line asks for; options it does not have keep their defaults."""
    names = ("weight", "orders_10s", "orders_1m", "ban_after", "ban_s", "ws_own_pool")
    return Quota(**{n: getattr(options, n) for n in names if getattr(options, n, None) is not None})


def row(kind: str, interval: str, count: int, limit: int) -> dict[str, Any]:
    """One limit as every answer of the venue shows it."""
    return {"rateLimitType": kind, "interval": interval, "intervalNum": count, "limit": limit}


class TooMany(VenueError):
    """A refusal for going too fast; `retry_after_s` is when the limit gives way."""

    def __init__(self, code: int, msg: str, status: int, retry_after_s: int) -> None:
        super().__init__(code, msg, status)
        self.retry_after_s = retry_after_s


@dataclass(slots=True)
class Window:
    """A counter that starts again with each interval of the calendar."""

    span_ms: int
    start_ms: int = 0
    used: int = 0

    def add(self, count: int, now: int) -> int:
        """Count; returns what is used in the present interval."""
        start = now - now % self.span_ms
        if start != self.start_ms:
            self.start_ms, self.used = start, 0
        self.used += count
        return self.used

    def left_s(self, now: int) -> int:
        """Whole seconds until the interval ends, at least 1."""
        return max(1, -(-(self.span_ms - now % self.span_ms) // 1000))


@dataclass(slots=True)
class Address:
    """What one address has used, and its ban."""

    weight: Window = field(default_factory=lambda: Window(MINUTE_MS))
    ws_weight: Window = field(default_factory=lambda: Window(MINUTE_MS))
    data: Window = field(default_factory=lambda: Window(FIVE_MINUTES_MS))
    funding: Window = field(default_factory=lambda: Window(FIVE_MINUTES_MS))
    refused: Window = field(default_factory=lambda: Window(MINUTE_MS))
    banned_until_ms: int = 0
    bans: int = 0


@dataclass(slots=True)
class Orders:
    """What one account has sent, over all its keys and connections."""

    ten_s: Window = field(default_factory=lambda: Window(TEN_S_MS))
    minute: Window = field(default_factory=lambda: Window(MINUTE_MS))


class Limits:
    """
    Every counter of the venue.

    Args:
        quota: the limits in force; may be replaced while running.
    """

    def __init__(self, quota: Quota | None = None) -> None:
        self.quota = quota or Quota()
        self.addresses: dict[str, Address] = {}
        self.accounts: dict[str, Orders] = {}

    def address(self, ip: str) -> Address:
        """Counters of an address, made on first sight."""
        found = self.addresses.get(ip)
        if found is None:
            found = self.addresses[ip] = Address()
        return found

    def orders(self, account: str) -> Orders:
        """Counters of an account, made on first sight."""
        found = self.accounts.get(account)
        if found is None:
            found = self.accounts[account] = Orders()
        return found

    def pool(self, ip: str, ws: bool) -> Window:
        """The weight counter of REST or of the WebSocket API, which may be the same one."""
        a = self.address(ip)
        return a.ws_weight if ws and self.quota.ws_own_pool else a.weight

    def used(self, ip: str, now: int, ws: bool = False) -> int:
        """Weight used by an address in the present minute."""
        return self.pool(ip, ws).add(0, now)

    def charge(self, ip: str, weight: int, now: int, *, path: str = "", ws: bool = False) -> None:
        """
        Count a request of an address; `path` chooses the counters that go by number of calls.

        Raises:
            TooMany: -1003 with 418 while the address is banned, with 429 over a limit.
        """
        a, q = self.address(ip), self.quota
        if a.banned_until_ms > now:
            raise self.banned(ip, a, now)
        if path.startswith("/futures/data/"):
            self._check(ip, a.data, a.data.add(1, now), q.data_5m, now)
        elif path in FUNDING_PATHS:
            self._check(ip, a.funding, a.funding.add(1, now), q.funding_5m, now)
        else:
            window = self.pool(ip, ws)
            self._check(ip, window, window.add(weight, now), q.weight, now)

    def _check(self, ip: str, window: Window, used: int, limit: int, now: int) -> None:
        """Raise when `used` is over `limit`; who goes on after too many refusals is banned."""
        if not limit or used <= limit:
            return
        a = self.address(ip)
        if a.refused.add(1, now) > self.quota.ban_after:
            self.ban(ip, now)
            raise self.banned(ip, a, now)
        minutes = window.span_ms // MINUTE_MS
        per = "minute" if minutes == 1 else f"{minutes} minutes"
        raise TooMany(
            -1003,
            f"Too many requests; current limit of IP({ip}) is {limit} requests per {per}. Please use the websocket "
            "for live updates to avoid polling the API.",
            429,
            window.left_s(now),
        )

    def ban(self, ip: str, now: int) -> int:
        """Ban an address, each time twice as long; returns the end in ms."""
        a = self.address(ip)
        length_s = min(self.quota.ban_s * 2**a.bans, BAN_MAX_S)
        a.bans += 1
        a.banned_until_ms = now + int(length_s * 1000)
        a.refused = Window(MINUTE_MS)
        return a.banned_until_ms

    @staticmethod
    def banned(ip: str, a: Address, now: int) -> TooMany:
        """418 as the venue words it."""
        return TooMany(
            -1003,
            f"Way too many requests; IP({ip}) banned until {a.banned_until_ms}. Please use the websocket for live "
            "updates to avoid bans.",
            418,
            max(1, -(-(a.banned_until_ms - now) // 1000)),
        )

    def order(self, account: str, count: int, now: int) -> None:
        """
        Count one request with `count` orders: all of them on the 10 s counter, one on the minute's (PROTOCOL 5.4).

        Raises:
            TooMany: -1015 with 429.
        """
        o, q = self.orders(account), self.quota
        over_10s = 0 < q.orders_10s < o.ten_s.add(count, now)
        over_1m = 0 < q.orders_1m < o.minute.add(1, now)
        if over_10s:
            raise self._too_many_orders(q.orders_10s, "10 SECOND", o.ten_s.left_s(now))
        if over_1m:
            raise self._too_many_orders(q.orders_1m, "1 MINUTE", o.minute.left_s(now))

    @staticmethod
    def _too_many_orders(limit: int, interval: str, retry_after_s: int) -> TooMany:
        msg = f"Too many new orders; current limit is {limit} orders per {interval}."
        return TooMany(-1015, msg, 429, retry_after_s)

    def order_counts(self, account: str, now: int) -> tuple[int, int]:
        """Orders of the present (10 s, minute)."""
        o = self.orders(account)
        return o.ten_s.add(0, now), o.minute.add(0, now)

    def order_rows(self) -> list[dict[str, Any]]:
        """GET rateLimit/order: the limits of an account; one that is switched off shows the venue's usual number."""
        q, usual = self.quota, Quota()
        return [
            row("ORDERS", "SECOND", 10, q.orders_10s or usual.orders_10s),
            row("ORDERS", "MINUTE", 1, q.orders_1m or usual.orders_1m),
        ]

    def weight_row(self) -> dict[str, Any]:
        """REQUEST_WEIGHT, likewise."""
        return row("REQUEST_WEIGHT", "MINUTE", 1, self.quota.weight or Quota().weight)

    def rows(self) -> list[dict[str, Any]]:
        """rateLimits of exchangeInfo, in its order."""
        ten_s, minute = self.order_rows()
        return [self.weight_row(), minute, ten_s]
