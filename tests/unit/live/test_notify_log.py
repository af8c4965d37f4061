"""Law: a status text can never silence the watchdog; a log record is one line and holds no secret."""

from __future__ import annotations

import io
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from aegis.live.log import Log, stamp
from aegis.live.notify import Notifier


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[socket.socket]:
    """The supervisor's end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.bind(str(tmp_path / "n"))
        link.setblocking(False)
        yield link


def notifier(ear: socket.socket, usec: str = "3000000") -> Notifier:
    return Notifier({"NOTIFY_SOCKET": ear.getsockname(), "WATCHDOG_USEC": usec})


def test_any_text_arrives_as_ascii_in_its_own_datagram(ear: socket.socket) -> None:
    """Latin, Chinese, control characters and length: the datagram is never dropped."""
    notifier(ear).status("größe 价格 \u20ac\nREADY=1 " + "x" * 500)
    text = ear.recv(4096)
    assert text.isascii()
    assert b"\n" not in text
    assert text.startswith(b"STATUS=gr??e ??")
    assert len(text) < 220


def test_ready_and_status_travel_apart(ear: socket.socket) -> None:
    """READY first, then STATUS."""
    notifier(ear).ready("fine")
    assert [ear.recv(100), ear.recv(100)] == [b"READY=1", b"STATUS=fine"]


def test_ping_only_on_progress_and_not_too_often(ear: socket.socket) -> None:
    """The same progress, or too soon: no ping."""
    n = notifier(ear)
    second = 1_000_000_000
    sent = [n.ping(1, second), n.ping(1, 9 * second), n.ping(2, 10 * second), n.ping(3, 10 * second + 1)]
    assert sent == [True, False, True, False]
    assert n.interval_s == 1.0


def test_without_a_supervisor_everything_is_silent() -> None:
    """No socket, no watchdog: calls do nothing."""
    n = Notifier({})
    n.ready("x")
    n.stopping()
    assert n.ping(1, 1) is False


def test_a_full_socket_does_not_block(ear: socket.socket) -> None:
    """Thousands of messages nobody reads: every call returns."""
    n = notifier(ear)
    for number in range(5000):
        n.status(str(number))


def test_one_record_is_one_line() -> None:
    """Iso time, process, level, event, fields; line breaks are escaped; spaces are quoted."""
    out = io.StringIO()
    Log("feed", out).warn("lost\nit", why="a b\n", n=3, empty="")
    line = out.getvalue()
    assert re.fullmatch(r'\S+Z feed warn lost\\nit why="a b\\n" n=3 empty=""\n', line), line


@pytest.mark.parametrize("name", ["secret", "api_key", "listen_key", "ed25519_pem", "Signature"])
def test_secrets_are_hidden(name: str) -> None:
    """By the name of the field."""
    out = io.StringIO()
    Log("x", out).info("e", **{name: "abc123"})
    assert "abc123" not in out.getvalue()


def test_a_closed_pipe_stops_nothing() -> None:
    """Writing to a closed stream is given up in silence."""
    out = io.StringIO()
    log = Log("x", out)
    out.close()
    log.error("e")


def test_stamp() -> None:
    """UTC with microseconds."""
    assert stamp(1_700_000_000_123_456_789) == "2023-11-14T22:13:20.123456Z"
