# SPDX-License-Identifier: BSD-3-Clause
"""Where one mail of an mbox ends and the next begins."""

import gzip
import itertools
import mailbox
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.sources import mbox, mbox_pieces
from ingest.sources.mbox import Reader
from ingest.sources.mbox_boundaries import is_separator, spans
from tests.support.archives import (
    COMMIT,
    FROM,
    archive_reader,
    mail,
    mboxrd,
    read,
    read_bytes,
)

FROM_LINES = [
    b"From robin@example.org Wed Sep  6 09:01:00 2023",
    b"From robin@example.org Wed Sep  6 09:01:00 2023\r",
    b"From robin@example.org  Wed Sep 06 09:01 2023",
    b"From robin at example.org  Wed Sep  6 09:01:00 2023",
    b"From robin.reviewer at lists.example.org  Wed Sep 16 09:01:00 2023",
    b"From - Wed Sep  6 09:01:00 2023",
    b"From MAILER-DAEMON Wed Sep  6 09:01:00 2023",
    b"From patchwork Wed Sep  6 09:01:00 2023",
    b"From mboxrd@z Thu Jan  1 00:00:00 1970",
    b"From  Wed Sep  6 09:01:00 2023",
    b"From <> Wed Sep  6 09:01:00 2023",
    b'From "Robin Reviewer"@example.org Wed Sep  6 09:01:00 2023',
    b"From robin@example.org Wed Sep  6 09:01:00 CEST 2023",
    b"From robin@example.org Wed Sep  6 09:01:00 2023 +0200",
    b"From 1775349832741343999@xxx Wed Sep 06 09:01:00 +0000 2023",
    b"From robin@example.org Wed, 6 Sep 2023 09:01:00 +0200",
    b"From robin Wed Sep  6 09:01:00 2023 remote from there",
    # A commit with the time of a mail; and the fixed time with the address of a mail.
    b"From 5d2a4e9bd9ab20a9a1b1c5d1c5a5a1f3c1a2b3c4 Wed Sep  6 09:01:00 2023",
    b"From robin@example.org Mon Sep 17 00:00:00 2001",
]
CONTENT = [
    b"From here on it is text",
    b"From the log of Wed Sep  6 09:01:00 2023",
    b"From robin@example.org",
    b"From Wed Sep  6 09:01:00 2023",
    b"From robin@example.org Wed Sep  6 09:01:00 2023 it failed",
    b"From robin@example.org 2023-09-06 09:01:00",
    b"From: robin@example.org Wed Sep  6 09:01:00 2023",
    b"from robin@example.org Wed Sep  6 09:01:00 2023",
    b" From robin@example.org Wed Sep  6 09:01:00 2023",
    b">From robin@example.org Wed Sep  6 09:01:00 2023",
    b"From 5d2a4e9bd9ab20a9a1b1c5d1c5a5a1f3c1a2b3c4 Mon Sep 17 00:00:00 2001",
    b"From " + b"0123456789abcdef" * 4 + b" Mon Sep 17 00:00:00 2001",
    b"From " + b"r" * 1000 + b"@example.org Wed Sep  6 09:01:00 2023",
]


@pytest.mark.parametrize("line", FROM_LINES)
def test_a_sender_and_a_date_make_a_boundary(line: bytes, tmp_path: Path) -> None:
    assert is_separator(line)
    assert read_bytes(tmp_path, mboxrd([mail(1), mail(2)], line + b"\n")) == [mail(1), mail(2)]


@pytest.mark.parametrize("line", CONTENT)
def test_any_other_line_stays_content(line: bytes, tmp_path: Path) -> None:
    assert not is_separator(line)
    raw = mail(1, b"Text.\n\n" + line + b"\nSubject: no header\n\nMore.\n")
    content = FROM + raw + b"\n" + FROM + mail(2) + b"\n"
    unquoted = raw.replace(b"\n>From ", b"\nFrom ")
    assert read_bytes(tmp_path, content) == [unquoted, mail(2)]


