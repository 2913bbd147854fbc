# SPDX-License-Identifier: BSD-3-Clause
"""Whether a mail came from a host of its list: what a forger may write, and gains nothing by."""

import pytest

from ingest.config import tables
from ingest.config.policy_tables import ListSettings, PolicySettings
from ingest.ledger import Envelope
from ingest.trust import passage
from ingest.trust.passage import received_from
from tests.support.faults import OURS
from tests.support.mails import reply

LIST = ListSettings(list_id="dev.dpdk.org", hosts=("217.70.189.124", "2001:db8::/32"))
SETTINGS = tables.Settings(
    policy=PolicySettings(received_by=("mx.lab.example",)), list={"dev": LIST}
)
OF_LIST = reply(OURS, list_id="dev.dpdk.org")
POSTFIX = (
    "from mails.dpdk.org (mails.dpdk.org [217.70.189.124]) by mx.lab.example (Postfix) with ESMTPS"
    " id 4TX for <ci@lab.example>; Wed, 6 Sep 2023 09:00:01 +0000 (UTC)"
)
EVIL = POSTFIX.replace("mails.dpdk.org [217.70.189.124]", "unknown [203.0.113.9]")


TLS = (
    "(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519)"
    " (No client certificate requested)"
)


def greeted(words: str) -> str:
    """The field of a client elsewhere that greets with these words."""
    return EVIL.replace("from mails.dpdk.org", f"from {words}")


# A Received field, and the client's address that it tells.
RECEIVED: dict[str, tuple[str, str]] = {
    "Postfix": (POSTFIX, "217.70.189.124"),
    "Postfix with TLS": (
        POSTFIX.replace(" by ", f" {TLS} by "),
        "217.70.189.124",
    ),
    "IPv6": (POSTFIX.replace("[217.70.189.124]", "[IPv6:2001:db8::1]"), "2001:db8::1"),
    "Exim": (
        "from mails.dpdk.org ([217.70.189.124]) by mx.lab.example with esmtps (Exim 4.96) id 1q",
        "217.70.189.124",
    ),
    "Sendmail": (
        "from a (b [217.70.189.124] (may be forged)) by mx.lab.example (8.17/8.17) with ESMTP",
        "217.70.189.124",
    ),
    "another server": (POSTFIX.replace("mx.lab.example", "mx.evil.example"), ""),
    "an address as greeting": (greeted("[217.70.189.124]"), "203.0.113.9"),
    "a client as greeting": (greeted("a (b [217.70.189.124])"), "203.0.113.9"),
    "an open bracket as greeting": (greeted("a (b [217.70.189.124]) ("), "203.0.113.9"),
    "a clause as greeting": (greeted("a (b [217.70.189.124]) by mx.lab.example"), ""),
    "nothing": ("", ""),
    "brackets without end": ("from " + "(" * 1900, ""),
    "too long": ("from " + "a" * 3000 + POSTFIX, ""),
}


@pytest.mark.parametrize(("field", "client"), RECEIVED.values(), ids=RECEIVED)
def test_the_client_that_a_received_field_tells(field: str, client: str) -> None:
    assert received_from(field, ("MX.lab.example",)) == client


LOCAL, HOST, ELSEWHERE = "127.0.0.1", "217.70.189.124", "203.0.113.9"


def having(received: str, raw: bytes = OF_LIST) -> bytes:
    return f"Received: {received}\n".encode() + raw


# A mail, its source and peer, and whether it came by its list.
CAME: dict[str, tuple[bytes, str, str, bool]] = {
    "from the list's host": (OF_LIST, "smtp", HOST, True),
    "from a mapped address": (OF_LIST, "smtp", f"::ffff:{HOST}", True),
    "from elsewhere": (OF_LIST, "smtp", ELSEWHERE, False),
    "of another list": (reply(OURS, list_id="ci.dpdk.org"), "smtp", HOST, False),
    "of no list": (reply(OURS), "smtp", HOST, False),
    "from elsewhere, with a Received that it wrote": (having(POSTFIX), "smtp", ELSEWHERE, False),
    "by our own server": (having(POSTFIX), "pipe", "", True),
    "by our own server, from elsewhere": (having(EVIL), "pipe", "", False),
    "with the list's Received below": (having(EVIL, having(POSTFIX)), "pipe", "", False),
    "into the Maildir": (having(POSTFIX), "maildir 1.a", "", True),
    "by LMTP through a socket": (having(POSTFIX), "lmtp", "uid 102", True),
    "by our own server's SMTP": (having(POSTFIX), "smtp", LOCAL, True),
    "by HTTP": (having(POSTFIX), "http", HOST, False),
    "out of an archive": (having(POSTFIX), "replay a.mbox", "", False),
    "without any Received": (OF_LIST, "pipe", "", False),
}


@pytest.mark.parametrize(("raw", "source", "peer", "by_list"), CAME.values(), ids=CAME)
def test_who_came_by_the_list(raw: bytes, source: str, peer: str, by_list: bool) -> None:
    came = passage.of(raw, source, Envelope("a@example.org", (), peer), SETTINGS)
    assert came == ("list" if by_list else "")


def test_nothing_is_known_without_settings() -> None:
    envelope = Envelope("a@example.org", (), HOST)
    assert passage.of(OF_LIST, "smtp", envelope, tables.Settings()) == ""
    unnamed = tables.Settings(list={"dev": LIST})
    assert passage.of(having(POSTFIX), "pipe", Envelope(), unnamed) == ""
