# SPDX-License-Identifier: BSD-3-Clause
"""Sixty replies of seven kinds, and what is right for each, whatever kind of server files them.

As a program, ``python -m tests.support.sixty``, it prints a table: for each kind of server what is
right, unresolved and wrong, and what a reply costs.
"""

import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from ingest.config.tables import PatchworkSettings
from ingest.errors import NotFound, NotYet
from ingest.ledger import Ledger, open_ledger
from ingest.mail import message as mails
from ingest.patchwork.lookup import Patchwork
from ingest.sandbox import CI, DPDK, Sandbox
from tests.support.clock import HOUR, Clock
from tests.support.mails import cover, patch, reply

KINDS: dict[str, dict[str, Any]] = {
    "API 1.4": {"api": "1.4"},
    "API 1.2": {"api": "1.2"},
    "API 1.1": {"api": "1.1"},
    "API 1.0": {"api": "1.0"},
    "freedesktop": {"kind": "freedesktop"},
}
# What a series is, for this purpose: its number, and its revision where there is one.
Series = tuple[int, int]


@dataclass
class Case:
    """A reply, and the Message-ID of a patch of the series that it is about, in which project."""

    group: str
    raw: bytes
    patch: str
    project: str = "dpdk"


@dataclass
class Outcome:
    """What became of the replies of one group."""

    right: int = 0
    unresolved: int = 0
    wrong: int = 0
    questions: int = 0
    seconds: float = 0.0


@dataclass
class Corpus:
    """The mails of a list, as they are filed, and sixty replies."""

    mails: list[bytes] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)

    def asks(
        self, group: str, to: str, about: str, subject: str, *, before: tuple[str, ...] = ()
    ) -> None:
        """One more reply, which Patchwork files, too."""
        raw = reply(
            to,
            f"asks-{len(self.cases)}@example.org",
            subject=subject,
            references=(*before, to) if group != "cut References" else (),
            list_id=DPDK.list_id,
        )
        self.mails.append(raw)
        self.cases.append(Case(group, raw, about))


def when(number: int) -> str:
    return f"{1 + number // 24:02} Sep 2023 {number % 24:02}:{number % 60:02}:00 +0000"


def message_id(number: int, part: int) -> str:
    """As git send-email makes one of two, and any program the other."""
    if number % 2:
        return f"{part}.{number}@example.org"
    day, hour = 1 + number // 24, number % 24
    return f"202309{day:02}{hour:02}{number % 60:02}00.{number}-{part + 1}-alex@example.org"


def corpus() -> Corpus:
    """All of it, in the order in which it came."""
    made = Corpus()
    for number in range(24):
        title = f"area{number}: fix the case {number}"
        ids = [message_id(number, part) for part in range(3)]
        made.mails.append(cover(ids[0], f"[PATCH 0/2] {title}", date=when(number)))
        for part in (1, 2):
            made.mails.append(
                patch(
                    ids[part],
                    f"[PATCH {part}/2] {title}, part {part}",
                    in_reply_to=ids[0],
                    date=when(number),
                )
            )
        if number < 12:
            made.asks("patch", ids[1], ids[1], f"Re: [PATCH 1/2] {title}, part 1")
        elif number < 22:
            made.asks("cover", ids[0], ids[1], f"Re: [PATCH 0/2] {title}")
        if number < 16:
            group = "comment" if number < 10 else "cut References"
            comment = f"comment-{number}@example.org"
            subject = f"Re: [PATCH 2/2] {title}, part 2"
            made.mails.append(
                reply(
                    ids[2],
                    comment,
                    subject=subject,
                    body="Looks good.\n",
                    references=(ids[0], ids[2]),
                    list_id=DPDK.list_id,
                )
            )
            made.asks(group, comment, ids[2], subject, before=(ids[0], ids[2]))
        if number >= 16:
            made.asks("changed subject", ids[2], ids[2], "Re: quite something else")
            second_version(made, number, title, ids)
    for number in range(6):
        crossed(made, number)
    return made


