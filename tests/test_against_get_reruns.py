# SPDX-License-Identifier: BSD-3-Clause
"""Held against get_reruns.py: what it finds by polling, mail brings, and catching up brings.

And what each of them costs Patchwork. ``-s`` prints the differences and the counts.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ingest import intake
from ingest.commands import catch_up
from ingest.config.tables import CatchUpSettings, PatchworkSettings, RetestsSettings, Settings
from ingest.ledger import open_ledger
from ingest.mail.prefilter import may_hold_request
from ingest.patchwork.lookup import Patchwork
from ingest.sandbox import Sandbox
from ingest.worker import Worker
from tests.support.clock import MINUTE, Clock
from tests.support.crashes import Commands
from tests.support.leftovers import memory
from tests.support.poller import Asked, Found, Poller
from tests.support.questions import queries
from tests.support.traffic import (
    ATTACHED,
    AUTOMATIC,
    BROKEN,
    CONTEXTS,
    CONTRADICTING,
    FORWARDED,
    SEVERAL,
    Sent,
    day,
    mixed,
)

START = datetime(2023, 9, 6, tzinfo=UTC).timestamp()
LONG_BEFORE = "2023-09-01T00:00:00"
# All but the last need what takes seconds to make ready.
pytestmark = pytest.mark.slow
WAYS = ("replay", "pipe", "catch-up")

# What a mail, by its Message-ID, asks for a series.
Requests = dict[tuple[str, int], Asked]


def stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).replace(tzinfo=None).isoformat()


def patchwork_at(clock: Clock) -> Sandbox:
    return Sandbox(clock=lambda: datetime.fromtimestamp(clock(), UTC))


# What is read out of 300 mails


@dataclass
class Readings:
    """What became of the same mails by each way. ``pages``: the pages of events asked for, by
    who asked and category."""

    kinds: dict[str, str]  # by Message-ID
    polled: Found
    ours: dict[str, Requests]
    documents: dict[str, dict[int, Asked]]
    pages: dict[str, Counter[str]]

    def different(self, one: Requests, other: Requests) -> list["Difference"]:
        """What is not read alike."""
        return [
            Difference(self.kinds[key[0]], *key, one.get(key), other.get(key))
            for key in sorted(one.keys() | other.keys(), key=lambda key: (self.kinds[key[0]], key))
            if one.get(key) != other.get(key)
        ]


@dataclass(frozen=True)
class Difference:
    kind: str
    message_id: str
    series: int
    one: Asked | None
    other: Asked | None


def told(asked: Asked | None) -> str:
    if asked is None:
        return "nothing"
    return ", ".join([*sorted(asked.contexts), *(f"{k}={v}" for k, v in asked.arguments.items())])


@pytest.fixture(scope="module")
def readings() -> Iterator[Readings]:
    with TemporaryDirectory(dir=memory()) as folder:
        yield read_by_each_way(Path(folder))


def read_by_each_way(folder: Path) -> Readings:
    archive = folder / "archive"
    archive.mkdir()
    mails = mixed(START)
    clock = Clock()
    pages: dict[str, Counter[str]] = {}
    with patchwork_at(clock) as box, Commands() as commands:
        for number, each in enumerate(mails):
            clock.now = each.at + 5
            box.file(each.raw)
            (archive / f"{number:03}.eml").write_bytes(each.raw)
        poller = Poller(box.url, CONTEXTS)
        polled = poller.poll(LONG_BEFORE)
        poller.close()
        pages["get_reruns.py"] = pages_asked(box)

        def run(way: str, *command: str, mail: Path | None = None) -> None:
            flags = [
                "--patchwork",
                box.url,
                "--state",
                str(folder / way),
                "--contexts",
                ",".join(CONTEXTS),
            ]
            no_budget = {"RECHECK_INGEST_PIPE_BUDGET": "0"}
            ended = commands.run(*command, *flags, mail=mail, environment=no_budget)
            assert ended.code == 0, ended.output

        run("replay", "replay", str(archive))
        for path in sorted(archive.iterdir()):
            if may_hold_request(path.read_bytes()):  # a pipe drops the others, and takes its time
                run("pipe", "pipe", mail=path)
        run("pipe", "work", "--once")
        box.requests.clear()
        run("catch-up", "catch-up", "--since", LONG_BEFORE)
        pages["catch-up"] = pages_asked(box)
    return Readings(
        kinds={each.message_id: each.kind for each in mails},
        polled=polled,
        ours={way: requests_in(folder / way) for way in WAYS},
        documents={way: document_in(folder / way) for way in WAYS},
        pages=pages,
    )


def pages_asked(box: Sandbox) -> Counter[str]:
    return Counter(query["category"][0] for query in queries(box, "/api/events/"))


def requests_in(folder: Path) -> Requests:
    ledger = open_ledger(f"sqlite:{folder}/ledger.sqlite")
    found = {
        (each.message_id, each.series): Asked(set(each.contexts), dict(each.arguments))
        for each in ledger.requests()
    }
    ledger.close()
    return found


def document_in(folder: Path) -> dict[int, Asked]:
    retests = json.loads((folder / "retests.json").read_text())["retests"]
    return {
        int(series): Asked(set(entry["contexts"]), entry["arguments"])
        for series, entry in retests.items()
    }


def test_the_mails_are_many_and_mixed_and_lists_have_several_pages(readings: Readings) -> None:
    assert len(readings.kinds) >= 290  # some are on both lists
    assert len(readings.polled.comments) > 80
    assert readings.polled.events > 220
    categories = {"patch-comment-created", "cover-comment-created"}
    for asked in readings.pages.values():
        assert asked.keys() == categories
        assert min(asked.values()) > 1


def test_a_pipe_and_a_replay_read_the_same(readings: Readings) -> None:
    assert readings.ours["pipe"] == readings.ours["replay"]
    assert readings.documents["pipe"] == readings.documents["replay"]


# All lines of a mail count. A lab is not asked by a machine, nor by what somebody forwards or
# attaches. A text that is not in its charset is read as far as it can be. Of what Patchwork keeps
# as a comment's text nobody can tell what was forwarded or attached, and it keeps no text that is
# not in its charset: there catching up reads what get_reruns.py reads.
@pytest.mark.parametrize(
    ("way", "kinds"),
    [
        ("replay", {SEVERAL, AUTOMATIC, FORWARDED, ATTACHED, BROKEN}),
        ("catch-up", {SEVERAL, AUTOMATIC}),
    ],
)
def test_mail_by_mail_the_same_but_for_the_deliberate_differences(
    way: str, kinds: set[str], readings: Readings
) -> None:
    ours = readings.ours[way]
    different = readings.different(readings.polled.comments, ours)
    print(f"\n{len(readings.polled.comments)} requests by get_reruns.py, {len(ours)} by {way}:")
    for each in different:
        print(f"  {each.kind}, <{each.message_id}>, series {each.series}:")
        print(f"    {told(each.one)} by get_reruns.py, {told(each.other)} by {way}")
    assert {each.kind for each in different} == kinds
    for each in different:
        if each.kind == SEVERAL:
            assert each.one == Asked({"iol-unit"})
            assert each.other == Asked({"iol-unit", "lab-arm"})
        elif each.kind == BROKEN:
            assert (each.one, each.other) == (None, Asked({"iol-unit", "github-robot"}))
        else:
            assert each.one
            assert each.other is None


def test_catching_up_reads_what_mail_brings_but_for_what_patchwork_keeps_otherwise(
    readings: Readings,
) -> None:
    different = readings.different(readings.ours["replay"], readings.ours["catch-up"])
    assert {each.kind for each in different} == {FORWARDED, ATTACHED, BROKEN}


@pytest.mark.parametrize("way", WAYS)
def test_series_by_series_the_same_document_but_for_mails_that_are_read_differently(
    way: str, readings: Readings
) -> None:
    ours, theirs = readings.documents[way], readings.polled.retests
    different = readings.different(readings.polled.comments, readings.ours[way])
    contradicted = {
        series for id, series in readings.ours[way] if readings.kinds[id] == CONTRADICTING
    }
    apart = {each.series for each in different} | contradicted
    alike = (ours.keys() | theirs.keys()) - apart
    assert len(alike) >= 15
    assert {series: ours.get(series) for series in alike} == {
        series: theirs.get(series) for series in alike
    }


def test_of_two_values_the_later_mails_stands_where_get_reruns_keeps_the_earlier_one(
    readings: Readings,
) -> None:
    """It reads the newest comment first, and lets each further one overwrite it."""
    (series,) = {
        series for id, series in readings.polled.comments if readings.kinds[id] == CONTRADICTING
    }
    assert readings.polled.retests[series].arguments == {"rebase": "main"}
    for way in WAYS:
        assert readings.documents[way][series].arguments == {"rebase": "next"}


# What a day costs Patchwork

DAY_OF_MAIL = day(START)
POLLS = [START + 5 * MINUTE * number for number in range(1, 289)]
LOOKS = [START + 15 * MINUTE * number for number in range(1, 97)]


def through_the_day(
    box: Sandbox,
    clock: Clock,
    mail: Callable[[Sent], None],
    moments: list[float],
    look: Callable[[], None],
) -> int:
    """Have each mail come to Patchwork and, a moment later, to ``mail``, and ``look`` at these
    moments. How many requests that was for Patchwork."""
    steps = [(each.at, each) for each in DAY_OF_MAIL] + [(at, None) for at in moments]
    for at, sent in sorted(steps, key=lambda step: step[0]):
        clock.now = at
        if sent is None:
            look()
            continue
        box.file(sent.raw)
        clock += 10
        mail(sent)
    return len(box.requests)


def by_polling() -> tuple[int, set[int]]:
    clock = Clock()
    series: set[int] = set()
    with patchwork_at(clock) as box:
        poller = Poller(box.url, CONTEXTS)
        since = stamp(START)

        def poll() -> None:
            nonlocal since
            found = poller.poll(since)
            since = found.last_comment_timestamp or since
            series.update(found.retests)

        count = through_the_day(box, clock, lambda sent: None, POLLS, poll)
        poller.close()
    return count, series


def by_us(folder: Path, *, mail: bool, looks: list[float]) -> tuple[int, set[int]]:
    """With a mail feed or without one, catching up at some moments or never."""
    clock = Clock(START)
    ledger = open_ledger(f"sqlite:{folder}/ledger.sqlite")
    with patchwork_at(clock) as box:
        settings = Settings(
            retests=RetestsSettings(file=str(folder / "retests.json")),
            catch_up=CatchUpSettings(overlap=3600),
        )
        patchwork = Patchwork(PatchworkSettings(box.url), ledger, clock=clock)
        worker = Worker(ledger, patchwork, settings, clock=clock)

        def arrive(sent: Sent) -> None:
            if mail:
                intake.accept(sent.raw, "lmtp", ledger=ledger, now=clock(), max_size=1 << 20)
                worker.work_off()

        def look() -> None:
            summary = catch_up.catch_up(settings, ledger, patchwork, clock=clock)
            assert summary.problem == ""
            assert not (mail and summary.missed)
            worker.work_off()

        count = through_the_day(box, clock, arrive, looks, look)
        patchwork.close()
    series = {each.series for each in ledger.requests()}
    ledger.close()
    return count, series


def test_a_day_of_mail_costs_patchwork_a_hundredth_of_what_polling_costs(quick_path: Path) -> None:
    kinds = Counter(each.kind for each in DAY_OF_MAIL)
    comments, requests = kinds["discussion"] + kinds["a request"], kinds["a request"]
    assert (len(DAY_OF_MAIL), comments, requests) == (300, 150, 5)
    folders = [quick_path / name for name in ("mail", "net", "alone")]
    for folder in folders:
        folder.mkdir()
    results = {
        "get_reruns.py, every 5 minutes": by_polling(),
        "mail": by_us(folders[0], mail=True, looks=[]),
        "mail, and catching up every 15 minutes": by_us(folders[1], mail=True, looks=LOOKS),
        "catching up every 5 minutes, no mail": by_us(folders[2], mail=False, looks=POLLS),
    }
    print(f"\nrequests to Patchwork in a day of {len(DAY_OF_MAIL)} mails:")
    for name, (count, _) in results.items():
        print(f"  {count:4}  {name}")
    found = [series for _, series in results.values()]
    assert len(found[0]) == requests
    assert found == found[:1] * len(found)
    # Two lists of events a poll; then for each comment itself and what it is about.
    polling = 2 * len(POLLS) + 2 * comments
    # The projects, once; then for each request what it is about.
    resolving = 1 + requests
    # The version, once; two lists of events a look; then each comment.
    net = 1 + 2 * len(LOOKS) + comments
    alone = 1 + 2 * len(POLLS) + comments
    assert [count for count, _ in results.values()] == [
        polling,
        resolving,
        net + resolving,
        alone + resolving,
    ]
    assert (polling, resolving, net + resolving, alone + resolving) == (876, 6, 349, 733)
