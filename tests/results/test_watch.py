# SPDX-License-Identifier: BSD-3-Clause
"""Patchwork's checks as results, against a Patchwork on loopback."""

from collections.abc import Callable

import pytest

from ingest.handover import by_hand
from ingest.ledger import Request, State, Submission
from ingest.results import word
from ingest.sandbox import Sandbox
from ingest.sinks.check import description
from tests.results.conftest import MakeWatching
from tests.support.clock import DAY, Clock
from tests.support.mails import letter
from tests.support.watching import COVER, FIRST, INTERVAL, PATCH, SECOND, SERIES, Watching

ON_COVER = f"cover {COVER}"
BOTH = ("iol-a", "iol-b")


def runs_all(lab: Watching) -> None:
    lab.posts("success")
    lab.posts("fail", "iol-b")


def runs_half(lab: Watching) -> None:
    lab.posts("warning")


def posts_late(lab: Watching) -> None:
    lab.clock += 3 * DAY
    lab.looks()
    lab.posts("success")


def posts_twice(lab: Watching) -> None:
    lab.posts("pending")
    lab.looks()
    assert lab.ledger.results.of([1])[0].state == "pending"
    lab.posts("fail")
    lab.posts("success")


def posts_under_another_label(lab: Watching) -> None:
    lab.posts("success", "iol-c")
    lab.posts("success", "iol-aa")


def posts_on_another_patch(lab: Watching) -> None:
    lab.posts("success", patch=SECOND)


def posts_on_both_patches(lab: Watching) -> None:
    lab.posts("warning", patch=FIRST)
    lab.posts("success", patch=SECOND)


def posts_on_another_series(lab: Watching) -> None:
    lab.posts("success", patch=PATCH)


def posts_nothing(lab: Watching) -> None:
    pass


ONE, COVERS, FIRST_OF_TWO = f"patch {PATCH}", ON_COVER, f"patch {FIRST}"
LABS: dict[str, tuple[str, Callable[[Watching], None], tuple[str, str]]] = {
    "runs all": (ONE, runs_all, ("success", "fail")),
    "runs half": (ONE, runs_half, ("warning", "asked")),
    "posts late": (ONE, posts_late, ("success", "asked")),
    "posts twice": (ONE, posts_twice, ("success", "asked")),
    "posts under another label": (ONE, posts_under_another_label, ("asked", "asked")),
    "posts on another patch": (FIRST_OF_TWO, posts_on_another_patch, ("asked", "asked")),
    "posts on a patch of the cover's": (COVERS, posts_on_another_patch, ("success", "asked")),
    "posts on all patches of the cover's": (COVERS, posts_on_both_patches, ("warning", "asked")),
    "posts on another series": (COVERS, posts_on_another_series, ("asked", "asked")),
    "posts before the request": (ONE, posts_nothing, ("asked", "asked")),
}


@pytest.mark.parametrize("is_restarted", [False, True], ids=["", "restarted"])
@pytest.mark.parametrize(("on", "lab", "states"), LABS.values(), ids=LABS)
def test_the_table_of_labs(
    watching: Watching,
    on: str,
    lab: Callable[[Watching], None],
    states: tuple[str, str],
    is_restarted: bool,
) -> None:
    """Each lab has run all before the request came: none of that is an answer."""
    for patch in (PATCH, FIRST, SECOND):
        for label in BOTH:
            watching.posts("fail", label, patch)
    request = watching.asks(*BOTH, on=on)
    if is_restarted:
        watching.begins_anew()
    lab(watching)
    watching.looks()
    assert watching.states(request) == dict(zip(BOTH, states, strict=True))
    if is_restarted:
        watching.begins_anew()
    assert watching.looks() == 0


def test_a_result_says_who_where_and_what(watching: Watching) -> None:
    request = watching.asks("iol-a")
    watching.posts("fail", summary="3 of 12\nfailed", url="https://lab.example.org/1")
    watching.looks()
    [result] = watching.ledger.results.of([request.number])
    assert (result.author, result.url) == ("lab", "https://lab.example.org/1")
    assert result.summary == "3 of 12 failed"


