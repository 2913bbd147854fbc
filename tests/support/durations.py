# SPDX-License-Identifier: BSD-3-Clause
"""Watches which tests take long without saying so."""

import pytest

# Seconds from which a test is slow: without those that are, a run ends in a minute and a half.
SLOW = 0.5


class Durations:
    """A plug-in of pytest that fails a run in which a test without the mark ``slow`` took over
    ``SLOW`` seconds, and names each such test. Preparing it counts, tidying up does too."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._marked: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid] = self._seconds.get(report.nodeid, 0.0) + report.duration
        if "slow" in report.keywords:
            self._marked.add(report.nodeid)

    def unmarked(self) -> list[tuple[str, float]]:
        """Slow tests without the mark, with their seconds, the slowest first."""
        found = [
            (test, seconds)
            for test, seconds in self._seconds.items()
            if seconds > SLOW and test not in self._marked
        ]
        return sorted(found, key=lambda each: -each[1])

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.unmarked():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for test, seconds in self.unmarked():
            terminalreporter.line(f"NOT MARKED slow: {test} took {seconds:.2f} s")
