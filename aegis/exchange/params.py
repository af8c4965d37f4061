"""Request parameters as the venue reads them: texts by name, checked where they are used.

What must stay true: a parameter that is missing, malformed or not allowed is refused with the venue's own code, and
nothing has happened then.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable

from aegis.errors import VenueError

Params = dict[str, str]
CLIENT_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}", re.ASCII)
WHOLE = re.compile(r"-?[0-9]{1,19}", re.ASCII)


def need(p: Params, name: str) -> str:
    """A mandatory parameter; -1102 when missing or empty."""
    value = p.get(name, "")
    if not value:
        raise VenueError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
    return value


def integer(p: Params, name: str, default: int) -> int:
    """An optional whole number; -1100 when it is not one."""
    text = p.get(name, "")
    if not text:
        return default
    if not WHOLE.fullmatch(text):
        raise VenueError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.")
    return int(text)


def flag(p: Params, name: str) -> bool:
    """A boolean parameter, in any spelling of case; -1100 otherwise."""
    text = p.get(name, "false").lower()
    if text not in ("true", "false", ""):
        raise VenueError(-1100, f"Illegal characters found in parameter '{name}'; legal range is 'true|false'.")
    return text == "true"


def choice(p: Params, name: str, allowed: Iterable[str], code: int, default: str = "") -> str:
    """One of the `allowed` texts (mandatory without a default); `code` when it is another."""
    value = p.get(name) or default or need(p, name)
    if value not in allowed:
        label = {"side": "side", "type": "orderType", "timeInForce": "timeInForce"}.get(name, name)
        raise VenueError(code, f"Invalid {label}.")
    return value


def client_id(p: Params, name: str) -> str:
    """The client's own id of an order, or one drawn for it; -4015 when malformed."""
    value = p.get(name) or secrets.token_urlsafe(16)[:22]
    if not CLIENT_ID.fullmatch(value):
        raise VenueError(-4015, "Client order id is not valid.")
    return value


def unneeded(p: Params, *names: str) -> None:
    """-1106 when one of `names` was sent."""
    for name in names:
        if p.get(name):
            raise VenueError(-1106, f"Parameter '{name}' sent when not required.")
