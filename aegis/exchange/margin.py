"""What an account's positions and orders tie up, and what is left for more.

Problem: whether an order is refused with -2019, what `availableBalance` says and when a position is liquidated are one
calculation seen from three sides; written three times, they would disagree just when it matters.
What must stay true: these functions change nothing; amounts are in 1e-8 of the margin asset; closing orders tie up
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aegis.exchange.account import BOTH, LONG, UNIT_E8, Account, Position
from aegis.exchange.brackets import bracket_of, maintenance_e8
from aegis.exchange.instrument import Market
from aegis.exchange.matching import BUY, SELL, Order
from aegis.exchange.symbols import Spec

if TYPE_CHECKING:
    from aegis.exchange.engine import Exchange

STABLE = ("USDT", "USDC")


@dataclass(frozen=True, slots=True)
class SymbolMargin:
    """One symbol's share: profits, initial margin of positions and of orders, maintenance; cross parts apart."""

    unrealised: int = 0
    cross_unrealised: int = 0
    position_initial: int = 0
    open_initial: int = 0
    maintenance: int = 0
    cross_maintenance: int = 0
    isolated: int = 0


@dataclass(frozen=True, slots=True)
class AssetMargin:
    """One asset of an account; `isolated` is the wallet set aside, `available` what new orders may use, >= 0."""

    wallet: int
    isolated: int
    unrealised: int
    cross_unrealised: int
    position_initial: int
    open_initial: int
    maintenance: int
    cross_maintenance: int
    available: int

    @property
    def cross_wallet(self) -> int:
        """Wallet less what isolated positions set aside."""
        return self.wallet - self.isolated

    @property
    def cross_balance(self) -> int:
        """What stands behind cross positions."""
        return self.cross_wallet + self.cross_unrealised


def closes(o: Order) -> bool:
    """Can the order only make a position smaller?"""
    return o.reduce_only or (o.position_side != BOTH and (o.side == BUY) != (o.position_side == LONG))


def working_e8(acc: Account, spec: Spec, position_side: str) -> tuple[int, int]:
    """(buys, sells): notional of a symbol's orders that may open."""
    return acc.open[spec.name].summed(position_side, spec, lambda o: o.position_side == position_side and not closes(o))


def exposure_e8(held_e8: int, buys_e8: int, sells_e8: int) -> int:
    """The larger position the open orders could lead to, as a notional."""
    return max(abs(held_e8), abs(held_e8 + buys_e8), abs(held_e8 - sells_e8))


def reach_e8(acc: Account, m: Market) -> int:
    """The largest position a symbol's position sides and open orders could come to, as a notional."""
    spec, total = m.spec, 0
    for side in ("LONG", "SHORT") if acc.settings.hedge else (BOTH,):
        worth = spec.value_e8(m.mark(), acc.position(spec.name, side).qty)
        total += exposure_e8(worth, *working_e8(acc, spec, side))
    return total


def of_symbol(acc: Account, m: Market) -> SymbolMargin:
    """Margin of one symbol over its position sides."""
    spec, mark, leverage = m.spec, m.mark(), acc.leverage(m.spec.name)
    apart = spec.name in acc.settings.isolated
    unrealised = initial = opening = maintenance = aside = 0
    for side in ("LONG", "SHORT") if acc.settings.hedge else (BOTH,):
        pos = acc.positions.get((spec.name, side)) or Position()
        worth = spec.value_e8(mark, pos.qty)
        exposure = exposure_e8(worth, *working_e8(acc, spec, side))
        initial += abs(worth) // leverage
        opening += (exposure - abs(worth)) // leverage
        if pos.qty:
            unrealised += pos.unrealised_e8(spec, mark)
            maintenance += maintenance_e8(spec.brackets, abs(worth))
            aside += pos.isolated_e8
    if apart:
        return SymbolMargin(unrealised, 0, initial, opening, maintenance, 0, aside)
    return SymbolMargin(unrealised, unrealised, initial, opening, maintenance, maintenance, 0)


