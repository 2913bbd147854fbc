# SPDX-License-Identifier: BSD-3-Clause
"""Raw bytes to a Mail: the text that Patchwork would store, who wrote it, and what it is."""

import base64
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.errors import Unreadable
from ingest.mail import recheck
from ingest.mail.message import Mail, cover_number, parse
from ingest.mail.prefilter import may_hold_request
from ingest.policy import selection
from tests.support.places import RECORDED, ROOT

# Decoding unicode_escape warns of backslashes that escape nothing.
pytestmark = pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")

HEAD = (
    b"From: Robin Reviewer <robin@example.org>\n"
    b"Subject: Re: [PATCH] a\n"
    b"Message-ID: <2@example.org>\n"
    b"In-Reply-To: <1@example.org>\n"
)
R = "Recheck-request: a"


def text_of(raw: bytes) -> str:
    return parse(HEAD + raw).text


def part(body: bytes, *lines: bytes) -> bytes:
    return b"".join(line + b"\n" for line in lines) + b"\n" + body


def plain(body: bytes, charset: bytes = b"utf-8", *lines: bytes) -> bytes:
    return part(body, b"Content-Type: text/plain; charset=" + charset, *lines)


def attached(body: bytes) -> bytes:
    return plain(body, b"utf-8", b"Content-Disposition: attachment; filename=a.txt")


def multipart(*parts: bytes, kind: bytes = b"mixed", mark: bytes = b"q") -> bytes:
    begin = b"Content-Type: multipart/" + kind + b"; boundary=" + mark + b"\n\n"
    middle = b"".join(b"--" + mark + b"\n" + each + b"\n" for each in parts)
    return begin + middle + b"--" + mark + b"--\n"


def forwarded(body: bytes) -> bytes:
    return part(part(body, b"Subject: forwarded"), b"Content-Type: message/rfc822")


def q(text: str) -> bytes:
    """Quoted-printable with nothing left readable."""
    return b"".join(b"=%02X" % each for each in text.encode())


