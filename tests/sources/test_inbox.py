# SPDX-License-Identifier: BSD-3-Clause
"""A public-inbox that is followed, in a folder and by https: what is taken in when, and what
happens where its history is not what it was."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.config.source_tables import InboxSettings
from ingest.errors import FeedUnavailable, NoRoom
from ingest.ledger import Ledger, Outcome
from ingest.sources.inbox import Haul
from ingest.sources.inbox import Inbox as Followed
from tests.support.clock import DAY, Clock
from tests.support.git_server import GitServer
from tests.support.hindered import Hindered
from tests.support.inboxes import FIRST, STEP, Inbox, Repository, deleted, file_of_v1, mail
from tests.support.mails import letter, reply

MAX_SIZE = 1 << 20


def recheck(name: object) -> bytes:
    """A mail with a request."""
    return reply("patch@example.org", f"{name}@example.org")


class Feed:
    """An inbox and what is made of it."""

    def __init__(self, inbox: Inbox, url: str, ledger: Ledger, clock: Clock, copies: Path) -> None:
        self.inbox, self.url, self.ledger, self.clock = inbox, url, ledger, clock
        self.copies = copies
        self.settings: dict[str, object] = {}
        self.known: list[str] = []
        clock.now = FIRST + DAY

    def look(self, **settings: object) -> Haul:
        """One look, by a program that was just started."""
        self.settings |= settings
        table = InboxSettings(url=self.url, **self.settings)  # type: ignore[arg-type]
        followed = Followed("dev", table, self.copies, max_size=MAX_SIZE, clock=self.clock)
        return followed.look(self.ledger)

    def taken(self, *names: object) -> list[str]:
        """Which of these mails are in the ledger."""
        return [str(name) for name in names if self.ledger.find(f"{name}@example.org")]

    def reason(self) -> str:
        """The trouble that the ledger tells of."""
        return next(each.reason for each in self.ledger.feeds() if not each.part)


@pytest.fixture(params=["folder", pytest.param("https", marks=pytest.mark.slow)])
def feed(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    ledger: Ledger,
    clock: Clock,
    certificate: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Feed]:
    inbox = Inbox(tmp_path / "served" / "dev")
    inbox.folder.mkdir(parents=True)
    copies = tmp_path / "inbox"
    if request.param == "folder":
        yield Feed(inbox, str(inbox.folder), ledger, clock, copies)
        return
    monkeypatch.setenv("GIT_SSL_CAINFO", certificate)
    with GitServer(tmp_path / "served", certificate) as server:
        yield Feed(inbox, f"{server.url}/dev", ledger, clock, copies)


def test_it_begins_with_what_comes_after_the_first_look(feed: Feed) -> None:
    feed.inbox.add(recheck("old"))
    assert feed.look() == Haul()
    feed.inbox.add(recheck("one"), letter("talk@example.org", "Re: x", "Nice.\n"), recheck("two"))
    assert feed.look() == Haul(mails=3, queued=2)
    assert feed.taken("old", "one", "talk", "two") == ["one", "two"]
    assert feed.look() == Haul()


def test_with_since_it_begins_at_that_day(feed: Feed) -> None:
    late = FIRST - FIRST % int(DAY) + int(DAY)
    dates = [late - 60 * (30 - n) for n in range(30)] + [late, late + 1]
    feed.inbox.add(*(recheck(n) for n in range(32)), dates=dates)
    feed.clock.now = FIRST + 9 * DAY
    assert feed.look(since="2023-11-15") == Haul(mails=2, queued=2)
    assert feed.taken(29, 30, 31) == ["30", "31"]


def test_five_hundred_mails_come_in_once(feed: Feed) -> None:
    """First fetch, incremental fetch, and nothing more."""
    feed.inbox.add(*(recheck(n) for n in range(500)))
    assert feed.look(since="2023-01-01") == Haul(mails=500, queued=500)
    feed.inbox.add(*(recheck(n) for n in range(500, 550)))
    assert feed.look() == Haul(mails=50, queued=50)
    assert feed.look() == Haul()
    assert feed.ledger.totals().mails[Outcome.QUEUED] == 550


def test_a_look_that_is_killed_is_taken_up_where_it_was(feed: Feed, clock: Clock) -> None:
    """Three pieces of a megabyte each; the program ends behind the first one."""
    large = b"Nobody reads this line, which only makes the mail longer.\n" * 1700
    feed.inbox.add(*(recheck(n) + large for n in range(30)))

    def die() -> None:
        raise KeyboardInterrupt

    table = InboxSettings(url=feed.url, since="2023-01-01")
    dying = Followed("dev", table, feed.copies, max_size=MAX_SIZE, clock=clock, accepted=die)
    with pytest.raises(KeyboardInterrupt):
        dying.look(feed.ledger)
    before = feed.ledger.totals().mails[Outcome.QUEUED]
    assert 0 < before < 30
    assert feed.look(since="2023-01-01") == Haul(mails=30 - before, queued=30 - before)
    assert feed.taken(*range(30)) == [str(n) for n in range(30)]


@pytest.mark.parametrize("hindrance", [ValueError("odd"), NoRoom("full")])
def test_a_mail_that_cannot_be_taken_in_holds_up_no_other_and_comes_when_it_can(
    feed: Feed, hindrance: Exception
) -> None:
    feed.inbox.add(recheck("old"))
    feed.look()
    feed.inbox.add(*map(recheck, "abc"))
    whole = feed.ledger
    feed.ledger = Hindered(whole, hindrance, "b@example.org")
    assert feed.look().queued == 2
    assert feed.taken(*"abc") == ["a", "c"]
    assert "<b@example.org> cannot be taken in" in feed.reason()
    feed.inbox.add(recheck("d"))
    assert feed.look().queued == 1
    feed.ledger = whole
    assert feed.look().queued == 1
    assert feed.taken(*"abcd") == [*"abcd"]
    assert feed.reason() == ""
    assert feed.look() == Haul()


def test_a_mail_that_cannot_be_taken_in_for_a_day_is_told_and_left_out(
    feed: Feed, caplog: pytest.LogCaptureFixture
) -> None:
    feed.inbox.add(recheck("old"))
    feed.look()
    feed.inbox.add(*map(recheck, "abc"))
    feed.ledger = Hindered(feed.ledger, ValueError("odd"), "b@example.org")
    for _ in range(2):
        feed.look()
        assert feed.reason()
        feed.clock += DAY / 2 + 1
    assert feed.look().queued == 0
    assert "left out for good, unless recheck-ingest replay takes it in" in caplog.text
    assert feed.reason() == ""
    assert feed.look() == Haul()


def test_a_mail_without_list_id_belongs_to_the_list_that_is_set(feed: Feed) -> None:
    feed.inbox.add(recheck("old"))
    feed.look(list_id="dev.dpdk.org")
    feed.inbox.add(recheck("one"), reply("p@example.org", "two@example.org", list_id="ci.dpdk.org"))
    feed.look()
    lists = [feed.ledger.find(f"{name}@example.org")[0].list_id for name in ("one", "two")]
    assert lists == ["dev.dpdk.org", "ci.dpdk.org"]


@pytest.mark.slow
def test_a_new_epoch_is_followed_and_the_end_of_the_old_one_is_not_missed(
    feed: Feed, caplog: pytest.LogCaptureFixture
) -> None:
    feed.inbox.add(recheck("old"))
    feed.look()
    feed.inbox.add(recheck("last"))
    feed.inbox.add(recheck("first"), recheck("second"), epoch=1, dates=[FIRST + 9 * int(DAY)] * 2)
    assert feed.look() == Haul(mails=3, queued=3)
    assert "inbox.dev has a new epoch, 1" in caplog.text
    feed.inbox.add(recheck("third"), epoch=1)
    assert feed.look() == Haul(mails=1, queued=1)


def test_the_newest_epoch_is_where_it_begins(feed: Feed) -> None:
    for epoch in range(3):
        feed.inbox.add(recheck(f"old-{epoch}"), epoch=epoch)
    assert feed.look() == Haul()
    feed.inbox.add(recheck("new"), epoch=2)
    assert feed.look() == Haul(mails=1, queued=1)


def test_since_reaches_back_over_epochs(feed: Feed) -> None:
    for epoch in range(4):
        first = FIRST + epoch * 30 * int(DAY)
        dates = [first + STEP * n for n in range(30)]
        feed.inbox.add(*(recheck(f"{epoch}-{n}") for n in range(30)), epoch=epoch, dates=dates)
    feed.clock.now = FIRST + 900 * DAY
    assert feed.look(since="2024-01-01") == Haul(mails=60, queued=60)
    assert feed.taken("1-29", "2-0", "3-29") == ["2-0", "3-29"]
    ids = [feed.ledger.find(f"{name}@example.org")[0].id for name in ("2-0", "2-29", "3-0")]
    assert ids == sorted(ids)


def test_a_deleted_mail_stays_as_it_was_taken_in(feed: Feed) -> None:
    feed.inbox.add(recheck("old"))
    feed.look()
    repository = feed.inbox.epoch()
    repository.commit(mail(recheck("one")), deleted(recheck("one")), mail(recheck("two")))
    assert feed.look() == Haul(mails=2, queued=2)


def test_a_rewritten_history_loses_nothing_and_repeats_nothing(
    feed: Feed, caplog: pytest.LogCaptureFixture
) -> None:
    """One mail was purged, and so every commit behind it is another one."""
    now = FIRST + 20 * int(DAY)
    feed.clock.now = float(now)
    feed.inbox.add(*(recheck(f"old-{n}") for n in range(40)))
    feed.look()
    feed.inbox.add(recheck("one"), recheck("spam"), recheck("two"), dates=[now, now + 1, now + 2])
    feed.clock.now += 3
    assert feed.look() == Haul(mails=3, queued=3)
    feed.inbox.epoch().commit(
        *(mail(recheck(name)) for name in ("one", "two", "three")),
        parent="HEAD~3", dates=[now, now + 2, now + 4],
    )  # fmt: skip
    assert feed.look() == Haul(mails=3, queued=1)
    assert feed.taken("one", "two", "three", "old-39") == ["one", "two", "three"]
    assert "was rewritten: 3 commits since 2023-12-04" in caplog.text
    assert feed.look() == Haul()


def test_a_history_that_was_cut_back_goes_on_from_there(feed: Feed) -> None:
    now = int(feed.clock.now)
    feed.inbox.add(recheck("old"))
    feed.look()
    feed.inbox.add(recheck("one"), recheck("two"), dates=[now, now + 1])
    feed.look()
    repository = feed.inbox.epoch()
    repository.git("update-ref", "HEAD", "HEAD~1")
    assert feed.look() == Haul(mails=1)
    repository.commit(mail(recheck("three")), dates=[now + 2])
    assert feed.look() == Haul(mails=1, queued=1)


@pytest.mark.slow
def test_an_inbox_of_version_1_is_followed(feed: Feed) -> None:
    shutil.rmtree(feed.inbox.folder)
    repository = Repository(feed.inbox.folder)
    repository.commit(*([file_of_v1(recheck(f"old-{n}"))] for n in range(15)), kept=True)
    feed.look()
    repository.commit(*([file_of_v1(recheck(n))] for n in range(20)), kept=True)
    assert feed.look() == Haul(mails=20, queued=20)
    assert feed.look() == Haul()


def test_an_inbox_that_was_converted_to_version_2_goes_on(feed: Feed) -> None:
    shutil.rmtree(feed.inbox.folder)
    repository = Repository(feed.inbox.folder)
    repository.commit([file_of_v1(recheck("old"))])
    feed.look()
    repository.commit([file_of_v1(recheck("one"))], kept=True)
    assert feed.look() == Haul(mails=1, queued=1)
    shutil.rmtree(feed.inbox.folder)
    now = int(feed.clock.now)
    feed.inbox.add(*map(recheck, ("old", "one", "two")), dates=[FIRST, now + 1, now + 2])
    assert feed.look() == Haul(mails=2, queued=1)


def test_an_empty_inbox_is_waited_at(feed: Feed) -> None:
    feed.inbox.epoch()
    assert feed.look() == Haul()
    feed.inbox.add(recheck("first"), dates=[int(feed.clock.now) + 1])
    assert feed.look() == Haul(mails=1, queued=1)


def test_an_inbox_that_cannot_be_found_is_told_and_begins_where_it_was_to_begin(
    feed: Feed,
) -> None:
    with pytest.raises(FeedUnavailable, match=r"public-inbox.*neither .*git/0\.git nor"):
        feed.look()
    assert "public-inbox" in feed.reason()
    begun = int(feed.clock.now)
    dates = [begun - 60 * (30 - n) for n in range(30)]
    feed.inbox.add(*(recheck(f"old-{n}") for n in range(30)), dates=dates)
    feed.inbox.add(recheck("one"), dates=[begun + 30])
    feed.clock.now += 60
    assert feed.look() == Haul(mails=1, queued=1)
    assert feed.reason() == ""


def test_an_inbox_that_vanishes_is_told_and_goes_on_when_it_is_back(feed: Feed) -> None:
    feed.inbox.add(recheck("old"))
    feed.look()
    away = feed.inbox.folder.with_name("away")
    feed.inbox.folder.rename(away)
    with pytest.raises(FeedUnavailable, match="is gone"):
        feed.look()
    away.rename(feed.inbox.folder)
    feed.inbox.add(recheck("one"))
    assert feed.look() == Haul(mails=1, queued=1)


def test_a_damaged_repository_is_told_and_what_is_whole_is_taken_in(feed: Feed) -> None:
    feed.inbox.add(recheck("old"))
    feed.look()
    repository = feed.inbox.epoch()
    feed.inbox.add(recheck("one"), recheck("two"))
    blob = repository.git("rev-parse", "HEAD:m")
    lost = repository.folder / "objects" / blob[:2] / blob[2:]
    kept = lost.read_bytes()
    lost.unlink()
    with pytest.raises(FeedUnavailable):
        feed.look()
    assert feed.reason()
    lost.write_bytes(kept)
    feed.look()
    assert feed.taken("one", "two") == ["one", "two"]
    assert feed.reason() == ""
