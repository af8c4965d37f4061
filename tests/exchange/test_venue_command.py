"""`aegis venue` as an operator meets it: two ports, accounts, TLS, one-line refusals, and verify that can fail."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from exchange_client import receive, running

from aegis.exchange import options, server, truth
from aegis.exchange.server import Venue, open_accounts

COMMAND = [sys.executable, "-m", "aegis.cli.main", "venue"]


def ask(url: str, body: object = None, context: ssl.SSLContext | None = None) -> Any:
    """Decoded JSON of a GET, or of a POST with a body."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=10, context=context) as answer:
        return json.loads(answer.read())


@contextmanager
def started(tmp: Path, *words: str) -> Iterator[dict[str, Any]]:
    """The ready line of a venue process that ends with the block, and ends well."""
    environ = {"PATH": "/usr/bin:/bin", "AEGIS_AEGIS_SHM_DIR": str(tmp / "shm"), "TMPDIR": str(tmp)}
    venue = subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, env=environ, text=True)
    try:
        assert venue.stdout is not None
        yield json.loads(venue.stdout.readline())
        venue.send_signal(signal.SIGTERM)
        assert venue.wait(5) == 0
    finally:
        venue.kill()
        venue.wait()


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """A finished `aegis venue` command."""
    return subprocess.run([*COMMAND, *words], capture_output=True, text=True, timeout=30, check=False)


def test_two_ports_and_verify(tmp_path: Path) -> None:
    """Clients find nothing of the operator's; verify lists every check and exits 0; no answer is exit 1."""
    with started(tmp_path, "--symbols", "3", "--account", "one:secret", "--account", "two:secret") as ready:
        base, control = (f"http://127.0.0.1:{ready[p]}" for p in ("port", "control_port"))
        assert "serverTime" in ask(f"{base}/fapi/v1/time")
        for path in ("/control/books", "/aegis/books"):
            with pytest.raises(urllib.error.HTTPError):
                ask(base + path)
        assert set(ask(f"{control}/control/accounts")) >= {"main"}
        done = run("verify", "--control-port", str(ready["control_port"]), "--json")
        assert done.returncode == 0, done.stderr
        verdict = json.loads(done.stdout)
        assert {row["check"] for row in verdict["checks"]} >= {"book", "account"}
        assert len([row for row in verdict["checks"] if row["check"] == "book"]) == 3
        assert "0 broken" in run("verify", "--url", control).stdout
    gone = run("verify", "--control-port", str(ready["control_port"]))
    assert (gone.returncode, gone.stdout) == (1, "")
    nowhere = run("--set", "aegis.instance=nobody", "verify")
    assert nowhere.returncode == 2 and "--control-port" in nowhere.stderr


def test_verify_finds_planted_damage() -> None:
    """A wallet no flow explains and a level that lies are each named, and the rest stays whole."""
    ex = Venue(argparse.Namespace(symbols=2)).ex
    assert truth.verify(ex)["ok"]
    ex.account.wallet["USDT"] += 1
    next(iter(ex.markets["BTCUSDT"].book.half[1].levels.values())).total += 1  # type: ignore[attr-defined]
    verdict = truth.verify(ex)
    broken = {(row["check"], row["subject"]) for row in verdict["checks"] if not row["ok"]}
    assert not verdict["ok"]
    assert {("account", "main"), ("book", "BTCUSDT")} <= broken
    assert ("book", "ETHUSDT") not in broken


def test_verify_command_exits_2_on_damage(tmp_path: Path) -> None:
    """The command's exit code and table show the damage."""

    async def main() -> None:
        async with running(tmp_path, symbols=2, events_per_s=0) as client:
            client.venue.ex.account.wallet["USDT"] += 1
            done = await asyncio.to_thread(run, "verify", "--url", client.control)
            assert done.returncode == 2
            assert "BROKEN" in done.stdout and "main" in done.stdout

    asyncio.run(main())