def symbols_of(ex: Exchange, acc: Account, asset: str) -> list[str]:
    """Symbols of a margin asset in which the account has a position or an order."""
    names = {s for (s, _), p in acc.positions.items() if p.qty} | {s for s, rows in acc.open.items() if rows}
    return sorted(s for s in names if ex.markets[s].spec.quote == asset)


def of_asset(ex: Exchange, acc: Account, asset: str) -> AssetMargin:
    """Margin of one asset; in multi-assets mode only its own share, see `available_e8`."""
    rows = [of_symbol(acc, ex.markets[s]) for s in symbols_of(ex, acc, asset)]
    wallet, isolated = acc.wallet.get(asset, 0), sum(r.isolated for r in rows)
    cross_unrealised = sum(r.cross_unrealised for r in rows)
    apart = sum(r.position_initial for r in rows if r.isolated)
    initial, opening = sum(r.position_initial for r in rows), sum(r.open_initial for r in rows)
    free = wallet - isolated + cross_unrealised - (initial - apart) - opening
    return AssetMargin(
        wallet,
        isolated,
        sum(r.unrealised for r in rows),
        cross_unrealised,
        initial,
        opening,
        sum(r.maintenance for r in rows),
        sum(r.cross_maintenance for r in rows),
        max(free, 0),
    )


def worth_usd_e8(ex: Exchange, asset: str, amount_e8: int) -> int:
    """An amount in US dollars, at the asset's own market; 0 when the venue lists none."""
    if asset in STABLE:
        return amount_e8
    m = ex.markets.get(f"{asset}USDT")
    return amount_e8 * m.mark() // UNIT_E8 if m else 0


def available_e8(ex: Exchange, acc: Account, asset: str) -> int:
    """What new orders of an asset may use: its own, or in multi-assets mode the sum over all in US dollars."""
    if not acc.settings.multi_assets:
        return of_asset(ex, acc, asset).available
    total = 0
    for each in set(acc.wallet) | {asset}:
        a = of_asset(ex, acc, each)
        total += worth_usd_e8(ex, each, a.cross_balance - a.position_initial - a.open_initial)
    return max(total, 0)


def need_e8(acc: Account, m: Market, o: Order, px: int) -> int:
    """What one more order would tie up: margin it adds, and the loss it would open with."""
    spec, side = m.spec, o.position_side
    worth = spec.value_e8(m.mark(), acc.position(spec.name, side).qty)
    buys, sells = working_e8(acc, spec, side)
    more = spec.notional_e8(px, o.qty)
    after = exposure_e8(worth, buys + (more if o.side == BUY else 0), sells + (more if o.side == SELL else 0))
    loss = max(0, o.side * (more - spec.value_e8(m.mark(), o.qty)))
    grown = after - exposure_e8(worth, buys, sells)
    return grown // acc.leverage(spec.name) + (loss if grown else 0)


def liquidation_price_e8(ex: Exchange, acc: Account, m: Market, position_side: str) -> int:
    """
    Mark price at which the position's margin no longer carries it; 0 when no positive price does. Both sides of a hedge
    share one margin, so they share this price; what hangs on other symbols is taken as it stands.
    """
    spec, pos, mark = m.spec, acc.position(m.spec.name, position_side), m.mark()
    if not pos.qty:
        return 0
    if spec.name in acc.settings.isolated:
        rows, behind = [pos], pos.isolated_e8
    else:
        rows, a = [held for _, held in acc.held(spec.name)], of_asset(ex, acc, spec.quote)
        behind = a.cross_balance - a.cross_maintenance
    top = bottom_ppm = 0
    for row in rows:
        # behind + side * (liq * size - cost) = liq * size * ratio - cum, with ratio and cum of the bracket held now
        side, size, worth = (1 if row.qty > 0 else -1), abs(row.qty), spec.value_e8(mark, row.qty)
        tier = bracket_of(spec.brackets, worth)
        top += tier.cum_e8 - side * row.cost_e8
        bottom_ppm += size * (tier.rate_ppm - side * 1_000_000)
        if spec.name not in acc.settings.isolated:
            behind += maintenance_e8(spec.brackets, worth) - row.unrealised_e8(spec, mark)
    price = (behind + top) * 1_000_000 * int(10**spec.qty_exp) // bottom_ppm
    return max(price, 0)
