# SPDX-License-Identifier: BSD-3-Clause
"""Which requests a sink is for."""

from typing import Any

import pytest

from ingest.config.sink_tables import JsonFileSettings, WebhookSettings
from ingest.ledger import Request, Submission
from ingest.mail.requester import Requester
from ingest.policy import scope
from ingest.policy.scope import Scope

ROBIN, ALEX = "robin@example.org", "alex@example.org"


def request(**other: Any) -> Request:
    values: dict[str, Any] = {
        "number": 1,
        "mail_id": 1,
        "message_id": "a@example.org",
        "series": 1,
        "submission": Submission("patch", 1),
        "project": "dpdk",
        "contexts": ("iol-a", "unh-b"),
        "arguments": {},
        "leftovers": (),
        "requester": Requester("", ROBIN),
        "subject": "",
        "date": 0.0,
        "recorded": 0.0,
    }
    return Request(**{**values, **other})


# What a sink is for, a request, and what the sink is for that the request is not.
CASES: dict[str, tuple[Scope, Request, str]] = {
    "everything": (Scope(), request(), ""),
    "a label": (Scope(("iol-*",)), request(), ""),
    "another label": (Scope(("c-*",)), request(), "c-*"),
    "a project": (Scope(projects=("ci", "dpdk")), request(), ""),
    "another project": (Scope(projects=("ci",)), request(), "ci, and not for project dpdk"),
    "a project, of none": (
        Scope(projects=("ci",)),
        request(project=""),
        "ci, and not for project unknown",
    ),
    "a delegate": (Scope(delegates=(ROBIN,)), request(delegates=(ALEX, ROBIN)), ""),
    "another delegate": (
        Scope(delegates=(ROBIN,)),
        request(delegates=(ALEX,)),
        "patches delegated to robin@example.org, and not to alex@example.org",
    ),
    "a delegate, of nobody": (
        Scope(delegates=(ROBIN,)),
        request(),
        "patches delegated to robin@example.org, and not to nobody",
    ),
    "another server": (Scope(server=""), request(server="fdo"), "series of [patchwork]"),
    "all of it": (Scope(("iol-*",), "", ("dpdk",), (ROBIN,)), request(delegates=(ROBIN,)), ""),
}


@pytest.mark.parametrize(("sink", "asked", "missed"), CASES.values(), ids=CASES)
def test_what_a_request_misses(sink: Scope, asked: Request, missed: str) -> None:
    mine = sink.narrow(asked, ())
    assert (mine is None) is bool(missed)
    if mine is None:
        assert sink.of(asked) == missed


def test_labels_that_are_not_for_it_become_leftovers() -> None:
    mine = Scope(("iol-*",)).narrow(request(), ())
    assert mine is not None
    assert (mine.contexts, mine.leftovers) == (("iol-a",), ("unh-b",))


def test_a_table_says_what_a_sink_is_for() -> None:
    file = JsonFileSettings(file="/a", patchwork="fdo", projects=("dpdk",))
    assert scope.of_table(file) == Scope((), "fdo", ("dpdk",))
    hook = WebhookSettings(url="https://x", contexts=("a",), delegates=("Robin@Example.org",))
    assert scope.of_table(hook) == Scope(("a",), None, (), (ROBIN,))
