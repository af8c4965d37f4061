"""What the owner of an account may set: leverage, margin type, position mode, multi-assets mode, fees in BNB.

What must stay true: a mode never changes under an open order or position of its kind; asking for what is already so
is refused with "no need to change", which clients take as success.
"""

from __future__ import annotations

from typing import Any

import msgspec

from aegis.errors import VenueError
from aegis.exchange import events, margin
from aegis.exchange.account import BOTH, Account
from aegis.exchange.brackets import cap_e8, max_leverage
from aegis.exchange.engine import Exchange
from aegis.exchange.filters import number
from aegis.exchange.params import Params, choice, flag, integer, need
from aegis.exchange.symbols import E8, dec

DONE = {"code": 200, "msg": "success"}
UNIT_E8 = 10**8


def leverage(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """POST leverage; -4028 out of range, -2027 too large a position (open orders included), -2028 too little margin."""
    m = ex.market(need(p, "symbol"))
    need(p, "leverage")
    wanted, spec = integer(p, "leverage", 0), m.spec
    if not 1 <= wanted <= max_leverage(spec.brackets):
        raise VenueError(-4028, f"Leverage {wanted} is not valid")
    worth = sum(abs(spec.value_e8(m.mark(), pos.qty)) for _, pos in acc.held(spec.name))
    if margin.reach_e8(acc, m) > cap_e8(spec.brackets, wanted):
        raise VenueError(-2027, "Exceeded the maximum allowable position at current leverage.")
    before = acc.settings.leverage.get(spec.name)
    if spec.name in acc.settings.isolated and worth and wanted < acc.leverage(spec.name):
        raise VenueError(-4161, "Leverage reduction is not supported in Isolated Margin Mode with open positions.")
    acc.settings.leverage[spec.name] = wanted
    held = margin.of_asset(ex, acc, spec.quote)
    if worth and held.position_initial + held.open_initial > max(held.cross_balance + held.isolated, 0):
        if before is None:
            del acc.settings.leverage[spec.name]
        else:
            acc.settings.leverage[spec.name] = before
        raise VenueError(-2028, "Leverage is smaller than permitted: insufficient margin balance.")
    ex.tell(acc, events.account_config(ex.clock(), spec.name, wanted))
    return {
        "symbol": spec.name,
        "leverage": wanted,
        "maxNotionalValue": str(cap_e8(spec.brackets, wanted) // UNIT_E8),
    }


def margin_type(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """POST marginType; -4046 no change, -4047 open orders, -4048 position, -4168 in multi-assets mode."""
    m = ex.market(need(p, "symbol"))
    name = m.spec.name
    isolated = choice(p, "marginType", ("ISOLATED", "CROSSED"), -1130) == "ISOLATED"
    if isolated == (name in acc.settings.isolated):
        raise VenueError(-4046, "No need to change margin type.")
    if isolated and acc.settings.multi_assets:
        raise VenueError(-4168, "Unable to adjust to isolated-margin mode under the Multi-Assets mode.")
    if acc.open[name]:
        raise VenueError(-4047, "Margin type cannot be changed if there exists open orders.")
    if acc.held(name):
        raise VenueError(-4048, "Margin type cannot be changed if there exists position.")
    (acc.settings.isolated.add if isolated else acc.settings.isolated.discard)(name)
    return DONE


def position_margin(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """POST positionMargin: cross wallet into an isolated position (type 1) or out of it (2); -4049, -4054, -4055."""
    m = ex.market(need(p, "symbol"))
    spec, side = m.spec, p.get("positionSide") or BOTH
    if (side == BOTH) == acc.settings.hedge:
        raise VenueError(-4061, "Order's position side does not match user's setting.")
    if spec.name not in acc.settings.isolated:
        raise VenueError(-4049, "Add margin only support for isolated position.")
    pos = acc.position(spec.name, side)
    if not pos.qty:
        raise VenueError(-4054, "Cannot add position margin: position is 0.")
    amount, kind = number(need(p, "amount"), "amount", E8), integer(p, "type", 0)
    if amount <= 0:
        raise VenueError(-4055, "Amount must be positive.")
    if kind not in (1, 2):
        raise VenueError(-1130, "Data sent for parameter 'type' is not valid.")
    if kind == 1 and amount > margin.of_asset(ex, acc, spec.quote).available:
        raise VenueError(-4050, "Cross balance insufficient.")
    worth = abs(spec.value_e8(m.mark(), pos.qty)) // acc.leverage(spec.name)
    if kind == 2 and pos.isolated_e8 - amount + min(pos.unrealised_e8(spec, m.mark()), 0) < worth:
        raise VenueError(-4051, "Isolated balance insufficient.")
    pos.isolated_e8 += amount if kind == 1 else -amount
    ex.margin_moves.append((acc.number, spec.name, side, amount if kind == 1 else -amount, ex.clock()))
    ex.tell_account(acc, "MARGIN_TRANSFER", [(m, side)], {spec.quote: 0})
    shown = msgspec.Raw(dec(amount, E8).encode())  # a JSON number here, unlike everywhere else
    return {"amount": shown, "code": 200, "msg": "Successfully modify position margin.", "type": kind}


def margin_history(ex: Exchange, acc: Account, p: Params) -> list[dict[str, Any]]:
    """GET positionMargin/history of a symbol."""
    m = ex.market(need(p, "symbol"))
    limit = integer(p, "limit", 500)
    rows = [r for r in ex.margin_moves if r[0] == acc.number and r[1] == m.spec.name]
    return [
        {
            "symbol": symbol,
            "type": 1 if amount > 0 else 2,
            "deltaType": "USER_ADJUST",
            "amount": dec(abs(amount), E8),
            "asset": m.spec.quote,
            "time": at,
            "positionSide": side,
            "clientTranId": "",
        }
        for _, symbol, side, amount, at in rows[-limit:]
    ]


def set_dual(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """POST positionSide/dual; -4059 no change, -4067 open orders, -4068 positions."""
    need(p, "dualSidePosition")
    hedge = flag(p, "dualSidePosition")
    if hedge == acc.settings.hedge:
        raise VenueError(-4059, "No need to change position side.")
    if any(acc.open.values()) or ex.algo.desks[acc.number].waiting():
        raise VenueError(-4067, "Position side cannot be changed if there exists open orders.")
    if any(pos.qty for pos in acc.positions.values()):
        raise VenueError(-4068, "Position side cannot be changed if there exists position.")
    acc.settings.hedge = hedge
    return DONE


def get_dual(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """GET positionSide/dual."""
    return {"dualSidePosition": acc.settings.hedge}


def set_multi(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """POST multiAssetsMargin; -4171 no change, -4167 isolated symbols, -4170 open orders, -4172 a debt in one asset."""
    need(p, "multiAssetsMargin")
    wanted = flag(p, "multiAssetsMargin")
    if wanted == acc.settings.multi_assets:
        raise VenueError(-4171, "Adjusted asset mode is currently set and does not need to be adjusted repeatedly.")
    if wanted and acc.settings.isolated:
        raise VenueError(
            -4167,
            "Unable to adjust to Multi-Assets mode with symbols of USDⓈ-M Futures under isolated-margin mode.",
        )
    if any(acc.open.values()):
        raise VenueError(-4170, "Unable to adjust Multi-Assets Mode with open orders in USDⓈ-M Futures.")
    if any(amount < 0 for amount in acc.wallet.values()):
        raise VenueError(
            -4172,
            "Unable to adjust Multi-Assets Mode with a negative wallet balance of margin available asset in USDⓈ-M "
            "Futures account.",
        )
    acc.settings.multi_assets = wanted
    ex.tell(acc, events.account_config(ex.clock(), multi_assets=wanted))
    return DONE


def get_multi(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """GET multiAssetsMargin."""
    return {"multiAssetsMargin": acc.settings.multi_assets}


def set_burn(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """POST feeBurn."""
    need(p, "feeBurn")
    acc.settings.fee_burn = flag(p, "feeBurn")
    return DONE


def get_burn(ex: Exchange, acc: Account, p: Params) -> dict[str, Any]:
    """GET feeBurn."""
    return {"feeBurn": acc.settings.fee_burn}


def stock_contract(_ex: Exchange, _acc: Account, _p: Params) -> dict[str, Any]:
    """POST stock/contract: the agreement about contracts on shares; every account here has signed it."""
    return DONE
