"""Texts of user events, in the shapes seen on the wire.

Problem: clients break on shape, not on meaning: padded against trimmed decimals, `st`/`ps` present, commission fields
on NEW. The text is built directly, because every one of these shapes is written once and read by many.
What must stay true: every value put in is an int, a decimal text or a client id of the allowed characters, so no
escaping is needed.
"""

from __future__ import annotations

from aegis.exchange.account import Account, Execution
from aegis.exchange.instrument import Market
from aegis.exchange.matching import BUY, Order
from aegis.exchange.symbols import E8, Spec, dec, trim


def side_text(side: int) -> str:
    """BUY or SELL."""
    return "BUY" if side == BUY else "SELL"


def truth(value: bool) -> str:
    """JSON's spelling of a boolean."""
    return "true" if value else "false"


def average(spec: Spec, filled: int, cost: int, places: int = 5) -> str:
    """Average price of `cost / filled`, rounded half up; "0" when nothing filled."""
    if not filled:
        return "0"
    shift = 10 ** max(places - spec.px_exp, 0)
    value = (2 * cost * shift + filled) // (2 * filled)
    return dec(value, max(places, spec.px_exp))


def plain(text: str) -> str:
    """Decimal text without trailing zeros, as the 2026 wire has it."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def trade_lite(spec: Spec, o: Order, ex: Execution, now_ms: int) -> str:
    """The early fill notice: padded decimals, no money."""
    return (
        f'{{"e":"TRADE_LITE","E":{now_ms},"T":{ex.time_ms},"s":"{o.symbol}","q":"{spec.qty(o.qty)}",'
        f'"p":"{spec.px(o.px)}",'
        f'"m":{truth(ex.maker)},"c":"{o.client_id}","S":"{side_text(o.side)}","L":"{spec.px(ex.px)}",'
        f'"l":"{spec.qty(ex.qty)}","t":{ex.id},"i":{o.id}}}'
    )


def order_update(
    spec: Spec,
    o: Order,
    x: str,
    now_ms: int,
    *,
    ex: Execution | None = None,
    progress: tuple[str, int, int] | None = None,
    open_notional: tuple[str, str] = ("0", "0"),
    modify_id: str = "",
) -> str:
    """
    ORDER_TRADE_UPDATE.

    Args:
        x: execution type.
        ex: the fill when x is TRADE.
        progress: (status, filled, cost) to show, when the order has moved on since; default its present state.
        open_notional: texts of `b` and `a`.
    """
    status, filled, cost = progress or (o.status, o.filled, o.cost)
    when = ex.time_ms if ex else o.update_ms
    last = (
        f'"l":"{trim(ex.qty, spec.qty_exp)}","z":"{trim(filled, spec.qty_exp)}","L":"{trim(ex.px, spec.px_exp)}"'
        if ex
        else (f'"l":"0","z":"{trim(filled, spec.qty_exp)}","L":"0"')
    )
    fee = f'"n":"{trim(ex.fee_e8, E8)}","N":"{ex.asset}",' if ex else f'"n":"0","N":"{spec.quote}",'
    amended = f'"M":{modify_id},' if modify_id else ""
    er = o.reason if x in ("EXPIRED", "CANCELED") else 0
    return (
        f'{{"e":"ORDER_TRADE_UPDATE","T":{when},"E":{now_ms},"o":{{"s":"{o.symbol}","c":"{o.client_id}",'
        f'"S":"{side_text(o.side)}","o":"{o.kind}","f":"{o.tif}","q":"{trim(o.qty, spec.qty_exp)}",'
        f'"p":"{trim(o.px, spec.px_exp)}","ap":"{plain(average(spec, filled, cost))}",'
        f'"sp":"{trim(o.stop_px, spec.px_exp)}","x":"{x}","X":"{status}","i":{o.id},{amended}{last},{fee}"T":{when},'
        f'"t":{ex.id if ex else 0},"b":"{open_notional[0]}","a":"{open_notional[1]}",'
        f'"m":{truth(ex is not None and ex.maker)},"R":{truth(o.reduce_only)},"wt":"{o.working_type}",'
        f'"ot":"{o.born_kind or o.kind}","ps":"{o.position_side}","cp":{truth(o.close_position)},'
        f'"rp":"{trim(ex.realised_e8, E8) if ex else "0"}","pP":{truth(o.price_protect)},'
        f'"si":0,"ss":0,"V":"{o.stp}","pm":"{o.price_match}","gtd":{o.gtd_ms},"er":"{er}"}}}}'
    )


def position_text(account: Account, m: Market, side: str) -> str:
    """One entry of `P`."""
    spec, pos = m.spec, account.position(m.spec.name, side)
    margin = "isolated" if spec.name in account.settings.isolated else "cross"
    return (
        f'{{"s":"{spec.name}","pa":"{trim(pos.qty, spec.qty_exp)}","ep":"{pos.entry_text(spec)}",'
        f'"cr":"{trim(pos.realised_e8, E8)}","up":"{trim(pos.unrealised_e8(spec, m.mark()) if pos.qty else 0, E8)}",'
        f'"mt":"{margin}","iw":"{trim(pos.isolated_e8, E8)}","ps":"{side}","ma":"{spec.quote}",'
        f'"bep":"{pos.break_even_text(spec)}"}}'
    )


def account_update(
    account: Account,
    rows: list[tuple[Market, str]],
    reason: str,
    now_ms: int,
    *,
    changes: dict[str, int],
    quotes: dict[str, str],
    about: str = "",
) -> str:
    """
    ACCOUNT_UPDATE.

    Args:
        rows: (market, position side) that changed.
        changes: per asset to list, the change that is neither profit nor commission, 1e-8 (`bc`).
        quotes: margin asset of every symbol.
        about: the symbol of a FUNDING_FEE (`S`).
    """
    balances = ",".join(
        f'{{"a":"{a}","wb":"{trim(account.wallet[a], E8)}",'
        f'"cw":"{trim(account.wallet[a] - account.isolated_e8(a, quotes), E8)}","bc":"{trim(changes[a], E8)}"}}'
        for a in sorted(changes)
    )
    shown = ",".join(position_text(account, m, side) for m, side in rows)
    named = f',"S":"{about}"' if about else ""
    inside = f'"B":[{balances}],"P":[{shown}],"m":"{reason}"{named}'
    return f'{{"e":"ACCOUNT_UPDATE","T":{now_ms},"E":{now_ms},"a":{{{inside}}}}}'


def account_config(now_ms: int, symbol: str = "", leverage: int = 0, multi_assets: bool = False) -> str:
    """ACCOUNT_CONFIG_UPDATE: a symbol's new leverage, or without a symbol the account's margin mode."""
    body = f'"ac":{{"s":"{symbol}","l":{leverage}}}' if symbol else f'"ai":{{"j":{truth(multi_assets)}}}'
    return f'{{"e":"ACCOUNT_CONFIG_UPDATE","E":{now_ms},"T":{now_ms},{body}}}'


def margin_call(account: Account, rows: list[tuple[Market, str, int]], cross_e8: int | None, now_ms: int) -> str:
    """MARGIN_CALL; rows of (market, position side, maintenance margin in 1e-8); no cross wallet for an isolated one."""
    shown = []
    for m, side, need in rows:
        spec, pos = m.spec, account.position(m.spec.name, side)
        margin = "ISOLATED" if spec.name in account.settings.isolated else "CROSSED"
        shown.append(
            f'{{"s":"{spec.name}","ps":"{side}","pa":"{trim(pos.qty, spec.qty_exp)}","mt":"{margin}",'
            f'"iw":"{trim(pos.isolated_e8, E8)}","mp":"{dec(m.mark(), E8)}",'
            f'"up":"{dec(pos.unrealised_e8(spec, m.mark()), E8)}","mm":"{dec(need, E8)}"}}'
        )
    wallet = "" if cross_e8 is None else f'"cw":"{trim(cross_e8, E8)}",'
    return f'{{"e":"MARGIN_CALL","E":{now_ms},{wallet}"p":[{",".join(shown)}]}}'


def listen_key_expired(key: str, now_ms: int) -> str:
    """The only in-band notice that a user stream is dead; `E` is a string, as seen."""
    return f'{{"e":"listenKeyExpired","E":"{now_ms}","listenKey":"{key}"}}'
