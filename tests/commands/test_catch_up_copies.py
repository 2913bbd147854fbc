# SPDX-License-Identifier: BSD-3-Clause
"""A fetched comment and the mails of its Message-ID: what is a copy of one, and what is not."""

import contextlib
from dataclasses import replace

import pytest

from ingest import intake, look
from ingest.config import tables
from ingest.intake import Receipt
from ingest.ledger import Envelope, Filing, Ledger, Outcome, Record
from ingest.mail.prefilter import may_hold_request
from ingest.sandbox import Sandbox
from ingest.worker import Worker, connect
from tests.support.clock import DAY, HOUR, MINUTE, Clock
from tests.support.mails import RECHECK, letter, patch, reply
from tests.support.missed_mails import DEV, PATCH, Catching
from tests.support.traffic import SAME

OTHER = "other@example.org"
ID = "recheck@example.org"
FILED = Filing("patch", 131182, 160001, PATCH)


class Desk(Catching):
    """What comes by mail or by catching up is worked off in a time of its own."""

    def settle(self, seconds: float = 5 * MINUTE) -> None:
        """Work off what is due within so many seconds."""
        settings = replace(self.settings, patchwork=tables.PatchworkSettings(self.url))
        end = self.clock() + seconds
        with contextlib.closing(connect(settings, self.ledger)) as patchwork:
            worker = Worker(
                self.ledger, patchwork, settings, clock=self.clock, chance=lambda: 0.0,
                publish=lambda until: None,
            )  # fmt: skip
            while (due := self.ledger.next_due()) is not None and due <= end:
                self.clock.now = max(self.clock.now, due)
                worker.work_off()

    def found(self) -> list[Record]:
        return self.ledger.find(ID)

    def asked(self) -> list[tuple[int, tuple[str, ...]]]:
        return [(each.series, each.contexts) for each in self.ledger.requests()]


@pytest.fixture
def desk(box: Sandbox, ledger: Ledger, clock: Clock) -> Desk:
    """A Patchwork that knows two patches."""
    box.file(patch(PATCH))
    box.file(patch(OTHER, "[PATCH] b: fix it"))
    return Desk(box.url, ledger, clock)


def genuine(body: str = RECHECK, to: str = PATCH) -> bytes:
    return reply(to, ID, body=body, list_id=DEV)


UNIT = (29430, ("iol-unit-amd64-testing",))

# A copy


def wrapped_in(kind: str) -> bytes:
    body = SAME[kind]
    head, _, _ = genuine().partition(b"\n\n")
    return b"\n".join([head, *(field.encode() for field in body.fields), b"", body.text])


@pytest.mark.parametrize("kind", [each for each in SAME if may_hold_request(wrapped_in(each))])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_of_a_comment_whose_mail_came_only_the_filing_is_kept(
    kind: str, end: bytes, desk: Desk, box: Sandbox
) -> None:
    raw = wrapped_in(kind)
    box.file(raw)
    assert desk.mail(raw.replace(b"\n", end)) is Receipt.QUEUED
    haul = desk.catch_up().haul
    assert (haul.fetched, haul.known, haul.queued) == (1, 1, 0)
    (record,) = desk.found()
    assert record.filing == FILED
    assert [each.what for each in record.story] == ["accepted", "filed"]


def test_both_copies_of_a_mail_learn_where_it_was_filed(desk: Desk, box: Sandbox) -> None:
    footer = f"{RECHECK}_______________\nA footer of the list.\n"
    desk.mail(genuine())
    desk.mail(genuine(footer))
    box.file(genuine(footer))
    desk.catch_up()
    assert [each.filing for each in desk.found()] == [FILED, FILED]


def test_a_filing_that_is_known_is_told_once(desk: Desk, box: Sandbox, clock: Clock) -> None:
    desk.mail(genuine())
    box.file(genuine())
    desk.catch_up()
    clock += 100 * DAY  # it is forgotten that the comment was fetched
    desk.catch_up(since=clock() - 200 * DAY)
    (record,) = desk.found()
    assert [each.what for each in record.story] == ["accepted", "filed"]


def test_a_mail_that_waits_for_patchwork_goes_on_when_its_filing_is_known(
    desk: Desk, box: Sandbox, clock: Clock
) -> None:
    raw = reply("unknown@example.org", ID, list_id=DEV)
    desk.mail(raw)
    desk.settle(3 * HOUR)
    (record,) = desk.found()
    assert (record.outcome, desk.asked()) == (Outcome.QUEUED, [])
    assert record.due is not None
    assert record.due > clock()
    desk.ledger.file(record.id, FILED, clock())
    desk.settle(0)
    assert desk.asked() == [UNIT]


def test_a_mail_that_was_given_up_is_tried_again_when_its_filing_is_known(
    desk: Desk, box: Sandbox, clock: Clock
) -> None:
    desk.mail(reply("unknown@example.org", ID, list_id=DEV))
    desk.settle(3 * DAY)
    (record,) = desk.found()
    assert record.outcome is Outcome.UNRESOLVED
    desk.ledger.file(record.id, FILED, clock())
    desk.settle(0)
    assert desk.asked() == [UNIT]


