"""How results are shown: a line per case, a line per family, JSON, and the table of a README.

What must stay true: nothing is counted as passed that was not; not spoken is a column of its own in every form.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from aegis.exchange.score.case import Case
from aegis.exchange.score.runner import Result, Verdict

SHORT = {Verdict.PASSED: "passed", Verdict.FAILED: "FAILED", Verdict.UNSPOKEN: "not spoken"}


def line(result: Result) -> str:
    """One case."""
    head = f"{result.family:<9} {result.name:<44} {SHORT[result.verdict]:<10} {result.took_ms / 1000:6.1f} s"
    return f"{head}  {result.why}".rstrip()


def counts(results: Sequence[Result]) -> list[tuple[str, int, int, int]]:
    """(family, passed, failed, not spoken) per family and, last, in total."""
    families = list(dict.fromkeys(r.family for r in results))
    rows = []
    for family in [*families, "total"]:
        found = Counter(r.verdict for r in results if family in (r.family, "total"))
        rows.append((family, found[Verdict.PASSED], found[Verdict.FAILED], found[Verdict.UNSPOKEN]))
    return rows


def summary(name: str, results: Sequence[Result], took_s: float) -> str:
    """The last lines of the table."""
    lines = [f"client: {name}", f"{'family':<9} {'passed':>6} {'failed':>6} {'not spoken':>10}"]
    lines += [f"{family:<9} {p:>6} {f:>6} {u:>10}" for family, p, f, u in counts(results)]
    return "\n".join([*lines, f"{len(results)} cases in {took_s:.0f} s"])


def as_json(name: str, results: Sequence[Result], took_s: float) -> dict[str, Any]:
    """Everything as data."""
    _, passed, failed, unspoken = counts(results)[-1]
    rows = [
        {
            "family": r.family,
            "case": r.name,
            "law": r.doc,
            "verdict": r.verdict.value,
            "ms": r.took_ms,
            "why": r.why,
        }
        for r in results
    ]
    totals = {"cases": len(results), "passed": passed, "failed": failed, "not_spoken": unspoken}
    return {"client": name, **totals, "took_s": round(took_s, 1), "results": rows}


def markdown(name: str, results: Sequence[Result]) -> str:
    """The table of a README: families, then every case that did not pass."""
    lines = [f"| {name} | passed | failed | not spoken |", "|---|---:|---:|---:|"]
    lines += [f"| {family} | {p} | {f} | {u} |" for family, p, f, u in counts(results)]
    for verdict, title in ((Verdict.FAILED, "Failed"), (Verdict.UNSPOKEN, "Not spoken")):
        names = [f"`{r.name}`" for r in results if r.verdict is verdict]
        if names:
            lines += ["", f"{title}: {', '.join(names)}."]
    return "\n".join(lines)


def listing(cases: Sequence[Case]) -> str:
    """Every case with its law."""
    return "\n".join(f"{c.family:<9} {c.name:<44} {c.doc}" for c in cases)
