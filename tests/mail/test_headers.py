# SPDX-License-Identifier: BSD-3-Clause
"""Header fields as raw bytes: ids, their order, and what makes two copies one mail."""

from email import message_from_bytes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.mail import headers
from ingest.mail.headers import Head

BODY = b"\nbody\n"


def head(*lines: bytes) -> Head:
    return headers.read(b"\n".join(lines) + b"\n" + BODY)


FIELDS: dict[str, tuple[bytes, list[tuple[str, str]]]] = {
    "nothing": (b"", []),
    "no header": (b"\nSubject: a\n", []),
    "one field": (b"Subject: a\n\n", [("subject", "a")]),
    "the last line has no end": (b"Subject: a", [("subject", "a")]),
    "names in any case": (b"SUBJECT: a\nsubJect: b\n\n", [("subject", "a"), ("subject", "b")]),
    "no blank behind the colon": (b"Subject:a\n\n", [("subject", "a")]),
    "a blank before the colon": (b"Subject : a\n\n", [("subject", "a")]),
    "no value": (b"Subject:\nFrom: b\n\n", [("subject", ""), ("from", "b")]),
    "a fold": (b"Subject: a\n b\n\tc\n\n", [("subject", "a b c")]),
    "a fold before the value": (b"Subject:\n a\n\n", [("subject", "a")]),
    "CRLF": (b"Subject: a\r\n b\r\nFrom: c\r\n\r\nTo: d\r\n", [("subject", "a b"), ("from", "c")]),
    "a colon in the value": (b"Subject: Re: a\n\n", [("subject", "Re: a")]),
    "a line that is no field ends it": (b"Subject: a\nhello\nFrom: b\n\n", [("subject", "a")]),
    "a blank in the name ends it": (b"Subject: a\nNot a: b\n\n", [("subject", "a")]),
    "a letter outside ASCII in the name ends it": (b"Subject: a\n\xfc: b\n\n", [("subject", "a")]),
    "UTF-8": ("Subject: ä\n\n".encode(), [("subject", "ä")]),
    "undecodable bytes stay distinct": (b"A: \xe4\nB: \xf6\n\n", [("a", "\\xe4"), ("b", "\\xf6")]),
    "half a surrogate pair": (b"A: \xed\xa0\x80\n\n", [("a", "\\xed\\xa0\\x80")]),
    "a NUL": (b"A: b\0c\n\n", [("a", "bc")]),
    "a From line": (b"From a@example.org Wed Sep  6 09:01:00 2023\nA: b\n\n", [("a", "b")]),
    "a quoted From line": (b">From a@example.org Wed Sep  6\nA: b\n\n", [("a", "b")]),
    "two From lines": (b"From a\n>From b\nA: b\n\n", [("a", "b")]),
    "a From line alone": (b"From a@example.org\n", []),
}


@pytest.mark.parametrize(("raw", "fields"), FIELDS.values(), ids=FIELDS)
def test_fields_are_read(raw: bytes, fields: list[tuple[str, str]]) -> None:
    assert list(headers.read(raw).fields) == fields


def test_start_and_end_are_those_of_the_fields() -> None:
    raw = b"From a@example.org\nSubject: a\n\nbody"
    read = headers.read(raw)
    assert raw[read.start : read.end] == b"Subject: a\n"


def test_a_doubled_field_gives_all_values_and_the_first_that_says_something() -> None:
    read = head(b"A:", b"a: 1", b"A: 2")
    assert (read.all("a"), read.first("a"), read.first("b")) == (["", "1", "2"], "1", "")


MESSAGE_IDS: dict[str, tuple[bytes, str]] = {
    "none": (b"Subject: a", ""),
    "plain": (b"Message-ID: <1@example.org>", "1@example.org"),
    "in any case": (b"MESSAGE-Id: <1@example.org>", "1@example.org"),
    "folded": (b"Message-ID:\n <1@example.org>", "1@example.org"),
    "folded with CRLF": (b"Message-ID:\r\n\t<1@example.org>\r", "1@example.org"),
    "words around it": (b"Message-ID: my <1@example.org> id", "1@example.org"),
    "blanks in the brackets": (b"Message-ID: < 1@example.org >", "1@example.org"),
    "no brackets": (b"Message-ID: 1@example.org", "1@example.org"),
    "given twice": (b"Message-ID: <1@example.org>\nMessage-ID: <2@example.org>", "1@example.org"),
    "first empty": (b"Message-ID:\nMessage-ID: <2@example.org>", "2@example.org"),
    "signs that an address of a page must escape": (b"Message-ID: <a+/%&#?=b@c>", "a+/%&#?=b@c"),
    "undecodable": (b"Message-ID: <\xe4@c>", "\\xe4@c"),
    "empty brackets": (b"Message-ID: <>", "<>"),
    "an encoded word": (b"Message-ID: =?utf-8?q?=3C1=40example=2Eorg=3E?=", "1@example.org"),
    "encoded words over lines": (
        b"Message-ID:\n =?utf-8?q?=3C1=40exam?=\n =?utf-8?q?ple=2Eorg=3E?=",
        "1@example.org",
    ),
    "a control character in an encoded word": (b"Message-ID: =?utf-8?q?<1=0A=00@x>?=", "1 @x"),
}


