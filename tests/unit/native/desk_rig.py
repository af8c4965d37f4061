"""A desk with everything real around it but the venue: gate, rings, control page, a connection over a socket pair."""

from __future__ import annotations

import contextlib
import secrets
import socket
from pathlib import Path
from typing import Any

import numpy as np
from aegis.native._aegis import ffi, lib

from aegis.config import Risk
from aegis.messages import OrderRecord, Place, Rules, Side, Tif
from aegis.native import abi, orders
from aegis.native.conn import Conn, Want
from aegis.native.control import ControlPage
from aegis.native.desk import Desk
from aegis.native.encoder import Encoder
from aegis.native.gate import Gate
from aegis.native.ring import RingReader, RingWriter
from aegis.orders.book import Exposure
from aegis.units import ZERO, Num

NOW = 1_795_000_000_000_000_000
SYMBOLS = ("BTCUSDT", "ETHUSDT")
FAR = 2**62
WIDE = Risk(
    order_notional_max="1000000", position_notional_max="100000000", total_notional_max="1000000000", orders_per_s=1000,
    open_orders_max=1000,
)  # fmt: skip


def rules_of(symbol: str) -> Rules:
    """Filters with one place in prices and three in quantities."""
    return Rules(
        symbol=symbol, base_asset="X", quote_asset="USDT", margin_asset="USDT", status="TRADING",
        contract_type="PERPETUAL", tick=Num(1, 1), price_min=ZERO, price_max=ZERO, lot=Num(1, 3), qty_min=Num(1, 3),
        qty_max=Num(100000), market_lot=Num(1, 3), market_qty_min=Num(1, 3), market_qty_max=Num(100000),
        min_notional=Num(5), multiplier_up=ZERO, multiplier_down=ZERO, orders_max=200, px_exp=1, qty_exp=3,
    )  # fmt: skip


class Page:
    """A books page of its own, with the same layout as the feed's."""

    def __init__(self, symbols: tuple[str, ...]) -> None:
        self._words = ffi.new("uint64_t[]", (lib.AE_BOOKS_HEADER_BYTES + len(symbols) * abi.BOOK_ENTRY.itemsize) // 8)
        self.base = ffi.cast("uint8_t *", self._words)
        self.entries = ffi.cast("ae_book_entry_t *", self.base + lib.AE_BOOKS_HEADER_BYTES)
        for i in range(len(symbols)):
            e = self.entries[i]
            e.px_exp, e.qty_exp, e.with_book, e.trusted, e.bids, e.asks, e.recv_ns = 1, 3, 1, 1, 1, 1, NOW
            e.bid[0].px, e.bid[0].qty, e.ask[0].px, e.ask[0].qty = 669999, 1000, 670001, 1000


def ticker(market: int = 0, bid: int = 669999, ask: int = 670001, at: int = NOW, **more: Any) -> np.ndarray[Any, Any]:
    """One bookTicker record of 0.1 ticks."""
    row = np.zeros(1, abi.TICK)
    fields = {"kind": abi.KIND_BOOK_TICKER, "px_exp": 1, "qty_exp": 3, "b": 1000, "d": 1000, "recv_ns": at}
    for name, value in (fields | {"symbol": market, "a": bid, "c": ask} | more).items():
        row[name] = value
    return row


def buy(price: str = "67000.1", qty: str = "0.01", symbol: str = "BTCUSDT", **more: Any) -> Place:
    """A limit order within every limit."""
    fields: dict[str, Any] = {"side": Side.BUY, "tif": Tif.IOC} | more
    return Place(symbol=symbol, qty=Num.parse(qty), price=Num.parse(price), **fields)


class Rig:
    """
    Desk `d` with its ids reserved in `blocks`; `far` is the venue's end of the connection, not linked at first.

    `key`, `secret`: drawn for this test.
    """

    def __init__(self, root: Path, risk: Risk = WIDE, block: int = 1024) -> None:
        self.key, self.secret = secrets.token_hex(32), secrets.token_hex(32)
        self.control = ControlPage(str(root / "control"), create=True)
        self.page = Page(SYMBOLS)
        self.gate = Gate(risk, [rules_of(s) for s in SYMBOLS])
        self.gate.control(self.control)
        self.gate.books(self.page, SYMBOLS)
        self.truth()
        self.gate.ticks(np.concatenate([ticker(0), ticker(1)]))
        self.writer = RingWriter(root / "orders", 4096, 256, "orders")
        self.reader = RingReader(root / "orders", 0)
        self.blocks: list[int] = []
        encoder = Encoder(self.key, self.secret.encode(), 5000, 1_795_000_000)
        self.d = Desk(self.gate, encoder, self.writer, self.blocks.append, block)
        near, self.far = socket.socketpair()
        self.conn = Conn(near.detach(), "venue")
        assert self.conn.handshake() is Want.NOTHING
        self.far.setblocking(False)
        self._came = b""

    def truth(self, pnl: Num = ZERO, **more: Any) -> None:
        """The account anew, flat and reconciled."""
        for symbol in SYMBOLS:
            self.gate.exposure(symbol, ZERO, Exposure())
        self.gate.account(open_orders=0, pnl=pnl, reconciled_until_ns=FAR, **more)

    def records(self) -> list[OrderRecord]:
        """What came onto the orders ring since the last call."""
        return [orders.unpack(slot) for slot in self.reader.read()]

    def frames(self) -> list[str]:
        """Texts of the frames that came out whole at the venue's end since the last call."""
        with contextlib.suppress(BlockingIOError):
            while part := self.far.recv(1 << 20):
                self._came += part
        found = []
        while len(self._came) >= 4:
            assert self._came[0] == 0x81 and self._came[1] == 0xFE
            end, mask = 8 + int.from_bytes(self._came[2:4], "big"), self._came[4:8]
            if len(self._came) < end:
                break
            found.append(bytes(b ^ mask[i % 4] for i, b in enumerate(self._came[8:end])).decode())
            self._came = self._came[end:]
        return found

    def close(self) -> None:
        """Give everything back."""
        self.d.close()
        self.far.close()
        self.conn.close()
        self.writer.close()