TEXTS: dict[str, tuple[bytes, str]] = {
    # cut and joined as Patchwork does
    "plain": (b"\nhello\n", "hello"),
    "no body": (b"", ""),
    "an empty body": (b"\n", ""),
    "no end of line": (b"\nhello", "hello"),
    "blank lines around it": (b"\n\n\n  hello\nworld \n\n", "hello\nworld"),
    "CRLF": (b"\r\nhello\r\n\r\nworld\r\n", "hello\n\nworld"),
    "a lone CR stays": (b"\na\rb\n", "a\rb"),
    "a signature": (b"\nhello\n-- \nRobin\nRecheck-request: b\n", "hello"),
    "CRLF of the sender's own hides a signature, as from Patchwork": (
        part(b"hello=0D=0A-- =0D=0ARobin", b"Content-Transfer-Encoding: quoted-printable"),
        "hello\n-- \nRobin",
    ),
    "a list's footer": (b"\nhello\n_____\nlist@example.org\n", "hello"),
    "one underscore is a footer": (b"\nhello\n_\nfooter\n", "hello"),
    "a footer of underscores and more is none": (b"\nhello\n___ x\nmore\n", "hello\n___ x\nmore"),
    "a signature without its blank is none": (b"\nhello\n--\nRobin\n", "hello\n--\nRobin"),
    "a quoted signature is none": (b"\nhello\n> -- \n> Robin\n", "hello\n> -- \n> Robin"),
    "a signature alone": (b"\n-- \nRobin\n", ""),
    "a signature at the very end": (b"\nhello\n-- ", "hello\n--"),
    "nothing but underscores": (b"\n_____\nfooter\n", ""),
    "NULs": (b"\nRecheck\0-request: a\0\n", R),
    "blank lines before a NUL stay": (b"\na\n\n\0\n", "a\n\n"),
    # parts
    "several parts": (multipart(plain(b"one"), plain(b"two\n\n")), "one\ntwo"),
    "an empty part between": (multipart(plain(b"one"), plain(b""), plain(b"two")), "one\ntwo"),
    "the first part's signature ends it all": (
        multipart(plain(b"one\n-- \nRobin\n"), plain(b"two")), "one",
    ),
    "a list's footer as a part": (
        multipart(plain(b"one"), plain(b"_____\nlist@example.org\n")), "one",
    ),
    "parts that are no text": (
        multipart(part(b"x", b"Content-Type: image/png"), plain(b"one")), "one",
    ),
    "HTML beside it": (
        multipart(plain(b"one"), part(b"<p>one", b"Content-Type: text/html"), kind=b"alternative"),
        "one",
    ),
    "HTML before it": (
        multipart(part(b"<p>one", b"Content-Type: text/html"), plain(b"one"), kind=b"alternative"),
        "one",
    ),
    "a part without a type is plain": (multipart(part(b"one")), "one"),
    "a part with a nonsense type is plain": (
        multipart(part(b"one", b"Content-Type: nonsense")), "one",
    ),
    "parts in parts": (
        multipart(multipart(plain(b"one"), kind=b"alternative", mark=b"r"), plain(b"two")),
        "one\ntwo",
    ),
    "preamble and epilogue": (
        multipart(plain(b"one")).replace(b"\n\n", b"\n\npreamble\n", 1) + b"epilogue\n", "one",
    ),
    "named, and still inline": (
        multipart(plain(b"one", b"utf-8; name=a.txt", b"Content-Disposition: inline")), "one",
    ),
    "an attachment beside a text": (multipart(plain(b"one"), attached(b"two")), "one"),
    "an attachment before a text": (multipart(attached(b"two"), plain(b"one")), "one"),
    "an attachment is the only text": (multipart(attached(b"two")), "two"),
    "the whole mail is an attachment": (attached(b"one"), "one"),
    "an attachment beside HTML": (
        multipart(part(b"<p>", b"Content-Type: text/html"), attached(b"two")), "two",
    ),
    "an attachment before a list's footer": (
        multipart(attached(b"two"), plain(b"_____\nlist footer")), "two",
    ),
    "an attachment behind a list's footer": (
        multipart(plain(b"-- \nlist footer"), attached(b"two")), "two",
    ),
    "an attachment beside a text and a list's footer": (
        multipart(plain(b"one"), attached(b"two"), plain(b"_____\nlist footer")), "one",
    ),
    "two attachments beside an empty text": (
        multipart(plain(b"\n"), attached(b"one"), attached(b"two")), "one\ntwo",
    ),
    "a footer alone": (multipart(plain(b"_____\nlist footer")), ""),
    "an attachment in capitals": (
        multipart(plain(b"one"), plain(b"two", b"utf-8", b"Content-Disposition: ATTACHMENT")),
        "one",
    ),
    "a forwarded mail": (multipart(plain(b"one"), forwarded(b"Recheck-request: b")), "one"),
    "a forwarded mail alone": (multipart(forwarded(b"Recheck-request: b")), ""),
    "a forwarded mail in parts": (
        multipart(
            part(multipart(plain(b"b"), mark=b"r"), b"Content-Type: message/rfc822"), plain(b"one")
        ),
        "one",
    ),
    "a digest": (multipart(part(part(b"two", b"Subject: b")), kind=b"digest"), ""),
    "a partial mail": (part(b"Subject: b\n\ntwo", b"Content-Type: message/partial"), ""),
    "the whole mail is a forwarded one": (forwarded(b"two"), ""),
    "text behind a forwarded mail": (multipart(forwarded(b"two"), plain(b"one")), "one"),
    "a delivery status": (
        multipart(
            plain(b"one"), part(b"Action: failed\n\nb\n", b"Content-Type: message/delivery-status")
        ),
        "one",
    ),
    # broken MIME
    "no end boundary": (multipart(plain(b"one"), plain(b"two"))[: -len(b"\n--q--\n")], "one\ntwo"),
    "no boundary in the text": (part(b"one", b"Content-Type: multipart/mixed; boundary=q"), ""),
    "no boundary in the header": (part(b"--q\n\none", b"Content-Type: multipart/mixed"), ""),
    "an empty boundary": (multipart(part(b"one"), mark=b""), "one"),
    "no part at all": (multipart(), ""),
    "a piece's number of thousands of digits": (
        part(b"one", b"Content-Type: multipart/mixed; a=b; x*" + b"9" * 5000 + b"=b"), "",
    ),
    "a boundary within a forwarded mail": (
        multipart(
            part(part(b"x", b"Content-Type: multipart/mixed; boundary=z"),
                 b"Content-Type: message/rfc822"),
            plain(b"one"),
        ),
        "one",
    ),
    "a header without a blank line": (b"hello\n", "hello"),
    # charsets
    "UTF-8": (plain("ü – 試".encode()), "ü – 試"),
    "latin-1": (plain(b"\xfc", b"iso-8859-1"), "ü"),
    "capitals and quotes": (plain(b"\xfc", b'"ISO-8859-1"'), "ü"),
    "UTF-16": (plain(R.encode("utf-16"), b"utf-16"), R),
    "UTF-16 without a mark": (plain(R.encode("utf-16-le"), b"utf-16-le"), R),
    "UTF-32": (plain(R.encode("utf-32"), b"utf-32"), R),
    "UTF-7": (plain(b"+AFI-echeck-request: a", b"utf-7"), R),
    "EBCDIC": (plain(R.encode("cp037"), b"cp037"), R),
    "ISO-2022-JP": (plain("試験".encode("iso-2022-jp"), b"iso-2022-jp"), "試験"),
    "a mark at the beginning stays": (plain(b"\xef\xbb\xbfa"), "\ufeffa"),
    "none, UTF-8": (part("ü".encode()), "ü"),
    "none, windows-1252": (part(b"\x96 \xfc"), "– ü"),
    "none, neither": (part(b"\x81 \xfc"), "\x81 ü"),
    "us-ascii and yet 8 bits": (plain(b"a\xfcb", b"us-ascii"), "a\ufffdb"),
    "UTF-8 and yet not": (plain(b"a\xfcb"), "a\ufffdb"),
    "unknown": (plain("ü".encode(), b"x-nonsense"), "ü"),
    "unknown, and not UTF-8": (plain(b"\xfc", b"unknown-8bit"), "ü"),
    "no charset of text": (plain(b"a\xc3\xbc", b"rot13"), "aü"),
    "one that replaces nothing": (plain(b"a\xc3\xbc", b"idna"), "aü"),
    "one that always fails": (plain(b"a\xc3\xbc", b"undefined"), "aü"),
    "one that is slow": (plain(b"Bcher-kva", b"punycode"), "Bcher-kva"),
    "empty": (plain("ü".encode(), b""), "ü"),
    "with a NUL": (plain("ü".encode(), b'"\0"'), "ü"),
    "UTF-8 and a NUL": (plain("ü".encode(), b"utf-8\0"), "ü"),
    "with letters of its own": (plain("ü".encode(), b"\xff"), "ü"),
    "in RFC 2231": (part(b"\xfc", b"Content-Type: text/plain; charset*=''iso-8859-1"), "ü"),
    "in pieces": (
        part(b"\xfc", b"Content-Type: text/plain; charset*0=iso-; charset*1=8859-1"), "ü",
    ),
    "in RFC 2231, with lies": (
        part("ü".encode(), b"Content-Type: text/plain; charset*=\0''utf-8; charset*1=b"), "ü",
    ),
    "in pieces that make no sense": (
        part("ü".encode(), b"Content-Type: text/plain; charset*=a; charset*0=b"), "ü",
    ),
    "halves of surrogate pairs": (plain(b"a+2AA-b", b"utf-7"), "a?b"),
    "halves of surrogate pairs, escaped": (plain(rb"a\ud800b", b"unicode_escape"), "a?b"),
    # transfer encodings
    "quoted-printable": (part(q(R), b"Content-Transfer-Encoding: quoted-printable"), R),
    "quoted-printable, soft ends": (
        part(b"Rech=\neck=2Drequest: a", b"Content-Transfer-Encoding: quoted-printable"), R,
    ),
    "quoted-printable, broken": (
        part(b"=ZZ =", b"Content-Transfer-Encoding: quoted-printable"), "=ZZ",
    ),
    "base64": (part(base64.b64encode(R.encode()), b"Content-Transfer-Encoding: base64"), R),
    "base64 in lines": (
        part(base64.encodebytes(b"x\n" * 99), b"Content-Transfer-Encoding: BASE64"),
        "\n".join("x" * 99),
    ),
    "base64 of CRLF": (
        part(base64.b64encode(b"a,\r\nb\r\n"), b"Content-Transfer-Encoding: base64"), "a,\nb",
    ),
    "base64 without its padding": (
        part(b"UmVjaGVjay1yZXF1ZXN0OiBh", b"Content-Transfer-Encoding: base64"), R,
    ),
    "base64 with junk in it": (
        part(b"UmVj!aGVj\xffay1yZXF1ZXN0OiBh", b"Content-Transfer-Encoding: base64"), R,
    ),
    "base64 that is one letter too long": (
        part(b"UmVja", b"Content-Transfer-Encoding: base64"), "UmVja",
    ),
    "uuencode": (
        part(b"begin 644 a\n#:&D*\n`\nend\n", b"Content-Transfer-Encoding: x-uuencode"), "hi",
    ),
    "uuencode that is none": (part(b"hello", b"Content-Transfer-Encoding: uuencode"), "hello"),
    "an unknown encoding": (part(b"hello", b"Content-Transfer-Encoding: nonsense"), "hello"),
    "an encoding with a NUL": (part(b"hello", b"Content-Transfer-Encoding: base64\0"), "hello"),
    "8bit": (plain("ü".encode(), b"utf-8", b"Content-Transfer-Encoding: 8bit"), "ü"),
}  # fmt: skip


