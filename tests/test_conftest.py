# SPDX-License-Identifier: BSD-3-Clause
"""What a run of the tests looks for: slow ones without the mark, parts that lack, leftovers."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.places import ROOT

pytestmark = pytest.mark.slow

SLOW = """\
import time
import pytest

@pytest.fixture
def bed():
    time.sleep(0.6)

def test_quick():
    pass

def test_sleeps():
    time.sleep(0.6)

def test_is_prepared_for_long(bed):
    pass

@pytest.mark.slow
def test_says_so():
    time.sleep(0.6)
"""
SKIPPED = """\
import pytest

@pytest.fixture
def server():
    pytest.skip("there is no server")

def test_is_served(server):
    pass

@pytest.mark.skipif("True", reason="only root can")
def test_root():
    pass

def test_is_there():
    pass
"""
LEAVES = """\
import os
import tempfile

def test_leaves_all_sorts():
    tempfile.mkdtemp(prefix="forgotten-")
    os.system("sleep 600 &")
    os.chmod(os.path.dirname(tempfile.gettempdir()), 0o755)
"""


@pytest.fixture
def run(tmp_path: Path) -> "Run":
    return Run(tmp_path)


class Run:
    """Runs of a file of tests with the hooks of our own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, tests: str, **environment: str) -> tuple[int, str]:
        """The exit code, and all that was printed."""
        hooks = "from tests.conftest import pytest_configure, pytest_runtest_makereport\n"
        (self._folder / "conftest.py").write_text(hooks)
        (self._folder / "test_some.py").write_text(tests)
        inherited = {key: value for key, value in os.environ.items() if key != "CI"}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml", self._folder],
            cwd=ROOT, capture_output=True, text=True, check=False, env=inherited | environment,
        )  # fmt: skip
        return done.returncode, done.stdout


def test_slow_tests_without_the_mark_fail_a_run_that_is_to_look_for_them(run: Run) -> None:
    code, told = run(SLOW, RECHECK_TEST_DURATIONS="1")
    assert code == 1
    found = re.findall(r"^NOT MARKED slow: \S+::(\S+) took", told, re.MULTILINE)
    assert sorted(found) == ["test_is_prepared_for_long", "test_sleeps"]


def test_no_run_fails_for_the_time_that_it_took(run: Run) -> None:
    code, told = run(SLOW)
    assert (code, "NOT MARKED" in told) == (0, False)


def test_whatever_is_skipped_fails_where_every_part_must_be_there(run: Run) -> None:
    code, told = run(SKIPPED, CI="true")
    assert code == 1
    assert "1 passed, 2 errors" in told
    assert "there is no server: a run with CI=true must have every part" in told
    assert "only root can: a run with CI=true must have every part" in told


def test_elsewhere_what_cannot_be_tested_is_skipped(run: Run) -> None:
    code, told = run(SKIPPED)
    assert code == 0
    assert "1 passed, 2 skipped" in told


def test_what_a_run_leaves_is_named_and_removed_and_fails_it(run: Run, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir(mode=0o700)
    code, told = run(LEAVES, TMPDIR=str(temporary), RECHECK_TESTS_MEMORY=str(temporary))
    assert code == 1
    assert "1 passed" in told
    left = re.findall("^LEFT BY THE TESTS: (.*)", told, re.MULTILINE)
    process, folder, mode = left
    assert re.fullmatch(r"process \d+ runs: sleep 600", process)
    assert re.fullmatch(rf"{temporary}/recheck-\w+/forgotten-\w+ is there", folder)
    assert mode == f"{temporary} had mode 0700 and has 0755"
    assert list(temporary.iterdir()) == []
