"""The house rules that a program can judge, each with a planted violation that proves it judges.

A check is a function from (path, text) to complaints, so the same function sees the tree and the planted text.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE_LINES_MAX, C_LINES_MAX, FUNCTION_LINES_MAX, PARAMETERS_MAX = 400, 700, 60, 6
STATIONS = ("market", "risk", "orders", "venue", "ledger", "recon", "exchange")
_UNFINISHED = re.compile("TO" + r"DO|FIX" + r"ME|XX" + r"X\b|NotImplemented" + "Error|raise NotImpl" + "emented")
_MACHINE = re.compile(r"(?<![\w.])/(?:wo" + r"rk|ro" + r"ot|ho" + r"me|op" + r"t|Us" + r"ers)/\w")
_REGISTRY = re.compile("--ind" + "ex-url|--extra-ind" + "ex|--trust" + "ed-host|find" + "-links|pypi[.]")
_FLOAT_TIME = re.compile(r"(?:^|_)(s|ms|ns|window|retry_after)$")

Check = Callable[[Path, str], Iterator[str]]


def module_size(path: Path, text: str) -> Iterator[str]:
    """Modules stay readable in one go."""
    limit = {".py": MODULE_LINES_MAX, ".c": C_LINES_MAX, ".h": C_LINES_MAX}.get(path.suffix)
    lines = text.count("\n")
    if limit is not None and lines > limit:
        yield f"{path}: {lines} lines, limit {limit}"


def functions(text: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All functions of a Python text."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def function_size(path: Path, text: str) -> Iterator[str]:
    """A function is one thought, with few inputs."""
    if path.suffix != ".py":
        return
    for node in functions(text):
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if lines > FUNCTION_LINES_MAX:
            yield f"{path}:{node.lineno}: {node.name} has {lines} lines, limit {FUNCTION_LINES_MAX}"
        count = parameters_asked(node.args)
        if count > PARAMETERS_MAX and path.parts[0] != "tests":
            yield f"{path}:{node.lineno}: {node.name} asks for {count} parameters, limit {PARAMETERS_MAX}"


def parameters_asked(args: ast.arguments) -> int:
    """How many parameters a caller has to give: those with a default are not asked for."""
    names = [a.arg for a in (*args.posonlyargs, *args.args) if a.arg not in ("self", "cls")]
    required_by_name = sum(1 for default in args.kw_defaults if default is None)
    return len(names) - len(args.defaults) + required_by_name


def docstring(path: Path, text: str) -> Iterator[str]:
    """Each module says why it exists."""
    if path.suffix == ".py" and text.strip() and not ast.get_docstring(ast.parse(text)):
        yield f"{path}: no module docstring"


def unfinished(path: Path, text: str) -> Iterator[str]:
    """Nothing is left as a note to oneself."""
    for number, line in enumerate(text.splitlines(), 1):
        if _UNFINISHED.search(line):
            yield f"{path}:{number}: unfinished: {line.strip()[:80]}"


def machine_path(path: Path, text: str) -> Iterator[str]:
    """No path of one machine, no package index: the tree builds anywhere."""
    for number, line in enumerate(text.splitlines(), 1):
        if _MACHINE.search(line) or _REGISTRY.search(line):
            yield f"{path}:{number}: bound to one machine: {line.strip()[:80]}"


def float_money(path: Path, text: str) -> Iterator[str]:
    """Law 4: stations make no float (a strategy's own signal aside); durations named *_s are no money."""
    if path.suffix != ".py" or path.parts[0] != "aegis" or path.parts[1] not in STATIONS:
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float":
            argument = ast.unparse(node.args[0]) if node.args else ""
            if not _FLOAT_TIME.search(argument) and argument not in ("speed", "'inf'"):
                yield f"{path}:{node.lineno}: float({argument})"


def sleeping_test(path: Path, text: str) -> Iterator[str]:
    """A test waits for a condition, never for a fixed time: sleeps stand in loops only."""
    if path.suffix != ".py" or path.parts[0] != "tests":
        return
    tree = ast.parse(text)
    looped = {id(n) for loop in ast.walk(tree) if isinstance(loop, ast.While | ast.For) for n in ast.walk(loop)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or id(node) in looped:
            continue
        if ast.unparse(node.func) in ("time.sleep", "asyncio.sleep") and ast.unparse(node.args[0]) != "0":
            yield f"{path}:{node.lineno}: sleeps outside a loop"


CHECKS: tuple[Check, ...] = (
    module_size,
    function_size,
    docstring,
    unfinished,
    machine_path,
    float_money,
    sleeping_test,
)


def tree() -> list[tuple[Path, str]]:
    """Every tracked text file of the project, or every source file where there is no git."""
    found = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    names = found.stdout.split("\n") if found.returncode == 0 and found.stdout else _walk()
    paths = [Path(n) for n in names if Path(n).suffix in (".py", ".c", ".h", ".md", ".toml", ".sh") or n in _BY_NAME]
    return [(p, (ROOT / p).read_text(encoding="utf-8")) for p in paths if (ROOT / p).is_file()]


_BY_NAME = ("Makefile", "requirements.lock", ".ci/run", ".gitignore")


def _walk() -> list[str]:
    tops = ("aegis", "csrc", "tests", "docs", "scripts")
    found = [str(p.relative_to(ROOT)) for top in tops for p in (ROOT / top).rglob("*") if p.is_file()]
    return [*found, "pyproject.toml", "README.md", *_BY_NAME]


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
def test_the_tree_is_tidy(check: Check) -> None:
    """No complaint anywhere."""
    complaints = [line for path, text in tree() for line in check(path, text)]
    assert not complaints, "\n".join(complaints)


PY, TEST = Path("aegis/orders/planted.py"), Path("tests/unit/test_planted.py")


@pytest.mark.parametrize(
    ("check", "path", "text"),
    [
        (module_size, PY, '"""D."""\n' * 401),
        (module_size, Path("csrc/planted.c"), "\n" * 701),
        (function_size, PY, "def f():\n" + "    x = 1\n" * 60),
        (function_size, PY, "def f(a, b, c, d, e, f, *, g, h=1): ...\n"),
        (docstring, PY, "x = 1\n"),
        (unfinished, PY, "# TO" + "DO later\n"),
        (unfinished, PY, "raise NotImpl" + "ementedError\n"),
        (machine_path, Path("README.md"), "see /wo" + "rk/main/x\n"),
        (machine_path, Path("requirements.lock"), "--ind" + "ex-url https://example.org\n"),
        (float_money, PY, "p = float(price)\n"),
        (sleeping_test, TEST, "import time\ntime.sleep(0.1)\n"),
    ],
)
def test_a_planted_violation_is_found(check: Check, path: Path, text: str) -> None:
    """Each check rings."""
    assert list(check(path, text))


def test_make_has_few_targets_each_with_help() -> None:
    """At most 12, and every phony one explains itself."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", text, re.M)
    assert phony is not None
    names = phony.group(1).split()
    helped = re.findall(r"^([a-z-]+):.*## \S", text, re.M)
    assert sorted(names) == sorted(helped)
    assert len(names) <= 12
