"""A connection allocates nothing after its handshake, counted by a hook in the process's own malloc.

Problem: one allocation in a hot path is no time at all until it is a page fault. What must stay true: none on a plain
connection, by anybody; none by us over TLS (OpenSSL makes small ones of its own for each record; they are printed); and
the counter sees one that is planted.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [ROOT / "tests/budget/conn_alloc.c", ROOT / "csrc/conn.c", ROOT / "csrc/tls.c"]
FLAGS = "-std=c11 -O2 -g -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror".split()
MESSAGES = 20_000

pytestmark = [
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler"),
    pytest.mark.skipif(not Path("/lib64/ld-linux-x86-64.so.2").exists(), reason="the hook is glibc's"),
]


def counted(tmp_path: Path, kind: str, *flags: str) -> dict[str, int]:
    """Numbers of a run: ours, libraries, messages, filled."""
    program = tmp_path / "count"
    words = ["cc", *FLAGS, *flags, f"-I{ROOT / 'csrc'}", *map(str, SOURCES), "-lssl", "-lcrypto", "-pthread"]
    subprocess.run([*words, "-o", str(program)], check=True)
    done = subprocess.run([str(program), kind, str(MESSAGES)], capture_output=True, text=True, timeout=60, check=True)
    print(kind, done.stdout.strip())
    return {name: int(n) for name, n in re.findall(r"(\w+) (\d+)", done.stdout)}


@pytest.mark.parametrize("kind", ["plain", "tls"])
def test_nothing_is_allocated_after_the_handshake(tmp_path: Path, kind: str) -> None:
    """Reads, writes, a full buffer and its emptying: not one allocation of ours; plain, none at all."""
    seen = counted(tmp_path, kind)
    assert seen["messages"] == MESSAGES and seen["filled"] > 0
    assert seen["ours"] == 0
    assert kind == "tls" or seen["libraries"] == 0


def test_a_planted_allocation_is_seen(tmp_path: Path) -> None:
    """The counter rings."""
    assert counted(tmp_path, "tls", "-DAE_MUTANT_ALLOC")["ours"] == MESSAGES // 100
