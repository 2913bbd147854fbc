# SPDX-License-Identifier: BSD-3-Clause
"""What an end-to-end test needs besides this project, and waiting for what others do.

A missing part skips its tests with the reason; where ``CI=true`` it fails them instead.
"""

import os
import shutil
import time
from collections.abc import Callable
from typing import NoReturn, TypeVar

import pytest

# Where Debian keeps the programs of daemons, for those whose PATH lacks it.
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
# Seconds after which what has not come will not come.
PATIENCE = 30.0

Seen = TypeVar("Seen")


def missing(reason: str) -> NoReturn:
    """End the test: it cannot be run here for this reason."""
    if os.environ.get("CI", "").lower() in ("true", "1"):
        pytest.fail(f"{reason}, and a run with CI=true must have every part", pytrace=False)
    pytest.skip(reason)


def require(program: str) -> str:
    """The path of a program that the test cannot do without."""
    path = shutil.which(program, path=_PATH)
    return path or missing(f"{program} is not installed")


def require_root(why: str) -> None:
    """For what only root can do."""
    if os.geteuid() != 0:
        missing(f"only root can {why}")


def eventually(look: Callable[[], Seen], what: str) -> Seen:
    """The first true answer. Fails the test with ``what`` if none comes."""
    until = time.monotonic() + PATIENCE
    while not (seen := look()):
        if time.monotonic() > until:
            pytest.fail(f"waited {PATIENCE:.0f} s in vain: {what}")
        time.sleep(0.02)
    return seen
