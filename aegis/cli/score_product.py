"""The whole product as the score runs it: `aegis up` in an instance of its own, seen through its own commands.

Problem: a score of parts in one process would pass where the processes fail. So this starts what an operator starts,
with settings an operator could write, and looks only where an operator looks: the commands' JSON and the orders ring.
What must stay true: the settings differ from the defaults in pace and size of limits, not in what is checked; nothing
of an instance is left behind.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from aegis.errors import AegisError, Unreachable
from aegis.live.brain_rings import Tail
from aegis.messages import OrderRecord, OrderStep
from aegis.native import orders as wire

UP_S, STOP_S, LOOK_S = 40.0, 8.0, 0.005
COUNTDOWN_S = 8

SETTINGS = """\
[aegis]
instance = "{instance}"
mode = "testnet"
account = "score"
state_dir = "{directory}/state"
[venue]
rest_url = "{AEGIS_REST}"
stream_url = "{AEGIS_STREAMS}"
ws_api_url = "{AEGIS_WSAPI}"
keys_file = "{directory}/keys.json"
recv_window_ms = 1000
[feed]
first_frame_s = 5
stale_s = 10
reconnect_max_s = 5
[brain]
strategy = "aegis.cli.score_strategy:Mailbox"
timer_ms = 10
[brain.params]
mailbox = "{directory}/mailbox"
answers = "{directory}/answers"
[risk]
order_notional_max = "1000000000"
position_notional_max = "1000000000"
total_notional_max = "10000000000"
loss_limit = "1000000000"
orders_per_s = 1000
open_orders_max = 200
[recon]
interval_s = 10
cheap_interval_s = 3
retry_s = 0.5
retry_cap_s = 2
[deadman]
countdown_s = {countdown_s}
"""


class Orders:
    """What the orders ring says, by tag and by client id."""

    def __init__(self, path: Path) -> None:
        self._tail = Tail(path, from_oldest=True)
        self.refused: dict[str, OrderRecord] = {}
        self.named: dict[str, str] = {}
        self.latest: dict[str, OrderRecord] = {}
        self.steps: dict[str, set[OrderStep]] = {}

    def look(self) -> None:
        """Take what came."""
        self._tail.look()
        for slot in self._tail.read():
            record = wire.unpack(slot)
            if record.step is OrderStep.REFUSED:
                self.refused[record.tag] = record
            elif record.client_id:
                if record.tag:
                    self.named[record.tag] = record.client_id
                self.latest[record.client_id] = record
                self.steps.setdefault(record.client_id, set()).add(record.step)


class Product:
    """One running AEGIS."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="aegis-score-client-"))
        self.instance = f"score-{os.getpid()}"
        self.shm = Path("/dev/shm/aegis") / self.instance
        self.config = self.directory / "aegis.toml"
        self._write(environ)
        self.orders = Orders(self.shm / "orders")
        self._process: subprocess.Popen[bytes] | None = None
        self._asked, self._read = 0, 0

    def _write(self, environ: Mapping[str, str]) -> None:
        """Settings, credentials and empty mailboxes."""
        keys = {
            "api_key": environ["AEGIS_API_KEY"],
            "secret": environ["AEGIS_API_SECRET"],
            "ed25519_pem": Path(environ["AEGIS_ED25519_FILE"]).read_text(encoding="ascii"),
        }
        path = self.directory / "keys.json"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as out:
            out.write(msgspec.json.encode(keys))
        for name in ("mailbox", "answers"):
            (self.directory / name).touch()
        known = {k: environ[k] for k in ("AEGIS_REST", "AEGIS_STREAMS", "AEGIS_WSAPI")}
        text = SETTINGS.format(instance=self.instance, directory=self.directory, countdown_s=COUNTDOWN_S, **known)
        self.config.write_text(text, encoding="utf-8")

    def start(self) -> None:
        """
        `aegis up`; returns when it would trade.

        Raises:
            Unreachable: not in time.
        """
        environ = {k: v for k, v in os.environ.items() if not k.startswith("AEGIS_")}
        command = [sys.executable, "-m", "aegis.cli.main", "up", "--json", "--config", str(self.config)]
        with (self.directory / "up.jsonl").open("wb") as out:
            self._process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, stdout=out)
        self.wait(lambda: health(self.surface("status"))["trading"] is True, UP_S, "AEGIS would trade")

    def stop(self) -> int:
        """SIGTERM, as an operator's Ctrl-C; the exit code."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        return self._process.wait()

    def remove(self) -> None:
        """Stop, and leave no file."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
        shutil.rmtree(self.shm, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.shm.parent.rmdir()

    def surface(self, *words: str) -> dict[str, Any]:
        """
        What an `aegis` command prints with --json.

        Raises:
            Unreachable: it printed none.
        """
        from aegis.cli.main import main

        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            main([*words, "--json", "--config", str(self.config)])
        try:
            found: dict[str, Any] = msgspec.json.decode(out.getvalue())
        except msgspec.DecodeError as e:
            raise Unreachable(f"aegis {' '.join(words)} printed no JSON") from e
        return found

    def post(self, line: Mapping[str, Any]) -> str:
        """Give the strategy a line; the tag it carries."""
        self._asked += 1
        tag = f"s{self._asked}"
        with (self.directory / "mailbox").open("ab") as out:
            out.write(msgspec.json.encode({**line, "tag": tag}) + b"\n")
        return tag

    def answer(self, tag: str) -> dict[str, Any] | None:
        """The strategy's answer to a line, if it came."""
        with (self.directory / "answers").open("rb") as lines:
            lines.seek(self._read)
            for line in lines:
                found: dict[str, Any] = msgspec.json.decode(line)
                if found["tag"] == tag:
                    self._read = lines.tell()
                    return found
        return None

    def wait(self, look: Any, limit_s: float, what: str) -> Any:
        """First truthy value of `look`; Unreachable after `limit_s` s."""
        end = time.monotonic() + limit_s
        while True:
            with contextlib.suppress(AegisError):
                seen = look()
                if seen:
                    return seen
            if time.monotonic() > end:
                raise Unreachable(f"not within {limit_s:g} s: {what}")
            time.sleep(LOOK_S)


def health(status: Mapping[str, Any]) -> dict[str, Any]:
    """What `aegis status` says, in the words of the score."""
    rows, books, positions = status.get("processes", {}), status.get("books", {}), status.get("positions", {})
    alive = {name: bool(rows.get(name, {}).get("alive")) for name in ("feed", "brain", "orchestrator")}
    trusted, known = books.get("trusted", 0), books.get("symbols", 0)
    market = "dead" if not alive["feed"] or not trusted else "trusted" if trusted == known else "suspect"
    reconciled = positions.get("reconciled") is True and positions.get("age_s", 1e9) < 5
    account = "dead" if not alive["orchestrator"] else "trusted" if reconciled else "suspect"
    halted = status.get("halted", {})
    trading = (market, account, alive["brain"], bool(halted)) == ("trusted", "trusted", True, False)
    said = f"books {trusted} of {known}, reconciled {reconciled}, halted {halted or 'no'}, alive {alive}"
    return {"market": market, "account": account, "trading": trading, "reason": said}
