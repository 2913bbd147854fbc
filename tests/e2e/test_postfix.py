# SPDX-License-Identifier: BSD-3-Clause
"""Mail that a real Postfix gets by SMTP reaches the retest JSON; nothing is lost or bounced."""

import pytest

from ingest.ledger import Envelope, Outcome
from tests.e2e.conftest import Lab, request
from tests.support.breakages import BREAKAGES, Breakage, hanging
from tests.support.parts import eventually
from tests.support.postfix import DOMAIN, LIST, Postfix

SERIES = "29430"
# The alias pipe of aliases.example, and pipe(8) of contrib/postfix.
WAYS = ["recheck", "pipe"]


@pytest.mark.parametrize("user", WAYS)
def test_a_mail_reaches_the_retest_json(postfix: Postfix, lab: Lab, user: str) -> None:
    mail = postfix.send(user, request("iol-a"))
    assert postfix.fate(mail) == "sent"
    assert lab.retests() == {SERIES: ["iol-a"]}


@pytest.mark.parametrize("user", WAYS)
def test_the_envelope_is_kept(postfix: Postfix, lab: Lab, user: str) -> None:
    assert postfix.fate(postfix.send(user, request("iol-a"))) == "sent"
    (kept,) = lab.mails("iol-a")
    sender = {"recheck": f"owner-recheck@mail.{DOMAIN}", "pipe": LIST}[user]
    assert kept.envelope == Envelope(sender, (f"{user}@{DOMAIN}",))


def test_a_bounce_is_ignored(postfix: Postfix, lab: Lab) -> None:
    # Of an alias with an owner, Postfix makes the owner the sender of bounces, too.
    assert postfix.fate(postfix.send("pipe", request("iol-a"), sender="")) == "sent"
    assert [mail.outcome for mail in lab.mails("iol-a")] == [Outcome.IGNORED]
    assert lab.retests() == {}


@pytest.mark.parametrize("user", WAYS)
@pytest.mark.parametrize("breakage", BREAKAGES.values(), ids=BREAKAGES.keys())
def test_postfix_keeps_the_mail_while(
    postfix: Postfix, lab: Lab, breakage: Breakage, user: str
) -> None:
    with breakage(lab):
        mail = postfix.send(user, request("iol-a"))
        assert postfix.fate(mail) == "deferred"
        assert mail in postfix.queue()
        assert lab.retests() == {}
    postfix.flush()
    assert postfix.fate(mail, attempt=2) == "sent"
    assert lab.retests() == {SERIES: ["iol-a"]}
    eventually(lambda: mail not in postfix.queue(), "the mail has left the queue")
    assert postfix.bounces() == []


def test_postfix_keeps_the_mail_while_the_program_hangs(postfix: Postfix, lab: Lab) -> None:
    labels = {"hasty": "iol-a", "hasty-pipe": "iol-b"}
    with hanging(lab):
        mails = [postfix.send(user, request(label)) for user, label in labels.items()]
        assert [postfix.fate(mail) for mail in mails] == ["deferred", "deferred"]
    postfix.flush()
    assert [postfix.fate(mail, attempt=2) for mail in mails] == ["sent", "sent"]
    # The one of the two that comes first works off both.
    wanted = {SERIES: sorted(labels.values())}
    eventually(lambda: lab.retests() == wanted, "the requests are in the retest JSON")
    assert postfix.bounces() == []


def test_two_deliveries_of_one_mail_are_one(postfix: Postfix, lab: Lab) -> None:
    # Two copies, as local(8) may make them when it is stopped between delivery and its note of it.
    for _ in range(2):
        assert postfix.fate(postfix.send("recheck", request("iol-a"))) == "sent"
    assert [mail.outcome for mail in lab.mails("iol-a")] == [Outcome.DONE]


def test_a_bounce_would_be_seen_here(postfix: Postfix, lab: Lab) -> None:
    # What the other tests rely on: this alias fails without deferral.
    mail = postfix.send("careless", request("iol-a"))
    assert postfix.fate(mail) == "bounced"
    (bounce,) = eventually(postfix.bounces, "the list gets a bounce")
    assert "Undelivered Mail Returned to Sender" in bounce
    postfix.list_mail.unlink()
