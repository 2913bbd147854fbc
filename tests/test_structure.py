# SPDX-License-Identifier: BSD-3-Clause
"""The house keeps its shape: imports run down only, and every module is about one thing."""

import ast
import importlib
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ingest.ledger import open_ledger, pg_steps
from tests.support.crashes import Place, Point
from tests.support.places import ROOT

PACKAGE = ROOT / "ingest"

# From the top floor to the ground. A room imports from its own floor only within its own folder.
FLOORS = (
    ("__main__",),
    ("commands",),
    ("web",),
    ("look",),
    ("handover", "worker", "sandbox"),
    ("recording", "sinks", "sources"),
    ("decision", "in_hand", "results"),
    ("patchwork",),
    ("story",),
    (
        "retests",
        "intake",
        "background",
    ),
    ("policy", "schedule", "links", "trust"),
    ("ledger",),
    ("config",),
    ("signs",),
    ("mail",),
    ("addresses", "connection", "transport", "files", "locks", "words", "errors", "value"),
)
FLOOR = {room: number for number, floor in enumerate(FLOORS) for room in floor}
GROUND = len(FLOORS) - 1
MODULES = sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """The modules of the package that a module names in its imports, wherever they stand."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            module = node.module or ""
            if module == "ingest":
                yield from (f"ingest.{each.name}" for each in node.names)
            else:
                yield module


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def runs_up(path: Path, name: str) -> bool:
    """Whether a module may not import this one."""
    own = room(path)
    top, _, rest = name.partition(".")
    other = rest.partition(".")[0]
    if top != "ingest":
        return False
    if own == "__init__":
        return bool(rest)
    # The version is the package's own.
    if other in ("", "__version__") or other == own:
        return False
    return FLOOR[other] <= FLOOR[own] and not FLOOR[own] == FLOOR[other] == GROUND


def test_imports_run_down_only() -> None:
    up = [f"{path} imports {name}" for path in MODULES for name in imports(path)
          if runs_up(path, name)]  # fmt: skip
    assert up == []


def test_each_module_has_a_license_and_says_what_it_owns_in_400_lines_at_most() -> None:
    texts = {path: path.read_text() for path in MODULES}
    license = "# SPDX-License-Identifier: BSD-3-Clause\n"
    assert [path for path, text in texts.items() if not text.startswith(license)] == []
    assert [path for path, text in texts.items() if text.count("\n") > 400] == []
    told = {path: ast.get_docstring(ast.parse(text)) for path, text in texts.items()}
    assert [path for path, text in told.items() if not text and path.name != "__init__.py"] == []


@pytest.mark.parametrize("tree", ["ingest", "tests", "contrib"])
def test_a_function_is_seen_at_one_look(tree: str) -> None:
    long = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in sorted((ROOT / tree).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and lines(node) > 65
    ]
    assert long == []


def lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function, its docstring aside."""
    told = function.body[0] if ast.get_docstring(function) else None
    of_docstring = (told.end_lineno or 0) - told.lineno + 1 if told else 0
    return (function.end_lineno or 0) - function.lineno + 1 - of_docstring


# Where processes are killed in tests: a line that was reworded is told here, at once.
CRASHES = (
    "test_crash_matrix",
    "handover.test_take_crashes",
    "handover.test_take_loop",
    "commands.test_catch_up_crashes",
    "web.test_api_crashes",
)


def places(value: object) -> Iterator[Place]:
    """The places in a value of a module."""
    if isinstance(value, Place):
        yield value
    elif isinstance(value, Point):
        yield from (each for each in (value.before, value.after) if each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from places(each)


@pytest.mark.parametrize("name", CRASHES)
def test_every_crash_point_is_one_line_of_the_program(name: str) -> None:
    module = importlib.import_module(f"tests.{name}")
    assert [place.line() for value in vars(module).values() for place in places(value)]


def test_what_one_ledger_finds_by_an_index_the_other_does_too(tmp_path: Path) -> None:
    """By the first column of each. What is said of the queue is in a table of its own in
    PostgreSQL."""
    with closing(open_ledger(f"sqlite:{tmp_path}/ledger")):
        pass
    steps = [statement for step in pg_steps.MIGRATIONS for statement in step]
    pattern = r"CREATE INDEX \w+ ON (\w+) (?:USING hash )?\((\w+)"
    there = {(made[1], made[2]) for each in steps if (made := re.match(pattern, each))}
    queued = {("mail", each) for each in ("due", "id", "begun", "turn", "ended")}
    with closing(sqlite3.connect(tmp_path / "ledger")) as database:
        here = database.execute(
            "SELECT tbl_name, indexed.name FROM sqlite_master AS made,"
            " pragma_index_info(made.name) AS indexed"
            " WHERE type = 'index' AND sql IS NOT NULL AND seqno = 0"
        )
        assert set(here) - queued <= there


def test_what_one_ledger_keeps_the_other_keeps_too(tmp_path: Path) -> None:
    """Every column of SQLite's tables that both have; what PostgreSQL keeps otherwise is left out
    here: queue, event and raw take what is in a mail there."""
    with closing(open_ledger(f"sqlite:{tmp_path}/ledger")):
        pass
    steps = [statement for step in pg_steps.MIGRATIONS for statement in step]
    tables = {
        made[1]: set(re.findall(r"(\w+) (?:bigint|bytea|double|integer|text)\b", statement))
        for statement in steps
        if (made := re.match(r"CREATE TABLE (\w+)", statement))
    }
    otherwise = {
        "mail": {"due", "waiting", "since", "claimed", "starts", "story", "raw", "begun", "waited",
                 "missing", "holder", "stored"},
        "known": {"identity"},
    }  # fmt: skip
    with closing(sqlite3.connect(tmp_path / "ledger")) as database:
        listed = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        assert {name for (name,) in database.execute(listed)} - {"tally", "turn"} <= tables.keys()
        for table, columns in tables.items():
            kept = {row[1] for row in database.execute(f"PRAGMA table_info({table})")}
            assert kept - columns - otherwise.get(table, set()) == set(), table