@pytest.mark.parametrize(("line", "expected"), MESSAGE_IDS.values(), ids=MESSAGE_IDS)
def test_message_id(line: bytes, expected: str) -> None:
    assert headers.message_id(head(line)) == expected


REPLIES: dict[str, tuple[bytes, tuple[str, ...], tuple[str, ...]]] = {
    "nothing": (b"Subject: a", (), ()),
    "a reply": (b"In-Reply-To: <1@x>", ("1@x",), ("1@x",)),
    "in any case": (b"IN-REPLY-TO: <1@x>\nreferences: <2@x>", ("1@x",), ("1@x", "2@x")),
    "words around it": (
        b"In-Reply-To: Your message of Wed, 6 Sep 2023 <1@x>", ("1@x",), ("1@x",),
    ),
    "words behind it": (b"In-Reply-To: <1@x> (Robin's message)", ("1@x",), ("1@x",)),
    "several": (b"In-Reply-To: <1@x> <2@x>", ("1@x", "2@x"), ("1@x", "2@x")),
    "several with commas": (b"In-Reply-To: <1@x>, <2@x>", ("1@x", "2@x"), ("1@x", "2@x")),
    "no brackets": (b"In-Reply-To: 1@x", ("1@x",), ("1@x",)),
    "an open bracket": (b"In-Reply-To: <1@x", ("<1@x",), ("<1@x",)),
    "given twice": (b"In-Reply-To: <1@x>\nIn-Reply-To: <2@x>", ("1@x", "2@x"), ("1@x", "2@x")),
    "given twice, the same": (b"In-Reply-To: <1@x>\nIn-Reply-To: <1@x>", ("1@x",), ("1@x",)),
    "empty": (b"In-Reply-To:\nReferences:", (), ()),
    "empty brackets": (b"In-Reply-To: < >", (), ()),
    "references from last to first": (b"References: <1@x> <2@x> <3@x>", (), ("3@x", "2@x", "1@x")),
    "references over lines": (b"References: <1@x>\n <2@x>\r\n\t<3@x>", (), ("3@x", "2@x", "1@x")),
    "references without blanks": (b"References: <1@x><2@x>", (), ("2@x", "1@x")),
    "references without brackets": (b"References: 1@x 2@x", (), ("2@x", "1@x")),
    "several without brackets": (b"In-Reply-To: 1@x, and 2@x", ("1@x", "2@x"), ("1@x", "2@x")),
    "no brackets, and words": (b"In-Reply-To: message 1@x", ("1@x",), ("1@x",)),
    "no id": (b"In-Reply-To: your message", ("your message",), ("your message",)),
    "an encoded word": (b"In-Reply-To: =?utf-8?q?=3C1=40x=3E?=", ("1@x",), ("1@x",)),
    "encoded words over lines": (
        b"In-Reply-To: =?utf-8?q?=3C1?=\n =?utf-8?q?=40x=3E?=", ("1@x",), ("1@x",),
    ),
    "encoded references": (
        b"References: =?us-ascii?Q?<1@x>?=\n =?us-ascii?Q?_<2@?= =?us-ascii?Q?x>?=",
        (), ("2@x", "1@x"),
    ),
    "base64 words": (b"References: <0@x> =?utf-8?b?PDFAeD4=?=", (), ("1@x", "0@x")),
    "an encoded word in an unknown charset": (
        b"In-Reply-To: <=?x-nobody?q?=3C?=@x>", ("=?x-nobody?q?=3C?=@x",),
        ("=?x-nobody?q?=3C?=@x",),
    ),
    "what is not base64": (
        b"In-Reply-To: <=?utf-8?b?a?=@x>", ("=?utf-8?b?a?=@x",), ("=?utf-8?b?a?=@x",),
    ),
    "half a surrogate pair in a word": (
        b"In-Reply-To: <=?utf-7?q?+2AA-?=@x>", ("=?utf-7?q?+2AA-?=@x",),
        ("=?utf-7?q?+2AA-?=@x",),
    ),
    "a field of references after the other": (
        b"References: <1@x> <2@x>\nReferences: <3@x>", (), ("3@x", "2@x", "1@x"),
    ),
    "the reply's own id is in the references": (
        b"References: <1@x> <2@x>\nIn-Reply-To: <2@x>", ("2@x",), ("2@x", "1@x"),
    ),
    "the reply's own id is the first reference": (
        b"References: <1@x> <2@x>\nIn-Reply-To: <1@x>", ("1@x",), ("1@x", "2@x"),
    ),
    "repeats among the references": (
        b"References: <1@x> <2@x> <1@x>", (), ("1@x", "2@x"),
    ),
    "a NUL": (b"In-Reply-To: <1\0@x>", ("1@x",), ("1@x",)),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "in_reply_to", "candidates"), REPLIES.values(), ids=REPLIES)
