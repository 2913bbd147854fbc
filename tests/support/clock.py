# SPDX-License-Identifier: BSD-3-Clause
"""Time that passes only when a test says so."""

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


class Clock:
    """A virtual clock, to be given wherever ``clock=`` is taken."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def __iadd__(self, seconds: float) -> "Clock":
        self.now += seconds
        return self
