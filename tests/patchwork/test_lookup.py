# SPDX-License-Identifier: BSD-3-Clause
"""How many questions it takes to find the series that a mail replies to, and in which project."""

from pathlib import Path
from typing import Any

import pytest

from ingest.errors import NotFound, Unanswered
from ingest.ledger import Ledger, open_ledger
from ingest.patchwork import answers
from ingest.patchwork import api as client
from ingest.patchwork.dialect import Lookup, Target
from ingest.sandbox import Project, Sandbox
from tests.support.bad_server import Answer, Hell, Seen, http, patch_row, rows, says, text
from tests.support.clock import DAY, Clock
from tests.support.faults import OURS
from tests.support.mails import cover, patch, reply
from tests.support.questions import DEV, Connect, paths, queries, resolve

# How many questions an answer costs.


def test_a_direct_reply_to_a_patch_costs_one_request_and_the_projects_once(
    box: Sandbox, connect: Connect
) -> None:
    box.file(patch("a@example.org"))
    box.file(patch("b@example.org"))
    patchwork = connect(box.url)
    assert resolve(patchwork, reply("a@example.org", list_id=DEV)).series == 29430
    assert resolve(patchwork, reply("b@example.org", list_id=DEV)).series == 29431
    assert paths(box) == ["/api/projects/", "/api/patches/", "/api/patches/"]


@pytest.mark.parametrize(
    "subject",
    ["Re: [PATCH 0/2] a: fix it", "RE: [PATCH v12 00/17] x", "Re: [dpdk-dev] [PATCH v2 0/3] x"],
)
def test_a_direct_reply_to_a_cover_letter_costs_one_request(
    subject: str, box: Sandbox, connect: Connect
) -> None:
    box.file(cover("cover@example.org"))
    found = resolve(connect(box.url), reply("cover@example.org", subject=subject))
    assert found == Target(29430, "cover", 442, "dpdk")
    assert paths(box) == ["/api/covers/"]


def test_a_remembered_answer_costs_none(box: Sandbox, connect: Connect) -> None:
    box.file(patch("a@example.org"))
    patchwork = connect(box.url)
    raw = reply("a@example.org", list_id=DEV)
    first = resolve(patchwork, raw)
    box.requests.clear()
    trail: list[Lookup] = []
    assert resolve(patchwork, raw, trail) == first
    assert box.requests == []
    assert trail == [
        Lookup("patch <a@example.org> in dpdk", "patch 131182, series 29430 (remembered)")
    ]


def test_an_answer_is_remembered_across_processes(
    box: Sandbox, connect: Connect, ledger: Ledger, quick_path: Path
) -> None:
    box.file(patch("a@example.org"))
    raw = reply("a@example.org", list_id=DEV)
    first = resolve(connect(box.url, ledger), raw)
    box.requests.clear()
    other = open_ledger(f"sqlite:{quick_path}/ledger.sqlite")
    assert resolve(connect(box.url, other), raw) == first
    other.close()
    assert box.requests == []


def test_an_answer_of_another_server_is_not_remembered(
    box: Sandbox, connect: Connect, hell: Hell
) -> None:
    box.file(patch("a@example.org"))
    resolve(connect(box.url), reply("a@example.org"))
    hell.will(rows(patch_row("a@example.org", series=[{"id": 7}])))
    assert resolve(connect(hell.url), reply("a@example.org")).series == 7


def test_a_found_patch_is_asked_for_again_after_a_day(
    box: Sandbox, connect: Connect, clock: Clock
) -> None:
    box.file(patch("a@example.org"))
    patchwork = connect(box.url)
    for wait, requests in ((0.0, 1), (DAY - 1, 1), (2.0, 2)):
        clock += wait
        resolve(patchwork, reply("a@example.org"))
        assert len(box.requests) == requests


def test_the_nearest_candidate_is_asked_for_however_short_ago_it_was_not_there(
    box: Sandbox, connect: Connect
) -> None:
    patchwork = connect(box.url)
    raw = reply("late@example.org")
    with pytest.raises(NotFound):
        resolve(patchwork, raw)
    box.file(patch("late@example.org"))
    assert resolve(patchwork, raw).id == 131182


