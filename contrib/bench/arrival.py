# SPDX-License-Identifier: BSD-3-Clause
"""The row "arrival": from DATA of one mail by LMTP to its label in the retest JSON, one mail after
the other, against what no program can do without: one fsync and one question to Patchwork."""

import asyncio
import os
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import letters
import smtp
from asyncinotify import Inotify, Mask
from measure import Plan, Row, Target, compared, timed
from servers import free_port, patchwork, served

# Seconds that a mail may take at most.
_LONGEST = 30.0
# Fewer than the questions that one sender's mails may cost Patchwork in an hour.
_MAILS = 150


def measure(plan: Plan) -> Iterator[Row]:
    """Each mail is followed by a turn of the baseline. A mail asks for a patch of which nothing is
    known yet."""
    mails, rounds = plan.size(_MAILS, 10), plan.several(3)
    pairs, took = [], []
    with plan.folder() as folder, patchwork(folder, smtp.SERIES) as server:
        for number in range(rounds):
            ours, theirs = _one_by_one(folder / str(number), server.url, mails)
            took += ours
            pairs.append((_middle(ours), _middle(theirs)))
    times = smtp.quantiles(took)
    yield compared(
        "arrival",
        f"LMTP, {mails} mails one by one, DATA to the line in the JSON, p50",
        "one fsync and one question by HTTP, p50",
        "s",
        pairs,
        Target(3),
        note=f"p50/p99 {times['p50']}/{times['p99']} ms",
    )


def _one_by_one(state: Path, url: str, mails: int) -> tuple[list[float], list[float]]:
    port = free_port()
    command = (
        *(sys.executable, "-m", "ingest", "serve", "--state", str(state)),
        *("--lmtp", f"127.0.0.1:{port}", "--patchwork", url),
    )
    ours, theirs = [], []
    with served(port, *command):
        for number in range(mails):
            ours.append(asyncio.run(_arrives(port, number, state / "retests.json")))
            theirs.append(timed(lambda: _least(state, url)))
    return ours, theirs


async def _arrives(port: int, number: int, retests: Path) -> float:
    """Send a mail; the seconds until its label is in the file."""
    run, sent = smtp.Run(1), dict[int, float]()
    load = smtp.Load("lmtp", 1, 1)
    label = f'bench-{number}"'.encode()
    # The kernel tells of a new file. Looking for one again and again would take a core from those
    # who make it.
    with Inotify() as new_files:
        new_files.add_watch(retests.parent, Mask.MOVED_TO)
        await smtp.client(port, load, iter([number]), 100, run, sent)
        async with asyncio.timeout(_LONGEST):
            while not (retests.exists() and label in retests.read_bytes()):
                await new_files.get()
        return time.perf_counter() - sent[number]


def _least(state: Path, url: str) -> None:
    mail = letters.reply(0, 1, smtp.SIZE)
    with (state / "baseline").open("wb") as file:
        file.write(mail)
        file.flush()
        os.fsync(file.fileno())
    with urllib.request.urlopen(f"{url}/api/patches/?msgid=patch-0@example.org") as answer:
        answer.read()


def _middle(times: list[float]) -> float:
    return sorted(times)[len(times) // 2]
