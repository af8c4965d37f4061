"""The control page: one block per process, written by that process, read by all.

Problem: progress, halt and counters must be visible without asking the process (it may hang). Each block is its
own page with one writer, so no locks are needed: every value is one aligned 8-byte word.
What must stay true: halted = any block with a nonzero halt word; a counter's cell never moves.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from aegis.errors import Ours
from aegis.messages import Halt
from aegis.native import abi
from aegis.native._aegis import ffi, lib
from aegis.native.shm import Layout, open_page

PROCESSES = ("feed", "brain", "orchestrator", "supervisor", "operator", "venue")
_HEADER, _BLOCK = abi.CONTROL_HEADER.itemsize, abi.CONTROL_BLOCK.itemsize
_LAYOUT = Layout(
    _HEADER + lib.AE_CONTROL_BLOCKS * _BLOCK,
    abi.CONTROL_HEADER,
    abi.CONTROL_BLOCK,
    {
        "abi": lib.AE_ABI_VERSION,
        "header_bytes": _HEADER,
        "block_bytes": _BLOCK,
        "blocks": lib.AE_CONTROL_BLOCKS,
        "magic": lib.AE_CONTROL_MAGIC,
    },
)


class Block:
    """One process's block; only that process may call what writes."""

    def __init__(self, row: Any) -> None:
        self._row = row
        self._cells = row["counters"]
        self._at: dict[str, int] = {}

    def pointer(self) -> Any:
        """ae_control_block_t * of this block, for C that counts its progress; good while the page's object lives."""
        return ffi.cast("ae_control_block_t *", self._row.__array_interface__["data"][0])

    def progress(self) -> None:
        """The main loop turned once more."""
        self._row["pid"] = os.getpid()
        self._row["beat_ns"] = time.monotonic_ns()
        self._row["progress"] += np.uint64(1)

    def _cell(self, name: str) -> int:
        at = self._at.get(name)
        if at is None:
            used = int(self._row["counters_used"])
            names = [bytes(n) for n in self._cells["name"][:used]]
            word = name.encode("ascii")[: lib.AE_COUNTER_NAME_BYTES - 1]
            at = names.index(word) if word in names else used
            if at == used:
                if used >= lib.AE_COUNTERS_MAX:
                    raise Ours(f"no room for counter {name!r}: {used} are in use")
                self._cells["name"][at] = word
                self._row["counters_used"] = used + 1
            self._at[name] = at
        return at

    def count(self, name: str, n: int = 1) -> None:
        """Add to a counter."""
        self._cells["value"][self._cell(name)] += n

    def set(self, name: str, value: int) -> None:
        """Set a counter or gauge."""
        self._cells["value"][self._cell(name)] = value

    def counters(self) -> dict[str, int]:
        """All counters by name."""
        used = int(self._row["counters_used"])
        cells = self._cells[:used]
        return {bytes(n).decode("ascii"): int(v) for n, v in zip(cells["name"], cells["value"], strict=True)}

    def halt(self, reason: int) -> None:
        """Latch a halt: entries stop, exits and cancels go on."""
        self._row["halt_ns"] = time.time_ns()
        self._row["halt"] = int(reason)

    def clear_halt(self) -> None:
        """Take back this block's own halt."""
        self._row["halt"] = 0

    @property
    def halt_reason(self) -> Halt:
        return _halt(int(self._row["halt"]))

    @property
    def halt_ns(self) -> int:
        """Wall clock of the halt."""
        return int(self._row["halt_ns"])

    @property
    def pid(self) -> int:
        return int(self._row["pid"])

    @property
    def beat_ns(self) -> int:
        """Monotonic clock of the last progress (comparable between processes of one host)."""
        return int(self._row["beat_ns"])

    @property
    def turns(self) -> int:
        """How often progress() was called."""
        return int(self._row["progress"])


def _halt(word: int) -> Halt:
    try:
        return Halt(word)
    except ValueError:
        return Halt.OPERATOR


class ControlPage:
    """
    The page of one instance.

    Args:
        path: the file. create: make it when missing.

    Raises:
        RingRefused: missing, or of another build (field named).
    """

    def __init__(self, path: str | Path, create: bool = False) -> None:
        self._file = open_page(path, _LAYOUT, PROCESSES, create=create)
        self.base = ffi.from_buffer(self._file.map)  # the page, for C; it lives as long as this object
        self._rows = np.frombuffer(self._file.map, abi.CONTROL_BLOCK, lib.AE_CONTROL_BLOCKS, _HEADER)
        self._blocks = {name: Block(self._rows[i : i + 1][0]) for i, name in enumerate(PROCESSES)}

    def block(self, process: str) -> Block:
        """Block of a process (PROCESSES)."""
        return self._blocks[process]

    def halted(self) -> list[tuple[str, Halt]]:
        """Who holds a halt, and why; empty = not halted."""
        halts = [int(v) for v in self._rows["halt"][: len(PROCESSES)]]
        return [(name, _halt(word)) for name, word in zip(PROCESSES, halts, strict=True) if word]

    def resume(self) -> None:
        """Operator only: clear the operator's halt and ask all others to clear theirs."""
        at = PROCESSES.index("operator")
        self._rows["halt"][at] = 0
        self._rows["resume_epoch"][at] += np.uint64(1)

    @property
    def resume_epoch(self) -> int:
        """Rises with each resume; whoever sees it rise clears its own halt."""
        return int(self._rows["resume_epoch"][PROCESSES.index("operator")])
