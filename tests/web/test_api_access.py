# SPDX-License-Identifier: BSD-3-Clause
"""Who may call what over HTTP, and what those see who may not read everything."""

import json
from collections.abc import Iterator

import pytest

from ingest.config.web_tables import DEEDS
from ingest.ledger import Envelope, Ledger, Outcome
from ingest.mail.requester import Requester
from ingest.web.api_table import OPERATIONS
from ingest.web.operations import Operation
from tests.support.api_site import ApiSite
from tests.support.http_site import LISTEN
from tests.support.ledger_values import arrival, claimed, ended, request

SECRET = "someone.secret@example.org"
# A name as the programs of others on this machine have it, who are not let in by loopback.
ELSEWHERE = {"X-Forwarded-For": "198.51.100.7"}
PROXIED = ELSEWHERE | {"Origin": "https://evil.example.org"}


def fill(ledger: Ledger) -> None:
    envelope = Envelope(SECRET, (SECRET,), "203.0.113.7")
    ledger.accept(arrival("a@example.org", envelope=envelope, author=f"Robin <{SECRET}>"))
    mail = claimed(ledger)
    asked = request(mail, requester=Requester("Robin", SECRET))
    ledger.finish(mail, Outcome.DONE, "it is", ended(Outcome.DONE), [asked])


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiSite]:
    with ApiSite(tmp_path_factory.mktemp("closed"), fill, f'{LISTEN}read = "token"\n') as site:
        yield site


@pytest.fixture(scope="module")
def open_(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiSite]:
    with ApiSite(tmp_path_factory.mktemp("open"), fill, f'{LISTEN}read = "open"\n') as site:
        yield site


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiSite]:
    with ApiSite(tmp_path_factory.mktemp("local"), fill) as site:
        yield site


def path_of(operation: Operation) -> str:
    """A path whose parameters name nothing."""
    return operation.path.replace("{id}", "77").replace("{message_id}", "x").replace("{name}", "x")


def call(site: ApiSite, operation: Operation, by: str, fields: dict[str, str]) -> int:
    body: dict[str, object] | None = {} if operation.body else None
    return site.call(operation.method, path_of(operation), body, by=by, fields=fields).status


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
def test_an_operation_needs_a_token_that_allows_just_it(
    closed: ApiSite, operation: Operation
) -> None:
    statuses = {deed: call(closed, operation, deed, {}) for deed in ("", "wrong", *DEEDS)}
    # 400: the empty body is looked at, after the token.
    assert statuses.pop(operation.deed) in (200, 404, 400)
    assert statuses == {deed: 403 if deed in DEEDS else 401 for deed in statuses}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
def test_reading_may_be_open_but_nothing_else_is(open_: ApiSite, operation: Operation) -> None:
    status = call(open_, operation, "", ELSEWHERE)
    assert status in (200, 404) if operation.deed == "read" else status == 401


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
def test_programs_on_this_machine_may_read_without_a_token(
    local: ApiSite, operation: Operation
) -> None:
    direct, passed_on = call(local, operation, "", {}), call(local, operation, "", PROXIED)
    assert direct in (200, 404) if operation.deed == "read" else direct == 401
    assert passed_on == 401


def test_a_token_may_come_as_a_password_and_401_asks_for_one(closed: ApiSite) -> None:
    basic = {"Authorization": "Basic YW55Ym9keTpyZWFk"}  # anybody:read
    assert closed.call("GET", "/api/requests", by="", fields=basic).status == 200
    answer = closed.call("GET", "/api/requests", by="")
    assert answer.fields["www-authenticate"] == 'Basic realm="recheck-ingest"'
    assert answer.fields["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/api/requests", "/api/openapi.json", "/api/nothing"])
def test_a_name_that_is_not_ours_is_not_answered(open_: ApiSite, path: str) -> None:
    """A page elsewhere can have its own name lead to this machine (DNS rebinding)."""
    answer = open_.call("GET", path, fields={"Host": "evil.example.org"})
    assert answer.status == 421
    assert b"public_url" in answer.body


SHOWING = [
    "/api/requests",
    "/api/requests/1",
    "/api/series/29430",
    "/api/labels/iol-a",
    "/api/requesters/robin",
    "/api/mails",
    "/api/mails/a@example.org",
]


@pytest.mark.parametrize("path", SHOWING)
def test_without_the_right_to_read_addresses_are_short_and_envelopes_gone(
    open_: ApiSite, path: str
) -> None:
    shown = json.dumps(open_.see(path, by="", fields=ELSEWHERE))
    assert "secret" not in shown and "203.0.113.7" not in shown
    assert "Robin" in shown
    full = json.dumps(open_.see(path, by="read"))
    assert SECRET in full
    assert ("203.0.113.7" in full) == ("mails" in path)


@pytest.mark.parametrize("query", ["requester=secret", "search=secret", "search=robin+<some"])
@pytest.mark.parametrize("what", ["requests", "mails"])
def test_filters_find_by_what_is_shown_only(open_: ApiSite, what: str, query: str) -> None:
    path = f"/api/{what}?{query}"
    hidden = open_.call("GET", path, by="")
    assert (hidden.status, hidden.json) == (200, [])
    assert "page=1>" in hidden.fields["link"]  # nor does the number of pages tell
    assert open_.see(f"/api/{what}?requester=s%E2%80%A6%40example", by="")
    if "<" not in query:
        assert open_.see(path, by="read")


def test_a_requester_is_found_by_what_is_shown_only(open_: ApiSite) -> None:
    assert open_.see("/api/requesters/secret", by="") == []
    assert open_.see("/api/requesters/secret", by="read")


@pytest.mark.parametrize("by", ["ask", "mail"])
def test_a_token_that_may_not_read_sees_no_more_than_anybody(open_: ApiSite, by: str) -> None:
    assert "secret" not in json.dumps(open_.see("/api/mails", by=by))


def test_what_is_answered_is_kept_nowhere_and_is_no_page(local: ApiSite) -> None:
    fields = local.call("GET", "/api/requests").fields
    assert fields["cache-control"] == "no-store"
    assert fields["x-content-type-options"] == "nosniff"
    assert fields["content-security-policy"].startswith("default-src 'none'")
    assert "access-control-allow-origin" not in fields
