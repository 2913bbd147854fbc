# SPDX-License-Identifier: BSD-3-Clause
"""The rows "replay" and "memory": reading archives without Patchwork, against the standard
library's mbox and mail-parser on every mail, and against grep.
"""

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import archive
from measure import Plan, Row, Skipped, Starter, Target, alternate, compared

# What a replay does of itself before it parses any mail, without the start of an interpreter.
_SCAN = """
import sys, time
import rich.progress
from ingest.commands import replay
from ingest.config.tables import IntakeSettings
summary = replay.Summary()
began = time.perf_counter()
limits = IntakeSettings(processes=int(sys.argv[2]))
with replay._reading([sys.argv[1]], limits, replay.Choice(), summary) as items:
    for item in items:
        pass
print(time.perf_counter() - began, summary.mails, summary.possible)
"""
_PARSE = """
import mailbox, sys, time
import mailparser
began = time.perf_counter()
box = mailbox.mbox(sys.argv[1])
found = mails = 0
for key in box.iterkeys():
    mails += 1
    found += "\\nRecheck-request: " in "\\n" + mailparser.parse_from_bytes(box.get_bytes(key)).body
print(time.perf_counter() - began, mails, found)
"""
_COPIES = 10


def measure(plan: Plan) -> Iterator[Row]:
    """Time. mail-parser is so slow that it gets a slice, and its time is scaled by mails."""
    mails, sliced = plan.size(archive.MAILS, 300), plan.size(2000, 50)
    whole, part = archive.mbox(plan, mails), plan.work / f"slice-{sliced}.mbox"
    part.write_bytes(b"".join(islice(archive.entries(mails), sliced)))
    with Starter(plan) as starter:
        ran = alternate(
            plan.several(5),
            lambda: starter.run(sys.executable, "-c", _SCAN, whole, "1"),
            lambda: starter.run(sys.executable, "-c", _SCAN, whole, "2"),
            lambda: starter.run(*rehearsal(plan, whole)),
            lambda: starter.run(sys.executable, "-c", _PARSE, part),
            lambda: starter.run("grep", "-a", "-c", "^Recheck-request: ", whole),
        )
    rounds = [
        (
            *(_told(scan.output)[0], _told(both.output)[0], command.wall),
            *(_scaled(parse.output, mails), grep.wall),
        )
        for scan, both, command, parse, grep in ran
    ]
    size = f"{whole.stat().st_size / 1e6:.0f} MB, {mails} mails"
    _, _, possible = _told(ran[0][0].output)
    left = f"{possible:.0f} mails are left to be decoded"
    parser = f"mailbox and mail-parser, {sliced} mails, scaled to {mails}"
    for place, (name, title, note, least, most) in enumerate(
        (
            ("scan", "scan", left, 60, 8),
            ("scan by two", "scan by two processes", f"{left}; their start included", 100, 5),
            ("command", "whole dry run offline", "interpreter start included", 60, 12),
        )
    ):
        slow = [(each[place], each[3]) for each in rounds]
        fast = [(each[place], each[4]) for each in rounds]
        title = f"replay, {title}, {size}"
        yield compared(
            f"replay {name} / mail-parser", title, parser, "s", slow,
            Target(least, least=True), faster=True, note=note,
        )  # fmt: skip
        yield compared(f"replay {name} / grep", title, "grep -a -c", "s", fast, Target(most))


def memory(plan: Plan) -> Iterator[Row]:
    """Peak memory of ten times as much."""
    once = archive.mbox(plan, plan.size(archive.MAILS, 300))
    large = archive.repeated(plan, once, _COPIES)
    try:
        with Starter(plan) as starter:
            ran = alternate(
                plan.several(1),
                lambda: starter.run(*rehearsal(plan, large)),
                lambda: starter.run(*rehearsal(plan, once)),
            )
    finally:
        large.unlink()
    yield compared(
        "memory",
        f"replay, whole dry run offline, {once.stat().st_size * _COPIES / 1e9:.2g} GB, peak",
        f"the same, {once.stat().st_size / 1e6:.0f} MB",
        "B",
        [(ours.peak, theirs.peak) for ours, theirs in ran],
        Target(1.2),
        note=f"{ran[0][0].wall:.1f} s against {ran[0][1].wall:.1f} s",
    )


def rehearsal(plan: Plan, path: Path) -> tuple[str | Path, ...]:
    """The command that reads an archive and writes nothing."""
    if not path.exists():
        raise Skipped(f"{path.name} is not there")
    options = ("--dry-run", "--offline", "--json", "--state", plan.work / "none")
    return (sys.executable, "-m", "ingest", "replay", *options, path)


def _told(output: str) -> list[float]:
    return [float(each) for each in output.split()]


def _scaled(output: str, mails: int) -> float:
    seconds, parsed, _ = _told(output)
    return seconds * mails / parsed
