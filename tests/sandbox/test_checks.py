# SPDX-License-Identifier: BSD-3-Clause
"""Checks: who may write them, what makes one invalid, what they do to a patch."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from ingest.sandbox import Sandbox
from tests.sandbox.conftest import ARCHIVES, get

CHECKS = "/api/patches/131182/checks/"
GOOD = {"state": "pending", "context": "iol-unit"}
FORBIDDEN = "You do not have permission to perform this action."


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Patchwork with an account for the project of patch 131182, and one for another."""
    tokens = {"secret": ("ci-bot", {"ci"}), "other": ("dpdk-bot", {"dpdk"})}
    with Sandbox(*ARCHIVES, tokens=tokens) as sandbox:
        yield sandbox


def post(
    sandbox: Sandbox, fields: object, authorization: str = "Token secret", path: str = CHECKS
) -> requests.Response:
    headers = {"Authorization": authorization} if authorization else {}
    return requests.post(sandbox.url + path, json=fields, headers=headers, timeout=10)


@pytest.mark.parametrize(
    ("authorization", "detail"),
    [
        ("", FORBIDDEN),
        ("Bearer secret", FORBIDDEN),
        ("Token other", FORBIDDEN),
        ("Token wrong", "Invalid token."),
        ("Token", "Invalid token header. No credentials provided."),
        ("Token two words", "Invalid token header. Token string should not contain spaces."),
        ("Basic eDp5", "Invalid username/password."),
    ],
)
def test_only_a_maintainer_s_token_may_write(
    sandbox: Sandbox, authorization: str, detail: str
) -> None:
    answer = post(sandbox, GOOD, authorization)
    assert (answer.status_code, answer.json()) == (403, {"detail": detail})
    assert get(sandbox, CHECKS) == []


def test_a_bad_token_is_refused_for_reading_too(sandbox: Sandbox) -> None:
    headers = {"Authorization": "Token wrong"}
    assert requests.get(sandbox.url + CHECKS, headers=headers, timeout=10).status_code == 403


def test_an_unknown_patch_is_a_404_before_anything_else(sandbox: Sandbox) -> None:
    assert post(sandbox, GOOD, "", "/api/patches/1/checks/").status_code == 404


SLUG = 'Enter a valid "slug" consisting of letters, numbers, underscores or hyphens.'
LONG = "https://lab.example.org/" + "a" * 200
INVALID: list[tuple[object, dict[str, list[str]]]] = [
    ({}, {"state": ["A check must have a state."]}),
    ({"state": ""}, {"state": ["A check must have a state."]}),
    ([], {"state": ["A check must have a state."]}),
    ({"state": None}, {"state": ["This field may not be null."]}),
    ({"state": "ok"}, {"state": ['"ok" is not a valid choice.']}),
    ({"state": "4"}, {"state": ['"4" is not a valid choice.']}),
    (GOOD | {"context": ""}, {"context": ["This field may not be blank."]}),
    (GOOD | {"context": None}, {"context": ["This field may not be null."]}),
    (GOOD | {"context": "two words"}, {"context": [SLUG]}),
    (GOOD | {"context": True}, {"context": [SLUG]}),
    (
        GOOD | {"context": "a" * 256},
        {"context": ["Ensure this field has no more than 255 characters."]},
    ),
    (GOOD | {"target_url": "lab.example.org"}, {"target_url": ["Enter a valid URL."]}),
    (GOOD | {"target_url": "http://lab/"}, {"target_url": ["Enter a valid URL."]}),
    (
        GOOD | {"target_url": LONG},
        {"target_url": ["Ensure this field has no more than 200 characters."]},
    ),
    (GOOD | {"description": ["x"]}, {"description": ["Not a valid string."]}),
]


