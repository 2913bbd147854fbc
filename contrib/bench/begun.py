# SPDX-License-Identifier: BSD-3-Clause
"""The row "begun": from the answer that a mail is accepted by one machine to the first question
that another one asks about it, with one PostgreSQL between them; against what that may take, and
against one machine with SQLite.
"""

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import postgresql
import smtp
from measure import Plan, Row, Target, compared
from servers import Patchwork, free_port, patchwork, served

# Seconds that 99 of 100 mails are to take at most, and seconds after which one is given up.
_WANTED = 0.05
_LONGEST = 30.0


def measure(plan: Plan) -> Iterator[Row]:
    """The longest time of 99 of 100 mails, which come one after the other, and of 50 of 100."""
    # A sender may have 200 questions asked.
    mails, rounds = plan.size(150, 10), plan.several(3)
    longest, typical, notes = [], [], []
    with (
        plan.folder() as folder,
        patchwork(folder, smtp.SERIES) as server,
        postgresql.servers(plan) as ledgers,
    ):
        for number in range(rounds):
            own = folder / str(number)
            two = _took(own, ("b", "a"), ledgers["postgresql"](), server, mails)
            one = _took(own, ("alone",), ledgers["sqlite"](), server, mails)
            longest.append((two[-1 - mails // 100], _WANTED))
            typical.append((two[mails // 2], one[mails // 2]))
            notes.append(f"one machine with SQLite {one[-1 - mails // 100] * 1000:.1f} ms")
        path = f"{mails} mails accepted by one machine and worked on by another"
        yield compared(
            "begun p99",
            f"{path}, p99",
            f"{_WANTED:g} s",
            "s",
            longest,
            Target(1),
            note="; ".join(notes),
        )
        yield compared(
            "begun p50", f"{path}, p50", "one machine with SQLite, p50", "s", typical, Target(2)
        )


def _took(
    folder: Path, machines: tuple[str, ...], ledger: str, server: Patchwork, mails: int
) -> list[float]:
    """The seconds of each mail, the shortest first. The last machine takes the mails in, the first
    one that there is works on them."""
    ports, files = [], []
    with ExitStack() as running:
        for each in machines:
            ports.append(free_port())
            files.append(folder / each / "retests.json")
            command = (
                *("env", f"RECHECK_INGEST_STATE_LEDGER={ledger}"),
                f"RECHECK_INGEST_RETESTS_FILE={files[-1]}",
                *(sys.executable, "-m", "ingest", "serve", "--state", str(folder / each)),
                *("--lmtp", f"127.0.0.1:{ports[-1]}", "--patchwork", server.url),
            )
            running.enter_context(served(ports[-1], *command))
        return sorted(_begun(ports[-1], number, server, files) for number in range(mails))


def _begun(port: int, number: int, server: Patchwork, files: list[Path]) -> float:
    """Send a mail; the seconds from the answer to the first question. Waits for its end, too."""
    run, sent, before = smtp.Run(1), dict[int, float](), server.asked()
    asyncio.run(smtp.client(port, smtp.Load("lmtp", 1, 1), iter([number]), 100, run, sent))
    accepted = sent[number] + run.answered[0]
    while server.asked() == before:
        _refuse_late(accepted, number)
    begun = time.perf_counter()
    label = f'bench-{number}"'.encode()
    while not any(each.exists() and label in each.read_bytes() for each in files):
        _refuse_late(accepted, number)
    return max(begun - accepted, 0.0)


def _refuse_late(accepted: float, number: int) -> None:
    if time.perf_counter() > accepted + _LONGEST:
        raise RuntimeError(f"mail {number} was not worked on in {_LONGEST:g} s")
    time.sleep(0.0001)
