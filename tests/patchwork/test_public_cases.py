# SPDX-License-Identifier: BSD-3-Clause
"""Mails that real servers and real clients made hard, and the series that each is for."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from ingest.config import tables
from ingest.ledger import Ledger, Outcome
from ingest.sandbox import Project, Sandbox
from ingest.sandbox.models import CI, DPDK, User
from tests.support.clock import DAY, MINUTE, Clock
from tests.support.lab import MakeLab
from tests.support.mails import reply
from tests.support.missed_mails import Catching
from tests.support.places import ROOT

CASES = ROOT / "tests" / "data" / "public-cases"
NOON = datetime(2026, 11, 26, 13, 30, tzinfo=UTC).timestamp()
OVS = Project(7, "OVS", "ovs", "ovs-dev.openvswitch.org", "ovs-dev@openvswitch.org")
LIST = "dev.dpdk.org"
FIRST = "20260105100000.100-2-alex@example.org"
ZONES = ["America/Los_Angeles", "UTC", "Australia/Canberra"]


def case(number: str) -> bytes:
    (path,) = CASES.glob(f"{number}-*.eml")
    return path.read_bytes()


@pytest.fixture(params=ZONES)
def box(request: pytest.FixtureRequest, clock: Clock) -> Iterator[Sandbox]:
    """The patches, and comments that mails reply to; a month later."""
    clock.now = NOON - 30 * DAY
    with Sandbox(
        str(CASES / "base-patches.mbox"),
        projects=[DPDK, CI, OVS],
        time_zone=request.param,
        clock=lambda: datetime.fromtimestamp(clock(), UTC),
    ) as sandbox:
        for comment in ("c00", "c80"):
            sandbox.file(reply(FIRST, f"{comment}@example.org", body="Hm.\n", list_id=LIST))
        clock.now = NOON
        yield sandbox


def series_of(box: Sandbox, subject: str, project: str = "dpdk") -> int | None:
    """The series of a patch."""
    (found,) = [
        each.series
        for each in box.store.patches.values()
        if subject in each.name and each.project.link_name == project
    ]
    return found


@pytest.mark.parametrize(
    ("number", "subject", "project"),
    [("01", "long id", "dpdk"), ("04", "long id", "dpdk"), ("73", "cross-posted", "ci")],
)
def test_encoded_ids_and_list_ids_are_found_at_the_first_attempt(
    number: str, subject: str, project: str, box: Sandbox, lab_at: MakeLab
) -> None:
    lab = lab_at(box.url)
    lab.arrives(case(number))
    lab.works()
    (request,) = lab.ledger.requests()
    assert (request.series, request.project) == (series_of(box, subject, project), project)


@pytest.mark.parametrize("number", ["41", "81"])
def test_a_reply_to_a_comment_is_found_in_every_zone_however_long_it_was_held(
    number: str, box: Sandbox, lab_at: MakeLab, clock: Clock
) -> None:
    """One of them was held by a moderator for five days."""
    lab = lab_at(box.url)
    lab.arrives(case(number))
    lab.works()
    assert lab.waiting() == {"missing": 1}
    box.file(case(number))
    clock += 2 * MINUTE
    lab.works()
    (request,) = lab.ledger.requests()
    assert request.series == series_of(box, "net/foo: one")


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {b"Re: [PATCH v2 1/2] net/foo: one": b"[PATCH v2 1/2] net/foo: one"},
        {b"Re: [PATCH v2 1/2] net/foo: one": b"Fwd: [PATCH v2 0/2] net/foo: tidy"},
        {b"21 Nov 2026": b"21 Nov 2011"},
        {b"21 Nov 2026": b"21 Nov 2031"},
    ],
    ids=["held", "without its Re:", "a forwarded 0/N", "clock behind", "clock ahead"],
)
def test_what_catching_up_fetches_is_for_what_patchwork_filed_it_under(
    changed: dict[bytes, bytes],
    box: Sandbox,
    ledger: Ledger,
    clock: Clock,
    lab_at: MakeLab,
) -> None:
    raw = case("41")
    for old, new in changed.items():
        assert old in raw
        raw = raw.replace(old, new)
    catching = Catching(box.url, ledger, clock)
    catching.catch_up()
    box.file(raw)
    assert catching.catch_up().missed == ["c41@example.org"]
    box.requests.clear()
    lab_at(box.url).works()
    (request,) = ledger.requests()
    assert request.series == series_of(box, "net/foo: one")
    assert not [each for each in box.requests if "/events/" in each.path]


def test_a_label_means_the_check_whose_name_no_line_can_ask_for(
    box: Sandbox, lab_at: MakeLab
) -> None:
    lab = lab_at(box.url, requests=tables.RequestsSettings(contexts=("patchwork",)))
    (found,) = [p for p in box.store.patches.values() if "net/foo: one" in p.name]
    user = User(1, "lab", "lab@example.org", frozenset())
    for context in ("iol-unit-amd64-testing", "github-robot: build"):
        box.store.add_check(found, user, "success", "", context, None)
    lab.arrives(case("11"))
    lab.works()
    assert lab.outcome("c11@example.org") is Outcome.DONE
    (request,) = lab.ledger.requests()
    assert set(request.contexts) == {"iol-unit-amd64-testing", "github-robot"}
    assert request.leftovers == ()
