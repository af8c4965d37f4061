"""Law: a record is returned whole or counted as lost; numbers rise over restarts of the writer."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from aegis.native._aegis import lib

from aegis.errors import Inexact, RingRefused
from aegis.native import abi
from aegis.native.ring import RingReader, RingWriter

SLOTS = 64


def numbered(first: int, count: int, size: int = 64) -> np.ndarray:
    """Records whose second word is their number."""
    rows = np.zeros((count, size // 8), np.uint64)
    rows[:, 1] = range(first, first + count)
    return rows


def second_words(batch: np.ndarray) -> list[int]:
    """What `numbered` put there."""
    words = np.frombuffer(batch.tobytes(), np.uint64).reshape(len(batch), batch.itemsize // 8)
    assert (words[:, 0] == words[:, 1]).all()
    return [int(n) for n in words[:, 1]]


@pytest.mark.parametrize("size", [16, 24, 64, 256])
def test_every_record_once_in_order(tmp_path: Path, size: int) -> None:
    """Any slot size: what is published is read, in any portions."""
    writer = RingWriter(tmp_path / "ring", SLOTS, size, "ring")
    reader = RingReader(tmp_path / "ring")
    got: list[int] = []
    for first in range(1, 200, 3):
        assert writer.publish(numbered(first, 3, size)) == writer.newest == first + 2
        got += second_words(reader.read(1 + first % 5))
    got += second_words(reader.read())
    assert (got, reader.lost) == (list(range(1, 202)), 0)
    writer.close()


def test_a_lap_is_counted(tmp_path: Path) -> None:
    """An overtaken reader goes on in the half of the ring that is newest, and knows what it missed."""
    writer = RingWriter(tmp_path / "ring", SLOTS, 64, "ring")
    reader = RingReader(tmp_path / "ring")
    writer.publish(numbered(1, 10 * SLOTS))
    got = second_words(reader.read())
    assert got == list(range(10 * SLOTS - SLOTS // 2 + 1, 10 * SLOTS + 1))
    assert (reader.laps, reader.lost) == (1, 10 * SLOTS - SLOTS // 2)
    writer.close()


def test_the_oldest_can_be_read(tmp_path: Path) -> None:
    """From the oldest on nothing is lost, as long as nothing is written."""
    writer = RingWriter(tmp_path / "ring", SLOTS, 64, "ring")
    for count in (1, SLOTS - 4, 5, 3 * SLOTS):
        writer.publish(numbered(writer.newest + 1, count))
        reader = RingReader(tmp_path / "ring", 0)
        first = reader.oldest
        assert second_words(reader.read()) == list(range(first, writer.newest + 1))
        assert reader.lost == 0
    writer.close()


def test_a_writer_that_died_within_a_record(tmp_path: Path) -> None:
    """Its successor goes on after the last whole record; nobody sees the torn slot as the old record it was."""
    path = tmp_path / "ring"
    writer = RingWriter(path, SLOTS, 64, "ring")
    writer.publish(numbered(1, SLOTS + 5))
    torn = writer.newest + 1
    lib.ae_ring_publish(writer.ring, numbered(torn, 1).tobytes(), 1)  # claimed, written ...
    slot = abi.TICK.itemsize * ((torn - 1) % SLOTS) + lib.AE_RING_HEADER_BYTES
    writer.close()
    with path.open("r+b") as file:  # ... but its number is still the old one's
        file.seek(slot)
        file.write((torn - SLOTS).to_bytes(8, "little"))
    again = RingWriter(path, SLOTS, 64, "ring")
    assert (again.newest, again.epoch) == (torn - 1, 2)
    reader = RingReader(path, torn - SLOTS - 1)
    assert torn - SLOTS not in second_words(reader.read())
    assert again.publish(numbered(torn, 1)) == torn
    assert second_words(reader.read()) == [torn]
    again.close()


def test_refusals(tmp_path: Path) -> None:
    """A living writer, another size or name, half a record, a closed writer."""
    path = tmp_path / "ring"
    writer = RingWriter(path, SLOTS, 64, "ring")
    with pytest.raises(RingRefused, match="its writer lives"):
        RingWriter(path, SLOTS, 64, "ring")
    with pytest.raises(Inexact):
        writer.publish(b"x" * 65)
    writer.close()
    with pytest.raises(RingRefused, match="closed"):
        writer.publish(b"x" * 64)
    for slots, size, name in ((2 * SLOTS, 64, "ring"), (SLOTS, 128, "ring"), (SLOTS, 64, "other")):
        with pytest.raises(RingRefused, match="differs"):
            RingWriter(path, slots, size, name)
    os.truncate(path, 5000)
    with pytest.raises(RingRefused, match="size"):
        RingReader(path)
