"""Signatures, keys and clocks: is this request from the account's owner, and recent?

Problem: a client that signs one text and sends another works against every lenient fake and fails on the venue. So
the check runs over the exact bytes: query bytes followed by body bytes with no separator, the signature pair taken
out and nothing else changed. Base64 has spellings that decode alike; only the canonical one counts, or a flipped bit
in its padding would pass.
What must stay true: no parameter is looked at before its signature is verified; secrets never leave this module.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, unquote, unquote_plus

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from aegis.errors import VenueError

RECV_WINDOW_MS = 5000
RECV_WINDOW_MAX_MS = 60000
AHEAD_MS = 1000
ENCODINGS = ("raw", "encoded", "either")
HMAC_DIGITS = 64
KEY_SHAPE = re.compile(r"[A-Za-z0-9_.-]{1,128}", re.ASCII)
UNRESERVED = re.compile(r"[A-Za-z0-9_.~-]*", re.ASCII)  # what percent-encoding leaves as it is
WHOLE = re.compile(r"[0-9]{1,20}", re.ASCII)
WINDOW = re.compile(r"([0-9]{1,20})(\.[0-9]{1,3})?", re.ASCII)
# ccxt spells the two lists of a batch cancel without capitals, node-binance-api the id of a conditional order
SPELLINGS = {"orderidlist": "orderIdList", "origclientorderidlist": "origClientOrderIdList", "algoid": "algoId"}

Public = Ed25519PublicKey | RSAPublicKey


@dataclass(frozen=True, slots=True)
class Key:
    """
    One API key: how it signs, the account it acts for, and what it may do.

    Args:
        secret: HMAC secret; empty for a key pair.
        public: Ed25519 or RSA public key; None for an HMAC key.
        account: name of the account in the exchange.
        reading, trading, withdrawals: permissions, as the owner set them.
        ips: addresses it may be used from; empty when the key is not restricted.
    """

    api_key: str
    secret: bytes = field(default=b"", repr=False)
    public: Public | None = None
    account: str = "main"
    reading: bool = True
    trading: bool = True
    withdrawals: bool = False
    ips: frozenset[str] = frozenset()

    @property
    def may_log_on(self) -> bool:
        """Whether `session.logon` takes it: Ed25519 keys only."""
        return isinstance(self.public, Ed25519PublicKey)


def load_public(pem: str) -> Public:
    """Public key of a PEM that holds either half; ValueError when it is neither Ed25519 nor RSA."""
    data = pem.encode()
    key = load_pem_private_key(data, None).public_key() if "PRIVATE" in pem else load_pem_public_key(data)
    if isinstance(key, Ed25519PublicKey | RSAPublicKey):
        return key
    raise ValueError("not an Ed25519 or RSA key")


def key_of(row: dict[str, Any]) -> Key:
    """A Key from one object of the keys file; KeyError without an api_key, ValueError for an unusable PEM."""
    pem = row.get("ed25519_pem") or row.get("rsa_pem") or row.get("pem") or ""
    return Key(
        row["api_key"],
        (row.get("secret") or "").encode(),
        load_public(pem) if pem else None,
        account=row.get("account") or "main",
        reading=bool(row.get("reading", True)),
        trading=bool(row.get("trading", True)),
        withdrawals=bool(row.get("withdrawals", False)),
        ips=frozenset(row.get("ips") or ()),
    )


def load_keys(path: str) -> dict[str, Key]:
    """
    Keys of a JSON file: one object or a list of them; {} for no path.

    An object has api_key, then secret and/or one of ed25519_pem, rsa_pem, pem (either half of the pair), and may have
    account, reading, trading, withdrawals (booleans) and ips (list of addresses).
    """
    if not path:
        return {}
    rows = msgspec.json.decode(Path(path).read_bytes())
    rows = rows if isinstance(rows, list) else rows.get("keys", [rows])
    return {key.api_key: key for key in map(key_of, rows)}


def split_signature(text: bytes) -> tuple[bytes, bytes]:
    """(text without its signature pair, raw signature text; b"" when there is none)."""
    if b"signature=" not in text:
        return text, b""
    keep, signature = [], b""
    for pair in text.split(b"&"):
        if pair.startswith(b"signature="):
            signature = pair[10:]
        else:
            keep.append(pair)
    return b"&".join(keep), signature


def parse_pairs(text: bytes) -> dict[str, str]:
    """Percent-decoded parameters of form text; a later pair of the same name wins."""
    out = {}
    for pair in text.decode("utf-8", "replace").split("&"):
        if pair:
            name, _, value = pair.partition("=")
            name = unquote_plus(name)
            out[SPELLINGS.get(name, name)] = unquote_plus(value)
    return out


def verified(key: Key, payload: bytes, signature: str) -> bool:
    """Whether a decoded signature text is the key's own over exactly these bytes; 64 digits are HMAC, else base64."""
    if len(signature) == HMAC_DIGITS and key.secret:
        want = hmac.digest(key.secret, payload, hashlib.sha256).hex()
        return hmac.compare_digest(want.encode(), signature.lower().encode())
    if key.public is None:
        return False
    try:
        raw = base64.b64decode(signature, validate=True)
        if base64.b64encode(raw).decode() != signature:
            return False
        if isinstance(key.public, Ed25519PublicKey):
            key.public.verify(raw, payload)
        else:
            key.public.verify(raw, payload, PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


class Gate:
    """
    Decides who may act.

    Args:
        keys: by API key text.
        ws_encoding: which text of a WebSocket API message counts as its payload: "raw" values, "encoded" ones as the
            official SDK signs them, or "either" (sources disagree on what the venue takes; they differ only for
            values that need escaping).
    """

    def __init__(self, keys: dict[str, Key], ws_encoding: str = "either") -> None:
        if ws_encoding not in ENCODINGS:
            raise ValueError(f"ws_encoding is one of {', '.join(ENCODINGS)}")
        self.keys, self.ws_encoding = keys, ws_encoding

    def key(self, api_key: str | None, ip: str = "") -> Key:
        """
        The key of a request from `ip`.

        Raises:
            VenueError: -2014 missing or of a wrong shape, -2015 unknown or used from a foreign address.
        """
        if not api_key or not KEY_SHAPE.fullmatch(api_key):
            raise VenueError(-2014, "API-key format invalid.", 401)
        found = self.keys.get(api_key)
        if found is None or (found.ips and ip and ip not in found.ips):
            raise self.refusal(ip)
        return found

    @staticmethod
    def refusal(ip: str) -> VenueError:
        """-2015 as the venue words it, with the caller's address when it is known."""
        tail = f", request ip: {ip}" if ip else "."
        return VenueError(-2015, f"Invalid API-key, IP, or permissions for action{tail}", 401)

    def permit(self, key: Key, trade: bool, ip: str = "") -> None:
        """-2015 unless the key may read or, for `trade`, trade."""
        if not (key.trading if trade else key.reading):
            raise self.refusal(ip)

    def revoke(self, api_key: str) -> bool:
        """Forget a key; false when there was none."""
        return self.keys.pop(api_key, None) is not None

    @staticmethod
    def verify(key: Key, payloads: tuple[bytes, ...], signature: str) -> None:
        """
        Check a decoded signature text over the exact bytes of one of `payloads`.

        Raises:
            VenueError: -1102 no signature, -1022 wrong.
        """
        if not signature:
            raise VenueError(-1102, "Mandatory parameter 'signature' was not sent, was empty/null, or malformed.")
        if not any(verified(key, payload, signature) for payload in payloads):
            raise VenueError(-1022, "Signature for this request is not valid.")

    @staticmethod
    def fresh(params: dict[str, str], now_ms: int) -> None:
        """
        The time test: sent less than a second ahead, and at most recvWindow ago.

        Raises:
            VenueError: -1102 no timestamp, -1100 malformed, -1131 recvWindow too large, -1021 outside the window.
        """
        stamp = params.get("timestamp", "")
        if not stamp:
            raise VenueError(-1102, "Mandatory parameter 'timestamp' was not sent, was empty/null, or malformed.")
        if not WHOLE.fullmatch(stamp):
            raise VenueError(
                -1100, "Illegal characters found in parameter 'timestamp'; legal range is '^[0-9]{1,20}$'."
            )
        window = WINDOW.fullmatch(params.get("recvWindow") or str(RECV_WINDOW_MS))
        if window is None:
            raise VenueError(
                -1100, "Illegal characters found in parameter 'recvWindow'; legal range is '^[0-9]{1,20}$'."
            )
        limit_ms = int(window[1])
        if limit_ms > RECV_WINDOW_MAX_MS:
            raise VenueError(-1131, "recvWindow must be less than 60000")
        sent_ms = int(stamp)
        if sent_ms >= now_ms + AHEAD_MS:
            raise VenueError(-1021, f"Timestamp for this request was {AHEAD_MS}ms ahead of the server's time.")
        if now_ms - sent_ms > limit_ms:
            raise VenueError(-1021, "Timestamp for this request is outside of the recvWindow.")

    def rest(self, key: Key, query: bytes, body: bytes, now_ms: int) -> dict[str, str]:
        """
        Authenticate a signed REST request over its exact bytes; returns its parameters (query wins over body).

        Raises:
            VenueError: -1102, -1022 (also for text that was not percent-encoded), -1021 and the rest of `fresh`.
        """
        bare_query, in_query = split_signature(query)
        bare_body, in_body = split_signature(body)
        payload = bare_query + bare_body
        if not payload.isascii():
            raise VenueError(-1022, "Signature for this request is not valid.")
        self.verify(key, (payload,), unquote((in_query or in_body).decode("utf-8", "replace")))
        params = parse_pairs(bare_body) | parse_pairs(bare_query)
        self.fresh(params, now_ms)
        return params

    def payloads(self, params: dict[str, str]) -> tuple[bytes, ...]:
        """What a WebSocket API message may have signed: `k=v` of all but the signature, sorted by key."""
        rows = sorted((k, v) for k, v in params.items() if k != "signature")
        raw = "&".join(f"{k}={v}" for k, v in rows)
        if self.ws_encoding == "raw" or UNRESERVED.fullmatch("".join(part for row in rows for part in row)):
            return (raw.encode(),)
        encoded = "&".join(f"{quote_plus(k)}={quote_plus(v)}" for k, v in rows)
        return (encoded.encode(),) if self.ws_encoding == "encoded" else (raw.encode(), encoded.encode())

    def message(self, key: Key, params: dict[str, str], now_ms: int) -> dict[str, str]:
        """
        Authenticate one WebSocket API message; returns its parameters without the signature.

        Raises:
            VenueError: as `rest`.
        """
        self.verify(key, self.payloads(params), params.get("signature", ""))
        self.fresh(params, now_ms)
        return {k: v for k, v in params.items() if k != "signature"}
