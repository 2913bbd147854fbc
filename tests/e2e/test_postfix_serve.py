# SPDX-License-Identifier: BSD-3-Clause
"""Mail that a real Postfix hands to ``serve``: by LMTP over a Unix socket, and by a Maildir."""

from ingest.ledger import Outcome
from tests.e2e.conftest import Lab, request
from tests.support.breakages import no_state
from tests.support.parts import eventually
from tests.support.postfix import DOMAIN, LIST, Postfix

DONE = {"29430": ["iol-a"]}


def test_a_mail_reaches_the_retest_json_by_lmtp(postfix: Postfix, lab: Lab) -> None:
    with lab.serving():
        assert postfix.fate(postfix.send("lmtp", request("iol-a"))) == "sent"
        # Accepted means durable: it is in the ledger before Postfix forgets it.
        (kept,) = lab.mails("iol-a")
        eventually(lambda: lab.retests() == DONE, "the request is in the retest JSON")
    assert (kept.envelope.sender, kept.envelope.recipients) == (LIST, (f"lmtp@{DOMAIN}",))


def test_a_mail_reaches_the_retest_json_by_maildir(postfix: Postfix, lab: Lab) -> None:
    with lab.serving():
        assert postfix.fate(postfix.send("maildir", request("iol-a"))) == "sent"
        eventually(lambda: lab.retests() == DONE, "the request is in the retest JSON")
    assert list((lab.paths.spool / "new").iterdir()) == []
    assert [mail.name[-4:] for mail in (lab.paths.spool / "cur").iterdir()] == [":2,S"]


def test_postfix_keeps_the_mail_while_nobody_listens_for_lmtp(postfix: Postfix, lab: Lab) -> None:
    mail = postfix.send("lmtp", request("iol-a"))
    assert postfix.fate(mail) == "deferred"
    assert mail in postfix.queue()
    with lab.serving():
        postfix.flush()
        assert postfix.fate(mail, attempt=2) == "sent"
        eventually(lambda: lab.retests() == DONE, "the request is in the retest JSON")
    assert postfix.bounces() == []


def test_postfix_keeps_the_mail_while_serve_cannot_store_it(postfix: Postfix, lab: Lab) -> None:
    with lab.serving():
        with no_state(lab):
            mail = postfix.send("lmtp", request("iol-a"))
            assert postfix.fate(mail) == "deferred"
        postfix.flush()
        assert postfix.fate(mail, attempt=2) == "sent"
        eventually(lambda: lab.retests() == DONE, "the request is in the retest JSON")
    assert postfix.bounces() == []


def test_a_mail_waits_in_the_maildir_until_serve_comes(postfix: Postfix, lab: Lab) -> None:
    assert postfix.fate(postfix.send("maildir", request("iol-a"))) == "sent"
    assert len(list((lab.paths.spool / "new").iterdir())) == 1
    with lab.serving():
        eventually(lambda: lab.retests() == DONE, "the request is in the retest JSON")


def test_a_mail_that_serve_may_not_read_is_set_aside(postfix: Postfix, lab: Lab) -> None:
    foreign = lab.paths.spool / "new" / "0.foreign"
    foreign.write_bytes(request("iol-b"))
    foreign.chmod(0o600)
    with lab.serving():
        eventually(lambda: not foreign.exists(), "the mail is set aside")
        assert postfix.fate(postfix.send("maildir", request("iol-a"))) == "sent"
        eventually(lambda: lab.retests() == DONE, "the request is in the retest JSON")
    assert (lab.paths.spool / ".unreadable" / "0.foreign").read_bytes() == request("iol-b")


def test_a_mail_that_comes_by_every_way_is_one_request(postfix: Postfix, lab: Lab) -> None:
    with lab.serving():
        for user in ("recheck", "pipe", "lmtp", "maildir"):
            assert postfix.fate(postfix.send(user, request("iol-a"))) == "sent"
        eventually(lambda: not list((lab.paths.spool / "new").iterdir()), "the Maildir is empty")
        eventually(lambda: lab.retests() == DONE, "the request is in the retest JSON")
        (mail,) = lab.mails("iol-a")
    assert mail.outcome is Outcome.DONE
    assert len(mail.requests) == 1
