"""Law: a setting is exactly what was asked for, or one clear line says why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from aegis.config import SECTIONS, check_live, load
from aegis.errors import ConfigError


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "aegis.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_stand_without_a_file() -> None:
    """Nothing given: paper mode, each value's origin is `default`, keys where the supervisor writes them."""
    loaded = load()
    assert loaded.config.aegis.mode == "paper"
    assert loaded.origins["feed.stale_s"] == "default"
    assert loaded.config.venue.keys_file == "/dev/shm/aegis/default/keys.json"
    assert set(loaded.origins) == {f"{s}.{f}" for s, kind in SECTIONS.items() for f in kind.__struct_fields__}


def test_precedence_is_default_file_environment_command_line(tmp_path: Path) -> None:
    """Each later source wins, and the origin names the winner."""
    path = write(tmp_path, "[paper]\nseed = 2\nsymbols = 3\nport = 7\n")
    loaded = load(path, {"AEGIS_PAPER_SEED": "4", "AEGIS_PAPER_SYMBOLS": "5"}, {"paper.seed": "6"})
    assert (loaded.config.paper.seed, loaded.config.paper.symbols, loaded.config.paper.port) == (6, 5, 7)
    origins = [loaded.origins[f"paper.{f}"] for f in ("seed", "symbols", "port", "speed")]
    assert origins == ["command line", "AEGIS_PAPER_SYMBOLS", str(path), "default"]


def test_text_sources_reach_every_type() -> None:
    """Lists, tables, numbers and booleans can be given as environment text."""
    environ = {
        "AEGIS_SYMBOLS_LIST": "BTCUSDT, ETHUSDT",
        "AEGIS_BRAIN_PARAMS": '{"depth": 5}',
        "AEGIS_FEED_GAP_FILL": "false",
        "AEGIS_FEED_STALE_S": "1.5",
        "AEGIS_HOME": "/elsewhere",
        "PATH": "/bin",
    }
    config = load(None, environ).config
    assert config.symbols.list == ("BTCUSDT", "ETHUSDT")
    assert config.brain.params == {"depth": 5}
    assert (config.feed.gap_fill, config.feed.stale_s) == (False, 1.5)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[feed]\nstales_s = 3\n", ["unknown key feed.stales_s", "stale_s"]),
        ("[fed]\nstale_s = 3\n", ["unknown section [fed]"]),
        ("feed = 3\n", ["feed must be a table"]),
        ('[feed]\nstale_s = "soon"\n', ["feed.stale_s = 'soon'", "float"]),
        ("[paper]\nseed = 1.5\n", ["paper.seed = 1.5", "int"]),
        ("[risk]\nloss_limit = 500\n", ["risk.loss_limit = 500", "str"]),
        ('[risk]\nloss_limit = "1e3"\n', ["risk.loss_limit = '1e3'", "decimal"]),
        ('[risk]\nloss_limit = "90000000001"\n', ["risk.loss_limit", "at most 90000000000"]),
        ('[aegis]\nmode = "lve"\n', ["aegis.mode = 'lve'", "paper, paper-live, testnet, live"]),
        ('[aegis]\ninstance = "../x"\n', ["aegis.instance = '../x'"]),
        ('[aegis]\nmode = "live"\n', ["credentials", "venue.keys_file"]),
        ("[supervisor]\nbackoff_min_s = 9\n", ["backoff_max_s"]),
        ("[feed\n", ["not TOML"]),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path: Path, text: str, words: list[str]) -> None:
    """The line names key, value and expectation."""
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, text))
    line = str(caught.value)
    assert "\n" not in line
    assert [w for w in words if w not in line] == []


def test_unknown_names_are_refused_from_environment_and_command_line() -> None:
    """A misspelt variable or override is no silent default."""
    with pytest.raises(ConfigError, match="AEGIS_FEED_STALES: unknown key"):
        load(None, {"AEGIS_FEED_STALES": "1"})
    with pytest.raises(ConfigError, match=r"unknown key 'nonsense\.x'"):
        load(None, {}, {"nonsense.x": 1})
    with pytest.raises(ConfigError, match=r"unknown key paper\.sed"):
        load(None, {}, {"paper.sed": 1})


def test_missing_file_is_one_line(tmp_path: Path) -> None:
    """A path that cannot be read is the operator's to mend."""
    with pytest.raises(ConfigError, match="cannot read"):
        load(tmp_path / "absent.toml")


def test_live_needs_its_flag(tmp_path: Path) -> None:
    """Neither live without --live, nor --live without mode live."""
    live = load(write(tmp_path, '[aegis]\nmode = "live"\n[venue]\nkeys_file = "k.json"\n')).config
    assert live.venue.rest_url == "https://fapi.binance.com"
    check_live(live, live_flag=True)
    with pytest.raises(ConfigError, match="--live"):
        check_live(live, live_flag=False)
    with pytest.raises(ConfigError, match="--live given"):
        check_live(load().config, live_flag=True)