@pytest.mark.parametrize(("raw", "text"), TEXTS.values(), ids=TEXTS)
def test_the_text(raw: bytes, text: str) -> None:
    assert text_of(raw) == text


WRAPPED = (
    b"From: Robin Reviewer via dev <DEV@dpdk.org>\n"
    b"Subject: [dev] Re: [PATCH] a\n"
    b"Date: Thu, 7 Sep 2023 09:00:00 +0000\n"
    b"Message-ID: <outer@example.org>\n"
    b"In-Reply-To: <0@example.org>\n"
    b"List-Id: DPDK <dev.dpdk.org>\n"
)
INNER = (
    b"From: Robin Reviewer <robin@example.org>\n"
    b"Subject: Re: [PATCH] a\n"
    b"Date: Wed, 6 Sep 2023 09:00:00 +0000\n"
    b"Message-ID: <inner@example.org>\n"
    b"References: <1@example.org> <2@example.org>\n"
    b"List-Id: <other.dpdk.org>\n"
)
CARRIED = part(INNER + plain(R.encode()), b"Content-Type: message/rfc822")
FOOTER = plain(b"_____\nlist footer")


@pytest.mark.parametrize(
    "rest", [CARRIED, multipart(CARRIED), multipart(CARRIED, FOOTER)], ids=["", "part", "footer"]
)
def test_a_mail_that_its_list_wrapped_whole_is_read_as_the_mail_within(rest: bytes) -> None:
    read = parse(WRAPPED + rest)
    assert (read.text, read.sender) == (R, "Robin Reviewer <robin@example.org>")
    assert read.address == "robin@example.org"
    assert read.candidates == ("2@example.org", "1@example.org")
    assert read.date == utc(2023, 9, 6, 9)
    assert read.subject == "Re: [PATCH] a"
    assert (read.message_id, read.list_id) == ("outer@example.org", "dev.dpdk.org")


WRAPPED_HEADS: dict[str, tuple[bytes, bytes, Callable[[Mail], bool]]] = {
    "references outside only": (b"", INNER.replace(b"References", b"X"),
        lambda read: read.candidates == ("0@example.org",)),
    "automatic within": (b"", INNER + b"Auto-Submitted: auto-replied\n",
        lambda read: read.auto_submitted == "auto-replied"),
    "automatic outside": (b"Auto-Submitted: auto-generated\n", INNER,
        lambda read: read.auto_submitted == "auto-generated"),
    "a hint within": (b"", INNER + b"X-Patchwork-Hint: ignore\n",
        lambda read: read.hint == "ignore"),
    "a bounce": (b"Return-Path: <>\n", INNER, lambda read: read.null_sender),
}  # fmt: skip


