"""The venue's own books: what it holds for everybody, and the proof that money only moves.

Problem: an account whose flows add up can still be wrong when both sides of a trade are wrong in the same way. So
every execution is booked twice, once for each side, the second side being another account or the street (everybody
who is not a user); fees go to the house, liquidation profits and losses to the insurance fund.
What must stay true, per asset: wallets of all accounts and of the street, less the cost of what they hold, plus fees
plus the insurance fund, equal what was ever brought in; per symbol all positions add up to nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from aegis.exchange.account import Account, BooksBroken
from aegis.exchange.symbols import E8, Spec, dec


class House:
    """
    Fees and insurance fund of the venue.

    Attributes:
        fees, insurance: per asset, in 1e-8.
        seeded: what the insurance fund was given at the start.
    """

    def __init__(self, insurance: dict[str, int]) -> None:
        self.fees: Counter[str] = Counter()
        self.seeded = Counter(insurance)
        self.insurance = Counter(insurance)

    def charge(self, asset: str, amount_e8: int) -> None:
        """Take a fee."""
        self.fees[asset] += amount_e8

    def insure(self, account: Account, symbol: str, asset: str, amount_e8: int, now_ms: int) -> None:
        """Move money from the insurance fund to an account (> 0) or from it (< 0)."""
        self.insurance[asset] -= amount_e8
        account.flow(asset, "insurance", amount_e8)
        account.row(symbol, "INSURANCE_CLEAR", amount_e8, asset, now_ms)
        account.check(asset)

    def verify(self, accounts: Iterable[Account], specs: dict[str, Spec]) -> dict[str, str]:
        """
        Prove the laws of the module docstring.

        Returns:
            Per asset the amount both sides of its equation show.

        Raises:
            BooksBroken: with the asset or symbol and the difference.
        """
        have: Counter[str] = Counter()
        brought: Counter[str] = Counter(self.seeded)
        sizes: Counter[str] = Counter()
        for account in accounts:
            account.check()
            for asset, wallet in account.wallet.items():
                have[asset] += wallet
                brought[asset] += account.initial[asset] + account.flows[asset]["transfers"]
            for (symbol, _), pos in account.positions.items():
                sizes[symbol] += pos.qty
                have[specs[symbol].quote] -= pos.signed_cost()
        for asset in set(have) | set(brought) | set(self.fees) | set(self.insurance):
            total = have[asset] + self.fees[asset] + self.insurance[asset]
            if total != brought[asset]:
                raise BooksBroken(f"{asset}: {dec(total, E8)} accounted for, {dec(brought[asset], E8)} brought in")
        for symbol, qty in sizes.items():
            if qty:
                raise BooksBroken(f"{symbol}: positions add up to {specs[symbol].qty(qty)}, not to nothing")
        return {asset: dec(total, E8) for asset, total in sorted(brought.items())}
