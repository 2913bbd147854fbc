# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of the sandbox share: a loaded one, and mails to file in it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from ingest.sandbox import Account, Sandbox
from ingest.sandbox.models import FirstIds
from ingest.sandbox.store import Store
from tests.support.places import RECORDED

NOON = datetime(2023, 9, 6, 12, tzinfo=UTC)
ARCHIVES = tuple(str(RECORDED / f"{name}.mbox") for name in ("patch", "series", "replies"))
TOKENS: dict[str, Account] = {
    "secret": ("ci-bot", {"ci", "dpdk"}, "ci@example.org"),
    "onlooker": ("onlooker", set[str]()),
}

DIFF = """\
diff --git a/x.c b/x.c
index 0000001..0000002 100644
--- a/x.c
+++ b/x.c
@@ -1 +1,2 @@
 int a;
+int b;
"""


@pytest.fixture
def recorded() -> Iterator[Sandbox]:
    """Patchwork as it was when its answers were recorded."""
    with Sandbox(*ARCHIVES, tokens=TOKENS) as sandbox:
        yield sandbox


@pytest.fixture
def empty() -> Iterator[Sandbox]:
    """A Patchwork that no mail has reached yet."""
    with Sandbox() as sandbox:
        yield sandbox


def get(sandbox: Sandbox, path: str) -> Any:
    """The JSON of an answer that has to be a good one."""
    answer = requests.get(sandbox.url + path, timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.json()


def mail(
    subject: str,
    body: str = "Text.\n",
    *,
    id: str,
    to: str = "",
    references: str = "",
    sender: str = "Alex Author <alex@example.org>",
    date: str = "Tue, 5 Sep 2023 20:00:00 +0000",
    list_id: str = "DPDK patches and discussions <dev.dpdk.org>",
    more: str = "",
) -> bytes:
    """A mail; ``to`` is what it replies to, ids come without angle brackets."""
    header = {
        "From": sender,
        "Subject": subject,
        "Date": date,
        "Message-ID": f"<{id}>" if id else "",
        "In-Reply-To": f"<{to}>" if to else "",
        "References": " ".join(f"<{each}>" for each in references.split()),
        "List-Id": list_id,
    }
    lines = [f"{name}: {value}" for name, value in header.items() if value]
    if more:
        lines.append(more)
    return "\n".join([*lines, "", body]).encode()


def patch(subject: str, **fields: str) -> bytes:
    """A mail that holds a diff."""
    return mail(subject, f"Why.\n---\n{DIFF}-- \n2.41.0\n", **fields)


def filed(*mails: bytes) -> Store:
    """A store that these mails reached at noon."""
    store = Store(first=FirstIds(), clock=lambda: NOON)
    for raw in mails:
        store.file(raw)
    return store
