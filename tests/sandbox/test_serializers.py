# SPDX-License-Identifier: BSD-3-Clause
"""Which fields an object has: facts of Patchwork's OpenAPI description, version 1.4, and of the
versions before it."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from ingest.sandbox import Sandbox
from tests.sandbox.conftest import ARCHIVES, TOKENS

PATCH = "/patches/131182/"
COVER = "/covers/442/"
EVENT = "id category project date actor payload"
SUBMISSION = "id url web_url msgid list_archive_url date name mbox"
PROJECT = (
    "id url name link_name list_id list_email web_url scm_url webscm_url list_archive_url "
    "list_archive_url_format commit_url_format"
)
PATCH_ROW = (
    "id url web_url project msgid list_archive_url date name commit_ref pull_url state archived "
    "hash submitter delegate mbox series comments check checks tags related"
)
COVER_ROW = "id url web_url project msgid list_archive_url date name submitter mbox series comments"
SERIES_ROW = (
    "id url web_url project name date submitter version total received_total received_all mbox "
    "cover_letter patches"
)
SERIES = "id url web_url name date version mbox"
USER = "id url username first_name last_name email"

# Path, the way to the object in the answer, the schema's properties.
SCHEMAS = {
    "Index": ("/", (), "bundles covers events patches people projects users series"),
    "Project": (
        "/projects/",
        (0,),
        f"{PROJECT} maintainers subject_match show_dependencies",
    ),
    "ProjectEmbedded": (PATCH, ("project",), PROJECT),
    "User": ("/users/", (0,), USER),
    "UserDetail": ("/users/1/", (), f"{USER} settings"),
    "UserEmbedded": ("/projects/1/", ("maintainers", 0), USER),
    "Person": ("/people/2773/", (), "id url name email user"),
    "PersonEmbedded": (PATCH, ("submitter",), "id url name email"),
    "PatchList": ("/patches/", (0,), PATCH_ROW),
    "PatchDetail": (PATCH, (), f"{PATCH_ROW} headers content diff prefixes"),
    "PatchEmbedded": ("/series/29431/", ("patches", 0), SUBMISSION),
    "CoverList": ("/covers/", (0,), COVER_ROW),
    "CoverDetail": (COVER, (), f"{COVER_ROW} headers content"),
    "CoverEmbedded": ("/series/29431/", ("cover_letter",), SUBMISSION),
    # Dependencies and dependents are there only for projects that show them.
    "Series": ("/series/29431/", (), SERIES_ROW),
    "SeriesEmbedded": (COVER, ("series", 0), SERIES),
    "Comment": (
        f"{PATCH}comments/160001/",
        (),
        "id url web_url msgid list_archive_url date subject submitter content headers addressed",
    ),
    "Check": (
        f"{PATCH}checks/1/",
        (),
        "id url user date state target_url context description",
    ),
    "EventBase": ("/events/", (0,), EVENT),
    # The schema lists a name too; no Patchwork sends one.
    "CommentEmbedded": (
        "/events/?category=patch-comment-created",
        (0, "payload", "comment"),
        "id url web_url msgid list_archive_url date",
    ),
    "CheckEmbedded": (
        "/events/?category=check-created",
        (0, "payload", "check"),
        "id url date state target_url context",
    ),
}

# Category and the properties of its payload.
PAYLOADS = {
    "cover-created": "cover",
    "patch-created": "patch",
    "patch-completed": "patch series",
    "check-created": "patch check",
    "series-created": "series",
    "series-completed": "series",
    "cover-comment-created": "cover comment",
    "patch-comment-created": "patch comment",
}

# Path, fields, the version that brought them.
LATER_FIELDS = [
    (PATCH, "web_url comments", "1.1"),
    (PATCH, "list_archive_url related", "1.2"),
    (COVER, "web_url mbox comments", "1.1"),
    (COVER, "list_archive_url", "1.2"),
    ("/series/29431/", "web_url", "1.1"),
    ("/projects/1/", "subject_match", "1.1"),
    ("/projects/1/", "list_archive_url list_archive_url_format commit_url_format", "1.2"),
    ("/projects/1/", "show_dependencies", "1.4"),
    ("/users/1/", "settings", "1.2"),
    (f"{PATCH}comments/", "list_archive_url", "1.2"),
    (f"{PATCH}comments/", "url addressed", "1.3"),
]
VERSIONS = ("1.0", "1.1", "1.2", "1.3", "1.4")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with Sandbox(*ARCHIVES, tokens=TOKENS) as sandbox:
        check = {"state": "success", "context": "iol-unit"}
        checks = f"{sandbox.url}/api{PATCH}checks/"
        headers = {"Authorization": "Token secret"}
        requests.post(checks, json=check, headers=headers, timeout=10).raise_for_status()
        yield sandbox.url


def fetch(url: str, path: str) -> Any:
    answer = requests.get(url + path, headers={"Authorization": "Token secret"}, timeout=10)
    answer.raise_for_status()
    return answer.json()


@pytest.mark.parametrize("schema", SCHEMAS)
def test_an_object_has_the_fields_of_its_schema(url: str, schema: str) -> None:
    path, way, fields = SCHEMAS[schema]
    found = fetch(url, f"/api{path}")
    for step in way:
        found = found[step]
    assert set(found) == set(fields.split())


@pytest.mark.parametrize("category", PAYLOADS)
def test_an_event_has_the_payload_of_its_category(url: str, category: str) -> None:
    events = fetch(url, f"/api/events/?category={category}")
    assert {event["category"] for event in events} == {category}
    assert set(events[0]["payload"]) == set(PAYLOADS[category].split())


@pytest.mark.parametrize(("path", "fields", "since"), LATER_FIELDS)
def test_a_field_is_left_out_before_the_version_that_brought_it(
    url: str, path: str, fields: str, since: str
) -> None:
    for version in VERSIONS:
        if "comments" in path and version == "1.0":
            continue  # comments themselves came with 1.1
        found = fetch(url, f"/api/{version}{path}")
        row = found[0] if isinstance(found, list) else found
        present = [field for field in fields.split() if field in row]
        assert present == (fields.split() if version >= since else [])


@pytest.mark.parametrize(
    ("path", "since"),
    [
        (f"{PATCH}comments/", "1.1"),
        (f"{COVER}comments/", "1.1"),
        (f"{PATCH}comments/160001/", "1.3"),
        (f"{COVER}comments/901/", "1.3"),
    ],
)
def test_an_address_is_unknown_before_the_version_that_brought_it(
    url: str, path: str, since: str
) -> None:
    for version in VERSIONS:
        answer = requests.get(f"{url}/api/{version}{path}", timeout=10)
        kind = answer.headers["Content-Type"].partition(";")[0]
        expected = (200, "application/json") if version >= since else (404, "text/html")
        assert (answer.status_code, kind) == expected


@pytest.mark.parametrize("version", VERSIONS)
def test_links_keep_the_version_of_the_request(url: str, version: str) -> None:
    public = "https://patches.dpdk.org"
    assert fetch(url, f"/api/{version}/")["patches"] == f"{public}/api/{version}/patches/"
    patch = fetch(url, f"/api/{version}{PATCH}")
    assert patch["url"] == f"{public}/api/{version}{PATCH}"
    assert patch["checks"] == f"{public}/api{PATCH}checks/"


@pytest.mark.parametrize("version", VERSIONS)
def test_comment_events_came_with_version_1_3(url: str, version: str) -> None:
    categories = {event["category"] for event in fetch(url, f"/api/{version}/events/")}
    hidden = {"cover-comment-created", "patch-comment-created"}
    assert categories == (set(PAYLOADS) if version >= "1.3" else set(PAYLOADS) - hidden)
