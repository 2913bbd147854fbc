# SPDX-License-Identifier: BSD-3-Clause
"""What a policy does to mails that a worker works on, with a Patchwork that tells how a patch
stands."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from ingest.config.policy_tables import GroupSettings, PolicySettings
from ingest.config.sink_tables import WebhookSettings
from ingest.ledger import Outcome
from tests.support.bad_server import Answer, Hell, Seen, patch_row, rows, text
from tests.support.clock import HOUR
from tests.support.faults import OURS
from tests.support.lab import MakeLab, replies
from tests.support.mails import reply

MAINTAINED = (
    '[{"link_name": "ci", "list_id": "ci.dpdk.org",'
    ' "maintainers": [{"email": "Maintainer@example.org"}]}]'
)


def stands(**standing: Any) -> Callable[[Seen], Answer | None]:
    """A Patchwork whose every patch stands so."""

    def route(seen: Seen) -> Answer | None:
        if seen.path == "/api/projects/":
            return text(MAINTAINED)
        asked = seen.query.get("msgid", [""])[0]
        if seen.path == "/api/patches/" and asked:
            return rows(patch_row(asked, **standing))
        return None if seen.path == "/api/" else rows()

    return route


ROBIN, ALEX = {"email": "robin@example.org"}, {"email": "alex@example.org"}
SUPERSEDED = PolicySettings(states=("superseded", "archived"))
BY_ROLE = PolicySettings(senders=("submitter", "maintainer"))

# A policy, how the patch stands, and what becomes of Robin's request.
DECIDED: dict[str, tuple[PolicySettings, dict[str, Any], str]] = {
    "no policy": (PolicySettings(), {"state": "superseded"}, ""),
    "a new patch": (SUPERSEDED, {"state": "new", "archived": False}, ""),
    "a superseded patch": (
        SUPERSEDED,
        {"state": "superseded"},
        "policy states: the patch is superseded",
    ),
    "an archived patch": (
        SUPERSEDED,
        {"state": "new", "archived": True},
        "policy states: the patch is archived",
    ),
    "a state that is no text": (SUPERSEDED, {"state": ["superseded"]}, ""),
    "the submitter": (BY_ROLE, {"submitter": ROBIN}, ""),
    "the delegate": (BY_ROLE, {"submitter": ALEX, "delegate": ROBIN}, ""),
    "somebody else": (
        BY_ROLE,
        {"submitter": ALEX, "delegate": ALEX},
        "policy senders: Robin Reviewer <robin@example.org> may not ask for iol-unit-amd64-testing",
    ),
    "another list": (
        PolicySettings(lists=("dev.dpdk.org",)),
        {},
        "policy lists: it came by no list",
    ),
    "another project": (
        PolicySettings(projects=("dpdk",)),
        {},
        "policy projects: it is for project ci",
    ),
}


@pytest.mark.parametrize(("policy", "standing", "reason"), DECIDED.values(), ids=DECIDED)
def test_a_policy_rejects_with_its_rule_in_the_reason(
    policy: PolicySettings, standing: dict[str, Any], reason: str, hell: Hell, lab_at: MakeLab
) -> None:
    hell.route(stands(**standing))
    lab = lab_at(hell.url, policy=policy)
    lab.arrives(reply(OURS))
    lab.works()
    record = lab.record()
    assert record.outcome is (Outcome.REJECTED if reason else Outcome.DONE)
    assert len(record.requests) == (0 if reason else 1)
    assert (record.reason == reason) if reason else record.requests[0].series == 29430


def test_the_maintainer_of_the_project_may_ask(hell: Hell, lab_at: MakeLab) -> None:
    hell.route(stands(submitter=ALEX))
    lab = lab_at(hell.url, policy=BY_ROLE)
    lab.arrives(reply(OURS).replace(b"robin@example.org", b"maintainer@example.org"))
    lab.works()
    assert lab.outcome() is Outcome.DONE


def test_labels_that_the_sender_may_not_ask_for_are_told(hell: Hell, lab_at: MakeLab) -> None:
    hell.route(stands())
    group = GroupSettings(senders=("@example.org",), labels=("iol-*",))
    lab = lab_at(hell.url, policy=PolicySettings(group={"friends": group}))
    lab.arrives(reply(OURS, body="Recheck-request: iol-a, dear\n"))
    lab.works()
    (request,) = lab.record().requests
    assert (request.contexts, request.leftovers) == (
        ("iol-a",),
        ("dear (policy senders: its sender may not ask for it)",),
    )


def test_no_policy_and_no_rule_about_patches_cost_a_further_question(
    hell: Hell, lab_at: MakeLab
) -> None:
    hell.route(stands(state="new", submitter=ROBIN))
    for policy in (PolicySettings(), PolicySettings(senders=("anyone",)), SUPERSEDED):
        lab = lab_at(hell.url, policy=policy)
        before = len(hell.seen)
        name = f"{before}@example.org"
        lab.arrives(reply(f"patch-{before}@example.org", name))
        lab.works()
        assert lab.outcome(name) is Outcome.DONE
        projects = policy is SUPERSEDED  # once a day, for the maintainers
        assert len(hell.seen) - before == 1 + projects


def test_a_patch_that_was_superseded_since_it_was_found_is_asked_for_again(
    hell: Hell, lab_at: MakeLab
) -> None:
    lab = lab_at(hell.url, policy=SUPERSEDED)
    hell.route(stands(state="new"))
    lab.arrives(reply(OURS, "first@example.org"))
    lab.works()
    lab.clock.now += HOUR

    def later(seen: Seen) -> Answer | None:
        if seen.path == "/api/patches/131182/":
            return text(json.dumps(patch_row(OURS, state="superseded")))
        return stands(state="superseded")(seen)

    hell.route(later)
    lab.arrives(reply(OURS, "second@example.org", body="Recheck-request: iol-b\n"))
    lab.works()
    assert lab.outcome("first@example.org") is Outcome.DONE
    assert lab.record("second@example.org").reason == "policy states: the patch is superseded"


def test_a_series_whose_patches_are_all_superseded_is_not_tested(
    hell: Hell, lab_at: MakeLab
) -> None:
    series = {"series": [{"id": 29430, "version": 1}]}

    def route(seen: Seen) -> Answer | None:
        if seen.path == "/api/covers/" and seen.query.get("msgid"):
            return rows(patch_row(seen.query["msgid"][0]))
        if seen.path == "/api/patches/" and seen.query.get("series") == ["29430"]:
            other = patch_row("c@example.org", state="new", series=[{"id": 1}])
            return rows(
                patch_row("a@example.org", state="superseded", **series),
                patch_row("b@example.org", state="superseded", **series),
                other,  # a filter that is ignored
            )
        return stands()(seen) if seen.path == "/api/projects/" else rows()

    hell.route(route)
    lab = lab_at(hell.url, policy=SUPERSEDED)
    lab.arrives(reply("cover@example.org", subject="Re: [PATCH 0/2] a: fix it"))
    lab.works()
    assert lab.record().reason == "policy states: the patch is superseded"


# What is there of the same title, and what the reason says of it.
NEWER: dict[str, tuple[list[dict[str, Any]], str]] = {
    "nothing": ([], ""),
    "two newer ones": (
        [{"series": [{"id": 29512}]}, {"series": [{"id": 29601}]}],
        "; the newer series is 29601",
    ),
    "this one": ([{"series": [{"id": 29430}]}], ""),
    "an older one": ([{"series": [{"id": 29000}]}], ""),
    "somebody else's": ([{"series": [{"id": 29601}], "submitter": ROBIN}], ""),
    "of no series": ([{"series": []}], ""),
}


@pytest.mark.parametrize(("titled", "told"), NEWER.values(), ids=NEWER)
def test_the_series_that_replaces_a_superseded_one_is_named(
    titled: list[dict[str, Any]], told: str, hell: Hell, lab_at: MakeLab
) -> None:
    def route(seen: Seen) -> Answer | None:
        if seen.path == "/api/patches/" and seen.query.get("q") == ["a: fix it"]:
            newer = {"submitter": ALEX}
            return rows(*(patch_row(f"{n}@b", **{**newer, **t}) for n, t in enumerate(titled)))
        return stands(state="superseded", submitter=ALEX)(seen)

    hell.route(route)
    lab = lab_at(hell.url, policy=SUPERSEDED)
    lab.arrives(reply(OURS))
    lab.works()
    assert lab.record().reason == f"policy states: the patch is superseded{told}"


@pytest.mark.parametrize(("questions", "told"), [(2, "; the newer series is 29601"), (1, "")])
def test_the_newer_series_is_not_worth_more_questions_than_a_mail_may_cost(
    questions: int, told: str, hell: Hell, lab_at: MakeLab
) -> None:
    def route(seen: Seen) -> Answer | None:
        if seen.path == "/api/patches/" and seen.query.get("q"):
            return rows(patch_row("v2@b", submitter=ALEX, series=[{"id": 29601}]))
        return stands(state="superseded", submitter=ALEX)(seen)

    hell.route(route)
    lab = lab_at(hell.url, policy=SUPERSEDED, questions=questions)
    lab.arrives(reply(OURS))
    lab.works()
    assert lab.record().reason == f"policy states: the patch is superseded{told}"


@pytest.mark.slow
def test_a_hundred_requests_of_one_sender_leave_room_for_another(
    hell: Hell, lab_at: MakeLab
) -> None:
    hell.route(stands())
    lab = lab_at(hell.url, policy=PolicySettings(rate_sender=("5 per hour",)))
    lab.arrives(*replies(100))
    other = reply("patch-0@example.org", "other@example.org", body="Recheck-request: iol-b\n")
    lab.arrives(other.replace(b"robin@", b"alex@"))
    lab.works()
    assert lab.outcome("other@example.org") is Outcome.DONE
    totals = lab.ledger.totals()
    assert (totals.mails["done"], totals.mails["rejected"]) == (6, 95)
    # And an hour later the first sender may ask again.
    lab.clock.now += HOUR + 1
    lab.arrives(reply(OURS, "later@example.org"))
    lab.works()
    assert lab.outcome("later@example.org") is Outcome.DONE


@pytest.mark.slow
def test_a_hundred_senders_who_ask_for_one_series_get_few_runs(hell: Hell, lab_at: MakeLab) -> None:
    hell.route(stands())
    lab = lab_at(hell.url, policy=PolicySettings(rate_series=("3 per day",)))
    lab.arrives(
        *(
            reply(OURS, f"{n}@example.org").replace(b"robin@", f"robin-{n}@".encode())
            for n in range(100)
        )
    )
    lab.works()
    assert lab.ledger.totals().requests == 3
    reasons = {
        record.reason.partition(";")[0]
        for n in range(100)
        for record in lab.ledger.find(f"{n}@example.org")
        if record.outcome is Outcome.REJECTED
    }
    assert reasons == {"policy rate_series: there were 3 per day for series 29430 already"}


def test_a_clock_that_was_set_back_keeps_nobody_out_for_longer_than_the_rate_says(
    hell: Hell, lab_at: MakeLab
) -> None:
    hell.route(stands())
    lab = lab_at(hell.url, policy=PolicySettings(rate=("1 per hour",)))
    lab.arrives(reply(OURS, "first@example.org"))
    lab.works()
    lab.clock.now -= 1000 * HOUR
    lab.arrives(reply(OURS, "second@example.org", body="Recheck-request: iol-b\n"))
    lab.works()
    assert lab.outcome("second@example.org") is Outcome.DONE


@pytest.mark.parametrize(
    ("standing", "delegates"),
    [({"delegate": {"email": "Robin@example.org"}}, ("robin@example.org",)), ({}, ())],
)
def test_whose_a_patch_is_is_recorded_if_a_sink_is_for_delegates(
    standing: dict[str, Any], delegates: tuple[str, ...], hell: Hell, lab_at: MakeLab
) -> None:
    hell.route(stands(**standing))
    hook = WebhookSettings(url="http://127.0.0.1:9", delegates=("robin@example.org",))
    lab = lab_at(hell.url, webhook={"lab": hook})
    lab.arrives(reply(OURS))
    lab.works()
    (request,) = lab.ledger.requests()
    assert request.delegates == delegates
