# SPDX-License-Identifier: BSD-3-Clause
"""ARC: what a named sealer has found counts as long as nobody else has touched the mail."""

from collections.abc import Callable

import pytest

from ingest.mail import headers
from ingest.trust import arc
from ingest.trust.signature import CannotVerify, Keys
from tests.support.faults import OURS
from tests.support.mailman import LIST_ID, footed, listed, munged
from tests.support.mails import reply
from tests.support.signing import SIGNED, keys, sealed, signed

# A list that adds a footer breaks the author's signature, and seals what it has found before.
BROKEN = footed(listed(signed(reply(OURS))))
AFTER = "arc=pass; dkim=fail header.d=example.org"


def but(left_out: str) -> list[str]:
    return [each for each in SIGNED if each != left_out]


def replaced(old: bytes, new: bytes, raw: bytes) -> bytes:
    assert old in raw
    return raw.replace(old, new)


# A mail that arrives, and whether the sealers lists.example and relay.example prove its author.
CASES: dict[str, tuple[Callable[[], bytes], bool]] = {
    "by a list that added a footer": (lambda: sealed(BROKEN), True),
    "by its DMARC": (lambda: sealed(BROKEN, "dmarc=pass header.from=example.org"), True),
    "with line ends of SMTP": (lambda: sealed(BROKEN).replace(b"\n", b"\r\n"), True),
    "by a relay behind the list": (lambda: sealed(sealed(BROKEN), AFTER, "relay.example"), True),
    "not sealed": (lambda: BROKEN, False),
    "that found nothing": (lambda: sealed(BROKEN, "dkim=fail header.d=example.org"), False),
    "that found another domain": (lambda: sealed(BROKEN, "dkim=pass header.d=evil.example"), False),
    "by a sealer that nobody named": (lambda: sealed(BROKEN, domain="evil.example"), False),
    "by one that nobody named, behind the list": (
        lambda: sealed(sealed(BROKEN), AFTER, "evil.example"),
        False,
    ),
    "by one that nobody named, before the list": (
        lambda: sealed(
            sealed(BROKEN, domain="evil.example"), "arc=pass; dkim=none", "lists.example"
        ),
        False,
    ),
    "a footer added later": (lambda: footed(sealed(BROKEN)), False),
    "another label": (lambda: replaced(b"iol-unit", b"iol-dear", sealed(BROKEN)), False),
    "another From": (lambda: replaced(b"robin@", b"alex@", sealed(BROKEN)), False),
    "a second In-Reply-To": (lambda: b"In-Reply-To: <x@example.org>\n" + sealed(BROKEN), False),
    "Message-ID not sealed": (lambda: sealed(BROKEN, fields=but("message-id")), False),
    "results that were changed": (
        lambda: replaced(
            b"dkim=fail", b"dkim=pass", sealed(BROKEN, "dkim=fail header.d=example.org")
        ),
        False,
    ),
    "a seal that was taken off": (
        lambda: b"\n".join(
            line
            for line in sealed(sealed(BROKEN, domain="evil.example"), AFTER).split(b"\n")
            if b"evil.example" not in line
        ),
        False,
    ),
    "two sets of one number": (lambda: sealed(BROKEN)[:40] + b"\n" + sealed(BROKEN), False),
    "a set of number 99": (lambda: b"ARC-Seal: i=99; cv=pass\n" + sealed(BROKEN), False),
    "no sense": (lambda: b"ARC-Seal: i=1\nARC-Message-Signature: i=1;\n" + BROKEN, False),
}


def proves(raw: bytes, lookup: Callable[[str], bytes] | None = None) -> bool:
    zone = keys("example.org", "evil.example", "lists.example", "relay.example")
    found = Keys(lookup or (lambda name: zone(f"{name}.") or b""))
    sealers = ("Lists.example", "relay.example")
    return arc.proves(raw, headers.read(raw), "example.org", sealers, found)


@pytest.mark.parametrize(("make", "is_proof"), CASES.values(), ids=CASES)
def test_what_a_seal_proves(make: Callable[[], bytes], is_proof: bool) -> None:
    assert proves(make()) is is_proof


def test_a_mail_whose_from_the_list_has_replaced_is_still_of_its_domain() -> None:
    assert proves(sealed(munged(BROKEN)))


def test_few_keys_are_looked_up_and_none_for_who_is_not_named() -> None:
    asked: list[str] = []

    def lookup(name: str) -> bytes:
        asked.append(name)
        return b""

    assert not proves(sealed(BROKEN, domain="evil.example"), lookup)
    assert asked == []
    assert not proves(sealed(sealed(BROKEN), AFTER, "relay.example"), lookup)
    assert sorted(asked) == ["lab._domainkey.lists.example", "lab._domainkey.relay.example"]


def test_dns_that_stalls_neither_proves_nor_refutes() -> None:
    def lookup(name: str) -> bytes:
        raise CannotVerify("DNS did not answer within 3 seconds")

    with pytest.raises(CannotVerify):
        proves(sealed(BROKEN), lookup)


def test_the_list_of_the_tests_is_one() -> None:
    assert headers.list_id(headers.read(BROKEN)) == LIST_ID
