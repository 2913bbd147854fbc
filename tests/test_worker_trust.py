# SPDX-License-Identifier: BSD-3-Clause
"""What is required of a mail before its request counts, through intake, worker and ledger."""

from collections.abc import Sequence

import pytest

from ingest import intake
from ingest.config.policy_tables import GroupSettings, ListSettings, PolicySettings
from ingest.ledger import Envelope, Ledger, Outcome
from ingest.mail.requester import Requester
from ingest.mail.trust import Trust
from tests.support.bad_server import Hell
from tests.support.clock import MINUTE
from tests.support.faults import OURS
from tests.support.lab import Lab, MakeLab, knows
from tests.support.mailman import LIST_ID, footed, listed, munged
from tests.support.mails import reply
from tests.support.signing import keys, name_server, sealed, signed

MAIL = reply(OURS, list_id="dev.dpdk.org")
LABEL = "iol-unit-amd64-testing"


def arrives(lab: Lab, raw: bytes, passage: str = "") -> intake.Receipt:
    return intake.accept(
        raw, "smtp", ledger=lab.ledger, now=lab.clock(), max_size=1 << 20, passage=passage,
        envelope=Envelope("robin@example.org", (), "203.0.113.9"),
    )  # fmt: skip


def outcomes(ledger: Ledger, name: str = "recheck@example.org") -> list[tuple[Outcome, str]]:
    return [(each.outcome, each.reason) for each in ledger.find(name)]


def contexts(lab: Lab) -> list[tuple[str, ...]]:
    return [request.contexts for request in lab.ledger.requests()]


def test_what_is_not_proved_is_named_and_asks_patchwork_nothing(
    hell: Hell, lab_at: MakeLab
) -> None:
    hell.route(knows())
    lab = lab_at(hell.url, policy=PolicySettings(require=("list", "authserv")))
    arrives(lab, MAIL)
    lab.works()
    assert outcomes(lab.ledger) == [
        (Outcome.REJECTED, "policy require: not proved of it: list, authserv")
    ]
    assert hell.seen == []


def test_a_copy_that_came_any_way_does_not_keep_out_the_one_by_the_list(
    hell: Hell, lab_at: MakeLab
) -> None:
    hell.route(knows())
    lab = lab_at(hell.url, policy=PolicySettings(require=("list",)))
    assert arrives(lab, MAIL) is intake.Receipt.QUEUED
    lab.works()
    assert arrives(lab, MAIL, "list") is intake.Receipt.QUEUED
    assert arrives(lab, MAIL, "list") is intake.Receipt.DUPLICATE
    assert arrives(lab, MAIL) is intake.Receipt.DUPLICATE
    lab.works()
    assert [outcome for outcome, _ in outcomes(lab.ledger)] == [Outcome.REJECTED, Outcome.DONE]
    (request,) = lab.ledger.requests()
    assert request.trust == Trust("list", "")


@pytest.mark.parametrize("first", ["", "list"])
def test_without_require_two_copies_run_nothing_twice(
    first: str, hell: Hell, lab_at: MakeLab
) -> None:
    hell.route(knows())
    lab = lab_at(hell.url)
    arrives(lab, MAIL, first)
    arrives(lab, MAIL, "" if first else "list")
    lab.works()
    assert contexts(lab) == [(LABEL,)]


def test_a_signature_is_verified_once_and_kept(hell: Hell, lab_at: MakeLab) -> None:
    hell.route(knows([]))
    asked: list[str] = []

    def zone(name: str) -> bytes | None:
        asked.append(name)
        return keys("example.org")(name)

    with name_server(zone) as server:
        policy = PolicySettings(require=("dkim",), dns=(server,))
        lab = lab_at(hell.url, policy=policy)
        arrives(lab, signed(MAIL))
        lab.works()
    assert len(asked) == 1
    # The key is gone, and Patchwork has the patch.
    hell.route(knows())
    lab.works_when_due()
    (request,) = lab.ledger.requests()
    assert request.trust == Trust("", "dkim")
    steps = [each.details for each in lab.record().story if each.what == "verified"]
    assert steps == [{"reason": "passage none, author dkim"}]


def test_dns_that_stalls_has_only_that_mail_wait(hell: Hell, lab_at: MakeLab) -> None:
    hell.route(knows())
    with name_server(None) as server:
        policy = PolicySettings(require=("dkim",), dns=(server,), dns_timeout=0.2)
        lab = lab_at(hell.url, policy=policy)
        arrives(lab, signed(MAIL))
        arrives(lab, reply(OURS, "unsigned@example.org"))
        lab.works()
        assert lab.waiting() == {"failing": 1}
        assert lab.outcome("unsigned@example.org") is Outcome.REJECTED
    with name_server(keys("example.org")) as server:
        lab = lab_at(hell.url, policy=PolicySettings(require=("dkim",), dns=(server,)))
        lab.clock.now += MINUTE * 2
        lab.works()
    assert contexts(lab) == [(LABEL,)]