def test_what_a_mail_may_reply_to(
    lines: bytes, in_reply_to: tuple[str, ...], candidates: tuple[str, ...]
) -> None:
    read = head(lines)
    assert (headers.in_reply_to(read), headers.candidates(read)) == (in_reply_to, candidates)


LISTS: dict[str, tuple[bytes, str]] = {
    "none": (b"Subject: a", ""),
    "with a name": (b"List-Id: DPDK CI discussions <ci.dpdk.org>", "ci.dpdk.org"),
    "with a quoted name": (b'List-Id: "a, b" <ci.dpdk.org>', "ci.dpdk.org"),
    "with brackets in its name": (b'List-Id: "the <old> list" <ci.dpdk.org>', "ci.dpdk.org"),
    "an encoded name": (b"List-Id: =?utf-8?q?B=C3=BCcher?= <ci.dpdk.org>", "ci.dpdk.org"),
    "all of it encoded": (b"List-Id: =?utf-8?q?CI_=3Cci=2Edpdk=2Eorg=3E?=", "ci.dpdk.org"),
    "bare": (b"List-Id: <ci.dpdk.org>", "ci.dpdk.org"),
    "no brackets": (b"List-Id: ci.dpdk.org", "ci.dpdk.org"),
    "no brackets and words": (b"List-Id: our list", ""),
    "in any case": (b"LIST-ID: <CI.DPDK.ORG>", "ci.dpdk.org"),
    "folded": (b"List-Id: DPDK CI discussions\n <ci.dpdk.org>", "ci.dpdk.org"),
    "given twice": (b"List-Id: <a.example.org>\nList-Id: <b.example.org>", "a.example.org"),
    "another field": (b"X-Mailing-List: ci@dpdk.org", "ci@dpdk.org"),
    "another field in words": (b"X-List: the <ci.dpdk.org> list", "ci.dpdk.org"),
    "List-Id before the others": (b"X-List: <b>\nX-Mailing-List: <c>\nList-Id: <a>", "a"),
    "an empty one": (b"List-Id:\nX-List: <b>", "b"),
}


@pytest.mark.parametrize(("lines", "expected"), LISTS.values(), ids=LISTS)
def test_list_id(lines: bytes, expected: str) -> None:
    assert headers.list_id(head(lines)) == expected


def test_the_fields_of_a_mail_in_a_mail_are_read_as_those_of_a_mail() -> None:
    raw = b"SUBJECT:  a\n b\nFrom: \xe4\nList-Id: <CI.x>\nX: \0b\n"
    assert headers.of(message_from_bytes(raw).raw_items()) == Head(headers.read(raw).fields, 0, 0)


def identity(raw: bytes, *, null_sender: bool = False) -> str:
    return headers.identity(raw, headers.read(raw), null_sender=null_sender)


ONE = b"Message-ID: <1@x>\nList-Id: <ci.dpdk.org>\nFrom: a@x\nDate: today\n\nbody\n"
NAMELESS = b"From: a@x\nDate: today\nSubject: b\n\nbody\n"

