"""Rows of the whole way: a tick on the socket to its order on the socket, real feed and brain, none missed.

What must stay true: the limit is the bare loop on the same sockets with the same waiting; each row says what it was
measured against in us, how many pairs had a steady limit, and a way of waiting this machine has no cores for is said
so in a row of its own.
"""

from __future__ import annotations

import path
import path_tools
from table import Row

WAYS = (
    # name, wait, strategy, TLS, goal of p50, goal of p99
    ("Python strategy, block", "block", "path_strategy:Marked", False, 1.5, 2.0),
    ("Python strategy, spin", "spin", "path_strategy:Marked", False, 1.2, 2.0),
    ("armed trigger, block", "block", "path_strategy:Armed", False, 1.1, 2.0),
    ("armed trigger, spin", "spin", "path_strategy:Armed", False, 1.1, 2.0),
    ("Python strategy, block, TLS", "block", "path_strategy:Marked", True, None, None),
)
HOPS = [hop for hops in path.HOPS_OF.values() for hop in hops]
RATES = (100, 5_000, 20_000)


def rows(quick: bool) -> list[Row]:
    """Every way that this machine has cores for."""
    found: list[Row] = []
    for name, wait, strategy, secure, goal, goal_p99 in WAYS:
        if path.cores(wait) is None:
            why = "not measured: needs 4 cores, for whoever spins needs one of its own"
            found.append(Row(f"tick → order, {name}", "bare loop", float("nan"), detail=why))
            continue
        with path.arena(wait, strategy, secure=secure) as (peer, product):
            for rate in RATES:
                found += _rate(peer, product, f"tick → order, {name}, {rate}/s", rate, (goal, goal_p99), quick)
    return [*found, _split(quick), _machine()]


def _rate(
    peer: path.Peer, product: path.Product, name: str, rate: int, goals: tuple[float | None, float | None], quick: bool
) -> list[Row]:
    pairs = path.pairs(peer, product, rate, 800 if quick else 2000, 2 if quick else 5)
    steady = [p for p in pairs if p.steady]
    ours, limit = (path.median(v) for v in ([p.run.at(0.5) for p in steady], [p.limit(0.5) for p in steady]))
    marks = sum(p.run.facts["marks"] for p in pairs)
    cpu = ", ".join(f"{who} {path.median([p.run.cpu_us[who] for p in pairs]):.1f}" for who in ("feed", "brain"))
    hops = ", ".join(f"{hop} {path.median([p.run.hops.get(hop, 0) for p in pairs]) / 1000:.1f}" for hop in HOPS)
    detail = (
        f"{ours:.0f} us to {limit:.0f} us; {len(steady)} of {len(pairs)} pairs steady; {marks} marks, one order each;"
        f" CPU us a tick: {cpu}; hops us: {hops}"
    )
    tail, limit_tail = path.pooled(steady, 0.99)
    against = "bare recv→send loop"
    return [
        Row(f"{name} p50", against, path.median([p.ratio(0.5) for p in steady]), goals[0], detail=detail),
        Row(f"{name} p99", against, tail / limit_tail, goals[1], detail=f"{tail:.0f} us to {limit_tail:.0f} us"),
    ]


def _split(quick: bool) -> Row:
    """What two processes cost by themselves: the bare loop cut in two, a futex between."""
    at = path.cores("block")
    assert at is not None
    peer = path.Peer(at.venue)
    ends: list[path.Peer | path.Bare] = [peer, path.Bare(peer, at.feed, "block")]
    try:
        relay = path.Bare(peer, at.feed, "relay", client=2)
        ends.append(relay)
        steady = [p for p in path.pairs(peer, relay, 5_000, 800 if quick else 2000, 2 if quick else 5) if p.steady]
    finally:
        for end in reversed(ends):
            end.close()
    ours, limit = path.median([p.run.at(0.5) for p in steady]), path.median([p.limit(0.5) for p in steady])
    return Row("tick → order, the bare loop cut in two processes, block, 5000/s p50", "bare recv→send loop",
               path.median([p.ratio(0.5) for p in steady]), detail=f"{ours:.0f} us to {limit:.0f} us")  # fmt: skip


def _machine() -> Row:
    at = path.cores("block")
    assert at is not None
    seen = [path_tools.jitter(cpu) for cpu in (at.venue, at.feed)]
    lost, spent = sum(s["lost_us"] for s in seen), sum(s["ms"] * 1000 for s in seen)
    detail = "; ".join(
        f"core {s['cpu']}: {s['holes']} holes over 10 us, longest {s['longest_us']} us, p99.9 {s['p999_ns']} ns"
        for s in seen
    )
    return Row("machine: time taken from a loop on the clock", "the whole time", lost / spent, detail=detail)
