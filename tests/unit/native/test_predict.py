"""predict.c and its digit kernels against the general path and the oracle, on every captured frame in its order.

Each reader remembers what it saw, as a connection does; so a shape learned from one frame has to be right for all
later ones.
"""

from __future__ import annotations

from typing import Any

import native_rig as rig
import numpy as np
import pytest

from aegis.market.decode import Refused, decode
from aegis.native import abi

ffi, lib = abi.ffi, abi.lib
READERS = {"scalar": lib.AE_DIGITS_SCALAR, "avx2": lib.AE_DIGITS_AVX2, "avx512": lib.AE_DIGITS_AVX512}
ROOM = 2048
SUSHI = [("SUSHIUSDT", 4, 0), ("AKROUSDT", 5, 0), ("KEEPUSDT", 4, 0), ("CTKUSDT", 5, 0)]
WIRE = [(n, 1, 1) for n in "BTCUSDT ETHUSDT LPTUSDT DOGEUSDT 1000PEPEUSDT MANTAUSDT XRPUSDT".split()]


class Reader:
    """One reader of frames with a memory of its own; kind None: the general path alone."""

    def __init__(self, symbols: rig.Listed, kind: int | None) -> None:
        self._tab = ffi.new("ae_symtab_t *")
        for name, px_exp, qty_exp in symbols:
            word = name.encode()
            assert lib.ae_symtab_add(self._tab, word, len(word), px_exp, qty_exp) >= 0
        self._memory = bytearray(lib.ae_predict_bytes())
        self.predict = ffi.NULL
        if kind is not None:
            self.predict = ffi.cast("ae_predict_t *", ffi.from_buffer(self._memory))
            lib.ae_predict_init(self.predict, kind)
        self.out = np.zeros(ROOM, abi.TICK)
        self._to = ffi.cast("ae_tick_t *", ffi.from_buffer(self.out))
        self.parsed = ffi.new("ae_parsed_t *")

    def read(self, frame: bytes) -> tuple[int, bytes, bytes]:
        """Result, verdict and records of a frame."""
        n = int(lib.ae_tick_parse(frame, len(frame), self._tab, self.predict, self._to, ROOM, self.parsed))
        return n, bytes(ffi.buffer(self.parsed)), self.out[: max(n, 0)].tobytes()

    def hits(self) -> int:
        return int(lib.ae_predict_hits(self.predict))


def captured(source: str) -> tuple[list[bytes], rig.Listed]:
    if source == "wire":
        return rig.wire_frames() * 3, WIRE
    if source == "multi":
        return rig.multi_frames(), SUSHI
    px_exp = 1 if source == "2024-08-08" else 2  # below and at the places on the wire
    return rig.gz_frames(rig.need(f"btcusdt_{source}", "capture.gz")), [("BTCUSDT", px_exp, 3)]


def oracle(frame: bytes, symbols: rig.Listed) -> list[Any] | None:
    try:
        return decode(frame, symbols)
    except Refused:
        return None


@pytest.mark.parametrize("source", ["wire", "multi", "2024-08-08", "2022-08-11"])
def test_all_readers_say_the_same(source: str) -> None:
    """General == scalar == AVX2 == AVX-512 on every frame, and the general path == the oracle."""
    frames, symbols = captured(source)
    general, readers = Reader(symbols, None), {name: Reader(symbols, kind) for name, kind in READERS.items()}
    for frame in frames:
        wanted = general.read(frame)
        for name, reader in readers.items():
            assert reader.read(frame) == wanted, (name, frame)
        records = [rig.record(row) for row in general.out[: max(wanted[0], 0)]]
        assert records == (oracle(frame, symbols) or []), frame
    hits = {reader.hits() for reader in readers.values()}
    assert len(hits) == 1, "the twins take different frames"
    if source == "2024-08-08":
        assert hits.pop() > 0.99 * len(frames)  # prediction is the rule there, not the exception


@pytest.mark.parametrize("kind", READERS.values(), ids=READERS)
def test_a_frame_that_breaks_a_shape_is_read_or_refused_as_if_nobody_had_guessed(kind: int) -> None:
    """Leading zeros, signs, other exponents, times that overflow, other symbols: after the shape was learned."""
    good = b'{"e":"bookTicker","u":1000001,"s":"BTCUSDT","b":"100.50","B":"1.5","a":"101.20","A":"2.5","T":%s,"E":17}'
    base = good % b"1700000000000"
    changes = [
        (b"1000001", b"0000001"), (b'"100.50"', b'"-10.50"'), (b'"100.50"', b'"100.51"'), (b'"1.5"', b'"01."'),
        (b'"1.5"', b'"1e5"'), (b"BTCUSDT", b"BTCUSDC"), (b"17000000", b"97000000"), (b'"u"', b'"v"'),
        (b":17}", b":07}"), (b":17}", b":-7}"), (b'"101.20"', b'"00000."'), (b"bookTicker", b"bookticker"),
    ]  # fmt: skip
    symbols = [("BTCUSDT", 1, 1)]
    reader, general = Reader(symbols, kind), Reader(symbols, None)
    for _ in range(3):
        assert reader.read(base) == general.read(base)
    assert reader.hits() == 1
    for old, new in changes:
        frame = base.replace(old, new, 1)
        assert frame != base
        assert reader.read(frame) == general.read(frame), frame
        assert reader.read(base)[0] == 1
