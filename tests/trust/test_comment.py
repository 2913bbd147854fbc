# SPDX-License-Identifier: BSD-3-Clause
"""Passage by Patchwork: it has the mail as a comment by this sender on what the mail is about."""

from collections.abc import Iterator

import pytest

from ingest.config.policy_tables import GroupSettings, PolicySettings
from ingest.ledger import Filing, Outcome
from ingest.mail.trust import Trust
from ingest.sandbox import CI, Sandbox
from tests.support.clock import DAY, Clock
from tests.support.lab import Lab, MakeLab
from tests.support.mails import cover, patch, reply

REQUIRED = PolicySettings(require=("patchwork",))
PATCH, COVER, ONE = "patch@example.org", "cover@example.org", "one@example.org"
TO_PATCH = reply(PATCH, list_id=CI.list_id)
# Where Patchwork has filed it, as catching up finds out.
FILED = Filing("patch", 131182, 1)
NOT_YET = "policy require: Patchwork does not have it as a comment on patch 131182 yet"


@pytest.fixture(params=["1.4", "1.2", "1.1"])
def server(request: pytest.FixtureRequest, clock: Clock) -> Iterator[Sandbox]:
    """A Patchwork with a patch and a cover letter, of each age: comment events came with 1.3."""
    with Sandbox(api=request.param) as sandbox:
        sandbox.file(patch(PATCH, list_id=CI.list_id))
        sandbox.file(cover(COVER, list_id=CI.list_id))
        sandbox.file(patch(ONE, "[PATCH 1/1] a: fix", in_reply_to=COVER, list_id=CI.list_id))
        yield sandbox


@pytest.fixture
def lab(server: Sandbox, lab_at: MakeLab) -> Lab:
    return lab_at(server.url, policy=REQUIRED)


def test_a_mail_that_patchwork_has_is_believed_at_once(lab: Lab, server: Sandbox) -> None:
    server.file(TO_PATCH)
    lab.arrives(TO_PATCH)
    lab.works()
    (request,) = lab.ledger.requests()
    assert request.trust == Trust("patchwork")


def test_a_comment_on_a_cover_letter_counts_as_well(lab: Lab, server: Sandbox) -> None:
    raw = reply(COVER, list_id=CI.list_id, subject="Re: [PATCH 0/1] a: fix it")
    server.file(raw)
    lab.arrives(raw)
    lab.works()
    (request,) = lab.ledger.requests()
    assert request.trust == Trust("patchwork")


def test_patchwork_may_take_its_time(lab: Lab, server: Sandbox) -> None:
    lab.arrives(TO_PATCH)
    begun = lab.clock()
    tried: list[float] = []
    for _ in range(6):
        lab.works_when_due() if tried else lab.works()
        tried.append(lab.clock() - begun)
        assert lab.record().reason == NOT_YET
    assert tried == [0, 10, 30, 60, 120, 180]
    server.file(TO_PATCH)
    lab.works_when_due()
    assert lab.outcome() is Outcome.DONE


def test_a_mail_that_patchwork_never_has_is_given_up_after_a_day(lab: Lab) -> None:
    lab.arrives(TO_PATCH)
    lab.works_until(lab.clock() + 2 * DAY)
    record = lab.record()
    assert (record.outcome, record.reason) == (Outcome.UNRESOLVED, f"gave up: {NOT_YET}")


# What Patchwork has under the Message-ID of the mail that asks in Robin's name.
FORGED = {
    "another sender": TO_PATCH.replace(b"robin@", b"evil@"),
    "another text": TO_PATCH.replace(b"iol-unit-amd64-testing", b"iol-cheap"),
    "another text besides": TO_PATCH + b"Thanks.\n",
    "another patch": reply(ONE, list_id=CI.list_id),
}


@pytest.mark.parametrize("known", FORGED.values(), ids=FORGED)
def test_another_comment_of_its_message_id_proves_nothing(
    known: bytes, lab: Lab, server: Sandbox
) -> None:
    server.file(known)
    lab.arrives(TO_PATCH)
    lab.works()
    assert lab.record().reason == NOT_YET


def test_what_catching_up_has_found_costs_no_question(server: Sandbox, lab_at: MakeLab) -> None:
    free = lab_at(server.url)
    free.arrives(reply(PATCH, "before@example.org", list_id=CI.list_id))
    free.works()
    asked = len(server.requests)
    lab = lab_at(server.url, policy=REQUIRED)
    server.file(TO_PATCH)
    lab.arrives(TO_PATCH)
    [mail] = lab.ledger.find("recheck@example.org")
    lab.ledger.file(mail.id, FILED, lab.clock())
    lab.works()
    assert lab.outcome() is Outcome.DONE
    assert [seen for seen in server.requests[asked:] if "comments" in seen.path] == []


GROUPS = PolicySettings(
    group={
        "all": GroupSettings(senders=("anyone",), labels=("cheap",)),
        "robin": GroupSettings(senders=("robin@example.org",), require=("patchwork",)),
    }
)


@pytest.mark.parametrize(("label", "asks"), [("cheap", 0), ("dear", 1)])
def test_a_group_that_requires_it_costs_a_question_only_where_it_gives_more(
    label: str, asks: int, server: Sandbox, lab_at: MakeLab
) -> None:
    raw = reply(PATCH, list_id=CI.list_id, body=f"Recheck-request: {label}\n")
    server.file(raw)
    lab = lab_at(server.url, policy=GROUPS)
    lab.arrives(raw)
    lab.works()
    (request,) = lab.ledger.requests()
    assert request.contexts == (label,)
    assert sum("/comments/" in seen.path for seen in server.requests) == asks


def test_both_ways_are_kept() -> None:
    assert Trust("list").by("patchwork") == Trust("list patchwork")
    assert Trust("list patchwork", "dkim").lacks(("list", "patchwork", "dkim")) == []
    assert Trust("patchwork").by("patchwork") == Trust("patchwork")