def test_a_filing_adds_no_second_series_to_a_mail_that_has_one(
    desk: Desk, box: Sandbox, clock: Clock
) -> None:
    desk.mail(genuine())
    desk.settle()
    (record,) = desk.found()
    desk.ledger.file(record.id, Filing("patch", 131183, 160001, OTHER), clock())
    desk.settle(3 * DAY)
    (record,) = desk.found()
    assert (record.outcome, record.filing.submission) == (Outcome.DONE, 131183)
    assert desk.asked() == [UNIT]


def test_the_filing_of_a_comment_that_never_came_by_mail_decides(desk: Desk, box: Sandbox) -> None:
    """Patchwork goes by the references; this mail's nearest one is unknown to it."""
    raw = reply("unknown@example.org", ID, references=[OTHER, "unknown@example.org"], list_id=DEV)
    box.file(raw)
    desk.catch_up()
    (record,) = desk.found()
    assert record.filing == Filing("patch", 131183, 160001, OTHER)
    box.requests.clear()
    desk.settle(0)
    assert [series for series, _ in desk.asked()] == [29431]
    assert not [each for each in box.requests if each.path.startswith("/api/events/")]


def test_a_filing_on_a_server_that_was_replaced_does_not_count(
    desk: Desk, box: Sandbox, clock: Clock
) -> None:
    """The submission of this number is another one there."""
    desk.mail(reply("unknown@example.org", ID, list_id=DEV))
    desk.settle(0)
    (record,) = desk.found()
    desk.ledger.file(record.id, Filing("patch", 131182, 160001, "old@example.org"), clock())
    desk.settle(0)
    assert desk.asked() == []


# Whoever sends a Message-ID first


def with_field(field: str, raw: bytes) -> bytes:
    return f"{field}\n".encode() + raw


FORGERIES: dict[str, tuple[bytes, Envelope]] = {
    "other words": (genuine(f"> {RECHECK}"), Envelope()),
    "another request": (genuine("Recheck-request: iol-other\n"), Envelope()),
    "a null sender": (genuine(), Envelope("")),
    "Return-Path": (with_field("Return-Path: <>", genuine()), Envelope()),
    "Auto-Submitted": (with_field("Auto-Submitted: auto-replied", genuine()), Envelope()),
    "a hint": (with_field("X-Patchwork-Hint: ignore", genuine()), Envelope()),
    "another patch": (genuine(to=OTHER), Envelope()),
    "another sender": (
        genuine().replace(b"robin@example.org", b"mallory@example.org"), Envelope(),
    ),
    "no reference": (letter(ID, "Re: [PATCH] a: fix it", RECHECK, list_id=DEV), Envelope()),
}  # fmt: skip


@pytest.mark.parametrize("way", ["by mail", "by catching up"])
@pytest.mark.parametrize("forgery", FORGERIES)
def test_who_sends_its_message_id_first_keeps_no_genuine_request_out(
    forgery: str, way: str, desk: Desk, box: Sandbox
) -> None:
    raw, envelope = FORGERIES[forgery]
    source = {"ledger": desk.ledger, "now": desk.clock(), "max_size": 1 << 20}
    intake.accept(raw, "lmtp", envelope=envelope, **source)  # type: ignore[arg-type]
    desk.settle()
    box.file(genuine())
    if way == "by mail":
        desk.mail(genuine())
    else:
        assert desk.catch_up().haul.queued == 1
    desk.settle()
    assert UNIT in desk.asked()


@pytest.mark.parametrize("forgery", FORGERIES)
def test_done_is_said_only_of_a_mail_whose_request_was_recorded(
    forgery: str, desk: Desk, box: Sandbox
) -> None:
    raw, envelope = FORGERIES[forgery]
    source = {"ledger": desk.ledger, "now": desk.clock(), "max_size": 1 << 20}
    intake.accept(raw, "lmtp", envelope=envelope, **source)  # type: ignore[arg-type]
    desk.mail(genuine())
    desk.settle()
    first, second = desk.found()
    assert (first.others, second.others) == ((second.id,), (first.id,))
    for each in (first, second):
        assert (each.outcome is Outcome.DONE) == bool(each.requests)
    stories = look.stories(desk.ledger, [first, second], desk.settings, desk.clock())
    assert [story.others for story in stories] == [(f"mail-{second.id}",), (f"mail-{first.id}",)]


def test_a_comment_that_was_changed_on_the_way_runs_nothing_twice(desk: Desk, box: Sandbox) -> None:
    """It is worked on, and meets the first one at the request."""
    desk.mail(genuine())
    desk.settle()
    box.file(genuine(f"{RECHECK}\nA footer that nothing tells from the text.\n"))
    assert desk.catch_up().haul.queued == 1
    desk.settle()
    assert desk.asked() == [UNIT]
    first, second = desk.found()
    assert second.reason == f"mail-{first.id}, of its Message-ID, asked for the same before"


@pytest.mark.slow
def test_many_mails_of_one_message_id_hold_up_no_catching_up(desk: Desk, box: Sandbox) -> None:
    """So many are compared; then a comment is a mail of its own, and asks for nothing twice."""
    for number in range(120):
        desk.mail(genuine(f"{number}\n{RECHECK}"))
    desk.mail(genuine())
    box.file(genuine())
    haul = desk.catch_up().haul
    assert (haul.fetched, haul.queued) == (1, 1)
    desk.settle()
    assert desk.asked() == [UNIT]
