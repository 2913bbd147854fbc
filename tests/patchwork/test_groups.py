# SPDX-License-Identifier: BSD-3-Clause
"""``[groups]``: labels that stand for others, by the checks of what a request is for."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ingest.config import load as config
from ingest.config import tables
from ingest.config.policy_tables import GroupSettings, PolicySettings
from ingest.errors import ConfigError
from ingest.ledger import Outcome, Request
from ingest.patchwork import groups
from ingest.patchwork.dialect import Check
from ingest.sandbox import Sandbox
from ingest.sandbox.models import User
from tests.support.faults import OURS
from tests.support.lab import Lab, MakeLab
from tests.support.mails import cover, patch, reply
from tests.support.questions import paths

GROUPS = {
    "failed": ("patchwork:fail,warning",),
    "all": ("patchwork:*",),
    "perf": ("*-Performance",),
    "fixed": ("iol-x", "iol-y"),
    "mixed": ("iol-x", "patchwork:pending", "*-a"),
}
ARM, X86 = "iol-arm-Performance", "iol-x86-Performance"


@pytest.fixture
def box(box: Sandbox) -> Sandbox:
    """A patch, and a series of two with its cover letter."""
    box.file(patch(OURS))
    box.file(cover("cover@example.org", "[PATCH 0/2] b: fix it"))
    for number in (1, 2):
        subject = f"[PATCH {number}/2] b: fix it"
        box.file(patch(f"b-{number}@example.org", subject, in_reply_to="cover@example.org"))
    return box


class Grouped:
    """A lab whose settings have groups."""

    def __init__(self, lab: Lab, box: Sandbox, **tables: Any) -> None:
        self.lab, self.box = lab, box
        worker = lab.worker
        worker._settings = replace(worker._settings, groups=GROUPS, **tables)

    def has(self, message_id: str, *checks: str, description: str = "") -> None:
        """Labs have put checks on a patch: "context state"."""
        store = self.box.store
        [found] = [p for p in store.patches.values() if p.letter.message_id == f"<{message_id}>"]
        user = User(1, "lab", "lab@example.org", frozenset())
        for check in checks:
            context, _, state = check.rpartition(" ")
            store.add_check(found, user, state, "", context, description)

    def asks(self, items: str, to: str = OURS) -> Outcome:
        """A mail asks for this; what became of it."""
        self.lab.arrives(reply(to, "recheck@example.org", body=f"Recheck-request: {items}\n"))
        self.lab.works()
        return self.lab.outcome()

    @property
    def request(self) -> Request:
        [found] = self.lab.record().requests
        return found


@pytest.fixture
def grouped(lab_at: MakeLab, box: Sandbox) -> Grouped:
    lab = Grouped(lab_at(box.url), box)
    lab.has(
        OURS, "iol-a fail", "iol-b success", f"{ARM} warning", f"{X86} success", "iol-c pending"
    )
    return lab


STANDS: dict[str, tuple[str, ...]] = {
    "failed": ("iol-a", ARM),
    "all": ("iol-a", ARM, "iol-b", "iol-c", X86),
    "perf": (ARM, X86),
    "fixed": ("iol-x", "iol-y"),
    "mixed": ("iol-x", "iol-c", "iol-a"),
}


@pytest.mark.parametrize("name", STANDS)
def test_a_group_is_the_labels_that_it_stands_for(grouped: Grouped, name: str) -> None:
    assert grouped.asks(name) is Outcome.DONE
    assert sorted(grouped.request.contexts) == sorted(STANDS[name])
    assert {k: sorted(v) for k, v in grouped.request.groups.items()} == {name: sorted(STANDS[name])}
    told = [each.details for each in grouped.lab.record().story if each.what == "asked"]
    asked = [each["answer"] for each in told if str(each["question"]).startswith(f"group {name} ")]
    assert asked == [", ".join(grouped.request.groups[name])]
    assert sorted(grouped.lab.document()["29430"]["contexts"]) == sorted(STANDS[name])


def test_groups_stand_among_labels_and_name_each_label_once(grouped: Grouped) -> None:
    grouped.asks("iol-z, failed, iol-a, perf, rebase=main")
    assert grouped.request.contexts == ("iol-z", "iol-a", ARM, X86)
    assert grouped.request.arguments == {"rebase": "main"}


def test_without_a_group_nothing_is_asked(grouped: Grouped) -> None:
    grouped.asks("iol-a, fixed")
    assert not [path for path in paths(grouped.box) if path.endswith("/checks/")]


def test_without_groups_their_names_are_labels(lab_at: MakeLab, box: Sandbox) -> None:
    lab = lab_at(box.url)
    lab.arrives(reply(OURS, "recheck@example.org", body="Recheck-request: failed\n"))
    lab.works()
    [request] = lab.record().requests
    assert (request.contexts, request.groups) == (("failed",), {})


def test_of_a_cover_letter_the_worst_of_all_patches_counts(grouped: Grouped) -> None:
    grouped.has("b-1@example.org", "iol-a success", "iol-b fail", "iol-c fail")
    grouped.has("b-2@example.org", "iol-a fail", "iol-b success", "iol-c fail", "iol-c success")
    grouped.has("b-1@example.org", "iol-c success")
    grouped.asks("failed", to="cover@example.org")
    assert grouped.request.contexts == ("iol-a", "iol-b")


def test_a_check_of_ours_hides_no_result(grouped: Grouped) -> None:
    ours = "retest requested by Robin (request 7)"
    grouped.has(OURS, "iol-a pending", description=ours)
    grouped.asks("failed")
    assert grouped.request.contexts == ("iol-a", ARM)


def test_what_stands_for_nothing_is_left_over_or_ignored(lab_at: MakeLab, box: Sandbox) -> None:
    grouped = Grouped(lab_at(box.url), box)
    assert grouped.asks("failed, perf") is Outcome.IGNORED
    reason = "what it asks for stands for no label here: failed, perf"
    assert grouped.lab.record().reason == reason


def test_what_stands_for_nothing_beside_others_is_left_over(grouped: Grouped) -> None:
    grouped.asks("iol-a, all", to="cover@example.org")
    assert grouped.request.contexts == ("iol-a",)
    assert grouped.request.leftovers == ("all (stands for no label here)",)
    assert grouped.request.groups == {"all": ()}


def test_of_what_a_group_stands_for_only_what_is_wanted_is_asked_for(
    lab_at: MakeLab, box: Sandbox
) -> None:
    requests = tables.RequestsSettings(contexts=("iol-a", "iol-b"))
    grouped = Grouped(lab_at(box.url, requests=requests), box, requests=requests)
    grouped.has(OURS, "iol-a fail", "iol-b success", "iol-c fail")
    grouped.asks("failed, iol-z")
    assert grouped.request.contexts == ("iol-a",)
    assert grouped.request.leftovers == ("iol-z",)


def test_the_policy_counts_for_the_labels_that_a_group_stands_for(
    lab_at: MakeLab, box: Sandbox
) -> None:
    few = {"few": GroupSettings(senders=("anyone",), labels=("iol-b", "iol-c"))}
    policy = PolicySettings(group=few)
    grouped = Grouped(lab_at(box.url, policy=policy), box, policy=policy)
    grouped.has(OURS, "iol-a fail", "iol-b fail")
    grouped.asks("failed")
    assert grouped.request.contexts == ("iol-b",)


def test_a_group_asks_for_two_hundred_labels_at_most(grouped: Grouped) -> None:
    grouped.has(OURS, *(f"many-{n} fail" for n in range(300)))
    grouped.asks("failed")
    assert len(grouped.request.contexts) == 200
    assert grouped.request.leftovers == ("102 labels more of failed",)


def test_of_a_long_series_the_first_and_last_patches_are_asked(
    grouped: Grouped,
) -> None:
    store = grouped.box.store
    first = next(p for p in store.patches.values() if p.letter.message_id == "<b-1@example.org>")
    assert first.series
    store._members[first.series] = [first.id] * 60
    grouped.asks("all, iol-a", to="cover@example.org")
    assert sum(path.endswith("/checks/") for path in paths(grouped.box)) == 20


def test_a_check_that_no_line_can_ask_for_is_asked_for_by_its_label() -> None:
    checks = [(1, Check("github-robot: build", "fail", "", 1)), (1, Check("!", "fail", "", 2))]
    assert groups.worst(checks) == {"github-robot": "fail"}


# How groups are set.

WRITTEN = {
    '"patchwork:fail,warning"': ("patchwork:fail,warning",),
    '"patchwork:*"': ("patchwork:*",),
    '["iol-*-Performance"]': ("iol-*-Performance",),
    '["patchwork:fail", "iol-a"]': ("patchwork:fail", "iol-a"),
    '"iol-a"': ("iol-a",),
}


@pytest.mark.parametrize("written", WRITTEN)
def test_a_group_is_read_from_the_file(written: str, tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text(f"[groups]\nfailed = {written}\n")
    assert config.load(file=str(file), environment={"HOME": "/"}).groups == {
        "failed": WRITTEN[written]
    }


def test_a_group_is_read_from_the_environment() -> None:
    environment = {
        "HOME": "/",
        "RECHECK_INGEST_GROUPS_FAILED": "patchwork:fail,warning",
        "RECHECK_INGEST_GROUPS_MY_PERF": "iol-*-Performance, iol-a",
    }
    assert config.load(environment=environment).groups == {
        "failed": ("patchwork:fail,warning",),
        "my-perf": ("iol-*-Performance", "iol-a"),
    }
    assert config.unknown(environment) == []


WRONG = {
    'failed = "patchwork:failed"': "[groups] failed is 'patchwork:failed', but must be a list of",
    'failed = "patchwork:"': "[groups] failed is 'patchwork:', but must be",
    "failed = []": "[groups] failed is [], but must be",
    "failed = 1": "[groups] failed is 1, but must be",
    'failed = ""': "[groups] failed is '', but must be",
    '"a b" = "c"': "[groups] 'a b': a name is made of letters, digits, _ and -",
}


@pytest.mark.parametrize(("written", "told"), WRONG.items())
def test_what_cannot_be_a_group_is_told(written: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text(f"[groups]\n{written}\n")
    with pytest.raises(ConfigError) as raised:
        config.load(file=str(file), environment={"HOME": "/"})
    assert told in str(raised.value)
