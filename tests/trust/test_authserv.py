# SPDX-License-Identifier: BSD-3-Clause
"""Authentication-Results of our own server: who else may write them, and gains nothing."""

import pytest

from ingest.mail import headers
from ingest.trust import authserv
from tests.support.faults import OURS
from tests.support.mails import reply

HOP = "Received: from a (a [192.0.2.1]) by mx.lab.example"


def says(results: str, by: str = "mx.lab.example") -> str:
    return f"Authentication-Results: {by}; {results}"


PASS = says("dkim=pass header.d=example.org")

# Fields on top of a mail from example.org, topmost first, and whether they prove that.
PROOFS: dict[str, tuple[tuple[str, ...], bool]] = {
    "DKIM": ((PASS, HOP), True),
    "DKIM, below our Received": ((HOP, PASS), True),
    "DMARC": ((says("dmarc=pass header.from=example.org"), HOP), True),
    "DMARC of another": ((says("dmarc=pass header.from=evil.example"), HOP), False),
    "by the identity alone": ((says("dkim=pass header.i=@example.org"), HOP), True),
    "folded, with comments": (
        (says("\n dkim=pass (good (1024 bit))\n header.d=example.org header.s=a"), HOP),
        True,
    ),
    "nothing": ((HOP,), False),
    "failed": ((says("dkim=fail header.d=example.org"), HOP), False),
    "passed in a comment": ((says("dkim=fail (dkim=pass) header.d=example.org"), HOP), False),
    "passed in a reason": (
        (says('dkim=fail reason="; dkim=pass header.d=example.org"'), HOP),
        False,
    ),
    "of another domain": ((says("dkim=pass header.d=evil.example"), HOP), False),
    "of a domain that ends alike": ((says("dkim=pass header.d=notexample.org"), HOP), False),
    "of a top-level domain": ((says("dkim=pass header.d=org"), HOP), False),
    "SPF alone": ((says("spf=pass smtp.mailfrom=example.org"), HOP), False),
    "by a server that nobody named": (
        (says("dkim=pass header.d=example.org", "mx.evil.example"), HOP),
        False,
    ),
    "by a name that begins like ours": (
        (says("dkim=pass header.d=example.org", "mx.lab.example.evil.example"), HOP),
        False,
    ),
    "by an earlier hop": ((HOP, HOP, PASS), False),
    "ours, and one of an earlier hop": ((says("dkim=none"), HOP, HOP, PASS), False),
    "two in our name": ((says("dkim=none"), HOP, PASS), False),
    "two in our name that agree": ((PASS, PASS, HOP), False),
    "one of a server before ours": ((says("dkim=fail", "mx.dpdk.org"), PASS, HOP), True),
    "one that says more, and that there is none": (
        (says("dkim=pass header.d=example.org; none"), HOP),
        False,
    ),
    "comments in comments without end": ((says("dkim=pass " + "(" * 5000), HOP), False),
    "one that makes no sense": ((PASS, "Authentication-Results: ;;;", HOP), False),
}


@pytest.mark.parametrize(("fields", "proves"), PROOFS.values(), ids=PROOFS)
def test_what_proves_the_author(fields: tuple[str, ...], proves: bool) -> None:
    raw = "".join(f"{each}\n" for each in fields).encode() + reply(OURS)
    assert authserv.proves(headers.read(raw), ["mx.lab.example"], "example.org") is proves


def test_results_inside_a_part_are_none_of_ours() -> None:
    raw = f"{HOP}\nContent-Type: message/rfc822\n\n{PASS}\n\nx\n".encode()
    assert not authserv.proves(headers.read(raw), ["mx.lab.example"], "example.org")
