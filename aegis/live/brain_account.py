"""Positions as the brain trades on them: the orchestrator's page plus every fill read since.

Problem: the page is a moment behind; a fill it has not seen yet must count at once, and one it has seen must not count
twice. TRADE_LITE counts early; only a full report at or before the page's cursor is known to be in the page.
What must stay true: each (symbol, trade id) counts once; without a fresh, reconciled page there are no entries.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from aegis.messages import ExecType, OrderUpdate, TradeLite
from aegis.units import ZERO, Num

FRESH_NS = 5_000_000_000


class Page(msgspec.Struct, kw_only=True):
    """positions.json."""

    account_epoch: int = 0
    account_seq: int = 0
    reconciled: bool = False
    reconciled_ns: int = 0
    positions: dict[str, dict[str, str]] = {}
    wallets: dict[str, str] = {}
    realised: str = "0"
    fees: str = "0"
    last_trade: dict[str, int] = {}


class Positions:
    """
    Page and fills of one account.

    Args:
        path: of positions.json.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._mtime_ns, self._inode = path, 0, 0
        self.page = Page()
        self._base: dict[str, Num] = {}
        self._fills: dict[tuple[str, int], tuple[Num, int, int]] = {}  # signed qty, epoch, seq of the full report or 0

    def refresh(self) -> bool:
        """Read the page if it is a new one; True when it was."""
        try:
            stat = self._path.stat()
            if (stat.st_mtime_ns, stat.st_ino) == (self._mtime_ns, self._inode):
                return False  # the inode as well: two pages can be written within one tick of the file system's clock
            page = msgspec.json.decode(self._path.read_bytes(), type=Page)
            base = {s: Num.parse(p["qty"]) for s, p in page.positions.items()}
        except (OSError, msgspec.DecodeError, KeyError, ValueError):
            return False
        self._mtime_ns, self._inode, self.page, self._base = stat.st_mtime_ns, stat.st_ino, page, base
        self._fills = {key: fill for key, fill in self._fills.items() if not self._paged(key, fill)}
        return True

    def _paged(self, key: tuple[str, int], fill: tuple[Num, int, int]) -> bool:
        _, epoch, seq = fill
        if key[1] <= self.page.last_trade.get(key[0], 0):
            return True
        return bool(seq) and epoch == self.page.account_epoch and seq <= self.page.account_seq

    def apply(self, news: OrderUpdate | TradeLite, epoch: int, seq: int) -> None:
        """Count a fill, ours or not, unless it is known."""
        full = isinstance(news, OrderUpdate)
        if full and news.exec_type not in (ExecType.TRADE, ExecType.CALCULATED):  # type: ignore[union-attr]  # full
            return
        if not news.trade_id or not news.last_qty:
            return
        key = (news.symbol, news.trade_id)
        fill = (Num(int(news.side)) * news.last_qty, epoch, seq if full else 0)
        if not self._paged(key, fill) and (full or key not in self._fills):
            self._fills[key] = fill

    def position(self, symbol: str) -> Num:
        """Signed position now."""
        later = (qty for (name, _), (qty, _, _) in self._fills.items() if name == symbol)
        return sum(later, self._base.get(symbol, ZERO))

    def held(self) -> list[str]:
        """Symbols that may hold a position."""
        return [s for s in {*self._base, *(name for name, _ in self._fills)} if self.position(s)]

    @property
    def reconciled_until_ns(self) -> int:
        """Until when (wall) entries may rely on the page; 0 not at all."""
        return self._mtime_ns + FRESH_NS if self.page.reconciled else 0

    def entry_price(self, symbol: str) -> Num:
        """Average price of the position as the page has it; 0 when it has none."""
        return Num.parse(self.page.positions.get(symbol, {}).get("entry") or "0")

    def pnl(self, market: Any) -> Num:
        """Realised - fees + unrealised at the middle, in quote money; a position without a quote counts as flat pnl."""
        total = Num.parse(self.page.realised) - Num.parse(self.page.fees)
        for symbol, row in self.page.positions.items():
            qty, quote = self._base.get(symbol, ZERO), market.last(symbol)
            if qty and quote is not None and row.get("entry"):
                middle = (quote.bid + quote.ask) * Num(5, 1)
                total += qty * (middle - Num.parse(row["entry"]))
        return total
