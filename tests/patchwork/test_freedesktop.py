# SPDX-License-Identifier: BSD-3-Clause
"""freedesktop's fork: what its targets are found by, and what it cannot tell."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import NotFound, NotYet, Unanswered
from ingest.ledger import Ledger
from ingest.patchwork import fork_pages, redirects
from ingest.patchwork.dialect import Lookup
from ingest.sandbox import CI, DPDK, Sandbox
from ingest.sandbox.fork_store import TestResult as Result
from ingest.transport import Reply
from tests.support.bad_server import Answer, Hell, Seen, html, http, says, text
from tests.support.clock import Clock
from tests.support.mails import cover, letter, patch, reply
from tests.support.questions import DEV, Connect, paths, resolve


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(kind="freedesktop") as fork:
        yield fork


def two_versions(box: Sandbox) -> None:
    """A series and its second version, each with a cover letter and two patches."""
    for version, prefix in ((1, "PATCH"), (2, "PATCH v2")):
        box.file(cover(f"c{version}@x", f"[{prefix} 0/2] net: two fixes"))
        for number in (1, 2):
            box.file(
                patch(
                    f"p{version}{number}@x",
                    f"[{prefix} {number}/2] net: fix {number}",
                    in_reply_to=f"c{version}@x",
                )
            )


@pytest.mark.parametrize(
    ("to", "subject", "kind", "id", "revision"),
    [
        ("p11@x", "Re: [PATCH 1/2] net: fix 1", "patch", 1, 1),
        ("p12@x", "Re: [PATCH 2/2] net: fix 2", "patch", 2, 1),
        ("p21@x", "Re: [PATCH v2 1/2] net: fix 1", "patch", 3, 2),
        ("p22@x", "Re: something else", "patch", 4, 2),
        ("c1@x", "Re: [PATCH 0/2] net: two fixes", "cover", 0, 1),
        ("c2@x", "[lists] Re: [PATCH v2 0/2] net: two fixes", "cover", 0, 2),
    ],
)
def test_a_target_is_a_series_and_a_revision(
    connect: Connect, box: Sandbox, to: str, subject: str, kind: str, id: int, revision: int
) -> None:
    two_versions(box)
    found = resolve(connect(box.url), reply(to, subject=subject, list_id=DEV))
    assert (found.kind, found.id, found.series, found.revision) == (kind, id, 1, revision)
    assert found.project == "dpdk"
    assert found.standing.submitter == "robin@example.org"
    assert found.standing.state == "new"


def test_that_it_is_the_fork_is_found_out_and_remembered(connect: Connect, box: Sandbox) -> None:
    two_versions(box)
    resolve(connect(box.url), reply("p11@x", list_id=DEV))
    assert "/api/1.0/" in paths(box)
    box.requests.clear()
    resolve(connect(box.url), reply("p12@x", "other@x", list_id=DEV))
    assert not [path for path in paths(box) if path in ("/api/", "/api/1.0/")]


def test_of_a_cover_letter_that_was_renamed_the_next_mail_of_its_series_tells(
    connect: Connect, box: Sandbox
) -> None:
    first, second = (f"20230906090000.17-{n}-robin@example.org" for n in (1, 2))
    box.file(cover(first, "[PATCH 0/1] net: a fix"))
    box.file(patch(second, "[PATCH 1/1] net: it", in_reply_to=first))
    found = resolve(connect(box.url), reply(first, subject="Re: quite another", list_id=DEV))
    assert (found.kind, found.series, found.revision) == ("cover", 1, 1)


def test_of_a_cross_posted_patch_the_one_in_the_mail_s_project_counts(
    connect: Connect, box: Sandbox
) -> None:
    for project in (CI, DPDK):
        box.file(patch("both@x", "[PATCH] net: both", list_id=project.list_id))
    subject = "Re: [PATCH] net: both"
    ours = resolve(connect(box.url), reply("both@x", subject=subject, list_id=DPDK.list_id))
    other = resolve(connect(box.url), reply("both@x", subject=subject, list_id=CI.list_id))
    assert [(each.project, each.series) for each in (ours, other)] == [("dpdk", 2), ("ci", 1)]


def test_without_its_title_a_cross_posted_patch_waits_and_is_never_the_other_project_s(
    connect: Connect, box: Sandbox
) -> None:
    for project in (CI, DPDK):
        box.file(patch("both@x", "[PATCH] net: both", list_id=project.list_id))
    with pytest.raises(NotFound):
        resolve(connect(box.url), reply("both@x", subject="Re: x", list_id=DPDK.list_id))


def test_a_patch_that_replaces_another_makes_a_revision_and_the_others_are_in_it(
    connect: Connect, box: Sandbox
) -> None:
    two_versions(box)
    box.file(patch("p31@x", "[PATCH v3 1/2] net: fix 1", in_reply_to="p21@x"))
    client = connect(box.url)
    assert resolve(client, reply("p31@x", list_id=DEV)).revision == 3
    assert resolve(client, reply("p22@x", list_id=DEV)).revision == 3
    assert resolve(client, reply("p21@x", list_id=DEV)).revision == 2


def test_a_reply_to_a_comment_counts_for_the_patch_when_nothing_nearer_has_come(
    connect: Connect, box: Sandbox
) -> None:
    two_versions(box)
    box.file(reply("p11@x", "comment@x", list_id=DEV))
    raw = reply("comment@x", references=("p11@x", "comment@x"), list_id=DEV)
    client = connect(box.url)
    waits = 0
    while True:
        try:
            found = resolve(client, raw)
            break
        except NotYet:
            waits += 1
    assert (found.id, found.revision, waits) == (1, 1, 4)


PAGE = b"""<table><tr><th>Message ID</th><td>other@x</td></tr>
<tr><th>Series</th><td><a href="/series/3/">x</a></td></tr>
<tr><th>Headers</th><td><pre>Subject: x</pre></td></tr></table>"""


@pytest.mark.parametrize("page", ["a bot wall", "another patch", "a redirect elsewhere"])
def test_a_page_that_is_not_of_the_patch_is_no_verdict(
    hell: Hell, page: str, clock: Clock, connect: Connect
) -> None:
    def route(seen: Seen) -> Answer | None:
        if seen.path == "/api/":
            return html(404)
        if seen.path == "/api/1.0/":
            return text('{"revision": 2}')
        if seen.path.startswith("/patch/msgid/"):
            if page == "a bot wall":
                return html(404)
            location = "/login/" if page == "a redirect elsewhere" else "/patch/7/"
            return html(302, f"Location: {location}")
        return says(http(200, PAGE, kind="text/html")) if seen.path == "/patch/7/" else html(404)

    hell.route(route)
    with pytest.raises(Unanswered):
        resolve(connect(hell.url), reply("p11@x"))


@pytest.mark.parametrize("id", ["a/b@x", "..", "../../admin/", "."])
def test_an_id_that_is_no_segment_of_a_path_is_found_by_its_title_or_not_at_all(
    box: Sandbox, connect: Connect, id: str
) -> None:
    box.file(patch(id, "[PATCH] net: slashed"))
    client = connect(box.url)
    found = resolve(client, reply(id, subject="Re: [PATCH] net: slashed", list_id=DEV))
    assert (found.kind, found.series) == ("patch", 1)
    assert not [path for path in paths(box) if path.startswith("/patch/msgid/")]


def test_a_redirect_to_https_is_followed_and_to_another_page_is_not() -> None:
    url = "http://pw.example.org/patch/msgid/a@x/"
    for status, location, secure in [
        (301, "https://pw.example.org/patch/msgid/a@x/", "https://pw.example.org/patch/msgid/a@x/"),
        (301, "https://other.example.org/patch/msgid/a@x/", None),
        (302, "/patch/7/", None),
        (200, "https://pw.example.org/patch/msgid/a@x/", None),
    ]:
        assert redirects.secure(url, Reply(status, {"Location": location}, b"")) == secure


def test_what_a_mail_says_is_not_read_as_a_page(box: Sandbox, connect: Connect) -> None:
    """A sender may write markup into a subject or a header."""
    evil = '</pre></td></tr><tr><th>Series</th><td><a href="/series/9/">x</a></td></tr>'
    box.file(letter("p@x", f"[PATCH] {evil}", "diff --git a/a b/a\n--- a/a\n+++ b/a\n"
                    "@@ -1 +1,2 @@\n int a;\n+int b;\n", list_id=DEV))  # fmt: skip
    assert resolve(connect(box.url), reply("p@x", list_id=DEV)).series == 1


def test_the_page_of_a_patch_is_read_whatever_stands_in_it() -> None:
    for body in (b"", b"\xff\xfe", b"<", b"<table><th>Message ID</th><td>", b"<!--" * 9999):
        assert fork_pages.patch(body) is None
        assert not fork_pages.is_not_found(body)


# What makes up pages, and what makes none.
PIECES = st.sampled_from(
    [
        "<th>",
        "Message ID",
        "</th>",
        "<td>",
        "</td>",
        "a@x",
        "<pre>",
        "</pre>",
        "<a href='/series/1/'>",
        "Headers",
        "<![x[",
        "<!--",
        "-->",
        "<!",
        "<?",
        "<script>",
        "</",
        "&#x;",
        "&lt;",
        "\x00",
        "<",
    ]
)


@given(st.lists(PIECES | st.text(max_size=5), max_size=40))
def test_whatever_a_page_holds_it_is_read(pieces: list[str]) -> None:
    body = "".join(pieces).encode("utf-8", "surrogatepass")
    page = fork_pages.patch(body)
    assert page is None or page.message_id
    assert isinstance(fork_pages.is_not_found(body), bool)


def test_the_tests_of_a_series_are_its_labels(
    box: Sandbox, connect: Connect, ledger: Ledger
) -> None:
    """A new revision has no results yet: those of the one before count, too."""
    box.file(patch("p@x", "[PATCH] net: fix"))
    for revision, name in ((1, "igt-old"), (2, "igt-new")):
        box.fork.tell(1, revision, Result(name, "success", None, None, box.fork.local_now()))
    box.fork.renew(1, 1)
    client = connect(box.url)
    target = resolve(client, reply("p@x", list_id=DEV))
    assert target.revision == 2
    assert client.contexts(target, lambda found: True) == {"igt-old", "igt-new"}


def test_an_unknown_id_costs_little(box: Sandbox, connect: Connect) -> None:
    two_versions(box)
    client, trail = connect(box.url), list[Lookup]()
    client.projects()
    box.requests.clear()
    with pytest.raises(NotFound):
        resolve(client, reply("nobody@x", subject="Re: that", list_id=DEV), trail)
    assert len(box.requests) <= 2
