"""Options of the venue on a command line: one list for `aegis venue` and `python -m aegis.exchange`.

Problem: two doors start the same process, and an option known to one of them alone is an option that a test uses and
an operator cannot. So both take theirs from here; what is not given is None and means the value in DEFAULTS.
What must stay true: a bad value is one line and exit code 2; an account's secret is never printed.
"""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

from aegis.exchange.limits import add_options as add_limits
from aegis.exchange.rules import STPS, UNROUTED, Rules

ENCODINGS = ("raw", "encoded", "either")  # the gate's, which refuses any other
RULES = {f.name: f.default for f in fields(Rules) if f.name != "listen_key_s"}  # that one is an option of its own
DEFAULTS: dict[str, Any] = {
    "port": 0,
    "control_port": 0,
    "tls": False,
    "tls_dir": "",
    "keys": "",
    "account": [],
    "wallet": "10000",
    "maker_ppm": 200,
    "taker_ppm": 500,
    "seed": 1,
    "symbols": 6,
    "bands": False,
    "events_per_s": 200,
    "replay": "",
    "speed": "1",
    "faults": "",
    "unrouted": "all",
    "listen_key_s": 3600.0,
    "lifetime_s": 86400.0,
    "ping_s": 180.0,
    "pong_s": 600.0,
    "weight": 2400,
    "ws_encoding": "either",
    "rule": [],
}
TEXT = """\
A simulated Binance USD-M futures exchange on loopback: matching, margin, funding and every stream, made from a seeded
synthetic market or a capture. Point any client at it by its base URL. No real money, no connection to the outside.

  REST             http://127.0.0.1:PORT/fapi/v1 /v2 /v3
  WebSocket API    ws://127.0.0.1:PORT/ws-fapi/v1
  market streams   ws://127.0.0.1:PORT/public/ws /public/stream      books, best prices, trades
                   ws://127.0.0.1:PORT/market/ws /market/stream      marks, candles, tickers, aggregates, liquidations
  user streams     ws://127.0.0.1:PORT/private/ws/LISTENKEY
  without a route  /ws /stream: see --unrouted
  truth            http://127.0.0.1:CONTROL_PORT/control/state books accounts orders fills faults verify

Both ports are in the ready line, one JSON object on standard output.
"""
EXAMPLE = """\
example:
  aegis venue --port 8089 --control-port 8090 --account demo:demo-secret --symbols 300
  curl http://127.0.0.1:8089/fapi/v1/exchangeInfo
  aegis venue verify --control-port 8090
"""
FAULTS = """\
faults, for --faults FILE and POST /control/fault {"name": NAME, PARAMETER: VALUE}; /control/fault/clear ends all:
"""


class Help(argparse.RawDescriptionHelpFormatter):
    """Ends with the catalogue of faults, which is imported only to be shown."""

    def add_text(self, text: str | None) -> None:
        """Take a section's text."""
        if text is EXAMPLE:
            from aegis.exchange.faults.catalogue import help_text

            text = f"{EXAMPLE}\n{FAULTS}\n{help_text()}"
        super().add_text(text)


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Exit with code 2."""
        self.exit(2, f"{self.prog}: {message}\n")


def account(text: str) -> tuple[str, str, str]:
    """
    KEY:SECRET or KEY:FILE as (key, secret, public PEM), one of the last two empty.

    A file is what starts with @ or ends like a key file: nobody's secret does, and a path taken for a secret would make
    an account nobody can sign for.
    """
    key, colon, secret = text.partition(":")
    if not (key and colon and secret):
        raise argparse.ArgumentTypeError("expected KEY:SECRET or KEY:FILE")
    if not secret.startswith("@") and not secret.endswith((".pem", ".pub")):
        return key, secret, ""
    try:
        pem = Path(secret.removeprefix("@")).read_text(encoding="ascii")
    except (OSError, UnicodeError) as e:
        raise argparse.ArgumentTypeError(f"cannot read the public key file of {key}: {type(e).__name__}") from None
    if "PUBLIC KEY" not in pem:
        raise argparse.ArgumentTypeError(f"the key file of {key} is no public key in PEM")
    return key, "", pem


def port(text: str) -> int:
    """A TCP port; 0 lets the system choose."""
    if not (text.isascii() and text.isdigit() and int(text) < 1 << 16):
        raise argparse.ArgumentTypeError("expected a port, 0 to 65535")
    return int(text)


def count(text: str) -> int:
    """A whole number above 0."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError("expected a whole number above 0")
    return int(text)


