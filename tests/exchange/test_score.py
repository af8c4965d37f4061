"""Laws of the score: a right client passes, each wrong one fails where it is wrong, and nothing unspoken is passed."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from aegis.exchange.score.case import CASES, Case
from aegis.exchange.score.runner import Result, Runner, Verdict
from aegis.exchange.score.scene import Scene
from aegis.exchange.score.score import cases
from aegis.exchange.score.speech import Failed
from aegis.exchange.score.table import counts, markdown
from aegis.exchange.score.world import VenueFault

ROOT = Path(__file__).resolve().parents[2]
PLAIN = shlex.join([sys.executable, str(ROOT / "tests" / "exchange" / "score_client.py")])


def score(*words: str, client: str = PLAIN) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON of `aegis venue score`."""
    command = [sys.executable, "-m", "aegis.cli.main", "venue", "score", "--json", *words]
    command += ["--client", client] if client else []
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.stdout, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, found


def verdicts(found: dict[str, Any]) -> dict[str, str]:
    """Verdict by case."""
    return {row["case"]: row["verdict"] for row in found["results"]}


def test_every_case_has_a_law_and_a_name_of_its_own() -> None:
    """At least 60 cases; each says in a sentence what must hold."""
    cases()
    assert len(CASES) >= 60
    assert len({c.name for c in CASES}) == len(CASES)
    assert [c.name for c in CASES if not c.doc.endswith((".", "?"))] == []


def test_a_right_client_fails_nothing_in_plain_life() -> None:
    """The plain client is right about everything it speaks; what it does not speak is not called passed."""
    code, found = score("--only", "life/")
    wrong = {row["case"]: row["why"] for row in found["results"] if row["verdict"] == "failed"}
    assert wrong == {}
    assert found["passed"] >= 25
    assert verdicts(found)["hedge_mode_holds_both_sides"] == "not spoken"
    assert found["passed"] + found["not_spoken"] == found["cases"]
    assert code == 2


def test_exit_code_is_0_only_when_all_passed() -> None:
    """One case that passes: 0. No case at all is not all passed."""
    assert score("--only", "opening_balances")[0] == 0
    command = [sys.executable, "-m", "aegis.cli.main", "venue", "score", "--client", PLAIN, "--only", "no_such_case"]
    assert subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 2


@pytest.mark.parametrize(
    ("mistake", "case"),
    [
        ("resend", "answer_lost_resting_order"),
        ("resend", "answer_lost_filled_order"),
        ("deaf", "position_opened_in_silence"),
        ("deaf", "position_closed_by_another_hand"),
        ("blind", "venue_goes_silent"),
        ("boast", "price_off_the_tick"),
        ("boast", "timeout_without_execution"),
    ],
)
def test_a_wrong_client_fails_where_it_is_wrong(mistake: str, case: str) -> None:
    """Each planted mistake is seen; without it the same case is passed."""
    code, found = score("--only", case, "--patience", "0.4", client=f"{PLAIN} --mistake {mistake}")
    assert (code, verdicts(found)) == (2, {case: "failed"})
    assert score("--only", case)[0] == 0


def test_a_client_that_says_nothing_passes_nothing(tmp_path: Path) -> None:
    """Dead at once, talking nonsense, or speaking no verb: failed or not spoken, never passed."""
    dumb = tmp_path / "dumb.py"
    dumb.write_text(
        "import json, sys\n"
        "for line in sys.stdin:\n"
        "    unknown = {'id': json.loads(line)['id'], 'ok': False, 'error': {'kind': 'unsupported'}}\n"
        "    print(json.dumps(unknown), flush=True)\n"
    )
    for client, verdict in (
        (shlex.join([sys.executable, "-c", "pass"]), "failed"),
        ("cat", "failed"),
        (shlex.join([sys.executable, str(dumb)]), "not spoken"),
    ):
        code, found = score("--only", "opening_balances", client=client)
        assert (code, verdicts(found)) == (2, {"opening_balances": verdict})


def test_a_client_that_cannot_be_started_is_bad_input() -> None:
    """One line, exit code 2."""
    command = [sys.executable, "-m", "aegis.cli.main", "venue", "score", "--client", "no-such-program-anywhere"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "no-such-program-anywhere" in done.stderr


def test_a_venue_that_fails_is_tried_again_and_told_apart(tmp_path: Path) -> None:
    """The client is not blamed, and the case is not passed."""
    seen = []

    async def broken(_scene: Scene) -> None:
        seen.append(1)
        raise VenueFault("the venue is gone")

    case = Case("test", "broken", "The venue breaks.", broken)
    results = asyncio.run(Runner(PLAIN, 1, 1, tmp_path).run([case]))
    assert len(seen) == 2
    assert results[0].verdict is Verdict.FAILED
    assert results[0].why.startswith("the venue, not the client")


def test_what_a_case_left_is_unknown_to_the_next(tmp_path: Path) -> None:
    """After a failed case the next one has a venue of its own; after a passed one, one without orders and positions."""
    seen: list[tuple[int, int, bool]] = []

    async def leaves(s: Scene, fail: bool) -> None:
        truth = await s.world.truth()
        seen.append((len(truth.open), len(truth.positions), bool(truth.orders)))
        price, quantity = await s.far("BUY")
        await s.place("BUY", quantity, price)
        await s.bought()
        if fail:
            raise Failed("on purpose")

    rows = [Case("test", f"leaves_{n}", "Leaves.", partial(leaves, fail=n == 1)) for n in range(3)]
    results = asyncio.run(Runner(PLAIN, 1, 1, tmp_path).run(rows))
    assert [r.verdict for r in results] == [Verdict.PASSED, Verdict.FAILED, Verdict.PASSED]
    assert seen == [(0, 0, False), (0, 0, True), (0, 0, False)]


def test_a_fault_nobody_met_shows_nothing(tmp_path: Path) -> None:
    """A case whose planted fault was not met is not passed."""

    async def unmet(s: Scene) -> None:
        await s.inject("error", code=-2010)

    results = asyncio.run(Runner(PLAIN, 1, 1, tmp_path).run([Case("test", "unmet", "Plants in vain.", unmet)]))
    assert [r.verdict for r in results] == [Verdict.UNSPOKEN]


def test_not_spoken_is_a_column_of_its_own() -> None:
    """In counts and table nothing unspoken or failed is added to passed."""
    rows = [Result("f", str(n), "", v, 0) for n, v in enumerate(Verdict)]
    assert counts(rows) == [("f", 1, 1, 1), ("total", 1, 1, 1)]
    assert "| total | 1 | 1 | 1 |" in markdown("x", rows)


def test_aegis_itself_is_scored_as_it_runs() -> None:
    """Life, a refusal and a lost answer through feed, brain and orchestrator; nothing is left behind afterwards."""
    code, found = score("--only", "answer_lost_r", client="")
    assert (code, verdicts(found)) == (0, {"answer_lost_resting_order": "passed"})
    assert found["client"].startswith("AEGIS")
    owners = [Path("/proc") / shm.name.partition("-")[2] for shm in Path("/dev/shm/aegis").glob("score-*")]
    assert all(owner.exists() for owner in owners), "shared memory of a score that is over"


def test_the_readme_counts_every_case() -> None:
    """The table in the README is of all cases there are, so a new case without a new table is seen."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    row = re.search(r"^\| total \| (\d+) \| (\d+) \| (\d+) \|$", text, re.M)
    assert row is not None
    assert sum(map(int, row.groups())) == len(cases())
