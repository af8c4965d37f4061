"""Run the clients' life cycles against fresh venues and print what passed: `make clients`.

What must stay true: each client gets a venue process of its own, started with the same seed and accounts; a script
that hangs is ended at its deadline and its missing steps count as failed; the exit code is 0 only when every step of
every client passed.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from environments import CLIENTS, HERE, HOMES, TREE, Client, NotToBeHad, build

READY_S = 20.0
WALLET = "100000"


@dataclass
class Result:
    """What one client's run came to: its steps, or why it was skipped."""

    client: Client
    steps: list[dict[str, Any]] = field(default_factory=list)
    skipped: str = ""
    seconds: float = 0.0

    @property
    def failed(self) -> list[dict[str, Any]]:
        """Steps that failed."""
        return [s for s in self.steps if not s["passed"]]


def write_keys(folder: Path) -> tuple[Path, Path]:
    """An Ed25519 pair, made for this run: (private, public) PEM files."""
    folder.mkdir(parents=True, exist_ok=True)
    key = Ed25519PrivateKey.generate()
    private, public = folder / "private.pem", folder / "public.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


class Venue:
    """A venue process on ports of its own choice."""

    def __init__(self, public: Path, log: Path, *more: str) -> None:
        command = [sys.executable, "-m", "aegis.cli.main", "venue", "--port", "0", "--seed", "7", "--wallet", WALLET]
        command += [*more]
        command += ["--account", "client-key:client-secret", "--account", f"client-ed:@{public}"]
        self.log = log.open("w")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True, cwd=TREE)
        lines: queue.Queue[str] = queue.Queue()
        out = self.process.stdout
        assert out is not None
        threading.Thread(target=lambda: [lines.put(line) for line in out], daemon=True).start()
        ready = json.loads(lines.get(timeout=READY_S))
        self.port, self.control = int(ready["port"]), int(ready["control_port"])
        self.authority = ready.get("ca_file", "")

    def stop(self) -> None:
        """End the process, by its own id."""
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
        self.log.close()


def run(client: Client, keys: tuple[Path, Path], options: argparse.Namespace) -> Result:
    """One client's script against a fresh venue."""
    result, began = Result(client), time.monotonic()
    more = ["--symbols", str(options.symbols), "--events-per-s", str(options.events_per_s)]
    if options.tls:
        more += ["--tls", "--tls-dir", str(HOMES / "keys")]
    venue = Venue(keys[1], HOMES / f"{client.name}.venue.log", *more)
    values = {
        "HTTP": f"http{'s' if options.tls else ''}://127.0.0.1:{venue.port}",
        "CONTROL": f"http://127.0.0.1:{venue.control}",
        "KEY": "client-key",
        "SECRET": "client-secret",
        "KEY_ED": "client-ed",
        "PEM": str(keys[0]),
        "WALLET": WALLET,
    }
    env = {**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    env |= {f"AEGIS_CLIENT_{k}": v for k, v in values.items()}
    if options.tls:
        env |= dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AEGIS_CLIENT_CA"), str(venue.authority))
    with (HOMES / f"{client.name}.log").open("w") as log:
        command = [str(client.python), str(HERE / client.script)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=env, cwd=HOMES)
        deadline = threading.Timer(client.deadline_s, process.kill)
        deadline.start()
        assert process.stdout is not None
        for line in process.stdout:
            if not line.startswith('{"step"'):
                log.write(line)
            else:
                row = json.loads(line)
                result.steps.append(row)
                if options.verbose:
                    print(
                        f"{client.name:15} {'ok  ' if row['passed'] else 'FAIL'} {row['step']}",
                        file=sys.stderr,
                        flush=True,
                    )
        code = process.wait()
        deadline.cancel()
    venue.stop()
    result.seconds = time.monotonic() - began
    if code not in (0, 1) or not result.steps:
        came = f"exit code {code} after {result.seconds:.0f} s (deadline {client.deadline_s:.0f} s)"
        result.steps.append({"step": "the script", "expected": "to end by itself", "came": came, "passed": False})
    return result


def table(results: list[Result]) -> str:
    """Steps in rows, clients in columns, then what failed and what was skipped."""
    shown = [r for r in results if not r.skipped]
    names = list(dict.fromkeys(s["step"] for r in shown for s in r.steps))
    several = [n for n in names if len(shown) < 2 or sum(any(s["step"] == n for s in r.steps) for r in shown) > 1]
    width = max((len(n) for n in several), default=4)
    lines = ["  ".join(["step".ljust(width), *(r.client.name.ljust(14) for r in shown)])]
    for name in several:
        cells = []
        for r in shown:
            found = [s["passed"] for s in r.steps if s["step"] == name]
            cells.append(("ok" if all(found) else "FAIL") if found else "-")
        lines.append("  ".join([name.ljust(width), *(c.ljust(14) for c in cells)]))
    own = [(len([s for s in r.steps if s["step"] not in several]), r) for r in shown]
    lines.append(
        "  ".join(
            [
                "steps of its own alone".ljust(width),
                *(f"{n - sum(s['step'] not in several for s in r.failed)}/{n}".ljust(14) for n, r in own),
            ]
        )
    )
    lines.append(
        "  ".join(
            ["all steps".ljust(width), *(f"{len(r.steps) - len(r.failed)}/{len(r.steps)}".ljust(14) for r in shown)]
        )
    )
    lines.append("  ".join(["seconds".ljust(width), *(f"{r.seconds:.0f}".ljust(14) for r in shown)]))
    for r in shown:
        lines += [f"FAIL {r.client.name}: {s['step']}: expected {s['expected']}; came {s['came']}" for s in r.failed]
    lines += [f"SKIP {r.client.name}: {r.skipped}" for r in results if r.skipped]
    return "\n".join(lines)


def main() -> int:
    """Build, run, print; 0 when nothing failed and something ran."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("clients", nargs="*", metavar="CLIENT", help=f"which of {', '.join(c.name for c in CLIENTS)} (all)")
    p.add_argument("--newest", action="store_true", help="install the newest versions instead of the pinned ones")
    p.add_argument("--build", action="store_true", help="only build the environments")
    p.add_argument("--tls", action="store_true", help="https and wss, the venue's own authority trusted by environment")
    p.add_argument("--symbols", type=int, default=8, help="how many symbols the venue lists (8)")
    p.add_argument("--events-per-s", type=int, default=60, help="pace of the venue's market over all symbols (60)")
    p.add_argument("-v", "--verbose", action="store_true", help="name each step as it ends")
    options = p.parse_args()
    chosen = [c for c in CLIENTS if not options.clients or c.name in options.clients]
    if not chosen:
        p.error(f"no client of {options.clients}")
    keys, results = write_keys(HOMES / "keys"), []
    for client in chosen:
        if options.tls and client.no_tls:
            results.append(Result(client, skipped=client.no_tls))
            continue
        try:
            build(client, options.newest)
        except NotToBeHad as e:
            results.append(Result(client, skipped=str(e)))
            continue
        if not options.build:
            results.append(run(client, keys, options))
    print(table(results))
    passed, failed = (sum(len(r.steps) for r in results), sum(len(r.failed) for r in results))
    print(f"{passed - failed} passed, {failed} failed, {sum(bool(r.skipped) for r in results)} skipped")
    return 1 if failed or (not passed and not options.build) else 0


if __name__ == "__main__":
    sys.exit(main())
