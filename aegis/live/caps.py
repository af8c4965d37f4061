"""Limits that are lowered freely and raised only by an operator's recorded act and a restart.

Problem: a limit in a settings file is raised by whoever edits the file, by accident as easily as on purpose. So the
limits in force are remembered beside the account's books. A start trades with the lower of settings and memory; more
is allowed only by an act (`aegis caps raise`) made since, and each act is spent by the next start.
What must stay true: the memory has one writer, the brain at its start; the acts have one, the operator's command; both
are on the disk before they count. A file that cannot be read refuses the start: it is never taken for a first one.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from aegis.config import Config, Risk
from aegis.errors import BadNumber, ConfigError
from aegis.live import durable
from aegis.native.control import Block
from aegis.native.gate import MONEY, Gate
from aegis.units import Num

_PLACES = 8
NAMES: tuple[str, ...] = Risk.__struct_fields__
Caps = dict[str, str]


class Memory(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """caps.json: what the last start traded with, and how many acts it had seen."""

    at_ns: int
    acts: int
    caps: Caps


class Act(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of caps-acts.jsonl."""

    at_ns: int
    who: str
    reason: str
    old: Caps
    new: Caps


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """
    How settings and memory stand.

    remembered: None before the first start. allowed: memory and unspent acts, None when anything is. above: names whose
    setting is higher than allowed. effective: what a start now trades with.
    """

    remembered: Caps | None
    acts: Sequence[Act]
    allowed: Caps | None
    above: Sequence[str]
    effective: Risk


def written(risk: Risk) -> Caps:
    """The limits as text."""
    return {name: str(getattr(risk, name)) for name in NAMES}


def standing(config: Config) -> Standing:
    """
    Read memory and acts of the account; nothing is written.

    Raises:
        ConfigError: a file cannot be read.
    """
    memory, acts = _memory(config.state_path()), _acts(config.state_path())
    allowed: Caps | None = None
    if memory is not None:
        allowed = dict(memory.caps)
        for act in acts[memory.acts :]:
            allowed |= act.new
    elif acts:
        allowed = dict(acts[-1].new)
    asked = written(config.risk)
    above = [n for n in NAMES if allowed is not None and n in allowed and Num.parse(asked[n]) > Num.parse(allowed[n])]
    held = {n: type(getattr(config.risk, n))((allowed or {})[n]) for n in above}
    return Standing(
        remembered=memory.caps if memory else None, acts=acts, allowed=allowed, above=above,
        effective=msgspec.structs.replace(config.risk, **held),
    )  # fmt: skip


def enforce(config: Config, now_ns: int, log: Any) -> Config:
    """
    The settings with the limits that may be traded with, remembered from now on; says which settings it refused.

    Raises:
        ConfigError: memory or acts cannot be read or written.
    """
    now = standing(config)
    for name in now.above:
        log.error(
            "limit not raised", limit=f"risk.{name}", asked=getattr(config.risk, name),
            in_force=getattr(now.effective, name), act="aegis caps raise --reason",
        )  # fmt: skip
    caps = (now.allowed or {}) | written(now.effective)
    memory = Memory(at_ns=now_ns, acts=len(now.acts), caps=caps)
    try:
        durable.replace(config.state_path() / "caps.json", msgspec.json.encode(memory))
    except OSError as e:
        raise ConfigError(f"caps: cannot remember the limits in {config.state_path()}: {e.strerror}") from e
    return msgspec.structs.replace(config, risk=now.effective)


def publish(block: Block, gate: Gate) -> None:
    """Show the limits that the gate holds, as counters of its process; money in 10**-8."""
    for name, cap in gate.caps().items():
        block.set(f"cap_{name}", cap.at(_PLACES if name in MONEY else 0))


def sealed(block: Block) -> Caps:
    """What `publish` shows, under the names of the settings; empty when nothing was published."""
    found = {}
    for name, value in block.counters().items():
        cap = name.removeprefix("cap_")
        if cap != name:
            setting = cap if cap in NAMES else f"{cap}_max"
            found[setting] = str(Num(value, _PLACES if cap in MONEY else 0).trim())
    return found


def act(config: Config, reason: str, now_ns: int) -> Act | None:
    """
    Record that the next start may trade with the limits of the settings; None when they are not above what is allowed.

    Raises:
        ConfigError: no reason, or the files cannot be read or written.
    """
    if not reason.strip():
        raise ConfigError("caps: a raise needs --reason, in words somebody will understand later")
    now = standing(config)
    if not now.above:
        return None
    asked = written(config.risk)
    one = Act(
        at_ns=now_ns, who=_who(), reason=reason.strip(), old={n: (now.allowed or {})[n] for n in now.above},
        new={n: asked[n] for n in now.above},
    )  # fmt: skip
    try:
        durable.append(config.state_path() / "caps-acts.jsonl", msgspec.json.encode(one) + b"\n")
    except OSError as e:
        raise ConfigError(f"caps: cannot record the act in {config.state_path()}: {e.strerror}") from e
    return one


def _memory(folder: Path) -> Memory | None:
    path = folder / "caps.json"
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Memory)
        _checked(path, found.caps)
        return found
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as e:
        raise ConfigError(f"caps: {path} cannot be read: {e}") from e


def _acts(folder: Path) -> list[Act]:
    path = folder / "caps-acts.jsonl"
    try:
        found = [msgspec.json.decode(line, type=Act) for line in path.read_bytes().splitlines() if line.strip()]
        for one in found:
            _checked(path, one.new)
        return found
    except FileNotFoundError:
        return []
    except (OSError, msgspec.DecodeError) as e:
        raise ConfigError(f"caps: {path} cannot be read: {e}") from e


def _checked(path: Path, caps: Caps) -> None:
    for name, text in caps.items():
        try:
            good = Num.parse(text).sign() > 0
        except BadNumber:
            good = False
        if not good:
            raise ConfigError(f"caps: {path}: {name} = {text!r}: expected a decimal above 0")


def _who() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = ""
    return f"{name or 'uid'} ({os.getuid()})"

