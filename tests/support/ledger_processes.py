# SPDX-License-Identifier: BSD-3-Clause
"""Other processes that share a ledger with a test:
``python -m tests.support.ledger_processes COMMAND``.

Each prints a line when it has got somewhere, and does what it does until it is done or killed.
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress

from ingest.errors import LostLease
from ingest.ledger import WORKER_LEASE, Outcome, open_ledger
from tests.support.ledger_values import NOON, arrival, ended, request
from tests.support.processes import running


def other(
    *command: str, within: Sequence[str] = ()
) -> AbstractContextManager[subprocess.Popen[str]]:
    """Another process that runs a command of this module; ended when the block is left.
    ``within``: a command that runs it."""
    return running("ledger_processes", *command, within=within)


def line(process: subprocess.Popen[str]) -> str:
    """The next line that a process prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go(*processes: subprocess.Popen[str]) -> None:
    """Have processes that say that they are ready begin, all at once."""
    for process in processes:
        assert line(process) == "ready"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


def _say(text: object) -> None:
    print(text, flush=True)


def accept(url: str, *ids: str) -> None:
    """Accept mails one by one and tell each that is new."""
    ledger = open_ledger(url)
    _say("ready")
    sys.stdin.readline()
    for each in ids:
        _say(f"{each} {ledger.accept(arrival(each))[1]}")


def hold_lease(url: str) -> None:
    """Hold the worker's lease until killed."""
    with open_ledger(url).lease(WORKER_LEASE) as held:
        _say(held)
        sys.stdin.readline()


def keep_lease(url: str, name: str) -> None:
    """Hold a lease, and ask the ledger for something again and again, until it is lost."""
    ledger = open_ledger(url)
    with suppress(LostLease), ledger.lease(name) as held:
        _say(held)
        while True:
            ledger.next_due()
            time.sleep(0.05)


def reruns(url: str) -> None:
    """Ask for all requests, tell the promise and wait until killed."""
    _say(open_ledger(url).reruns(0, NOON)[1])
    sys.stdin.readline()


def claim(url: str) -> None:
    """Take up a mail and die with it."""
    mail = open_ledger(url).claim(NOON, WORKER_LEASE)
    _say(mail.message_id if mail else "none")


def hold_batch(url: str) -> None:
    """Begin a batch, write in it and keep it open until killed."""
    ledger = open_ledger(url)
    with ledger.batch():
        ledger.accept(arrival("in-a-batch@example.org"))
        _say("holding")
        sys.stdin.readline()


def finish(url: str, prefix: str, count: str) -> None:
    """Take in and work off mails, one after the other, and tell each that is done."""
    ledger = open_ledger(url)
    ledger.recover(NOON, WORKER_LEASE)
    _say("begun")
    for number in range(int(count)):
        ledger.accept(arrival(f"{prefix}{number}"))
        mail = ledger.claim(NOON, WORKER_LEASE)
        assert mail is not None
        ledger.finish(mail, Outcome.DONE, "", ended(Outcome.DONE), [request(mail)])
        _say(mail.message_id)


def append(url: str, who: str, count: str) -> None:
    """Take in mails and work off as many, one after the other, beside others."""
    ledger = open_ledger(url)
    _say("ready")
    sys.stdin.readline()
    for number in range(int(count)):
        ledger.accept(arrival(f"{who}-{number}", sender=who))
        mail = ledger.claim(NOON, who)
        assert mail is not None
        ledger.finish(mail, Outcome.DONE, "", ended(Outcome.DONE), [request(mail)])


def accept_together(url: str, *ids: str) -> None:
    """Accept mails all at once."""
    ledger = open_ledger(url)
    _say("ready")
    sys.stdin.readline()
    _say(sum(new for _, new in ledger.accept_all([arrival(each) for each in ids])))


COMMANDS = (
    *(accept, accept_together, append, claim, finish),
    *(hold_batch, hold_lease, keep_lease, reruns),
)

if __name__ == "__main__":
    {each.__name__: each for each in COMMANDS}[sys.argv[1].replace("-", "_")](*sys.argv[2:])
