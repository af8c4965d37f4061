"""Credentials from their file, and nowhere else.

What must stay true: a file others can read is refused; no value of it reaches a message, a log or a repr.
"""

from __future__ import annotations

import stat
from pathlib import Path

import msgspec

from aegis.config import Config
from aegis.errors import ConfigError
from aegis.venue.sign import Signer, ed25519_signer, hmac_signer


class Creds(msgspec.Struct, frozen=True, kw_only=True):
    """Key name, HMAC secret (empty when only Ed25519 is held), PKCS#8 PEM or None."""

    api_key: str
    secret: bytes
    ed25519_pem: bytes | None = None

    def __repr__(self) -> str:
        return "Creds(...)"

    def signer(self) -> Signer:
        """Signer of single requests: HMAC where there is a secret, else Ed25519."""
        if self.secret or self.ed25519_pem is None:
            return hmac_signer(self.secret)
        return ed25519_signer(self.ed25519_pem)


class _File(msgspec.Struct):
    api_key: str
    secret: str = ""
    ed25519_pem: str | None = None


def load(config: Config) -> Creds:
    """
    Credentials of `venue.keys_file`; in paper modes by default `keys.json` of the instance.

    Raises:
        ConfigError: no file named, unreadable, open to others (mode 0600 is required), or without its fields.
    """
    name = config.venue.keys_file
    if not name and not config.aegis.mode.startswith("paper"):
        raise ConfigError(f"config: mode '{config.aegis.mode}' needs credentials: venue.keys_file is empty")
    path = Path(name).expanduser() if name else config.shm_path() / "keys.json"
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        raw = path.read_bytes()
    except OSError as e:
        raise ConfigError(f"credentials: cannot read {path}: {e.strerror}") from e
    if mode & 0o077:
        raise ConfigError(f"credentials: {path} has mode {mode:04o}: others can read it; run chmod 600 on it")
    try:
        found = msgspec.json.decode(raw, type=_File)
    except (msgspec.DecodeError, UnicodeError):
        raise ConfigError(f'credentials: {path}: expected JSON {{"api_key", "secret" and/or "ed25519_pem"}}') from None
    if not found.api_key or not (found.secret or found.ed25519_pem):
        raise ConfigError(f"credentials: {path}: api_key, and secret or ed25519_pem, must not be empty")
    pem = found.ed25519_pem.encode() if found.ed25519_pem else None
    if pem is not None:
        ed25519_signer(pem)
    return Creds(api_key=found.api_key, secret=found.secret.encode(), ed25519_pem=pem)
