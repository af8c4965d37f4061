"""Oracle of csrc/tick.c: one frame to records, written from PROTOCOL 2.3 with the standard JSON reader.

Problem: a fast scanner is only to be believed next to a slow, plain one that shares no code with it.
What must stay true: same records, or refused by both; this module is for tests and doubts, never for the live path.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, NamedTuple

INT64_MAX = 2**63 - 1
EXP_MAX = 18
INTERVALS = ["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M", "1s"]
KINDS = {
    "bookTicker": 1,
    "trade": 2,
    "aggTrade": 3,
    "depthUpdate": 4,
    "markPriceUpdate": 6,
    "kline": 7,
    "forceOrder": 8,
    "24hrTicker": 9,
}
BEGIN, END, CLOSED, RPI, NO_FUNDING = 1, 2, 8, 16, 32


class Refused(Exception):
    """The frame cannot be taken exactly."""


class Record(NamedTuple):
    """A record without seq and recv_ns."""

    exch_ns: int
    symbol: int
    kind: int
    flags: int
    px_exp: int
    qty_exp: int
    aux: int
    a: int
    b: int
    c: int
    d: int


class _Number(str):
    """Text of a JSON number."""


def _integer(value: Any) -> int:
    text = str(value) if isinstance(value, str) else "x"
    if not text.removeprefix("-").isdigit() or not text.isascii() or abs(int(text)) > INT64_MAX:
        raise Refused(f"integer {value!r}")
    return int(text)


def _mantissas(least: int, *values: Any) -> tuple[int, list[int]]:
    """Shared exponent and mantissas of decimal texts."""
    exp, found = least, []
    for value in values:
        text = value if isinstance(value, str) else "x"
        whole, point, places = text.removeprefix("-").partition(".")
        if not (whole.isdigit() and whole.isascii()) or (point and not (places.isdigit() and places.isascii())):
            raise Refused(f"decimal {value!r}")
        found.append(Decimal(text))
        exp = max(exp, len(places.rstrip("0")))
    if exp > EXP_MAX:
        raise Refused("exponent")
    exact = [_exact(n, exp) for n in found]
    if any(abs(m) > INT64_MAX for m in exact):
        raise Refused("overflow")
    return exp, exact


def _exact(number: Decimal, exp: int) -> int:
    """Mantissa from the digits themselves: no decimal context, no rounding."""
    sign, digits, power = number.as_tuple()
    assert isinstance(power, int)
    value = int("".join(map(str, digits)))
    shift = power + exp
    value = value * int(10**shift) if shift >= 0 else value // int(10**-shift)
    return -value if sign else value


def _ns(value: Any) -> int:
    ns = _integer(value) * 1_000_000
    if abs(ns) > INT64_MAX:
        raise Refused("time")
    return ns


def _one(least: int, value: Any) -> tuple[int, int]:
    exp, (mantissa,) = _mantissas(least, value)
    return exp, mantissa


def decode(frame: bytes, symbols: list[tuple[str, int, int]]) -> list[Record] | None:
    """
    Records of one frame; [] for a trade that is no market trade, None for what is no market event.

    Raises:
        Refused: not exact, not whole, or an unknown symbol.
    """
    if b"\\" in frame:
        return None
    try:
        body = json.loads(
            frame.decode("utf-8", "surrogateescape"),
            parse_int=_Number,
            parse_float=_Number,
            parse_constant=_refuse_constant,
        )
    except (ValueError, RecursionError) as exc:
        raise Refused("json") from exc
    if not isinstance(body, dict):
        raise Refused("no object")
    stream = ""
    if type(body.get("stream")) is str and isinstance(body.get("data"), dict):
        stream, body = body["stream"], body["data"]
    name = body.get("e")
    kind = KINDS.get(name, 0) if type(name) is str else 0
    if not kind:
        return None
    try:
        return _records(kind, stream, body, {s: (i, p, q) for i, (s, p, q) in enumerate(symbols)})
    except (KeyError, TypeError, ValueError) as exc:
        raise Refused(f"field {exc}") from exc


def _refuse_constant(text: str) -> Any:
    raise ValueError(text)


def _records(kind: int, stream: str, m: dict[str, Any], table: dict[str, tuple[int, int, int]]) -> list[Record] | None:
    if kind == 4 and "@" in stream and stream[stream.index("@") :][:6] == "@depth":
        kind = 5 if stream[stream.index("@") + 6 :][:1].isdigit() else 4
    inner = m["o"] if kind == 8 else m["k"] if kind == 7 else m
    if not isinstance(inner, dict):
        raise Refused("inner object")
    symbol = (inner if kind == 8 else m)["s"]
    if symbol not in table or type(symbol) is not str:
        raise Refused("symbol")
    i, px, qty = table[symbol]
    if kind == 1:
        _integer(m["u"])
        pe, (bid, ask) = _mantissas(px, m["b"], m["a"])
        qe, (bid_qty, ask_qty) = _mantissas(qty, m["B"], m["A"])
        return [Record(_stamp(m), i, 1, 0, pe, qe, 0, bid, bid_qty, ask, ask_qty)]
    if kind in (2, 3):
        return _trade(kind, m, i, px, qty)
    if kind in (4, 5):
        return _depth(kind, m, i, px, qty)
    when = _ns(m["E"])
    if kind == 6:
        due = _integer(m["T"])
        pe, (mark, index) = _mantissas(px, m["p"], m["i"])
        empty = m["r"] == "" and type(m["r"]) is str
        qe, rate = (qty, 0) if empty else _one(qty, m["r"])
        return [Record(when, i, 6, NO_FUNDING if empty else 0, pe, qe, 0, mark, index, rate, due)]
    if kind == 8:
        side = {"BUY": 1, "SELL": -1}[inner["S"]]
        pe, (average, price) = _mantissas(px, inner["ap"], inner["p"])
        qe, filled = _one(qty, inner["z"])
        when = _ns(inner["T"]) if "T" in inner else when
        return [Record(when, i, 8, 0, pe, qe, 0, average, filled, price, side)]
    return _candle(kind, inner, when, i, px, qty)


def _stamp(m: dict[str, Any]) -> int:
    return _ns(m["T"] if "T" in m else m["E"])


def _trade(kind: int, m: dict[str, Any], i: int, px: int, qty: int) -> list[Record]:
    flags = 0
    if kind == 2 and "X" in m and m["X"] != "MARKET":
        if m["X"] != "RPI":
            return []
        flags = RPI
    if m["m"] is not True and m["m"] is not False:
        raise Refused("m")
    pe, price = _one(px, m["p"])
    qe, size = _one(qty, m["q"])
    number = _integer(m["t" if kind == 2 else "a"])
    return [Record(_stamp(m), i, kind, flags, pe, qe, 0, price, size, number, -1 if m["m"] else 1)]


def _depth(kind: int, m: dict[str, Any], i: int, px: int, qty: int) -> list[Record]:
    first, last, prev = _integer(m["U"]), _integer(m["u"]), _integer(m["pu"])
    when = _stamp(m)
    levels = []
    for side, key in enumerate("ba"):
        if not isinstance(m[key], list):
            raise Refused("levels")
        for level in m[key]:
            if not isinstance(level, list) or len(level) < 2:
                raise Refused("level")
            pe, price = _one(px, level[0])
            qe, size = _one(qty, level[1])
            if size < 0:
                raise Refused("negative size")
            levels.append(Record(when, i, kind, 0, pe, qe, 0, price, size, side, last))
    if len(levels) > 16384:
        raise Refused("levels")
    run = [Record(when, i, kind, BEGIN, px, qty, 0, first, last, prev, len(levels)), *levels]
    run[-1] = run[-1]._replace(flags=run[-1].flags | END)
    return run


def _candle(kind: int, v: dict[str, Any], when: int, i: int, px: int, qty: int) -> list[Record]:
    flags = aux = 0
    if kind == 7:
        aux = INTERVALS.index(v["i"]) + 1
        if v["x"] is not True and v["x"] is not False:
            raise Refused("x")
        flags = CLOSED if v["x"] else 0
    pe, (first, high, low, last) = _mantissas(px, v["o"], v["h"], v["l"], v["c"])
    qe, volume = _one(qty, v["v"])
    qpe, quote = _one(px, v["q"])
    prices = (first, high, low, last) if kind == 7 else (last, first, high, low)
    tail = (volume, quote, _integer(v["n"]), _integer(v["t" if kind == 7 else "O"]))
    head = Record(when, i, kind, flags | BEGIN, pe, qty, aux, *prices)
    return [head, Record(when, i, kind, flags | END, qpe, qe, aux, *tail)]