@pytest.mark.parametrize(("outside", "within", "holds"), WRAPPED_HEADS.values(), ids=WRAPPED_HEADS)
def test_of_a_wrapped_mail_either_header_may_say_it(
    outside: bytes, within: bytes, holds: Callable[[Mail], bool]
) -> None:
    inner = part(within + plain(R.encode()), b"Content-Type: message/rfc822")
    assert holds(parse(WRAPPED + outside + inner))


@pytest.mark.parametrize(
    "raw",
    [
        WRAPPED.replace(b"DEV@dpdk.org", b"robin@example.org") + CARRIED,
        WRAPPED.replace(b"List-Id", b"X") + CARRIED,
        WRAPPED + multipart(CARRIED, CARRIED),
        WRAPPED + multipart(plain(b"See below."), CARRIED),
        WRAPPED + multipart(CARRIED, part(b"", b"Content-Type: image/png")),
        WRAPPED + multipart(CARRIED, FOOTER, kind=b"report"),
    ],
    ids=["of a person", "no list", "two", "beside a text", "beside an image", "a report"],
)
def test_a_mail_that_somebody_forwarded_is_not_read_as_the_senders_words(raw: bytes) -> None:
    assert R not in parse(raw).text


def test_a_mail_that_came_by_smtp_reads_as_the_same_mail_by_pipe() -> None:
    piped = HEAD + b"\nhello\n\nRecheck-request: a,\nb\n-- \nRobin\nRecheck-request: c\n"
    assert parse(piped.replace(b"\n", b"\r\n")) == parse(piped)
    assert parse(piped).text == "hello\n\nRecheck-request: a,\nb"


RECORDED_COMMENTS = [
    comment
    for name in ("patch-comments.json", "cover-comments.json")
    for comment in json.loads((RECORDED / name).read_text())["body"]
]


def mbox(name: str) -> list[bytes]:
    """The mails of a recorded mbox."""
    pieces = re.split(rb"(?m)^From ci-bounces@.*\n", (RECORDED / name).read_bytes())
    return [piece for piece in pieces if piece]


@pytest.mark.parametrize("comment", RECORDED_COMMENTS, ids=lambda comment: comment["msgid"])
def test_a_recorded_comment_is_what_patchwork_stored(comment: dict[str, str]) -> None:
    (read,) = [
        read
        for raw in mbox("replies.mbox")
        if f"<{(read := parse(raw)).message_id}>" == comment["msgid"]
    ]
    assert read.text == comment["content"]
    assert read.subject == comment["subject"]
    assert read.date == datetime.fromisoformat(comment["date"]).replace(tzinfo=UTC)
    assert read.submission == ""


@pytest.mark.parametrize(
    ("name", "submissions"),
    [
        ("patch.mbox", ["patch"]),
        ("series.mbox", ["cover letter", "patch", "patch"]),
        ("replies.mbox", ["", "", ""]),
    ],
)
def test_recorded_submissions_are_seen(name: str, submissions: list[str]) -> None:
    assert [parse(raw).submission for raw in mbox(name)] == submissions


GIT_DIFF = b"""diff --git a/a.c b/a.c
index 0000001..0000002 100644
--- a/a.c
+++ b/a.c
@@ -1 +1,2 @@
 int a;
+int b;
"""
PATCH = b"Fix it.\n\n" + R.encode() + b"\n\nSigned-off-by: a\n---\n a.c | 1 +\n\n" + GIT_DIFF
PULL = b"""The following changes since commit 0123456789abcdef:

  Merge (2023-09-06)

are available in the Git repository at:

  https://git.example.org/a.git main
"""

