# SPDX-License-Identifier: BSD-3-Clause
"""Mails are filed as Patchwork files them: what a mail becomes, in which project and series."""

import pytest

from ingest.sandbox import CI, DPDK, Sandbox
from ingest.sandbox.models import FirstIds, Submission
from ingest.sandbox.store import Store
from tests.sandbox.conftest import ARCHIVES, DIFF, NOON, filed, mail, patch

CI_LIST = "DPDK CI discussions <ci.dpdk.org>"


def series_of(store: Store, message_id: str) -> int | None:
    submissions = [*store.patches.values(), *store.covers.values()]
    (found,) = [s for s in submissions if s.letter.message_id == f"<{message_id}>"]
    return found.series


PULL_REQUEST = """\
The following changes since commit 1:

are available in the git repository at:

  https://git.example.org/x.git for-main
"""

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
    ("[GIT PULL] x", PULL_REQUEST, "patch"),
]


@pytest.mark.parametrize(("subject", "body", "expected"), BECOMES)
def test_subject_and_text_decide_what_a_mail_becomes(
    subject: str, body: str, expected: str
) -> None:
    store = filed(patch("[PATCH] known", id="known@example.org"))
    assert store.file(mail(subject, body, id="new@example.org", to="known@example.org")) == expected


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
        first=FirstIds(
            patch=10,
            cover=20,
            series=30,
            patch_comment=40,
            cover_comment=50,
            person=60,
            event=70,
        ),
    )
    store = sandbox.store
    tables = (store.patches, store.covers, store.series, store.people, store.events)
    assert [min(table) for table in tables] == [10, 20, 30, 60, 70]
    assert (min(store.patch_comments), min(store.cover_comments)) == (40, 50)
