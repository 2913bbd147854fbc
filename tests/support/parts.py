# SPDX-License-Identifier: BSD-3-Clause
"""What an end-to-end test needs besides this project, and waiting for what others do.

A missing part skips its tests with the reason; where ``CI=true``, tests/conftest.py makes a failure
of that.
"""

import os
import shutil
import time
from collections.abc import Callable
from typing import TypeVar

import pytest

# Where Debian keeps the programs of daemons, for those whose PATH lacks it.
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
# Seconds after which what has not come will not come.
PATIENCE = 30.0

Seen = TypeVar("Seen")


def require(program: str) -> str:
    """The path of a program that the test cannot do without."""
    path = shutil.which(program, path=_PATH)
    return path or pytest.skip(f"{program} is not installed")


def require_root(why: str) -> None:
    """For what only root can do."""
    if os.geteuid() != 0:
        pytest.skip(f"only root can {why}")


def eventually(look: Callable[[], Seen], what: str) -> Seen:
    """The first true answer. Fails the test with ``what`` if none comes."""
    until = time.monotonic() + PATIENCE
    while not (seen := look()):
        if time.monotonic() > until:
            pytest.fail(f"waited {PATIENCE:.0f} s in vain: {what}")
        time.sleep(0.02)
    return seen