# Subject, the rest of the mail, what it is (Patchwork's parser.py, parse_mail and parse_patch).
SUBMISSIONS: dict[str, tuple[bytes, bytes, str]] = {
    "a patch": (b"[PATCH] a", b"\n" + PATCH, "patch"),
    "a patch sent as a reply": (b"[PATCH v2] a", b"References: <0@x>\n\n" + PATCH, "patch"),
    "a patch with CRLF": (b"[PATCH] a", (b"\n" + PATCH).replace(b"\n", b"\r\n"), "patch"),
    "a patch without a tag": (b"a", b"\n" + PATCH, "patch"),
    "a patch without a subject": (b"", b"\n" + PATCH, "patch"),
    "a forwarded patch": (b"Fwd: [PATCH] a", b"\n" + PATCH, "patch"),
    "a patch in base64": (
        b"[PATCH] a", b"Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(PATCH), "patch",
    ),
    "a patch as an attachment": (
        b"a", multipart(plain(b"see it"), part(PATCH, b"Content-Type: text/x-patch")), "patch",
    ),
    "a diff as an attachment": (
        b"a", multipart(plain(b"see it"), part(GIT_DIFF, b"Content-Type: text/x-diff")), "patch",
    ),
    "a patch as an attached text": (b"a", multipart(plain(b"see it"), attached(PATCH)), "patch"),
    "a patch in a forwarded mail": (
        b"Fwd: a", multipart(plain(b"see it"), forwarded(PATCH)), "patch",
    ),
    "a patch of another tool": (
        b"a", b"\n--- a.c 2023\n+++ b.c 2023\n@@ -1,2 +1,2 @@\n-a\n+b\n", "patch",
    ),
    "a diff of Subversion": (
        b"a", b"\nIndex: a.c\n=====\n--- a.c (r1)\n+++ a.c\n@@ -1 +1 @@\n-a\n+b\n", "patch",
    ),
    "a rename": (
        b"a",
        b"\ndiff --git a/a b/b\nsimilarity index 100%\nrename from a\nrename to b\n", "patch",
    ),
    "a change of mode": (b"a", b"\ndiff --git a/a b/a\nold mode 1\nnew mode 2\n", "patch"),
    "a binary": (b"a", b"\ndiff --git a/a b/a\nindex 1..2\nGIT binary patch\n", "patch"),
    "an extended header far behind": (
        b"a", b"\ndiff of opinion\n\ntext\ncopy from a\ncopy to b\n", "patch",
    ),
    "two old names": (b"a", b"\n--- a\n+++ b\n--- c\n", "patch"),
    "a pull request": (b"[GIT PULL] a", b"\n" + PULL, "patch"),
    "a cover letter": (b"[PATCH 0/3] a", b"\nThree fixes.\n", "cover letter"),
    "a cover letter, padded": (b"[PATCH v2 00/12] a", b"\nFixes.\n", "cover letter"),
    "a cover letter sent as a reply": (
        b"[PATCH v2 0/3] a", b"References: <0@x>\n\nThree fixes.\n", "cover letter",
    ),
    "a cover letter of Mercurial": (b"[PATCH 0 of 3] a", b"\nThree fixes.\n", "cover letter"),
    "a forwarded cover letter": (b"Fwd: [PATCH 0/3] a", b"\nThree fixes.\n", "cover letter"),
    "an encoded subject": (b"=?utf-8?q?=5BPATCH_0/3=5D_=C3=BC?=", b"\nThree.\n", "cover letter"),
    "a cover letter that is a patch": (b"[PATCH 0/1] a", b"\n" + PATCH, "patch"),
    "a reply": (b"Re: [PATCH] a", b"\nThanks.\n", ""),
    "a reply with a diff": (b"Re: [PATCH] a", b"\n" + PATCH, ""),
    "a reply with an attached patch": (
        b"Re: a", multipart(plain(b"see it"), part(PATCH, b"Content-Type: text/x-patch")), "",
    ),
    "a reply to a cover letter": (b"Re: [PATCH 0/3] a", b"\nThanks.\n", ""),
    "a reply in capitals": (b"RE: [PATCH 0/3] a", b"\nThanks.\n", ""),
    "a reply without a colon": (b"re [PATCH 0/3] a", b"\nThanks.\n", ""),
    "an encoded reply": (b"=?utf-8?q?Re:_=5BPATCH_0/3=5D_=C3=BC?=", b"\n" + PATCH, ""),
    "a reply with a pull request": (b"Re: [GIT PULL] a", b"\n" + PULL, ""),
    "a quoted diff": (
        b"a", b"\n" + re.sub(rb"(?m)^", b"> ", PATCH) + b"\nThanks.\n", "",
    ),
    "an indented diff": (b"a", b"\n" + re.sub(rb"(?m)^", b" ", PATCH) + b"\nThanks.\n", ""),
    "a diff of words": (b"a", b"\ndiff is what I looked at\nindex of things\nand so on\n", ""),
    "old and new name alone": (b"a", b"\n--- a\n+++ b\ntext\n", ""),
    "a hunk alone": (b"a", b"\n@@ -1 +1 @@\n-a\n+b\n", ""),
    "half a pull request": (b"a", b"\nThe following changes since commit 1:\n", ""),
    "a patch that is HTML": (b"a", part(PATCH, b"Content-Type: text/html"), ""),
    "a number in the text": (b"a [0/3]", b"\nhello\n", ""),
    "a number in the thousands": (b"[PATCH 10/30] a", b"\nhello\n", ""),
    "words": (b"Build results", b"\nhello\n", ""),
}  # fmt: skip


@pytest.mark.parametrize(("subject", "rest", "what"), SUBMISSIONS.values(), ids=SUBMISSIONS)
def test_what_patchwork_would_make_of_it(subject: bytes, rest: bytes, what: str) -> None:
    raw = b"From: a@x\nIn-Reply-To: <1@x>\nSubject: " + subject + b"\n" + rest
    assert parse(raw).submission == what


@pytest.mark.parametrize(
    ("subject", "is_cover"),
    [
        ("[PATCH 0/3] a", True),
        ("Re: [PATCH 0/3] a", True),
        ("Re: Fwd: [PATCH 0/3] a", True),
        ("[ci] [PATCH v3 00/03] a", True),
        ("[PATCH,v3,0/3] a", True),
        ("[PATCH0/3] a", True),
        ("[PATCH 0 of 3] a", True),
        ("[RFC PATCH 0/3]", True),
        ("[PATCH 0/99999999999999999999999] a", True),
        ("[PATCH " + "0" * 5000 + "/3] a", True),
        ("[PATCH " + "1" * 5000 + "/3] a", False),
        ("[PATCH " + "0" * 8000 + "] a", False),
        ("[PATCH 1/3] a", False),
        ("[PATCH 10/30] a", False),
        ("[PATCH 3/0] a", False),
        ("[PATCH 1/3] [0/3] a", False),
        ("[PATCH 0/3x] a", False),
        ("[PATCH 0/] a", False),
        ("[PATCH] 0/3", False),
        ("a [PATCH 0/3]", False),
        ("[PATCH 0/3", False),
        ("0/3", False),
        ("", False),
    ],
)
def test_a_cover_letter_by_its_number(subject: str, is_cover: bool) -> None:
    assert cover_number(subject) is is_cover