def whole(text: str) -> int:
    """A whole number, 0 or above."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError("expected a whole number, 0 or above")
    return int(text)


def rule(text: str) -> tuple[str, bool | str]:
    """NAME=VALUE of a switch in Rules, as (name, value); on and off for what is either."""
    name, _, value = text.partition("=")
    if name not in RULES:
        raise argparse.ArgumentTypeError(f"no rule {name!r}: {', '.join(RULES)}")
    allowed = {"on": True, "off": False} if isinstance(RULES[name], bool) else dict(zip(STPS, STPS, strict=True))
    if value not in allowed:
        raise argparse.ArgumentTypeError(f"{name} is {' or '.join(allowed)}, not {value!r}")
    return name, allowed[value]


def pace(text: str) -> str:
    """A replay's pace."""
    if text != "max":
        count(text)
    return text


def seconds(duration_s: str) -> float:
    """A duration above 0."""
    try:
        value = float(duration_s)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("expected seconds above 0")
    return value


def add(p: argparse.ArgumentParser) -> None:
    """Add every option; each defaults to None, see DEFAULTS."""
    p.formatter_class = Help
    p.description, p.epilog = TEXT, EXAMPLE
    where = p.add_argument_group("where")
    where.add_argument("--port", type=port, help="TCP port on 127.0.0.1 for all clients; 0 (default) chooses one")
    where.add_argument("--control-port", type=port, help="second port, for the operator; 0 (default) chooses one")
    where.add_argument("--tls", action="store_true", default=None, help="https and wss instead of http and ws")
    where.add_argument(
        "--tls-dir", metavar="DIR", help="where to write the authority's certificate (default: temporary)"
    )
    who = p.add_argument_group("accounts")
    who.add_argument(
        "--account",
        action="append",
        type=account,
        metavar="KEY:SECRET",
        help="a test account of its own, or KEY:FILE.pem with its Ed25519 public key; may be repeated. Only for "
        "accounts of this simulator: a command line is no place for a real secret",
    )
    who.add_argument(
        "--keys", metavar="FILE", help="JSON file with api_key and secret or ed25519_pem, for account main"
    )
    who.add_argument("--wallet", help="starting balance per quote asset (10000)")
    who.add_argument("--maker-ppm", type=whole, help="maker fee in millionths (200)")
    who.add_argument("--taker-ppm", type=whole, help="taker fee in millionths (500)")
    market = p.add_argument_group("market")
    market.add_argument("--seed", type=int, help="seed of the synthetic market (1)")
    market.add_argument("--symbols", type=count, help="how many symbols to list (6)")
    market.add_argument("--bands", action="store_true", default=None, help="a price band of its own for every symbol")
    market.add_argument("--events-per-s", type=whole, help="synthetic events per second over all symbols (200)")
    market.add_argument("--replay", metavar="FILE", help="stream this capture instead of a synthetic market")
    market.add_argument("--speed", type=pace, help="pace of the replay: 1, a factor, or max")
    _add_rules(p)
    add_limits(p)


def _add_rules(p: argparse.ArgumentParser) -> None:
    rules = p.add_argument_group("rules")
    rules.add_argument(
        "--faults",
        metavar="FILE",
        help="JSON list or lines of faults (below): each with its name, parameters and, if not at once, at_s, "
        "after_frames or after_requests",
    )
    rules.add_argument(
        "--unrouted",
        choices=UNROUTED,
        help="what /ws and /stream without a route serve (all, as the demo does; production serves public)",
    )
    rules.add_argument("--listen-key-s", type=seconds, help="life of a listen key (3600)")
    rules.add_argument("--lifetime-s", type=seconds, help="forced disconnect of websockets (86400)")
    rules.add_argument("--ping-s", type=seconds, help="time between the venue's pings (180)")
    rules.add_argument("--pong-s", type=seconds, help="how long a pong may be missing (600)")
    rules.add_argument("--weight", type=whole, help="REQUEST_WEIGHT per minute; 0 off (2400)")
    rules.add_argument(
        "--ws-encoding",
        choices=ENCODINGS,
        help="text a WebSocket API message signs where raw and percent-encoded differ (either)",
    )
    rules.add_argument(
        "--rule",
        action="append",
        type=rule,
        metavar="NAME=VALUE",
        help="where sources disagree, behave so: " + ", ".join(RULES),
    )


def complete(given: argparse.Namespace) -> argparse.Namespace:
    """`given` with the value of DEFAULTS for everything missing or None."""
    return argparse.Namespace(**DEFAULTS | {k: v for k, v in vars(given).items() if v is not None})


def parser() -> argparse.ArgumentParser:
    """The parser of `python -m aegis.exchange`."""
    p = Parser(prog="aegis.exchange")
    add(p)
    return p