@pytest.mark.parametrize(("passed", "asked"), [(29, 0), (30, 1), (-1, 1)])
def test_that_a_farther_one_is_not_there_is_remembered_for_half_a_minute(
    passed: float, asked: int, box: Sandbox, connect: Connect, clock: Clock
) -> None:
    """Not at all, if the clock was set back meanwhile."""
    patchwork = connect(box.url)
    raw = reply("late@example.org", references=["first@example.org", "late@example.org"])
    for seconds in (0.0, passed):
        box.requests.clear()
        clock += seconds
        with pytest.raises(NotFound):
            resolve(patchwork, raw)
    asked_for = [query["msgid"] for query in queries(box, "/api/patches/")]
    assert asked_for.count(["first@example.org"]) == asked


def test_a_retry_asks_for_what_was_not_there_a_moment_ago(
    box: Sandbox, connect: Connect, ledger: Ledger, clock: Clock
) -> None:
    patchwork = connect(box.url)
    raw = reply("late@example.org", references=["first@example.org", "late@example.org"])
    for _ in range(2):
        box.requests.clear()
        with pytest.raises(NotFound):
            resolve(patchwork, raw)
        clock += 1
        answers.ask_anew(ledger, clock())
    assert ["first@example.org"] in [query["msgid"] for query in queries(box, "/api/patches/")]


def test_a_server_without_projects_is_asked_for_them_again_soon(
    hell: Hell, connect: Connect, clock: Clock
) -> None:
    hell.will(rows())
    patchwork = connect(hell.url)
    assert patchwork.projects() == []
    hell.will(rows({"link_name": "dpdk", "list_id": DEV}))
    clock += 31
    assert [each.link_name for each in patchwork.projects()] == ["dpdk"]


def test_the_connection_is_kept_for_the_next_question(hell: Hell, connect: Connect) -> None:
    patchwork = connect(hell.url)
    for number in range(5):
        hell.will(rows(patch_row(f"{number}@example.org")))
        resolve(patchwork, reply(f"{number}@example.org"))
    assert {seen.connection for seen in hell.seen} == {0}


def test_every_question_names_program_and_version(hell: Hell, connect: Connect) -> None:
    hell.will(rows())
    with pytest.raises(NotFound):
        resolve(connect(hell.url), reply(OURS, list_id=DEV))
    assert {seen.headers["user-agent"] for seen in hell.seen} == {client.USER_AGENT}
    name, _, version = client.USER_AGENT.partition("/")
    assert (name, version[0].isdecimal()) == ("recheck-ingest", True)


def test_nothing_is_carried_from_one_answer_into_the_next_question(
    hell: Hell, connect: Connect
) -> None:
    hell.will(says(http(200, b"[]", "Set-Cookie: id=1; Path=/")))
    with pytest.raises(NotFound):
        resolve(connect(hell.url), reply(OURS))
    assert len(hell.seen) > 1
    assert not any("cookie" in seen.headers for seen in hell.seen)


# Which project.


def test_a_cross_posted_patch_is_resolved_to_the_series_of_the_mails_list(
    box: Sandbox, connect: Connect
) -> None:
    box.file(patch("both@example.org", list_id="dev.dpdk.org"))
    box.file(patch("both@example.org", list_id="ci.dpdk.org"))
    patchwork = connect(box.url)
    of_dev = resolve(patchwork, reply("both@example.org", list_id="dev.dpdk.org"))
    of_ci = resolve(patchwork, reply("both@example.org", list_id="ci.dpdk.org"))
    assert (of_dev.series, of_dev.project) == (29430, "dpdk")
    assert (of_ci.series, of_ci.project) == (29431, "ci")


def test_a_cross_posted_cover_letter_is_resolved_to_the_series_of_the_mails_list(
    box: Sandbox, connect: Connect
) -> None:
    box.file(cover("both@example.org", list_id="dev.dpdk.org"))
    box.file(cover("both@example.org", list_id="ci.dpdk.org"))
    subject = "Re: [PATCH 0/1] a: fix it"
    patchwork = connect(box.url)
    of_ci = resolve(patchwork, reply("both@example.org", subject=subject, list_id="ci.dpdk.org"))
    assert (of_ci.series, of_ci.project) == (29431, "ci")


def test_the_list_is_known_in_any_case(box: Sandbox, connect: Connect) -> None:
    box.file(patch("both@example.org", list_id="dev.dpdk.org"))
    box.file(patch("both@example.org", list_id="ci.dpdk.org"))
    found = resolve(connect(box.url), reply("both@example.org", list_id="CI.DPDK.org"))
    assert found.project == "ci"


