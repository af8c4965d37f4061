"""The venue a case is played on: a process of its own, its control endpoint, and its truth as the cases read it.

Problem: a venue inside the score's own process would share its event loop, so a stuck score would look like a stuck
venue, and a frozen or overloaded venue could not be played at all. So the venue is a child; everything known about it
comes through its sockets.
What must stay true: keys are drawn anew per venue and lie in a file of mode 0600; the truth is read whole, in one
request, so that its parts belong to one moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from aegis.errors import AegisError
from aegis.exchange.score.hand import Hand

READY_S = 20.0
CONTROL_S = 15.0
HAND = ("score-hand", "score-hand-secret")  # a second key of the scored account: the venue gives it the first account
OTHER = ("score-other", "score-other-secret")  # the key of a second account, to trade against
OPTIONS: dict[str, object] = {"symbols": 8, "wallet": 50_000, "events-per-s": 120, "weight": 6000}


class VenueFault(AegisError):
    """The venue itself could not be used; the case says nothing about the client."""


class Truth(msgspec.Struct, frozen=True):
    """
    What the venue knows at one moment.

    orders: all of them, oldest first, as a query shows them; open: those that work; algos: client ids of waiting
    conditional orders; positions: signed, without flat ones, by symbol, in hedge mode by symbol/side; wallets: per
    asset; fills: all of them, oldest first; countdowns: symbols with an armed dead man's switch.
    """

    orders: list[dict[str, Any]]
    open: list[dict[str, Any]]
    algos: list[str]
    positions: dict[str, Decimal]
    wallets: dict[str, Decimal]
    fills: list[dict[str, Any]]
    countdowns: list[str]

    def order(self, client_id: str) -> dict[str, Any] | None:
        """The newest order of a client id."""
        found = [o for o in self.orders if o["clientOrderId"] == client_id]
        return found[-1] if found else None

    def position(self, symbol: str) -> Decimal:
        """Signed position."""
        return self.positions.get(symbol, Decimal(0))


class Grid(msgspec.Struct, frozen=True):
    """Filters of a symbol: tick, lot, smallest and largest quantity, and notional."""

    tick: Decimal
    lot: Decimal
    quantity_max: Decimal
    market_quantity_max: Decimal
    notional_min: Decimal

    def price(self, value: Decimal) -> Decimal:
        """`value` down on the tick grid."""
        return value // self.tick * self.tick

    def quantity(self, value: Decimal) -> Decimal:
        """`value` up on the lot grid."""
        return -(-value // self.lot) * self.lot


class World:
    """One venue process."""

    def __init__(self, directory: Path, process: asyncio.subprocess.Process, ready: Mapping[str, Any]) -> None:
        self.directory, self.process = directory, process
        self.rest = f"http://127.0.0.1:{ready['port']}"
        self.streams = f"ws://127.0.0.1:{ready['port']}"
        self._control = f"http://127.0.0.1:{ready['control_port']}/control/"
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CONTROL_S))
        keys = msgspec.json.decode((directory / "keys.json").read_bytes())
        self.api_key, self.secret = keys["api_key"], keys["secret"]
        self.hand = Hand(self._http, self.rest, *HAND)
        self.other = Hand(self._http, self.rest, *OTHER)
        self._grids: dict[str, Grid] = {}

    @staticmethod
    async def start(directory: Path, seed: int, options: Mapping[str, object]) -> World:
        """
        Draw keys, start a venue, wait for its ready line.

        Raises:
            VenueFault: it did not come up.
        """
        _write_keys(directory)
        words = ["--port", "0", "--seed", str(seed), "--keys", str(directory / "keys.json")]
        words += ["--account", ":".join(HAND), "--account", ":".join(OTHER)]
        for name, value in (OPTIONS | dict(options)).items():
            words += [f"--{name}", str(value)]
        with (directory / "venue.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "aegis.exchange", *words, stdout=asyncio.subprocess.PIPE, stderr=log
            )
        assert process.stdout is not None
        try:
            line = await asyncio.wait_for(process.stdout.readline(), READY_S)
            return World(directory, process, msgspec.json.decode(line))
        except (TimeoutError, msgspec.DecodeError, KeyError) as e:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise VenueFault(f"the venue did not start: {(directory / 'venue.log').read_text()[-300:]}") from e

    def environ(self) -> dict[str, str]:
        """What the client is told."""
        return {
            "AEGIS_REST": self.rest,
            "AEGIS_STREAMS": self.streams,
            "AEGIS_WSAPI": f"{self.streams}/ws-fapi/v1",
            "AEGIS_API_KEY": self.api_key,
            "AEGIS_API_SECRET": self.secret,
            "AEGIS_ED25519_FILE": str(self.directory / "ed25519.pem"),
        }

    async def stop(self) -> None:
        """End it, frozen or not."""
        await self._http.close()
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        try:
            await asyncio.wait_for(self.process.wait(), 3.0)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()

    def freeze(self) -> None:
        """Nothing is answered any more, no connection is closed: a half-open world."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on where it stopped."""
        self.process.send_signal(signal.SIGCONT)

    # -- control

    async def control(self, name: str, body: dict[str, Any] | None = None) -> Any:
        """
        GET, or with a body POST, of the control endpoint.

        Raises:
            VenueFault: refused or no answer.
        """
        method = "GET" if body is None else "POST"
        try:
            async with self._http.request(method, self._control + name, json=body) as r:
                text = await r.read()
                if r.status != 200:
                    raise VenueFault(f"control {name}: {text[:200]!r}")
                return msgspec.json.decode(text)
        except (aiohttp.ClientError, TimeoutError) as e:
            raise VenueFault(f"control {name}: {e!r}") from e

    async def inject(self, name: str, **params: Any) -> int:
        """Inject one of the venue's named faults; the number of the injection."""
        return int((await self.control("fault", {"name": name} | params))["id"])

    async def hits(self) -> dict[int, int]:
        """How often each injection has struck so far."""
        return {int(row["id"]): int(row["hits"]) for row in (await self.control("faults"))["injected"]}

    async def heal(self) -> None:
        """End all injections."""
        await self.control("fault/clear", {})

    async def truth(self) -> Truth:
        """The whole truth now."""
        books = await self.control("books")
        held = {s: Decimal(row["qty"]) for s, row in books["positions"].items()}
        return Truth(
            orders=books["orders"],
            open=books["open_orders"],
            algos=books["open_algos"],
            positions={s: q for s, q in held.items() if q},
            wallets={a: Decimal(w) for a, w in books["wallets"].items()},
            fills=books["fills"],
            countdowns=list(books["countdowns"]),
        )

    # -- public facts

    async def quote(self, symbol: str) -> tuple[Decimal, Decimal]:
        """(best bid, best ask) now."""
        row = await self.hand.call("GET", "/fapi/v1/ticker/bookTicker", signed=False, symbol=symbol)
        return Decimal(row["bidPrice"]), Decimal(row["askPrice"])

    async def ahead(self, symbol: str, side: str, price: Decimal) -> Decimal:
        """What rests on a side at this price or better ones."""
        book = await self.hand.call("GET", "/fapi/v1/depth", signed=False, symbol=symbol, limit=100)
        rows = [(Decimal(p), Decimal(q)) for p, q in book["bids" if side == "BUY" else "asks"]]
        return sum((q for p, q in rows if (p >= price if side == "BUY" else p <= price)), Decimal(0))

    async def grid(self, symbol: str) -> Grid:
        """Filters of a symbol."""
        if not self._grids:
            info = await self.hand.call("GET", "/fapi/v1/exchangeInfo", signed=False)
            for row in info["symbols"]:
                self._grids[row["symbol"]] = _grid({f["filterType"]: f for f in row["filters"]})
        return self._grids[symbol]

    async def used_weight(self) -> int:
        """Request weight this address used in the venue's minute, this question included."""
        async with self._http.get(f"{self.rest}/fapi/v1/ping") as r:
            return int(r.headers["X-MBX-USED-WEIGHT-1M"])

    async def spend_weight(self, symbol: str) -> None:
        """Use up 20 of this address's weight; refused or not."""
        async with self._http.get(f"{self.rest}/fapi/v1/depth?symbol={symbol}&limit=1000") as r:
            await r.read()


def _grid(filters: Mapping[str, Mapping[str, Any]]) -> Grid:
    lot, market = filters["LOT_SIZE"], filters["MARKET_LOT_SIZE"]
    return Grid(
        tick=Decimal(filters["PRICE_FILTER"]["tickSize"]),
        lot=Decimal(lot["stepSize"]),
        quantity_max=Decimal(lot["maxQty"]),
        market_quantity_max=Decimal(market["maxQty"]),
        notional_min=Decimal(filters["MIN_NOTIONAL"]["notional"]),
    )


def _write_keys(directory: Path) -> None:
    """An API key with an HMAC secret and an Ed25519 key, readable by the owner alone."""
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    drawn = {"api_key": secrets.token_hex(32), "secret": secrets.token_hex(32), "ed25519_pem": pem.decode()}
    for name, data in (("keys.json", msgspec.json.encode(drawn)), ("ed25519.pem", pem)):
        handle = os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as out:
            out.write(data)
