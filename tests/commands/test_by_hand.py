# SPDX-License-Identifier: BSD-3-Clause
"""``ask`` and ``note``: a request without a mail, and remarks."""

import json
from pathlib import Path

import pytest

from ingest.commands import cli
from ingest.ledger import Ledger, Request
from ingest.sandbox import Sandbox
from tests.support.handing_over import told
from tests.support.http_service import NOWHERE
from tests.support.ledger_values import record
from tests.support.mails import patch

pytestmark = pytest.mark.usefixtures("configured")


@pytest.fixture
def asked(ledger: Ledger) -> Request:
    return record(ledger, "a@example.org")


def run(folder: Path, *arguments: str, patchwork: str = NOWHERE) -> int:
    return cli.main([*arguments, "--state", str(folder), "--patchwork", patchwork])


def ask(folder: Path, *arguments: str, patchwork: str = NOWHERE) -> int:
    return run(folder, "ask", *arguments, "--by", "Ada", patchwork=patchwork)


def test_what_is_asked_for_by_hand_is_in_the_log_and_shown(
    asked: Request, quick_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--argument", "rebase=main", "--reason", "the machine was down"]
    assert ask(quick_path, "29430", "iol-x", "iol-y", *flags) == 0
    assert "request 2 for series 29430: iol-x, iol-y, rebase=main\n" in capsys.readouterr().out
    [story] = json.loads(told(quick_path, capsys, "show", "--json", "2"))
    [request] = story["requests"]
    assert (story["message_id"], story["outcome"]) == (None, "done")
    assert story["source"] == "by hand, command"
    assert (request["requester"], request["reason"]) == ("Ada (command)", "the machine was down")
    # The series was asked about before, so Patchwork is not asked.
    assert (request["submission"], request["project"]) == ("patch 131182", "dpdk")
    batch = quick_path / "batch.json"
    assert run(quick_path, "take", "--consumer", "arm", "-o", str(batch)) == 0
    assert {"iol-x", "iol-y"} < {*json.loads(batch.read_text())["retests"]["29430"]["contexts"]}


def test_a_series_that_is_not_known_here_is_looked_up(
    quick_path: Path, patchwork: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    series = next(iter(patchwork.store.series.values()))
    assert ask(quick_path, str(series.id), "iol-x", patchwork=patchwork.url) == 0
    [story] = json.loads(told(quick_path, capsys, "show", "--json", "1"))
    first = patchwork.store.patches_of(series)[0]
    assert story["requests"][0]["submission"] == f"patch {first.id}"
    assert ask(quick_path, "99999", "iol-x", patchwork=patchwork.url) == 1
    assert "has no series 99999" in capsys.readouterr().err


def test_of_a_server_with_revisions_the_newest_one_is_asked_for(
    quick_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Sandbox(kind="freedesktop") as fork:
        fork.file(patch("p@x", "[PATCH] net: fix"))
        fork.fork.renew(1, 1)
        assert ask(quick_path, "1", "igt-a", patchwork=fork.url) == 0
    assert "request 1 for series 1, revision 2: igt-a\n" in capsys.readouterr().out


def test_patchwork_that_is_down_ends_it_with_69_and_nothing_is_recorded(
    quick_path: Path, ledger: Ledger
) -> None:
    assert ask(quick_path, "29430", "iol-x") == 69
    assert ledger.requests() == []


REFUSED = {
    "no label": (("29430",), "name a label or an argument"),
    "not a label": (("29430", "a b"), "'a b' is not a label"),
    "not a number": (("x", "iol-x"), "'x' is not the number of a series"),
    "too large a number": ((str(1 << 63), "iol-x"), "is not the number of a series"),
    "not an argument": (("29430", "--argument", "rebase"), "is not an argument like rebase=main"),
    "an unknown argument": (("29430", "--argument", "a=b"), "unknown argument a"),
    "not wanted": (("29430", "iol-x", "--contexts", "other"), "no wanted context among iol-x"),
    "another server": (("29430", "iol-x", "--server", "y"), "there is no [patchwork.y]"),
}


@pytest.mark.parametrize(("arguments", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_asked_for_is_64_and_nothing_is_recorded(
    asked: Request,
    ledger: Ledger,
    quick_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    said: str,
) -> None:
    assert ask(quick_path, *arguments) == 64
    assert said in capsys.readouterr().err
    assert ledger.requests() == [asked]


@pytest.mark.parametrize("name", ["1", "mail-1", "a@example.org", "<a@example.org>"])
def test_a_remark_stands_in_the_story(
    asked: Request, quick_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert run(quick_path, "note", name, "ran on\nthe spare\x1b[31m", "--by", "Ada") == 0
    shown = told(quick_path, capsys, "show", "1")
    assert "note Ada: ran on the spare [31m\n" in shown


def test_a_remark_by_the_id_of_a_request(
    asked: Request, quick_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(quick_path, "note", asked.id, "hm", "--by", "Ada") == 0
    assert "note Ada: hm\n" in told(quick_path, capsys, "show", "1")
    assert run(quick_path, "note", "9", "hm", "--by", "Ada") == 1
    assert run(quick_path, "note", "1", " ", "--by", "Ada") == 64
