# SPDX-License-Identifier: BSD-3-Clause
"""The checks of patches: read as far as they are what they must be, and posted."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ingest.config.tables import PatchworkSettings
from ingest.errors import Unanswered, Unavailable
from ingest.patchwork import checks
from ingest.patchwork.api import Api
from ingest.patchwork.dialect import Check
from tests.support.bad_server import MOST, Hell, http, rows, says

ROW = {
    "id": 7,
    "user": {"id": 2, "username": "lab"},
    "state": "success",
    "context": "iol-unit",
    "description": "all passed",
    "target_url": "https://lab.example.org/7",
}
CHECK = Check("iol-unit", "success", "all passed", 7, "https://lab.example.org/7", "lab")


@pytest.fixture
def api(hell: Hell) -> Iterator[Api]:
    made = Api(PatchworkSettings(hell.url, timeout=10.0, max_answer=MOST))
    yield made
    made.close()


def answers(hell: Hell, content: Any, status: int = 200) -> None:
    hell.will(says(http(status, json.dumps(content).encode())))


def test_the_checks_of_a_patch_are_read(hell: Hell, api: Api) -> None:
    hell.will(rows(ROW))
    assert checks.of_patch(api, 131182) == [CHECK]
    assert hell.seen[0].path == "/api/patches/131182/checks/"


@pytest.mark.parametrize(
    ("changes", "became"),
    [
        ({"user": None}, {"author": ""}),
        ({"user": {"username": 5}}, {"author": ""}),
        ({"target_url": None}, {"url": ""}),
        ({"id": "7"}, {"id": 0}),
        ({"id": True}, {"id": 0}),
        ({"state": ["success"]}, {"state": ""}),
    ],
    ids=str,
)
def test_what_is_not_needed_of_a_check_may_be_missing(
    changes: dict[str, Any], became: dict[str, Any], hell: Hell, api: Api
) -> None:
    hell.will(rows({**ROW, **changes}))
    [found] = checks.of_patch(api, 1)
    assert {name: getattr(found, name) for name in became} == became
    assert found.context == "iol-unit"


@pytest.mark.parametrize("context", ["", None, 5, "a\nb", "x" * 256], ids=repr)
def test_a_check_without_a_context_that_can_be_is_no_answer(
    context: object, hell: Hell, api: Api
) -> None:
    hell.will(rows({**ROW, "context": context}))
    with pytest.raises(Unanswered, match="not a check"):
        checks.of_patch(api, 1)


def test_one_check_is_read_by_its_id_and_no_other(hell: Hell, api: Api) -> None:
    answers(hell, ROW)
    assert checks.one(api, 1, 7) == CHECK
    with pytest.raises(Unanswered, match="another check"):
        checks.one(api, 1, 8)


def test_a_check_that_is_gone_is_none(hell: Hell, api: Api) -> None:
    answers(hell, {"detail": "Not found."}, 404)
    assert checks.one(api, 1, 7) is None


EVENT = {
    "id": 9,
    "category": "check-created",
    "date": "2023-09-06T09:01:00",
    "payload": {"patch": {"id": 131182}, "check": {"id": 7, "context": "iol-unit"}},
}


def test_events_name_patch_and_check(hell: Hell, api: Api) -> None:
    hell.will(rows(EVENT))
    page = checks.events(api)
    [event] = page.events
    assert (event.id, event.patch, event.check, event.context) == (9, 131182, 7, "iol-unit")
    assert page.following == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"payload": None},
        {"payload": {"patch": {"id": 1}}},
        {"payload": {"patch": [], "check": {"id": 7, "context": "a"}}},
        {"payload": {"patch": {"id": 1}, "check": {"id": 7, "context": None}}},
        {"id": None},
    ],
    ids=str,
)
def test_an_event_that_names_no_check_is_passed_over(
    changes: dict[str, Any], hell: Hell, api: Api
) -> None:
    hell.will(rows({**EVENT, **changes}, EVENT))
    assert [event.id for event in checks.events(api).events] == [9]


def test_events_of_another_category_are_no_answer(hell: Hell, api: Api) -> None:
    hell.will(rows({**EVENT, "category": "patch-created"}))
    with pytest.raises(Unanswered, match="other events"):
        checks.events(api)


def test_the_patches_of_a_series_stand_in_their_order(hell: Hell, api: Api) -> None:
    answers(hell, {"id": 5, "patches": [{"id": 3}, {"id": 1}]})
    assert checks.patches_of(api, 5) == [3, 1]


def test_a_series_that_is_not_there_has_none(hell: Hell, api: Api) -> None:
    answers(hell, {"detail": "Not found."}, 404)
    assert checks.patches_of(api, 5) is None


@pytest.mark.parametrize(
    "content",
    [
        {"id": 6, "patches": [{"id": 3}]},
        {"id": 5, "patches": None},
        {"id": 5, "patches": [{"id": 3}, {}]},
        {"id": 5, "patches": [{"id": "3"}]},
    ],
    ids=str,
)
def test_what_is_not_the_series_is_no_answer(content: object, hell: Hell, api: Api) -> None:
    answers(hell, content)
    with pytest.raises(Unanswered, match="not a series"):
        checks.patches_of(api, 5)


def test_a_check_is_posted_with_the_token(hell: Hell, api: Api) -> None:
    answers(hell, ROW, 201)
    assert checks.post(api, 131182, CHECK, "https://lab.example.org", "secret") is None
    [seen] = hell.seen
    assert (seen.method, seen.path) == ("POST", "/api/patches/131182/checks/")
    assert seen.headers["authorization"] == "Token secret"
    assert json.loads(seen.body) == {
        "state": "success",
        "context": "iol-unit",
        "description": "all passed",
        "target_url": "https://lab.example.org",
    }


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        ({"detail": "Invalid token."}, "Invalid token."),
        ({"context": ["Enter a valid slug."], "state": ["a", "b"]},
         "context: Enter a valid slug.; state: a b"),
        (["no"], ""),
        ({"detail": "a\nb"}, "a b"),
    ],
    ids=str,
)  # fmt: skip
def test_what_patchwork_says_against_it_is_kept(
    content: object, detail: str, hell: Hell, api: Api
) -> None:
    answers(hell, content, 403)
    assert checks.post(api, 1, CHECK, "", "secret") == checks.Refusal(403, detail)


def test_an_answer_that_is_not_the_check_leaves_it_open(hell: Hell, api: Api) -> None:
    answers(hell, {"context": "another"}, 201)
    with pytest.raises(Unavailable, match="not the check that was posted"):
        checks.post(api, 1, CHECK, "", "secret")
