"""`make bench`: every measure of the hot path beside its limit, in one run, as ratios, each goal met or missed.

Problem: an absolute time on a shared machine proves nothing. So a measure and what it is compared with take turns in
one process or one script, a row keeps the ratio of their medians, and pairs whose limit changed meanwhile are dropped
by whoever measures. Each `rows_*.py` beside this file measures one part: it has `rows(quick) -> list[Row]`.
What must stay true: a part that fails is a missing row and a non-zero exit, never a silent gap; goals stand in the row.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Row:
    """
    One line of the table.

    `ratio` is measure / limit unless `more_is_better`; `goal` None is a row for comparison only (a rival). `detail`:
    what was measured, with both absolute values, for whoever wants to doubt it.
    """

    measure: str
    against: str
    ratio: float
    goal: float | None = None
    more_is_better: bool = False
    detail: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        if self.goal is None:
            return None
        return self.ratio >= self.goal if self.more_is_better else self.ratio <= self.goal


def line(row: Row) -> str:
    """The row as a Markdown table line."""
    sign = "≥" if row.more_is_better else "≤"
    goal = "–" if row.goal is None else f"{sign} {row.goal:g}"
    verdict = {True: "met", False: "**missed**", None: ""}[row.met]
    return f"| {row.measure} | {row.against} | {row.ratio:.3g} | {goal} | {verdict} | {row.detail} |"


def parts(only: list[str]) -> list[str]:
    """Names of the measuring modules, all or those asked for."""
    found = sorted(p.stem.removeprefix("rows_") for p in HERE.glob("rows_*.py"))
    unknown = sorted(set(only) - set(found))
    if unknown:
        raise SystemExit(f"bench: no part {', '.join(unknown)} (known: {', '.join(found)})")
    return only or found


def main(argv: list[str]) -> int:
    """Measure the parts one after another; 0 when all rows could be measured, met or not."""
    asked = argparse.ArgumentParser(prog="bench", description="the hot path against its limits, as ratios")
    asked.add_argument("parts", nargs="*", help="parts to measure (default all)")
    asked.add_argument("--quick", action="store_true", help="shorter rounds: a smoke test, not a measurement")
    asked.add_argument("--json", type=Path, help="also write the rows there")
    args = asked.parse_args(argv)
    sys.path.insert(0, str(HERE))
    rows: list[Row] = []
    failed: list[str] = []
    print("| measure | against | ratio | goal | | detail |\n|---|---|---|---|---|---|", flush=True)
    for name in parts(args.parts):
        try:
            found = importlib.import_module(f"rows_{name}").rows(quick=args.quick)
        except Exception:  # one part that breaks must not hide the others
            traceback.print_exc()
            failed.append(name)
            continue
        rows += found
        print("\n".join(line(r) for r in found), flush=True)
    judged = [r for r in rows if r.met is not None]
    print(f"\n{sum(bool(r.met) for r in judged)} of {len(judged)} goals met; parts that failed: {failed or 'none'}")
    if args.json:
        args.json.write_text(json.dumps([asdict(r) | {"met": r.met} for r in rows], indent=1))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.modules.setdefault("table", sys.modules["__main__"])  # the parts import Row from here
    sys.exit(main(sys.argv[1:]))
