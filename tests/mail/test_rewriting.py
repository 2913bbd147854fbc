# SPDX-License-Identifier: BSD-3-Clause
"""Whose a mail is whose From its list has replaced: what the list says, and what others may."""

import pytest

from ingest.mail import headers, message, rewriting
from tests.support.faults import OURS
from tests.support.mailman import ADDRESS, LIST_ID, footed, listed, munged, prefixed
from tests.support.mails import reply

MAIL = reply(OURS, list_id=LIST_ID)
ROBIN = ("Robin Reviewer", "robin@example.org")
EVIL = MAIL.replace(b"robin@example.org", b"evil@evil.example")
CLAIM = b"Robin Reviewer <robin@example.org>"
MAILMAN = ("reply-to", "cc")
GOOGLE = ("x-original-from", "x-original-sender")
BY_GOOGLE = (
    b"From: 'Robin Reviewer' via dev <dev@lists.example>\nX-Original-Sender: robin@example.org\n"
)

NAMED = MAIL.replace(b"<robin@example.org>", b"via dev <dev@lists.example>")


def from_google(more: bytes = b"") -> bytes:
    rest = MAIL.replace(b"From: Robin Reviewer <robin@example.org>\n", b"")
    return BY_GOOGLE + more + rest


# A mail as it comes from its list, the fields in which the list keeps authors, and whose it is.
AUTHORS: dict[str, tuple[bytes, tuple[str, ...], tuple[str, str] | None]] = {
    "Mailman's": (munged(MAIL), MAILMAN, ROBIN),
    "with footer and prefix": (footed(prefixed(munged(listed(MAIL)))), MAILMAN, ROBIN),
    "a name that is encoded": (
        munged(MAIL.replace(b"Robin Reviewer", b"=?utf-8?q?Robin_Revi=C3=A8wer?=")),
        MAILMAN,
        ("Robin Revièwer", "robin@example.org"),
    ),
    "a Reply-To of the sender's own besides": (
        munged(b"Reply-To: Lab <lab@example.org>\n" + MAIL),
        MAILMAN,
        ROBIN,
    ),
    "somebody of the same name, whom the forger has named": (
        munged(b"Reply-To: " + CLAIM + b"\n" + EVIL),
        MAILMAN,
        None,
    ),
    "the same in Cc": (munged(b"Cc: " + CLAIM + b"\n" + EVIL), MAILMAN, None),
    "a field that this list does not write": (
        munged(b"X-Original-From: " + CLAIM + b"\n" + EVIL),
        MAILMAN,
        ("Robin Reviewer", "evil@evil.example"),
    ),
    "Google's": (from_google(), GOOGLE, ROBIN),
    "Google's, and one of the forger's": (
        from_google(b"X-Original-Sender: alex@example.org\n"),
        GOOGLE,
        None,
    ),
    "nothing": (
        MAIL.replace(b"<robin@example.org>", b"via dev <dev@lists.example>"),
        MAILMAN,
        None,
    ),
    "only the list's own address": (
        b"Reply-To: Robin Reviewer <dev@lists.example>\n" + NAMED,
        MAILMAN,
        None,
    ),
}


@pytest.mark.parametrize(("raw", "fields", "whose"), AUTHORS.values(), ids=AUTHORS)
def test_whose_mail_it_is(
    raw: bytes, fields: tuple[str, ...], whose: tuple[str, str] | None
) -> None:
    mail = message.parse(raw)
    found = rewriting.author(headers.read(raw), mail.requester.name, ADDRESS, fields)
    assert found == whose
