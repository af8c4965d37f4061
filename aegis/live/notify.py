"""What a process tells its supervisor: READY, WATCHDOG, STATUS, STOPPING, by systemd's notify protocol.

Problem: `sdnotify` drops a whole datagram when its text is not plain, and blocks when the supervisor is slow; a
status line could so starve the watchdog and kill a healthy process. So text is made ASCII, the socket never blocks,
and STATUS and WATCHDOG travel apart.
What must stay true: a ping is sent only when the caller's progress number moved since the last one, at most once per
quarter of WATCHDOG_USEC (callers ask every third); without NOTIFY_SOCKET every call does nothing and raises nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import sdnotify

_STATUS_CHARS = 200


class Notifier:
    """
    The one wrapper around `sdnotify`.

    Args:
        environ: where NOTIFY_SOCKET and WATCHDOG_USEC stand; the process environment when None.

    Attributes:
        interval_s: seconds between pings that keep the watchdog quiet (a third of it); 1.0 without a watchdog.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        env = os.environ if environ is None else environ
        self._link = _link(env.get("NOTIFY_SOCKET", ""))
        self._usec = _usec(env.get("WATCHDOG_USEC", ""))
        self.interval_s = self._usec / 3e6 if self._usec else 1.0
        self._progress_last: int | None = None
        self._ping_ns = 0

    def ready(self, status: str = "") -> None:
        """Start-up is done; the process does its work from now on."""
        self._send("READY=1")
        if status:
            self.status(status)

    def status(self, text: str) -> None:
        """One line for people; made ASCII and cut at 200 characters."""
        plain = " ".join(text.encode("ascii", "replace").decode().split())
        self._send(f"STATUS={plain[:_STATUS_CHARS]}")

    def stopping(self) -> None:
        """An orderly stop has begun."""
        self._send("STOPPING=1")

    def ping(self, progress: int, mono_ns: int) -> bool:
        """
        Pet the watchdog if it is due and the main loop moved.

        Args:
            progress: a number that the main loop changes on every turn.
            mono_ns: monotonic nanoseconds.

        Returns:
            True when a ping was sent.
        """
        if not self._usec or progress == self._progress_last:
            return False
        if self._ping_ns and mono_ns - self._ping_ns < self._usec * 250:
            return False
        self._progress_last, self._ping_ns = progress, mono_ns
        self._send("WATCHDOG=1")
        return True

    def watchdog(self) -> None:
        """Pet the watchdog unconditionally; for a caller that just proved its own progress."""
        self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        if self._link is not None:
            self._link.notify(text)


def _link(address: str) -> sdnotify.SystemdNotifier | None:
    if not address:
        return None
    saved = os.environ.get("NOTIFY_SOCKET")
    os.environ["NOTIFY_SOCKET"] = address
    try:
        link = sdnotify.SystemdNotifier()
    finally:
        if saved is None:
            del os.environ["NOTIFY_SOCKET"]
        else:
            os.environ["NOTIFY_SOCKET"] = saved
    if link.socket is not None:
        link.socket.setblocking(False)
    return link


def _usec(text: str) -> int:
    return int(text) if text.isdecimal() else 0
