# SPDX-License-Identifier: BSD-3-Clause
"""Filters, paging and the traps of Patchwork's API, over real sockets."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from urllib.parse import quote

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from ingest.sandbox import FirstIds, Sandbox
from tests.sandbox.conftest import ARCHIVES, TOKENS, get, mail, patch
from tests.support.examples import examples

PATCH = "20230905222317.25821-4-jspewock@iol.unh.edu"
COVER = "20230905200000.1-1-alex@example.org"
ALL = [131182, 131183, 131184]


@pytest.fixture(scope="module")
def loaded() -> Iterator[Sandbox]:
    """Patchwork with the recorded mails, one filed each minute from noon on."""
    minutes = count()

    def clock() -> datetime:
        return datetime(2023, 9, 6, 12, tzinfo=UTC) + timedelta(minutes=next(minutes))

    with Sandbox(*ARCHIVES, tokens=TOKENS, clock=clock) as sandbox:
        yield sandbox


def ids(sandbox: Sandbox, path: str) -> list[int]:
    return [row["id"] for row in get(sandbox, path)]


# Query of /api/patches/, ids of the patches it finds.
PATCH_FILTERS: list[tuple[str, list[int]]] = [
    (f"msgid={PATCH}", [131182]),
    (f"msgid={quote(PATCH, safe='')}", [131182]),
    (f"msgid=%20{PATCH}%20", [131182]),
    (f"msgid=other@example.org&msgid={PATCH}", [131182]),
    (f"msgid=%3C{PATCH}%3E", []),
    (f"msgid={PATCH.upper()}", []),
    ("msgid=", ALL),
    ("msgid=%20", ALL),
    (f"msgid={PATCH}&project=ci", [131182]),
    (f"msgid={PATCH}&project=dpdk", []),
    ("project=dpdk", [131183, 131184]),
    ("project=DPDK", [131183, 131184]),
    ("project=5", [131182]),
    ("project=ci&project=dpdk", ALL),
    ("project=unknown", []),
    ("project=99", []),
    ("project=", []),
    ("series=29431", [131183, 131184]),
    ("series=29430&series=29431", ALL),
    ("series=1", []),
    ("series=first", []),
    ("submitter=2773", [131183, 131184]),
    ("submitter=ALEX@example.org", [131183, 131184]),
    ("submitter=nobody@example.org", []),
    ("hash=7FB0AABDB272F99B5858FDE0EE20F3CF1E92879C", [131182]),
    ("hash=0", []),
    ("since=2023-09-05T20:00:02", [131182, 131184]),
    ("before=2023-09-05T20:00:02", [131183]),
    ("since=2023-09-05T20:00:01&before=2023-09-05T20:00:02", [131183]),
    ("since=2023-09-06", []),
    ("since=yesterday", []),
    ("since=", ALL),
    ("state=new", ALL),
    ("state=accepted", []),
    ("archived=false", ALL),
    ("archived=true", []),
    ("delegate=ci-bot", []),
    ("q=PART+fix", [131183, 131184]),
    ("order=-id", ALL[::-1]),
    ("order=date", [131183, 131184, 131182]),
    ("order=nothing", ALL),
    ("unknown=parameter", ALL),
]


@pytest.mark.parametrize(("query", "expected"), PATCH_FILTERS)
def test_patches_are_filtered(loaded: Sandbox, query: str, expected: list[int]) -> None:
    assert ids(loaded, f"/api/patches/?{query}") == expected


COVER_FILTERS: list[tuple[str, list[int]]] = [
    (f"msgid={COVER}", [442]),
    (f"msgid=%3C{COVER}%3E", []),
    (f"msgid={PATCH}", []),
    ("msgid=", [442]),
    (f"msgid={COVER}&project=ci", []),
    # Patchwork looks the number up among the projects.
    ("series=29431", []),
]


@pytest.mark.parametrize(("query", "expected"), COVER_FILTERS)
def test_covers_are_filtered(loaded: Sandbox, query: str, expected: list[int]) -> None:
    assert ids(loaded, f"/api/covers/?{query}") == expected


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("query", ["msgid=unknown@example.org", "hash=0"])
def test_an_old_api_ignores_what_it_does_not_know(
    loaded: Sandbox, version: str, query: str
) -> None:
    assert ids(loaded, f"/api/{version}/patches/?{query}") == ALL


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
def test_covers_are_filtered_by_message_id_in_every_version(loaded: Sandbox, version: str) -> None:
    assert ids(loaded, f"/api/{version}/covers/?msgid=unknown@example.org") == []


SERIES_FILTERS: list[tuple[str, list[int]]] = [
    ("project=ci", [29430]),
    ("submitter=alex@example.org", [29431]),
    ("since=2023-09-05T22:00:00", [29430]),
    ("q=queue", [29431]),
    ("project=unknown", []),
]


@pytest.mark.parametrize(("query", "expected"), SERIES_FILTERS)
def test_series_are_filtered(loaded: Sandbox, query: str, expected: list[int]) -> None:
    assert ids(loaded, f"/api/series/?{query}") == expected


# Query of /api/events/, last digits of the ids. The events are one minute apart from noon on.
EVENT_FILTERS: list[tuple[str, list[int]]] = [
    ("category=patch-comment-created", [12]),
    ("category=patch-comment-created&category=cover-comment-created", [14, 13]),
    ("category=unknown", []),
    ("project=ci", [12, 4, 3, 2, 1]),
    ("patch=131182", [12, 3, 1]),
    ("series=29430", [4, 3, 2]),
    ("cover=442", [14, 13, 6]),
    ("patch=1", []),
    ("since=2023-09-06T12:12:00", [14, 13]),
    ("before=2023-09-06T12:01:00", [1]),
    ("since=2023-09-06T12:01:00&before=2023-09-06T12:03:00", [3, 2]),
    ("since=2023-09-06T12:12:00&order=date", [13, 14]),
    ("actor=1", []),
]


@pytest.mark.parametrize(("query", "expected"), EVENT_FILTERS)
def test_events_are_filtered_and_the_newest_come_first(
    loaded: Sandbox, query: str, expected: list[int]
) -> None:
    assert [number - 500000 for number in ids(loaded, f"/api/events/?{query}")] == expected


@pytest.mark.parametrize("name", ["since", "before"])
@pytest.mark.parametrize("zone", ["Z", "%2B02:00"])
def test_a_time_with_a_zone_is_an_internal_error(loaded: Sandbox, name: str, zone: str) -> None:
    url = f"{loaded.url}/api/events/?{name}=2023-09-06T12:00:00{zone}"
    answer = requests.get(url, timeout=10)
    assert (answer.status_code, answer.headers["Content-Type"]) == (
        500,
        "text/html; charset=utf-8",
    )


@pytest.mark.parametrize("character", "+/%&#?=;'*~")
def test_a_message_id_is_found_whatever_it_holds(empty: Sandbox, character: str) -> None:
    message_id = f"a{character}b@example.org"
    empty.file(patch("[PATCH] x", id=message_id))
    query = f"msgid={quote(message_id, safe='')}"
    (row,) = get(empty, f"/api/patches/?{query}")
    assert row["msgid"] == f"<{message_id}>"


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/api/patches/1/", "No Patch matches the given query."),
        ("/api/covers/1/", "No Cover matches the given query."),
        ("/api/series/1/", "No Series matches the given query."),
        ("/api/projects/none/", "No Project matches the given query."),
        ("/api/patches/1/comments/", "No Patch matches the given query."),
        ("/api/patches/131182/comments/901/", "No PatchComment matches the given query."),
        ("/api/covers/442/comments/160001/", "No CoverComment matches the given query."),
        ("/api/patches/131182/checks/9/", "No Check matches the given query."),
        ("/api/patches/?page=2", "Invalid page."),
        ("/api/patches/?page=0", "Invalid page."),
        ("/api/patches/?page=-1", "Invalid page."),
        ("/api/patches/?page=two", "Invalid page."),
        (f"/api/patches/?page={'9' * 5000}", "Invalid page."),
    ],
)
def test_what_is_not_there_is_a_404_in_json(loaded: Sandbox, path: str, detail: str) -> None:
    answer = requests.get(loaded.url + path, timeout=10)
    assert (answer.status_code, answer.json()) == (404, {"detail": detail})


@pytest.mark.parametrize(
    "path",
    ["/", "/api/nothing/", "/api/1.5/", "/api/9.9/patches/", "/api/patches/x/", "/nothing"],
)
def test_an_address_that_is_none_is_a_404_in_html(loaded: Sandbox, path: str) -> None:
    answer = requests.get(loaded.url + path, timeout=10)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"


def test_a_missing_slash_is_redirected(loaded: Sandbox) -> None:
    url = f"{loaded.url}/api/patches?msgid={PATCH}"
    answer = requests.get(url, allow_redirects=False, timeout=10)
    assert (answer.status_code, answer.headers["Location"]) == (
        301,
        f"/api/patches/?msgid={PATCH}",
    )


@pytest.mark.parametrize("name", ["ci", "5"])
def test_a_project_is_found_by_name_and_by_number(loaded: Sandbox, name: str) -> None:
    assert get(loaded, f"/api/projects/{name}/")["list_id"] == "ci.dpdk.org"


@pytest.mark.parametrize("path", ["/api/people/", "/api/people/2772/", "/api/users/"])
def test_people_and_users_are_shown_to_accounts_only(loaded: Sandbox, path: str) -> None:
    refused = requests.get(loaded.url + path, timeout=10)
    assert (refused.status_code, refused.json()) == (
        403,
        {"detail": "Authentication credentials were not provided."},
    )
    shown = requests.get(loaded.url + path, headers={"Authorization": "Token secret"}, timeout=10)
    assert shown.status_code == 200


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "POST"])
def test_nothing_but_checks_can_be_written(loaded: Sandbox, method: str) -> None:
    url = f"{loaded.url}/api/patches/131182/"
    answer = requests.request(method, url, json={"state": "accepted"}, timeout=10)
    assert answer.status_code in (403, 405)
    assert get(loaded, "/api/patches/131182/")["state"] == "new"


@pytest.fixture(scope="module")
def many() -> Iterator[Sandbox]:
    """Patchwork with three hundred patches."""
    with Sandbox(first=FirstIds(patch=1)) as sandbox:
        for number in range(300):
            sandbox.file(patch(f"[PATCH] {number}", id=f"{number}@example.org"))
        yield sandbox


# Query, how many rows, relation to page.
PAGES: list[tuple[str, int, dict[str, str]]] = [
    ("", 30, {"next": "2", "first": "1", "last": "10"}),
    ("page=1", 30, {"next": "2", "first": "1", "last": "10"}),
    ("page=2", 30, {"next": "3", "prev": "", "first": "1", "last": "10"}),
    ("page=3", 30, {"next": "4", "prev": "2", "first": "1", "last": "10"}),
    ("page=10", 30, {"prev": "9", "first": "1", "last": "10"}),
    ("page=last", 30, {"prev": "9", "first": "1", "last": "10"}),
    ("per_page=250", 250, {"next": "2", "first": "1", "last": "2"}),
    ("per_page=251", 250, {"next": "2", "first": "1", "last": "2"}),
    ("per_page=0", 30, {"next": "2", "first": "1", "last": "10"}),
    ("per_page=many", 30, {"next": "2", "first": "1", "last": "10"}),
    ("per_page=7&page=43", 6, {"prev": "42", "first": "1", "last": "43"}),
    ("q=no+such+patch", 0, {"first": "1", "last": "1"}),
]


@pytest.mark.parametrize(("query", "rows", "pages"), PAGES)
def test_a_page_links_to_the_others(
    many: Sandbox, query: str, rows: int, pages: dict[str, str]
) -> None:
    answer = requests.get(f"{many.url}/api/patches/?{query}", timeout=10)
    assert len(answer.json()) == rows
    found = {}
    for relation, link in answer.links.items():
        address, _, rest = link["url"].partition("?")
        assert address == "https://patches.dpdk.org/api/patches/"
        found[relation] = dict(pair.split("=") for pair in rest.split("&") if pair).get("page", "")
    assert found == pages
    assert list(answer.links) == [r for r in ("next", "prev", "first", "last") if r in pages]


@examples(25)
@given(st.integers(min_value=5, max_value=320))
def test_the_pages_together_are_the_list(many: Sandbox, per_page: int) -> None:
    seen: list[int] = []
    session = requests.Session()
    path = f"/api/patches/?per_page={per_page}"
    while path:
        answer = session.get(many.url + path, timeout=10)
        seen += [row["id"] for row in answer.json()]
        following = answer.links.get("next", {}).get("url", "")
        path = following.removeprefix("https://patches.dpdk.org")
    assert seen == list(range(1, 301))


def test_links_begin_with_the_public_address() -> None:
    with Sandbox(*ARCHIVES, public_url="http://patchwork.example.org/") as sandbox:
        answer = requests.get(f"{sandbox.url}/api/covers/", timeout=10)

    def addresses(value: Any) -> Iterator[str]:
        if isinstance(value, dict | list):
            for each in value.values() if isinstance(value, dict) else value:
                yield from addresses(each)
        elif isinstance(value, str) and value.startswith("http"):
            yield value

    found = [*addresses(answer.json()), *(link["url"] for link in answer.links.values())]
    assert len(found) > 5
    assert all(url.startswith("http://patchwork.example.org/") for url in found)


def test_a_comment_is_shown_as_patchwork_stores_it(empty: Sandbox) -> None:
    empty.file(patch("[PATCH] x", id="x@example.org"))
    body = "Recheck-request: rebase=main, github-robot\n-- \nAlex\n"
    empty.file(mail("Re: [PATCH] x", body, id="c@example.org", to="x@example.org"))
    (comment,) = get(empty, "/api/patches/131182/comments/")
    assert comment["content"] == "Recheck-request: rebase=main, github-robot"
