"""Paper mode's own parts: keys drawn for this run, and the control endpoint of the venue simulator.

The venue's control endpoint tells the whole truth about every account, which no real venue does; so it serves to
start a replay and to check, at the end, that nothing of ours is left open. What must stay true: keys are drawn anew for
each run, lie in a file of mode 0600 and never reach a log, an argument or an environment.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

import aiohttp
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from aegis.config import Config
from aegis.errors import AegisError, ConfigError, Unreachable
from aegis.live import keys
from aegis.live.clock import Clock
from aegis.live.rest import Rest

CONTROL_TIMEOUT_S = 5.0
_STREAM = re.compile(rb'"stream"\s*:\s*"([^"]+)"')
_GZIP_MAGIC = b"\x1f\x8b"


def write_keys(path: Path) -> None:
    """Draw an API key, an HMAC secret and an Ed25519 key, and write them readable by the owner alone."""
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    drawn = {"api_key": secrets.token_hex(32), "secret": secrets.token_hex(32), "ed25519_pem": pem.decode()}
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(msgspec.json.encode(drawn))


def peek_capture(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """
    Which (symbols, streams) a capture holds, e.g. (("BTCUSDT",), ("depth@0ms", "trade")).

    Raises:
        ConfigError: the file cannot be read or holds no stream frame.
    """
    names: set[bytes] = set()
    try:
        with _open_capture(path) as lines:
            for line in lines:
                found = _STREAM.search(line, 0, 400)
                if found:
                    names.add(found.group(1))
    except (OSError, EOFError) as e:
        raise ConfigError(f"config: paper.replay: cannot read {path}: {e}") from e
    pairs = [name.decode().partition("@") for name in names]
    if not pairs:
        raise ConfigError(f"config: paper.replay: {path} holds no stream frame")
    return tuple(sorted({s.upper() for s, _, _ in pairs})), tuple(sorted({kind for _, _, kind in pairs}))


def _open_capture(path: Path) -> IO[bytes]:
    with path.open("rb") as head:
        packed = head.read(2) == _GZIP_MAGIC
    return cast(IO[bytes], gzip.open(path, "rb")) if packed else path.open("rb")


class Control:
    """
    Client of the simulator's control endpoint.

    Args:
        url: the venue's control address on loopback.
    """

    def __init__(self, url: str) -> None:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CONTROL_TIMEOUT_S))
        self._root = url + "/control/"

    async def get(self, what: str) -> Any:
        """GET /control/<what>; raises Unreachable."""
        return await self._ask("GET", what, None)

    async def post(self, what: str, body: dict[str, Any]) -> Any:
        """POST /control/<what> with a JSON body; raises Unreachable."""
        return await self._ask("POST", what, body)

    async def _ask(self, method: str, what: str, body: dict[str, Any] | None) -> Any:
        try:
            async with self._session.request(method, self._root + what, json=body) as answer:
                text = await answer.read()
                if answer.status != 200:
                    raise Unreachable(f"venue control {what}: status {answer.status}: {text[:100]!r}")
                return msgspec.json.decode(text)
        except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError) as e:
            raise Unreachable(f"venue control {what}: {e!r}") from e

    async def close(self) -> None:
        """Close its connections."""
        await self._session.close()


async def open_orders(control: Control) -> list[dict[str, Any]]:
    """Open orders of every account on the venue; each row has "symbol" and "orderId"."""
    books = await control.get("books")
    rows = books["open_orders"]
    return list(rows)


async def cancel_all(config: Config, control: Control, say: Callable[[str], None]) -> int:
    """
    Cancel by REST what is still open on the paper venue.

    Returns:
        How many orders are open afterwards; -1 when the venue did not answer.
    """
    try:
        left = await open_orders(control)
        if left:
            say(f"cancelling {len(left)} orders that are still open")
            rest = Rest(config.venue, keys.load(config), Clock())
            try:
                symbols = {str(row["symbol"]) for row in left}
                await asyncio.gather(
                    *(rest.delete("/fapi/v1/allOpenOrders", {"symbol": s}, signed=True) for s in symbols)
                )
            finally:
                await rest.close()
            left = await open_orders(control)
        return len(left)
    except (AegisError, KeyError) as e:
        say(f"could not verify open orders: {e}")
        return -1
