# SPDX-License-Identifier: BSD-3-Clause
"""A request as other people's programs get it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.config.tables import PatchworkSettings, RequestsSettings, Settings
from ingest.ledger import Request, Submission
from ingest.mail.trust import Trust
from ingest.sinks.request_json import moment, shape
from tests.support.retest_files import asked

# Whatever a hostile mail may hold, or a ledger that another program has written to.
TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=30)
NAMES = st.from_regex(r"[\w-]+", fullmatch=True)
REQUESTS = st.builds(
    Request,
    number=st.integers(1, 2**62),
    mail_id=st.integers(1, 2**62),
    message_id=TEXT,
    series=st.integers(1, 2**62),
    submission=st.builds(Submission, st.sampled_from(["patch", "cover"]), st.integers(0, 2**62)),
    project=TEXT,
    contexts=st.lists(NAMES).map(tuple),
    arguments=st.dictionaries(NAMES, NAMES),
    leftovers=st.lists(TEXT).map(tuple),
    requester=TEXT,
    subject=TEXT,
    reason=TEXT,
    groups=st.dictionaries(TEXT, st.lists(TEXT).map(tuple)),
    date=st.floats(allow_nan=False, allow_infinity=False),
    recorded=st.floats(0, 1e10),
)


def test_a_request_is_told_by_names_that_are_a_contract() -> None:
    request = asked(
        7,
        contexts=("iol-b", "iol-a"),
        arguments={"rebase": "main"},
        leftovers=("x y",),
        reason="“it” was down",
        groups={"failed": ("iol-b",)},
        requester="Robin Reviewer <robin@example.org>",
        subject="Re: [PATCH] a: fix “it”",
        date=1_694_000_000.75,
        recorded=1_694_000_060.0,
        trust=Trust("list", "dkim"),
    )
    assert shape(request, Settings()) == {
        "number": 7,
        "id": "recheck-00000000000000000000000000000007",
        "message_id": "7@example.org",
        "series": 29430,
        "revision": None,
        "server": None,
        "submission": "patch 131182",
        "project": "ci",
        "contexts": ["iol-b", "iol-a"],
        "arguments": {"rebase": "main"},
        "leftovers": ["x y"],
        "reason": "“it” was down",
        "groups": {"failed": ["iol-b"]},
        "requester": "Robin Reviewer <robin@example.org>",
        "passage": "list",
        "proof": "dkim",
        "subject": "Re: [PATCH] a: fix “it”",
        "date": "2023-09-06T11:33:20Z",
        "recorded": "2023-09-06T11:34:20Z",
        "links": {
            "patch": "https://patches.dpdk.org/patch/131182/",
            "series": "https://patches.dpdk.org/project/ci/list/?series=29430&state=*",
            "mbox": "https://patches.dpdk.org/series/29430/mbox/",
            "archive": None,
            "page": None,
        },
    }


@given(REQUESTS)
@pytest.mark.slow
def test_any_request_becomes_json_that_is_unicode(request: Request) -> None:
    told = shape(request, Settings())
    assert json.loads(json.dumps(told, ensure_ascii=False).encode()) == told


@pytest.mark.parametrize(
    ("at", "told"),
    [
        (0.0, "1970-01-01T00:00:00Z"),
        (1_694_000_000.999, "2023-09-06T11:33:20Z"),
        (-1e300, "0001-01-01T00:00:00Z"),
        (1e300, "9999-12-31T23:59:59Z"),
    ],
)
def test_a_moment_is_in_utc_and_in_whole_seconds(at: float, told: str) -> None:
    assert moment(at) == told


def test_the_links_are_those_of_the_configured_server_and_archive() -> None:
    settings = Settings(
        patchwork=PatchworkSettings("https://pw.example.org/api"),
        requests=RequestsSettings(archive="https://inbox.example.org/{list}/{message_id}/"),
    )
    links = shape(asked(7, list_id="dev.example.org"), settings)["links"]
    assert links["mbox"] == "https://pw.example.org/series/29430/mbox/"
    assert links["archive"] == "https://inbox.example.org/dev/7@example.org/"
