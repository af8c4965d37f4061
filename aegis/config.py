"""Every setting of the product: its name, type, default and, once loaded, where its value came from.

Problem: a setting that is misspelt, of the wrong type or from a forgotten environment variable must not silently
become a default. So a key nobody knows is refused wherever it stands (file, environment, command line), each value
is checked against its field's type and bounds, and the origin of every value is kept for `aegis config check`.
What must stay true: precedence is default < file < environment < command line; a refusal is one line that names the
key, the value and what is expected; loading reads the one file and nothing else (no clock, no network).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from aegis.errors import BadNumber, ConfigError
from aegis.limits import RISK_MONEY_MAX
from aegis.units import Num

Mode = Literal["paper", "paper-live", "testnet", "live"]
Wait = Literal["block", "adaptive", "spin"]


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all sections: frozen, and closed to unknown keys."""


class Aegis(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which AEGIS this is. `instance` names its shared memory, `account` its store."""

    instance: str = "default"
    mode: Mode = "paper"
    account: str = "main"
    state_dir: str = "~/.local/state/aegis"
    shm_dir: str = "/dev/shm/aegis"


class Venue(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    Addresses, credentials, and `ca_file`: PEM of the authorities to trust for https and wss, empty = the system's.
    Empty addresses take the mode's own; in paper mode the supervisor gives them.
    """

    rest_url: str = ""
    stream_url: str = ""
    ws_api_url: str = ""
    ca_file: str = ""
    keys_file: str = ""
    recv_window_ms: int = 5000
    weight_per_minute: int = 2400


class Symbols(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is traded and listened to: `list`, or when empty the first `max` TRADING perpetuals of `quote_asset`."""

    list: tuple[str, ...] = ()
    quote_asset: str = "USDT"
    max: int = 300


class Feed(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    Streams per symbol, deadlines of silence, reconnects, and how the pump waits. `book_symbols_max` 0 keeps no books;
    `cpu` -1 pins nothing; `busy_poll_us` 0 leaves the kernel's own way of receiving.
    """

    streams: tuple[str, ...] = ("bookTicker", "depth@100ms", "trade", "aggTrade", "markPrice@1s")
    book_symbols_max: int = 50
    first_frame_s: float = 10.0
    stale_s: float = 60.0
    rotate_s: float = 82800.0
    reconnect_min_s: float = 0.2
    reconnect_max_s: float = 30.0
    gap_fill: bool = True
    sockets_streams_max: int = 1024
    wait: Wait = "block"
    cpu: int = -1
    busy_poll_us: int = 0


class Brain(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    Strategy as `module:Class`, its own free table `params`, and how the loop waits for records. A batch that takes the
    strategy longer than `budget_us` is counted; more than `conflate_lag` records behind, quotes conflate (0 never).
    """

    strategy: str = "aegis.strategy.imbalance:Imbalance"
    wait: Wait = "block"
    timer_ms: int = 100
    cpu: int = -1
    budget_us: int = 1000
    conflate_lag: int = 4096
    params: dict[str, Any] = {}


class Risk(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    Pre-trade limits; money in the quote asset as decimal text, the collar in 1/10000 of the book's price. What was once
    in force for an account is raised only by `aegis caps raise`.
    """

    order_notional_max: str = "2000"
    position_notional_max: str = "10000"
    total_notional_max: str = "50000"
    collar_bps: int = 50
    orders_per_s: int = 20
    open_orders_max: int = 20
    loss_limit: str = "500"


class Recon(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Reconciliation: full and cheap interval, retry pace, and the deadline of one request."""

    interval_s: float = 900.0
    cheap_interval_s: float = 60.0
    retry_s: float = 5.0
    retry_cap_s: float = 60.0
    timeout_s: float = 10.0


class Deadman(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Countdown after which the venue cancels our orders when the brain makes no progress."""

    countdown_s: float = 30.0


class Supervisor(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Silence that kills a child, pause before its restart, and time the whole stop may take."""

    watchdog_ms: int = 2000
    backoff_min_s: float = 0.1
    backoff_max_s: float = 5.0
    stop_s: float = 4.0


class Paper(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The venue simulator of paper mode. `port` 0 chooses one; `speed` is "1", a factor or "max"; `tls`: https, wss."""

    port: int = 0
    seed: int = 1
    symbols: int = 6
    replay: str = ""
    speed: str = "1"
    wallet: str = "10000"
    events_per_s: int = 200
    tls: bool = False


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All sections; what every process is handed."""

    aegis: Aegis = Aegis()
    venue: Venue = Venue()
    symbols: Symbols = Symbols()
    feed: Feed = Feed()
    brain: Brain = Brain()
    risk: Risk = Risk()
    recon: Recon = Recon()
    deadman: Deadman = Deadman()
    supervisor: Supervisor = Supervisor()
    paper: Paper = Paper()

    def shm_path(self) -> Path:
        """Directory of this instance's shared memory."""
        return Path(self.aegis.shm_dir) / self.aegis.instance

    def state_path(self) -> Path:
        """Directory of this account's durable state."""
        return Path(self.aegis.state_dir).expanduser() / self.aegis.account


class Loaded(msgspec.Struct, frozen=True):
    """A configuration and the origin of each value: `origins["feed.stale_s"] == "default"`, a file, a variable."""

    config: Config
    origins: dict[str, str]


SECTIONS: dict[str, type[_Section]] = get_type_hints(Config)

_ENDPOINTS = {
    "paper": ("", "", ""),
    "paper-live": ("https://fapi.binance.com", "wss://fstream.binance.com", "wss://ws-fapi.binance.com/ws-fapi/v1"),
    "testnet": (
        "https://demo-fapi.binance.com",
        "wss://demo-fstream.binance.com",
        "wss://testnet.binancefuture.com/ws-fapi/v1",
    ),
    "live": ("https://fapi.binance.com", "wss://fstream.binance.com", "wss://ws-fapi.binance.com/ws-fapi/v1"),
}


def load(
    path: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Loaded:
    """
    Read the settings.

    Args:
        path: TOML file; None reads none.
        environ: variables AEGIS_<SECTION>_<FIELD>, others are ignored; lists as "a,b", tables as JSON.
        overrides: "section.field" -> value, from the command line.

    Raises:
        ConfigError: one line: unreadable file, unknown key, wrong type, value out of bounds, missing credential.
    """
    raw: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    origins = {f"{s}.{f}": "default" for s, kind in SECTIONS.items() for f in kind.__struct_fields__}
    if path is not None:
        _merge_file(Path(path), raw, origins)
    for section, field, value, origin in [*_from_environ(environ or {}), *_from_overrides(overrides or {})]:
        raw[section][field] = value
        origins[f"{section}.{field}"] = origin
    parts = {name: kind(**raw[name]) for name, kind in SECTIONS.items()}
    config = _mode_defaults(Config(**parts), origins)  # type: ignore[arg-type]  # each part has its own type
    _check_bounds(config, origins)
    return Loaded(config, origins)


def check_live(config: Config, live_flag: bool) -> None:
    """
    Refuse live trading that was not asked for on the command line.

    Raises:
        ConfigError: mode `live` without --live, or --live in another mode.
    """
    if config.aegis.mode == "live" and not live_flag:
        raise ConfigError("config: aegis.mode is 'live': real money needs --live on the command line")
    if live_flag and config.aegis.mode != "live":
        raise ConfigError(f"config: --live given, but aegis.mode is {config.aegis.mode!r}")


def _merge_file(path: Path, raw: dict[str, dict[str, Any]], origins: dict[str, str]) -> None:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise ConfigError(f"config: cannot read {path}: {e.strerror}") from e
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise ConfigError(f"config: {path} is not TOML: {e}") from e
    for section, table in tables.items():
        if section not in SECTIONS:
            raise ConfigError(f"config: {path}: unknown section [{section}] (known: {', '.join(SECTIONS)})")
        if not isinstance(table, dict):
            raise ConfigError(f"config: {path}: {section} must be a table [{section}], got {table!r}")
        for field, value in table.items():
            raw[section][field] = _convert(section, field, value, str(path), strict=True)
            origins[f"{section}.{field}"] = str(path)


def _from_environ(environ: Mapping[str, str]) -> list[tuple[str, str, Any, str]]:
    found = []
    for name, text in environ.items():
        prefix, _, rest = name.partition("_")
        section, _, field = rest.lower().partition("_")
        if prefix != "AEGIS" or section not in SECTIONS or not field:
            continue
        found.append((section, field, _convert(section, field, _from_text(section, field, text), name), name))
    return found


def _from_overrides(overrides: Mapping[str, Any]) -> list[tuple[str, str, Any, str]]:
    found = []
    for key, value in overrides.items():
        section, _, field = key.partition(".")
        if section not in SECTIONS:
            raise ConfigError(f"config: command line: unknown key {key!r}")
        if isinstance(value, str):
            value = _from_text(section, field, value)
        found.append((section, field, _convert(section, field, value, "command line"), "command line"))
    return found


def _from_text(section: str, field: str, text: str) -> Any:
    """A value as text to what its field's type is read from."""
    default = getattr(SECTIONS[section](), field, None)
    if isinstance(default, tuple):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if isinstance(default, dict):
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError as e:
            raise ConfigError(f"config: {section}.{field}: not a JSON table: {text[:60]!r}") from e
    return text


def _convert(section: str, field: str, value: Any, origin: str, *, strict: bool = False) -> Any:
    kind = SECTIONS[section]
    hints = get_type_hints(kind)
    if field not in hints:
        known = ", ".join(kind.__struct_fields__)
        raise ConfigError(f"config: {origin}: unknown key {section}.{field} (known: {known})")
    try:
        return msgspec.convert(value, hints[field], strict=strict)
    except msgspec.ValidationError as e:
        words = get_args(hints[field]) if get_origin(hints[field]) is Literal else ()
        why = f"expected one of {', '.join(words)}" if words else str(e)[:1].lower() + str(e)[1:]
        raise ConfigError(f"config: {origin}: {section}.{field} = {value!r}: {why}") from e


def _mode_defaults(config: Config, origins: dict[str, str]) -> Config:
    """Empty addresses become the mode's; the paper keys file is where the supervisor writes it."""
    mode, venue = config.aegis.mode, config.venue
    filled = {}
    for field, url in zip(("rest_url", "stream_url", "ws_api_url"), _ENDPOINTS[mode], strict=True):
        if url and not getattr(venue, field):
            filled[field] = url
    if not venue.keys_file and mode.startswith("paper"):
        filled["keys_file"] = str(config.shm_path() / "keys.json")
    for field in filled:
        origins[f"venue.{field}"] = f"mode {mode}"
    return msgspec.structs.replace(config, venue=msgspec.structs.replace(venue, **filled))


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}", re.ASCII)


def _positive(value: Any) -> bool:
    return bool(value > 0)


def _money(value: Any) -> bool:
    try:
        return Num.parse(value).sign() > 0
    except BadNumber:
        return False


def _cap(value: Any) -> bool:
    return _money(value) and Num.parse(value) <= Num(RISK_MONEY_MAX)


def _speed(value: Any) -> bool:
    return value == "max" or _money(value)


_BOUNDS: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("aegis.instance", lambda v: _NAME.fullmatch(v) is not None, "1 to 40 letters, digits, '-' or '_'"),
    ("aegis.account", lambda v: _NAME.fullmatch(v) is not None, "1 to 40 letters, digits, '-' or '_'"),
    ("venue.recv_window_ms", lambda v: 1 <= v <= 60000, "1 to 60000"),
    ("venue.weight_per_minute", _positive, "above 0"),
    ("symbols.max", lambda v: 1 <= v <= 1024, "1 to 1024"),
    ("feed.streams", lambda v: len(v) > 0, "at least one stream"),
    ("feed.book_symbols_max", lambda v: 0 <= v <= 1024, "0 to 1024"),
    *((f"feed.{f}", _positive, "above 0") for f in ("first_frame_s", "stale_s", "rotate_s", "reconnect_min_s")),
    ("feed.reconnect_max_s", _positive, "above 0"),
    ("feed.sockets_streams_max", lambda v: 1 <= v <= 1024, "1 to 1024"),
    *((f"{part}.cpu", lambda v: -1 <= v <= 4095, "a processor's number, or -1 for any") for part in ("feed", "brain")),
    ("feed.busy_poll_us", lambda v: 0 <= v <= 1000, "0 to 1000"),
    ("brain.budget_us", _positive, "above 0"),
    ("brain.conflate_lag", lambda v: v >= 0, "0 or more"),
    ("brain.strategy", lambda v: re.fullmatch(r"[\w.]+:\w+", v) is not None, "module:Class"),
    ("brain.timer_ms", lambda v: 1 <= v <= 60000, "1 to 60000"),
    *(
        (f"risk.{f}", _cap, f"a decimal above 0, at most {RISK_MONEY_MAX}")
        for f in ("order_notional_max", "position_notional_max", "total_notional_max", "loss_limit")
    ),
    *((f"risk.{f}", _positive, "above 0") for f in ("collar_bps", "open_orders_max")),
    ("risk.orders_per_s", lambda v: 1 <= v <= 1024, "1 to 1024"),
    *((f"recon.{f}", _positive, "above 0") for f in Recon.__struct_fields__),
    ("deadman.countdown_s", lambda v: v >= 5, "5 or more"),
    ("supervisor.watchdog_ms", lambda v: 200 <= v <= 60000, "200 to 60000"),
    ("supervisor.backoff_min_s", _positive, "above 0"),
    ("supervisor.backoff_max_s", _positive, "above 0"),
    ("supervisor.stop_s", lambda v: 0 < v < 5, "above 0, below 5"),
    ("paper.port", lambda v: 0 <= v <= 65535, "0 to 65535"),
    ("paper.symbols", lambda v: 1 <= v <= 1024, "1 to 1024"),
    ("paper.speed", _speed, "'1', a factor above 0, or 'max'"),
    ("paper.wallet", _money, "a decimal above 0"),
    ("paper.events_per_s", lambda v: 1 <= v <= 1_000_000, "1 to 1000000"),
)


def _check_bounds(config: Config, origins: Mapping[str, str]) -> None:
    for key, good, expected in _BOUNDS:
        section, _, field = key.partition(".")
        value = getattr(getattr(config, section), field)
        if not good(value):
            raise ConfigError(f"config: {origins[key]}: {key} = {value!r}: expected {expected}")
    if config.feed.reconnect_max_s < config.feed.reconnect_min_s:
        raise ConfigError("config: feed.reconnect_max_s is below feed.reconnect_min_s")
    if config.supervisor.backoff_max_s < config.supervisor.backoff_min_s:
        raise ConfigError("config: supervisor.backoff_max_s is below supervisor.backoff_min_s")
    if config.aegis.mode in ("live", "testnet") and not config.venue.keys_file:
        raise ConfigError(f"config: mode '{config.aegis.mode}' needs credentials: venue.keys_file is empty")