@pytest.mark.parametrize(
    "words",
    [
        ("--nonsense",),
        ("--port", "70000"),
        ("--symbols", "0"),
        ("--speed", "fast"),
        ("--account", "no-secret"),
        ("--account", "k:@/nowhere/key.pem"),
        ("--account", "k:/nowhere/key.pem"),
        ("--weight", "-5"),
        ("--events-per-s", "-1"),
        ("--rule", "nothing=on"),
        ("--rule", "cut_reduce_only=perhaps"),
        ("--rule", "default_stp=on"),
        ("--unrouted", "some"),
        ("--ping-s", "-1"),
        ("--faults", "/nowhere/faults.json"),
        ("--replay", "/nowhere/capture.gz"),
        ("verify",),
        ("verify", "--url", "http://example.com"),
    ],
)
def test_bad_input_is_one_line_and_2(words: tuple[str, ...]) -> None:
    """Nothing is printed on standard output, one line says what is wrong."""
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_a_port_in_use_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    """Either port taken is exit code 2 and one line; the folder of the certificate goes too."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for words in (("--port", port), ("--control-port", port)):
            environ = {"PATH": "/usr/bin:/bin", "AEGIS_AEGIS_SHM_DIR": str(tmp_path / "shm"), "TMPDIR": str(tmp_path)}
            command = [*COMMAND, "--tls", "--symbols", "1", *words]
            done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=environ)
            assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1), done.stderr
            assert list(tmp_path.glob("venue-*")) == []


def test_a_signal_ends_it_within_half_a_second(tmp_path: Path) -> None:
    """With readers that read nothing and many symbols, one of three tries at least; stderr stays empty."""
    took = []
    for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        environ = {"PATH": "/usr/bin:/bin", "AEGIS_AEGIS_SHM_DIR": str(tmp_path / "shm"), "TMPDIR": str(tmp_path)}
        words = (*COMMAND, "--symbols", "100", "--events-per-s", "3000")
        venue = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ, text=True)
        try:
            assert venue.stdout is not None and venue.stderr is not None
            port = json.loads(venue.stdout.readline())["port"]
            upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            head = f"GET /public/ws/btcusdt@depth@0ms HTTP/1.1\r\nHost: x\r\n{upgrade}"
            readers = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
            for reader in readers:
                reader.sendall(f"{head}Sec-WebSocket-Key: {'A' * 22}==\r\n\r\n".encode())
            assert all(reader.recv(12) == b"HTTP/1.1 101" for reader in readers)
            began = time.monotonic()
            venue.send_signal(sig)
            assert venue.wait(5) == 0
            took.append(time.monotonic() - began)
            assert venue.stderr.read() == ""
        finally:
            venue.kill()
            venue.wait()
    assert min(took) < 0.5, took


def test_a_fault_of_its_own_is_no_bad_option(monkeypatch: pytest.MonkeyPatch) -> None:
    """What breaks in the running market is raised with its cause, not told in a line as if the operator had erred."""

    def broken(_ex: object) -> None:
        raise KeyError("planted")

    monkeypatch.setattr(server, "tick", broken)
    with pytest.raises(RuntimeError, match="market") as caught:
        server.run(argparse.Namespace(symbols=1))
    gc.unfreeze()
    assert isinstance(caught.value.__cause__, KeyError)


def test_help_explains() -> None:
    """Ports, routes, accounts and an example are there."""
    text = run("--help").stdout
    for word in ("/private/ws/", "/ws-fapi/v1", "/control/", "--account", "example:", "loopback", "verify"):
        assert word in text


def test_accounts_of_their_own(tmp_path: Path) -> None:
    """Each --account is an account; an Ed25519 one is given by its public half; a private half is refused."""
    private = Ed25519PrivateKey.generate()
    public = tmp_path / "public.pem"
    public.write_bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    given = options.parser().parse_args(
        ["--account", "a:s1", "--account", f"b:{public}", "--account", "c:s:with:colon"]
    )
    accounts, keys = open_accounts(options.complete(given), {"USDT"}, 1)
    assert [(a.name, a.number) for a in accounts] == [("main", 1), ("second", 2), ("third", 3)]
    assert [keys[k].account for k in "abc"] == ["main", "second", "third"]
    assert (keys["a"].secret, keys["c"].secret) == (b"s1", b"s:with:colon")
    assert keys["b"].public is not None and not keys["b"].secret
    twice = options.parser().parse_args(["--account", "a:s1", "--account", "a:s2"])
    with pytest.raises(ValueError, match="twice"):
        open_accounts(options.complete(twice), {"USDT"}, 1)


def test_tls_on_the_one_port(tmp_path: Path) -> None:
    """https and wss with the authority of the ready line; no private key stays on disk; the file goes too."""
    with started(tmp_path, "--symbols", "1", "--tls") as ready:
        ca = Path(ready["ca_file"])
        context = ssl.create_default_context(cafile=str(ca))
        for host in ("localhost", "127.0.0.1"):
            assert "serverTime" in ask(f"https://{host}:{ready['port']}/fapi/v1/time", context=context)
        with pytest.raises(urllib.error.URLError):
            ask(f"https://127.0.0.1:{ready['port']}/fapi/v1/time", context=ssl.create_default_context())
        assert "PRIVATE" not in "".join(p.read_text() for p in ca.parent.iterdir())

        async def main() -> None:
            async with aiohttp.ClientSession() as http:
                url = f"wss://localhost:{ready['port']}"
                async with http.ws_connect(f"{url}/public/ws/btcusdt@bookTicker", ssl=context) as ws:
                    assert json.loads(await receive(ws))["e"] == "bookTicker"
                async with http.ws_connect(f"{url}/ws-fapi/v1", ssl=context) as ws:
                    await ws.send_json({"id": 1, "method": "ticker.price", "params": {"symbol": "BTCUSDT"}})
                    assert json.loads(await receive(ws))["status"] == 200

        asyncio.run(main())
    assert not ca.exists()


def test_faults_of_a_file_are_planted_at_start(tmp_path: Path) -> None:
    """What the file holds stands in GET /control/faults."""
    rows = [
        {"name": "error", "path": "POST /fapi/v1/order", "code": -1008, "after_requests": 9},
        {"name": "user_silent"},
    ]
    (tmp_path / "faults.json").write_text(json.dumps(rows))
    with started(tmp_path, "--symbols", "1", "--faults", str(tmp_path / "faults.json")) as ready:
        seen = ask(f"http://127.0.0.1:{ready['control_port']}/control/faults")
        assert [(i["name"], i["live"]) for i in seen["injected"]] == [("user_silent", True)]
        assert seen["waiting"] == rows[:1]


def test_tables_of_the_control_port(tmp_path: Path) -> None:
    """Orders and fills are listed with their account and narrowed by symbol; unknown names are 404."""

    async def main() -> None:
        async with running(tmp_path, symbols=3, events_per_s=0) as client:
            for symbol, quantity in (("BTCUSDT", "0.002"), ("ETHUSDT", "0.020")):
                order = {"symbol": symbol, "side": "BUY", "type": "MARKET", "quantity": quantity}
                await client.ok("POST", "/fapi/v1/order", **order)
            fills: Any = await client.operate("fills?symbol=ETHUSDT")
            assert {(f["account"], f["symbol"]) for f in fills} == {("main", "ETHUSDT")}
            orders: Any = await client.operate("orders")
            assert {o["symbol"] for o in orders} == {"BTCUSDT", "ETHUSDT"}
            accounts: Any = await client.operate("accounts")
            assert accounts["main"]["counts"]["orders"] == 2
            async with client.http.get(f"{client.control}/control/nonsense") as r:
                assert r.status == 404

    asyncio.run(main())


def test_rules_of_the_command_line_hold() -> None:
    """Every switch of Rules can be thrown where the venue is started, and is what the exchange then goes by."""
    words = options.parser().parse_args(["--rule", "cut_reduce_only=on", "--rule", "default_stp_batch=NONE"])
    rules = Venue(words).ex.rules
    assert (rules.cut_reduce_only, rules.default_stp_batch, rules.default_stp) == (True, "NONE", "EXPIRE_MAKER")