def test_a_check_counts_for_the_label_that_means_it(watching: Watching) -> None:
    request = watching.asks("github-robot", "iol-a")
    watching.posts("success", "github-robot: build")
    watching.looks()
    assert watching.states(request) == {"github-robot": "success", "iol-a": "asked"}


def test_a_pending_check_of_ours_says_nothing(watching: Watching) -> None:
    request = watching.asks("iol-a")
    watching.posts("pending", summary=description(request))
    assert watching.looks() == 0
    watching.posts("pending", summary="running")
    assert watching.looks() == 1
    assert watching.states(request) == {"iol-a": "pending"}


def test_what_comes_between_request_and_first_look_is_not_the_answer(watching: Watching) -> None:
    """Nobody can tell whether it is of the first run."""
    request = watching.asks("iol-a", noted=False)
    watching.posts("fail")
    watching.looks()
    watching.posts("success")
    watching.looks()
    assert watching.states(request) == {"iol-a": "success"}


def test_what_its_checks_said_before_a_request_is_noted(watching: Watching) -> None:
    watching.posts("success", "iol-b", FIRST)
    watching.posts("fail", "github-robot: build", FIRST)
    watching.posts("fail", "iol-a", FIRST)
    watching.posts("success", "iol-a", FIRST)
    watching.posts("warning", "iol-a", SECOND)
    watching.posts("fail", "iol-a", PATCH)
    first = watching.asks("iol-a", "iol-b", "iol-c", "github-robot", on=ON_COVER)
    watching.posts("pending", "iol-a", SECOND, summary=description(first))
    watching.posts("fail", "iol-b", SECOND)
    second = watching.asks("iol-a", "iol-b", on=FIRST_OF_TWO)
    watching.looks()
    noted = [
        {each.label: each.earlier for each in watching.ledger.results.of([request.number])}
        for request in (first, second)
    ]
    assert noted == [
        {"iol-a": "warning", "iol-b": "success", "iol-c": "", "github-robot": "fail"},
        {"iol-a": "success", "iol-b": "success"},
    ]


