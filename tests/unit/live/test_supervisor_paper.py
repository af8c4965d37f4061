"""Law: keys are drawn anew and readable by their owner alone; a capture tells its own streams."""

from __future__ import annotations

import gzip
import json
import stat
from pathlib import Path

import pytest

from aegis.config import load
from aegis.errors import ConfigError
from aegis.live import keys
from aegis.live.supervisor import prepare
from aegis.live.supervisor_paper import peek_capture, write_keys

FRAMES = (
    b'1 {"stream":"btcusdt@depth@0ms","data":{}}\n'
    b'2 {"stream":"ethusdt@trade","data":{}}\n'
    b'3 {"lastUpdateId":1,"bids":[],"asks":[]}\n'
    b'4 {"data":{}, "stream" : "btcusdt@trade"}\n'
)


def test_keys_are_private_and_new(tmp_path: Path) -> None:
    """Mode 0600, no value twice, and the loader takes them."""
    drawn = []
    for name in ("a", "b"):
        write_keys(tmp_path / name)
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        drawn.append(json.loads((tmp_path / name).read_bytes()))
    assert [k for k in drawn[0] if drawn[0][k] == drawn[1][k]] == []
    creds = keys.load(load(None, {}, {"venue.keys_file": str(tmp_path / "a")}).config)
    assert creds.api_key == drawn[0]["api_key"]
    assert creds.ed25519_pem is not None


@pytest.mark.parametrize("packed", [True, False])
def test_a_capture_tells_its_symbols_and_streams(tmp_path: Path, packed: bool) -> None:
    """From every frame, packed or plain, whatever the order of keys; the snapshot line is none."""
    path = tmp_path / "capture"
    path.write_bytes(gzip.compress(FRAMES) if packed else FRAMES)
    assert peek_capture(path) == (("BTCUSDT", "ETHUSDT"), ("depth@0ms", "trade"))


@pytest.mark.parametrize("body", [b"", b"no frame\n", gzip.compress(FRAMES)[:30]])
def test_what_is_no_capture_is_refused(tmp_path: Path, body: bytes) -> None:
    """Empty, foreign, or cut off."""
    path = tmp_path / "capture"
    path.write_bytes(body)
    with pytest.raises(ConfigError, match=r"paper\.replay"):
        peek_capture(path)
    with pytest.raises(ConfigError, match=r"paper\.replay"):
        peek_capture(tmp_path / "absent")


def test_a_run_has_its_own_account_and_the_captures_streams(tmp_path: Path) -> None:
    """Two paper runs never share a store; a replay listens to what the capture holds."""
    (tmp_path / "capture").write_bytes(FRAMES)
    given = {"aegis.state_dir": str(tmp_path), "paper.replay": str(tmp_path / "capture")}
    config = load(None, {}, given).config
    made, other = prepare(config), prepare(config)
    assert made.aegis.account != other.aegis.account
    assert made.symbols.list == ("BTCUSDT", "ETHUSDT")
    assert made.feed.streams == ("depth@0ms", "trade")


def test_a_mode_that_cannot_run_is_refused() -> None:
    """paper-live says so instead of pretending."""
    with pytest.raises(ConfigError, match="paper-live"):
        prepare(load(None, {}, {"aegis.mode": "paper-live"}).config)