def test_a_list_of_no_project_asks_all_projects(box: Sandbox, connect: Connect) -> None:
    box.file(patch("a@example.org"))
    trail: list[Lookup] = []
    found = resolve(connect(box.url), reply("a@example.org", list_id="other.example.org"), trail)
    assert found.series == 29430
    assert trail[0] == Lookup("project of list other.example.org", "none; all projects are asked")
    assert queries(box, "/api/patches/") == [{"msgid": ["a@example.org"]}]


def test_a_mail_of_no_list_asks_all_projects(box: Sandbox, connect: Connect) -> None:
    box.file(patch("a@example.org"))
    assert resolve(connect(box.url), reply("a@example.org")).series == 29430
    assert paths(box) == ["/api/patches/"]


def test_projects_that_share_a_list_are_asked_together_and_others_left_out(
    connect: Connect,
) -> None:
    shared = [Project(n, f"P{n}", f"p{n}", "dev.example.org", "dev@example.org") for n in (7, 8)]
    other = Project(3, "Other", "other", "other.example.org", "other@example.org")
    with Sandbox(projects=[other, *shared]) as box:
        box.file(patch("both@example.org", list_id="other.example.org"))
        box.file(patch("both@example.org", list_id="dev.example.org"))
        found = resolve(connect(box.url), reply("both@example.org", list_id="dev.example.org"))
        assert (found.series, found.project) == (29431, "p7")
        assert queries(box, "/api/patches/") == [{"msgid": ["both@example.org"]}]


def test_a_patch_of_another_project_is_none_of_ours_whatever_the_server_says(
    hell: Hell, connect: Connect
) -> None:
    other = {"id": 1, "link_name": "dpdk", "list_id": DEV}

    def route(seen: Seen) -> Answer | None:
        if seen.path == "/api/projects/":
            return rows(other, {"id": 5, "link_name": "ci", "list_id": "ci.dpdk.org"})
        return rows(patch_row(OURS, project=other)) if seen.path == "/api/patches/" else None

    hell.will(rows())
    hell.route(route)
    with pytest.raises(NotFound):
        resolve(connect(hell.url), reply(OURS, list_id="ci.dpdk.org"))


@pytest.mark.parametrize("project", [None, {}, [], "ci", 5, {"link_name": None}, {"link_name": 5}])
def test_a_patch_that_names_no_project_is_not_taken_for_one_of_the_mails_list(
    project: Any, hell: Hell, connect: Connect
) -> None:
    known = rows({"id": 5, "link_name": "ci", "list_id": "ci.dpdk.org"})
    hell.route(lambda seen: known if seen.path == "/api/projects/" else None)
    hell.will(rows(patch_row(OURS, project=project)), rows())
    with pytest.raises(NotFound):
        resolve(connect(hell.url), reply(OURS, list_id="ci.dpdk.org"))


@pytest.mark.parametrize(
    "answer",
    [
        rows({}),
        rows({"link_name": "ci"}),
        rows({"list_id": "ci.dpdk.org"}),
        rows({"link_name": 5, "list_id": "ci.dpdk.org"}),
        rows({"link_name": "ci", "list_id": None}),
        rows("ci"),
        text("null"),
    ],
)
def test_projects_that_are_none_are_no_answer_and_are_not_remembered(
    answer: Answer, hell: Hell, connect: Connect
) -> None:
    hell.will(answer)
    patchwork = connect(hell.url)
    with pytest.raises(Unanswered):
        resolve(patchwork, reply(OURS, list_id="ci.dpdk.org"))
    hell.will(rows({"link_name": "ci", "list_id": "ci.dpdk.org"}), rows(patch_row(OURS)))
    assert resolve(patchwork, reply(OURS, list_id="ci.dpdk.org")).series == 29430


def test_projects_are_taken_from_every_page(hell: Hell, connect: Connect) -> None:
    following = f'Link: <{hell.url}/api/projects/?page=2&per_page=100>; rel="next"'
    hell.will(
        rows({"link_name": "dpdk", "list_id": DEV}, headers=(following,)),
        rows({"link_name": "ci", "list_id": "ci.dpdk.org"}),
    )
    found = connect(hell.url).projects()
    assert [each.link_name for each in found] == ["dpdk", "ci"]
