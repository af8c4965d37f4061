"""The market as the brain sees it: an index means what the page of now says."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("aegis.native._aegis")

from aegis.live import brain_market
from aegis.live.brain_market import MarketView

MADE = [["BTCUSDT", "ETHUSDT"], ["ETHUSDT", "BTCUSDT"]]


class Pages:
    """Stands for BooksReader: what each page made anew names."""

    def __init__(self, _path: str) -> None:
        self._names = MADE.pop(0)

    def symbols(self) -> list[str]:
        return self._names


def test_a_page_made_anew_with_as_many_symbols_names_them_anew(tmp_path: Path, monkeypatch: Any) -> None:
    """Two symbols before and after, in the other order: the one is never priced or traded as the other."""
    monkeypatch.setattr(brain_market, "BooksReader", Pages)
    path = tmp_path / "books"
    path.write_bytes(b"1")
    view = MarketView(path, {}, SimpleNamespace())  # type: ignore[arg-type]
    view.refresh()
    assert view.name(0) == "BTCUSDT"
    (tmp_path / "fresh").write_bytes(b"2")
    (tmp_path / "fresh").replace(path)
    view.refresh()
    assert view.name(0) == "ETHUSDT" and view.index == {"ETHUSDT": 0, "BTCUSDT": 1}
