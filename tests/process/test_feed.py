"""The feed as a real process against a real venue simulator: names, rotation, loss and repair."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

from aegis.limits import STOP_SECONDS
from aegis.messages import Note, PositionUpdate
from aegis.native import abi, account
from aegis.native.books import BooksReader
from aegis.native.control import ControlPage
from aegis.native.ring import RingReader
from aegis.units import Num

DEADLINE_S = 30.0
FEED = (
    "import os, sys\nfrom aegis.config import load\nfrom aegis.live.feed import run\n"
    "sys.exit(run(load(None, os.environ).config))\n"
)


def until(condition: Callable[[], Any], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Wait for a condition, with a deadline."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(0.02)


class Cutter:
    """A TCP relay whose connections a test can cut."""

    def __init__(self, to_port: int) -> None:
        self._to, self.port = to_port, 0
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(10)

    def _run(self, ready: threading.Event) -> None:
        async def serve() -> None:
            server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            ready.set()

        self._loop.run_until_complete(serve())
        self._loop.run_forever()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._to)
        pair = {writer, up_writer}
        self._writers |= pair

        async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while data := await source.read(65536):
                    target.write(data)
                    await target.drain()
            for each in pair:
                each.close()

        await asyncio.gather(copy(reader, up_writer), copy(up_reader, writer))
        self._writers -= pair

    def cut(self) -> None:
        """Abort every connection now."""
        self._loop.call_soon_threadsafe(lambda: [w.transport.abort() for w in self._writers])

    def close(self) -> None:
        """End the relay."""
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)


class Rig:
    """A venue, a relay and a feed; `rows` collects the market ring from its first record."""

    def __init__(self, tmp: Path, symbols: int, **feed: object) -> None:
        self.shm = tmp / "shm"
        self.instance = self.shm / "t"
        self.instance.mkdir(parents=True)
        self.keys = tmp / "keys.json"
        self.keys.write_text('{"api_key": "feed-test", "secret": "s"}')
        self.keys.chmod(0o600)
        self._log = (tmp / "log").open("w+")
        self.venue = subprocess.Popen(
            [sys.executable, "-m", "aegis.exchange", "--port", "0", "--seed", "7", "--symbols", str(symbols),
             "--keys", str(self.keys)], stdout=subprocess.PIPE, stderr=self._log, text=True)  # fmt: skip
        assert self.venue.stdout is not None
        ready = json.loads(self.venue.stdout.readline())
        self.port, self.control_port = ready["port"], ready["control_port"]
        self.cutter = Cutter(self.port)
        self.env = {
            **os.environ, "AEGIS_AEGIS_INSTANCE": "t", "AEGIS_AEGIS_SHM_DIR": str(self.shm),
            "AEGIS_VENUE_REST_URL": f"http://127.0.0.1:{self.port}",
            "AEGIS_VENUE_STREAM_URL": f"ws://127.0.0.1:{self.cutter.port}",
            "AEGIS_VENUE_KEYS_FILE": str(self.keys),
            **{f"AEGIS_FEED_{k.upper()}": str(v) for k, v in feed.items()},
        }  # fmt: skip
        self.rows: list[np.ndarray] = []
        self.feed = self.start()
        until(
            lambda: "connect" in self.log() or self.log().count("feed ready") or self.feed.poll() is not None, "start"
        )
        assert self.feed.poll() is None, self.log()
        self.reader = RingReader(str(self.instance / "market"), from_seq=0)

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen([sys.executable, "-c", FEED], env=self.env, stderr=self._log, text=True)

    def log(self) -> str:
        self._log.flush()
        return Path(self._log.name).read_text()[-4000:]

    def rest(self, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        url = f"http://127.0.0.1:{self.control_port if path.startswith('/control/') else self.port}{path}"
        headers = {"X-MBX-APIKEY": "feed-test", "Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=10) as answer:
            return json.load(answer)

    def drain(self) -> None:
        while len(rows := self.reader.read(65536)):
            self.rows.append(np.array(rows))

    def all(self) -> np.ndarray:
        self.drain()
        return np.concatenate(self.rows) if self.rows else np.empty(0, abi.TICK)

    def counters(self) -> dict[str, int]:
        return ControlPage(str(self.instance / "control")).block("feed").counters()

    def symbols(self) -> list[str]:
        return list(BooksReader(str(self.instance / "books")).symbols())

    def wait_rows(self, condition: Callable[[np.ndarray], Any], what: str) -> np.ndarray:
        def check() -> bool:
            assert self.feed.poll() is None, self.log()
            return bool(condition(self.all()))

        until(check, what)
        return self.all()

    def close(self) -> None:
        for process in (self.feed, self.venue):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in (self.feed, self.venue):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(3)
            if process.poll() is None:
                process.kill()
        self.cutter.close()
        self._log.close()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    rigs: list[Rig] = []

    def make(symbols: int, **feed: object) -> Rig:
        rigs.append(Rig(tmp_path, symbols, **feed))
        return rigs[-1]

    yield make
    for each in rigs:
        each.close()


def of_kind(rows: np.ndarray, kind: int) -> np.ndarray:
    return rows[rows["kind"] == kind]


def holes(rows: np.ndarray, kind: int) -> dict[int, list[int]]:
    """Per symbol index: ids missing between the smallest and the largest, or doubled."""
    found = {}
    for index in np.unique(of_kind(rows, kind)["symbol"]):
        ids = np.sort(of_kind(rows, kind)["c"][of_kind(rows, kind)["symbol"] == index])
        bad = [int(i) for i, step in zip(ids[:-1], np.diff(ids), strict=True) if step != 1]
        if bad:
            found[int(index)] = bad
    return found


def chain_breaks(rows: np.ndarray) -> int:
    """Depth events whose `pu` is not the last `u` of their symbol."""
    heads = of_kind(rows, abi.KIND_DEPTH)
    heads = heads[(heads["flags"] & abi.FLAG_BEGIN) != 0]
    last: dict[int, int] = {}
    breaks = 0
    for head in heads:
        index = int(head["symbol"])
        breaks += index in last and int(head["c"]) != last[index]
        last[index] = int(head["b"])
    return breaks


def in_band(rows: np.ndarray, kind: int, starts: np.ndarray) -> None:
    mine = of_kind(rows, kind)
    prices = mine["a"] / 10.0 ** mine["px_exp"]
    wrong = np.abs(prices / starts[mine["symbol"]] - 1) > 0.05
    assert not wrong.any(), mine[wrong][:5]


def test_every_symbol_of_300_is_received_under_its_own_name(rig: Callable[..., Rig]) -> None:
    """Acceptance 4: own price band, own trades: every record's price lies in its symbol's band, ids match REST."""
    it = rig(300, book_symbols_max=5)
    kinds = (abi.KIND_BOOK_TICKER, abi.KIND_MARK)
    rows = it.wait_rows(
        lambda rows: (
            all(len(np.unique(of_kind(rows, k)["symbol"])) >= 295 for k in kinds)
            and len(of_kind(rows, abi.KIND_TRADE)) > 500
        ),
        "all symbols heard",
    )
    names = it.symbols()
    listed = it.rest("/fapi/v1/exchangeInfo")["symbols"]
    mine = [r for r in listed if (r["contractType"], r["quoteAsset"]) == ("PERPETUAL", "USDT")]
    assert len(listed) == 300 and names == [r["symbol"] for r in mine]
    quotes = {row["symbol"]: Num.parse(row["bidPrice"]) for row in it.rest("/fapi/v1/ticker/bookTicker")}
    starts = np.array([quotes[name].m / 10.0 ** quotes[name].e for name in names])
    confused = [np.mean(np.abs(starts / np.roll(starts, by) - 1) < 0.05) for by in range(1, len(names))]
    assert max(confused) < 0.5, "bands too alike: names shifted by some places would hardly be noticed"
    for kind in (*kinds, abi.KIND_TRADE, abi.KIND_AGG_TRADE):
        in_band(rows, kind, starts)
    trades = of_kind(rows, abi.KIND_TRADE)
    for index in np.unique(trades["symbol"])[:40]:
        told = {
            row["id"]: Num.parse(row["price"])
            for row in it.rest(f"/fapi/v1/trades?symbol={quote(names[index])}&limit=1000")
        }
        for row in trades[trades["symbol"] == index]:
            if int(row["c"]) in told:
                assert Num(int(row["a"]), int(row["px_exp"])) == told[int(row["c"])], names[index]


def test_rotation_under_load_loses_nothing(rig: Callable[..., Rig]) -> None:
    """Sockets replaced every 1.5 s: trade ids continuous, `pu` chain unbroken, no reconnect, books still trusted."""
    it = rig(6, rotate_s=1.5)
    until(lambda: it.all() is not None and it.counters().get("rotations", 0) >= 6, "rotations")
    rows = it.wait_rows(lambda rows: len(of_kind(rows, abi.KIND_TRADE)) > 300, "trades")
    assert holes(rows, abi.KIND_TRADE) == {} and holes(rows, abi.KIND_AGG_TRADE) == {}
    assert chain_breaks(rows) == 0
    assert it.counters().get("reconnects", 0) == 0 and it.reader.lost == 0, it.log()


def test_a_cut_connection_is_repaired_and_the_gap_is_marked(rig: Callable[..., Rig]) -> None:
    """All market sockets cut, thrice: ids continuous, some of them FILLED; books trusted again; SIGTERM ends it."""
    it = rig(6, reconnect_min_s=0.5)
    for _ in range(3):
        seen, before = len(of_kind(it.all(), abi.KIND_TRADE)), it.counters().get("reconnects", 0)
        it.wait_rows(lambda rows, seen=seen: len(of_kind(rows, abi.KIND_TRADE)) > seen + 50, "trades flow")
        it.cutter.cut()
        until(lambda before=before: it.all() is not None and it.counters().get("reconnects", 0) > before, "reconnects")
    rows = it.wait_rows(
        lambda rows: (rows["flags"] & abi.FLAG_FILLED).any() and not holes(rows, abi.KIND_TRADE), "filled"
    )
    it.wait_rows(lambda rows: not holes(rows, abi.KIND_AGG_TRADE), "aggregate trades filled")
    filled = rows[(rows["flags"] & abi.FLAG_FILLED) != 0]
    assert set(np.unique(filled["kind"])) <= {abi.KIND_TRADE, abi.KIND_AGG_TRADE}
    books = BooksReader(str(it.instance / "books"))
    until(lambda: all(books.top(i).trusted for i in range(len(books.symbols()))), "books trusted again")
    it.feed.send_signal(signal.SIGTERM)
    assert it.feed.wait(STOP_SECONDS) == 0, it.log()


def test_lost_and_doubled_frames_are_noticed(rig: Callable[..., Rig]) -> None:
    """A lost depth event breaks the book, which joins again; doubled trades are counted and published once."""
    it = rig(1)
    books = BooksReader(str(it.instance / "books"))
    until(lambda: it.all() is not None and books.top(0).trusted, "a book")
    assert not it.counters().get("book_breaks", 0)
    joins = it.counters()["book_joins"]
    it.rest("/control/fault", {"name": "pu_hole", "symbol": it.symbols()[0]})
    until(lambda: it.all() is not None and it.counters()["book_breaks"] == 1, "the break")
    until(lambda: it.all() is not None and it.counters()["book_joins"] > joins and books.top(0).trusted, "the join")
    it.rest("/control/fault", {"name": "frame_repeat", "stream": "*@trade", "count": 5})
    until(lambda: it.all() is not None and it.counters()["duplicates"] >= 5, "duplicates")
    assert holes(it.all(), abi.KIND_TRADE) == {}


def test_a_silent_stream_is_noticed(rig: Callable[..., Rig]) -> None:
    """A stream the venue acknowledges and never serves raises the alarm within its deadline."""
    it = rig(3, streams="bookTicker,kline_7m", first_frame_s=1)
    until(lambda: it.counters().get("streams_dead", 0) >= 3, "alarm")
    assert "no first frame" in it.log() and it.feed.poll() is None


def test_user_events_reach_the_account_ring(rig: Callable[..., Rig]) -> None:
    """A listen key appears: STREAM_UP first, then what happens to the account, as nouns of the right symbol."""
    it = rig(3)
    reader = RingReader(str(it.instance / "account"), from_seq=0)
    heard: list[Any] = []

    def hear() -> list[Any]:
        heard.extend(account.unpack(slot) for slot in reader.read(256))
        return heard

    key = it.rest("/fapi/v1/listenKey", {})["listenKey"]
    (it.instance / "new_key").write_text(key)
    (it.instance / "new_key").rename(it.instance / "listen_key")
    until(hear, "first record")
    assert isinstance(heard[0], Note) and heard[0].what == "STREAM_UP"
    it.rest("/control/position", {"symbol": "BTCUSDT", "qty": "0.010", "price": "61800"})
    until(lambda: any(isinstance(m, PositionUpdate) and m.symbol == "BTCUSDT" for m in hear()), "position")
    assert all(m.recv_ns for m in heard) and key not in it.log()


def test_symbol_places_survive_a_restart(rig: Callable[..., Rig]) -> None:
    """SIGKILL and restart: the books page keeps every symbol's index, and the ring goes on."""
    it = rig(6)
    before = it.symbols()
    until(lambda: it.log().count("feed ready") == 1, "first start")
    it.feed.kill()
    it.feed.wait()
    it.env["AEGIS_SYMBOLS_LIST"] = ",".join(reversed(before[2:]))
    it.feed = it.start()
    until(lambda: it.log().count("feed ready") == 2, "second start")
    assert it.symbols() == before
    reader = RingReader(str(it.instance / "market"))
    until(lambda: len(reader.read(10)), "records after restart")