def second_version(made: Corpus, number: int, title: str, first: list[str]) -> None:
    """v2 of a series, whose cover letter was sent in reply to that of v1; a reply to v2."""
    ids = [f"v2-{part}-{number}@example.org" for part in range(3)]
    head = cover(ids[0], f"[PATCH v2 0/2] {title}", date=when(number + 30))
    threaded = f"In-Reply-To: <{first[0]}>\nReferences: <{first[0]}>\n".encode()
    made.mails.append(head.replace(b"\n\n", b"\n" + threaded + b"\n", 1))
    for part in (1, 2):
        made.mails.append(
            patch(
                ids[part],
                f"[PATCH v2 {part}/2] {title}, part {part}",
                in_reply_to=ids[0],
                date=when(number + 30),
            )
        )
    to = number % 2
    subject = f"Re: [PATCH v2 {to}/2] {title}" + (", part 1" if to else "")
    before = (first[0],) if to == 0 else (first[0], ids[0])
    made.asks("v2 in reply to v1", ids[to], ids[1], subject, before=before)


def crossed(made: Corpus, number: int) -> None:
    """A patch that went to two lists, and a reply that came by one of them."""
    title, id = f"cross{number}: go to both", f"crossed-{number}@example.org"
    for project in (CI, DPDK):
        made.mails.append(patch(id, f"[PATCH] {title}", list_id=project.list_id))
    project = (CI, DPDK)[number % 2]
    raw = reply(
        id,
        f"asks-crossed-{number}@example.org",
        subject=f"Re: [PATCH] {title}",
        list_id=project.list_id,
    )
    made.cases.append(Case("cross-posted", raw, id, project.link_name))


def expected(box: Sandbox, case: Case) -> Series:
    """Where the sandbox has filed the patch that a reply is about."""
    key = f"<{case.patch}>"
    for filed in box.store.patches.values():
        if filed.letter.message_id == key and filed.project.link_name == case.project:
            return filed.series or 0, 0
    for each in box.fork.patches.values():
        if each.letter.message_id == key and each.project.link_name == case.project:
            revisions = box.fork.series[each.series or 0].revisions
            return each.series or 0, max(r.version for r in revisions if each.id in r.ids)
    raise AssertionError(f"{case.patch} was not filed")


def run(kind: str, ledger: Ledger) -> dict[str, Outcome]:
    """What became of the sixty replies, by group, asked of a sandbox of this kind."""
    made, clock = corpus(), Clock()
    outcomes: dict[str, Outcome] = {}
    with Sandbox(projects=(DPDK, CI), **KINDS[kind]) as box:
        for raw in made.mails:
            box.file(raw)
        table = PatchworkSettings(box.url, questions_per_sender=10_000)
        with closing(Patchwork(table, ledger, clock=clock)) as patchwork:
            patchwork.probe()
            patchwork.projects()
            for case in made.cases:
                clock += HOUR
                outcome = outcomes.setdefault(case.group, Outcome())
                before, begun = len(box.requests), time.perf_counter()
                found = resolved(patchwork, case, clock)
                outcome.seconds += time.perf_counter() - begun
                outcome.questions += len(box.requests) - before
                outcome.right += found == expected(box, case)
                outcome.unresolved += found is None
                outcome.wrong += found not in (None, expected(box, case))
    return outcomes


def resolved(patchwork: Patchwork, case: Case, clock: Clock) -> Series | None:
    """What a reply is about after an attempt that goes on as often as it has to."""
    mail = mails.parse(case.raw)
    for _ in range(8):
        try:
            target = patchwork.resolve(mail, clock(), [])
        except NotYet as error:
            clock.now += error.pause
        except NotFound:
            return None
        else:
            assert target.project == case.project
            return target.series, target.revision
    return None


def total(outcomes: dict[str, Outcome], what: Callable[[Outcome], int]) -> int:
    return sum(map(what, outcomes.values()))


def main() -> None:
    print("| server | group | right | unresolved | wrong | questions each | ms each |")
    print("|---|---|---|---|---|---|---|")
    counts = Counter(case.group for case in corpus().cases)
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            ledger = open_ledger(f"sqlite:{folder}/ledger.sqlite")
            outcomes = run(kind, ledger)
            ledger.close()
        for group, it in outcomes.items():
            each = counts[group]
            cost = f"{it.questions / each:.1f} | {1000 * it.seconds / each:.0f}"
            print(f"| {kind} | {group} | {it.right} | {it.unresolved} | {it.wrong} | {cost} |")


if __name__ == "__main__":
    main()
