# SPDX-License-Identifier: BSD-3-Clause
"""A timer that is set anew often rings as one of the loop's own would."""

import asyncio

import pytest

from ingest.sources.alarm import Alarm

# What is done with an alarm, in seconds or None for a hush, and when it rings beside another timer.
CASES: dict[str, tuple[list[float | None], list[str]]] = {
    "set": ([0.01], ["rings", "another"]),
    "put off": ([0.01, 0.06], ["another", "rings"]),
    "put off twice": ([0.01, 0.05, 0.06], ["another", "rings"]),
    "brought forward": ([60, 0.01], ["rings", "another"]),
    "hushed": ([0.01, None], ["another"]),
    "set again after a hush": ([60, None, 0.01], ["rings", "another"]),
    "never set": ([], ["another"]),
}


@pytest.mark.parametrize(("done", "heard"), CASES.values(), ids=CASES)
def test_an_alarm_rings_when_it_was_last_set_to(done: list[float | None], heard: list[str]) -> None:
    async def listening() -> list[str]:
        loop = asyncio.get_running_loop()
        found: list[str] = []
        alarm = Alarm(loop, lambda: found.append("rings"))
        for seconds in done:
            alarm.hush() if seconds is None else alarm.set(seconds)
        loop.call_later(0.03, found.append, "another")
        await asyncio.sleep(0.1)
        return found

    assert asyncio.run(listening()) == heard


def test_a_cancelled_alarm_leaves_nothing_in_the_loop() -> None:
    async def left() -> bool:
        called: list[str] = []
        alarm = Alarm(asyncio.get_running_loop(), lambda: called.append("rings"))
        alarm.set(0.01)
        alarm.cancel()
        await asyncio.sleep(0.03)
        return bool(called)

    assert not asyncio.run(left())
