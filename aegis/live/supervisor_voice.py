"""What the supervisor says: plain lines, JSON lines, or one live screen on a terminal.

What must stay true: with --json every line on standard output is one JSON value; a closed or full pipe stops nothing;
the screen shows what the shared pages hold, with its age, and "-" where nothing is known.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from typing import TYPE_CHECKING, Any

import msgspec

from aegis.errors import AegisError
from aegis.live.log import stamp

if TYPE_CHECKING:
    from pathlib import Path

    from aegis.live.supervisor import Supervisor

SCREEN_S = 1.0
_HOME, _CLEAR_BELOW, _CLEAR_RIGHT = "\x1b[H", "\x1b[J", "\x1b[K"
_ALT_ON, _ALT_OFF = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"


class Voice:
    """
    Where lines go.

    Args:
        json: JSON lines instead of text.
        quiet_out: keep standard output for the one final result; lines go to standard error.
    """

    def __init__(self, *, json: bool, quiet_out: bool) -> None:
        self._json = json
        self._out = sys.stderr if quiet_out else sys.stdout
        self.on_screen = not json and not quiet_out and sys.stdout.isatty()
        self._drawing = False
        self._held: list[str] = []

    def line(self, event: str, process: str, facts: dict[str, Any], text: str = "") -> None:
        """One event of one process; `text` replaces the plain form."""
        if self._json:
            shown = msgspec.json.encode({"event": event, "process": process, "ns": time.time_ns()} | facts).decode()
        else:
            said = text or f"{event} " + " ".join(f"{k}={v}" for k, v in facts.items())
            shown = f"{stamp(time.time_ns())} {process:<12} {said}"
        if self._drawing:
            self._held = [*self._held[-200:], shown]
        else:
            self._write(shown + "\n")

    def note(self, text: str) -> None:
        """A remark of the supervisor itself."""
        self.line("note", "supervisor", {"text": text}, text)

    def result(self, report: dict[str, Any]) -> None:
        """The one final result, on standard output."""
        if self._json:
            text = msgspec.json.encode(report).decode()
        else:
            text = "\n".join(f"{key:<18} {value}" for key, value in report.items())
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def _write(self, text: str) -> None:
        try:
            self._out.write(text)
            self._out.flush()
        except (OSError, ValueError):
            return

    async def screen(self, run: Supervisor) -> None:
        """Redraw once a second until cancelled; does nothing without a terminal."""
        if not self.on_screen:
            return
        self._drawing = True
        self._write(_ALT_ON)
        try:
            while True:
                rows = _rows(run) + ["", *self._held[-6:]]
                width, height = shutil.get_terminal_size()
                body = "".join(row[:width] + _CLEAR_RIGHT + "\r\n" for row in rows[: height - 1])
                self._write(_HOME + body + _CLEAR_BELOW)
                await asyncio.sleep(SCREEN_S)
        finally:
            self._write(_ALT_OFF)
            self._drawing = False
            self._write("".join(line + "\n" for line in self._held))


def _rows(run: Supervisor) -> list[str]:
    aegis = run.config.aegis
    now_ns = run.clock.mono_ns()
    rows = [f"AEGIS {aegis.instance}  mode {aegis.mode}  account {aegis.account}   (Ctrl-C stops)", ""]
    rows.append(f"{'process':<13}{'pid':>8}  {'state':<9}{'up s':>7}{'restarts':>9}  status")
    for name, child in run.children.items():
        up = f"{(now_ns - child.ready_ns) / 1e9:.0f}" if child.ready_ns else "-"
        state = child.state.name.lower()
        rows.append(f"{name:<13}{child.pid:>8}  {state:<9}{up:>7}{child.restarts:>9}  {child.status}")
    root = run.config.shm_path()
    return [*rows, "", *_book_rows(root), "", *_position_rows(root)]


def _book_rows(root: Path) -> list[str]:
    try:
        from aegis.native.books import BooksReader

        books = BooksReader(str(root / "books"))
        tops = [books.top(i) for i in range(min(len(books.symbols()), 8))]
        exps = [(books.px_exp(i), books.qty_exp(i)) for i in range(len(tops))]
    except (OSError, AegisError, ImportError):
        return ["books        -"]
    rows = [f"{'symbol':<13}{'bid':>16}{'ask':>16}  trusted"]
    for top, (px_exp, _) in zip(tops, exps, strict=True):
        bid = _price(top.bids, px_exp)
        ask = _price(top.asks, px_exp)
        rows.append(f"{top.name:<13}{bid:>16}{ask:>16}  {'yes' if top.trusted else 'no'}")
    return rows


def _price(levels: Any, px_exp: int) -> str:
    from aegis.units import Num

    return str(Num(int(levels[0][0]), px_exp)) if len(levels) else "-"


def _position_rows(root: Path) -> list[str]:
    page = root / "positions.json"
    try:
        age_s = time.time() - page.stat().st_mtime
        books = msgspec.json.decode(page.read_bytes())
    except (OSError, msgspec.DecodeError):
        return ["positions    -"]
    rows = [f"reconciled {books.get('reconciled')}   books {age_s:.1f} s old   wallets {books.get('wallets')}"]
    rows.append(f"realised {books.get('realised')}   fees {books.get('fees')}")
    rows += [f"{s:<13}{p['qty']:>16} @ {p['entry']}" for s, p in books.get("positions", {}).items()]
    return rows
