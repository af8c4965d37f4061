"""Signatures over a payload: HMAC-SHA256 as hex, Ed25519 as base64.

Problem: the venue signs bytes, not parameters; what is signed must be what is sent. So a signer takes the finished
payload text and nothing else (`request.py` builds it).
What must stay true: key material is held inside the signer only and is never part of an error or a repr.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from aegis.errors import ConfigError

Signer = Callable[[str], str]


def hmac_signer(secret: bytes) -> Signer:
    """Signer giving 64 lower-case hex digits of HMAC-SHA256 over the UTF-8 payload (PROTOCOL 4.1)."""

    def sign(payload: str) -> str:
        return hmac.digest(secret, payload.encode(), "sha256").hex()

    return sign


def ed25519_signer(pem: bytes) -> Signer:
    """
    Signer giving the base64 of the raw Ed25519 signature over the UTF-8 payload (PROTOCOL 4.1).

    Args:
        pem: PKCS#8 private key without a password.

    Raises:
        ConfigError: not such a key.
    """
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError) as e:
        raise ConfigError("credentials: ed25519_pem is not an unencrypted PKCS#8 private key") from e
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError("credentials: ed25519_pem holds a key of another kind")

    def sign(payload: str) -> str:
        return base64.b64encode(key.sign(payload.encode())).decode()

    return sign
