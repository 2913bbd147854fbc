# SPDX-License-Identifier: BSD-3-Clause
"""Mails and archives as other programs write them, through the whole program: what each comes to.

``base-patches.mbox`` is what Patchwork knows. A case that replies to a comment is filed there,
after that comment, as Patchwork files what its list brings.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ingest.commands.replay import Summary, replay
from ingest.config.tables import PatchworkSettings, RequestsSettings, RetestsSettings, Settings
from ingest.ledger import Request, open_ledger
from ingest.sandbox import Sandbox
from ingest.sandbox.models import User
from tests.support.mails import reply
from tests.support.places import DATA

CASES = DATA / "public-cases"
FOO = "20260105100000.100-2-alex@example.org"
UNIT, PERFORMANCE = "iol-unit-amd64-testing", "iol-broadcom-Performance"
# Series by what they are about, as the sandbox numbers them.
FOO_SERIES, BAR_SERIES, BAZ_SERIES, CI_SERIES = 29430, 29431, 29432, 29442


@dataclass(frozen=True)
class Asked:
    """One request: of which series, for which labels, with which arguments, what was not read."""

    series: int
    contexts: tuple[str, ...] = (UNIT, PERFORMANCE)
    arguments: dict[str, str] = field(default_factory=dict)
    leftovers: tuple[str, ...] = ()


MERGED = [Asked(FOO_SERIES, (UNIT,)), Asked(BAZ_SERIES, (PERFORMANCE,), {"rebase": "main"})]
RECORDED: dict[str, list[Asked]] = {
    "01-rfc2047-in-reply-to.eml": [Asked(BAR_SERIES)],
    "04-refs-encoded-irt-missing.eml": [Asked(BAR_SERIES)],
    "16-mailman-wrapped.eml": [Asked(FOO_SERIES)],
    "20-outlook-unquoted-old-request.eml": [
        Asked(FOO_SERIES, (UNIT,), leftovers=(f"Recheck-request: {PERFORMANCE}",))
    ],
    "22-delsp.eml": [Asked(FOO_SERIES, (UNIT,), leftovers=(PERFORMANCE,))],
    "23-indented-continuation.eml": [Asked(FOO_SERIES, (UNIT,), leftovers=(PERFORMANCE,))],
    "51-body-attached-by-mua.eml": [Asked(FOO_SERIES)],
    "73-cross-ci-encoded-list-id.eml": [Asked(CI_SERIES)],
    "merge-no-blank-line.mbox": [Asked(FOO_SERIES, (UNIT,)), Asked(BAZ_SERIES, (PERFORMANCE,))],
    "merge-patchew.mbox": MERGED,
    "merge-takeout-2025.mbox": MERGED,
    "merge-thunderbird.mbox": MERGED,
}
# Replies to a comment, and its Message-ID.
TO_COMMENTS = {
    "41-moderated-five-days.eml": "c00@example.org",
    "81-tz-reply-to-comment.eml": "c80@example.org",
}
HINTED = {
    "38-nbsp-after-colon.eml": "it has no Recheck-request line; this line is close, but not a"
    rf" request: 'Recheck-request:\xa0 {UNIT}' (not exactly one blank stands behind the colon)",
}


@pytest.fixture
def patchwork() -> Iterator[Sandbox]:
    with Sandbox(str(CASES / "base-patches.mbox")) as box:
        yield box


def came_to(name: str, box: Sandbox, folder: Path, *contexts: str) -> tuple[Summary, list[Request]]:
    """What a replay of a case counts and records where these labels are wanted."""
    settings = Settings(
        patchwork=PatchworkSettings(box.url),
        requests=RequestsSettings(contexts=contexts),
        retests=RetestsSettings(file=str(folder / "retests.json")),
    )
    ledger = open_ledger(f"sqlite:{folder}/ledger.sqlite")
    try:
        return replay([str(CASES / name)], settings, ledger), ledger.requests()
    finally:
        ledger.close()


def asked(requests: list[Request]) -> list[Asked]:
    return [
        Asked(each.series, each.contexts, dict(each.arguments), each.leftovers) for each in requests
    ]


@pytest.mark.parametrize(("name", "expected"), RECORDED.items(), ids=RECORDED)
def test_a_case_is_recorded_at_the_first_attempt(
    name: str, expected: list[Asked], patchwork: Sandbox, tmp_path: Path
) -> None:
    summary, requests = came_to(name, patchwork, tmp_path)
    assert asked(requests) == expected
    assert {str(each.requester) for each in requests} == {"Robin Reviewer <robin@example.org>"}
    assert (set(summary.reasons), summary.warnings) == ({"done"}, [])


def test_a_documented_label_means_the_check_that_is_called_by_it_and_more(
    patchwork: Sandbox, tmp_path: Path
) -> None:
    """DPDK's documents name ``github-robot``; its script posts ``github-robot: build``."""
    (about,) = [each for each in patchwork.store.patches.values() if "net/foo: one" in each.name]
    lab = User(1, "lab", "lab@example.org", frozenset())
    for context in (UNIT, "github-robot: build"):
        patchwork.store.add_check(about, lab, "success", "", context, None)
    _, requests = came_to("11-documented-github-robot.eml", patchwork, tmp_path, "patchwork")
    assert asked(requests) == [Asked(FOO_SERIES, (UNIT, "github-robot"))]


@pytest.mark.parametrize(("name", "comment"), TO_COMMENTS.items(), ids=TO_COMMENTS)
@pytest.mark.parametrize("zone", ["America/Los_Angeles", "UTC", "Australia/Canberra"])
def test_a_reply_to_a_comment_is_recorded_whatever_the_servers_zone(
    name: str, comment: str, zone: str, tmp_path: Path
) -> None:
    with Sandbox(str(CASES / "base-patches.mbox"), time_zone=zone) as box:
        box.file(reply(FOO, comment, body="Thanks.\n", list_id="dev.dpdk.org"))
        box.file((CASES / name).read_bytes())
        _, requests = came_to(name, box, tmp_path)
    assert asked(requests) == [Asked(FOO_SERIES)]


@pytest.mark.parametrize(("name", "reason"), HINTED.items(), ids=HINTED)
def test_a_case_without_a_request_gets_a_hint(
    name: str, reason: str, patchwork: Sandbox, tmp_path: Path
) -> None:
    summary, requests = came_to(name, patchwork, tmp_path)
    assert (requests, summary.reasons) == ([], {"ignored": {reason: 1}})
