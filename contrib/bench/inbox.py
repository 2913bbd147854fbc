# SPDX-License-Identifier: BSD-3-Clause
"""The rows "inbox": a public-inbox that is taken in for the first time, and again with a few new
mails, and replayed, against git alone that lists the same commits and gives the same mails.
"""

import shlex
import shutil
import sys
from collections.abc import Iterator

import archive
from measure import Plan, Row, Skipped, Starter, Target, alternate, compared

# The first look is into a new ledger; the second finds what was added to the inbox meanwhile. No
# time of an interpreter's start is in it, nor any of Patchwork's.
_LOOK = """
import sys, time
from pathlib import Path
from ingest.config.source_tables import InboxSettings
from ingest.ledger import open_ledger
from ingest.sources.inbox import Inbox
place, state = sys.argv[1:]
ledger = open_ledger(f"sqlite:{state}/ledger.sqlite")
settings = InboxSettings(url=place, since="2000-01-01")
inbox = Inbox("dev", settings, Path(state), max_size=40 << 20)
began = time.perf_counter()
haul = inbox.look(ledger)
print(time.perf_counter() - began, haul.mails, haul.queued)
ledger.close()
"""
_REPLAY = """
import sys, time
from ingest.sources.mbox import Reader
began = time.perf_counter()
mails = held = 0
for number, items in Reader(sys.argv[1]).searched():
    mails += number
    held += len([item.raw for item in items])
print(time.perf_counter() - began, mails, held)
"""
# As a script would do it, in as few processes as can be.
_GIT = (
    "git --git-dir={folder} log --reverse --raw --no-abbrev --format= {commits}"
    " | cut -d ' ' -f 4 | git --git-dir={folder} cat-file --batch --buffer >/dev/null"
)
_MAILS, _NEW = 50_000, 1000
_EACH_REQUEST = 100


def measure(plan: Plan) -> Iterator[Row]:
    """Time of all three."""
    if not shutil.which("git"):
        raise Skipped("git is not installed")
    from tests.support.inboxes import Inbox

    mails, new = plan.size(_MAILS, 300), plan.size(_NEW, 20)
    letters = list(archive.letters(mails + new, _EACH_REQUEST))
    with plan.folder() as folder, Starter(plan) as starter:
        inbox = Inbox(folder / "dev")
        first = inbox.add(*letters[:mails])
        last = inbox.add(*letters[mails:])
        repository = inbox.epoch()
        states = (folder / str(number) for number in range(100))

        def looks() -> tuple[float, float]:
            """Seconds of the first look and of the one after it."""
            state = next(states)
            state.mkdir()
            seconds = []
            for commit, number in ((first, mails), (last, new)):
                repository.git("update-ref", "HEAD", commit)
                said = starter.run(sys.executable, "-c", _LOOK, inbox.folder, state).output.split()
                assert int(said[1]) == number, said
                seconds.append(float(said[0]))
            return seconds[0], seconds[1]

        def replayed() -> float:
            said = starter.run(sys.executable, "-c", _REPLAY, inbox.folder).output.split()
            assert int(said[1]) == mails + new, said
            return float(said[0])

        def git(commits: str) -> float:
            script = _GIT.format(folder=shlex.quote(str(repository.folder)), commits=commits)
            return starter.run("sh", "-c", script).wall

        ran = alternate(
            plan.several(5),
            looks,
            replayed,
            lambda: git(first),
            lambda: git(f"{first}..{last}"),
            lambda: git(last),
        )
    against = "git log and git cat-file --batch alone"
    for name, what, times in (
        ("first", f"first look, {mails} mails", [(each[0][0], each[2]) for each in ran]),
        ("next", f"next look, {new} new of them", [(each[0][1], each[3]) for each in ran]),
        ("replay", f"replay, {mails + new} mails", [(each[1], each[4]) for each in ran]),
    ):
        yield compared(f"inbox {name}", f"public-inbox, {what}", against, "s", times, Target(3))
