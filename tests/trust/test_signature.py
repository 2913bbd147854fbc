# SPDX-License-Identifier: BSD-3-Clause
"""DKIM with keys and a name server of our own: signatures that prove nothing, and DNS that stalls
or lies."""

from collections.abc import Callable

import pytest

from ingest.mail import headers
from ingest.trust import dns, signature
from ingest.trust.signature import CannotVerify, Keys
from tests.support.faults import OURS
from tests.support.mails import reply
from tests.support.signing import SIGNED, Zone, key, keys, name_server, signed

MAIL = reply(OURS, list_id="dev.dpdk.org")
UNADDRESSED = reply("", list_id="dev.dpdk.org")
OTHER = b"In-Reply-To: <x@example.org>\n"
MORE = b"Recheck-request: b\n"


def proves(raw: bytes) -> bool:
    zone = keys("example.org", "evil.example")
    return signature.proves(
        raw, headers.read(raw), "example.org", Keys(lambda n: zone(f"{n}.") or b"")
    )


def but(left_out: str) -> list[str]:
    return [each for each in SIGNED if each != left_out]


# A mail that arrives, and whether its signature proves its author.
CASES: dict[str, tuple[Callable[[], bytes], bool]] = {
    "signed": (lambda: signed(MAIL), True),
    "with line ends of SMTP": (lambda: signed(MAIL).replace(b"\n", b"\r\n"), True),
    "behind an mbox separator": (lambda: b"From a Thu Jan  1 00:00:00 1970\n" + signed(MAIL), True),
    "not signed": (lambda: MAIL, False),
    "by another domain": (lambda: signed(MAIL, "evil.example"), False),
    "by both": (lambda: signed(signed(MAIL), "evil.example"), True),
    "another label": (lambda: signed(MAIL).replace(b"iol-unit", b"iol-dear"), False),
    "a footer of a list": (lambda: signed(MAIL) + b"____\nThe list\n", False),
    "another From": (lambda: signed(MAIL).replace(b"robin@", b"alex@"), False),
    "another From on top": (lambda: b"From: alex@example.org\n" + signed(MAIL), False),
    "a second In-Reply-To": (lambda: OTHER + signed(MAIL), False),
    "In-Reply-To added": (lambda: OTHER + signed(UNADDRESSED), False),
    "In-Reply-To not signed": (lambda: signed(MAIL, fields=but("in-reply-to")), False),
    "Date not signed": (lambda: signed(MAIL, fields=but("date")), False),
    "Message-ID not signed": (lambda: signed(MAIL, fields=but("message-id")), False),
    "Subject not signed": (lambda: signed(MAIL, fields=but("subject")), True),
    "a part of the body": (lambda: signed(MAIL, length=True), False),
    "text added to a part of it": (lambda: signed(MAIL, length=True) + MORE, False),
    "by SHA-1": (lambda: signed(MAIL, algorithm=b"rsa-sha1"), False),
    "expired": (lambda: signed(MAIL, expired=True), False),
    "no sense": (lambda: b"DKIM-Signature: v=1; d=example.org; h=from:" * 9 + b"\n" + MAIL, False),
    "a hundred of others first": (lambda: b"DKIM-Signature: d=a\n" * 100 + signed(MAIL), True),
}


@pytest.mark.parametrize(("make", "is_proof"), CASES.values(), ids=CASES)
def test_what_a_signature_proves(make: Callable[[], bytes], is_proof: bool) -> None:
    assert proves(make()) is is_proof


def test_few_keys_are_looked_up_and_only_the_authors() -> None:
    asked: list[str] = []

    def lookup(name: str) -> bytes:
        asked.append(name)
        return b""

    raw = signed(MAIL, "evil.example")
    for _ in range(10):
        raw = signed(raw)
    assert not signature.proves(raw, headers.read(raw), "example.org", Keys(lookup))
    assert asked == ["lab._domainkey.example.org"]


def in_dns(zone: Zone | None, seconds: float = 5.0) -> bool:
    with name_server(zone) as server:
        raw = signed(MAIL)
        look = dns.resolver([server], seconds)
        return signature.proves(raw, headers.read(raw), "example.org", Keys(look))


def test_a_key_comes_out_of_dns() -> None:
    assert in_dns(keys("example.org"))


# What DNS says of the key.
LIES: dict[str, Zone] = {
    "there is none": lambda name: None,
    "another domain's": keys("evil.example"),
    "nothing": lambda name: b"",
    "not a key": lambda name: b"v=spf1 -all",
    "no sense": lambda name: b"v=DKIM1; k=rsa; p=AAAA",
    "another key": lambda name: key(2048)[1],
    "a key of 20 KB": lambda name: b"v=DKIM1; p=" + b"A" * 20_000,
}


@pytest.mark.parametrize("zone", LIES.values(), ids=LIES)
def test_dns_that_lies_proves_nothing(zone: Zone) -> None:
    assert not in_dns(zone)


def test_a_key_of_64_kilobytes_is_not_read() -> None:
    raw = signed(MAIL)
    huge = key()[1] + b" " * 64_000
    assert not signature.proves(raw, headers.read(raw), "example.org", Keys(lambda name: huge))


def test_dns_that_stalls_is_waited_for_no_longer_than_is_set() -> None:
    with pytest.raises(CannotVerify, match=r"DNS did not answer within 0\.3 seconds"):
        in_dns(None, 0.3)


def test_a_name_that_cannot_be_has_no_key() -> None:
    with name_server(keys("example.org")) as server:
        look = dns.resolver([server], 5.0)
        for name in ("a" * 64 + ".example.org", "a..example.org", "\udcff.example.org", "x." * 200):
            assert look(name) == b""
        assert look("lab._domainkey.example.org") != b""


def test_a_server_that_refuses_says_nothing_of_a_key() -> None:
    with name_server(keys("example.org")) as server, pytest.raises(CannotVerify):
        # Nothing listens there.
        port = int(server.rpartition(":")[2])
        dns.resolver([f"127.0.0.2:{port}"], 0.3)("lab._domainkey.example.org")
