"""An instance on this host: the lock that makes it one, its shared-memory directory, and the note that finds it.

Problem: two supervisors of one instance would write the same rings; and a command in another terminal has to find the
addresses, account and PIDs of what runs. What must stay true: the lock is held by an open file, so it dies with its
holder; the note `up.json` is replaced in one step and holds no secret; only the holder of the lock removes files.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from pathlib import Path

import msgspec

from aegis.config import SECTIONS, Config
from aegis.errors import ConfigError

NOTE = "up.json"
LOCK = "lock"
PAPER_STATE_KEPT_S = 7 * 86400.0


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """What runs: written by the supervisor, read by commands. `control_url` is the paper venue's, else empty."""

    pid: int
    mode: str
    account: str
    state_dir: str
    rest_url: str
    stream_url: str
    ws_api_url: str
    keys_file: str
    ca_file: str = ""
    started_ns: int
    control_url: str = ""
    processes: dict[str, int] = {}
    symbols: tuple[str, ...] = ()

    def settings(self) -> dict[str, str]:
        """Overrides that point a command at what runs."""
        mine = {f"aegis.{f}": getattr(self, f) for f in ("mode", "account", "state_dir")}
        fields = ("rest_url", "stream_url", "ws_api_url", "ca_file", "keys_file")
        theirs = {f"venue.{f}": getattr(self, f) for f in fields}
        return mine | theirs


class Instance:
    """
    The held lock of an instance, and its directory.

    Raises:
        ConfigError: another supervisor holds it; the line names the instance and the PID.
    """

    def __init__(self, config: Config) -> None:
        self.root = config.shm_path()
        self._keep_latch = not config.aegis.mode.startswith("paper")
        self._handle = _lock(self.root, config.aegis.instance)
        if not self._keep_latch:
            for entry in self.root.iterdir():
                if entry.name != LOCK:
                    entry.unlink()

    def write_note(self, note: Note) -> None:
        """Replace the note in one step."""
        fresh = self.root / (NOTE + ".new")
        fresh.write_bytes(msgspec.json.encode(note))
        fresh.chmod(0o600)
        fresh.rename(self.root / NOTE)

    def remove(self) -> None:
        """Remove the directory; outside paper mode the control page stays, for it holds the operator's halt."""
        for entry in self.root.iterdir():
            if entry.name != LOCK and not (self._keep_latch and entry.name == "control"):
                entry.unlink(missing_ok=True)
        (self.root / LOCK).unlink(missing_ok=True)
        for directory in (self.root, self.root.parent):
            with contextlib.suppress(OSError):  # not empty: another instance, or the kept control page
                directory.rmdir()
        os.close(self._handle)


def _lock(root: Path, name: str) -> int:
    path = root / LOCK
    while True:
        try:
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:  # removed between the two calls by one who is leaving
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            note = read_note(root)
            whose = f" (pid {note.pid})" if note else ""
            raise ConfigError(f"up: instance '{name}' is already running{whose}") from None
        if path.exists() and os.path.samestat(os.fstat(handle), path.stat()):
            return handle
        os.close(handle)  # the holder before us removed the file we locked


def read_note(root: Path) -> Note | None:
    """The note of what runs under `root`; None when nothing does, or its supervisor is dead."""
    try:
        note = msgspec.json.decode((root / NOTE).read_bytes(), type=Note)
        os.kill(note.pid, 0)
    except (OSError, msgspec.DecodeError):
        return None
    return note


def child_environ(config: Config, environ: dict[str, str]) -> dict[str, str]:
    """`environ` for a child: every effective value as its variable, so that all processes see the same settings."""
    ours = ("NOTIFY_SOCKET", "WATCHDOG_USEC")
    kept = {k: v for k, v in environ.items() if not k.startswith("AEGIS_") and k not in ours}
    for section, kind in SECTIONS.items():
        for field in kind.__struct_fields__:
            kept[f"AEGIS_{section}_{field}".upper()] = _as_text(getattr(getattr(config, section), field))
    return kept


def _as_text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, dict):
        return msgspec.json.encode(value).decode()
    return str(value).lower() if isinstance(value, bool) else str(value)


def forget_old_paper(state_dir: Path) -> None:
    """Remove the state of paper runs older than a week; each run has its own account and they would pile up."""
    oldest = time.time() - PAPER_STATE_KEPT_S
    for entry in state_dir.glob("paper-????????"):
        if entry.is_dir() and entry.stat().st_mtime < oldest:
            shutil.rmtree(entry, ignore_errors=True)
