"""Law: a percentile is never told too small and at most 1/32 too large; a page of another build is refused."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from aegis.native._aegis import lib
from hypothesis import given
from hypothesis import strategies as st

from aegis.cli.status import latency_lines
from aegis.errors import RingRefused
from aegis.native.latency import HOP, HOPS, LatencyPage, report


@pytest.fixture
def page(tmp_path: Path) -> LatencyPage:
    return LatencyPage(tmp_path / "latency", create=True)


def test_the_hops_have_their_order() -> None:
    """The names of the hops are those of the C enum, in the order of the way."""
    assert HOPS == (
        "receive",
        "parsed",
        "published",
        "taken",
        "decided",
        "gated",
        "written",
        "acknowledged",
        "tick_to_wire",
    )


def test_edges_rise_and_are_narrow() -> None:
    """Every value has one cell, at most 1/32 of the value wide."""
    edges = [lib.ae_hist_edge(i) for i in range(lib.AE_HIST_CELLS)]
    assert edges == sorted(set(edges))
    assert all((high - low) * 32 <= high for low, high in pairwise(edges) if low >= 32)
    assert lib.ae_hist_edge(lib.AE_HIST_CELLS) == lib.AE_BAD


@given(st.lists(st.integers(0, 1 << 38), min_size=1, max_size=200))
def test_percentiles_against_sorted_values(tmp_path_factory: pytest.TempPathFactory, values: list[int]) -> None:
    """The oracle is sorting."""
    block = LatencyPage(tmp_path_factory.mktemp("latency") / "latency", create=True).block("brain")
    for value in values:
        block.add(HOP["decided"], value)
    found = block.read()["decided"]
    ordered = sorted(values)
    assert (found.count, found.max, found.backwards) == (len(values), ordered[-1], 0)
    for share, told in ((0.5, found.p50), (0.9, found.p90), (0.99, found.p99), (0.999, found.p999)):
        true = ordered[max(1, int(np.ceil(share * len(values)))) - 1]
        assert true <= told <= true + true // 32


def test_below_zero_and_above_the_last_cell(page: LatencyPage) -> None:
    """A clock set back is counted apart; what is longer than the last cell keeps its exact maximum."""
    block = page.block("feed")
    block.add(HOP["receive"], -5)
    block.add(HOP["receive"], 1 << 62)
    found = block.read()["receive"]
    assert (found.count, found.backwards, found.p50, found.max) == (2, 1, 0, 1 << 62)


def test_nothing_measured_is_absent(page: LatencyPage) -> None:
    """No zeros where nothing was counted; no block: nothing happens; an unknown hop is ignored."""
    page.block("feed").add(lib.AE_HOPS, 1)
    assert page.read() == {}
    page.block("feed").add(HOP["parsed"], 1)
    assert {name: list(hops) for name, hops in page.read().items()} == {"feed": ["parsed"]}


def test_a_new_process_starts_empty(page: LatencyPage) -> None:
    """begin() empties one block and leaves the others."""
    for name in ("feed", "brain"):
        page.block(name).add(HOP["taken"], 7)
    page.block("brain").begin()
    assert list(page.read()) == ["feed"]
    assert page.block("brain").pid
    assert page.block("brain").since_ns


def test_difference_of_two_copies(page: LatencyPage) -> None:
    """A window is one copy minus an earlier one."""
    block = page.block("brain")
    block.add(HOP["gated"], 1000)
    before = block.histogram("gated")
    block.add(HOP["gated"], 10)
    window = block.histogram("gated").minus(before)
    assert (window.count, window.at(1.0), window.percentiles().max) == (1, 10, 10)


def test_another_reader_sees_the_same(tmp_path: Path) -> None:
    """The file is the only thing shared."""
    LatencyPage(tmp_path / "latency", create=True).block("brain").add(HOP["written"], 12)
    assert LatencyPage(tmp_path / "latency").read()["brain"]["written"].p50 == 12


@pytest.mark.parametrize("at", [0, 8, 12, 16, 20, 24, 28])
def test_another_build_is_refused(tmp_path: Path, at: int) -> None:
    """Each header field counts."""
    path = tmp_path / "latency"
    LatencyPage(path, create=True)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(RingRefused):
        LatencyPage(path)


def test_missing_or_short_file_is_refused(tmp_path: Path) -> None:
    """A reader makes nothing."""
    with pytest.raises(RingRefused):
        LatencyPage(tmp_path / "latency")
    (tmp_path / "latency").write_bytes(b"x" * 4096)
    with pytest.raises(RingRefused):
        LatencyPage(tmp_path / "latency")


def test_report_of_nothing_and_of_something(tmp_path: Path) -> None:
    """Plain numbers for JSON; no file, no claim."""
    assert report(tmp_path) == {}
    LatencyPage(tmp_path / "latency", create=True).block("feed").add(HOP["receive"], 40)
    found = report(tmp_path)
    assert found["feed"]["receive"] == {"count": 1, "backwards": 0} | dict.fromkeys(
        ("p50", "p90", "p99", "p999", "max"), 40
    )
    assert [line.split()[:3] for line in latency_lines(found)[1:]] == [["feed", "receive", "1"]]
    assert latency_lines({}) == ["latency       nothing measured"]
