# SPDX-License-Identifier: BSD-3-Clause
"""Whatever is done to a mail: what is proved of it is what was signed, and nothing is raised."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.config.policy_tables import PolicySettings
from ingest.errors import Unreadable
from ingest.ledger import Envelope
from ingest.mail import headers, message
from ingest.trust import verify
from tests.support.mailman import LIST_ID, footed, listed
from tests.support.mails import reply
from tests.support.signing import keys, sealed, signed

SENT = signed(reply("patch@example.org", list_id=LIST_ID))
SENT_ON = sealed(footed(listed(SENT)))
POLICY = PolicySettings(dkim=True, arc_sealers=("lists.example",))
ZONE = keys("example.org", "lists.example", "evil.example")
PIECES = (
    b"From: evil@evil.example\n",
    b"In-Reply-To: <other@example.org>\n",
    b"DKIM-Signature: v=1; d=example.org\n",
    b"ARC-Seal: i=2; cv=pass; d=lists.example\n",
    b"Recheck-request: more\n",
    b"\n\n",
    b"\r\n",
    b"\0",
    b" ",
    b";",
    b"=",
    b"i=2",
)
CHANGE = st.tuples(
    st.integers(0, 4000), st.integers(0, 40), st.sampled_from(PIECES) | st.binary(max_size=8)
)


def decides(raw: bytes) -> tuple[object, ...]:
    """What is decided by."""
    mail = message.parse(raw)
    return mail.text, mail.address, mail.candidates, mail.message_id, mail.date


def proof(raw: bytes) -> str:
    def lookup(name: str) -> bytes:
        return ZONE(f"{name}.") or b""

    return verify.author(raw, message.parse(raw), "smtp", Envelope(), POLICY, lookup)


@pytest.mark.slow
@pytest.mark.parametrize("genuine", [SENT, SENT_ON], ids=["signed", "sealed"])
@settings(max_examples=500, deadline=None)
@given(changes=st.lists(CHANGE, min_size=1, max_size=3))
def test_what_is_proved_is_what_was_signed(
    genuine: bytes, changes: list[tuple[int, int, bytes]]
) -> None:
    raw = genuine
    for at, length, piece in changes:
        place = at % (len(raw) + 1)
        raw = raw[:place] + piece + raw[place + length :]
    try:
        proved = proof(raw)
    except Unreadable:
        return
    if proved:
        assert decides(raw) == decides(genuine)


def test_the_genuine_ones_are_proved() -> None:
    assert (proof(SENT), proof(SENT_ON)) == ("dkim", "dkim")
    assert headers.list_id(headers.read(SENT_ON)) == LIST_ID
