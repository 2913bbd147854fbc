# SPDX-License-Identifier: BSD-3-Clause
"""Who may ask for what: each rule by itself."""

from collections.abc import Sequence

import pytest

from ingest.config.policy_tables import GroupSettings, PolicySettings
from ingest.mail.recheck import Recheck
from ingest.mail.requester import Requester
from ingest.policy import rules
from ingest.policy.rules import Standing

ROBIN = Requester("Robin Reviewer", "Robin@example.org")
BY_LIST = Requester("Robin Reviewer", of_list="dev@dpdk.org")
WANTED = Recheck(("iol-a-Performance", "iol-b"), {"rebase": "main"}, ("x",))
ALL = GroupSettings(senders=("anyone",))


def may(
    policy: PolicySettings,
    asks: Requester = ROBIN,
    standing: Standing = Standing(),  # noqa: B008  frozen
    wanted: Recheck = WANTED,
) -> tuple[str, ...] | None:
    """The labels that remain, None if the request is rejected."""
    kept, _ = rules.by_sender(policy, asks, standing, wanted)
    return kept.contexts if kept is not None else None


OF_ROBIN = Standing(submitter="robin@example.org")
IN_CHARGE = Standing(maintainers=frozenset(["robin@example.org"]))

# A list of senders, who asks, how the patch stands, and whether that is one of them.
SENDERS: dict[str, tuple[tuple[str, ...], Requester, Standing, bool]] = {
    "anyone": (("anyone",), ROBIN, Standing(), True),
    "anyone by way of the list": (("anyone",), BY_LIST, Standing(), True),
    "an address in any case": (("robin@example.org",), ROBIN, Standing(), True),
    "another address": (("alex@example.org",), ROBIN, Standing(), False),
    "an address that begins with it": (("obin@example.org",), ROBIN, Standing(), False),
    "a domain": (("@example.org",), ROBIN, Standing(), True),
    "the end of a domain": (("@ample.org",), ROBIN, Standing(), False),
    "a domain above": (("@org",), ROBIN, Standing(), False),
    "the list's own domain": (("@dpdk.org",), BY_LIST, Standing(), False),
    "the submitter": (("submitter",), ROBIN, OF_ROBIN, True),
    "the submitter, who is unknown": (("submitter",), BY_LIST, Standing(), False),
    "a maintainer": (("maintainer",), ROBIN, IN_CHARGE, True),
    "no maintainer": (("maintainer",), ROBIN, OF_ROBIN, False),
    "an address that is the word": (("submitter",), Requester("", "submitter"), OF_ROBIN, False),
}


@pytest.mark.parametrize(("senders", "asks", "standing", "is_one"), SENDERS.values(), ids=SENDERS)
def test_who_is_one_of_the_senders(
    senders: tuple[str, ...], asks: Requester, standing: Standing, is_one: bool
) -> None:
    policy = PolicySettings(senders=senders)
    assert may(policy, asks, standing) == (WANTED.contexts if is_one else None)


def test_without_senders_anyone_may_ask_for_anything() -> None:
    assert rules.by_sender(PolicySettings(), BY_LIST, Standing(), WANTED) == (WANTED, "")


def test_a_group_may_ask_for_its_labels_and_the_others_are_told() -> None:
    group = GroupSettings(senders=("@example.org",), labels=("iol-*-Performance",))
    kept, reason = rules.by_sender(
        PolicySettings(group={"testers": group}), ROBIN, Standing(), WANTED
    )
    assert (kept, reason) == (
        Recheck(
            ("iol-a-Performance",),
            {"rebase": "main"},
            ("iol-b (policy senders: its sender may not ask for it)", "x"),
        ),
        "",
    )


def test_the_submitter_may_ask_for_cheap_labels_besides() -> None:
    policy = PolicySettings(senders=("alex@example.org",), submitter_labels=("iol-b",))
    assert may(policy, ROBIN, OF_ROBIN) == ("iol-b",)
    assert may(policy, ROBIN, Standing()) is None
    assert may(policy, Requester("", "alex@example.org"), OF_ROBIN) == WANTED.contexts


def test_a_request_without_labels_is_for_all_of_them() -> None:
    alone = Recheck((), {"rebase": "main"}, ())
    some = GroupSettings(senders=("anyone",), labels=("iol-*",))
    assert may(PolicySettings(group={"some": some}), wanted=alone) is None
    assert may(PolicySettings(group={"some": some, "all": ALL}), wanted=alone) == ()


def test_the_reason_names_rule_sender_and_labels() -> None:
    _, reason = rules.by_sender(
        PolicySettings(senders=("alex@example.org",)), ROBIN, Standing(), WANTED
    )
    assert reason == (
        "policy senders: Robin Reviewer <Robin@example.org> may not ask for"
        " iol-a-Performance, iol-b"
    )


def test_lists_and_projects() -> None:
    policy = PolicySettings(lists=("Dev.dpdk.org",), projects=("dpdk",))
    assert rules.by_mail(policy, "dev.dpdk.org") == ""
    assert rules.by_mail(policy, "ci.dpdk.org") == "policy lists: it came by the list ci.dpdk.org"
    assert rules.by_mail(policy, "") == "policy lists: it came by no list"
    assert rules.by_project(policy, "dpdk") == ""
    assert rules.by_project(policy, "ci") == "policy projects: it is for project ci"


# States of each patch, and the reason.
STATES: dict[str, tuple[Sequence[set[str]], str]] = {
    "new": ([{"new"}], ""),
    "superseded": ([{"superseded"}], "policy states: the patch is superseded"),
    "archived": ([{"new", "archived"}], "policy states: the patch is archived"),
    "all of a series": (
        [{"superseded"}, {"archived"}],
        "policy states: the patch is archived, superseded",
    ),
    "some of a series": ([{"superseded"}, {"new"}], ""),
    "nothing known": ([], ""),
}


@pytest.mark.parametrize(("states", "reason"), STATES.values(), ids=STATES)
def test_states(states: Sequence[set[str]], reason: str) -> None:
    policy = PolicySettings(states=("superseded", "archived"))
    standing = Standing(states=tuple(map(frozenset, states)))
    assert rules.by_state(policy, standing) == reason
    assert rules.by_state(PolicySettings(), standing) == ""


def test_patchwork_is_asked_how_a_patch_stands_only_if_a_rule_depends_on_it() -> None:
    assert not rules.need_standing(PolicySettings())
    assert not rules.need_standing(PolicySettings(senders=("@example.org",), rate=("1 per day",)))
    for senders in ("submitter", "maintainer"):
        assert rules.need_standing(PolicySettings(senders=(senders,)))
        group = GroupSettings(senders=(senders,))
        assert rules.need_standing(PolicySettings(group={"a": group}))
    assert rules.need_standing(PolicySettings(states=("superseded",)))
    assert rules.need_standing(PolicySettings(submitter_labels=("iol-*",)))
