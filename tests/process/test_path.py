"""Tick to order through the real feed and brain: every marked tick exactly one order, nothing lost, nothing torn.

Only losses are judged here; times are `make bench`'s business. The same peer and bare loop as there (tests/bench/c).
How many marks a run has depends on the machine's load, so a test runs until it has seen enough of them.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("aegis.native._aegis")
BENCH = Path(__file__).resolve().parents[1] / "bench"
sys.path.insert(0, str(BENCH))

import path  # noqa: E402  # lies in the directory of the benches

from aegis.native import abi  # noqa: E402
from aegis.native.control import ControlPage  # noqa: E402
from aegis.native.ring import RingReader  # noqa: E402
from aegis.venue.request import ws_payload  # noqa: E402
from aegis.venue.sign import hmac_signer  # noqa: E402

pytestmark = pytest.mark.skipif(not shutil.which("gcc"), reason="the peer is C: gcc is missing")
BID, ASK, MARK = 769473, 769683, 769603
LIMIT_S, RUN_MS, MARKS = 60.0, 500, 100


def lossless(peer: path.Peer, client: int, rate: int, seen: Callable[[], object] = bool) -> int:
    """Runs without a loss until there were MARKS marks, each followed by `seen`. Returns how many there were."""
    marks, end = 0, time.monotonic() + LIMIT_S
    while marks < MARKS:
        assert time.monotonic() < end, f"only {marks} marks in time"
        with contextlib.suppress(path.Unmarked):
            marks += peer.run(client, rate, RUN_MS).facts["marks"]
        seen()
    return marks


@pytest.fixture(scope="module")
def peer() -> Iterator[path.Peer]:
    """One venue for all."""
    made = path.Peer(-1)
    yield made
    made.close()


@pytest.fixture(scope="module")
def product(peer: path.Peer) -> Iterator[path.Product]:
    """Feed and brain with the strategy that answers every mark."""
    made = path.Product(peer, path.Cores(-1, -1, -1), "block", "path_strategy:Marked")
    yield made
    made.close()


@pytest.mark.parametrize("rate", [100, 5_000])
def test_every_marked_tick_has_exactly_one_order(
    peer: path.Peer, product: path.Product, rate: int, eventually: Callable[..., Any]
) -> None:
    """Each mark one order of its own size; all frames are in the ring, whole and in order."""
    reader = RingReader(str(product.shm / "market"))
    rows: list[np.ndarray] = []
    marks = lossless(peer, product.client, rate, lambda: rows.append(np.array(reader.read(65536))))

    def drained() -> bool:
        rows.append(np.array(reader.read(65536)))
        return sum(int(np.sum(r["c"] == MARK)) for r in rows) >= marks

    eventually(drained)
    seen = np.concatenate(rows)
    trades = seen[seen["kind"] == abi.KIND_TRADE]["c"]
    quotes = seen[seen["kind"] == abi.KIND_BOOK_TICKER]
    assert reader.lost == 0 and (np.diff(trades) == 1).all()
    assert (quotes["a"] == BID).all() and set(np.unique(quotes["c"])) == {MARK, ASK}
    assert int(np.sum(quotes["c"] == MARK)) == marks
    assert (np.diff(seen["seq"].astype(np.int64)) == 1).all()


def test_every_frame_is_a_record_and_none_was_refused(
    peer: path.Peer, product: path.Product, eventually: Callable[..., Any]
) -> None:
    """What the venue wrote to the stream is what the feed counted."""
    page = ControlPage(str(product.shm / "control"))
    eventually(lambda: page.block("feed").counters().get("frames") == peer.frames(product.client))
    counted = page.block("feed").counters()
    assert not counted.get("frames_bad") and not counted.get("duplicates") and not counted.get("reconnects")


def test_an_order_is_signed_as_the_venue_wants(peer: path.Peer, product: path.Product) -> None:
    """The signature of the last order is right for its text."""
    order = json.loads(peer.sample(product.client))
    signature = order["params"].pop("signature")
    assert signature == hmac_signer(path.SECRET.encode())(ws_payload(order["params"]))


def test_the_same_over_tls() -> None:
    """Streams, orders and REST over TLS with a certificate made now: nothing is lost, in Python or armed ahead."""
    with path.arena("block", "path_strategy:Armed", secure=True, free=True) as (peer, product):
        assert peer.secure
        for client in (product.client, path.LIMIT):
            try:
                lossless(peer, client, 5_000)
            except path.Lost as e:
                raise path.Lost(f"{e}\n{product.said()}") from None


def test_the_bare_loop_misses_nothing_either(peer: path.Peer) -> None:
    """The limit does the work it is the limit of."""
    bare = path.Bare(peer, -1, "block")
    try:
        lossless(peer, bare.client, 5_000)
    finally:
        bare.close()


@pytest.mark.parametrize(("strategy", "fault"), [("Skips", "missed"), ("Doubles", "doubled")])
def test_a_planted_loss_is_seen(peer: path.Peer, strategy: str, fault: str, eventually: Callable[..., Any]) -> None:
    """A mark without its order, or with two, fails a run, which says how many."""
    faulty = path.Product(peer, path.Cores(-1, -1, -1), "block", f"path_strategy:{strategy}", client=2, warm=False)

    def told() -> object:
        try:
            peer.run(faulty.client, 500, RUN_MS, 10, grace_s=path.TRY_S)
        except path.Lost as e:
            return re.search(rf"'{fault}': [1-9]", str(e))
        except path.Unmarked:
            pass
        return None

    try:
        eventually(told, LIMIT_S)
    finally:
        faulty.close()
