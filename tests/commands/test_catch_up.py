# SPDX-License-Identifier: BSD-3-Clause
"""Catching up: from when on is asked, what is fetched, what stays when it ends early."""

import contextlib
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from ingest.commands import replay
from ingest.config import tables
from ingest.errors import StateUnavailable, Unavailable
from ingest.intake import Receipt
from ingest.ledger import Ledger, Outcome
from ingest.patchwork import outage
from ingest.sandbox import FirstIds, Sandbox
from ingest.story.sinks import CATCH_UP
from ingest.worker import Worker, connect
from tests.support.bad_server import Answer, Hell, Line, failing, html, rows
from tests.support.clock import DAY, HOUR, MINUTE, Clock
from tests.support.mails import RECHECK, cover, patch, reply
from tests.support.missed_mails import DEV, PATCH, Catching, Made, answers, fetched, serves
from tests.support.questions import paths, queries

PAUSE = tables.WorkerSettings().retry[0]


@pytest.fixture
def catching(box: Sandbox, ledger: Ledger, clock: Clock) -> Catching:
    """A Patchwork that knows one patch, and nothing of it here."""
    box.file(patch(PATCH))
    return Catching(box.url, ledger, clock)


@pytest.fixture
def from_hell(hell: Hell, ledger: Ledger, clock: Clock) -> Catching:
    return Catching(hell.url, ledger, clock)


def file(box: Sandbox, *mails: bytes) -> None:
    for raw in mails:
        box.file(raw)


def asked_since(box: Sandbox) -> set[float | None]:
    """The times that the events were asked for from, since the last look, None for all that there
    are. Asked is from a day before, for the server may be in any zone."""
    found = {
        datetime.fromisoformat(query["since"][0]).replace(tzinfo=UTC).timestamp() + DAY
        if "since" in query
        else None
        for query in queries(box, "/api/events/")
    }
    box.requests.clear()
    return found


# From when on


def test_the_first_time_it_begins_a_day_ago_less_the_overlap(
    catching: Catching, box: Sandbox, clock: Clock
) -> None:
    catching.catch_up()
    assert asked_since(box) == {clock() - DAY - HOUR}


def test_without_a_complete_run_it_begins_at_the_last_mail_less_the_overlap(
    catching: Catching, box: Sandbox, clock: Clock
) -> None:
    catching.mail(reply(PATCH, "old@example.org"))
    mail = clock()
    clock += 10 * DAY
    catching.catch_up()
    assert asked_since(box) == {mail - HOUR}


def test_after_a_complete_run_it_begins_behind_the_last_event_whatever_the_clock_says(
    catching: Catching, box: Sandbox, clock: Clock
) -> None:
    first = clock()
    file(box, cover("cover@example.org"))
    file(box, *answers("1"), *answers("2", to="cover@example.org"))
    assert catching.catch_up().moved
    assert catching.state().moved == first
    asked_since(box)
    clock += 30 * DAY
    file(box, *answers("3"), *answers("4", to="cover@example.org"))
    clock += -60 * DAY
    assert catching.catch_up().missed == ["3@example.org", "4@example.org"]
    assert asked_since(box) == {None}


def test_the_time_that_is_kept_is_that_at_which_the_run_began(
    hell: Hell, from_hell: Catching, clock: Clock
) -> None:
    begun = clock()
    serve = serves([Made(1, begun)])

    def slowly(line: Line) -> None:
        nonlocal clock
        clock += 10 * MINUTE
        serve(line.seen)(line)

    hell.route(lambda seen: slowly)
    assert from_hell.catch_up().moved
    assert clock() > begun
    assert from_hell.state().moved == begun