PEOPLE: dict[str, tuple[bytes, str, str]] = {
    "name and address": (b"Robin <robin@x>", "Robin <robin@x>", "robin@x"),
    "a quoted name": (b'"R, Robin" <robin@x>', "R, Robin <robin@x>", "robin@x"),
    "an address": (b"robin@x", "robin@x", "robin@x"),
    "a bracketed address": (b"<robin@x>", "robin@x", "robin@x"),
    "the name as a comment": (b"robin@x (Robin R)", "Robin R <robin@x>", "robin@x"),
    "pipermail": (b"robin at x (Robin R)", "Robin R <robin@x>", "robin@x"),
    "pipermail without a name": (b"robin at x", "robin@x", "robin@x"),
    "pipermail in brackets": (b"Robin <robin at x>", "Robin <robin at x>", ""),
    "folded": (b"Robin\n <robin@x>", "Robin <robin@x>", "robin@x"),
    "encoded": (b"=?utf-8?q?R=C3=B6bin?= <robin@x>", "Röbin <robin@x>", "robin@x"),
    "encoded twice": (b"=?utf-8?b?UsO2?= =?utf-8?q?bin?= <robin@x>", "Röbin <robin@x>", "robin@x"),
    "encoded in another charset": (b"=?iso-8859-1?q?R=F6bin?= <r@x>", "Röbin <r@x>", "r@x"),
    "encoded in an unknown charset": (b"=?x?q?R=F6?= <r@x>", "=?x?q?R=F6?= <r@x>", "r@x"),
    "UTF-8": ("Röbin <r@x>".encode(), "Röbin <r@x>", "r@x"),
    "undecodable": (b"R\xf6bin <r@x>", "R\\xf6bin <r@x>", "r@x"),
    "several": (b"a@x, b@x", "a@x", "a@x"),
    "given twice": (b"a@x\nFrom: b@x", "a@x", "a@x"),
    "a name only": (b"Robin", "Robin", ""),
    "nothing": (b"", "", ""),
}  # fmt: skip


@pytest.mark.parametrize(("value", "sender", "address"), PEOPLE.values(), ids=PEOPLE)
def test_who_wrote_it(value: bytes, sender: str, address: str) -> None:
    read = parse(b"From: " + value + b"\n\n")
    assert (read.sender, read.address) == (sender, address)


SUBJECTS: dict[str, tuple[bytes, str]] = {
    "plain": (b"Re: a", "Re: a"),
    "folded": (b"Re: a\n\tb", "Re: a b"),
    "encoded": (b"=?utf-8?b?UmU6IMO8?=", "Re: ü"),
    "encoded in two words": (b"=?utf-8?q?Re=3A?=\n =?utf-8?q?_a?=", "Re: a"),
    "encoded control characters": (b"=?utf-8?q?a=00=0A=1Bb?=", "a b"),
    "undecodable": (b"\xe4", "\\xe4"),
    "given twice": (b"a\nSubject: b", "a"),
    "none": (b"", ""),
    "half a surrogate pair": (b"=?unicode_escape?q?\\ud800?=", "=?unicode_escape?q?\\ud800?="),
}


@pytest.mark.parametrize(("value", "subject"), SUBJECTS.values(), ids=SUBJECTS)
def test_the_subject(value: bytes, subject: str) -> None:
    assert parse(b"SUBJECT: " + value + b"\n\n").subject == subject


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


NINE = utc(2023, 9, 6, 9, 1)
DATES: dict[str, tuple[bytes, datetime | None]] = {
    "usual": (b"Wed, 6 Sep 2023 09:01:00 +0000", NINE),
    "west": (b"Wed, 6 Sep 2023 02:01:00 -0700", NINE),
    "east": (b"Wed, 6 Sep 2023 14:31:00 +0530", NINE),
    "zone missing": (b"Wed, 6 Sep 2023 09:01:00", NINE),
    "zone unknown": (b"Wed, 6 Sep 2023 09:01:00 -0000", NINE),
    "zone by name": (b"Wed, 6 Sep 2023 02:01:00 PDT", NINE),
    "zone given twice": (b"Wed, 6 Sep 2023 09:01:00 +0000 (UTC)", NINE),
    "no weekday, no seconds": (b"6 Sep 2023 09:01 +0000", NINE),
    "the wrong weekday": (b"Mon, 6 Sep 2023 09:01:00 +0000", NINE),
    "a year of two digits": (b"6 Sep 23 09:01:00 +0000", NINE),
    "asctime": (b"Wed Sep  6 09:01:00 2023", NINE),
    "folded": (b"Wed, 6 Sep 2023\n 09:01:00 +0000", NINE),
    "a leap second": (b"6 Sep 2023 09:00:60 +0000", NINE),
    "before 1970": (b"1 Jan 1969 00:00:00 +0000", utc(1969, 1, 1)),
    "a day that is not": (b"31 Feb 2023 00:00:00 +0000", utc(2023, 3, 3)),
    "an hour that is not": (b"6 Sep 2023 33:01:00 +0000", utc(2023, 9, 7, 9, 1)),
    "given twice": (b"6 Sep 2023 09:01:00 +0000\nDate: 7 Sep 2023 09:01:00 +0000", NINE),
    "a huge year": (b"1 Jan 99999 00:00:00 +0000", None),
    "a larger year": (b"Wed, 4 Jun 207777777777777777777714 17:50:46 0", None),
    "a huge second": (b", 11 Sep 2016 23:22:904070804030804 +0100", None),
    "beyond what can be told in UTC": (b"31 Dec 9999 23:59:59 -2359", None),
    "thousands of digits": (b"1 Jan " + b"9" * 9999 + b" 00:00:00 +0000", None),
    "another form": (b"2023-09-06T09:01:00Z", None),
    "words": (b"yesterday", None),
    "digits outside ASCII": ("6 ٣ ٢٠٢٣ 09:01:00".encode(), None),
    "nothing": (b"", None),
}


