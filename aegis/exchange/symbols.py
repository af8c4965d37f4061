"""What the venue lists: contracts with their grids and limits, as integers.

Problem: a test venue with one tidy symbol hides every mistake about ticks, exponents, names and widths. So the list
has real-looking names (thousands, digits first, two quote assets, Chinese characters) on different grids, and goes on
to any number of generated ones.
What must stay true: px_exp + qty_exp <= 8, so that every notional is a whole number of 1e-8 quote units.
"""

from __future__ import annotations

from dataclasses import dataclass

from aegis.units import Num

E8 = 8  # decimal places of every amount of money in the venue
BANDS_ABOVE = 20  # with more symbols than this each trades in a price band of its own

# name, quote, start price, tick, lot, minimum notional
LISTED = (
    ("BTCUSDT", "USDT", "61800.00", "0.10", "0.001", "100"),
    ("ETHUSDT", "USDT", "2463.20", "0.01", "0.001", "20"),
    ("SOLUSDT", "USDT", "152.340", "0.010", "0.01", "5"),
    ("1000SHIBUSDT", "USDT", "0.014230", "0.000001", "1", "5"),
    ("BTCUSDC", "USDC", "61795.0", "0.1", "0.001", "100"),
    ("币安人生USDT", "USDT", "0.31420", "0.00001", "1", "5"),
    ("DOGEUSDT", "USDT", "0.241300", "0.000010", "1", "5"),
    ("XRPUSDT", "USDT", "2.1832", "0.0001", "0.1", "5"),
    ("BNBUSDT", "USDT", "884.110", "0.010", "0.01", "5"),
    ("1INCHUSDT", "USDT", "0.2713", "0.0001", "1", "5"),
    ("牛来USDT", "USDT", "0.05213", "0.00001", "1", "5"),
    ("ETHUSDC", "USDC", "2463.10", "0.01", "0.001", "20"),
    ("1000000MOGUSDT", "USDT", "0.7412", "0.0001", "0.1", "5"),
    ("LINKUSDT", "USDT", "17.212", "0.001", "0.01", "5"),
    ("0GUSDT", "USDT", "1.2931", "0.0001", "1", "5"),
    ("AVAXUSDT", "USDT", "24.1230", "0.0010", "1", "5"),
)


def dec(m: int, e: int) -> str:
    """Plain decimal text of `m * 10**-e`, keeping all `e` places."""
    if not e:
        return str(m)
    digits = str(abs(m)).rjust(e + 1, "0")
    return f"{'-' if m < 0 else ''}{digits[:-e]}.{digits[-e:]}"


def trim(m: int, e: int) -> str:
    """Plain decimal text of `m * 10**-e` without trailing zeros ("0" for zero)."""
    while e and m % 10 == 0:
        m, e = m // 10, e - 1
    return dec(m, e)


@dataclass(frozen=True, slots=True)
class Spec:
    """
    One contract. Prices are ints at `px_exp`, quantities ints at `qty_exp`, money ints at 1e-8.

    Args:
        tick, step: grid, in those units; > 0.
        band: (lowest, highest) price the synthetic flow keeps to.
        multiplier_up, multiplier_down: PERCENT_PRICE, in 1e-4.
    """

    name: str
    base: str
    quote: str
    px_exp: int
    qty_exp: int
    tick: int
    step: int
    start_px: int
    band: tuple[int, int]
    min_notional_e8: int
    max_qty: int
    market_max_qty: int
    multiplier_up: int = 10500
    multiplier_down: int = 9500
    max_orders: int = 200
    leverage: int = 20

    def __post_init__(self) -> None:
        if self.px_exp + self.qty_exp > E8:
            raise ValueError(f"{self.name}: px_exp + qty_exp > {E8}")

    def px(self, value: int) -> str:
        """Price text, padded to the grid's places."""
        return dec(value, self.px_exp)

    def qty(self, value: int) -> str:
        """Quantity text, padded to the lot's places."""
        return dec(value, self.qty_exp)

    def value_e8(self, mark_e8: int, qty: int) -> int:
        """Signed worth of a quantity at a price of 1e-8 units, in 1e-8 quote units, rounded half away from zero."""
        unit = int(10**self.qty_exp)
        worth = (2 * mark_e8 * abs(qty) + unit) // (2 * unit)
        return worth if qty >= 0 else -worth

    def notional_e8(self, px: int, qty: int) -> int:
        """Price times quantity in 1e-8 quote units, exact."""
        return px * qty * int(10 ** (E8 - self.px_exp - self.qty_exp))


def make_spec(
    name: str, quote: str, start: str, tick: str, lot: str, notional: str, band: tuple[Num, Num] | None = None
) -> Spec:
    """A Spec from decimal texts; limits of size follow from the price (about 2e6 quote per order)."""
    px, tk, lt = Num.parse(start), Num.parse(tick), Num.parse(lot)
    px_exp, qty_exp = max(px.e, tk.e), lt.e
    start_px = px.at(px_exp)
    step = lt.at(qty_exp)
    lots = max(1000, 2_000_000 * int(10**px_exp) * int(10**qty_exp) // max(start_px, 1) // step)
    low, high = (band[0].at(px_exp), band[1].at(px_exp)) if band else (start_px * 8 // 10, start_px * 12 // 10)
    unit = tk.at(px_exp)
    return Spec(
        name,
        name[: -len(quote)],
        quote,
        px_exp,
        qty_exp,
        unit,
        step,
        start_px // unit * unit,
        (low, high),
        Num.parse(notional).at(E8),
        lots * step,
        max(1, lots // 8) * step,
    )


def banded(name: str, i: int) -> Spec:
    """Symbol `i` in its own band [(i+1)*10, (i+1)*10.2]: the first 49 bands are disjoint, all starts differ."""
    low, high = Num((i + 1) * 10), Num((i + 1) * 102, 1)
    places = 4 if i < 10 else 3 if i < 100 else 2
    start = Num((i + 1) * 101, 1).at(places)
    tick = str(Num(1, places))
    lot = str(Num(1, i % 4))
    return make_spec(name, "USDT", str(Num(start, places)), tick, lot, "5", (low, high))


def listing(count: int, bands: bool = False) -> list[Spec]:
    """The first `count` symbols; beyond the real-looking names they are generated (S0016USDT ...)."""
    bands = bands or count > BANDS_ABOVE
    names = [row[0] for row in LISTED if not bands or row[1] == "USDT"]
    names += [f"S{i:04d}USDT" for i in range(len(names), count)]
    if bands:
        return [banded(name, i) for i, name in enumerate(names[:count])]
    rows = [make_spec(*row) for row in LISTED[:count]]
    return rows + [banded(names[i], i) for i in range(len(rows), count)]
