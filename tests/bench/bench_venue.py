"""`make bench WHAT=venue`: the venue against a bare loop on the same kind of socket, in one run, as ratios.

Absolute figures belong to the machine and the minute they were taken in; what is compared is printed beside them. Each
sender is a process of its own, its processor time read from the system, so that a busy machine shows in the wall
figures and not in those per processor second.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import hmac
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wire_reader import END, connect

from aegis.exchange import orders
from aegis.exchange.instrument import Market
from aegis.exchange.matching import BUY, SELL
from aegis.exchange.server import Venue
from aegis.exchange.wire import text_frame

HERE = Path(__file__).parent
STREAMS = ("btcusdt@bookTicker", "btcusdt@depth@0ms", "btcusdt@trade")
BATCH = 128 << 10
DEADLINE_S = 120.0


# what is sent ------------------------------------------------------------------
def capture(path: Path, frames: int) -> list[bytes]:
    """Write a capture with the mix of a busy minute (70 % best prices, 7 % depth, 23 % trades); returns its frames."""
    rng, rows, u = random.Random(1), [], 1
    snap = {"lastUpdateId": 1, "E": 1, "T": 1, "bids": [["61800.00", "2.000"]], "asks": [["61800.10", "0.500"]]}
    lines = [f"1723161255030314667 {json.dumps(snap)}"]
    for i in range(frames):
        prev, u, draw = u, u + 1, rng.random()
        size, stamp = f"{rng.randrange(9000) / 1000:.3f}", 1723161255030 + i // 200
        tail = f'"T":{stamp},"E":{stamp},"st":1'
        if draw < 0.7:
            stream = STREAMS[0]
            best = f'"b":"61800.00","B":"{size}","a":"61800.10","A":"1.000"'
            body = f'"e":"bookTicker","u":{u},"s":"BTCUSDT","ps":"BTCUSDT",{best},{tail}'
        elif draw < 0.77:
            stream = STREAMS[1]
            levels = ",".join(f'["{61700 + rng.randrange(99)}.00","{size}"]' for _ in range(20))
            body = f'"e":"depthUpdate",{tail},"s":"BTCUSDT","U":{u},"u":{u},"pu":{prev},"b":[{levels}],"a":[]'
        else:
            stream = STREAMS[2]
            body = f'"e":"trade",{tail},"s":"BTCUSDT","t":{u},"p":"61800.00","q":"{size}","X":"MARKET","m":true'
        rows.append(text := f'{{"stream":"{stream}","data":{{{body}}}}}')
        lines.append(f"{1723161255030314667 + i * 5000} {text}")
    path.write_bytes(gzip.compress("\n".join(lines).encode(), 1))
    return [text_frame(text) for text in rows]


# processes -------------------------------------------------------------------------
def cpu_s(pid: int) -> float:
    """Processor seconds a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def venue(*words: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """A venue process: (pid, ready line)."""
    command = [sys.executable, "-m", "aegis.exchange", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.pid, json.loads(process.stdout.readline())
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def control(ready: dict[str, Any], what: str) -> Any:
    """GET /control/<what>."""
    with urllib.request.urlopen(f"http://127.0.0.1:{ready['control_port']}/control/{what}", timeout=10) as answer:
        return json.loads(answer.read())


def reader(port: int, target: str, size: int) -> subprocess.Popen[str]:
    """The bare reader as a process."""
    command = [sys.executable, str(HERE / "wire_reader.py"), str(port), target, str(size)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def result(process: subprocess.Popen[str], size: int) -> float:
    """Seconds the reader took for exactly `size` bytes."""
    out = json.loads(process.communicate(timeout=DEADLINE_S)[0])
    assert out["bytes"] == size, f"{out['bytes']} of {size} bytes"
    return float(out["seconds"])


# (a) streaming -----------------------------------------------------------------------
def bare(frames: list[bytes], batched: bool) -> tuple[float, float]:
    """(wall, processor) seconds of a loop that sends prepared frames, one by one or joined."""
    size = sum(map(len, frames))
    door = socket.create_server(("127.0.0.1", 0))
    process = reader(door.getsockname()[1], "/", size)
    sock, _ = door.accept()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while not sock.recv(65536).endswith(END):
        pass
    sock.sendall(b"HTTP/1.1 101 Switching Protocols" + END)
    began = time.process_time()
    if batched:
        rows, held = [], 0
        for one in frames:
            rows.append(one)
            held += len(one)
            if held >= BATCH:
                sock.sendall(b"".join(rows))
                rows, held = [], 0
        sock.sendall(b"".join(rows))
    else:
        for one in frames:
            sock.sendall(one)
    used = time.process_time() - began
    wall = result(process, size)
    sock.close()
    door.close()
    return wall, used


def streamed(path: Path, frames: list[bytes], keep_up: bool) -> tuple[float, float]:
    """(wall, processor) seconds of the venue for the same frames; `keep_up`: somebody looks at the book meanwhile."""
    size = sum(map(len, frames))
    with venue("--replay", str(path), "--speed", "max") as (pid, ready):
        before = cpu_s(pid)
        process = reader(ready["port"], f"/public/stream?streams={'/'.join(STREAMS)}", size)
        while keep_up and process.poll() is None:
            look = f"http://127.0.0.1:{ready['port']}/fapi/v1/ticker/bookTicker"
            urllib.request.urlopen(look, timeout=10).read()
            time.sleep(0.05)
        wall = result(process, size)
        return wall, cpu_s(pid) - before


# (b) orders ----------------------------------------------------------------------------
def pair(spec: Any, px: int) -> list[dict[str, str]]:
    """A maker and the taker that fills it whole."""
    least = spec.min_notional_e8 // spec.notional_e8(px, spec.step) + 1
    same = {"symbol": spec.name, "type": "LIMIT", "price": spec.px(px), "quantity": spec.qty(spec.step * least)}
    return [same | {"side": "SELL", "timeInForce": "GTX"}, same | {"side": "BUY", "timeInForce": "IOC"}]


def room(m: Market) -> tuple[dict[str, str], int]:
    """
    The order that clears a gap for two accounts to meet in, and a price in that gap.

    The market opens one tick wide, and nothing happens in it here; the same seed opens the same book in any process.
    """
    bottom = m.book.top(BUY, 5)[-1][0]
    swept = {"symbol": m.spec.name, "type": "LIMIT", "timeInForce": "IOC", "side": "SELL", "price": m.spec.px(bottom)}
    return swept | {"quantity": m.spec.qty(m.book.available(SELL, bottom))}, bottom + m.spec.tick  # type: ignore[attr-defined]


def direct(count: int) -> float:
    """Orders per second through `orders.place`, every second one a fill between two accounts."""
    words = argparse.Namespace(symbols=1, events_per_s=0, wallet="100000000", account=[("a", "s", ""), ("b", "s", "")])
    ex = Venue(words).ex
    m, (one, two) = ex.markets["BTCUSDT"], list(ex.accounts.values())[:2]
    sweep, px = room(m)
    orders.place(ex, one, sweep)
    sell, buy = pair(m.spec, px)
    began = time.process_time()
    for _ in range(count // 2):
        orders.place(ex, one, sell)
        orders.place(ex, two, buy)
    used = time.process_time() - began
    assert len(two.executions) == count // 2
    return count / used


def masked(text: str) -> bytes:
    """A client's text frame with the mask 0 (legal, and free to apply)."""
    payload = text.encode()
    return bytes((0x81, 0x80 | 126)) + len(payload).to_bytes(2, "big") + bytes(4) + payload


def signed(i: int, key: str, params: dict[str, str]) -> bytes:
    """One order.place, signed ahead."""
    rows = params | {"apiKey": key, "timestamp": str(time.time_ns() // 10**6), "recvWindow": "60000"}
    text = "&".join(f"{k}={rows[k]}" for k in sorted(rows))
    rows["signature"] = hmac.new(b"secret", text.encode(), hashlib.sha256).hexdigest()
    return masked(json.dumps({"id": i, "method": "order.place", "params": rows}))


def answers(sock: socket.socket, requests: list[bytes], ahead: int) -> tuple[float, list[bytes]]:
    """Seconds for all requests with `ahead` of them under way, and the answers."""
    held, out, sent = b"", [], 0
    began = time.perf_counter()
    while len(out) < len(requests):
        room = min(len(out) + ahead, len(requests))
        if sent < room:
            sock.sendall(b"".join(requests[sent:room]))
            sent = room
        held += sock.recv(1 << 20)
        while len(held) >= 4:
            size = held[1]
            head = {126: 4, 127: 10}.get(size, 2)
            size = int.from_bytes(held[2:head], "big") if head > 2 else size
            if len(held) < head + size:
                break
            if held[0] == 0x81:
                out.append(held[head : head + size])
            held = held[head + size :]
    return time.perf_counter() - began, out


def api(count: int) -> tuple[float, float]:
    """(orders per second, orders per processor second of the venue) through the WebSocket API."""
    accounts = ("--account", "a:secret", "--account", "b:secret", "--wallet", "100000000")
    free = ("--orders-10s", "0", "--orders-1m", "0", "--weight", "0", "--events-per-s", "0")
    m = Venue(argparse.Namespace(symbols=1, events_per_s=0)).ex.markets["BTCUSDT"]
    sweep, px = room(m)
    with venue("--symbols", "1", *accounts, *free) as (pid, ready):
        sock, _ = connect(ready["port"], "/ws-fapi/v1?returnRateLimits=false")
        rows = [signed(i, "ab"[i % 2], pair(m.spec, px)[i % 2]) for i in range(count)]
        answers(sock, [signed(0, "a", sweep)], 1)
        swept = len(control(ready, "fills"))
        before = cpu_s(pid)
        took, got = answers(sock, rows, 32)
        used = cpu_s(pid) - before
        refused = [a for a in got if b'"status":200' not in a]
        assert not refused, refused[0]
        fills = len(control(ready, "fills")) - swept
        assert fills == count, f"{fills} fills of {count} orders"
        return count / took, count / max(used, 0.01)


def echo(count: int) -> float:
    """Answers per second of a loop that reads one request and sends one prepared answer."""
    door = socket.create_server(("127.0.0.1", 0))
    answer = text_frame(json.dumps({"id": 1, "status": 200, "result": {"orderId": 1, "pad": "x" * 400}}))
    request = masked("x" * 400)
    child = os.fork()
    if child == 0:
        sock, _ = door.accept()
        left = count * len(request)
        while left:
            data = sock.recv(len(request) * 32)
            left -= len(data)
            for _ in range(len(data) // len(request)):
                sock.sendall(answer)
        sock.recv(1)
        os._exit(0)
    sock = socket.create_connection(door.getsockname())
    took, _ = answers(sock, [request] * count, 32)
    sock.close()
    os.waitpid(child, 0)
    return count / took


# (c) many symbols ------------------------------------------------------------------------
def wide(symbols: int, rate: int, seconds_s: float) -> dict[str, float]:
    """A synthetic market of many symbols with all best prices, depths and tickers read."""
    with venue("--symbols", str(symbols), "--events-per-s", str(rate)) as (pid, ready):
        base = f"http://127.0.0.1:{ready['port']}/fapi/v1"
        rows = json.loads(urllib.request.urlopen(f"{base}/ticker/bookTicker", timeout=30).read())
        names = [row["symbol"].lower() for row in rows if row["symbol"].isascii()]
        public = [f"{n}@{kind}" for n in names for kind in ("bookTicker", "depth@100ms")]
        sockets = [connect(ready["port"], "/market/ws/!ticker@arr/!markPrice@arr@1s")[0]]
        for i in range(0, len(public), 200):
            sockets.append(connect(ready["port"], f"/public/stream?streams={'/'.join(public[i : i + 200])}")[0])
        before, sent, began, trips = cpu_s(pid), control(ready, "state")["frames_sent"], time.perf_counter(), []
        buffer = bytearray(1 << 20)
        for sock in sockets:
            sock.setblocking(False)
        while time.perf_counter() - began < seconds_s:
            for sock in sockets:
                try:
                    while sock.recv_into(buffer) == len(buffer):
                        pass
                except BlockingIOError:
                    continue
            at = time.perf_counter()
            urllib.request.urlopen(f"{base}/time", timeout=30).read()
            trips.append(time.perf_counter() - at)
            time.sleep(0.02)
        took = time.perf_counter() - began
        trips.sort()
        return {
            "frames/s": (control(ready, "state")["frames_sent"] - sent) / took,
            "processor share": (cpu_s(pid) - before) / took,
            "GET /time p50 ms": trips[len(trips) // 2] * 1000,
            "GET /time p99 ms": trips[len(trips) * 99 // 100] * 1000,
        }


def main() -> int:
    """Measure and print."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--frames", type=int, default=300_000)
    p.add_argument("--orders", type=int, default=6000)
    p.add_argument("--symbols", type=int, default=300)
    p.add_argument("--events-per-s", type=int, default=3000)
    p.add_argument("--seconds", type=float, default=8.0)
    o = p.parse_args()
    table: list[tuple[str, str, str, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "capture.gz"
        frames = capture(path, o.frames)
        n = len(frames)
        each, joined = bare(frames, False), bare(frames, True)
        rows = [("bare loop, a send per frame", each), ("bare loop, joined sends", joined)]
        rows.append(("venue, one connection", streamed(path, frames, False)))
        rows.append(("venue, its book looked at", streamed(path, frames, True)))
        for name, (wall, used) in rows:
            ratio = f"{each[0] / wall:.2f}x, {joined[0] / wall:.2f}x"
            table.append((name, f"{n / wall:,.0f}/s", f"{n / used:,.0f}/cpu s", ratio))
    bare_rate = echo(o.orders)
    rate, per_cpu = api(o.orders)
    table.append(("bare loop, request and answer", f"{bare_rate:,.0f}/s", "", "1.00x"))
    api_texts = f"{rate:,.0f}/s", f"{per_cpu:,.0f}/cpu s", f"{rate / bare_rate:.3f}x"
    table.append(("orders through the WebSocket API", *api_texts))
    alone = direct(o.orders)
    table.append(("orders through matching directly", "", f"{alone:,.0f}/cpu s", f"{alone / bare_rate:.3f}x"))
    print("frames: ratios to a send per frame and to joined sends; orders: to bare request and answer\n")
    for name, wall_text, cpu_text, ratio in table:
        print(f"{name:36} {wall_text:>14} {cpu_text:>18}   {ratio}")
    print(f"\n{o.symbols} symbols, {o.events_per_s} synthetic events/s, every best price, depth and ticker read:")
    for name, value in wide(o.symbols, o.events_per_s, o.seconds).items():
        print(f"  {name:20} {value:,.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