SAME: dict[str, tuple[bytes, bytes]] = {
    "by another way": (ONE, b"From a\nReceived: by b\nDelivered-To: c\n" + ONE),
    "with the line ends of SMTP": (ONE, ONE.replace(b"\n", b"\r\n")),
    "nameless, by another way": (NAMELESS, b"Received: by b\nReturn-Path: <l@x>\n" + NAMELESS),
    "nameless, with blank lines": (NAMELESS, NAMELESS + b"\n\n"),
}
OTHER: dict[str, tuple[bytes, bytes]] = {
    "another id": (ONE, ONE.replace(b"<1@x>", b"<2@x>")),
    "an id that differs in a bad byte": (
        ONE.replace(b"<1@x>", b"<\xe4@x>"), ONE.replace(b"<1@x>", b"<\xf6@x>"),
    ),
    "another list": (ONE, ONE.replace(b"ci.dpdk.org", b"dev.dpdk.org")),
    "no list": (ONE, ONE.replace(b"List-Id", b"X-Id")),
    "another body, as with a footer": (ONE, ONE + b"_____\nfooter\n"),
    "a bounce": (ONE, b"Return-Path: <>\n" + ONE),
    "said to be automatic": (ONE, b"Auto-Submitted: auto-replied\n" + ONE),
    "a reply to something": (ONE, b"In-Reply-To: <0@x>\n" + ONE),
    "one field that reads like two": (
        b"References: a\nSubject: b\n\nx", b"References: aSubject: b\n\nx",
    ),
    "header and body that read alike": (b"From: a\n\nDate: b\n\nx", b"From: a\nDate: b\n\nx"),
    "another signature": (b"DKIM-Signature: a\n" + ONE, b"DKIM-Signature: b\n" + ONE),
    "nameless, another body": (NAMELESS, NAMELESS.replace(b"body", b"other")),
    "nameless, another date": (NAMELESS, NAMELESS.replace(b"today", b"tomorrow")),
    "nameless, another sender": (NAMELESS, NAMELESS.replace(b"a@x", b"b@x")),
}  # fmt: skip


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME)
def test_two_copies_are_one_mail(one: bytes, other: bytes) -> None:
    assert identity(one) == identity(other)


@pytest.mark.parametrize(("one", "other"), OTHER.values(), ids=OTHER)
def test_two_mails_are_two(one: bytes, other: bytes) -> None:
    assert identity(one) != identity(other)


PIECES = (
    *(b"Message-ID:", b"In-Reply-To:", b"References:", b"List-Id:", b"From ", b">From ", b":"),
    *(b"=?utf-8?q?", b"=?utf-7?b?", b"=?x?q?", b"?=", b"=3C", b"=0A", b"=00", b"PDFAeD4", b"+2AA-"),
    *(b"<", b">", b"a@b", b" ", b"\t", b"\n", b"\n ", b"\r\n", b"\r", b"\0", b"\xff", b"\xed\xa0"),
)


@settings(max_examples=400)
@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=3), max_size=30).map(b"".join))
@pytest.mark.slow
def test_any_bytes_give_lines_that_can_be_stored(raw: bytes) -> None:
    read = headers.read(raw)
    assert 0 <= read.start <= read.end <= len(raw)
    texts = [text for field in read.fields for text in field]
    texts += [headers.message_id(read), headers.list_id(read), identity(raw)]
    texts += headers.candidates(read)
    for text in texts:
        text.encode()
        assert not {"\0", "\n", "\r"} & set(text)


def test_a_mail_without_an_id_is_the_same_by_smtp_and_by_pipe() -> None:
    piped = b"From: a@example.org\nDate: today\n\nhello\nworld\n"
    sent = piped.replace(b"\n", b"\r\n")
    assert identity(sent) == identity(piped)


def test_a_null_sender_makes_another_mail_of_it() -> None:
    assert identity(ONE) != identity(ONE, null_sender=True)
    assert identity(b"Return-Path: <>\n" + ONE) == identity(ONE, null_sender=True)


SENDERS = {
    "as it says": ("From: Robin <Robin@Example.org>", "robin@example.org"),
    "bare": ("From: robin@example.org", "robin@example.org"),
    "a list's address in its place": (
        "From: Robin via dev <dev@dpdk.org>\nReply-To: robin@example.org\nList-Id: <dev.dpdk.org>",
        "robin@example.org",
    ),
    "kept by the list": (
        "From: R via dev <dev@dpdk.org>\nX-Original-From: R <r@x.org>\nList-Id: <dev.dpdk.org>",
        "r@x.org",
    ),
    "nobody": ("Subject: x", ""),
}


@pytest.mark.parametrize(("fields", "expected"), SENDERS.values(), ids=SENDERS)
def test_whose_turn_it_is(fields: str, expected: str) -> None:
    assert headers.sender(head(fields.encode())) == expected
