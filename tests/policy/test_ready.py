# SPDX-License-Identifier: BSD-3-Clause
"""The reply that asks for what a mail meant."""

import subprocess
from pathlib import Path

import pytest

from ingest.config.tables import RequestsSettings
from ingest.mail import message, recheck
from ingest.policy import ready
from tests.support.mails import letter
from tests.support.retest_files import asked

ANY = RequestsSettings()
SOME = RequestsSettings(contexts=("iol-unit", "iol-perf", "x-*"))
DEV = "--to=dev@example.org"
PATCHWORK = RequestsSettings(contexts=("patchwork",))


def mail(text: str, **fields: str) -> bytes:
    return letter(
        "r@example.org",
        "Re: [PATCH] a: fix it",
        text,
        **{"in_reply_to": "patch@example.org", "list_id": "dev.example.org", **fields},
    )


MAILS: dict[str, tuple[str, RequestsSettings, str]] = {
    "a line that nearly is one": ("> Recheck-request: a, b", ANY, "Recheck-request: a, b"),
    "with an argument": ("recheck-request: rebase=main", ANY, "Recheck-request: rebase=main"),
    "with one that is unknown": ("recheck-request: a, x=y", ANY, "Recheck-request: a"),
    "labels that are not wanted": ("recheck-request: a, x-1", SOME, "Recheck-request: x-1"),
    "a label that is nearly wanted": (
        "Recheck-request: iol-unt",
        SOME,
        "Recheck-request: iol-unit",
    ),
    "what was read is not wanted, the rest is": (
        "Recheck-request: a,  x-1",
        SOME,
        "Recheck-request: x-1",
    ),
}


@pytest.mark.parametrize(("text", "requests", "said"), MAILS.values(), ids=MAILS)
def test_a_mail_of_which_nothing_was_recorded(
    text: str, requests: RequestsSettings, said: str
) -> None:
    made = ready.of_mail(mail(text), requests)
    assert made
    assert made.text == said
    assert made.commands == (
        f"printf '%s\\n' 'Subject: Re: [PATCH] a: fix it' '' '{said}' > reply.txt",
        f"git send-email --suppress-cc=all {DEV} --in-reply-to='<patch@example.org>' reply.txt",
    )


SILENT = {
    "prose": mail("It fails.\n"),
    "nothing is wanted": mail("recheck-request: a"),
    "it was read": mail("Recheck-request: x-1\n"),
    "it replies to nothing": mail("recheck-request: x-1", in_reply_to=""),
    "it is automatic": mail("recheck-request: x-1").replace(
        b"Subject:", b"Auto-Submitted: auto-replied\nSubject:"
    ),
    "no mail": b"\xff\0",
}


@pytest.mark.parametrize("raw", SILENT.values(), ids=SILENT)
def test_where_nothing_was_meant_there_is_no_reply(raw: bytes) -> None:
    assert ready.of_mail(raw, SOME) is None


def test_the_list_is_where_it_says_that_mail_is_posted_to() -> None:
    raw = mail("recheck-request: a").replace(
        b"Subject:", b"List-Post: <mailto:post@lists.example.org?subject=x>\nSubject:"
    )
    made = ready.of_mail(raw, ANY)
    assert made
    assert "--to=post@lists.example.org " in made.commands[1]


LEFT: dict[str, tuple[dict[str, object], RequestsSettings, str]] = {
    "not reached": ({"leftovers": ("b, c",)}, ANY, "Recheck-request: b, c"),
    "it was asked for": ({"leftovers": ("b, a",)}, ANY, "Recheck-request: b"),
    "its arguments go with it": (
        {"leftovers": ("b",), "arguments": {"rebase": "main"}},
        ANY,
        "Recheck-request: b, rebase=main",
    ),
    "suggested": (
        {"leftovers": ("x (did you mean y?)", "z")},
        PATCHWORK,
        "Recheck-request: y",
    ),
    "nothing": ({}, ANY, ""),
    "unknown": ({"leftovers": ("b", "c, d")}, SOME, ""),
    "prose": ({"leftovers": ("please, now!",)}, ANY, ""),
    "nobody knows what it replied to": ({"leftovers": ("b",), "parent": ""}, ANY, ""),
}


@pytest.mark.parametrize(("request_", "requests", "said"), LEFT.values(), ids=LEFT)
def test_a_request_that_left_something_over(
    request_: dict[str, object], requests: RequestsSettings, said: str
) -> None:
    of = {"contexts": ("a",), "parent": "patch@example.org", "list_id": "dev.dpdk.org"}
    made = ready.of_request(asked(1, **{**of, **request_}), requests)
    assert (made.text if made else "") == said
    if made:
        assert "--to=dev@dpdk.org --in-reply-to='<patch@example.org>'" in made.commands[1]


LISTS = {
    "dev.dpdk.org": "dev@dpdk.org",
    "netdev.vger.kernel.org": "netdev@vger.kernel.org",
    "localhost": "",
    "a.b": "",
    "$(reboot).example.org": "",
    "": "",
}


@pytest.mark.parametrize("list_id", LISTS)
def test_the_address_of_a_list(list_id: str) -> None:
    assert ready.list_address(list_id) == LISTS[list_id]


def test_the_commands_quote_what_a_mail_says_and_write_a_mail_that_can_be_read(
    tmp_path: Path,
) -> None:
    evil = "a'$(touch pwned)`touch pwned`@b.org"
    raw = letter("r@b.org", "Re: '$(touch pwned) %s", "> Recheck-request: a", in_reply_to=evil)
    made = ready.of_mail(raw, ANY)
    assert made
    write, send = made.commands
    sends = send.replace("git send-email", "printf '%s\\n'")
    subprocess.run(["/bin/sh", "-c", f"{write}\n{sends}"], cwd=tmp_path, check=True)
    assert [each.name for each in tmp_path.iterdir()] == ["reply.txt"]
    written = (tmp_path / "reply.txt").read_bytes()
    assert written == b"Subject: Re: '$(touch pwned) %s\n\nRecheck-request: a\n"
    read = recheck.parse(message.parse(written).text)
    assert read
    assert read.contexts == ("a",)