@pytest.mark.parametrize(("value", "date"), DATES.values(), ids=DATES)
def test_the_date_in_utc(value: bytes, date: datetime | None) -> None:
    read = parse(b"Date: " + value + b"\n\n").date
    assert read == date
    assert read is None or read.tzinfo is UTC


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (b"", ""),
        (b"X-Patchwork-Hint: ignore\n", "it says X-Patchwork-Hint: ignore"),
        (b"x-patchwork-hint: IGNORE\n", "it says X-Patchwork-Hint: ignore"),
        (b"X-Patchwork-Hint: something\n", ""),
        (b"Auto-Submitted: no\n", ""),
        (b"Auto-Submitted: No; x=y\n", ""),
        (b"Auto-Submitted:\n", ""),
        (
            b"Auto-Submitted: auto-replied\n",
            "it is automatic mail (Auto-Submitted: auto-replied)",
        ),
        (
            b"auto-submitted: Auto-Generated (away); x=y\n",
            "it is automatic mail (Auto-Submitted: auto-generated (away))",
        ),
        (b"Return-Path: <>\n", "it is a bounce or a delivery report"),
        (b"Return-Path: <robin@example.org>\n", ""),
        (b"Return-Path:\n", ""),
        (b"Precedence: list\n", ""),
        (b"Precedence: bulk\n", ""),
    ],
)
def test_a_request_that_is_none_by_its_header(lines: bytes, reason: str) -> None:
    read = parse(lines + HEAD + b"\n" + R.encode())
    assert (selection.no_request(read), read.text) == (reason, R)


def test_a_report_is_a_bounce() -> None:
    read = parse(HEAD + multipart(plain(R.encode()), kind=b"report"))
    assert selection.no_request(read) == "it is a bounce or a delivery report"


@pytest.mark.parametrize(
    "raw",
    [
        b"Content-Type: text/html\n\n<p>" + R.encode(),
        multipart(part(b"x", b"Content-Type: image/png")),
        multipart(forwarded(R.encode())),
    ],
    ids=["HTML", "an image", "a forwarded mail"],
)
def test_mail_without_a_text_of_its_sender(raw: bytes) -> None:
    read = parse(HEAD + raw)
    assert selection.no_request(read) == "it has no text/plain part"


def test_ids_and_list_are_read() -> None:
    read = parse(
        b"From bounces@example.org Wed Sep  6 09:01:00 2023\n"
        b"References: <0@x> <1@x>\nin-reply-to: Robin's <1@x>\nList-ID: A <CI.example.org>\n"
        b"MESSAGE-ID:\n <2@x>\n\nhello\n"
    )
    assert (read.message_id, read.in_reply_to) == ("2@x", ("1@x",))
    assert (read.candidates, read.list_id, read.text) == (("1@x", "0@x"), "ci.example.org", "hello")


def nested(depth: int, kind: bytes) -> bytes:
    head = b"".join(
        b"Content-Type: " + kind + b"; boundary=%d\n\n" % n
        + (b"--%d\n" % n if kind.startswith(b"multipart") else b"")
        for n in range(depth)
    )  # fmt: skip
    return HEAD + head + b"\n" + R.encode()


TOO_DEEP = "its parts are nested too deeply"
TOO_MANY = "it has more than 1000 parts"
NO_SENSE = "the parameters of a multipart make no sense"


def lying(parameters: bytes) -> bytes:
    return part(R.encode(), b"Content-Type: multipart/mixed; " + parameters)


UNREADABLE: dict[str, tuple[bytes, str]] = {
    "31 parts in parts": (nested(31, b"multipart/mixed"), TOO_DEEP),
    "10,000 parts in parts": (nested(10_000, b"multipart/mixed"), TOO_DEEP),
    "10,000 mails in mails": (nested(10_000, b"message/rfc822"), TOO_DEEP),
    "parts in parts, and a million lines": (
        nested(20, b"multipart/mixed") + b"\n" * 1_000_000, TOO_DEEP,
    ),
    "1,001 parts": (HEAD + multipart(*[part(b"x")] * 1001), TOO_MANY),
    "three levels, and a million lines": (
        nested(3, b"multipart/mixed") + b"\n" * 1_000_000, TOO_DEEP,
    ),
    "100,000 parts": (HEAD + multipart(*[part(b"x")] * 100_000), TOO_MANY),
    "a boundary in a charset with a NUL": (lying(b"boundary*=\0''q"), NO_SENSE),
    "a boundary in a charset that fails": (lying(b"boundary*=undefined''q"), NO_SENSE),
    "a parameter in pieces and whole": (lying(b"boundary=q; x*=a; x*0=b"), NO_SENSE),
}  # fmt: skip