MAIL_HEADER = b"Date: today\nMessage-ID: <%d@example.org>\nSubject: a\n"
# Separators of other programs, before each mail, and what stands between two mails.
FOREIGN = {
    "Thunderbird": (b"From \n", b"\n"),
    "Thunderbird with CR": (b"From \r\n", b"\r\n"),
    "a dash": (b"From -\n", b"\n"),
    "a dash and a date": (b"From - Mon Jan  5 11:00:00 2026\n", b"\n"),
    "Takeout of 2025": (b"From 1844347792267117879@xxx\n", b"\n"),
    "patchew": (b"From A\n", b"\n"),
    "an address": (b"From robin@example.org\n", b"\n"),
    "no sender": (b"From Mon Jan  5 11:00:00 2026\n", b"\n"),
    "a date of ISO 8601": (b"From robin@example.org 2026-01-05 11:00:00\n", b"\n"),
    "a date of RFC 5322 behind a name": (
        b"From Robin Reviewer <robin@example.org> 5 Jan 2026 11:00:00 +0000\n", b"\n",
    ),
    "a date with the year before the time": (b"From a 2026 Jan 5 11:00\n", b"\n"),
    "no blank line between": (FROM, b""),
}  # fmt: skip


@pytest.mark.parametrize(("line", "between"), FOREIGN.values(), ids=FOREIGN)
def test_the_separators_of_other_programs_are_known(
    line: bytes, between: bytes, tmp_path: Path
) -> None:
    raws = [MAIL_HEADER % number + b"\nText.\n" for number in range(3)]
    reader = archive_reader(tmp_path, b"".join(line + raw + between for raw in raws))
    assert [item.raw for item in reader] == raws
    assert list(reader.searched()) == [(3, [])]
    assert reader.warnings == []


@pytest.mark.parametrize(
    "line",
    [*FOREIGN, "From the archive of 2025:\n", "From what I saw\n", "From there.\n"],
)
@pytest.mark.parametrize(
    "behind",
    [
        b"\nIt fails.\n",
        b"Subject: a subject alone\n\n",
        b"Note: a\nMore: b\n\n",
        b"Date: a\nhello\n",
    ],
    ids=["blank line", "one field", "fields of no mail", "no blank line behind"],
)
def test_a_line_of_a_text_needs_the_header_of_a_mail_behind_it_to_separate(
    line: str, behind: bytes, tmp_path: Path
) -> None:
    separator = FOREIGN[line][0] if line in FOREIGN else line.encode()
    if separator in (FROM, b"From - Mon Jan  5 11:00:00 2026\n") and b": " in behind:
        return  # With a sender and a date one field is enough.
    raw = mail(1, b"Text.\n\n" + separator + behind)
    assert read_bytes(tmp_path, FROM + raw + b"\n" + FROM + mail(2) + b"\n") == [raw, mail(2)]


def test_prose_before_the_header_of_a_mail_does_not_separate(tmp_path: Path) -> None:
    for line in (b"From the archive of 2025:\n", b"From what I saw\n", b"From there:\n", COMMIT):
        raw = mail(1, b"Text.\n\n" + line + MAIL_HEADER % 2 + b"\nMore.\n")
        assert read_bytes(tmp_path, FROM + raw + b"\n" + FROM + mail(3) + b"\n") == [raw, mail(3)]


REQUEST = b"\nRecheck-request: a\n"
SWALLOWED = {
    "quoted separators": b">" + FROM,
    "separators of an unknown kind": b"From the server:\n",
    "bare separators without a blank line": None,
}


@pytest.mark.parametrize("first", [FROM, b""], ids=["mbox", "mail"])
@pytest.mark.parametrize("line", SWALLOWED.values(), ids=SWALLOWED)
def test_a_file_whose_later_mails_would_be_swallowed_is_warned_of(
    line: bytes | None, first: bytes, tmp_path: Path
) -> None:
    between = b"\n" + line if line else b"From \n"
    raws = [MAIL_HEADER % number + REQUEST for number in range(3)]
    reader = archive_reader(tmp_path, first + between.join(raws))
    assert [len(items) for _, items in reader.searched()] == [1]
    where = f"{tmp_path}/archive{':0' if first else ''}"
    assert reader.warnings == [f"{where}: {mbox._MORE}"]


