"""Forty calls signed by ccxt and by the official SDK, with every kind of key, against a running venue.

Problem: a venue judged by the signer its authors wrote accepts what they believe. So the requests are made by others,
in their own environments, and sent byte for byte; then again with one bit of the payload changed, and with one bit of
the signature changed.
What must stay true: each request as signed is carried out; each changed one is refused with -1022 and nothing else.
"""

from __future__ import annotations

import base64
import http.client
import json
import random
import secrets
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from websockets.sync.client import ClientConnection, connect

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]
from calls import CHINESE, calls  # noqa: E402  the path is set above
from environments import CLIENTS, TREE, build  # noqa: E402

DEADLINE_S = 20.0
SIGNERS = {"ccxt": "ccxt", "sdk": "binance-sdk"}
HTTP_TEXT = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%&=")
REFUSED = (400, -1022)


def make_keys() -> dict[str, dict[str, str]]:
    """One key of each kind, made now: {"api_key", "secret"}, the secret a text or a PEM."""
    pairs = {"ed25519": Ed25519PrivateKey.generate(), "rsa": generate_private_key(65537, 2048)}
    pems = {
        kind: key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        for kind, key in pairs.items()
    }
    return {
        kind: {"api_key": secrets.token_hex(32), "secret": secret}
        for kind, secret in {"hmac": secrets.token_hex(32), **pems}.items()
    }


def keys_file(keys: dict[str, dict[str, str]]) -> str:
    """The venue's keys file."""
    names = {"hmac": "secret", "ed25519": "ed25519_pem", "rsa": "rsa_pem"}
    return json.dumps([{"api_key": key["api_key"], names[kind]: key["secret"]} for kind, key in keys.items()])


