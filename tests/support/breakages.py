# SPDX-License-Identifier: BSD-3-Clause
"""What can break under a mail server that hands us mail, and how it is mended."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from tests.e2e.conftest import Lab

Breakage = Callable[[Lab], AbstractContextManager[None]]


@contextlib.contextmanager
def _instead(file: Path, content: str) -> Iterator[None]:
    """Another content in a file, for a while."""
    before = file.read_text()
    file.write_text(content)
    try:
        yield
    finally:
        file.write_text(before)


@contextlib.contextmanager
def _unwritable_state(lab: Lab) -> Iterator[None]:
    owner = lab.paths.state.stat().st_uid
    lab.own_state(0)
    try:
        yield
    finally:
        lab.own_state(owner)


@contextlib.contextmanager
def no_state(lab: Lab) -> Iterator[None]:
    """The state folder is not where it should be."""
    away = lab.paths.state.with_name("away")
    lab.paths.state.rename(away)
    try:
        yield
    finally:
        away.rename(lab.paths.state)


@contextlib.contextmanager
def _no_program(lab: Lab) -> Iterator[None]:
    away = lab.paths.program.with_name("away")
    lab.paths.program.rename(away)
    try:
        yield
    finally:
        away.rename(lab.paths.program)


@contextlib.contextmanager
def _not_executable(lab: Lab) -> Iterator[None]:
    lab.paths.program.chmod(0o644)
    try:
        yield
    finally:
        lab.paths.program.chmod(0o755)


def _broken_settings(lab: Lab) -> AbstractContextManager[None]:
    return _instead(lab.paths.settings, "[patchwork\n")


def _bug(lab: Lab) -> AbstractContextManager[None]:
    return _instead(lab.paths.module("intake.py"), "raise SystemError('a bug of ours')\n")


def _syntax_error(lab: Lab) -> AbstractContextManager[None]:
    return _instead(lab.paths.module("__main__.py"), "def main(:\n")


def _segmentation_fault(lab: Lab) -> AbstractContextManager[None]:
    crash = "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n"
    return _instead(lab.paths.module("intake.py"), crash)


def _no_interpreter(lab: Lab) -> AbstractContextManager[None]:
    return _instead(lab.paths.program, "#!/nonexistent/python\n")


def _much_output(lab: Lab) -> AbstractContextManager[None]:
    return _instead(lab.paths.program, "#!/bin/sh\nyes 5.7.1 refused | head -c 300000\nexit 69\n")


# By the words in which an operator would tell of it.
BREAKAGES: dict[str, Breakage] = {
    "the state folder cannot be written": _unwritable_state,
    "the state folder is missing": no_state,
    "the configuration is broken": _broken_settings,
    "a module of ours raises": _bug,
    "our start-up code does not compile": _syntax_error,
    "the process dies by a signal": _segmentation_fault,
    "the program is missing": _no_program,
    "the program is not executable": _not_executable,
    "the interpreter is missing": _no_interpreter,
    "the program prints much and fails": _much_output,
}


def hanging(lab: Lab) -> AbstractContextManager[None]:
    """The program does not end."""
    return _instead(lab.paths.program, "#!/bin/sh\nexec sleep 300\n")
