"""Texts of user events, in the shapes seen on the wire.

Problem: clients break on shape, not on meaning: padded against trimmed decimals, `st`/`ps` present, commission fields
on NEW. The text is built directly, because every one of these shapes is written once and read by many.
What must stay true: every value put in is an int, a decimal text or a client id of the allowed characters, so no
escaping is needed.
"""

from __future__ import annotations

from aegis.exchange.account import Account, Execution
from aegis.exchange.matching import BUY, Order
from aegis.exchange.symbols import E8, Spec, dec, trim


def side_text(side: int) -> str:
    """BUY or SELL."""
    return "BUY" if side == BUY else "SELL"


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
        f'"m":{"true" if ex.maker else "false"},"c":"{o.client_id}","S":"{side_text(o.side)}","L":"{spec.px(ex.px)}",'
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
    fee = f'"n":"{dec(ex.fee_e8, E8)}","N":"{ex.asset}",' if ex else f'"n":"0","N":"{spec.quote}",'
    amended = f',"M":{modify_id}' if modify_id else ""
    return (
        f'{{"e":"ORDER_TRADE_UPDATE","T":{when},"E":{now_ms},"o":{{"s":"{o.symbol}","c":"{o.client_id}",'
        f'"S":"{side_text(o.side)}",'
        f'"o":"{o.kind}","f":"{o.tif}","q":"{trim(o.qty, spec.qty_exp)}","p":"{trim(o.px, spec.px_exp)}",'
        f'"ap":"{plain(average(spec, filled, cost))}","sp":"0","x":"{x}","X":"{status}",'
        f'"i":{o.id},{last},{fee}"T":{when},'
        f'"t":{ex.id if ex else 0},"b":"{open_notional[0]}","a":"{open_notional[1]}",'
        f'"m":{"true" if ex and ex.maker else "false"},'
        f'"R":{"true" if o.reduce_only else "false"},"wt":"CONTRACT_PRICE","ot":"{o.kind}","ps":"BOTH","cp":false,'
        f'"rp":"{dec(ex.realised_e8, E8) if ex and ex.realised_e8 else "0"}","pP":false,"si":0,"ss":0,'
        f'"V":"{o.stp}","pm":"NONE",'
        f'"gtd":{o.gtd_ms},"er":"{o.reason if x in ("EXPIRED", "CANCELED") else 0}"{amended}}}}}'
    )


def account_update(
    account: Account,
    specs: list[Spec],
    reason: str,
    now_ms: int,
    *,
    changes: dict[str, int] | None = None,
    marks: dict[str, int] | None = None,
) -> str:
    """
    ACCOUNT_UPDATE.

    Args:
        specs: symbols whose positions changed.
        changes: per asset the change that is neither profit nor commission, 1e-8 (`bc`); its assets are listed too.
        marks: mark price per symbol for `up`.
    """
    changes, marks = changes or {}, marks or {}
    assets = sorted({s.quote for s in specs} | set(changes))
    balances = ",".join(
        f'{{"a":"{a}","wb":"{trim(account.wallet[a], E8)}","cw":"{trim(account.wallet[a], E8)}",'
        f'"bc":"{trim(changes.get(a, 0), E8)}"}}'
        for a in assets
    )
    rows = []
    for s in specs:
        pos = account.position(s.name)
        entry = pos.entry_text(s)
        rows.append(
            f'{{"s":"{s.name}","pa":"{trim(pos.qty, s.qty_exp)}","ep":"{entry}","cr":"{trim(pos.realised_e8, E8)}",'
            f'"up":"{dec(pos.unrealised_e8(s, marks.get(s.name, 0)) if pos.qty else 0, E8)}","mt":"cross",'
            '"iw":"0","ps":"BOTH",'
            f'"ma":"{s.quote}","bep":"{entry}"}}'
        )
    about = f',"S":"{specs[0].name}"' if reason == "FUNDING_FEE" and specs else ""
    shown = "" if reason == "FUNDING_FEE" else ",".join(rows)
    inside = f'"B":[{balances}],"P":[{shown}],"m":"{reason}"{about}'
    return f'{{"e":"ACCOUNT_UPDATE","T":{now_ms},"E":{now_ms},"a":{{{inside}}}}}'


def listen_key_expired(key: str, now_ms: int) -> str:
    """The only in-band notice that a user stream is dead; `E` is a string, as seen."""
    return f'{{"e":"listenKeyExpired","E":"{now_ms}","listenKey":"{key}"}}'
