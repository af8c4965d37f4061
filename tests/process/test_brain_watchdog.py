"""The supervisor hears of turns, and of nothing else: a strategy that never comes back stops the pings."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("aegis.native._aegis")
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "bench"))

import path  # noqa: E402  # lies in the directory of the benches

pytestmark = pytest.mark.skipif(not shutil.which("gcc"), reason="the peer is C: gcc is missing")
WATCHDOG_S = 1.2


class Ears:
    """The supervisor's socket: who said what."""

    def __init__(self, at: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind(str(at))

    def pinged(self, pid: int, within_s: float) -> bool:
        """Whether this process pings before the time is over."""
        end = time.monotonic() + within_s
        while (left := end - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                said, others, *_ = self._socket.recvmsg(256, 64)
            except TimeoutError:
                return False
            sender = struct.unpack("iII", others[0][2])[0]
            if sender == pid and said == b"WATCHDOG=1":
                return True
        return False

    def drain(self) -> None:
        """Forget what was said so far."""
        self._socket.setblocking(False)
        try:
            while True:
                self._socket.recv(256)
        except BlockingIOError:
            return

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def ears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ears]:
    """What children of this test notify."""
    made = Ears(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", str(int(WATCHDOG_S * 1e6)))
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.setenv("STUCK_WORD", str(tmp_path / "word"))
    yield made
    made.close()


def test_a_stuck_strategy_is_not_kept_alive(ears: Ears, tmp_path: Path) -> None:
    """Pings while turns are made; none for a watchdog's time once the strategy is stuck, though the process lives."""
    peer = path.Peer(-1)
    product = None
    try:
        product = path.Product(peer, path.Cores(-1, -1, -1), "block", "stuck_strategy:Stuck", warm=False)
        brain = product.pids()["brain"]
        assert ears.pinged(brain, 10)
        assert ears.pinged(brain, 10)
        (tmp_path / "word").touch()
        path.until(lambda: (tmp_path / "word.stuck").exists(), "stuck")
        ears.drain()
        assert not ears.pinged(brain, WATCHDOG_S)
        os.kill(brain, 0)
    finally:
        if product is not None:
            os.kill(product.pids()["brain"], 9)
            product.close()
        peer.close()
