# SPDX-License-Identifier: BSD-3-Clause
"""What becomes of a mail while Patchwork is down, late or talks nonsense."""

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from ingest.ledger import Outcome
from ingest.sandbox import Sandbox
from tests.support.bad_server import (
    TIMEOUT,
    Answer,
    Hell,
    Seen,
    html,
    patch_row,
    rows,
    stalls,
    text,
)
from tests.support.clock import MINUTE, Clock
from tests.support.faults import DONE, MISSING, OURS, USELESS, Case
from tests.support.lab import SELDOM, Lab, MakeLab, attempts, knows
from tests.support.mails import cover, letter, patch, reply

# Faults whose reason tells what the server said.
TELLING = (
    "400 as JSON",
    "503",
    "a status of 999",
    "no HTTP",
    "escapes for a terminal",
    "a redirect to another host",
    "a redirect to no URL",
    "a redirect to a closed scheme",
    "a compression not asked for",
    "a chunk of no length",
    "a header of 100 KB",
    "404 as HTML",
)


def named(cases: Sequence[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


def timeout_of(case: Case) -> float:
    """What comes before the silence has to be in time, also on a slow machine."""
    return TIMEOUT * (1 if case.requests == 1 else 4) if case.waits else 10.0


# Patchwork from hell.


@named(USELESS)
@pytest.mark.slow
def test_a_useless_answer_to_all_questions_has_the_mail_wait_for_the_server(
    case: Case, hell: Hell, lab_at: MakeLab
) -> None:
    hell.will(*case.answers)
    # The neutral question is answered as uselessly; only it asks for an object.
    hell.root = text("null") if case.name == "an object" else None
    lab = lab_at(hell.url, timeout=timeout_of(case))
    lab.arrives(reply(OURS))
    lab.works()
    assert lab.outcome() is Outcome.QUEUED
    assert lab.waiting() == {"down": 1}
    assert not case.waits or hell.was_left(1)
    # And all is well at the next step, once Patchwork is.
    hell.root = text("{}")
    hell.route(knows())
    lab = lab_at(hell.url) if case.waits else lab
    lab.works_when_due()
    assert lab.document() == {
        "29430": {"contexts": ["iol-unit-amd64-testing"], "arguments": {}},
    }


@named([case for case in USELESS if not case.overload])
@pytest.mark.slow
def test_a_useless_answer_to_one_mails_question_concerns_that_mail_only(
    case: Case, hell: Hell, lab_at: MakeLab
) -> None:
    hell.will(*case.answers)
    hell.route(lambda seen: knows()(seen) if seen.query.get("msgid") == ["good@x"] else None)
    lab = lab_at(hell.url, timeout=timeout_of(case))
    lab.arrives(reply(OURS), reply("good@x", "good-recheck@example.org"))
    lab.works()
    assert lab.waiting() == {"failing": 1}
    assert lab.outcome("good-recheck@example.org") is Outcome.DONE
    assert [seen.path for seen in hell.seen][case.requests] == "/api/"
    hell.route(knows())
    lab = lab_at(hell.url) if case.waits else lab
    lab.works_when_due()
    assert lab.outcome() is Outcome.DONE


@named([case for case in USELESS if case.overload])
def test_a_server_that_is_overloaded_is_asked_nothing_more(
    case: Case, hell: Hell, lab: Lab
) -> None:
    hell.will(*case.answers)
    lab.arrives(reply(OURS))
    lab.works()
    assert lab.waiting() == {"down": 1}
    assert len(hell.seen) == 1


@pytest.mark.parametrize("status", [400, 404, 405, 410, 414, 431, 451])
def test_a_proxys_refusal_is_no_verdict_on_a_mail(status: int, hell: Hell, lab_at: MakeLab) -> None:
    """It ends as failed when it has been refused for a week, and can be retried."""
    lab = lab_at(hell.url, schedule=SELDOM)
    hell.will(html(status))
    lab.arrives(reply(OURS))
    attempts(lab)
    assert lab.outcome() is Outcome.FAILED
    assert f"Patchwork answers {status}" in lab.record().reason
    hell.route(knows())
    lab.ledger.retry(["recheck@example.org"], lab.clock())
    lab.works()
    assert lab.outcome() is Outcome.DONE


def test_a_mistyped_base_url_is_told_and_is_no_verdict_on_a_mail(
    box: Sandbox, lab_at: MakeLab
) -> None:
    box.file(patch(OURS))
    lab = lab_at(f"{box.url}/patchwork")
    lab.arrives(reply(OURS))
    lab.works()
    assert lab.waiting() == {"down": 1}
    assert lab.record().reason == (
        f"there is no Patchwork API at {box.url}/patchwork/api (404 Not Found): "
        "check [patchwork] url"
    )
    lab = lab_at(box.url)
    lab.works_when_due()
    assert lab.outcome() is Outcome.DONE


@pytest.mark.parametrize("root", [html(200), None])
def test_a_page_with_200_is_called_what_it_is(root: Answer | None, hell: Hell, lab: Lab) -> None:
    hell.will(html(200))
    hell.root = root
    lab.arrives(reply(OURS))
    lab.works()
    assert lab.waiting() == {"down": 1}
    assert lab.record().reason.endswith("with an HTML page (a login or a bot check?)")


@named(MISSING)
def test_an_answer_that_holds_nothing_of_ours_has_the_mail_tried_again_as_missing(
    case: Case, hell: Hell, lab: Lab
) -> None:
    hell.will(*case.answers)
    lab.arrives(reply(OURS))
    lab.works()
    assert lab.outcome() is Outcome.QUEUED
    assert lab.waiting() == {"missing": 1}
    assert len(hell.seen) == case.requests
    hell.route(knows())
    lab.works_when_due()
    assert list(lab.document()) == ["29430"]


@named(DONE)
def test_an_odd_answer_that_is_good_resolves_the_mail(case: Case, hell: Hell, lab: Lab) -> None:
    hell.will(*case.answers)
    lab.arrives(reply(OURS))
    lab.works()
    assert lab.outcome() is Outcome.DONE
    assert list(lab.document()) == ["29430"]
    assert len(hell.seen) == case.requests


@named([case for case in USELESS if case.name in TELLING])
def test_a_fault_is_told_in_one_printable_line(case: Case, hell: Hell, lab: Lab) -> None:
    hell.will(*case.answers)
    lab.arrives(reply(OURS))
    lab.works()
    reason = lab.record().reason
    assert "Patchwork" in reason
    assert reason.isprintable()
    assert len(reason) < 500


def test_endless_pages_are_asked_for_a_bounded_number_of_times(hell: Hell, lab: Lab) -> None:
    def route(seen: Seen) -> Answer | None:
        if seen.path != "/api/events/":
            return None
        page = int(seen.query.get("page", ["1"])[0]) + 1
        return rows(headers=(f'Link: <{hell.url}/api/events/?page={page}>; rel="next"',))

    hell.will(rows())
    hell.route(route)
    lab.arrives(reply(OURS))
    lab.works()
    parts = [len(hell.seen)]
    while "knows nothing" not in lab.record().reason:
        assert "questions" in lab.record().reason
        before = len(hell.seen)
        lab.works_when_due()
        parts.append(len(hell.seen) - before)
    # Two kinds of comments, when the mail was sent and when it came, a hundred pages each.
    assert sum(seen.path == "/api/events/" for seen in hell.seen) == 400
    assert max(parts) <= 41  # the question for the version is no mail's


def test_a_connection_that_is_refused_is_tried_again(hell: Hell, lab: Lab) -> None:
    hell.stop()
    lab.arrives(reply(OURS))
    lab.works()
    assert lab.waiting() == {"down": 1}
    hell.start()
    hell.route(knows())
    lab.works_when_due()
    assert lab.outcome() is Outcome.DONE


def test_a_name_that_does_not_resolve_is_tried_again(lab_at: MakeLab) -> None:
    lab = lab_at("http://patchwork.invalid")
    lab.arrives(reply(OURS))
    lab.works()
    assert lab.waiting() == {"down": 1}


@pytest.mark.slow
def test_a_server_that_falls_silent_costs_two_time_outs(hell: Hell, lab_at: MakeLab) -> None:
    hell.will(rows(), stalls())
    hell.root = None
    lab = lab_at(hell.url, timeout=4 * TIMEOUT)
    lab.arrives(reply(OURS, references=["a@example.org", "b@example.org"]))
    lab.works()
    assert lab.waiting() == {"down": 1}
    assert [seen.path for seen in hell.seen] == ["/api/patches/", "/api/covers/", "/api/"]
    assert hell.was_left(2)


def test_a_mail_without_a_request_asks_patchwork_nothing(hell: Hell, lab: Lab) -> None:
    quoted = "> Recheck-request: iol-unit-amd64-testing\n\nThanks.\n"
    lab.arrives(
        reply(OURS, "quoted@example.org", body=quoted),
        reply(OURS, "near@example.org", body="recheck-request: iol-unit-amd64-testing\n"),
        reply("", "alone@example.org"),
        letter("signed@example.org", "Re: x", "-- \nRecheck-request: a\n", in_reply_to=OURS),
        patch("patch@example.org", in_reply_to=OURS).replace(b"Fix it", b"Recheck-request: a"),
    )
    lab.works()
    assert lab.ledger.totals().mails["ignored"] == 5
    assert hell.seen == []


# A late Patchwork.


def test_a_patch_that_patchwork_parses_later_is_found_at_the_next_step(
    lab_at: MakeLab, box: Sandbox, clock: Clock
) -> None:
    lab = lab_at(box.url)
    lab.arrives(reply("late@example.org", list_id="dev.dpdk.org"))
    lab.works()
    clock += 4 * MINUTE
    box.file(patch("late@example.org"))
    lab.works_until(clock() + 4 * MINUTE)
    assert lab.outcome() is Outcome.DONE
    assert list(lab.document()) == ["29430"]


def test_a_series_that_is_completed_later_is_found_at_the_next_step(hell: Hell, lab: Lab) -> None:
    hell.will(rows(patch_row(OURS, series=[])), rows())
    lab.arrives(reply(OURS))
    lab.works()
    assert "in no series yet" in str(lab.record().story)
    hell.will(rows(patch_row(OURS)))
    lab.works_when_due()
    assert lab.outcome() is Outcome.DONE


def test_a_comment_that_patchwork_files_later_is_found_by_its_event(
    lab_at: MakeLab, box: Sandbox, clock: Clock
) -> None:
    lab = lab_at(box.url)
    box.file(cover("cover@example.org"))
    box.file(reply("cover@example.org", "comment@example.org", list_id="dev.dpdk.org"))
    date = format_datetime(datetime.fromtimestamp(clock(), UTC))
    ours = reply("comment@example.org", list_id="dev.dpdk.org", date=date)
    lab.arrives(ours)
    lab.works()
    assert lab.waiting() == {"missing": 1}
    clock += 2 * MINUTE
    box.file(ours)
    lab.works()
    assert lab.outcome() is Outcome.DONE
    (request,) = lab.ledger.requests()
    assert str(request.submission) == "cover 442"
