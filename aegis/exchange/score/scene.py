"""The words cases are written in: ask, expect, wait, compare with the venue, plant a fault.

What must stay true: every waiting has a deadline and says what it waited for; a case compares with the venue's truth,
never with what the client said a moment ago; the number of orders the venue ever saw is part of every comparison, so
that an order sent twice is always seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp

from aegis.errors import VenueError
from aegis.exchange.score.compare import balance_difference, open_difference, order_difference, position_difference
from aegis.exchange.score.speech import Answer, Client, Failed, Unmet, number
from aegis.exchange.score.world import Truth, VenueFault, World

ANSWER_S = 12.0
CONNECT_S = 40.0
SETTLE_S = 20.0
NOTICE_S = 30.0
LOOK_S, LOOK_S_MAX = 0.05, 1.0  # a client that asks the venue for every answer must not run into its limits
BTC, ETH = "BTCUSDT", "ETHUSDT"
FAR = Decimal("0.975")


class Scene:
    """
    A venue and a client for one case.

    Args:
        command: of the client.
        patience: factor on every deadline, for slow machines and quick tests.
    """

    def __init__(
        self, world: World, command: str, environ: Mapping[str, str], log: Path, patience: float = 1.0
    ) -> None:
        self.patience = patience
        self.world, self._command, self._environ, self._log = world, command, environ, log
        self._client: Client | None = None
        self.verbs: tuple[str, ...] = ()
        self.name = ""
        self.before = 0
        self._injected: dict[int, str] = {}

    @property
    def client(self) -> Client:
        """The client; it must have been started."""
        if self._client is None:
            raise Failed("the client is not started")
        return self._client

    @property
    def started(self) -> bool:
        """Whether there is a client that lives."""
        return self._client is not None and not self._client.ended

    async def start(self) -> None:
        """Start the client, hear its name, let it connect."""
        environ = {**self._environ, **self.world.environ()}
        self._client = await Client.start(self._command, environ, self._log)
        hello = await self._client.ask("hello", CONNECT_S)
        self.name = str(hello.body.get("name", "?"))
        self.verbs = tuple(str(v) for v in hello.body.get("verbs", ()))
        connected = await self._client.ask("connect", CONNECT_S)
        if not connected.ok:
            raise Failed(f"connect: {connected}")

    async def end(self) -> None:
        """End client and venue."""
        if self._client is not None:
            await self._client.end()
        await self.world.stop()

    async def begin(self) -> None:
        """Remember how many orders the venue has seen."""
        self._injected = {}
        self.before = len((await self.world.truth()).orders)

    # -- asking

    async def ask(self, verb: str, limit_s: float = ANSWER_S, **fields: Any) -> Answer:
        """The answer, whatever it is."""
        return await self.client.ask(verb, limit_s, **{k: _plain(v) for k, v in fields.items() if v is not None})

    async def ok(self, verb: str, limit_s: float = ANSWER_S, **fields: Any) -> Answer:
        """An answer that must say it was done."""
        answer = await self.ask(verb, limit_s, **fields)
        if not answer.ok:
            raise Failed(f"{verb}: {answer}")
        return answer

    async def refused(self, verb: str, *codes: int, limit_s: float = ANSWER_S, **fields: Any) -> Answer:
        """
        An answer that must be a refusal: by the client itself, or by the venue with one of `codes` (none given: any).
        """
        answer = await self.ask(verb, limit_s, **fields)
        if answer.ok:
            raise Failed(f"{verb}: answered as done, it had to be refused")
        if answer.kind != "refused":
            raise Failed(f"{verb}: {answer}, expected kind refused")
        if answer.code and codes and answer.code not in codes:
            raise Failed(f"{verb}: code {answer.code}, expected {' or '.join(map(str, codes))}")
        return answer

    async def place(self, side: str, quantity: Decimal, price: Decimal | None = None, **more: Any) -> str:
        """Place an order that must be taken; its client id. Without a price it is a MARKET order, else GTC."""
        fields = _order(side, quantity, price, more)
        answer = await self.ok("place", **fields)
        return answer.text("client_id")

    async def place_refused(self, codes: tuple[int, ...], side: str, quantity: Decimal, **more: Any) -> Answer:
        """Place an order that must be refused and leave no order, by a client that does not refuse just everything."""
        answer = await self.refused("place", *codes, **_order(side, quantity, more.pop("price", None), more))
        await self.new_orders(0)
        await self.still_trades()
        return answer

    async def still_trades(self) -> None:
        """A right order goes through and is cancelled."""
        price, quantity = await self.far("BUY")
        client_id = await self.place("BUY", quantity, price)
        await self.ok("cancel", symbol=BTC, client_id=client_id)
        await self.order_agrees(client_id)

    # -- waiting

    async def until(self, look: Callable[[], Awaitable[Any]], limit_s: float, what: str) -> Any:
        """First truthy value of `look`; what it raises counts as not yet. Failed after `limit_s` s, times patience."""
        loop = asyncio.get_running_loop()
        limit_s *= self.patience
        end, last, pause = loop.time() + limit_s, "", LOOK_S
        while True:
            try:
                seen = await look()
                if seen:
                    return seen
            except (Failed, VenueFault, aiohttp.ClientError, TimeoutError) as e:
                last = f" ({e})"
            if loop.time() > end:
                raise Failed(f"not within {limit_s:g} s: {what}{last}")
            await asyncio.sleep(pause)
            pause = min(pause * 1.3, LOOK_S_MAX)

    async def holds(self, look: Callable[[], Awaitable[Any]], for_s: float, what: str) -> None:
        """`look` must stay truthy for `for_s` s."""
        loop = asyncio.get_running_loop()
        end = loop.time() + for_s
        while loop.time() < end:
            if not await look():
                raise Failed(what)
            await asyncio.sleep(LOOK_S * 4)

    # -- comparing

    async def new_orders(self, count: int) -> list[dict[str, Any]]:
        """The orders the venue saw since the case began; there must be exactly `count`."""
        found = (await self.world.truth()).orders[self.before :]
        if len(found) != count:
            raise Failed(f"the venue saw {len(found)} orders, expected {count}")
        return found

    async def at_most(self, count: int) -> bool:
        """Whether the venue saw no more orders than this since the case began."""
        return len((await self.world.truth()).orders) <= self.before + count

    async def sent_once(self, for_s: float = 3.0) -> dict[str, Any]:
        """The one order of this case; no second one comes within `for_s` s."""

        await self.holds(lambda: self.at_most(1), for_s, "the order was sent a second time")
        return (await self.new_orders(1))[0]

    async def order_agrees(self, client_id: str, symbol: str = BTC, limit_s: float = SETTLE_S) -> dict[str, Any]:
        """Wait until the client's view of an order is the venue's; the venue's."""

        async def look() -> dict[str, Any] | None:
            theirs = (await self.world.truth()).order(client_id)
            if theirs is None:
                raise Failed(f"the venue knows no order {client_id}")
            differs = order_difference(await self.view(client_id, symbol), theirs)
            if differs:
                raise Failed(differs)
            return theirs

        found: dict[str, Any] = await self.until(look, limit_s, "the client's order is the venue's")
        return found

    async def view(self, client_id: str, symbol: str = BTC) -> dict[str, Any]:
        """The client's view of an order."""
        answer = await self.ok("order", symbol=symbol, client_id=client_id)
        order = answer.body.get("order")
        if not isinstance(order, dict):
            raise Failed(f"order: {answer}, expected an object 'order'")
        return order

    async def agrees(self, limit_s: float = SETTLE_S) -> Truth:
        """Wait until open orders, positions and balances of the client are the venue's; the truth then."""

        async def look() -> Truth | None:
            before = await self.world.truth()
            orders = (await self.ok("open_orders")).rows("orders")
            positions = (await self.ok("positions")).rows("positions")
            balances = (await self.ok("balances")).body.get("balances")
            truth = await self.world.truth()
            if (before.positions, before.wallets, len(before.open)) != (
                truth.positions,
                truth.wallets,
                len(truth.open),
            ):
                return None
            if not isinstance(balances, dict):
                raise Failed("balances: expected an object")
            differs = [
                *open_difference(orders, truth),
                *position_difference(positions, truth),
                *balance_difference(balances, truth),
            ]
            if differs:
                raise Failed("; ".join(differs))
            return truth

        found: Truth = await self.until(look, limit_s, "the client's account is the venue's")
        return found

    async def position_seen(self, symbol: str = BTC, limit_s: float = NOTICE_S) -> Decimal:
        """Wait until the client's position in a symbol is the venue's; it."""

        async def look() -> bool:
            truth = await self.world.truth()
            rows = (await self.ok("positions")).rows("positions")
            ours = sum((number(r.get("quantity"), "quantity") for r in rows if r.get("symbol") == symbol), Decimal(0))
            if ours != truth.position(symbol):
                raise Failed(f"client {ours}, venue {truth.position(symbol)}")
            return True

        await self.until(look, limit_s, f"the client knows its position in {symbol}")
        return (await self.world.truth()).position(symbol)

    async def health(self) -> Mapping[str, Any]:
        """The client's own word about its health."""
        return (await self.ok("health")).body

    async def trusts(self, *parts: str, limit_s: float = NOTICE_S) -> None:
        """Wait until the client calls these parts (market, account) trusted."""

        async def look() -> bool:
            said = await self.health()
            wrong = {p: said.get(p) for p in parts if said.get(p) != "trusted"}
            if wrong:
                raise Failed(f"{wrong} {said.get('reason', '')}")
            return True

        await self.until(look, limit_s, f"{' and '.join(parts)} trusted")

    async def top_agrees(self, symbol: str = BTC, limit_s: float = NOTICE_S) -> None:
        """Wait until the client trusts its best prices and they are the venue's before or after it was asked."""

        async def look() -> bool:
            before = await self.world.quote(symbol)
            said = await self.ok("top", symbol=symbol)
            after = await self.world.quote(symbol)
            if said.body.get("trusted") is not True:
                raise Failed("not trusted")
            ours = (number(said.body.get("bid"), "bid"), number(said.body.get("ask"), "ask"))
            if ours not in (before, after):
                raise Failed(f"client {ours}, venue {after}")
            return True

        await self.until(look, limit_s, "the client's best prices are the venue's, and trusted")

    # -- common arrangements

    async def far(self, side: str, symbol: str = BTC) -> tuple[Decimal, Decimal]:
        """(price, quantity) of a small order that rests without being hit."""
        grid = await self.world.grid(symbol)
        bid, ask = await self.world.quote(symbol)
        price = grid.price(bid * FAR if side == "BUY" else ask / FAR)
        return price, grid.quantity(grid.notional_min * 2 / price)

    async def small(self, symbol: str = BTC) -> Decimal:
        """A quantity of about twice the smallest notional."""
        grid = await self.world.grid(symbol)
        bid, _ = await self.world.quote(symbol)
        return grid.quantity(grid.notional_min * 2 / bid)

    async def bought(self, symbol: str = BTC) -> Decimal:
        """Buy a small position at the market and wait until client and venue agree on it; its quantity."""
        quantity = await self.small(symbol)
        client_id = await self.place("BUY", quantity, symbol=symbol)
        await self.order_agrees(client_id, symbol)
        held = await self.position_seen(symbol)
        if held != quantity:
            raise Failed(f"the venue holds {held} after buying {quantity}")
        return quantity

    async def inside(self, quantity: Decimal, side: str = "BUY") -> tuple[str, Decimal]:
        """A resting order of the client at the best price; (client id, price)."""
        bid, ask = await self.world.quote(BTC)
        price = bid if side == "BUY" else ask
        return await self.place(side, quantity, price), price

    async def hit(self, client_id: str, price: Decimal, quantity: Decimal, side: str = "BUY") -> None:
        """Trade by the other account until at least so much of the client's order (on `side`) is filled."""
        away = "SELL" if side == "BUY" else "BUY"
        await self.world.control("transfer", {"account": "second", "asset": "USDT", "amount": "1000000"})

        async def filled() -> bool:
            found = (await self.world.truth()).order(client_id)
            if found is None or found["status"] == "FILLED":
                return found is not None
            missing = quantity - Decimal(found["executedQty"])
            if missing > 0:
                working = Decimal(found["origQty"]) - Decimal(found["executedQty"])
                size = max(missing, await self.world.ahead(BTC, side, price) - working + missing)
                try:
                    await self.world.other.call(
                        "POST", "/fapi/v1/order", symbol=BTC, side=away, type="LIMIT", timeInForce="IOC", price=price,
                        quantity=size,
                    )  # fmt: skip
                except VenueError as e:
                    raise Failed(f"the other account: {e}, {missing} of {size} at {price}") from e
            return missing <= 0

        await self.until(filled, SETTLE_S, "the other account fills the client's order")

    # -- faults

    async def inject(self, name: str, *, optional: bool = False, **params: Any) -> None:
        """A named fault; unless `optional` something of the client must meet it, or the case shows nothing."""
        ident = await self.world.inject(name, **params)
        if not optional:
            self._injected[ident] = name

    async def unmet(self) -> list[str]:
        """Faults that have not struck yet."""
        hits = await self.world.hits()
        return [name for ident, name in self._injected.items() if not hits.get(ident)]

    async def met(self) -> bool:
        """Whether every fault has struck."""
        return not await self.unmet()

    async def struck(self, limit_s: float = SETTLE_S) -> None:
        """
        Wait until every fault has struck.

        Raises:
            Unspoken: not within `limit_s` s: the client has nothing that it would strike.
        """
        try:
            await self.until(self.met, limit_s, "faults strike")
        except Failed as e:
            raise Unmet(f"what {', '.join(await self.unmet())} would strike") from e

    async def clear(self) -> None:
        """
        End what was injected.

        Raises:
            Unspoken: something of it never struck, so nothing was shown.
        """
        unmet = await self.unmet()
        await self.world.heal()
        self._injected = {}
        if unmet:
            raise Unmet(f"what {', '.join(unmet)} would strike")


def _plain(value: Any) -> Any:
    return format(value, "f") if isinstance(value, Decimal) else value


def _order(side: str, quantity: Decimal, price: Decimal | None, more: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {"symbol": BTC, "side": side, "quantity": quantity, "price": price} | dict(more)
    fields.setdefault("type", "MARKET" if price is None else "LIMIT")
    if price is not None:
        fields.setdefault("time_in_force", "GTC")
    return fields
