"""One virtual environment per third-party client, under `.clients/`, each with its own packages and its own Python.

Problem: the clients pin versions the product does not want, and NautilusTrader's wheel wants a newer Python than the
product's. So nothing of theirs is installed beside the product, and the interpreter is looked for: on the path, among
pyenv's versions, then from the distribution's packages.
What must stay true: an environment is built once per list of packages and interpreter; what cannot be had is skipped
with a reason that says what was looked for.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
TREE = HERE.parent.parent
HOMES = TREE / ".clients"
BUILD_S = 540.0


@dataclass(frozen=True, slots=True)
class Client:
    """A client: script, pinned packages, oldest and newest Python, time, and why it cannot meet our authority."""

    name: str
    script: str
    packages: tuple[str, ...]
    oldest: tuple[int, int] = (3, 10)
    newest: tuple[int, int] = (3, 13)
    deadline_s: float = 420.0
    no_tls: str = ""

    @property
    def home(self) -> Path:
        """Where its environment lives."""
        return HOMES / self.name

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.home / "bin" / "python"


OWN_ROOTS = "its websockets trust only the authorities compiled into the wheel"
CLIENTS = (
    Client("ccxt", "ccxt_life.py", ("ccxt==4.5.90",)),
    Client("python-binance", "python_binance_life.py", ("python-binance==1.0.37",)),
    Client("binance-sdk", "binance_sdk_life.py", ("binance-sdk-derivatives-trading-usds-futures==18.1.0",)),
    Client("nautilus", "nautilus_life.py", ("nautilus_trader==1.231.0",), oldest=(3, 12), no_tls=OWN_ROOTS),
    Client("nautilus-rust", "nautilus_rust_life.py", ("nautilus_trader==2.0.0rc7",), oldest=(3, 12), no_tls=OWN_ROOTS),
)


class NotToBeHad(Exception):
    """A client that cannot be run here; the text says why."""


def interpreters() -> Iterator[str]:
    """Interpreters worth asking for their version, the product's own first."""
    yield sys.executable
    for minor in (13, 12, 11, 10):
        if found := shutil.which(f"python3.{minor}"):
            yield found
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from (str(p) for p in sorted(root.glob("versions/3.*/bin/python3"), reverse=True))


def version(python: str) -> tuple[int, int]:
    """Its version when it runs and can make environments, else (0, 0): a shim on the path may lead nowhere."""
    code = "import ensurepip, ssl, sys, venv; print(*sys.version_info[:2])"
    try:
        out = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=20, check=True).stdout
        major, minor = out.split()
        return int(major), int(minor)
    except (OSError, subprocess.SubprocessError, ValueError):
        return 0, 0


def interpreter(client: Client) -> str:
    """
    A Python the client takes.

    Raises:
        NotToBeHad: none is here and the distribution has none.
    """
    asked = []
    for python in interpreters():
        found = version(python)
        asked.append(f"{found[0]}.{found[1]}")
        if client.oldest <= found <= client.newest:
            return python
    for minor in range(client.newest[1], client.oldest[1] - 1, -1):
        package = f"python3.{minor}-venv"
        if os.geteuid() == 0 and shutil.which("apt-get"):
            run = subprocess.run(["apt-get", "install", "-y", "-q", package], capture_output=True, timeout=BUILD_S)
            if run.returncode == 0 and client.oldest <= version(f"python3.{minor}") <= client.newest:
                return f"python3.{minor}"
    wanted = f"Python {client.oldest[0]}.{client.oldest[1]} to {client.newest[0]}.{client.newest[1]}"
    raise NotToBeHad(f"{client.name} wants {wanted}; found {', '.join(sorted(set(asked)))}, and no package of it")


def build(client: Client, newest: bool = False) -> None:
    """
    Make or refresh the client's environment; does nothing when it is what it should be.

    Args:
        newest: take the newest versions instead of the pinned ones.

    Raises:
        NotToBeHad: no interpreter, or the packages cannot be installed.
    """
    packages = [p.partition("==")[0] if newest else p for p in client.packages]
    stamp, wanted = client.home / "packages.txt", "\n".join(packages)
    if not newest and stamp.exists() and stamp.read_text() == wanted and version(str(client.python)) != (0, 0):
        return
    python = interpreter(client)
    print(f"{client.name}: installing {' '.join(packages)}", file=sys.stderr, flush=True)
    shutil.rmtree(client.home, ignore_errors=True)
    pip = [str(client.python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages]
    for command in ([python, "-m", "venv", str(client.home)], pip):
        run = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_S)
        if run.returncode:
            reason = (run.stderr or run.stdout).strip().splitlines()[-1:]
            raise NotToBeHad(f"{client.name}: {' '.join(packages)} cannot be installed: {' '.join(reason)}")
    stamp.write_text(wanted)