def test_a_patch_below_a_request_is_no_further_mail(tmp_path: Path) -> None:
    patch = COMMIT + b"From: a\nDate: b\nSubject: [PATCH] c\n\nFix.\n"
    reader = archive_reader(tmp_path, FROM + mail(1, REQUEST + b"\n" + patch))
    assert [len(items) for _, items in reader.searched()] == [1]
    assert reader.warnings == []


def test_a_boundary_needs_a_blank_line_before_it(tmp_path: Path) -> None:
    raw = mail(1, b"Text.\n" + FROM + b"More.\n")
    assert read_bytes(tmp_path, FROM + raw + b"\n") == [raw]


def test_an_inlined_patch_stays_in_its_mail(tmp_path: Path) -> None:
    patch = COMMIT + b"From: Alex Author <alex@example.org>\nSubject: [PATCH] fix\n\nFix.\n"
    raw = mail(1, b"Try this:\n\n" + patch)
    assert read_bytes(tmp_path, FROM + raw + b"\n" + FROM + mail(2) + b"\n") == [raw, mail(2)]


def test_a_patch_as_git_writes_it_is_a_mail(tmp_path: Path) -> None:
    assert read_bytes(tmp_path, COMMIT + mail()) == [mail()]


BODIES = {
    "one line": (b"Hello.\n\n", b"Hello.\n"),
    "two blank lines at the end": (b"Hello.\n\n\n", b"Hello.\n\n"),
    "no body": (b"\n", b""),
    "quoted": (b">From a\n>>From b\n>>>From c\n\n", b"From a\n>From b\n>>From c\n"),
    "quoted, but not From_": (b">From\n>from a\n> From a\n>Fromage \n\n",) * 2,
    "quoted in the middle of a line": (b"x >From a\n\n", b"x >From a\n"),
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("last", [False, True], ids=["followed", "last"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_a_body_is_given_back_as_it_was_sent(
    name: str, last: bool, end: bytes, tmp_path: Path
) -> None:
    stored, sent = BODIES[name]
    if stored == sent:
        sent = sent[:-1]
    header = b"From: robin@example.org\n\n"
    content = FROM + header + stored + (b"" if last else FROM + mail(2) + b"\n")
    expected = [header + sent] + ([] if last else [mail(2)])
    found = read_bytes(tmp_path, content.replace(b"\n", end))
    assert found == [raw.replace(b"\n", end) for raw in expected]


ENDS = {
    "no blank line at the end": (FROM + mail(1), [mail(1)]),
    "no newline at the end": (FROM + mail(1, b"Hello."), [mail(1, b"Hello.")]),
    "cut in the header": (FROM + mail(1) + b"\n" + FROM + b"Subj", [mail(1), b"Subj"]),
    "cut in the From_ line's date": (FROM + mail(1) + b"\n" + FROM[:30], None),
    "ends with a From_ line": (FROM + mail(1) + b"\n" + FROM, [mail(1), b""]),
    "ends with a From_ line without newline": (FROM + mail(1) + b"\n" + FROM[:-1], [mail(1), b""]),
    "From_ line only": (FROM, [b""]),
    "From_ line only, without newline": (FROM[:-1], [b""]),
    "what is no header between two mails": (
        FROM + b"\n" + FROM + b"\n" + FROM + mail(1) + b"\n",
        [b"\n" + FROM, mail(1)],
    ),
    "header only": (FROM + b"From: a\n\n" + FROM + b"From: b\n", [b"From: a\n", b"From: b\n"]),
    "blank lines first": (b"\n\r\n\n" + mboxrd([mail(1), mail(2)]), [mail(1), mail(2)]),
    "From_ line of its own kind first": (b"From robin\n" + mail(1), [mail(1)]),
}


@pytest.mark.parametrize("name", ENDS)
def test_odd_beginnings_and_ends_lose_no_mail(name: str, tmp_path: Path) -> None:
    content, expected = ENDS[name]
    if expected is None:  # what is no boundary yet belongs to the mail before
        expected = [content.removeprefix(FROM)]
    assert read_bytes(tmp_path, content) == expected


def with_length(length: object, body: bytes, name: bytes = b"Content-Length") -> bytes:
    return b"From: a@example.org\n%s: %s\n\n" % (name, str(length).encode()) + body


TRICKY = b"Text.\n\n" + FROM + b"A: b\n\n>From there\n"


@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("last", [False, True], ids=["followed", "last"])
@pytest.mark.parametrize("blank", [b"", b"\n"], ids=["no blank line after it", "blank line"])
def test_a_content_length_that_fits_decides(
    end: bytes, last: bool, blank: bytes, tmp_path: Path
) -> None:
    body = TRICKY.replace(b"\n", end)
    rest = b"" if last else FROM + mail(2) + b"\n"
    raw = with_length(len(body), TRICKY)
    content = (FROM + raw + blank + rest).replace(b"\n", end)
    expected = [raw, *([] if last else [mail(2)])]
    assert read_bytes(tmp_path, content) == [raw.replace(b"\n", end) for raw in expected]


def test_a_content_length_that_fits_decides_in_a_body_without_newline(tmp_path: Path) -> None:
    raw = with_length(5, b"Text.")
    assert read_bytes(tmp_path, FROM + raw + b"\n" + FROM + mail(2)) == [raw, mail(2)]


WRONG_LENGTHS = [0, 1, 6, 8, len(TRICKY) - 1, len(TRICKY) + 3, 10**6, 10**11, 10**30, -7, "", "x"]


@pytest.mark.parametrize("length", WRONG_LENGTHS)
def test_a_content_length_that_does_not_fit_is_ignored(length: object, tmp_path: Path) -> None:
    raw = with_length(length, b"Text.\n\n>From there\n")
    content = FROM + raw + b"\n" + FROM + mail(2) + b"\n"
    assert read_bytes(tmp_path, content) == [raw.replace(b">From", b"From"), mail(2)]


def test_a_content_length_does_not_split_a_line(tmp_path: Path) -> None:
    raw = with_length(4, b"See " + FROM)
    assert read_bytes(tmp_path, FROM + raw + b"\n" + FROM + mail(2)) == [raw, mail(2)]


def test_a_content_length_above_the_limit_is_not_looked_after() -> None:
    content = FROM + with_length(10**6, b"Text.\n") + b"\n" + FROM + mail(2)
    ((found,), _) = spans(content, False, 10**6 - 1)
    assert content[found[3] :] == FROM + mail(2)
    assert spans(content, False, 10**6)[0] == []


def test_a_content_length_in_the_body_is_text(tmp_path: Path) -> None:
    second = FROM + mail(2) + b"\n"
    raw = mail(1, b"Content-Length: %d\n\nHello.\n" % (len(b"Hello.\n\n") + len(second)))
    assert read_bytes(tmp_path, FROM + raw + b"\n" + second) == [raw, mail(2)]


def test_pipermails_text_archive(tmp_path: Path) -> None:
    def archived(number: int) -> bytes:
        return (
            b"From: robin at example.org (Robin Reviewer)\n"
            b"Date: Wed, 6 Sep 2023 09:01:00 +0000\n"
            b"Subject: [dev] mail %d\n"
            b"Message-ID: <%d@example.org>\n\n"
            b"Hello.\n-- \nRobin\n\n" % (number, number)
        )

    line = b"From robin at example.org  Wed Sep  6 09:01:00 2023\n"
    content = gzip.compress(b"".join(line + archived(n) + b"\n" for n in range(3)))
    assert read_bytes(tmp_path, content) == [archived(n) for n in range(3)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_a_boundary_is_found_wherever_the_pieces_of_a_large_file_meet(
    end: bytes, tmp_path: Path
) -> None:
    for shift in range(-80, 20):
        length = mbox_pieces.PIECE + shift - len(FROM + mail(1, b"") + b"\n" * 2)
        expected = [mail(1, b"x" * length + b"\n"), mail(2), mail(3, b"y" * 400_000), mail(4)]
        expected = [raw.replace(b"\n", end) for raw in expected]
        line = FROM.replace(b"\n", end)
        content = b"".join(line + raw + end for raw in expected[:2])
        content += line + expected[2] + end * 2 + line + expected[3] + end
        expected[2] += end
        assert read_bytes(tmp_path, content) == expected


def test_a_mail_with_content_length_may_be_longer_than_a_piece(tmp_path: Path) -> None:
    raws = [with_length(n * len(TRICKY), TRICKY * n) for n in (1, 3000, 2, 5000)]
    assert read_bytes(tmp_path, b"".join(FROM + raw + b"\n" for raw in raws)) == raws


# --- properties ---

LINE = st.one_of(
    st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"").replace(b"\r", b"")),
    st.sampled_from([b"", b"", b"From ", b">From x", b"From a b", b">>From ", COMMIT[:-1], b">"]),
    st.sampled_from([FROM[:-1], b">" + FROM[:-1], b"Content-Length: 7", b"From: x"]),
)
MAILS = st.lists(
    st.lists(LINE, max_size=8).map(lambda lines: mail(1, b"".join(line + b"\n" for line in lines))),
    min_size=1,
    max_size=8,
)
ANY_BYTES = st.lists(
    st.one_of(
        st.binary(max_size=8),
        st.sampled_from([b"\n", b"\n", b"\r\n", b"\n\n", FROM, b"\n\n" + FROM, COMMIT, b"From "]),
        st.sampled_from([b"\n\n" + FROM[:-1], b" it failed\n"]),
        st.sampled_from([b"From: x\n", b"Content-Length: ", b"7", b"70\n", b">From "]),
    ),
    max_size=40,
).map(b"".join)


@given(raws=MAILS, end=st.sampled_from([b"\n", b"\r\n"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@pytest.mark.slow
def test_what_a_writer_quotes_is_read_back(
    raws: list[bytes], end: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "written.mbox"
    path.write_bytes(mboxrd(raws).replace(b"\n", end))
    assert read(path) == [raw.replace(b"\n", end) for raw in raws]


@given(raws=MAILS)
@settings(deadline=None)
def test_the_standard_library_finds_the_same_mails_in_a_quoted_mbox(
    raws: list[bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "same.mbox"
    path.write_bytes(mboxrd(raws))
    box = mailbox.mbox(path, create=False)
    stored = [box.get_bytes(key) for key in box.keys()]  # noqa: SIM118
    box.close()
    assert [item.stored for item in Reader(str(path))] == stored


@given(content=ANY_BYTES.map(lambda rest: FROM + rest))
def test_the_mails_of_any_mbox_follow_each_other_without_a_gap(content: bytes) -> None:
    found, _ = spans(content, True, 1000)
    assert found[0][0] == 0
    for (*_, following, _), (line, *_) in itertools.pairwise(found):
        assert following == line
    for line, start, end, following, _ in found:
        assert line < start <= end <= following
        assert content[end:following].strip(b"\r\n") == b""
    assert found[-1][3] == len(content)


@given(content=ANY_BYTES.map(lambda rest: FROM + rest), data=st.data())
def test_what_is_found_in_a_part_of_an_mbox_is_found_in_the_whole(
    content: bytes, data: st.DataObject
) -> None:
    whole, _ = spans(content, True, 1000)
    cut = data.draw(st.integers(0, len(content)))
    found, _ = spans(content[:cut], False, 1000)
    assert found == whole[: len(found)]
