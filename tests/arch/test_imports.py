"""Law 7 and Law 3 by import-linter, and proof that the linter would notice: each planted violation turns it red."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINT = "import sys; from importlinter.cli import lint_imports_command; sys.argv[0] = 'lint'; lint_imports_command()"


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    """Run all contracts of pyproject.toml over the package under `root`."""
    command = [sys.executable, "-c", LINT, "--config", "pyproject.toml", "--no-cache"]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=False)


def test_contracts_hold() -> None:
    """The tree as it is keeps every contract."""
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package to plant violations in."""
    root = tmp_path_factory.mktemp("planted")
    ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.o")
    shutil.copytree(ROOT / "aegis", root / "aegis", ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("aegis/market/planted.py", "import aegis.orders", "Law 7"),
        ("aegis/recon/planted.py", "import aegis.ledger", "Law 7"),
        ("aegis/native/planted.py", "import aegis.market", "Law 7"),
        ("aegis/live/planted.py", "import aegis.cli", "Law 7"),
        ("aegis/live/planted.py", "import aegis.exchange", "Law 7"),
        ("aegis/exchange/planted.py", "import aegis.venue", "simulator"),
        ("aegis/ledger/planted.py", "import time", "Law 3"),
        ("aegis/strategy/planted.py", "import random", "Law 3"),
        ("aegis/venue/planted.py", "import aiohttp", "Law 3"),
    ],
)
def test_a_planted_violation_is_found(copy: Path, module: str, line: str, contract: str) -> None:
    """The contract that forbids the planted import is broken by it, and says so."""
    planted = copy / module
    planted.write_text(f'"""Planted."""\n\n{line}\n', encoding="utf-8")
    try:
        done = lint(copy)
    finally:
        planted.unlink()
    broken = [text for text in done.stdout.splitlines() if " BROKEN" in text]
    assert done.returncode != 0
    assert any(contract in text for text in broken), done.stdout[-2000:] + done.stderr[-1000:]
