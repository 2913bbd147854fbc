# SPDX-License-Identifier: BSD-3-Clause
"""``replay``: what it records, and what a dry run says."""

import json
from contextlib import closing

import pytest

from ingest.ledger import open_ledger
from ingest.sandbox import Sandbox
from tests.support.command_line import SECOND, Command
from tests.support.places import RECORDED

CONTEXTS = ("--contexts", "iol-*,github-robot")

# What replies.mbox asks for: the real patch, and a cover letter.
EXPECTED = {
    "retests": {
        "29430": {
            "contexts": ["iol-broadcom-Performance", "iol-unit-amd64-testing"],
            "arguments": {},
        },
        "29431": {"contexts": ["github-robot"], "arguments": {"rebase": "main"}},
    },
    "last_comment_timestamp": SECOND,
}


@pytest.mark.slow
def test_replaying_the_recorded_replies_gives_their_retests(
    command: Command, patchwork: Sandbox
) -> None:
    done = command("replay", str(RECORDED / "replies.mbox"), *CONTEXTS, url=patchwork.url)
    assert (done.returncode, done.stderr) == (0, b"")
    assert command.document() == EXPECTED
    assert "3 mails, 3 could hold a request, 0 known already" in done.stdout.decode()


@pytest.mark.slow
def test_a_second_replay_changes_no_byte_and_asks_nothing(
    command: Command, patchwork: Sandbox
) -> None:
    command("replay", str(RECORDED / "replies.mbox"), *CONTEXTS, url=patchwork.url)
    before, asked = command.retests.read_bytes(), len(patchwork.requests)
    inode = command.retests.stat().st_ino
    done = command("replay", str(RECORDED / "replies.mbox"), *CONTEXTS, url=patchwork.url)
    assert "3 known already" in done.stdout.decode()
    assert command.retests.read_bytes() == before
    assert command.retests.stat().st_ino == inode
    assert len(patchwork.requests) == asked


def test_a_direct_reply_costs_one_request_besides_the_list_of_projects(
    command: Command, patchwork: Sandbox
) -> None:
    command("replay", str(RECORDED / "replies.mbox"), *CONTEXTS, url=patchwork.url)
    assert [request.path.partition("?")[0] for request in patchwork.requests] == [
        "/api/projects/",
        "/api/patches/",
        "/api/covers/",
    ]


def test_a_dry_run_tells_and_writes_nothing(command: Command, patchwork: Sandbox) -> None:
    done = command(
        "replay", "--dry-run", str(RECORDED / "replies.mbox"), *CONTEXTS, url=patchwork.url
    )
    assert done.returncode == 0
    assert done.stdout.decode().splitlines()[:2] == [
        "<recheck-1@example.org> series 29430: iol-unit-amd64-testing, iol-broadcom-Performance",
        "<recheck-2@example.org> series 29431: github-robot, rebase=main",
    ]
    assert not command.retests.exists()
    assert not command.state.exists()


def test_an_offline_dry_run_asks_nothing(command: Command, patchwork: Sandbox) -> None:
    done = command(
        "replay", "--dry-run", "--offline", str(RECORDED / "replies.mbox"), url=patchwork.url
    )
    assert done.returncode == 0
    assert b"<recheck-1@example.org> series unknown: iol-unit-amd64-testing" in done.stdout
    assert patchwork.requests == []


def test_a_dry_run_without_patchwork_says_so(command: Command) -> None:
    done = command("replay", "--dry-run", str(RECORDED / "replies.mbox"))
    assert done.returncode == 69
    assert b"cannot be reached" in done.stdout


def test_a_dry_run_tells_programs_in_json(command: Command) -> None:
    replies = str(RECORDED / "replies.mbox")
    done = command("replay", "--dry-run", "--offline", "--json", replies)
    told = json.loads(done.stdout)
    assert (told["mails"], told["recorded"]) == (3, 2)
    assert told["found"][1]["wanted"] == {
        "contexts": ["github-robot"],
        "arguments": {"rebase": "main"},
        "leftovers": [],
    }


def test_offline_without_dry_run_is_a_usage_error(command: Command) -> None:
    done = command("replay", "--offline", str(RECORDED / "replies.mbox"))
    assert done.returncode == 64
    assert b"--dry-run" in done.stderr


RATE = {"RECHECK_INGEST_POLICY_RATE": "1 per week"}
DKIM = {"RECHECK_INGEST_POLICY_REQUIRE": "dkim", "RECHECK_INGEST_POLICY_DNS": "127.0.0.1:9"}


@pytest.mark.slow
def test_what_was_asked_long_ago_is_no_matter_of_rates(
    command: Command, patchwork: Sandbox
) -> None:
    replies = str(RECORDED / "replies.mbox")
    command("replay", replies, *CONTEXTS, url=patchwork.url, environment=RATE)
    assert command.document() == EXPECTED
    with closing(open_ledger(f"sqlite:{command.state}/ledger.sqlite")) as ledger:
        assert [each.rated for each in ledger.requests()] == [False, False]


@pytest.mark.parametrize("dry", [(), ("--dry-run",), ("--dry-run", "--offline")])
@pytest.mark.slow
def test_a_dry_run_believes_a_sender_as_the_real_one_does(
    dry: tuple[str, ...], command: Command, patchwork: Sandbox
) -> None:
    replies = str(RECORDED / "replies.mbox")
    done = command("replay", *dry, replies, *CONTEXTS, url=patchwork.url, environment=DKIM)
    assert done.returncode == 0
    assert "policy require: not proved of it: dkim" in done.stdout.decode()
    assert "0 requests" in done.stdout.decode()
    assert not command.retests.exists()


@pytest.mark.slow
def test_an_archive_that_waits_for_a_patchwork_that_is_down_ends_with_69(
    command: Command, patchwork: Sandbox
) -> None:
    done = command("replay", "--json", str(RECORDED / "replies.mbox"))
    assert (done.returncode, done.stderr) == (69, b"")
    told = json.loads(done.stdout)
    assert (told["down"], told["recorded"]) == (True, 0)
    assert command("retry", "--all", url=patchwork.url).returncode == 0
    assert command("work", "--once", url=patchwork.url).returncode == 0
    assert command.status()["mails"]["done"] == 2