@pytest.mark.parametrize(("fields", "errors"), INVALID)
def test_an_invalid_check_is_refused_with_the_reason(
    sandbox: Sandbox, fields: object, errors: dict[str, list[str]]
) -> None:
    answer = post(sandbox, fields)
    assert (answer.status_code, answer.json()) == (400, errors)
    assert get(sandbox, CHECKS) == []


VALID: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"state": "fail"}, {"state": "fail", "context": "default", "target_url": None}),
    ({"state": 1}, {"state": "success"}),
    (GOOD | {"context": " trimmed "}, {"context": "trimmed"}),
    (GOOD | {"context": 5}, {"context": "5"}),
    (GOOD | {"target_url": ""}, {"target_url": ""}),
    (GOOD | {"target_url": "http://127.0.0.1:8000/x?y#z"}, {}),
    (GOOD | {"target_url": "http://localhost/"}, {}),
    (GOOD | {"description": None}, {"description": None}),
    (GOOD | {"description": "why\nnot"}, {"description": "why\nnot"}),
]


@pytest.mark.parametrize(("fields", "expected"), VALID)
def test_a_valid_check_is_kept_and_shown(
    sandbox: Sandbox, fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    answer = post(sandbox, fields)
    assert (answer.status_code, answer.headers["Location"]) == (201, answer.json()["url"])
    written = answer.json()
    assert {key: written[key] for key in expected} == expected
    assert get(sandbox, CHECKS) == [written]
    assert get(sandbox, f"{CHECKS}{written['id']}/") == written


def test_a_form_is_read_as_json_is(sandbox: Sandbox) -> None:
    headers = {"Authorization": "Token secret"}
    answer = requests.post(sandbox.url + CHECKS, data=GOOD, headers=headers, timeout=10)
    assert (answer.status_code, answer.json()["context"]) == (201, "iol-unit")


@pytest.mark.parametrize(
    ("body", "kind", "status"), [(b"{", "application/json", 400), (b"x", "text/plain", 415)]
)
def test_another_body_is_refused(sandbox: Sandbox, body: bytes, kind: str, status: int) -> None:
    headers = {"Authorization": "Token secret", "Content-Type": kind}
    answer = requests.post(sandbox.url + CHECKS, data=body, headers=headers, timeout=10)
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("written", "combined"),
    [
        ([], "pending"),
        ([("a", "success"), ("b", "success")], "success"),
        ([("a", "success"), ("b", "pending")], "pending"),
        ([("a", "warning"), ("b", "pending")], "warning"),
        ([("a", "warning"), ("b", "fail")], "fail"),
        ([("a", "fail"), ("a", "success")], "success"),
    ],
)
def test_a_patch_shows_the_worst_of_each_context_s_newest_check(
    sandbox: Sandbox, written: list[tuple[str, str]], combined: str
) -> None:
    for context, state in written:
        assert post(sandbox, {"state": state, "context": context}).status_code == 201
    assert get(sandbox, "/api/patches/131182/")["check"] == combined


@pytest.mark.parametrize(
    ("query", "contexts"),
    [
        ("context=a", ["a"]),
        ("state=3", ["b"]),
        # Patchwork filters by its database's number, not by the name.
        ("state=fail", []),
        ("user=ci-bot", ["a", "b"]),
        ("user=nobody", []),
        ("since=2100-01-01", []),
        ("order=-id", ["b", "a"]),
    ],
)
def test_checks_are_filtered(sandbox: Sandbox, query: str, contexts: list[str]) -> None:
    post(sandbox, {"state": "success", "context": "a"})
    post(sandbox, {"state": "fail", "context": "b"})
    assert [check["context"] for check in get(sandbox, f"{CHECKS}?{query}")] == contexts


def test_a_check_is_an_event_with_its_author(sandbox: Sandbox) -> None:
    post(sandbox, GOOD)
    (event,) = get(sandbox, "/api/events/?category=check-created&actor=1")
    assert event["actor"]["username"] == "ci-bot"
    assert event["payload"]["check"]["context"] == "iol-unit"
