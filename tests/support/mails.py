# SPDX-License-Identifier: BSD-3-Clause
"""The mails that the Patchwork tests write: a patch, a cover letter, a reply."""

from collections.abc import Sequence

DIFF = """Fix it.

Signed-off-by: Alex Author <alex@example.org>
---
diff --git a/a.c b/a.c
index 0000001..0000002 100644
--- a/a.c
+++ b/a.c
@@ -1 +1,2 @@
 int a;
+int b;
"""
RECHECK = "Recheck-request: iol-unit-amd64-testing\n"


def letter(
    message_id: str,
    subject: str,
    body: str,
    *,
    in_reply_to: str = "",
    references: Sequence[str] = (),
    list_id: str = "",
    date: str = "Wed, 06 Sep 2023 09:00:00 +0000",
) -> bytes:
    """A mail; ids are given without angle brackets."""
    fields = {
        "From": "Robin Reviewer <robin@example.org>",
        "To": "dev@example.org",
        "Subject": subject,
        "Date": date,
        "Message-ID": f"<{message_id}>" if message_id else "",
        "In-Reply-To": f"<{in_reply_to}>" if in_reply_to else "",
        "References": " ".join(f"<{each}>" for each in references),
        "List-Id": f"<{list_id}>" if list_id else "",
    }
    head = "".join(f"{name}: {value}\n" for name, value in fields.items() if value)
    return f"{head}\n{body}".encode()


def patch(
    message_id: str,
    subject: str = "[PATCH] a: fix it",
    *,
    in_reply_to: str = "",
    list_id: str = "dev.dpdk.org",
    date: str = "Wed, 06 Sep 2023 09:00:00 +0000",
) -> bytes:
    """A patch."""
    return letter(
        message_id,
        subject,
        DIFF,
        in_reply_to=in_reply_to,
        references=(in_reply_to,) if in_reply_to else (),
        list_id=list_id,
        date=date,
    )


def cover(
    message_id: str,
    subject: str = "[PATCH 0/1] a: fix it",
    *,
    list_id: str = "dev.dpdk.org",
    date: str = "Wed, 06 Sep 2023 09:00:00 +0000",
) -> bytes:
    """A cover letter."""
    return letter(message_id, subject, "Two fixes.\n", list_id=list_id, date=date)


def reply(
    to: str,
    message_id: str = "recheck@example.org",
    *,
    subject: str = "Re: [PATCH] a: fix it",
    body: str = RECHECK,
    references: Sequence[str] = (),
    list_id: str = "",
    date: str = "Wed, 06 Sep 2023 09:00:00 +0000",
) -> bytes:
    """A request to recheck, by default of no list."""
    return letter(
        message_id,
        subject,
        body,
        in_reply_to=to,
        references=references,
        list_id=list_id,
        date=date,
    )
