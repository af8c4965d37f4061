"""The brain around the desk in C: what was sent is booked whatever follows, and the gate counts all that may fill."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

pytest.importorskip("aegis.native._aegis")

from desk_rig import Rig, buy, ticker

from aegis.config import Config
from aegis.live.brain_orders import Entry
from aegis.live.brain_turn import Brain
from aegis.live.clock import Clock
from aegis.live.log import Log
from aegis.live.notify import Notifier
from aegis.messages import Cancel, Halt, OrderRecord, OrderStep, OrderType, Refusal, Side, Tif
from aegis.native import turn
from aegis.units import Num

DECIDED: list[Any] = []  # what the strategy answers next


class Told:
    """A strategy that answers what it was told to."""

    def __init__(self, _params: Any) -> None:
        self.batches = 0

    def on_batch(self, _ctx: Any, _batch: Any) -> list[Any]:
        self.batches += 1
        answer, DECIDED[:] = list(DECIDED), []
        return answer

    def on_order(self, _ctx: Any, _update: Any) -> list[Any]:
        return []

    def on_timer(self, _ctx: Any) -> list[Any]:
        return []


class Silent:
    """Clients of a venue that does not answer; `sent`: names of what was written on the order connection."""

    def __init__(self) -> None:
        self.ready, self.logged_on, self.clock_offset_ms, self.sent = True, False, 0, []  # type: bool, bool, int, list[str]
        self.answers: dict[str, Any] = {}

    async def get(self, path: str, *_a: Any, **_k: Any) -> Any:
        while path not in self.answers:
            await asyncio.sleep(3600)
        return self.answers[path]

    post = delete = call = get

    def send(self, name: str, _method: str, _params: Any) -> None:
        self.sent.append(name)

    def kick(self) -> None:
        pass


class Stage:
    """A brain over a real desk; the market is quoted now, and the account flat and reconciled."""

    def __init__(self, root: Path, left: Callable[[Entry], None] = lambda _entry: None, **rig: Any) -> None:
        shm = root / "here"
        shm.mkdir()
        DECIDED.clear()
        self.rig = Rig(shm, **rig)
        self.rig.d.link(self.rig.conn)
        (shm / "positions.json").write_bytes(msgspec.json.encode({"reconciled": True}))
        config = msgspec.convert(
            {"aegis": {"shm_dir": str(root), "instance": "here"}, "brain": {"strategy": f"{__name__}:Told"}}, Config
        )
        self.venue = Silent()
        self.entry = Entry(self.venue, self.venue, 5000, clock=Clock(), log=Log("test"), ring=self.rig.writer)
        left(self.entry)
        self.entry.tidy = True
        self.brain = Brain(config, self.rig.d, self.entry, self.rig.control, Clock(), Notifier({}))
        self.quote()
        self.brain._look()

    def quote(self) -> None:
        """A quote of now, in book and ticker."""
        now = time.time_ns()
        for i in range(2):
            self.rig.page.entries[i].recv_ns = now
            self.rig.gate.ticks(ticker(i, at=now))

    def decide(self, *intents: Any) -> None:
        """One turn in which the strategy wants this."""
        self.brain._act(list(intents))

    def close(self) -> None:
        self.brain.turns.wait.close()
        self.rig.close()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    made: list[Stage] = []

    def build(**more: Any) -> Stage:
        made.append(Stage(tmp_path, **more))
        return made[-1]

    yield build
    for stage in made:
        stage.close()


def test_what_an_earlier_brain_left_counts_in_the_gate(make: Callable[..., Stage]) -> None:
    """Orders recovered from the ring may still fill: the gate knows of them before its first entry."""

    def left(entry: Entry) -> None:
        record = OrderRecord(
            step=OrderStep.SENT, now_ns=1, client_id="ae-1-0", symbol="BTCUSDT", side=Side.BUY, type=OrderType.LIMIT,
            tif=Tif.GTC, qty=Num(1490), price=Num(67000), state=2,
        )  # fmt: skip
        entry.orders.recover([record], time.time_ns())

    stage = make(left=left)
    assert stage.entry.orders.exposure("BTCUSDT").buy == Num(1490)
    assert stage.rig.gate.check(buy(qty="14"), time.time_ns()) is Refusal.POSITION_NOTIONAL  # 1504 * 67000 > 10**8


def test_an_intent_that_is_none_halts_and_loses_no_order(make: Callable[..., Stage]) -> None:
    """The strategy's nonsense is its fault, not the end of the process; orders sent before it are followed."""
    stage = make()
    unsaid = (None, "sell it all", msgspec.structs.replace(buy(), qty=0.01), Cancel(symbol="", client_id=["x"]))  # type: ignore[arg-type]
    for n, nonsense in enumerate(unsaid):
        stage.rig.control.resume()
        stage.brain._look()
        stage.quote()
        stage.decide(buy(), nonsense, buy())
        assert len(stage.rig.frames()) == 1 and len(stage.entry.orders.live) == n + 1
        assert stage.brain.block.halt_reason is Halt.STRATEGY_FAULT and stage.brain.faulted
        assert stage.entry.accepted == stage.rig.gate.accepted


