# SPDX-License-Identifier: BSD-3-Clause
"""Requests for the tests of the retest JSON, and processes that write or take it:
``python -m tests.support.retest_files COMMAND PATH …``."""

import fcntl
import json
import os
import subprocess
import sys
import time
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from ingest.ledger import Request, Submission
from ingest.mail import requester
from ingest.mail.requester import Requester
from ingest.retests import document as retests
from ingest.retests import file as retest_file
from tests.support.processes import running

NOON = 1_694_000_000.0


def asked(number: int = 1, **other: Any) -> Request:
    """A request as the ledger gives it; what it replies to and who asks may be given as text."""
    values: dict[str, Any] = {
        "number": number,
        "mail_id": number,
        "message_id": f"{number}@example.org",
        "series": 29430,
        "submission": Submission("patch", 131182),
        "project": "ci",
        "contexts": (f"c-{number}",),
        "arguments": {},
        "leftovers": (),
        "requester": Requester(""),
        "subject": "",
        "date": NOON + number,
        "recorded": NOON + 10_000,
        "id": f"recheck-{number:032x}",
    }
    values |= other
    if isinstance(values["submission"], str):
        kind, _, id = values["submission"].partition(" ")
        values["submission"] = Submission(kind, int(id))
    if isinstance(values["requester"], str):
        values["requester"] = requester.read(values["requester"])
    return Request(**values)


def append(path: Path, *requests: Request, now: float = NOON + 20_000, mode: int = 0o644) -> bool:
    """Merge requests into a file as the sink does, always under the same second; whether that
    changed the file."""
    before = retest_file.state(str(path))
    after = retest_file.append(
        str(path),
        requests,
        mode=mode,
        now=now,
        patience=30,
        promise=lambda beyond: max(beyond, NOON + 20_000),
    )
    return after.state != before


def contexts(document: retests.Document) -> set[str]:
    """Every context that a document asks for."""
    return {each for entry in document["retests"].values() for each in entry["contexts"]}


def other(*command: str) -> AbstractContextManager[subprocess.Popen[str]]:
    """Another process that runs a command of this module; ended when the block is left."""
    return running("retest_files", *command)


def write(path: str, prefix: str, count: str) -> None:
    """Append requests one by one, telling the context of each that is in the file."""
    for number in range(int(count)):
        context = f"{prefix}-{number}"
        append(Path(path), asked(number, contexts=(context,)))
        print(context, flush=True)


def read(path: str) -> None:
    """Read the file, again and again, telling each time whether it is a whole document."""
    while True:
        with suppress(FileNotFoundError):
            content = Path(path).read_bytes()
            try:
                print(f"valid {len(contexts(retests.load(content.decode())))}", flush=True)
            except ValueError:
                print(f"invalid {content!r}", flush=True)


def hold(path: str) -> None:
    """Hold the file's lock until killed."""
    with open(f"{path}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        print("held", flush=True)
        time.sleep(600)


def take(path: str, batch: str) -> list[str]:
    """What a consumer does, by flock(1) and mv(1) as the README tells it; the contexts it got."""
    subprocess.run(["flock", f"{path}.lock", "mv", path, batch], check=False, capture_output=True)
    if not os.path.exists(batch):
        return []
    return sorted(contexts(json.loads(Path(batch).read_text())))


if __name__ == "__main__":
    {each.__name__: each for each in (write, read, hold)}[sys.argv[1]](*sys.argv[2:])
