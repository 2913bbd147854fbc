# SPDX-License-Identifier: BSD-3-Clause
"""Processes that use a ledger whose servers come and go, and note what they are told:
``python -m tests.support.failover_processes COMMAND URL DIARY NAME CLOCK``.

Each goes on until it is killed, or its standard input is closed. ``CLOCK``: seconds by which its
clock is wrong.
"""

import os
import sys
import threading
import time
from collections.abc import Callable

from ingest.errors import LostClaim, StateUnavailable
from ingest.ledger import Cursor, Ledger, Outcome, open_ledger
from tests.support.history import Diary
from tests.support.ledger_values import NOON, arrival, ended, request

# Seconds that a server is waited for.
TIMEOUT = 2.0
# Mails of a group, and seconds between two.
_GROUP = 100
_PAUSE = 0.01 if int(os.environ.get("RECHECK_TEST_MAILS", "0")) > 1000 else 0.2


def work(ledger: Ledger, diary: Diary, name: str, now: Callable[[], float]) -> None:
    """Accept mails and record a request of each, one process of those whose name is the same up to
    a dot at a time."""
    lease = name.partition(".")[0]
    with ledger.lease(lease, patience=0.2) as held:
        if not held:
            return
        diary.write("held", lease)
        ledger.recover(now(), lease)
        while True:
            id = f"{name}-{time.monotonic_ns()}@example.org"
            ledger.accept(arrival(id, at=now(), sender=name))
            diary.write("accepted", id)
            mail = ledger.claim(now() + 10_000, lease)
            if mail is None:
                continue
            asked = request(mail, recorded=now())
            for each in ledger.finish(mail, Outcome.DONE, "", ended(Outcome.DONE), [asked]):
                diary.write("recorded", each.number, each.id)
            time.sleep(_PAUSE / 10)


def accept(ledger: Ledger, diary: Diary, name: str, now: Callable[[], float]) -> None:
    """Accept mails in groups, some of which others accept as well. What was not acknowledged is
    given in again, as a mail server does."""
    while True:
        if name not in _given:
            began = time.monotonic_ns()
            mine = [f"{name}-{began}-{n}@example.org" for n in range(_GROUP)]
            copies = [f"copy-{began // 10**8}-{n}@example.org" for n in range(_GROUP // 20)]
            _given[name] = [*mine, *copies]
        ledger.accept_all([arrival(id, at=now(), sender=name) for id in _given[name]])
        diary.write("accepted", *_given.pop(name))
        time.sleep(_PAUSE)


def deliver(ledger: Ledger, diary: Diary, name: str, now: Callable[[], float]) -> None:
    """Be a sink, of which one at a time reads on from where the last one was."""
    with ledger.lease("sink", patience=0.2) as held:
        while held:
            cursor = ledger.cursor("sink")
            for each in ledger.requests(after=cursor.position, limit=20):
                diary.write("read", each.number, each.id)
                cursor = Cursor("sink", each.number, now())
            ledger.set_cursor(cursor)
            time.sleep(0.01)


def rerun(ledger: Ledger, diary: Diary, name: str, now: Callable[[], float]) -> None:
    """Ask for what was recorded since the last answer's second."""
    while True:
        found, second = ledger.reruns(_since.get(name, 0.0), now())
        diary.write("answered", *(each.number for each in found))
        _since[name] = second
        time.sleep(0.02)


# What survives the loss of a connection.
_since: dict[str, float] = {}
_given: dict[str, list[str]] = {}
COMMANDS = (work, accept, deliver, rerun)


def main(command: str, url: str, diary: str, name: str, clock: str) -> None:
    """Do it, and begin anew whenever the ledger is away."""
    threading.Thread(target=_end_with_input, daemon=True).start()
    do = {each.__name__: each for each in COMMANDS}[command]
    book, begun = Diary(diary), time.monotonic()
    while True:
        try:
            ledger = open_ledger(url, timeout=TIMEOUT)
            try:
                do(ledger, book, name, lambda: NOON + float(clock) + time.monotonic() - begun)
            finally:
                ledger.close()
        except (StateUnavailable, LostClaim):
            time.sleep(0.05)


def _end_with_input() -> None:
    sys.stdin.read()
    sys.exit()


if __name__ == "__main__":
    main(*sys.argv[1:])
