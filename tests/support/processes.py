# SPDX-License-Identifier: BSD-3-Clause
"""Modules of these tests as processes of their own."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.support.places import ROOT


@contextmanager
def running(
    module: str, *command: str, within: Sequence[str] = ()
) -> Iterator[subprocess.Popen[str]]:
    """A process that runs a command of a module of ``tests.support``; ended when the block is
    left. ``within``: a command that runs it."""
    with subprocess.Popen(
        [*within, sys.executable, "-m", f"tests.support.{module}", *command],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
