# SPDX-License-Identifier: BSD-3-Clause
"""``cancel``, ``pause``, ``resume`` and ``retry --ignored``, as an operator types them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.commands import cli
from ingest.ledger import Ledger, Outcome
from ingest.sandbox import Sandbox
from tests.support.bad_server import Hell, http, says
from tests.support.ledger_values import NOON, arrival, claimed, finish, record, the_outcome
from tests.support.places import RECORDED
from tests.support.service import Service, eventually

Output = pytest.CaptureFixture[str]


@pytest.fixture
def folder(quick_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(quick_path))
    return quick_path


def run(folder: Path, *arguments: str) -> int:
    return cli.main([*arguments, "--state", str(folder)])


def test_a_request_is_cancelled_by_its_number(folder: Path, ledger: Ledger, capsys: Output) -> None:
    record(ledger, "a@example.org")
    assert run(folder, "cancel", "1", "--reason", "the wrong series") == 0
    assert capsys.readouterr().out == "cancelled request 1\n"
    assert run(folder, "show", "1") == 0
    told = capsys.readouterr().out
    assert "<a@example.org> cancelled: the wrong series" in told
    assert "    cancelled: the wrong series" in told
    assert "    iol-a: cancelled by operator: the wrong series" in told
    assert "not yet in" not in told


def test_a_mail_that_waits_is_cancelled_by_its_id_and_found_so(
    folder: Path, ledger: Ledger, capsys: Output
) -> None:
    ledger.accept(arrival("a@example.org"))
    assert run(folder, "cancel", "<a@example.org>", "--reason", "spam") == 0
    assert capsys.readouterr().out == "cancelled <a@example.org>\n"
    assert run(folder, "list", "--state", "cancelled", "--json") == 0
    [mail] = json.loads(capsys.readouterr().out)
    assert (mail["outcome"], mail["reason"]) == ("cancelled", "spam")


def test_what_is_not_there_or_dealt_with_is_told_and_nothing_is_cancelled(
    folder: Path, ledger: Ledger, capsys: Output
) -> None:
    ledger.accept(arrival("b@example.org"))
    ledger.accept(arrival("a@example.org"))
    finish(ledger, claimed(ledger), Outcome.IGNORED)
    assert run(folder, "cancel", "a@example.org", "b@example.org") == 1
    assert run(folder, "cancel", "a@example.org", "nobody@example.org") == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "<b@example.org> is not cancelled: it is ignored" in told.err
    assert "there is no mail or request nobody@example.org in the ledger" in told.err
    assert the_outcome(ledger, "a@example.org") is Outcome.QUEUED


def test_a_sink_is_paused_and_resumed_and_status_says_so(
    folder: Path, ledger: Ledger, capsys: Output
) -> None:
    record(ledger, "a@example.org")
    name = f"json_file:{folder}/retests.json"
    assert run(folder, "pause", "retests", "--reason", "moving house") == 0
    told = f"{name} hands nothing over until: recheck-ingest resume {name}\n"
    assert capsys.readouterr().out == told
    assert run(folder, "status") == 0
    assert f"sink       {name} at 0, 1 behind, paused since 2" in capsys.readouterr().out
    assert run(folder, "status", "--json") == 0
    [sink] = json.loads(capsys.readouterr().out)["sinks"]
    assert (sink["pause_reason"], sink["lag"]) == ("moving house", 1)
    assert run(folder, "work", "--once") == 0
    assert not (folder / "retests.json").exists()
    assert run(folder, "resume", "retests") == 0
    assert capsys.readouterr().out == (
        f"{name} hands over again\n"
        "1 request behind: serve goes on, or run: recheck-ingest work --once\n"
    )
    assert run(folder, "work", "--once") == 0
    assert (folder / "retests.json").exists()


def test_pausing_twice_and_resuming_what_is_not_paused_is_told(
    folder: Path, ledger: Ledger, capsys: Output
) -> None:
    assert run(folder, "pause", "retests") == 0
    assert run(folder, "pause", "retests") == 0
    assert "was paused before; see status" in capsys.readouterr().err
    assert run(folder, "resume", "retests") == 0
    assert run(folder, "resume", "retests") == 1
    assert "is not paused; see status" in capsys.readouterr().err


def test_an_unknown_sink_is_told_with_those_that_there_are(
    folder: Path, ledger: Ledger, capsys: Output
) -> None:
    assert run(folder, "pause", "webhook:lab") == 64
    assert f"there are json_file:{folder}/retests.json" in capsys.readouterr().err


def test_what_was_ignored_is_judged_again_from_a_time_on(
    folder: Path, ledger: Ledger, capsys: Output
) -> None:
    for name, at in (("a@example.org", NOON), ("b@example.org", NOON + 60)):
        ledger.accept(arrival(name, at=at))
        finish(ledger, claimed(ledger, NOON + 90), Outcome.IGNORED, NOON + 90)
    assert run(folder, "retry", "--ignored", "--since", "2023-11-14T22:13:30") == 0
    head, *told = capsys.readouterr().out.splitlines()
    assert head.startswith("1 queued;")
    assert told == ["  <b@example.org>"]
    assert the_outcome(ledger, "a@example.org") is Outcome.IGNORED
    assert run(folder, "retry", "--ignored", "--since", "2023-11-15") == 1


def test_since_is_for_what_was_ignored(folder: Path, ledger: Ledger, capsys: Output) -> None:
    assert run(folder, "retry", "--all", "--since", "2023-11-14") == 64
    assert "--since goes with --ignored" in capsys.readouterr().err


JSON: dict[str, tuple[list[str], dict[str, object]]] = {
    "cancel": (
        ["cancel", "a@example.org", "--reason", "spam"],
        {"cancelled": ["request 1"], "reason": "spam"},
    ),
    "pause": (["pause", "retests"], {"paused": "FILE", "new": True, "at_work_on": None}),
    "retry": (
        ["retry", "b@example.org", "a@example.org"],
        {
            "queued": 1,
            "mails": [
                {"mail": "<b@example.org>", "outcome": "queued"},
                {"mail": "<a@example.org>", "outcome": "done"},
            ],
        },
    ),
}


@pytest.mark.parametrize("case", JSON)
def test_for_a_program_it_is_told_as_json(
    case: str, folder: Path, ledger: Ledger, capsys: Output
) -> None:
    record(ledger, "a@example.org")
    ledger.accept(arrival("b@example.org"))
    finish(ledger, claimed(ledger), Outcome.FAILED)
    arguments, told = JSON[case]
    assert run(folder, *arguments, "--json") == 0
    file = f"json_file:{folder}/retests.json"
    assert json.loads(capsys.readouterr().out.replace(file, "FILE")) == told


def test_a_resumed_sink_says_how_far_it_is_behind(
    folder: Path, ledger: Ledger, capsys: Output
) -> None:
    record(ledger, "a@example.org")
    run(folder, "pause", "retests")
    capsys.readouterr()
    assert run(folder, "resume", "retests", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"resumed": f"json_file:{folder}/retests.json", "behind": 1}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path)
    yield made
    made.end()


@pytest.mark.slow
def test_a_service_hands_nothing_over_while_paused_and_never_what_was_cancelled(
    service: Service, hell: Hell
) -> None:
    """With serve, pipes, and an operator's commands as processes of their own."""
    hell.will(says(http(204)))
    where = {"RECHECK_INGEST_WEBHOOK_LAB_URL": f"{hell.url}/hook"}

    def posted() -> list[str]:
        return [label for each in hell.seen for label in json.loads(each.body)["contexts"]]

    with Sandbox(str(RECORDED / "patch.mbox"), str(RECORDED / "series.mbox")) as patchwork:

        def command(*arguments: str) -> str:
            process = service.start(*arguments, url=patchwork.url, **where)
            out, errors = process.communicate(timeout=60)
            assert (process.returncode, errors) == (0, b""), errors
            return out.decode()

        service.start("serve", url=patchwork.url, **where)
        service.pipe(b"one", patchwork.url)
        eventually(lambda: posted() == ["iol-one"])
        for sink in ("webhook:lab", "retests"):
            command("pause", sink)
        service.pipe(b"two", patchwork.url)
        eventually(lambda: "2 done" in command("status"))
        service.pipe(b"three", patchwork.url)
        eventually(lambda: "3 done" in command("status"))
        assert command("cancel", "two@example.org") == "cancelled request 2\n"
        for sink in ("webhook:lab", "retests"):
            command("resume", sink)
        eventually(lambda: posted() == ["iol-one", "iol-three"])
        eventually(lambda: service.contexts() == ["iol-one", "iol-three"])
        lines = command("log", "--json", "-n", "99").splitlines()
        what = [json.loads(line)["what"] for line in lines]
        assert [each for each in what if each in ("paused", "cancelled", "resumed")] == [
            *["paused"] * 2,
            "cancelled",
            *["resumed"] * 2,
        ]