class Wire:
    """The running venue, reached by HTTP and by its WebSocket API."""

    def __init__(self, port: int, socket: ClientConnection) -> None:
        self.http, self.socket = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S), socket

    def rest(self, method: str, target: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
        """(status, answer) of a request sent as it is."""
        self.http.request(method, target, body or None, headers)
        answer = self.http.getresponse()
        return answer.status, json.loads(answer.read())

    def ask(self, text: str) -> tuple[int, Any]:
        """(status, result or error) of a WebSocket API message."""
        self.socket.send(text)
        answer = json.loads(self.socket.recv(DEADLINE_S))
        return answer["status"], answer.get("error") or answer.get("result")

    def send(self, call: dict[str, Any], signed: dict[str, Any]) -> tuple[int, Any]:
        """Send a signed call by its way."""
        if call["method"] == "WS":
            return self.ask(signed["text"])
        return self.rest(call["method"], signed["target"], signed["body"].encode(), signed["headers"])


def flip(text: str, luck: random.Random, low: int, high: int) -> str:
    """`text` with one bit of one byte of [low, high) changed, such that it can still be sent."""
    data = text.encode()
    while True:
        at, bit = luck.randrange(low, high), 1 << luck.randrange(7)
        escaped = b"%" in data[max(low, at - 2) : at + 1]
        if data[at] in HTTP_TEXT and data[at] ^ bit in HTTP_TEXT and not escaped:
            return (data[:at] + bytes((data[at] ^ bit,)) + data[at + 1 :]).decode()


def flip_signature(text: str, luck: random.Random) -> str:
    """One bit of the signature's value changed: of its bytes, so that a letter's case cannot hide it."""
    if len(text) == 64:
        raw = bytearray.fromhex(text)
        raw[luck.randrange(len(raw))] ^= 1 << luck.randrange(8)
        return raw.hex()
    raw = bytearray(base64.b64decode(text))
    raw[luck.randrange(len(raw))] ^= 1 << luck.randrange(8)
    return base64.b64encode(raw).decode()


def mutated_rest(signed: dict[str, Any], luck: random.Random) -> list[dict[str, Any]]:
    """A REST request with a bit of its payload, then of its signature changed."""
    where = "body" if "signature=" in signed["body"] else "target"
    text = signed[where]
    start = text.index("?") + 1 if where == "target" else 0
    head, _, signature = text.partition("&signature=")
    plain = unquote(signature)
    changed = quote(flip_signature(plain, luck), safe="")
    payload = flip(head, luck, start, len(head.encode()))
    return [signed | {where: f"{payload}&signature={signature}"}, signed | {where: f"{head}&signature={changed}"}]


def mutated_message(signed: dict[str, Any], luck: random.Random) -> list[dict[str, Any]]:
    """A WebSocket API message with a bit of one parameter, then of its signature changed."""
    message = json.loads(signed["text"])
    params = message["params"]
    name = luck.choice(sorted(k for k in params if k not in ("signature", "apiKey")))
    value = params[name]
    if isinstance(value, str):
        plain = "".join(c if ord(c) < 128 else "" for c in value)
        value = value.replace(plain, flip(plain, luck, 0, len(plain)))
    else:
        value ^= 1
    out = [params | {name: value}, params | {"signature": flip_signature(params["signature"], luck)}]
    return [{"text": json.dumps(message | {"params": p})} for p in out]


def sign_all(signer: str, key: dict[str, str], wanted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a foreign signer makes of the calls."""
    client = next(c for c in CLIENTS if c.name == SIGNERS[signer])
    build(client)
    python, script = client.python, HERE / f"{signer}_sign.py"
    given = json.dumps({"key": key, "calls": wanted})
    done = subprocess.run([python, str(script)], input=given, text=True, stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def judge(wire: Wire, call: dict[str, Any], signed: dict[str, Any], luck: random.Random) -> list[str]:
    """Send one call changed twice and then as it was signed; complaints. Payload, signature and call in this order."""
    mutate = mutated_message if call["method"] == "WS" else mutated_rest
    out = []
    for bad in mutate(signed, luck):
        status, answer = wire.send(call, bad)
        code = answer.get("code") if isinstance(answer, dict) else None
        out.append("" if (status, code) == REFUSED else f"{bad} answered {status} {answer}")
    status, answer = wire.send(call, signed)
    code = answer.get("code") if isinstance(answer, dict) else None
    good = status == 200 if not call["codes"] else code in call["codes"]
    out.append("" if good else f"{signed} answered {status} {answer}")
    return out


def run(wire: Wire, keys: dict[str, dict[str, str]]) -> int:
    """Every signer with every key; prints the table; the number of complaints."""
    prices = []
    for symbol in ("BTCUSDT", CHINESE):
        _, book = wire.ask(json.dumps({"id": 1, "method": "depth", "params": {"symbol": symbol, "limit": 50}}))
        prices.append(book["bids"][-1][0])
    luck, complaints, totals = random.Random(7), 0, [0, 0, 0, 0]
    print("signer  key      calls  accepted  payload bit refused  signature bit refused")
    for signer in SIGNERS:
        for kind, key in keys.items():
            wanted = calls(f"{signer}-{kind}", *prices)
            signed = sign_all(signer, key, wanted)
            results = [judge(wire, call, done, luck) for call, done in zip(wanted, signed, strict=True)]
            good = [sum(1 for r in results if not r[i]) for i in range(3)]
            row = [len(results), good[2], good[0], good[1]]
            totals = [a + b for a, b in zip(totals, row, strict=True)]
            print(f"{signer:7} {kind:8} {row[0]:5}  {row[1]:8}  {row[2]:19}  {row[3]:21}")
            for call, r in zip(wanted, results, strict=True):
                for text in filter(None, r):
                    complaints += 1
                    print(f"  {call['method']} {call['path']}: {text[:600]}")
    print(f"all              {totals[0]:5}  {totals[1]:8}  {totals[2]:19}  {totals[3]:21}")
    return complaints


def main() -> int:
    """Start a venue, run all, stop it; 0 when every call was judged right."""
    keys = make_keys()
    with tempfile.TemporaryDirectory() as tmp:
        file = Path(tmp) / "keys.json"
        file.write_text(keys_file(keys))
        options = ["--keys", str(file), "--symbols", "6", "--events-per-s", "0", "--weight", "0"]
        command = [sys.executable, "-m", "aegis.exchange", *options, "--orders-10s", "0", "--orders-1m", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=TREE, text=True) as venue:
            assert venue.stdout is not None
            try:
                port = json.loads(venue.stdout.readline())["port"]
                with connect(f"ws://127.0.0.1:{port}/ws-fapi/v1", compression=None) as socket:
                    complaints = run(Wire(port, socket), keys)
            finally:
                venue.send_signal(signal.SIGTERM)
    print(f"{complaints} complaints")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