@pytest.mark.parametrize(
    "place",
    [buy(price="1" + "0" * 30), buy(symbol="X" * 300), buy(symbol="\u4e2d" * 300), buy(qty="0." + "0" * 300 + "1")],
    ids=["price", "symbol", "wide", "quantity"],
)
def test_what_no_record_holds_is_refused_and_recorded(make: Callable[..., Stage], place: Any) -> None:
    """A refusal that does not fit a record is cut, never the end of the brain; nothing of it was sent."""
    stage = make()
    stage.decide(place, buy())
    assert len(stage.rig.frames()) == 1 and len(stage.entry.orders.live) == 1
    steps = [r.step for r in stage.rig.records()]
    assert steps.count(OrderStep.REFUSED) == 1 and not stage.brain.faulted


@pytest.mark.parametrize("tag", ["x" * 200, "\u4e2d" * 15])
def test_a_word_too_long_is_cut_everywhere_alike(make: Callable[..., Stage], tag: str) -> None:
    """The order was sent; that its name does not fit a record is nothing to die of."""
    stage = make()
    stage.decide(buy(tag=tag))
    (order,) = stage.entry.orders.live.values()
    assert len(stage.rig.frames()) == 1 and len(order.tag) == 15
    assert {r.tag for r in stage.rig.records() if r.client_id} == {order.tag}


def test_ids_are_reserved_though_the_market_never_rests(make: Callable[..., Stage]) -> None:
    """An armed order is not refused for want of an id because no moment was idle."""
    stage = make(block=64)
    for _ in range(60):
        stage.quote()
        assert stage.rig.d.place(buy(), time.time_ns()).refusal is Refusal.ACCEPTED
        stage.rig.gate.seen(stage.rig.gate.accepted)
    stage.brain.turns.c.mono_ns += 2_000_000_000
    stage.brain._beside(turn.LOOK)  # records came in every turn of the last second
    assert stage.rig.blocks[-1] >= 60 + 64


def test_a_disk_that_refuses_ids_halts_entries_and_kills_nobody(make: Callable[..., Stage]) -> None:
    """Exits go on with what is left; then an order without an id is refused."""
    stage = make(block=4)
    desk = stage.rig.d

    def full(_limit: int) -> None:
        raise OSError(28, "No space left on device")

    desk._reserve = full
    for _ in range(3):
        assert desk.place(buy(), time.time_ns()).refusal is Refusal.ACCEPTED
    stage.brain._reserve()
    assert stage.brain.block.halt_reason is Halt.STORE and not stage.brain.faulted
    assert desk.place(buy(), time.time_ns()).refusal is Refusal.HALTED
    stage.rig.control.resume()
    stage.brain._look()
    assert [desk.place(buy(), time.time_ns()).refusal for _ in range(2)] == [Refusal.ACCEPTED, Refusal.NO_IDS]
    armed = desk.arm(buy(), 0, Side.SELL, Num(1), above=False, until_ns=time.time_ns() + 10**12, now_ns=time.time_ns())
    assert armed == (-1, Refusal.NO_IDS)
    desk._reserve = stage.rig.blocks.append
    armed = desk.arm(buy(), 0, Side.SELL, Num(1), above=False, until_ns=time.time_ns() + 10**12, now_ns=time.time_ns())
    assert armed[1] is Refusal.ACCEPTED
