"""Limits fall freely and rise only by a recorded act and a start after it."""

from __future__ import annotations

import io
from pathlib import Path

import msgspec
import pytest

from aegis.config import Aegis, Config, Risk
from aegis.errors import ConfigError
from aegis.live import caps
from aegis.live.log import Log
from aegis.native.control import ControlPage
from aegis.native.gate import Gate


def config(root: Path, **risk: object) -> Config:
    """Settings of an account under `root`."""
    return Config(aegis=Aegis(state_dir=str(root)), risk=msgspec.structs.replace(Risk(), **risk))


def start(root: Path, **risk: object) -> tuple[Risk, str]:
    """What a start trades with, and what it logs."""
    out = io.StringIO()
    return caps.enforce(config(root, **risk), 1, Log("brain", out)).risk, out.getvalue()


def test_the_first_start_takes_the_settings(tmp_path: Path) -> None:
    """Nothing is remembered, nothing is refused."""
    assert start(tmp_path, orders_per_s=7) == (msgspec.structs.replace(Risk(), orders_per_s=7), "")


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("order_notional_max", "99.5", "100"), ("position_notional_max", "999", "1000"),
        ("total_notional_max", "9", "10.0"), ("loss_limit", "1", "1.00000001"), ("collar_bps", 9, 10),
        ("orders_per_s", 9, 10), ("open_orders_max", 1, 2),
    ],
)  # fmt: skip
def test_each_limit_rises_by_an_act_only(tmp_path: Path, name: str, low: object, high: object) -> None:
    """Down at once; up is refused by name at every start until an act, which is spent by one start."""
    start(tmp_path, **{name: high})
    assert getattr(start(tmp_path, **{name: low})[0], name) == low
    for _ in range(2):
        risk, said = start(tmp_path, **{name: high})
        assert getattr(risk, name) == low
        assert f"risk.{name}" in said
        assert "aegis caps raise" in said
    act = caps.act(config(tmp_path, **{name: high}), " more room ", 5)
    assert act is not None
    assert (act.reason, act.old, act.new, act.at_ns) == ("more room", {name: str(low)}, {name: str(high)}, 5)
    assert "(" in act.who
    assert start(tmp_path, **{name: high}) == (msgspec.structs.replace(Risk(), **{name: high}), "")
    start(tmp_path, **{name: low})
    assert getattr(start(tmp_path, **{name: high})[0], name) == low


def test_an_act_allows_what_was_asked_then_and_no_more(tmp_path: Path) -> None:
    """The settings may change again before the start."""
    start(tmp_path, collar_bps=10)
    caps.act(config(tmp_path, collar_bps=20), "wider", 1)
    assert start(tmp_path, collar_bps=30)[0].collar_bps == 20


def test_an_act_without_a_reason_or_without_a_rise(tmp_path: Path) -> None:
    """The first is refused, the second is none."""
    start(tmp_path, collar_bps=10)
    with pytest.raises(ConfigError, match="--reason"):
        caps.act(config(tmp_path, collar_bps=20), "  ", 1)
    assert caps.act(config(tmp_path, collar_bps=10), "why not", 1) is None
    assert caps.standing(config(tmp_path)).acts == []


def test_looking_writes_nothing(tmp_path: Path) -> None:
    """A look before the first start is no start."""
    now = caps.standing(config(tmp_path))
    assert (now.remembered, now.allowed, list(now.above), now.effective) == (None, None, [], Risk())
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize("text", ["", "{}", '{"at_ns":1,"acts":0,"caps":{"collar_bps":"-1"}}', "[1]"])
@pytest.mark.parametrize("name", ["caps.json", "caps-acts.jsonl"])
def test_a_file_that_cannot_be_read_refuses_the_start(tmp_path: Path, name: str, text: str) -> None:
    """It is never taken for a first start; an acts file may be empty."""
    path = config(tmp_path).state_path() / name
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    if name == "caps-acts.jsonl" and not text:
        assert start(tmp_path)[1] == ""
        return
    with pytest.raises(ConfigError, match=name):
        start(tmp_path)


def test_a_lost_memory_falls_back_on_the_acts(tmp_path: Path) -> None:
    """Removing caps.json is no way around the last act."""
    start(tmp_path, collar_bps=10)
    caps.act(config(tmp_path, collar_bps=20), "wider", 1)
    (config(tmp_path).state_path() / "caps.json").unlink()
    assert start(tmp_path, collar_bps=99)[0].collar_bps == 20


def test_the_memory_must_be_written(tmp_path: Path) -> None:
    """A start that cannot remember its limits is none."""
    (tmp_path / "main").write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(ConfigError):
        start(tmp_path)


def test_the_caps_in_force_are_shown_under_the_names_of_the_settings(tmp_path: Path) -> None:
    """What the sealed gate holds comes back from the control page as the settings were written."""
    block = ControlPage(tmp_path / "control", create=True).block("brain")
    assert caps.sealed(block) == {}
    caps.publish(block, Gate(msgspec.structs.replace(Risk(), loss_limit="0.5"), []))
    assert caps.sealed(block) == caps.written(Risk()) | {"loss_limit": "0.5"}
