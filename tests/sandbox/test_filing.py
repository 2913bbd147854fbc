# SPDX-License-Identifier: BSD-3-Clause
"""Mails are filed as Patchwork files them: what a mail becomes, in which project and series."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.sandbox import CI, DPDK, Sandbox
from ingest.sandbox.store import FirstIds, Store, Submission
from tests.sandbox.conftest import ARCHIVES, DIFF, mail, patch

NOON = datetime(2023, 9, 6, 12, tzinfo=UTC)
CI_LIST = "DPDK CI discussions <ci.dpdk.org>"


def new_store() -> Store:
    return Store(first=FirstIds(), clock=lambda: NOON)


def filed(*mails: bytes) -> Store:
    store = new_store()
    for raw in mails:
        store.file(raw)
    return store


def series_of(store: Store, message_id: str) -> int | None:
    submissions = [*store.patches.values(), *store.covers.values()]
    (found,) = [s for s in submissions if s.letter.message_id == f"<{message_id}>"]
    return found.series


# Subject, body, what a reply to a known patch becomes with them.
BECOMES = [
    ("[PATCH] x", DIFF, "patch"),
    ("[PATCH 1/2] x", DIFF, "patch"),
    ("no brackets", DIFF, "patch"),
    ("Fwd: [PATCH] x", DIFF, "patch"),
    ("Re: [PATCH] x", DIFF, "comment"),
    ("re [PATCH] x", DIFF, "comment"),
    ("RE: [PATCH 0/2] x", "Text.\n", "comment"),
    ("Fwd: [PATCH] x", "Text.\n", "comment"),
    ("[PATCH] x", "Text.\n", "comment"),
    ("[PATCH 0/2] x", "Text.\n", "cover letter"),
    ("[PATCH v2 00/12] x", "Text.\n", "cover letter"),
    ("[PATCH 0/2] x", DIFF, "patch"),
    ("Re: [PATCH] x", "", "empty"),
    ("[PATCH] x", "\n\n", "empty"),
    (
        "[GIT PULL] x",
        "The following changes since commit 1:\n\nare available in the git repository at:\n\n"
        "  https://git.example.org/x.git for-main\n",
        "patch",
    ),
]


@pytest.mark.parametrize(("subject", "body", "expected"), BECOMES)
def test_subject_and_text_decide_what_a_mail_becomes(
    subject: str, body: str, expected: str
) -> None:
    store = filed(patch("[PATCH] known", id="known@example.org"))
    assert store.file(mail(subject, body, id="new@example.org", to="known@example.org")) == expected


DIFFS = {
    "git": (DIFF, True),
    "without a git header": ("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n", True),
    "svn": ("Index: x\n=====\n--- x\t(1)\n+++ x\t(2)\n@@ -1 +1 @@\n-a\n+b\n", True),
    "rename": (
        "diff --git a/x b/y\nsimilarity index 100%\nrename from x\nrename to y\n",
        True,
    ),
    "mode": ("diff --git a/x b/x\nold mode 100644\nnew mode 100755\n", True),
    "new empty file": (
        "diff --git a/x b/x\nnew file mode 100644\nindex 0000000..e69de29\n",
        True,
    ),
    "binary": (
        "diff --git a/x b/x\nindex 1..2\nGIT binary patch\nliteral 1\nIcmZ\n\n",
        True,
    ),
    "quoted": ("> " + DIFF.replace("\n", "\n> "), False),
    "names without a hunk": ("--- a/x\n+++ b/x\nno hunk\n", False),
    "prose": ("diff is a word\n--- and so on\n", False),
}


@pytest.mark.parametrize("kind", DIFFS)
def test_a_diff_makes_a_patch(kind: str) -> None:
    diff, is_patch = DIFFS[kind]
    store = filed(mail("x", f"Why.\n\n{diff}", id="x@example.org"))
    assert [row.letter.diff for row in store.patches.values()] == ([diff] if is_patch else [])


def test_text_around_the_diff_is_the_patch_s_message() -> None:
    text = f"Why.\n---\n{DIFF}between\n{DIFF}-- \n2.41.0\n"
    (found,) = filed(mail("[PATCH] x", text, id="x@example.org")).patches.values()
    assert found.letter.message == "Why.\n---"
    assert found.letter.diff == f"{DIFF}between\n{DIFF}"


def test_a_diff_in_a_part_of_its_own_makes_a_patch() -> None:
    body = (
        f"--B\nContent-Type: text/plain\n\nWhy.\n--B\nContent-Type: text/x-patch\n\n{DIFF}\n--B--\n"
    )
    mixed = "Content-Type: multipart/mixed; boundary=B"
    (found,) = filed(mail("x", body, id="x@example.org", more=mixed)).patches.values()
    assert (found.letter.message, found.letter.diff) == ("Why.", DIFF)


# Subject, then the name Patchwork gives it and the series' version and total.
NAMES = [
    ("[PATCH] net: x", "net: x", 1, 1),
    ("[PATCH v2] net: x", "[v2] net: x", 2, 1),
    ("[PATCH v3 2/5] net: x", "[v3,2/5] net: x", 3, 5),
    ("[dpdk] [PATCH,RFC] net: x", "[RFC] net: x", 1, 1),
    ("[dpdk-dev] [PATCH 1/2] net: x", "[dpdk-dev,1/2] net: x", 1, 2),
    ("[PATCH1/8] net: x", "[PATCH1/8] net: x", 1, 8),
    ("[PATCH 1 of 3] net: x", "[1 of 3] net: x", 1, 3),
    ("[PATCH] net: x (v5)", "net: x (v5)", 5, 1),
    ("[PATCH] =?utf-8?q?gr=C3=BC=C3=9Fe?=  net", "grüße net", 1, 1),
]


@pytest.mark.parametrize(("subject", "name", "version", "total"), NAMES)
def test_name_version_and_total_come_from_the_subject(
    subject: str, name: str, version: int, total: int
) -> None:
    store = filed(patch(subject, id="x@example.org"))
    (found,), (series,) = store.patches.values(), store.series.values()
    assert (found.name, series.version, series.total) == (name, version, total)


SENDERS = [
    ("robin@example.org", None, "robin@example.org"),
    ("<robin@example.org>", "", "robin@example.org"),
    ("Robin Reviewer <robin@example.org>", "Robin Reviewer", "robin@example.org"),
    ('"Reviewer, Robin" <robin@example.org>', "Reviewer, Robin", "robin@example.org"),
    ("=?utf-8?q?R=C3=B6bin?= <robin@example.org>", "Röbin", "robin@example.org"),
    ("robin@example.org (Robin)", "Robin", "robin@example.org"),
    ("robin at example.org (Robin)", "Robin", "robin@example.org"),
]


@pytest.mark.parametrize(("header", "name", "address"), SENDERS)
def test_the_submitter_comes_from_the_from_header(
    header: str, name: str | None, address: str
) -> None:
    (person,) = filed(patch("[PATCH] x", id="x@example.org", sender=header)).people.values()
    assert (person.name, person.email) == (name, address)


def test_one_address_is_one_person_with_the_latest_name() -> None:
    store = filed(
        patch("[PATCH] x", id="1@example.org", sender="Robin <Robin@example.org>"),
        patch("[PATCH] y", id="2@example.org", sender="robin@EXAMPLE.org"),
        patch("[PATCH] z", id="3@example.org", sender="R. Reviewer <robin@example.org>"),
    )
    (person,) = store.people.values()
    assert (person.name, person.email) == ("R. Reviewer", "Robin@example.org")


NOT_FILED = [
    ("no project", {"list_id": ""}),
    ("no project", {"list_id": "two words"}),
    ("no Message-Id header", {"id": ""}),
    ("no Subject header", {"subject": ""}),
    ("no From header", {"sender": ""}),
    ("no address in the From header", {"sender": "nobody"}),
    ("X-Patchwork-Hint: ignore", {"more": "X-Patchwork-Hint: Ignore"}),
    ("duplicate", {"id": "known@example.org"}),
]


@pytest.mark.parametrize(("reason", "fields"), NOT_FILED)
def test_some_mails_are_not_filed(reason: str, fields: dict[str, str]) -> None:
    store = filed(patch("[PATCH] known", id="known@example.org"))
    made = patch(**({"subject": "[PATCH] x", "id": "x@example.org"} | fields))
    assert (store.file(made), len(store.patches)) == (reason, 1)


def test_a_list_that_is_not_known_becomes_a_project() -> None:
    store = filed(
        patch("[PATCH] x", id="x@example.org", list_id="Users <users.example.org>"),
        patch("[PATCH] x", id="y@example.org", list_id="dts.example.org"),
    )
    assert [(p.id, p.link_name, p.list_email) for p in store.projects.values()] == [
        (1, "dpdk", "dev@dpdk.org"),
        (5, "ci", "ci@dpdk.org"),
        (6, "users", "users@example.org"),
        (7, "dts", "dts@example.org"),
    ]


def test_given_projects_are_the_only_ones() -> None:
    store = Store(first=FirstIds(), clock=lambda: NOON, known=(CI,))
    assert store.file(patch("[PATCH] x", id="x@example.org")) == "no project"
    assert store.file(patch("[PATCH] x", id="x@example.org", list_id="ci.dpdk.org")) == "patch"


def test_a_cross_posted_patch_is_in_two_projects_and_two_series() -> None:
    store = filed(
        patch("[PATCH] x", id="x@example.org"),
        patch("[PATCH] x", id="x@example.org", list_id=CI_LIST),
        mail("Re: [PATCH] x", id="c@example.org", to="x@example.org", list_id=CI_LIST),
    )
    first, second = store.patches.values()
    assert (first.project, second.project) == (DPDK, CI)
    assert first.series != second.series
    assert [comment.parent for comment in store.patch_comments.values()] == [second.id]


def numbered(number: int, total: int = 2, version: str = "", **fields: str) -> bytes:
    make = patch if number else mail
    return make(f"[PATCH {version}{number}/{total}] x", **fields)


# Name, the mails, the ids of those that are one series.
GROUPED: dict[str, tuple[list[bytes], list[set[str]]]] = {
    "threaded below the cover letter": (
        [
            numbered(0, id="0@x.org"),
            numbered(1, id="1@x.org", to="0@x.org"),
            numbered(2, id="2@x.org", to="0@x.org"),
        ],
        [{"0@x.org", "1@x.org", "2@x.org"}],
    ),
    "each below the one before": (
        [
            numbered(1, id="1@x.org"),
            numbered(2, id="2@x.org", to="1@x.org"),
        ],
        [{"1@x.org", "2@x.org"}],
    ),
    "the cover letter comes last": (
        [
            numbered(1, id="1@x.org", to="0@x.org"),
            numbered(2, id="2@x.org", to="0@x.org"),
            numbered(0, id="0@x.org"),
        ],
        [{"0@x.org", "1@x.org", "2@x.org"}],
    ),
    "not threaded, same submitter, version and total": (
        [numbered(2, id="2@x.org"), numbered(1, id="1@x.org")],
        [{"1@x.org", "2@x.org"}],
    ),
    "not threaded, another submitter": (
        [numbered(1, id="1@x.org"), numbered(2, id="2@x.org", sender="b@x.org")],
        [{"1@x.org"}, {"2@x.org"}],
    ),
    "not threaded, another total": (
        [numbered(1, id="1@x.org"), numbered(2, 3, id="2@x.org")],
        [{"1@x.org"}, {"2@x.org"}],
    ),
    "not threaded, half an hour later": (
        [
            numbered(1, id="1@x.org", date="Tue, 5 Sep 2023 20:00:00 +0000"),
            numbered(2, id="2@x.org", date="Tue, 5 Sep 2023 20:30:00 +0000"),
        ],
        [{"1@x.org"}, {"2@x.org"}],
    ),
    "not threaded, the number is taken": (
        [numbered(1, id="1@x.org"), numbered(1, id="1b@x.org")],
        [{"1@x.org"}, {"1b@x.org"}],
    ),
    "the next version in reply to the first": (
        [
            numbered(0, id="0@x.org"),
            numbered(1, id="1@x.org", to="0@x.org"),
            numbered(0, version="v2 ", id="v2-0@x.org", to="0@x.org"),
            numbered(1, version="v2 ", id="v2-1@x.org", to="v2-0@x.org", references="0@x.org"),
        ],
        [{"0@x.org", "1@x.org"}, {"v2-0@x.org", "v2-1@x.org"}],
    ),
    "single patches": (
        [patch("[PATCH] x", id="1@x.org"), patch("[PATCH] x", id="2@x.org", to="1@x.org")],
        [{"1@x.org"}, {"2@x.org"}],
    ),
}


@pytest.mark.parametrize("case", GROUPED)
def test_a_series_is_found_by_references_or_by_its_markers(case: str) -> None:
    mails, groups = GROUPED[case]
    store = filed(*mails)
    for group in groups:
        assert len({series_of(store, message_id) for message_id in group}) == 1
    assert len(store.series) == len(groups)


def test_a_diff_numbered_0_is_a_patch_of_no_series() -> None:
    (found,) = filed(patch("[PATCH 0/2] x", id="x@example.org")).patches.values()
    assert found.series is None


def test_a_series_bears_the_name_of_its_cover_letter_else_of_its_first_patch() -> None:
    store = filed(numbered(2, id="2@x.org", to="0@x.org"))
    (series,) = store.series
    assert store.series[series].name is None
    store.file(patch("[PATCH 1/2] first", id="1@x.org", to="0@x.org"))
    assert store.series[series].name == "[1/2] first"
    store.file(mail("[PATCH 0/2] whole", id="0@x.org"))
    assert store.series[series].name == "whole"


THREAD = [
    mail("[PATCH 0/1] x", id="cover@x.org"),
    patch("[PATCH 1/1] x", id="patch@x.org", to="cover@x.org"),
    mail("Re: x", id="on-cover@x.org", to="cover@x.org"),
    mail("Re: x", id="on-patch@x.org", to="patch@x.org"),
]

# In-Reply-To, References, where the reply is filed.
REPLIES = [
    ("patch@x.org", "", "patch"),
    ("cover@x.org", "", "cover"),
    ("on-patch@x.org", "", "patch"),
    ("on-cover@x.org", "", "cover"),
    ("", "cover@x.org patch@x.org", "patch"),
    ("unknown@x.org", "cover@x.org unknown@x.org", "cover"),
    # A patch among the references wins over a nearer cover letter.
    ("cover@x.org", "patch@x.org cover@x.org", "patch"),
    ("unknown@x.org", "", ""),
    ("", "", ""),
]


@pytest.mark.parametrize(("to", "references", "expected"), REPLIES)
def test_a_reply_is_filed_under_what_it_refers_to(to: str, references: str, expected: str) -> None:
    store = filed(*THREAD, mail("Re: x", id="new@x.org", to=to, references=references))
    every = [*store.patch_comments.values(), *store.cover_comments.values()]
    kinds = [c.kind for c in every if c.letter.message_id == "<new@x.org>"]
    assert kinds == ([expected] if expected else [])


def test_the_same_comment_twice_is_one() -> None:
    store = filed(*THREAD)
    assert store.file(THREAD[-1]) == "duplicate"
    assert len(store.patch_comments) == 1


def test_events_tell_what_happened_in_its_order() -> None:
    store = filed(
        numbered(0, id="0@x.org"),
        numbered(2, id="2@x.org", to="0@x.org"),
        numbered(1, id="1@x.org", to="0@x.org"),
        mail("Re: x", id="c@x.org", to="1@x.org"),
    )
    first, second = (patch.id for patch in reversed(store.patches.values()))
    assert [(event.category, event.patch) for event in store.events.values()] == [
        ("series-created", None),
        ("cover-created", None),
        ("patch-created", second),
        ("patch-created", first),
        ("patch-completed", first),
        ("patch-completed", second),
        ("series-completed", None),
        ("patch-comment-created", first),
    ]
    assert {event.date for event in store.events.values()} == {NOON.replace(tzinfo=None)}


def test_a_mail_without_a_date_is_as_old_as_its_filing() -> None:
    found: Submission
    (found,) = filed(patch("[PATCH] x", id="x@example.org", date="")).patches.values()
    assert found.date == NOON.replace(tzinfo=None)


def test_first_ids_are_settable() -> None:
    sandbox = Sandbox(
        *ARCHIVES,
        first_patch=10,
        first_cover=20,
        first_series=30,
        first_patch_comment=40,
        first_cover_comment=50,
        first_person=60,
        first_event=70,
    )
    store = sandbox.store
    tables = (store.patches, store.covers, store.series, store.people, store.events)
    assert [min(table) for table in tables] == [10, 20, 30, 60, 70]
    assert (min(store.patch_comments), min(store.cover_comments)) == (40, 50)


@given(st.binary(max_size=500))
def test_any_bytes_are_filed_or_not_and_raise_nothing(raw: bytes) -> None:
    Sandbox().file(raw)


@given(
    st.text(max_size=60),
    st.lists(st.sampled_from([*DIFF.splitlines(), "", "-- ", "--- ", "GIT binary patch", "x"])),
)
def test_a_patch_s_lines_are_all_kept_or_cut_with_the_signature(
    subject: str, lines: list[str]
) -> None:
    from ingest.sandbox.letters import split_diff

    text = "\n".join([subject, *lines])
    diff, around = split_diff(text)
    assert sorted(f"{diff}{around}".split("\n")) == sorted(f"{text}\n".split("\n"))
