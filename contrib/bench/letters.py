# SPDX-License-Identifier: BSD-3-Clause
"""The patches that the sandbox is given, and plain replies to them."""


def patch(number: int) -> bytes:
    """A patch, a series of its own, as it stands in an mbox."""
    return (
        f"From author@example.org Mon Mar  2 09:00:00 2026\n"
        f"From: author@example.org\nTo: dev@dpdk.org\n"
        f"Subject: [PATCH] net/example: fix number {number}\n"
        f"Date: Mon,  2 Mar 2026 09:00:00 +0000\nMessage-ID: <patch-{number}@example.org>\n"
        "List-Id: DPDK patches and discussions <dev.dpdk.org>\n\n"
        "Fix it.\n---\ndiff --git a/one.c b/one.c\nindex 0000001..0000002 100644\n"
        "--- a/one.c\n+++ b/one.c\n@@ -1 +1,2 @@\n int one;\n+int two;\n\n"
    ).encode()


def reply(number: int, series: int, size: int, request: str = "") -> bytes:
    """A reply to a patch of ``series`` of them, ``size`` bytes, lines ending with LF."""
    head = (
        f"Received: from mx.example.org by mx.example.net; Mon, 2 Mar 2026 10:00:00 +0000\n"
        f"From: Robin <robin@example.org>\nTo: dev@dpdk.org\n"
        f"Subject: Re: [PATCH] net/example: fix number {number % series}\n"
        f"Date: Mon,  2 Mar 2026 10:00:00 +0000\nMessage-ID: <reply-{number}@example.org>\n"
        f"In-Reply-To: <patch-{number % series}@example.org>\n"
        "List-Id: DPDK patches and discussions <dev.dpdk.org>\n"
        "Content-Type: text/plain; charset=utf-8\n\n"
    )
    if request:
        head += f"Recheck-request: {request}\n\n"
    line = "> the lines of a review are about as long as this one is, more or less\n"
    return ((head + line * (size // len(line) + 1))[: size - 1] + "\n").encode()
