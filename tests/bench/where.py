"""Where a marked tick's time goes inside the brain, stage by stage: `where.py [RATE EVERY [STRATEGY]]`.

Problem: the histograms count every tick, but a decision is one tick in a hundred, and its code is cold. So this starts
the same arena as `rows_path.py` with a brain whose stages are stamped for the ticks that ended in an order, and prints
the median of each stage. On a busy machine put `chrt -f 1` before it: everything then runs before other work
(briefly: the venue spins), and what is left is ours.
What must stay true: stamps are taken around calls, never inside; they cost some 100 ns each and are in the figures.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import path
import path_tools

STAGES = (
    ("batch taken → strategy called", "C hands over; anything done before the strategy"),
    ("strategy", "on_batch and the list of its intents"),
    ("→ desk", "from the strategy's return to Desk.place"),
    ("desk → gated", "place to integers, into C, the gate"),
    ("gated → written", "id, record, signature, send"),
    ("written → returned", "what became of it, back in Python"),
    ("books", "everything after the bytes left, until the next turn"),
)
RUN = "import sys\nsys.path.insert(0, {here!r})\nimport where\nwhere.probed_brain({out!r})"
ROUNDS, MS = 5, 700


def probed_brain(out: str) -> None:
    """The brain process with stamps; they are written to `out` when it ends."""
    from aegis.config import load
    from aegis.live import brain, brain_turn
    from aegis.native import desk

    rows: list[list[int]] = []
    now = time.time_ns
    made, place, act = brain_turn.load, desk.Desk.place, brain_turn.Brain._act
    began: list[int] = []

    def loaded(*args: Any) -> Any:
        strategy = made(*args)
        decide = strategy.on_batch

        def asked(ctx: Any, batch: Any) -> Any:
            at = now()
            found = decide(ctx, batch)
            if found:
                began[:] = [ctx.now_ns, at, now()]
            return found

        strategy.on_batch = asked
        return strategy

    def placed(self: Any, *args: Any) -> Any:
        at = now()
        done = place(self, *args)
        rows.append([*began, at, done.gated_ns, done.written_ns, now()])
        return done

    def acted(self: Any, intents: Any) -> None:
        act(self, intents)
        rows[-1].append(now())

    brain_turn.load, desk.Desk.place = loaded, placed  # type: ignore[assignment,method-assign]
    brain_turn.Brain._act = acted  # type: ignore[method-assign]
    code = brain.run(load(None, os.environ).config)
    Path(out).write_text(json.dumps([r for r in rows if len(r) == len(STAGES) + 1 and r[4]]))
    sys.exit(code)


def main(rate: int, every: int, strategy: str) -> None:
    """Run the arena and print the stages."""
    out = path_tools.BUILD / "where.json"

    class Probed(path.Product):
        def code(self, name: str) -> str:
            return RUN.format(here=str(path.HERE), out=str(out)) if name == "brain" else super().code(name)

    path.Product = Probed  # type: ignore[misc]
    with path.arena("block", strategy) as (peer, product):
        marks: list[int] = []
        limit: list[int] = []
        for _ in range(ROUNDS):
            limit += peer.run(path.LIMIT, rate, MS, every).ns
            marks += product.run(peer, rate, MS, every).ns
            time.sleep(0.1)
    rows = json.loads(out.read_text())[10:]
    print(f"{len(rows)} orders at {rate}/s; tick to order {statistics.median(marks) / 1000:.1f} us,"
          f" bare loop {statistics.median(limit) / 1000:.1f} us")  # fmt: skip
    for i, (name, what) in enumerate(STAGES):
        print(f"{statistics.median(r[i + 1] - r[i] for r in rows) / 1000:7.1f} us  {name}: {what}")


if __name__ == "__main__":
    words = sys.argv[1:]
    main(int(words[0]) if words else 5_000, int(words[1]) if len(words) > 1 else 25,
         words[2] if len(words) > 2 else "path_strategy:Marked")  # fmt: skip
