# SPDX-License-Identifier: BSD-3-Clause
"""What is read out of a mail before it is filed: its diff, name, markers and submitter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.sandbox.parser import split_diff
from tests.sandbox.conftest import DIFF, filed, mail, patch

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
    found = [(row.letter.diff or "").rstrip() for row in store.patches.values()]
    assert found == ([diff.rstrip()] if is_patch else [])


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


# Field and body of an answer, then what the comment holds (parser.py, find_comment_content).
COMMENTS = {
    "plain": ("", "Fine.\n-- \nRobin\n", "Fine."),
    "a forwarded mail": (
        "Content-Type: multipart/mixed; boundary=B",
        "--B\n\nSee:\n--B\nContent-Type: message/rfc822\n\nSubject: x\n\nTheirs.\n--B--\n",
        "See:\nTheirs.",
    ),
    "an attached text": (
        "Content-Type: multipart/mixed; boundary=B",
        "--B\n\nSee:\n--B\nContent-Disposition: attachment\n\nNotes.\n--B--\n",
        "See:\nNotes.",
    ),
    "HTML beside it": (
        "Content-Type: multipart/alternative; boundary=B",
        "--B\n\nText.\n--B\nContent-Type: text/html\n\n<p>HTML\n--B--\n",
        "Text.",
    ),
    "a part that is not in its charset": (
        "Content-Type: multipart/mixed; boundary=B",
        "--B\n\nText.\n--B\nContent-Type: text/plain; charset=us-ascii\n\nGrüße\n--B--\n",
        "Text.",
    ),
    "an unknown charset": ("Content-Type: text/plain; charset=x-nobody", "Grüße\n", "Grüße"),
}


@pytest.mark.parametrize("kind", COMMENTS)
def test_every_text_part_is_part_of_the_comment_if_it_is_in_its_charset(kind: str) -> None:
    field, body, expected = COMMENTS[kind]
    answer = mail("Re: x", body, id="y@example.org", to="x@example.org", more=field)
    store = filed(patch("[PATCH] x", id="x@example.org"), answer)
    (comment,) = store.patch_comments.values()
    assert comment.letter.message == expected


def test_lines_of_a_mail_that_came_by_smtp_end_as_a_mail_server_hands_them_on() -> None:
    answer = mail("Re: x", "Fine.\n-- \nR\n", id="y@example.org", to="x@example.org")
    store = filed(patch("[PATCH] x", id="x@example.org"), answer.replace(b"\n", b"\r\n"))
    (comment,) = store.patch_comments.values()
    assert comment.letter.message == "Fine."


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


@given(st.binary(max_size=500))
def test_any_bytes_are_filed_or_not_and_raise_nothing(raw: bytes) -> None:
    store = filed(raw)
    # Without a Message-ID, which no chance makes, nothing is a submission or a comment.
    assert (b"message-id:" in raw.lower()) or not any(
        (store.patches, store.covers, store.patch_comments, store.cover_comments)
    )
    # And what comes after it is filed as ever.
    store = filed(raw, patch("[PATCH] x", id="x@example.org"))
    assert [each.name for each in store.patches.values()][-1:] == ["x"]


@given(
    st.text(max_size=60),
    st.lists(st.sampled_from([*DIFF.splitlines(), "", "-- ", "--- ", "GIT binary patch", "x"])),
)
@pytest.mark.slow
def test_a_patch_s_lines_are_all_kept_or_cut_with_the_signature(
    subject: str, lines: list[str]
) -> None:
    text = "\n".join([subject, *lines])
    diff, around = split_diff(text)
    assert sorted(f"{diff}{around}".split("\n")) == sorted(f"{text}\n".split("\n"))
