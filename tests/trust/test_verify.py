# SPDX-License-Identifier: BSD-3-Clause
"""What is required must be possible, and a From that is not one sender's proves nothing."""

import pytest

from ingest.config import tables
from ingest.config.policy_tables import GroupSettings, ListSettings, PolicySettings
from ingest.ledger import Envelope
from ingest.mail import message
from ingest.trust import verify
from tests.support.faults import OURS
from tests.support.mails import reply
from tests.support.signing import keys, signed

GROUP = {"a": GroupSettings(senders=("anyone",), require=("list",))}

NOBODY = (
    '"list" is required, but [policy] received_by is empty: of mail that our own mail'
    " server hands over nobody knows the way"
)
LISTS = {"a": ListSettings(list_id="a.example.org", hosts=("192.0.2.1",))}

# Settings, and what is told of each.
PROBLEMS: dict[str, tuple[tables.Settings, list[str]]] = {
    "nothing": (tables.Settings(), []),
    "DKIM, which is installed here": (
        tables.Settings(policy=PolicySettings(require=("dkim",))),
        [],
    ),
    "a list": (
        tables.Settings(policy=PolicySettings(group=GROUP)),
        ['"list" is required, but no [list.NAME] says where a list\'s mail comes from'],
    ),
    "a list that is there": (
        tables.Settings(policy=PolicySettings(group=GROUP, received_by=("mx",)), list=LISTS),
        [],
    ),
    "a list that sends to us": (
        tables.Settings(
            policy=PolicySettings(group=GROUP),
            list=LISTS,
            smtp=tables.SmtpSettings(listen=("192.0.2.1:25",)),
        ),
        [],
    ),
    "a list that nobody tells of": (
        tables.Settings(policy=PolicySettings(group=GROUP), list=LISTS),
        [
            NOBODY,
        ],
    ),
    "our server": (
        tables.Settings(policy=PolicySettings(require=("authserv",))),
        ['"authserv" is required, but [policy] authserv names no server'],
    ),
}


@pytest.mark.parametrize(("settings", "told"), PROBLEMS.values(), ids=PROBLEMS)
def test_what_can_never_be_proved_is_told(settings: tables.Settings, told: list[str]) -> None:
    assert verify.problems(settings) == told


PASS = b"Authentication-Results: mx.lab.example; dkim=pass header.d=example.org\n"


def proof(raw: bytes, source: str = "pipe", peer: str = "") -> str:
    policy = PolicySettings(dkim=True, authserv=("MX.lab.example",))
    envelope = Envelope("robin@example.org", (), peer)
    mail, zone = message.parse(raw), keys("example.org")
    return verify.author(raw, mail, source, envelope, policy, lambda name: zone(f"{name}.") or b"")


def test_each_proof_counts() -> None:
    assert proof(PASS + signed(reply(OURS))) == "dkim authserv"
    assert proof(signed(reply(OURS))) == "dkim"
    assert proof(PASS + reply(OURS)) == "authserv"
    assert proof(reply(OURS)) == ""


@pytest.mark.parametrize(
    ("source", "peer", "believed"),
    [("smtp", "203.0.113.9", ""), ("smtp", "127.0.0.1", "authserv"), ("http", "", "")],
)
def test_only_what_our_own_server_hands_over_speaks_for_it(
    source: str, peer: str, believed: str
) -> None:
    assert proof(PASS + reply(OURS), source, peer) == believed


def test_a_mail_with_two_from_fields_proves_nothing() -> None:
    assert proof(PASS + b"From: alex@example.org\n" + reply(OURS)) == ""


def test_a_from_that_the_list_has_replaced_proves_nothing() -> None:
    raw = reply(OURS, list_id="dev.example.org")
    raw = raw.replace(b"Robin Reviewer <robin@", b"Robin via dev <dev@")
    assert proof(PASS + raw) == ""
