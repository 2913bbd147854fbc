# SPDX-License-Identifier: BSD-3-Clause
"""The house keeps its shape: imports run down only, and every module is about one thing."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.places import ROOT

PACKAGE = ROOT / "ingest"

# From the top floor to the ground. A room imports from its own floor only within its own folder.
FLOORS = (
    ("__main__",),
    ("commands",),
    ("web",),
    ("look",),
    ("handover", "worker", "sandbox"),
    ("sinks", "sources"),
    ("decision",),
    ("patchwork",),
    ("story",),
    ("retests", "intake", "sink_states", "background"),
    ("policy", "schedule"),
    ("ledger",),
    ("config",),
    ("mail",),
    ("addresses", "transport", "files", "locks", "words", "errors"),
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


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_down_only(path: Path) -> None:
    own = room(path)
    if own == "__init__":
        assert not [each for each in imports(path) if each.startswith("ingest.")]
        return
    for name in imports(path):
        top, _, rest = name.partition(".")
        other = rest.partition(".")[0]
        # The version is the package's own.
        if top != "ingest" or other in ("", "__version__") or other == own:
            continue
        below = FLOOR[other] > FLOOR[own]
        assert below or FLOOR[own] == FLOOR[other] == GROUND, f"{path} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_has_one_noun_and_a_license(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("# SPDX-License-Identifier: BSD-3-Clause\n")
    assert text.count("\n") <= 400
    if path.name != "__init__.py":
        assert ast.get_docstring(ast.parse(text))
