"""Signatures, keys and clocks: is this request from the account's owner, and recent?

Problem: a client that signs one text and sends another works against every lenient fake and fails on the venue. So
the check runs over the exact bytes: query text followed by body text with no separator, the signature pair taken out
and nothing else changed.
What must stay true: no parameter is looked at before its signature is verified; secrets never leave this module.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, unquote_plus

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from aegis.errors import VenueError

RECV_WINDOW_MS = 5000
RECV_WINDOW_MAX_MS = 60000
AHEAD_MS = 1000


@dataclass(frozen=True, slots=True)
class Key:
    """One API key: HMAC secret and/or Ed25519 public key, and the account it acts for."""

    api_key: str
    secret: bytes = field(default=b"", repr=False)
    public: Ed25519PublicKey | None = None
    account: str = "main"


def load_public(pem: str) -> Ed25519PublicKey:
    """Public key of a PEM that holds either half."""
    data = pem.encode()
    key = load_pem_private_key(data, None).public_key() if "PRIVATE" in pem else load_pem_public_key(data)
    if isinstance(key, Ed25519PublicKey):
        return key
    raise ValueError("not an Ed25519 key")


def load_keys(path: str) -> dict[str, Key]:
    """Keys of a JSON file: one object {"api_key","secret","ed25519_pem"} or a list of them; {} for no path."""
    if not path:
        return {}
    rows = msgspec.json.decode(Path(path).read_bytes())
    rows = rows if isinstance(rows, list) else rows.get("keys", [rows])
    out = {}
    for row in rows:
        pem = row.get("ed25519_pem") or ""
        out[row["api_key"]] = Key(row["api_key"], (row.get("secret") or "").encode(), load_public(pem) if pem else None)
    return out


def make_key(api_key: str, secret: str, private: Ed25519PrivateKey | None = None) -> Key:
    """A Key from live objects (tests)."""
    return Key(api_key, secret.encode(), private.public_key() if private else None)


def split_signature(text: str) -> tuple[str, str]:
    """(text without its signature pair, raw signature text; "" when there is none)."""
    keep, signature = [], ""
    for pair in text.split("&"):
        if pair.startswith("signature="):
            signature = pair[10:]
        else:
            keep.append(pair)
    return "&".join(keep), signature


def parse_pairs(text: str) -> dict[str, str]:
    """Percent-decoded parameters of form text; a later pair of the same name wins."""
    out = {}
    for pair in text.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            out[unquote_plus(name)] = unquote_plus(value)
    return out


class Gate:
    """
    Decides who may act.

    Args:
        keys: by API key text.
    """

    def __init__(self, keys: dict[str, Key]) -> None:
        self.keys = keys

    def key(self, api_key: str | None) -> Key:
        """
        The key of a request.

        Raises:
            VenueError: -2014 missing or of a wrong shape, -2015 unknown.
        """
        if not api_key or not api_key.isascii() or len(api_key) > 128:
            raise VenueError(-2014, "API-key format invalid.", 401)
        found = self.keys.get(api_key)
        if found is None:
            raise VenueError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        return found

    @staticmethod
    def verify(key: Key, payload: bytes, signature: str) -> None:
        """
        Check a decoded signature text over exact bytes; 64 hex digits are HMAC, all else Ed25519 in base64.

        Raises:
            VenueError: -1102 no signature, -1022 wrong.
        """
        if not signature:
            raise VenueError(-1102, "Mandatory parameter 'signature' was not sent, was empty/null, or malformed.")
        good = False
        if len(signature) == 64 and key.secret:
            want = hmac.new(key.secret, payload, hashlib.sha256).hexdigest()
            good = hmac.compare_digest(want.encode(), signature.lower().encode())
        elif key.public is not None:
            try:
                key.public.verify(base64.b64decode(signature, validate=True), payload)
                good = True
            except (InvalidSignature, binascii.Error, ValueError):
                good = False
        if not good:
            raise VenueError(-1022, "Signature for this request is not valid.")

    @staticmethod
    def fresh(params: dict[str, str], now_ms: int) -> None:
        """
        The time test.

        Raises:
            VenueError: -1102 no timestamp, -1105/-1100 malformed, -1131 recvWindow too large, -1021 outside the window.
        """
        stamp = params.get("timestamp", "")
        if not stamp:
            raise VenueError(-1102, "Mandatory parameter 'timestamp' was not sent, was empty/null, or malformed.")
        window = params.get("recvWindow") or str(RECV_WINDOW_MS)
        if not (stamp.isascii() and stamp.isdigit() and window.replace(".", "", 1).isdigit()):
            raise VenueError(-1100, "Illegal characters found in parameter 'timestamp' or 'recvWindow'.")
        limit_ms = float(window)
        if limit_ms > RECV_WINDOW_MAX_MS:
            raise VenueError(-1131, "recvWindow must be less than 60000")
        sent_ms = int(stamp)
        if sent_ms >= now_ms + AHEAD_MS:
            raise VenueError(-1021, f"Timestamp for this request was {AHEAD_MS}ms ahead of the server's time.")
        if now_ms - sent_ms > limit_ms:
            raise VenueError(-1021, "Timestamp for this request is outside of the recvWindow.")

    def rest(self, api_key: str | None, query: str, body: str, now_ms: int) -> dict[str, str]:
        """
        Authenticate a signed REST request over its exact texts; returns its parameters (query wins over body).

        Raises:
            VenueError: -2014, -2015, -1102, -1022 (also for text that was not percent-encoded), -1021.
        """
        key = self.key(api_key)
        bare_query, in_query = split_signature(query)
        bare_body, in_body = split_signature(body)
        payload = bare_query + bare_body
        if not payload.isascii():
            raise VenueError(-1022, "Signature for this request is not valid.")
        self.verify(key, payload.encode(), unquote(in_query or in_body))
        params = parse_pairs(bare_body) | parse_pairs(bare_query)
        self.fresh(params, now_ms)
        return params

    def message(self, params: dict[str, str], now_ms: int) -> dict[str, str]:
        """
        Authenticate one WebSocket API message: payload is `k=v` of all but the signature, sorted by key, raw UTF-8.

        Raises:
            VenueError: as `rest`.
        """
        key = self.key(params.get("apiKey"))
        bare = {k: v for k, v in params.items() if k != "signature"}
        payload = "&".join(f"{k}={bare[k]}" for k in sorted(bare))
        self.verify(key, payload.encode(), params.get("signature", ""))
        self.fresh(bare, now_ms)
        return bare