def test_it_costs_a_question_for_each_of_ten_patches_at_most(
    watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(watching.box.store._members, SERIES, [FIRST, SECOND] * 20)
    watching.posts("fail")
    watching.questions()
    watching.asks("iol-a", on=ON_COVER)
    assert watching.questions() == 1 + 1 + 10  # the events, the series, its patches


def test_a_request_that_comes_while_another_is_open_has_its_own_beginning(
    watching: Watching,
) -> None:
    first = watching.asks("iol-a")
    watching.posts("fail")
    second = watching.asks("iol-a")
    watching.looks()
    assert (watching.states(first), watching.states(second)) == (
        {"iol-a": "fail"},
        {"iol-a": "asked"},
    )
    watching.posts("success")
    watching.looks()
    assert watching.states(second) == {"iol-a": "success"}


def test_what_the_lab_said_since_stays_until_a_check_changes_the_worst(
    watching: Watching,
) -> None:
    request = watching.asks("iol-a", "iol-b", on=ON_COVER)
    watching.posts("fail", patch=FIRST)
    watching.looks()
    said = word.result(request, "iol-a", State.CANCELLED, author="lab", now=watching.clock())
    watching.ledger.results.tell(said)
    watching.posts("success", patch=SECOND)
    assert watching.looks() == 0
    assert watching.states(request) == {"iol-a": "cancelled", "iol-b": "asked"}
    watching.posts("warning", patch=FIRST)
    watching.looks()
    assert watching.states(request) == {"iol-a": "warning", "iol-b": "asked"}


def test_the_results_of_what_was_asked_for_by_hand_are_on_any_patch_of_the_series(
    watching: Watching,
) -> None:
    wish = by_hand.Wish(SERIES, ("iol-a",), {}, "Ada", "command")
    target = by_hand.Target(Submission("patch", FIRST))
    asked, _ = by_hand.ask(
        watching.ledger, watching.settings, wish, watching.clock(), target=target
    )
    watching.watch.begin()
    watching.posts("success", patch=SECOND)
    watching.looks()
    assert watching.states(asked) == {"iol-a": "success"}


def test_a_request_is_followed_for_so_long(watching_with: MakeWatching) -> None:
    watching = watching_with(follow=2 * INTERVAL)
    request = watching.asks("iol-a")
    watching.looks()
    watching.clock += 2 * INTERVAL
    watching.posts("success")
    assert watching.looks() == 0
    assert watching.states(request) == {"iol-a": "asked"}


def test_many_pages_of_checks_are_walked_in_the_order_in_which_they_came(
    watching: Watching,
) -> None:
    request = watching.asks("iol-a")
    for number in range(250):
        watching.posts("fail" if number % 2 else "warning", f"iol-{number}")
    watching.posts("fail")
    watching.posts("success")
    watching.looks()
    assert watching.states(request) == {"iol-a": "success"}


def test_a_server_that_was_reset_is_told_and_begun_anew(
    watching: Watching, caplog: pytest.LogCaptureFixture
) -> None:
    request = watching.asks("iol-a")
    for _ in range(3):
        watching.posts("warning", "iol-b")
    watching.looks()
    watching.box.store.events.clear()
    watching.box.store.checks.clear()
    watching.posts("fail")
    for number in list(watching.box.store.events):
        event = watching.box.store.events.pop(number)
        watching.box.store.events[1] = event
    watching.looks()
    assert "was reset" in caplog.text
    assert watching.states(request) == {"iol-a": "asked"}


# A request that is seen late: serve was down, and mail came by the alias all the same.


def comes_while_serve_is_down(watching: Watching, *, is_filed: bool = True) -> Request:
    request = watching.asks("iol-a", noted=False)
    if is_filed:
        parent = watching.box.store.patches[PATCH].letter.message_id.strip("<>")
        text, list_id = "Recheck-request: iol-a\n", "ci.dpdk.org"
        mail = letter(request.message_id, "Re: x", text, in_reply_to=parent, list_id=list_id)
        watching.box.file(mail)
        assert watching.box.store.patch_comments
    return request


def test_what_came_behind_its_comment_is_the_answer_to_a_request_seen_late(
    watching: Watching,
) -> None:
    watching.posts("warning")
    request = comes_while_serve_is_down(watching)
    for number in range(150):
        watching.posts("fail", f"iol-{number}")
    watching.posts("success")
    watching.looks()
    watching.looks()
    assert watching.states(request) == {"iol-a": "success"}


def test_what_came_before_its_comment_is_not(watching: Watching) -> None:
    watching.posts("fail")
    request = comes_while_serve_is_down(watching)
    watching.looks()
    assert watching.looks() == 0
    assert watching.states(request) == {"iol-a": "asked"}


def test_if_its_comment_is_not_found_it_begins_when_it_is_seen(watching: Watching) -> None:
    request = comes_while_serve_is_down(watching, is_filed=False)
    watching.posts("fail")
    watching.looks()
    watching.posts("success")
    watching.looks()
    assert watching.states(request) == {"iol-a": "success"}


@pytest.mark.parametrize("others", [0, 150])
def test_a_lab_that_posts_before_a_request_is_noted_has_answered_it(
    watching: Watching, others: int
) -> None:
    """The lab has the request as soon as it is recorded, and posts at once."""
    watching.posts("fail")
    watching.asks("iol-b")
    request = comes_while_serve_is_down(watching)
    watching.posts("success")
    for number in range(others):
        watching.posts("fail", f"iol-{number}")
    watching.watch.begin()
    watching.looks()
    assert watching.states(request) == {"iol-a": "success"}


def test_comments_are_asked_for_only_if_a_label_of_a_new_request_has_news(
    watching: Watching,
) -> None:
    watching.posts("fail")
    watching.asks("iol-b")
    for label, patch, is_asked in (
        ("iol-a", SECOND, False),
        ("iol-c", PATCH, False),
        ("iol-a", PATCH, True),
    ):
        watching.posts("fail", "iol-a", patch)
        request = watching.asks(label, noted=False)
        watching.questions()
        assert [each.number for each, _ in watching.watch.begin()] == [request.number]
        asked = [each.path for each in watching.box.requests]
        assert any("patch-comment-created" in each for each in asked) == is_asked


def test_a_request_seen_late_takes_nothing_from_one_that_is_followed(watching: Watching) -> None:
    early = watching.asks("iol-b")
    late = comes_while_serve_is_down(watching)
    watching.posts("success", "iol-b")
    watching.posts("fail")
    watching.looks()
    watching.looks()
    assert watching.states(early) == {"iol-b": "success"}
    assert watching.states(late) == {"iol-a": "fail"}


# What it costs.


def a_day(watching: Watching) -> int:
    watching.questions()
    for _ in range(96):
        watching.looks()
    return watching.questions()


def test_nothing_is_asked_while_no_result_is_to_come(watching: Watching) -> None:
    assert a_day(watching) == 0
    watching.asks("iol-a")
    watching.posts("success")
    watching.looks()
    assert a_day(watching) == 0


def test_for_five_requests_there_are_two_questions_a_poll_at_most(watching: Watching) -> None:
    watching.posts("fail", "iol-b")
    watching.questions()
    for _ in range(4):
        watching.asks("iol-a")
    watching.asks("iol-a", on=ON_COVER)
    # The events and a patch each, and for the cover letter the series and one patch more.
    assert watching.questions() == 4 * 2 + 4
    watching.posts("fail", "iol-b")
    assert a_day(watching) == 96 + 1  # the patches of the cover letter, once a day


def test_many_checks_put_on_a_series_at_once_cost_a_question_a_patch(watching: Watching) -> None:
    labels = [f"iol-{number}" for number in range(20)]
    request = watching.asks(*labels, on=ON_COVER)
    for patch in (FIRST, SECOND):
        for label in labels:
            watching.posts("pending", label, patch, summary=description(request))
    watching.posts("success", "iol-7", SECOND)
    watching.questions()
    assert watching.looks() == 1
    assert watching.questions() <= 1 + 1 + 2  # the events, the series, its patches
    assert watching.states(request) == {**dict.fromkeys(labels, "asked"), "iol-7": "success"}


def test_a_request_of_arguments_alone_costs_nothing(watching: Watching) -> None:
    watching.asks()
    assert a_day(watching) == 0


# A server that has no events of checks.


@pytest.fixture
def no_events(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its checks make no events."""
    real = box.store._event

    def event(category: str, *values: object, **named: object) -> None:
        if category != "check-created":
            real(category, *values, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(type(box.store), "_event", lambda self, *v, **n: event(*v, **n))


@pytest.fixture
def eventless(watching: Watching, no_events: None) -> Watching:
    return watching


@pytest.mark.parametrize(("on", "lab", "states"), LABS.values(), ids=LABS)
def test_the_same_table_where_checks_have_no_events(
    eventless: Watching, on: str, lab: Callable[[Watching], None], states: tuple[str, str]
) -> None:
    for patch in (PATCH, FIRST, SECOND):
        for label in BOTH:
            eventless.posts("fail", label, patch)
    request = eventless.asks(*BOTH, on=on)
    lab(eventless)
    eventless.looks()
    assert eventless.states(request) == dict(zip(BOTH, states, strict=True))


def test_where_checks_have_no_events_each_patch_costs_a_question(
    eventless: Watching, clock: Clock
) -> None:
    for _ in range(5):
        eventless.asks("iol-a")
    assert a_day(eventless) == 2 * 96


def test_where_checks_have_no_events_so_many_patches_are_asked_for_at_a_time(
    watching_with: MakeWatching, no_events: None
) -> None:
    """Each has its turn, the one of the oldest request first, also in a new process."""
    watching = watching_with(patches=1)
    patches = (SECOND, PATCH, FIRST)
    asked = [watching.asks("iol-a", "iol-b", on=f"patch {each}") for each in patches]
    for patch in patches:
        watching.posts("success", patch=patch)
    watching.questions()
    for number, request in enumerate(asked, 1):
        assert watching.looks() == 1
        assert watching.states(request)["iol-a"] == "success"
        assert watching.questions() == 2
        watching.begins_anew()
        states = [watching.states(each)["iol-a"] for each in asked]
        assert states.count("success") == number
    watching.posts("success", "iol-b", SECOND)
    assert watching.looks() == 1  # from the first one on again
