"""What the venue lists: contracts with their grids, limits and terms, as integers.

Problem: a test venue with one tidy symbol hides every mistake about ticks, exponents, names and widths. So the list
has real-looking names (thousands, digits first, two quote assets, a dated contract, Chinese characters) on different
grids, and goes on to any number of generated ones.
What must stay true: px_exp + qty_exp <= 8, so that every notional is a whole number of 1e-8 quote units; no two
symbols start at one price, so that a mixed-up symbol is seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from aegis.exchange.brackets import TIERS, Tiers
from aegis.exchange.clock import now_ms
from aegis.units import Num

E8 = 8  # decimal places of every amount of money in the venue
PERPETUAL_MS = 4133404800000  # delivery of a contract that has none: the year 2100
DELIVERY_HOUR = 8
DAY_MS = 86_400_000


class Terms(NamedTuple):
    """
    What symbols of one class have in common.

    Attributes:
        order_quote: largest LIMIT order in quote units; MARKET is an eighth of it.
        multiplier: PERCENT_PRICE distance from the mark, in 1e-4.
        rate_cap_e8: largest funding rate either way.
    """

    order_quote: int
    multiplier: int
    trigger_protect_ppm: int
    liquidation_fee_ppm: int
    take_bound_ppm: int
    rate_cap_e8: int


TERMS = {
    "bitcoin": Terms(60_000_000, 500, 50_000, 12_500, 50_000, 300_000),
    "ether": Terms(25_000_000, 500, 50_000, 12_500, 50_000, 300_000),
    "major": Terms(12_000_000, 1000, 100_000, 15_000, 100_000, 2_000_000),
    "alt": Terms(6_000_000, 1500, 150_000, 15_000, 100_000, 2_000_000),
    "young": Terms(2_500_000, 1500, 150_000, 20_000, 150_000, 2_000_000),
    "dated": Terms(12_000_000, 500, 100_000, 12_500, 100_000, 0),
}


class Listed(NamedTuple):
    """A named contract; `funding_h` 0 marks the dated one."""

    name: str
    quote: str
    start: str
    tick: str
    lot: str
    notional: str
    kind: str
    funding_h: int = 8
    themes: tuple[str, ...] = ()
    least_lots: int = 1


DATED = "BTCUSDT_"  # completed with the delivery day
LISTED = (
    Listed("BTCUSDT", "USDT", "61800.00", "0.10", "0.001", "100", "bitcoin", 8, ("PoW",)),
    Listed("ETHUSDT", "USDT", "2463.20", "0.01", "0.001", "20", "ether", 8, ("Layer-1",)),
    Listed("1000SHIBUSDT", "USDT", "0.014230", "0.000001", "1", "5", "major", 8, ("Meme",)),
    Listed("BTCUSDC", "USDC", "61795.0", "0.1", "0.001", "100", "bitcoin", 8, ("PoW",)),
    Listed(DATED, "USDT", "62410.0", "0.1", "0.001", "100", "dated", 0),
    Listed("币安人生USDT", "USDT", "0.31420", "0.00001", "1", "5", "young", 4, ("Meme",)),
    Listed("SOLUSDT", "USDT", "152.3400", "0.0100", "0.01", "5", "major", 8, ("Layer-1",)),
    Listed("DOGEUSDT", "USDT", "0.241300", "0.000010", "1", "5", "major", 8, ("Meme",)),
    Listed("XRPUSDT", "USDT", "2.1832", "0.0001", "0.1", "5", "major", 8, ("Payment",)),
    Listed("BNBUSDT", "USDT", "884.110", "0.010", "0.01", "5", "major", 8, ("Layer-1",)),
    Listed("1INCHUSDT", "USDT", "0.2713", "0.0001", "1", "5", "alt", 4, ("DeFi",)),
    Listed("牛来USDT", "USDT", "0.05213", "0.00001", "1", "5", "young", 1, ("Meme",), 5),
    Listed("ETHUSDC", "USDC", "2463.10", "0.01", "0.001", "20", "ether", 8, ("Layer-1",)),
    Listed("1000000MOGUSDT", "USDT", "0.7412", "0.0001", "0.1", "5", "alt", 4, ("Meme",)),
    Listed("LINKUSDT", "USDT", "17.212", "0.001", "0.01", "5", "alt", 8, ("Infrastructure",)),
    Listed("0GUSDT", "USDT", "1.2931", "0.0001", "1", "5", "young", 4, ("AI",)),
    Listed("AVAXUSDT", "USDT", "24.1230", "0.0010", "1", "5", "alt", 8, ("Layer-1",)),
)
COINS = (
    "ADA 0.8123 LTC 112.42 BCH 561.31 DOT 4.1172 TRX 0.33781 UNI 9.6212 ATOM 4.6123 ETC 21.231 FIL 2.4417 NEAR 2.7161 "
    "APT 4.7128 ARB 0.51412 OP 0.77123 SUI 3.5712 SEI 0.31213 TIA 1.7421 INJ 13.421 LDO 1.2217 AAVE 301.12 MKR 1712.3 "
    "CRV 0.77121 GMT 0.04512 GALA 0.017123 SAND 0.28712 MANA 0.29871 AXS 2.4312 APE 0.61213 IMX 0.55213 FET 0.66712 "
    "WLD 1.0812 PEOPLE 0.020123 ORDI 9.1123 WIF 0.91212 JUP 0.51731 PYTH 0.15213 STRK 0.13123 ENA 0.71213 W 0.087123 "
    "ETHFI 1.1123 TON 3.2123 NOT 0.0018712 ZRO 1.9121 POL 0.24512 HBAR 0.23912 ICP 5.1231 VET 0.024123 ALGO 0.23121 "
    "XLM 0.39121 THETA 0.81212 EGLD 14.612 KAVA 0.39812 ZEC 261.21 DASH 24.412 COMP 47.712 SNX 0.68123 YFI 5512.1 "
    "1000PEPE 0.010512 1000BONK 0.024712 1000FLOKI 0.098712 LPT 6.7121 ONE 0.010913 GTC 0.28412 TRB 31.212 BLUR 0.07912"
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
        tick, step: grid, in those units; > 0. It starts at min_px and min_qty.
        band: (lowest, highest) price the synthetic flow keeps to.
        multiplier_up, multiplier_down: PERCENT_PRICE, in 1e-4.
        take_bound_ppm: how far from the mark a MARKET order may trade.
        brackets: leverage tiers, see `brackets`.
        funding_h: hours between settlements; 0 for a dated contract, which has none.
        leverage: what a new account starts with.
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
    min_px: int
    max_px: int
    min_qty: int
    pair: str
    multiplier_up: int = 10500
    multiplier_down: int = 9500
    max_orders: int = 200
    max_amendments: int = 10_000
    leverage: int = 20
    trigger_protect_ppm: int = 50_000
    liquidation_fee_ppm: int = 12_500
    take_bound_ppm: int = 50_000
    brackets: Tiers = TIERS["bitcoin"]
    contract_type: str = "PERPETUAL"
    status: str = "TRADING"
    delivery_ms: int = PERPETUAL_MS
    onboard_ms: int = 1569398400000
    funding_h: int = 8
    rate_cap_e8: int = 300_000
    themes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.px_exp + self.qty_exp > E8:
            raise ValueError(f"{self.name}: px_exp + qty_exp > {E8}")

    @property
    def dated(self) -> bool:
        """It is delivered one day, and pays no funding until then."""
        return self.delivery_ms != PERPETUAL_MS

    def px(self, value: int) -> str:
        """Price text, padded to the grid's places."""
        return dec(value, self.px_exp)

    def qty(self, value: int) -> str:
        """Quantity text, padded to the lot's places."""
        return dec(value, self.qty_exp)

    def px_e8(self, px: int) -> int:
        """A price in 1e-8."""
        return px * int(10 ** (E8 - self.px_exp))

    def notional_e8(self, px: int, qty: int) -> int:
        """Price times quantity in 1e-8 quote units, exact."""
        return px * qty * int(10 ** (E8 - self.px_exp - self.qty_exp))

    def value_e8(self, price_e8: int, qty: int) -> int:
        """A price of 1e-8 (a mark) times a signed quantity in 1e-8 quote units, rounded half away from zero."""
        unit = int(10**self.qty_exp)
        worth = (2 * price_e8 * abs(qty) + unit) // (2 * unit)
        return worth if qty >= 0 else -worth


