# SPDX-License-Identifier: BSD-3-Clause
"""What a policy would have done with the requests of the past."""

from typing import Any

from ingest.config.policy_tables import GroupSettings, PolicySettings
from ingest.ledger import Request, Submission
from ingest.mail.requester import Requester
from ingest.mail.trust import Trust
from ingest.policy.trial import Judged, tried

NOON = 1_700_000_000.0


def asked(number: int, name: str = "robin", **other: Any) -> Request:
    values: dict[str, Any] = {
        "number": number,
        "mail_id": number,
        "message_id": f"{number}@example.org",
        "series": number,
        "submission": Submission("patch", 1),
        "project": "dpdk",
        "contexts": ("iol-a", "dear"),
        "arguments": {},
        "leftovers": (),
        "requester": Requester("", f"{name}@example.org"),
        "subject": "",
        "date": NOON,
        "recorded": NOON + number,
    }
    return Request(**{**values, **other})


def judged(policy: PolicySettings, *requests: Request) -> list[Judged]:
    return list(tried(requests, policy, lambda request: "dev.dpdk.org"))


def test_without_a_policy_all_is_accepted() -> None:
    assert judged(PolicySettings(), asked(1)) == [Judged(asked(1))]


def test_each_rule_is_named() -> None:
    cases = {
        "policy lists: it came by the list dev.dpdk.org": PolicySettings(lists=("ci.dpdk.org",)),
        "policy projects: it is for project dpdk": PolicySettings(projects=("ci",)),
        "policy require: not proved of it: dkim": PolicySettings(require=("list", "dkim")),
        "policy senders: robin@example.org may not ask for iol-a, dear": PolicySettings(
            senders=("alex@example.org",)
        ),
    }
    for reason, policy in cases.items():
        assert judged(policy, asked(1, trust=Trust("list"))) == [
            Judged(asked(1, trust=Trust("list")), reason)
        ]


def test_labels_that_would_have_been_left_out_are_named() -> None:
    policy = PolicySettings(group={"a": GroupSettings(senders=("anyone",), labels=("iol-*",))})
    (one,) = judged(policy, asked(1))
    assert (one.left, one.depends) == (("dear",), False)
    assert one.reason == "policy senders: robin@example.org may not ask for all of it"


def test_what_depends_on_how_the_patch_stood_is_told_as_such() -> None:
    (one,) = judged(PolicySettings(senders=("submitter",)), asked(1))
    assert one.depends
    (sure,) = judged(PolicySettings(senders=("submitter", "@example.org")), asked(1))
    assert (sure.depends, sure.reason) == (False, "")


def test_rates_count_what_the_policy_lets_through() -> None:
    policy = PolicySettings(senders=("robin@example.org",), rate_sender=("2 per hour",))
    requests = [asked(1, "alex"), asked(2), asked(3), asked(4), asked(4000)]
    reasons = [each.reason.partition(":")[0] for each in judged(policy, *requests)]
    assert reasons == ["policy senders", "", "", "policy rate_sender", ""]


def test_unproved_requests_use_up_nothing_of_a_proved_sender() -> None:
    policy = PolicySettings(rate_sender=("1 per hour",))
    requests = [asked(1), asked(2, trust=Trust("", "dkim")), asked(3, trust=Trust("", "dkim"))]
    assert [bool(each.reason) for each in judged(policy, *requests)] == [False, False, True]


def test_unproved_requests_leave_half_of_the_overall_rate() -> None:
    policy = PolicySettings(rate=("2 per hour",), dkim=True)
    requests = [
        asked(1),
        asked(2, "alex"),
        asked(3, "kim", trust=Trust("", "dkim")),
        asked(4, "sam", trust=Trust("", "dkim")),
    ]
    assert [bool(each.reason) for each in judged(policy, *requests)] == [False, True, False, True]


def test_whether_patchwork_had_a_mail_is_told_as_something_that_depends() -> None:
    (one,) = judged(PolicySettings(require=("patchwork",)), asked(1))
    assert (one.depends, one.reason) == (True, "policy require: not proved of it: patchwork")
    (sure,) = judged(PolicySettings(require=("patchwork",)), asked(1, trust=Trust("patchwork")))
    assert (sure.depends, sure.reason) == (False, "")


def test_what_came_out_of_an_archive_is_no_matter_of_rates() -> None:
    policy = PolicySettings(rate=("1 per hour",))
    requests = [asked(1, rated=False), asked(2, rated=False), asked(3), asked(4)]
    assert [bool(each.reason) for each in judged(policy, *requests)] == [False, False, False, True]


def test_series_of_one_number_on_two_servers_are_two() -> None:
    policy = PolicySettings(rate_series=("1 per hour",))
    requests = [asked(1, series=7), asked(2, series=7, server="fdo"), asked(3, series=7)]
    assert [bool(each.reason) for each in judged(policy, *requests)] == [False, False, True]
