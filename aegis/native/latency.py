"""Latency histograms of an instance: one shared file `latency`, one block per process, one writer a block.

Problem: a latency that is measured only in a benchmark is not known where it matters. So every hop counts itself, all
the time, into memory that anybody may look at without asking the process (csrc/hist.c).
What must stay true: a block has one writer thread; a percentile is the upper edge of its cell, so it is never told too
small; what was not measured is absent, not zero.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from aegis.errors import AegisError
from aegis.native import abi
from aegis.native._aegis import ffi, lib
from aegis.native.shm import Layout, open_page

FILE = "latency"
PROCESSES = ("feed", "brain", "orchestrator")
HOPS = abi.HOPS
HOP = {name: i for i, name in enumerate(HOPS)}
_HEADER, _BLOCK = abi.HIST_HEADER.itemsize, abi.HIST_BLOCK.itemsize
_BYTES = _HEADER + lib.AE_HIST_BLOCKS * _BLOCK
_EDGES = np.array([lib.ae_hist_edge(i) for i in range(lib.AE_HIST_CELLS)], np.int64)
_LAYOUT = Layout(
    _BYTES,
    abi.HIST_HEADER,
    abi.HIST_BLOCK,
    {
        "abi": lib.AE_ABI_VERSION,
        "header_bytes": _HEADER,
        "block_bytes": _BLOCK,
        "blocks": lib.AE_HIST_BLOCKS,
        "hops": lib.AE_HOPS,
        "cells": lib.AE_HIST_CELLS,
        "magic": lib.AE_HIST_MAGIC,
    },
)


class Percentiles(msgspec.Struct, frozen=True, kw_only=True):
    """One hop in nanoseconds: how many, and what share took no longer. `backwards`: measured below zero, kept as 0."""

    count: int
    p50: int
    p90: int
    p99: int
    p999: int
    max: int
    backwards: int = 0


class Histogram:
    """
    A copy of one hop's cells.

    Args:
        cells: counts, int64, one per cell.
        longest: exact maximum in ns; None when it is not known (a difference of two copies).
    """

    def __init__(self, cells: Any, longest: int | None, backwards: int = 0) -> None:
        self.cells, self._longest, self.backwards = cells, longest, backwards
        self.count = int(cells.sum())

    def minus(self, before: Histogram) -> Histogram:
        """What was counted since `before`, an earlier copy of the same hop."""
        return Histogram(self.cells - before.cells, None, self.backwards - before.backwards)

    def at(self, share: float) -> int:
        """Nanoseconds that `share` (0 to 1) of the values do not exceed; 0 without values."""
        if not self.count:
            return 0
        wanted = max(1, int(np.ceil(share * self.count)))
        edge = int(_EDGES[int(np.searchsorted(np.cumsum(self.cells), wanted))])
        return edge if self._longest is None else min(edge, self._longest)

    def percentiles(self) -> Percentiles:
        """p50, p90, p99, p99.9 and maximum."""
        return Percentiles(
            count=self.count,
            p50=self.at(0.5),
            p90=self.at(0.9),
            p99=self.at(0.99),
            p999=self.at(0.999),
            max=self.at(1.0) if self._longest is None else self._longest,
            backwards=self.backwards,
        )


class LatencyBlock:
    """One process's histograms. `block` is the pointer for C; `add` and `begin` belong to the writer."""

    def __init__(self, block: Any, keep: Any) -> None:
        self.block, self._keep = block, keep  # the map lives as long as a block is used

    def begin(self) -> None:
        """This process takes the block: everything starts empty."""
        lib.ae_hist_begin(self.block, os.getpid(), lib.ae_hist_now())

    def add(self, hop: int, ns: int) -> None:
        """Count one duration at a hop (HOP[name])."""
        lib.ae_hist_add(self.block, hop, ns)

    def histogram(self, name: str) -> Histogram:
        """A copy of one hop."""
        copy = ffi.new("ae_hist_t *")
        lib.ae_hist_copy(self.block, HOP[name], copy)
        row = np.frombuffer(ffi.buffer(copy), abi.HIST, 1)[0]
        return Histogram(row["cells"].astype(np.int64), int(row["max"]), int(row["backwards"]))

    def read(self) -> dict[str, Percentiles]:
        """The hops that were measured at least once."""
        found = {name: self.histogram(name) for name in HOPS}
        return {name: histogram.percentiles() for name, histogram in found.items() if histogram.count}

    @property
    def pid(self) -> int:
        return int(self.block.pid)

    @property
    def since_ns(self) -> int:
        """Wall clock of begin()."""
        return int(self.block.since_ns)


class LatencyPage:
    """
    The file of one instance.

    Args:
        path: the file. create: make it when missing.

    Raises:
        RingRefused: missing, or of another build (field named).
    """

    def __init__(self, path: str | Path, create: bool = False) -> None:
        self._file = open_page(path, _LAYOUT, PROCESSES, create=create)
        base = ffi.cast("uint8_t *", ffi.from_buffer(self._file.map)) + _HEADER
        first = ffi.cast("ae_hist_block_t *", base)
        self._blocks = {name: LatencyBlock(first + i, self._file) for i, name in enumerate(PROCESSES)}

    def block(self, process: str) -> LatencyBlock:
        """Block of a process (PROCESSES)."""
        return self._blocks[process]

    def read(self) -> dict[str, dict[str, Percentiles]]:
        """All processes that measured something."""
        found = {name: block.read() for name, block in self._blocks.items()}
        return {name: hops for name, hops in found.items() if hops}


def report(root: Path) -> dict[str, dict[str, dict[str, int]]]:
    """Percentiles in ns per process and hop since each process began; empty where nothing was measured."""
    try:
        found = LatencyPage(root / FILE).read()
    except (OSError, AegisError):
        return {}
    return {name: {hop: msgspec.structs.asdict(row) for hop, row in hops.items()} for name, hops in found.items()}