@pytest.mark.parametrize(("raw", "reason"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_refused_with_a_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(Unreadable) as raised:
        parse(raw)
    assert str(raised.value) == reason


@pytest.mark.parametrize("kind", [b"multipart/mixed", b"message/rfc822"])
def test_thirty_levels_can_be_read(kind: bytes) -> None:
    read = parse(nested(30, kind))
    assert read.text == (R if kind.startswith(b"multipart") else "")


@pytest.mark.slow
def test_two_levels_of_a_million_lines_can_be_read() -> None:
    assert parse(nested(2, b"multipart/mixed") + b"\n" * 1_000_000).text == R


def test_a_thousand_parts_can_be_read() -> None:
    assert parse(HEAD + multipart(*[part(b"x")] * 990)).text == "\n".join("x" * 990)


def test_a_long_content_type_is_cut_and_the_mail_read() -> None:
    lie = b"Content-Type: text/plain; charset=utf-8; x=" + b'";' * 500_000
    for line in (lie, b"X: y\r" + lie):
        assert text_of(line + b"\n\n" + R.encode()) == R


def test_undecodable_fields_are_not_reported_to_standard_error() -> None:
    code = "from ingest.mail.message import parse; parse(b'Subject: =?utf-8?b?a?=\\n\\n')"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    assert (ran.stdout, ran.stderr) == (b"", b"")


def assert_storable(raw: bytes) -> None:
    """A Mail of texts that a ledger can keep, or Unreadable; nothing else."""
    try:
        read = parse(raw)
    except Unreadable as refused:
        assert str(refused)
        return
    for field in fields(Mail):
        value = getattr(read, field.name)
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str):
                text.encode()
                assert "\0" not in text
                assert field.name == "text" or not {"\n", "\r"} & set(text)
    assert read.date is None or read.date.tzinfo is UTC
    selection.no_request(read)
    recheck.near_miss(read.text)
    if recheck.parse(read.text):
        assert may_hold_request(raw)


LOOKING_REAL = (
    *(HEAD + raw for raw, _ in TEXTS.values()),
    *(
        b"From: a@x\nSubject: " + subject + b"\n" + rest
        for subject, rest, _ in SUBMISSIONS.values()
    ),
    *(b"From: " + value + b"\n\n" + R.encode() for value, _, _ in PEOPLE.values()),
    *(b"Date: " + value + b"\n\n" + R.encode() for value, _ in DATES.values()),
    *(mbox("replies.mbox") + mbox("series.mbox")),
)
HOSTILE = (
    *(b"Content-Type: ", b"text/plain", b"multipart/mixed", b"multipart/digest", b"idna"),
    *(b"message/rfc822", b"message/delivery-status", b"message/partial", b"multipart/report"),
    *(b"; charset=", b"; charset*=", b"; charset*0=", b"; charset*1*=", b"; charset*99999999999="),
    *(b"; boundary=q", b"; boundary*=", b"; boundary*0=", b"utf-7''%00", b"undefined''%FF"),
    *(b"Content-Transfer-Encoding: ", b"base64", b"quoted-printable", b"uue", b"begin 644 a\n"),
    *(b"Content-Disposition: attachment", b"=?utf-7?q?+2AA-?=", b"=?\0?q?x?=", b"=?x?b?="),
    *(b"Subject: ", b"From: ", b"Date: ", b"Message-ID: ", b"In-Reply-To: ", b"References: <a@b>"),
    *(
        b"\n",
        b"\r",
        b"\r\n",
        b"\n ",
        b"\n\n",
        b"\n--q\n",
        b"\n--q--\n",
        b"\0",
        b"\xff",
        b"\xed\xa0",
    ),
    *(b"[PATCH 0/" + b"9" * 400, b"[", b"]", b"<", b">", b"(", b'"', b";", b"=", b"%", b"9" * 5000),
    *(b"Recheck-request: a", b"-- \n", b"____\n", b"diff a\nindex 1\n", b"From ", b"+2AA-", b"=00"),
)


@settings(max_examples=500)
@given(st.binary(max_size=200) | st.lists(st.sampled_from(HOSTILE), max_size=30).map(b"".join))
@pytest.mark.slow
def test_any_bytes_give_a_mail_or_unreadable(raw: bytes) -> None:
    assert_storable(raw)


@settings(max_examples=700)
@given(
    st.sampled_from(LOOKING_REAL),
    st.lists(
        st.tuples(
            st.floats(0, 1),
            st.integers(0, 30),
            st.sampled_from(HOSTILE) | st.sampled_from(LOOKING_REAL) | st.binary(max_size=3),
        ),
        max_size=6,
    ),
    st.floats(0, 1),
)
@pytest.mark.slow
def test_any_mutation_gives_a_mail_or_unreadable(
    raw: bytes, edits: list[tuple[float, int, bytes]], kept: float
) -> None:
    for share, removed, inserted in edits:
        at = int(share * len(raw))
        raw = raw[:at] + inserted + raw[at + removed :]
    assert_storable(raw)
    assert_storable(raw[: int(len(raw) * kept)])


# Who wrote it

WORD, DOMAIN = r"[A-Za-z0-9_-]{1,8}", r"[A-Za-z0-9-]{1,9}(\.[A-Za-z0-9-]{1,9}){0,2}"
ADDRESS = rf"[\w+-]{{1,6}}(\.[\w+-]{{1,6}}){{0,2}}@{DOMAIN}"
FROM = re.compile(rf"(({WORD}( {WORD}){{0,2}} )?<{ADDRESS}>|{ADDRESS}|[ -~]{{0,30}})", re.ASCII)


def people(sender: str, subject: str) -> tuple[str, str, str]:
    mail = parse(f"From: {sender}\nSubject: {subject}\n\ntext\n".encode())
    return mail.sender, mail.address, mail.subject


# With the other field such that mail-parser has to be asked for both.
@given(st.from_regex(FROM, fullmatch=True))
def test_a_plain_from_is_read_as_mail_parser_reads_it(sender: str) -> None:
    assert people(sender, "Re: a")[:2] == people(sender, "=?utf-8?q?Re=3A_a?=")[:2]


@given(st.from_regex(r"[ -~]{0,60}", fullmatch=True))
def test_a_plain_subject_is_read_as_mail_parser_reads_it(subject: str) -> None:
    asked = people('"Reviewer, Robin" <robin@example.org>', subject)[2]
    assert people("Robin <robin@example.org>", subject)[2] == asked
