# SPDX-License-Identifier: BSD-3-Clause
"""The rows "pipe" and "pipe-request": one process for one mail, against an interpreter that does
nothing, or only what Patchwork's answers and a mail take to be read.
"""

import random
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import archive
import letters
from measure import Plan, Ran, Row, Skipped, Starter, Target, alternate, compared
from servers import patchwork

_SERIES = 200
# Both are what a mail server may be set up to run.
_MODULE = (sys.executable, "-m", "ingest")
_SCRIPT = (str(Path(sys.executable).with_name("recheck-ingest")),)


def measure(plan: Plan) -> Iterator[Row]:
    """A mail of a list that holds no request."""
    _need_script()
    chance = random.Random(8)
    lines = ["the port is configured before the queue is set up\n", "> +\tmbuf = NULL;\n", "\n"]
    with plan.folder() as folder, Starter(plan) as starter:
        mail = folder / "mail"
        while b"7bit" not in (raw := archive.mail(1, chance, lines, request=False)):
            pass
        mail.write_bytes(raw)
        rounds = alternate(
            plan.several(200),
            lambda: starter.run(*_SCRIPT, "pipe", "--state", folder / "state", stdin=mail),
            lambda: starter.run(*_MODULE, "pipe", "--state", folder / "state", stdin=mail),
            lambda: starter.run(sys.executable, "-c", "pass", stdin=mail),
        )
        kept = (folder / "state").exists()
    if kept:
        raise RuntimeError("the mail was taken for one with a request")
    # ``python -m`` of a module that is empty takes 1.35 times as long as ``python -c pass``.
    for place, command, most in ((0, "script", 1.2), (1, "module", 1.5)):
        path = f"pipe, no request, {len(raw)} bytes, {_name(command)}"
        walls = [(each[place].wall, each[2].wall) for each in rounds]
        peaks = [(each[place].peak, each[2].peak) for each in rounds]
        yield compared(f"pipe {command}", path, "python -c pass", "s", walls, Target(most))
        yield compared(
            f"pipe {command} memory", f"{path}, peak", "python -c pass", "B", peaks, Target(1.5)
        )


def request(plan: Plan) -> Iterator[Row]:
    """A mail with a request, until it is in the retest JSON."""
    _need_script()
    with (
        plan.folder() as folder,
        patchwork(folder, _SERIES) as server,
        Starter(plan) as starter,
    ):
        numbers = count()
        flags = ("pipe", "--state", str(folder), "--patchwork", server.url)

        def ours(*command: str) -> Ran:
            mail = folder / "mail"
            number = next(numbers)
            mail.write_bytes(letters.reply(number, _SERIES, 2048, f"bench-{number}"))
            ran = starter.run(*command, *flags, stdin=mail)
            if f"bench-{number}" not in (folder / "retests.json").read_text():
                raise RuntimeError("a request did not reach the retest JSON")
            return ran

        ours(*_MODULE)  # makes the ledger
        rounds = alternate(
            plan.several(60),
            lambda: ours(*_SCRIPT),
            lambda: ours(*_MODULE),
            lambda: starter.run(sys.executable, "-c", "import requests, mailparser"),
        )
    for place, command in ((0, "script"), (1, "module")):
        yield compared(
            f"pipe-request {command}",
            f"pipe, a request, until it is published, {_name(command)}",
            "python -c 'import requests, mailparser'",
            "s",
            [(each[place].wall, each[2].wall) for each in rounds],
            Target(1.3),
            note=f"{sum(each[place].cpu for each in rounds) / len(rounds) * 1000:.0f} ms of CPU "
            f"against {sum(each[2].cpu for each in rounds) / len(rounds) * 1000:.0f}",
        )


def _name(command: str) -> str:
    return {"script": "recheck-ingest pipe", "module": "python -m ingest pipe"}[command]


def _need_script() -> None:
    if not Path(_SCRIPT[0]).exists():
        raise Skipped("recheck-ingest is not installed beside this interpreter")
