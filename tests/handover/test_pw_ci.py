# SPDX-License-Identifier: BSD-3-Clause
"""Requests in the form of pw-ci's ``recheck_tool``."""

import json

from ingest.config import tables
from ingest.handover import pw_ci, take
from ingest.handover.take import Order
from ingest.ledger import Ledger
from tests.support.ledger_values import record
from tests.support.retest_files import asked

SETTINGS = tables.Settings(
    tables.PatchworkSettings("https://patches.dpdk.org/api/1.3"),
    servers={"ovs": tables.ServerSettings("http://lab@pw.example.org:8080", lists=("ovs.*",))},
)


def test_each_label_is_a_row_as_recheck_tool_prints_it() -> None:
    requests = [
        asked(1, contexts=("github-robot", "iol-unit")),
        asked(2, contexts=("intel",), submission="cover 442", server="ovs", series=7),
        asked(3, contexts=(), arguments={"rebase": "main"}),
    ]
    first = {
        "pw_instance": "patches.dpdk.org",
        "series_id": 29430,
        "patch_id": 131182,
        "sha": "",
        "msg_id": "<1@example.org>",
        "state": "0",
        "requested": "github-robot",
    }
    assert pw_ci.document(requests, SETTINGS)["rechecks"] == [
        first,
        {**first, "requested": "iol-unit"},
        {
            "pw_instance": "pw.example.org:8080",
            "series_id": 7,
            "patch_id": None,
            "sha": "",
            "msg_id": "<2@example.org>",
            "state": "0",
            "requested": "intel",
        },
    ]


def test_take_hands_them_over_once_and_then_none(ledger: Ledger) -> None:
    record(ledger, "a@x.org", contexts=("iol-a", "iol-b"))
    order, told = Order("pw-ci", single=True, pw_ci=True), list[str]()
    for _ in range(2):
        take.take(ledger, SETTINGS, order, told.append)
    assert [row["requested"] for row in json.loads(told[0])["rechecks"]] == ["iol-a", "iol-b"]
    assert json.loads(told[1]) == {"rechecks": []}
