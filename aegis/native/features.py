"""Features per symbol as numpy columns over the memory that csrc/features.c folds into; nothing is copied.

Problem: a strategy that computes its signals from records in Python is slow, and nobody can train on what it saw.
What must stay true: every view is read-only and shows the present; `VERSION` and the names say what a column means;
symbols are indices of the market ring (the books page names them). Columns are signals: prices and sizes to trade with
are the exact integers of `quote`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from aegis.native import abi
from aegis.native._aegis import ffi, lib

VERSION: int = lib.AE_FEATURES_VERSION
NAMES = tuple(abi.FEATURES[i] for i in range(lib.AE_FEATURES))
SYMBOLS: int = lib.AE_SYMBOLS_MAX


class Touch(NamedTuple):
    """Newest bookTicker of a symbol, exact: mantissas at px_exp and qty_exp, and when the feed received it."""

    bid: int
    bid_qty: int
    ask: int
    ask_qty: int
    px_exp: int
    qty_exp: int
    recv_ns: int


def _frozen(array: Any) -> Any:
    array.flags.writeable = False
    return array


class Features:
    """
    Columns of all symbols, and which symbols the last batch changed.

    Attributes:
        c: the C struct, for whoever folds in C (the brain's turn).
    """

    def __init__(self) -> None:
        self.c = ffi.new("ae_features_t *")
        whole = np.frombuffer(ffi.buffer(self.c), np.uint8)
        rows = whole[ffi.offsetof("ae_features_t", "row") :].view(abi.FEATURE_ROW)
        self._rows = _frozen(rows["value"])
        self._columns = {name: _frozen(rows["value"][:, i]) for i, name in enumerate(NAMES)}
        at = ffi.offsetof("ae_features_t", "changed")
        self._changed = _frozen(whole[at : at + 2 * SYMBOLS].view(np.uint16))
        at = ffi.offsetof("ae_features_t", "changed_value")
        values = whole[at : at + 8 * SYMBOLS * len(NAMES)].view(np.float64)
        self._values = _frozen(values.reshape(SYMBOLS, len(NAMES)))
        self._few = [(self._changed[:n], self._values[:n]) for n in range(17)]  # slicing costs more than most batches

    def __getitem__(self, column: str) -> Any:
        """One column of all symbols, float64 by symbol index; 0 where nothing came yet. KeyError: no such column."""
        return self._columns[column]

    def fold(self, batch: Any) -> int:
        """Fold a batch of records (dtype abi.TICK); returns how many symbols changed."""
        return int(lib.ae_features_fold(self.c, ffi.from_buffer("ae_tick_t[]", batch), len(batch)))

    def reset(self) -> None:
        """Forget everything: the feed is a new one."""
        lib.ae_features_reset(self.c)

    @property
    def changed(self) -> Any:
        """Indices of the symbols the last batch changed, uint16, each once, in the order of their first record."""
        count = self.c.changed_count
        return self._few[count][0] if count < len(self._few) else self._changed[:count]

    @property
    def rows(self) -> Any:
        """The columns of `changed`, float64 `(changed, columns)`: row i is changed[i], in the order of NAMES."""
        count = self.c.changed_count
        return self._few[count][1] if count < len(self._few) else self._values[:count]

    def row(self, symbol: int) -> Any:
        """All columns of one symbol's index, float64, in the order of NAMES."""
        return self._rows[symbol]

    def touch(self, symbol: int) -> Touch | None:
        """Newest quote of a symbol's index; None before the first."""
        row = self.c.row[symbol]
        if not row.quotes:
            return None
        return Touch(row.bid, row.bid_qty, row.ask, row.ask_qty, row.px_exp, row.qty_exp, row.quoted_ns)


def weights(**columns: float) -> Any:
    """
    A vector for `features.rows @ weights(...)`: the named columns' factors, 0 for all others.

    Raises:
        KeyError: no such column.
    """
    made = np.zeros(len(NAMES))
    at = {name: i for i, name in enumerate(NAMES)}
    for name, factor in columns.items():
        made[at[name]] = factor
    return made