def test_a_server_that_was_reset_is_told_and_begun_by_date(
    ledger: Ledger, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Its ids begin anew, so that none of them is behind the last one seen."""
    port = 0
    for number, first in ((1, 500_001), (2, 1)):
        now = partial(datetime.fromtimestamp, clock(), UTC)
        with Sandbox(first=FirstIds(event=first), port=port, clock=now) as box:
            port = int(box.url.rpartition(":")[2])
            file(box, patch(PATCH), *answers(str(number)))
            missed = Catching(box.url, ledger, clock).catch_up().missed
            assert missed == [f"{number}@example.org"]
    assert "was reset" in caplog.text


def test_since_is_asked_as_it_is_named(catching: Catching, box: Sandbox, clock: Clock) -> None:
    catching.catch_up(since=clock() - 40 * DAY)
    assert asked_since(box) == {clock() - 40 * DAY}


@pytest.mark.parametrize(("before", "moves"), [(2 * DAY, True), (30 * MINUTE, False)])
def test_the_time_moves_unless_since_left_a_gap(
    before: float, moves: bool, catching: Catching, clock: Clock
) -> None:
    first = clock()
    catching.catch_up()
    clock += 6 * HOUR
    summary = catching.catch_up(since=clock() - before)
    assert summary.problem == ""
    assert summary.moved == moves
    assert catching.state().moved == (clock() if moves else first)


# What is fetched


def test_every_comment_is_fetched_and_taken_in_as_a_mail(
    catching: Catching, box: Sandbox, clock: Clock
) -> None:
    file(box, cover("cover@example.org"))
    file(box, *answers("1", "2"), *answers("3", to="cover@example.org"))
    file(box, *answers("4", body="Fine.\n"))
    summary = catching.catch_up()
    haul = summary.haul
    assert (haul.events, haul.fetched, haul.known) == (4, 4, 0)
    assert (haul.queued, haul.dropped) == (3, 1)
    assert sorted(summary.missed) == sorted(catching.queued())
    assert len(summary.missed) == 3


def test_comments_are_taken_in_in_the_order_in_which_they_were_filed(
    catching: Catching, box: Sandbox, clock: Clock
) -> None:
    file(box, cover("cover@example.org"))
    for number in range(6):
        clock += MINUTE
        to = PATCH if number % 2 else "cover@example.org"
        file(box, *answers(str(number), to=to))
    assert catching.catch_up().missed == [f"{number}@example.org" for number in range(6)]


def test_mails_that_come_by_no_way_but_this_are_worked_off(
    catching: Catching, box: Sandbox, quick_path: Path
) -> None:
    file(box, *answers("1"))
    catching.catch_up()
    settings = replace(
        catching.settings,
        patchwork=tables.PatchworkSettings(url=box.url),
        retests=tables.RetestsSettings(file=str(quick_path / "retests.json")),
    )
    work = replay.Summary()
    replay.work_off(settings, catching.ledger, connect(settings, catching.ledger), work)
    assert work.recorded == 1


def test_a_second_run_fetches_nothing_again(catching: Catching, box: Sandbox, clock: Clock) -> None:
    file(box, *answers("1"), *answers("2", body="Fine.\n"), *answers("3", body=f"> {RECHECK}"))
    catching.catch_up()
    box.requests.clear()
    clock += MINUTE
    haul = catching.catch_up().haul
    assert (haul.events, haul.known, haul.fetched) == (0, 0, 0)
    assert fetched(box) == []
    haul = catching.catch_up(since=clock() - HOUR).haul
    assert (haul.events, haul.known, haul.fetched) == (3, 3, 0)
    assert fetched(box) == []


def test_what_is_not_remembered_any_more_is_fetched_again_and_known_then(
    catching: Catching, box: Sandbox, clock: Clock
) -> None:
    # So long an id that Patchwork keeps its beginning: no mail is found by it.
    raw = reply(PATCH, f"{'x' * 290}@example.org", list_id=DEV)
    box.file(raw)
    since = clock() - DAY
    assert catching.catch_up(since).haul.queued == 1
    assert catching.catch_up(since).haul.fetched == 0
    clock += 100 * DAY
    haul = catching.catch_up(since).haul
    assert (haul.fetched, haul.known, haul.queued) == (1, 1, 0)


def test_a_comment_whose_mail_came_is_fetched_and_known(catching: Catching, box: Sandbox) -> None:
    first, second = answers("1", "2")
    file(box, first, second)
    assert catching.mail(first) is Receipt.QUEUED
    haul = catching.catch_up().haul
    assert (haul.known, haul.fetched, haul.queued) == (1, 2, 1)
    assert len(fetched(box)) == 2


def test_a_mail_that_comes_after_its_comment_was_fetched_asks_for_nothing_again(
    catching: Catching, box: Sandbox
) -> None:
    file(box, patch(PATCH))
    (raw,) = answers("1")
    box.file(raw)
    catching.catch_up()
    assert catching.mail(raw) is Receipt.QUEUED
    ledger = catching.ledger
    settings = replace(catching.settings, patchwork=tables.PatchworkSettings(catching.url))
    with contextlib.closing(connect(settings, ledger)) as patchwork:
        Worker(ledger, patchwork, settings, publish=lambda until: None).work_off()
    assert [mail.outcome for mail in ledger.find("1@example.org")] == ["done", "ignored"]
    assert len(ledger.requests()) == 1


def test_of_a_mail_on_two_lists_that_came_by_one_the_other_is_queued(
    catching: Catching, box: Sandbox
) -> None:
    file(box, patch(PATCH, list_id="ci.dpdk.org"))
    for list_id in (DEV, "ci.dpdk.org"):
        (raw,) = answers("1", list_id=list_id)
        box.file(raw)
        if list_id == DEV:
            catching.mail(raw)
    haul = catching.catch_up().haul
    assert (haul.known, haul.fetched, haul.queued) == (1, 2, 1)
    found = catching.ledger.find("1@example.org")
    assert [(each.list_id, each.source) for each in found] == [
        (DEV, "lmtp"),
        ("ci.dpdk.org", "events"),
    ]


def test_events_of_submissions_are_not_asked_for(catching: Catching, box: Sandbox) -> None:
    catching.catch_up()
    categories = [query["category"][0] for query in queries(box, "/api/events/")]
    assert categories == ["patch-comment-created", "cover-comment-created"]


@pytest.mark.slow
def test_every_page_of_events_is_read(catching: Catching, box: Sandbox) -> None:
    file(box, *answers(*map(str, range(230)), body="Fine.\n"))
    haul = catching.catch_up().haul
    assert (haul.events, haul.fetched, haul.dropped) == (230, 230, 230)
    pages = [query.get("page", ["1"])[0] for query in queries(box, "/api/events/")]
    assert pages == ["1", "2", "3", "1"]


def test_an_event_that_moves_from_page_to_page_is_one(
    hell: Hell, from_hell: Catching, clock: Clock
) -> None:
    made = [Made(number, clock() - number) for number in range(1, 4)]
    serve = serves(made)

    def pages(line: Line) -> None:
        again = "page" in line.seen.query
        link = (
            ()
            if again
            else (f'Link: <http://x/?page=2&{line.seen.target.split("?")[1]}>; rel="next"',)
        )
        shown = made[1:] if again else made[:2]
        rows(*(each.event() for each in shown), headers=link)(line)

    hell.route(
        lambda seen: (
            pages if seen.query.get("category") == ["patch-comment-created"] else serve(seen)
        )
    )
    haul = from_hell.catch_up().haul
    assert (haul.events, haul.fetched) == (3, 3)


def test_only_what_asks_for_something_wanted_here_counts_as_missed(
    catching: Catching, box: Sandbox
) -> None:
    catching.settings = replace(
        catching.settings, requests=tables.RequestsSettings(contexts=("iol-*",))
    )
    file(box, *answers("1"), *answers("2", body="Recheck-request: other\n"))
    file(box, *answers("3", body=f"> {RECHECK}"))
    summary = catching.catch_up()
    assert (summary.haul.queued, summary.missed) == (3, ["1@example.org"])


def test_a_comment_that_is_too_large_is_kept_cut_and_rejected(
    catching: Catching, box: Sandbox
) -> None:
    catching.settings = replace(catching.settings, intake=tables.IntakeSettings(max_size=600))
    file(box, *answers("1", body=RECHECK + "x" * 600))
    summary = catching.catch_up()
    assert (summary.haul.rejected, summary.problem) == (1, "")
    (record,) = catching.ledger.find("1@example.org")
    assert record.outcome is Outcome.REJECTED


def test_one_connection_serves_for_all_questions(
    hell: Hell, from_hell: Catching, clock: Clock
) -> None:
    hell.route(serves([Made(number, clock()) for number in range(1, 20)]))
    assert from_hell.catch_up().haul.fetched == 19
    assert len({seen.connection for seen in hell.seen}) == 1


# When it ends early


def test_a_comment_that_was_deleted_is_told_and_left_out(
    hell: Hell, from_hell: Catching, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    gone, there = Made(1, clock() - 2), Made(2, clock() - 1)
    hell.route(serves([gone, there], {gone.path: failing(404)}))
    with caplog.at_level("INFO", logger="ingest"):
        summary = from_hell.catch_up()
    assert (summary.haul.deleted, summary.missed) == (1, [there.message_id])
    assert summary.moved
    assert f"deleted meanwhile <{gone.message_id}>" in caplog.text


def test_of_a_patchwork_that_goes_down_in_the_middle_what_was_taken_in_stays(
    hell: Hell, from_hell: Catching, clock: Clock
) -> None:
    made = [Made(number, clock() + number) for number in range(1, 10)]
    down = {each.path: failing(503) for each in made[3:]}
    hell.route(serves(made, down))
    summary = from_hell.catch_up()
    assert "503" in summary.problem
    assert summary.missed == [each.message_id for each in made[:3]]
    assert from_hell.state().moved == 0
    assert from_hell.state().reason == summary.problem
    hell.route(serves(made))
    hell.seen.clear()
    clock += HOUR
    summary = from_hell.catch_up()
    assert summary.missed == [each.message_id for each in made[3:]]
    assert [seen.path for seen in hell.seen if "comments" in seen.path] == [
        each.path for each in made[3:]
    ]
    assert (summary.problem, summary.moved) == ("", True)
    assert (from_hell.state().moved, from_hell.state().reason) == (clock(), "")


def test_a_first_run_that_ended_early_is_begun_again_at_the_same_time(
    catching: Catching, box: Sandbox, clock: Clock
) -> None:
    """Though what it took in is the last mail now."""
    catching.mail(reply(PATCH, "long-ago@example.org"))
    mail = clock()
    clock += 5 * DAY
    file(box, *answers("1", "2"))
    asked = iter([False] + [True] * 100)
    assert catching.catch_up(stop=lambda: next(asked)).missed == ["1@example.org"]
    asked_since(box)
    clock += 5 * DAY
    assert catching.catch_up().missed == ["2@example.org"]
    assert asked_since(box) == {mail - HOUR}


def test_patchwork_is_not_asked_before_the_time_that_it_named(
    hell: Hell, from_hell: Catching, clock: Clock
) -> None:
    made = [Made(number, clock()) for number in range(1, 5)]
    hell.route(serves(made, {made[0].path: failing(429, "Retry-After: 600")}))
    assert "429" in from_hell.catch_up().problem
    assert [seen.path for seen in hell.seen if "comments" in seen.path] == [made[0].path]
    assert outage.broken(from_hell.ledger, clock()) is not None  # the worker does not ask either
    hell.route(serves(made))
    hell.seen.clear()
    clock += 599
    assert "429" in from_hell.catch_up().problem
    assert hell.seen == []
    clock += 2
    assert len(from_hell.catch_up().missed) == len(made)


def test_a_patchwork_that_the_worker_found_down_is_not_asked(
    catching: Catching, box: Sandbox, clock: Clock
) -> None:
    file(box, *answers("1"))
    outage.trip(catching.ledger, Unavailable("it sleeps"), clock(), PAUSE)
    summary = catching.catch_up()
    assert summary.problem.startswith("Patchwork is asked again at ")
    assert summary.problem.endswith(": it sleeps")
    assert (paths(box), catching.state().moved) == ([], 0)
    clock += PAUSE
    assert catching.catch_up().moved


def test_a_failure_here_does_not_keep_the_worker_from_asking(
    hell: Hell, from_hell: Catching, clock: Clock
) -> None:
    """Events are another question than a mail's; what the worker asks may well be answered."""
    hell.will(failing(500))
    assert from_hell.catch_up().problem
    assert outage.broken(from_hell.ledger, clock()) is None


@pytest.mark.parametrize("answer", [failing(500), html(502), rows(), html(404)])
def test_a_comment_that_alone_cannot_be_had_holds_up_no_other(
    answer: Answer, hell: Hell, from_hell: Catching, clock: Clock
) -> None:
    made = [Made(number, clock() + number) for number in range(1, 6)]
    hell.route(serves(made, {made[2].path: answer}))
    summary = from_hell.catch_up()
    assert summary.missed == [each.message_id for each in made if each is not made[2]]
    assert summary.problem.startswith("1 comment could not be had: Patchwork")
    assert from_hell.state().moved == 0
    hell.route(serves(made))
    clock += MINUTE
    assert from_hell.catch_up().missed == [made[2].message_id]
    assert from_hell.state().moved == clock()


def test_three_that_cannot_be_had_in_a_row_are_a_patchwork_that_is_down(
    hell: Hell, from_hell: Catching, clock: Clock
) -> None:
    made = [Made(number, clock() + number) for number in range(12)][1:]
    bad = {each.path: failing(500) for each in made if each.number % 2 or each.number > 6}
    hell.route(serves(made, bad))
    summary = from_hell.catch_up()
    assert summary.missed == [f"{number}@example.org" for number in (2, 4, 6)]
    asked = [seen.path for seen in hell.seen if "comments" in seen.path]
    assert asked == [each.path for each in made[:9]]
    assert not summary.moved


def test_a_comment_that_cannot_be_had_for_a_day_while_others_can_is_given_up(
    hell: Hell, from_hell: Catching, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    made = [Made(1, clock()), Made(2, clock())]
    bad = {made[0].path: failing(500)}
    for hours in (0, 12, 25):
        clock.now = made[0].at + hours * HOUR
        made.append(Made(10 + hours, clock()))
        hell.route(serves(made, bad))
        summary = from_hell.catch_up()
        assert summary.moved == (hours == 25)
    assert (summary.haul.given_up, summary.problem) == (1, "")
    assert "gave up a comment that cannot be had: Patchwork answers 500" in caplog.text
    hell.seen.clear()
    from_hell.catch_up()
    assert made[0].path not in [seen.path for seen in hell.seen]


def test_no_comment_is_given_up_while_none_can_be_had(
    hell: Hell, from_hell: Catching, clock: Clock
) -> None:
    made = [Made(1, clock()), Made(2, clock())]
    hell.route(serves(made, {each.path: failing(500) for each in made}))
    for _ in range(5):
        assert not from_hell.catch_up().moved
        clock += DAY
    hell.route(serves(made))
    assert len(from_hell.catch_up().missed) == 2


def test_it_stops_when_it_is_told_to_and_says_nothing_of_it_in_the_cursor(
    catching: Catching, box: Sandbox
) -> None:
    file(box, *answers("1", "2", "3"))
    asked = iter([False] * 2 + [True] * 100)
    summary = catching.catch_up(stop=lambda: next(asked))
    assert len(summary.missed) == 2
    assert (summary.problem, summary.moved) == ("it was stopped", False)
    assert catching.state().reason == ""


def test_two_do_not_catch_up_at_once(catching: Catching, box: Sandbox) -> None:
    with (
        catching.ledger.lease(CATCH_UP),
        pytest.raises(StateUnavailable, match="another process is catching up"),
    ):
        catching.catch_up()
    assert paths(box) == []
