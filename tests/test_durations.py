# SPDX-License-Identifier: BSD-3-Clause
"""Slow tests that lack the mark are found when a run is asked to look for them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.places import ROOT

TESTS = """\
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


@pytest.mark.slow
@pytest.mark.parametrize(("asked", "code"), [("1", 1), ("", 0)], ids=["asked", "by default"])
def test_a_slow_test_without_the_mark_fails_a_run_that_is_asked_to_look(
    tmp_path: Path, asked: str, code: int
) -> None:
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_configure\n")
    (tmp_path / "test_some.py").write_text(TESTS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env=os.environ | {"RECHECK_TEST_DURATIONS": asked},
    )  # fmt: skip
    assert done.returncode == code, done.stdout
    named = [line.split("::")[1].split()[0] for line in done.stdout.splitlines() if "NOT M" in line]
    assert sorted(named) == (["test_is_prepared_for_long", "test_sleeps"] if code else [])
