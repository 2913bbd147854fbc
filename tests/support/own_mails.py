# SPDX-License-Identifier: BSD-3-Clause
"""The mails that real servers were loaded with before their answers were recorded
(``tests/data/recorded``), as far as these answers show them."""

from datetime import UTC, datetime, timedelta

BEGIN = datetime(2026, 11, 26, 12, 14, 25, tzinfo=UTC)
DEV, CI = "DPDK <dev.dpdk.org>", "CI <ci.dpdk.org>"
AUTHOR, ROBIN = "A Dev <adev@example.org>", "Robin <robin@example.com>"
REVIEWER = "Rev <rev@example.com>"
RECHECK = "Recheck-request: iol-unit-amd64-testing\n"
GIT, MUTT = "X-Mailer: git-send-email 2.41.0", "User-Agent: Mutt/2.2"


def mail(
    id: str,
    subject: str,
    body: str,
    seconds: int,
    *,
    to: str = "",
    sender: str = AUTHOR,
    list_id: str = DEV,
    program: str = GIT,
) -> bytes:
    """A mail; ``seconds`` after the first."""
    date = (BEGIN + timedelta(seconds=seconds)).strftime("%a, %d %b %Y %H:%M:%S +0000")
    address = "ci@dpdk.org" if list_id == CI else "dev@dpdk.org"
    lines = [f"From: {sender}", f"To: {address}", f"Subject: {subject}", f"Date: {date}"]
    lines.append(f"Message-ID: <{id}@own.example.org>")
    if to:
        parent = f"<{to}@own.example.org>"
        lines += [f"In-Reply-To: {parent}", f"References: {parent}"]
    return "\n".join([*lines, f"List-Id: {list_id}", program, "", body]).encode()


def diff(name: str) -> str:
    return (
        f"diff --git a/{name}.c b/{name}.c\nindex 0000000..159ff6e 100644\n"
        f"--- a/{name}.c\n+++ b/{name}.c\n@@ -1,2 +1,3 @@\n int a;\n+int {name};\n int b;\n"
    )


def patch(id: str, subject: str, seconds: int, *, to: str = "", list_id: str = DEV) -> bytes:
    body = (
        "Do it.\n\nSigned-off-by: A Dev <adev@example.org>\n---\n f.c | 1 +\n"
        f" 1 file changed, 1 insertion(+)\n\n{diff(id)}-- \n2.41.0\n"
    )
    return mail(id, subject, body, seconds, to=to, list_id=list_id)


def cover(id: str, subject: str, seconds: int) -> bytes:
    return mail(id, subject, "Words.\n\nA Dev (2):\n  one\n  two\n\n-- \n2.41.0\n", seconds)


def reply(id: str, subject: str, seconds: int, to: str) -> bytes:
    return mail(id, subject, RECHECK, seconds, to=to, sender=ROBIN)


def mails() -> list[bytes]:
    """In the order in which they were filed."""
    alpha, beta, gamma = "own: alpha", "own: beta", "own: gamma"
    return [
        cover("s0", f"[PATCH 0/2] {alpha}", 0),
        patch("s1", "[PATCH 1/2] own: a one", 10, to="s0"),
        patch("s2", "[PATCH 2/2] own: a two", 20, to="s0"),
        cover("t0", f"[PATCH v2 0/2] {alpha}", 30),
        patch("t1", "[PATCH v2 1/2] own: a one", 40, to="t0"),
        patch("t2", "[PATCH v2 2/2] own: a two", 50, to="t0"),
        patch("b1", f"[PATCH] {beta}", 60),
        cover("w0", f"[PATCH v2 0/2] {beta}", 70),
        patch("w1", "[PATCH v2 1/2] own: b one", 80, to="w0"),
        patch("w2", "[PATCH v2 2/2] own: b two", 90, to="w0"),
        patch("x1", f"[PATCH] {gamma}", 100),
        patch("x2", f"[PATCH v2] {gamma}", 110, to="x1"),
        patch("y1", "[PATCH] own: crossed", 120),
        patch("y1", "[PATCH] own: crossed", 120, list_id=CI),
        mail("talk-s0", f"Re: [PATCH 0/2] {alpha}", "Looks good.\n", 170, to="s0",
             sender=REVIEWER, program=MUTT),
        reply("to-talk-s0", f"Re: [PATCH 0/2] {alpha}", 230, "s0"),
        reply("no-re", "[PATCH 1/2] own: a one", 320, "s1"),
        reply("aw", "AW: [PATCH 1/2] own: a one", 330, "s1"),
        reply("to-s2", "Re: [PATCH 2/2] own: a two", 350, "s2"),
        reply("no-re-cover", f"Re: [PATCH 0/2] {alpha}", 360, "t0"),
    ]  # fmt: skip
