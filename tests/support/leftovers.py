# SPDX-License-Identifier: BSD-3-Clause
"""What a run of the tests leaves behind: nothing in temporary folders, no process, and the mode of
those folders as it was."""

import os
import shutil
import signal
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

_SHARED_MEMORY = "/dev/shm"
_MEMORY = "RECHECK_TESTS_MEMORY"
# Seconds that processes have to end of themselves.
_PATIENCE = 2.0


def memory() -> str | None:
    """A folder in memory for temporary files, None where there is none."""
    there = _SHARED_MEMORY if os.access(_SHARED_MEMORY, os.W_OK) else None
    return os.environ.get(_MEMORY, there)


def _mode(folder: Path) -> int:
    return stat.S_IMODE(folder.stat().st_mode)


class Leftovers:
    """A plug-in of pytest that gives a run temporary folders of its own, and fails the run if
    anything is in them at its end, if a process of the run is still there, or if the mode of the
    folders around them has changed. What is left it names, ends and removes."""

    def __init__(self) -> None:
        around = {"TMPDIR": Path(tempfile.gettempdir())}
        if there := memory():
            around[_MEMORY] = Path(there)
        # A later run needs what pytest keeps of a test that failed: it stays where it always was.
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
        self._modes = {folder: _mode(folder) for folder in around.values()}
        self._own: list[Path] = []
        for variable, folder in around.items():
            own = Path(tempfile.mkdtemp(prefix="recheck-", dir=folder))
            own.chmod(0o755)  # some tests become another user
            os.environ[variable] = str(own)
            self._own.append(own)
        tempfile.tempdir = None  # it is looked up anew
        self._found: list[str] = []

    def _processes(self) -> dict[int, str]:
        """The processes of this run and their commands: those that were told of its folder."""
        mark = f"TMPDIR={self._own[0]}".encode()
        found = {}
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if mark in (place / "environ").read_bytes().split(b"\0"):
                    command = (place / "cmdline").read_bytes().replace(b"\0", b" ")
                    found[int(place.name)] = command.decode(errors="replace").strip()
        return found

    def find(self) -> list[str]:
        """What is left, in words."""
        until = time.monotonic() + _PATIENCE
        while (running := self._processes()) and time.monotonic() < until:
            time.sleep(0.05)
        found = [f"process {number} runs: {command}" for number, command in running.items()]
        for number in running:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        found += [f"{each} is there" for own in self._own for each in sorted(own.iterdir())]
        for folder, before in self._modes.items():
            if (now := _mode(folder)) != before:
                found.append(f"{folder} had mode {before:04o} and has {now:04o}")
        for own in self._own:
            shutil.rmtree(own, ignore_errors=True)
        return found

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:  # type: ignore[misc]
        """When those processes that run the tests have ended."""
        yield
        self._found = self.find()
        if self._found and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for each in self._found:
            terminalreporter.line(f"LEFT BY THE TESTS: {each}")