def test_dns_that_stalls_holds_up_nothing_that_does_not_depend_on_it(
    hell: Hell, lab_at: MakeLab
) -> None:
    hell.route(knows())
    with name_server(None) as server:
        policy = PolicySettings(dkim=True, dns=(server,), dns_timeout=0.2)
        lab = lab_at(hell.url, policy=policy)
        arrives(lab, signed(MAIL))
        lab.works()
    (request,) = lab.ledger.requests()
    assert request.trust == Trust()


GROUPS = {
    "all": GroupSettings(senders=("anyone",), labels=("cheap",)),
    "robin": GroupSettings(senders=("robin@example.org",), labels=("dear",), require=("dkim",)),
}


@pytest.mark.parametrize(("is_signed", "granted"), [(True, ("cheap", "dear")), (False, ("cheap",))])
def test_who_is_of_a_group_must_prove_it(
    is_signed: bool, granted: Sequence[str], hell: Hell, lab_at: MakeLab
) -> None:
    hell.route(knows())
    raw = reply(OURS, body="Recheck-request: cheap, dear\n")
    with name_server(keys("example.org")) as server:
        lab = lab_at(hell.url, policy=PolicySettings(group=GROUPS, dns=(server,)))
        arrives(lab, signed(raw) if is_signed else raw)
        lab.works()
    assert contexts(lab) == [granted]


def test_unverified_mail_uses_up_nothing_of_a_verified_sender(hell: Hell, lab_at: MakeLab) -> None:
    hell.route(knows())
    with name_server(keys("example.org")) as server:
        policy = PolicySettings(
            dkim=True, dns=(server,), rate_sender=("1 per day",), rate=("2 per day",)
        )
        lab = lab_at(hell.url, policy=policy)
        for number in range(5):
            arrives(lab, reply(f"patch-{number}@example.org", f"forged-{number}@example.org"))
        lab.works()
        assert lab.ledger.totals().requests == 1
        arrives(lab, signed(reply(OURS, "genuine@example.org")))
        lab.works()
        assert lab.outcome("genuine@example.org") is Outcome.DONE
        # The verified one's count is his own.
        arrives(lab, signed(reply("patch-9@example.org", "another@example.org")))
        lab.works()
        assert lab.record("another@example.org").reason.startswith("policy rate_sender")


def test_no_mail_without_a_request_costs_a_look_at_dns(hell: Hell, lab_at: MakeLab) -> None:
    lab = lab_at(hell.url, policy=PolicySettings(require=("dkim",), dns=("127.0.0.1:1",)))
    arrives(lab, signed(reply(OURS, body="> Recheck-request: a\n")))
    lab.works()
    assert lab.outcome() is Outcome.IGNORED
    assert "verified" not in [each.what for each in lab.record().story]


DEV = {"dev": ListSettings(list_id=LIST_ID, hosts=("192.0.2.25",))}
BY_ROBIN = PolicySettings(senders=("robin@example.org",))


@pytest.mark.parametrize(
    ("came", "asks"),
    [
        ("list", [Requester("Robin Reviewer", "robin@example.org")]),
        ("", []),
        ("patchwork", []),
    ],
)
def test_a_from_that_the_list_has_replaced_is_undone_for_mail_of_the_list_alone(
    came: str, asks: list[Requester], hell: Hell, lab_at: MakeLab
) -> None:
    hell.route(knows())
    lab = lab_at(hell.url, policy=BY_ROBIN, list=DEV)
    arrives(lab, munged(listed(reply(OURS))), came)
    lab.works()
    assert [request.requester for request in lab.ledger.requests()] == asks


def test_what_the_lists_server_found_of_an_author_is_believed_through_footer_and_new_from(
    hell: Hell, lab_at: MakeLab
) -> None:
    hell.route(knows())
    raw = sealed(munged(footed(listed(signed(reply(OURS))))))
    with name_server(keys("example.org", "lists.example")) as server:
        policy = PolicySettings(
            require=("dkim",),
            arc_sealers=("lists.example",),
            dns=(server,),
            senders=("@example.org",),
        )
        lab = lab_at(hell.url, policy=policy, list=DEV)
        arrives(lab, raw, "list")
        arrives(lab, raw)
        lab.works()
    (request,) = lab.ledger.requests()
    assert (str(request.requester), request.trust) == (
        "Robin Reviewer <robin@example.org>",
        Trust("list", "dkim"),
    )