def leading(value: int, digits: int) -> int:
    """`value` with all but its first `digits` digits made zero."""
    unit = int(10 ** max(len(str(value)) - digits, 0))
    return value // unit * unit


def make_spec(
    name: str, quote: str, start: str, tick: str, lot: str, notional: str, band: tuple[Num, Num] | None = None
) -> Spec:
    """A Spec from decimal texts, on the terms of a bitcoin contract; limits of size and price follow from the price."""
    px, tk, lt = Num.parse(start), Num.parse(tick), Num.parse(lot)
    px_exp, qty_exp = max(px.e, tk.e), lt.e
    start_px, unit, step = px.at(px_exp), tk.at(px_exp), lt.at(qty_exp)
    pair = name.partition("_")[0]
    low, high = (band[0].at(px_exp), band[1].at(px_exp)) if band else (start_px * 8 // 10, start_px * 12 // 10)
    spec = Spec(
        name=name,
        base=pair[: -len(quote)],
        quote=quote,
        px_exp=px_exp,
        qty_exp=qty_exp,
        tick=unit,
        step=step,
        start_px=start_px // unit * unit,
        band=(low, high),
        min_notional_e8=Num.parse(notional).at(E8),
        max_qty=0,
        market_max_qty=0,
        min_px=max(leading(start_px // 100, 4) // unit, 1) * unit,
        max_px=max(leading(start_px * 20, 4) // unit, 1) * unit,
        min_qty=step,
        pair=pair,
    )
    return on_terms(spec, "bitcoin")


def on_terms(spec: Spec, kind: str) -> Spec:
    """The contract with sizes, bounds, fees and tiers of a class."""
    t = TERMS[kind]
    lots = max(t.order_quote * int(10 ** (spec.px_exp + spec.qty_exp)) // max(spec.start_px, 1) // spec.step, 8000)
    return replace(
        spec,
        max_qty=leading(lots, 1) * spec.step,
        market_max_qty=leading(lots // 8, 2) * spec.step,
        multiplier_up=10_000 + t.multiplier,
        multiplier_down=10_000 - t.multiplier,
        trigger_protect_ppm=t.trigger_protect_ppm,
        liquidation_fee_ppm=t.liquidation_fee_ppm,
        take_bound_ppm=t.take_bound_ppm,
        rate_cap_e8=t.rate_cap_e8,
        brackets=TIERS[kind],
    )


def quarter_end_ms(at_ms: int) -> int:
    """The next delivery after `at_ms`: the last Friday of a quarter, 08:00 UTC, at least a day away."""
    day = datetime.fromtimestamp(at_ms // 1000, UTC).date()
    year, quarter = day.year, (day.month - 1) // 3
    while True:
        first_after = date(year + (quarter == 3), quarter * 3 % 12 + 4 if quarter < 3 else 1, 1)
        last = first_after - timedelta(days=1)
        friday = last - timedelta(days=(last.weekday() - 4) % 7)
        found = int(datetime(friday.year, friday.month, friday.day, DELIVERY_HOUR, tzinfo=UTC).timestamp()) * 1000
        if found > at_ms + DAY_MS:
            return found
        year, quarter = (year + 1, 0) if quarter == 3 else (year, quarter + 1)


def named(row: Listed, at_ms: int) -> Spec:
    """A contract of the list; the dated one gets its day from the clock."""
    name, delivery = row.name, PERPETUAL_MS
    if not row.funding_h:
        delivery = quarter_end_ms(at_ms)
        name += datetime.fromtimestamp(delivery // 1000, UTC).strftime("%y%m%d")
    spec = on_terms(make_spec(name, row.quote, row.start, row.tick, row.lot, row.notional), row.kind)
    spec = replace(spec, funding_h=row.funding_h, themes=row.themes, min_qty=spec.step * row.least_lots)
    if not row.funding_h:
        spec = replace(
            spec, contract_type="CURRENT_QUARTER", delivery_ms=delivery, onboard_ms=delivery - 182 * DAY_MS, leverage=10
        )
    return spec


def coin(name: str, start: str, i: int) -> Spec:
    """A contract known by name and price alone: five digits of price, a lot worth about a quote unit."""
    px = Num.parse(start)
    places = px.e - 1 if i % 3 == 0 and px.e > 1 else px.e  # some have a tick coarser than their shown precision
    whole = str(px.m // 10**px.e)
    lot = "1" if px.e + 1 > 5 or whole == "0" else str(Num(1, min(len(whole), 3)))
    kind = ("alt", "young", "alt", "major")[i % 4]
    tick = Num(10 ** (px.e - places), px.e)
    spec = on_terms(make_spec(name, "USDT", start, str(tick), lot, "5"), kind)
    return replace(spec, funding_h=(8, 4, 8, 1, 4)[i % 5])


def generated(i: int) -> Spec:
    """Symbol `i` beyond the names: every start price has its own first four digits."""
    digits, places = (1000 + i * 791 % 8999) * 10 + 1, 1 + i % 5
    return coin(f"S{i:04d}USDT", str(Num(digits, places)), i)


def banded(name: str, i: int) -> Spec:
    """Symbol `i` in its own band [(i+1)*10, (i+1)*10.2]: the first 49 bands are disjoint, all starts differ."""
    low, high = Num((i + 1) * 10), Num((i + 1) * 102, 1)
    places = 4 if i < 10 else 3 if i < 100 else 2
    start = Num((i + 1) * 101, 1).at(places)
    lot = str(Num(1, i % 4))
    return make_spec(name, "USDT", str(Num(start, places)), str(Num(1, places)), lot, "5", (low, high))


def listing(count: int, bands: bool = False, at_ms: int = 0) -> list[Spec]:
    """
    The first `count` symbols: the named ones, coins known by price, then generated ones.

    Args:
        bands: USDT perpetuals only, each trading in a band of its own.
        at_ms: when the venue opens (0 = now); decides the dated contract's day.
    """
    words = COINS.split()
    coins = [(f"{base}USDT", start) for base, start in zip(words[::2], words[1::2], strict=True)]
    if bands:
        names = [row.name for row in LISTED if row.quote == "USDT" and row.funding_h] + [name for name, _ in coins]
        names += [f"S{i:04d}USDT" for i in range(len(names), count)]
        return [banded(name, i) for i, name in enumerate(names[:count])]
    rows = [named(row, at_ms or now_ms()) for row in LISTED[:count]]
    rows += [coin(name, start, i) for i, (name, start) in enumerate(coins[: max(count - len(rows), 0)])]
    return rows + [generated(i) for i in range(len(rows), count)]
