# SPDX-License-Identifier: BSD-3-Clause
"""What trust costs: questions to Patchwork and to DNS, none for mail without a request."""

from typing import Any

import pytest

from ingest import intake
from ingest.config.policy_tables import PolicySettings
from ingest.ledger import Envelope
from ingest.sandbox import CI, Sandbox
from tests.support.lab import MakeLab
from tests.support.mailman import footed
from tests.support.mails import patch, reply
from tests.support.signing import keys, name_server, sealed, signed

PATCH = "patch@example.org"
PLAIN = reply(PATCH, list_id=CI.list_id)
SENT = signed(PLAIN)
RESULTS = b"Authentication-Results: mx.lab.example; dkim=pass header.d=example.org\n" + PLAIN
SEALED = sealed(footed(SENT))
EVERYTHING = {
    "require": ("patchwork", "dkim"),
    "authserv": ("mx.lab.example",),
    "arc_sealers": ("lists.example",),
    "received_by": ("mx.lab.example",),
}

# A policy, a mail, and how many questions to Patchwork and to DNS it costs more than it does
# without a policy.
COSTS: dict[str, tuple[dict[str, Any], bytes, int, int]] = {
    "authserv": ({"authserv": ("mx.lab.example",)}, RESULTS, 0, 0),
    "DKIM": ({"dkim": True}, SENT, 0, 1),
    "DKIM of a mail that is not signed": ({"dkim": True}, PLAIN, 0, 0),
    "ARC": ({"arc_sealers": ("lists.example",)}, SEALED, 0, 2),
    "Patchwork's comment": ({"require": ("patchwork",)}, PLAIN, 1, 0),
    "all of it": (EVERYTHING, SENT, 1, 1),
    "a rule about senders": ({"senders": ("@example.org",)}, PLAIN, 0, 0),
    "a rule about states": ({"states": ("superseded",)}, PLAIN, 0, 0),
}


def cost(raw: bytes, table: dict[str, Any], lab_at: MakeLab) -> tuple[int, int]:
    """How many questions to Patchwork and to DNS a mail costs until it ends."""
    asked: list[str] = []
    zone = keys("example.org", "lists.example")

    def counted(name: str) -> bytes | None:
        asked.append(name)
        return zone(name)

    with name_server(counted) as server, Sandbox() as patchwork:
        patchwork.file(patch(PATCH, list_id=CI.list_id))
        patchwork.file(raw)
        lab = lab_at(patchwork.url, policy=PolicySettings(dns=(server,), **table))
        intake.accept(
            raw, "pipe", ledger=lab.ledger, now=lab.clock(), max_size=1 << 20, envelope=Envelope()
        )
        lab.works()
        assert lab.ledger.totals().waiting.get("missing", 0) == 0
        return len(patchwork.requests), len(asked)


@pytest.mark.parametrize(("table", "raw", "questions", "looks"), COSTS.values(), ids=COSTS)
def test_what_a_request_costs(
    table: dict[str, Any], raw: bytes, questions: int, looks: int, lab_at: MakeLab
) -> None:
    # The project of the list, and the patch.
    assert cost(raw, table, lab_at) == (2 + questions, looks)


def test_a_mail_without_a_request_costs_nothing(lab_at: MakeLab) -> None:
    raw = signed(reply(PATCH, list_id=CI.list_id, body="> Recheck-request: iol-a\n"))
    assert cost(raw, EVERYTHING, lab_at) == (0, 0)
