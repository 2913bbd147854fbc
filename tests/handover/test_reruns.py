# SPDX-License-Identifier: BSD-3-Clause
"""The command ``reruns``, and the script that stands in for get_reruns.py: what they take, write
and end with. That consumers lose nothing is shown in ``test_reruns_consumers``."""

import json
import os
import stat
import subprocess
import sys
import time
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest import files
from ingest.commands import flag_values
from ingest.config.tables import RequestsSettings, Settings
from ingest.handover import reruns
from ingest.ledger import Ledger, open_ledger
from ingest.retests import document as retests
from tests.support.clock import HOUR
from tests.support.crashes import Commands, Ended
from tests.support.ledger_values import NOON, record
from tests.support.places import ROOT
from tests.support.users import as_user, open_folder

MOMENT = 1693990860.0  # 2023-09-06T09:01:00Z
LAB = 12001
STAND_IN = ROOT / "contrib" / "get_reruns.py"

# The time


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2023-09-06", MOMENT - 9 * HOUR - 60),
        ("2023-09-06T09:01", MOMENT),
        ("2023-09-06 09:01:00", MOMENT),
        ("2023-09-06T09:01:00", MOMENT),
        ("2023-09-06T09:01:00.000000", MOMENT),
        ("2023-09-06T09:01:00.5", MOMENT + 0.5),
        ("2023-09-06T09:01:00.000001", MOMENT + 0.000001),
        (" 2023-09-06T09:01:00\n", MOMENT),
        ("2023-09-06T09:01:00Z", MOMENT),
        ("2023-09-06T09:01:00.000000+00:00", MOMENT),
        ("2023-09-06T11:01:00+02:00", MOMENT),
        ("2023-09-06 04:01:00-0500", MOMENT),
        ("1970-01-01", 0.0),
        ("0001-01-01T00:00:00+14:00", -62135647200.0),
    ],
)
def test_a_time_is_understood_as_patchwork_does(text: str, at: float) -> None:
    assert flag_values.moment(text) == at


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_a_time_without_an_offset_is_utc_wherever_that_is(
    monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert flag_values.moment("2023-09-06T09:01:00") == MOMENT
        assert retests.stamp(MOMENT) == "2023-09-06T09:01:00.000000"
    finally:
        monkeypatch.undo()
        time.tzset()


NO_TIMES = [
    *("", " ", "5", "now", "yesterday", "null", "None", "1693990860", "20230906", "2023-W36-3"),
    *("2023-09", "2023-13-01", "2023-02-30", "2023-09-06T", "2023-09-06T25:00", "06.09.2023"),
    *("2023-09-06X09:01:00", "2023-09-06T09:01:00+", "2023-09-06T09:01:00 UTC", "٢٠٢٣-٠٩-٠٦"),
]


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_time_is_told_with_an_example(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="2023-09-06T09:01:00"):
        flag_values.moment(text)


# The document


def asked(ledger: Ledger, *contexts: str, arguments: tuple[str, ...] = ("rebase",)) -> Any:
    settings = Settings(requests=RequestsSettings(arguments=arguments))
    return reruns.document(ledger, 0.0, contexts, settings, now=NOON + HOUR)


def test_nothing_since_then_is_null(ledger: Ledger) -> None:
    assert asked(ledger, "iol-a") == {"retests": {}, "last_comment_timestamp": None}
    record(ledger, "a", NOON)
    later = reruns.document(ledger, NOON + 1, ["iol-a"], Settings(), now=NOON + 1)
    assert later == {"retests": {}, "last_comment_timestamp": None}


def test_requests_for_one_series_are_united(ledger: Ledger) -> None:
    record(ledger, "1", NOON, series=7, contexts=("iol-c", "iol-a"), arguments={})
    record(ledger, "2", NOON + 1, series=8, contexts=("iol-a",), arguments={"rebase": "next"})
    record(ledger, "3", NOON + 2, series=7, contexts=("iol-b", "iol-a"), arguments={"x": "y"})
    assert asked(ledger, "iol-a", "iol-b", "iol-c") == {
        "retests": {
            "7": {"contexts": ["iol-a", "iol-b", "iol-c"], "arguments": {"x": "y"}},
            "8": {"contexts": ["iol-a"], "arguments": {"rebase": "next"}},
        },
        "last_comment_timestamp": "2023-11-14T22:13:23.000000",
    }


def test_of_two_values_for_one_argument_that_of_the_later_mail_stands(ledger: Ledger) -> None:
    record(ledger, "new", NOON, arguments={"rebase": "new"}, date=NOON)
    record(ledger, "old", NOON + 1, arguments={"rebase": "old"}, date=NOON - HOUR)
    assert asked(ledger, "iol-a")["retests"]["29430"]["arguments"] == {"rebase": "new"}


@pytest.mark.parametrize(
    ("wanted", "contexts", "arguments", "counts"),
    [
        (["iol-a"], ["iol-a", "iol-b"], {}, ["iol-a"]),
        (["iol-a", "other"], ["iol-a", "iol-b"], {}, ["iol-a"]),
        (["IOL-A"], ["iol-a"], {}, None),
        (["iol-*"], ["iol-a"], {}, None),  # names, not patterns
        (["iol-a"], ["iol-b"], {}, None),
        (["iol-a"], ["iol-b"], {"rebase": "main"}, []),
        (["iol-a"], ["iol-a"], {"unknown": "x"}, ["iol-a"]),
        (["iol-a"], ["iol-b"], {"unknown": "x"}, None),
        (["iol-a"], [], {"rebase": "main", "unknown": "x"}, None),
        ([], ["iol-a"], {}, None),
        ([], ["iol-a"], {"rebase": "main"}, []),
        ([], [], {"rebase": "main"}, []),
        ([], ["iol-a"], {"unknown": "x"}, None),
    ],
)
def test_a_request_counts_by_its_contexts_or_its_known_arguments(
    ledger: Ledger,
    wanted: list[str],
    contexts: list[str],
    arguments: dict[str, str],
    counts: list[str] | None,
) -> None:
    record(ledger, "a", NOON, contexts=tuple(contexts), arguments=arguments)
    document = asked(ledger, *wanted)
    expected = {} if counts is None else {"29430": {"contexts": counts, "arguments": arguments}}
    assert document["retests"] == expected
    assert document["last_comment_timestamp"], "it came, and need not come again"


def test_the_known_arguments_are_those_of_the_settings(ledger: Ledger) -> None:
    record(ledger, "a", NOON, contexts=(), arguments={"flavour": "mild"})
    assert asked(ledger)["retests"] == {}
    assert "29430" in asked(ledger, arguments=("flavour",))["retests"]


def test_the_timestamp_is_what_to_ask_for_next(ledger: Ledger) -> None:
    """Of the clock that recorded the request; its mail may be of any date."""
    record(ledger, "a", MOMENT + 0.25, date=MOMENT - 500 * HOUR)
    assert asked(ledger)["last_comment_timestamp"] == "2023-09-06T09:01:01.000000"


def test_a_ledger_that_never_got_a_mail_is_told_of(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    asked(ledger)
    assert "no mail has come to the ledger" in caplog.text
    caplog.clear()
    record(ledger, "a", NOON)
    asked(ledger)
    reruns.document(ledger, NOON + 1, [], Settings(), now=NOON)
    assert caplog.text == ""


# The command


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    with Commands() as running:
        yield running


Run = Callable[..., Ended]
OUTPUT = """{
    "retests": {
        "29430": {
            "contexts": [
                "iol-a"
            ],
            "arguments": {
                "rebase": "main"
            }
        }
    },
    "last_comment_timestamp": "2023-11-14T22:13:21.000000"
}"""
ASKED = ("-ts", "2023-11-14T22:13:20", "--contexts", "iol-a")


@pytest.fixture
def state(quick_path: Path) -> Path:
    """The folder of a ledger with one request."""
    folder = quick_path / "lab"
    ledger = open_ledger(f"sqlite:{folder}/ledger.sqlite")
    record(ledger, "a", NOON)
    ledger.close()
    return folder


@pytest.fixture
def run(commands: Commands, state: Path) -> Run:
    def command(*arguments: str) -> Ended:
        return commands.run("reruns", *arguments, "--state", str(state))

    return command


@pytest.mark.slow
def test_the_file_is_byte_for_byte_what_get_reruns_would_write(run: Run, tmp_path: Path) -> None:
    output = tmp_path / "out.json"
    done = run(*ASKED, "-o", str(output))
    assert (done.code, done.output) == (0, "")
    assert output.read_text() == OUTPUT
    assert json.dumps(json.loads(OUTPUT), indent=4) == OUTPUT


@pytest.mark.parametrize(
    "flags",
    [
        ["-ts", "2023-11-14T22:13:20", "-o", "-", "--contexts", "iol-a"],
        ["--time-since=2023-11-14", "--out-file", "-", "--multipage", "--contexts", "iol-a", "x"],
        ["-m", "-ts", "2023-11-14", "--contexts", "x", "iol-a", "-o", "-"],
        ["--t", "2023-11-14", "--c", "iol-a", "--o=-"],
        ["--time", "2023-11-14", "--con", "iol-a", "--out", "-", "--multi"],
        ["-ts", "2023-11-14", "-o-", "-u", "http://127.0.0.1:9/api", "--cont", "iol-a"],
        ["-ts", "2023-11-14", "-o-", "--patchwork-url=x", "--contexts", "iol-a"],
    ],
)
def test_every_flag_of_get_reruns_is_taken(run: Run, flags: list[str]) -> None:
    done = run(*flags)
    assert (done.code, done.output) == (0, OUTPUT + "\n")


@pytest.mark.parametrize("empty", ["", " ", "\n"], ids=repr)
def test_an_empty_kept_time_asks_for_the_last_day(run: Run, state: Path, empty: str) -> None:
    ledger = open_ledger(f"sqlite:{state}/ledger.sqlite")
    record(ledger, "new", time.time() - 3600, series=7)
    ledger.close()
    done = run("-ts", empty, "--contexts", "iol-a", "-o", "-")
    assert done.code == 0
    assert json.loads(done.output)["retests"].keys() == {"7"}


def test_without_a_ledger_it_fails_and_makes_none(commands: Commands, quick_path: Path) -> None:
    folder = quick_path / "elsewhere"
    done = commands.run("reruns", *ASKED, "-o", "-", "--state", str(folder))
    assert done.code == 1
    said = f"recheck-ingest: there is no ledger {folder}/ledger.sqlite yet; the first mail "
    assert done.output == f"{said}that may hold a request makes it\n"
    assert not folder.exists()


def test_a_file_that_can_be_written_in_a_folder_that_cannot_is_written() -> None:
    with open_folder() as folder:
        output = folder / "out.json"
        output.write_text("of the last time, and rather longer" * 100)
        output.chmod(0o666)
        assert as_user(LAB, LAB, [], lambda: files.write_out(str(output), OUTPUT)) == ""
        assert output.read_text() == OUTPUT
        assert list(folder.iterdir()) == [output]


def test_the_file_is_rerun_requests_json_by_default(state: Path, tmp_path: Path) -> None:
    done = stands_in(*ASKED, "--state", str(state), cwd=tmp_path)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
    assert [each.name for each in tmp_path.iterdir()] == ["rerun_requests.json"]
    assert (tmp_path / "rerun_requests.json").read_text() == OUTPUT


def test_the_file_of_the_last_time_is_replaced_and_keeps_its_mode(run: Run, tmp_path: Path) -> None:
    output = tmp_path / "out.json"
    output.write_text("of the last time, and rather longer than what will be there" * 100)
    output.chmod(0o640)
    before = output.stat().st_ino
    assert run(*ASKED, "-o", str(output)).code == 0
    assert output.read_text() == OUTPUT
    assert stat.S_IMODE(output.stat().st_mode) == 0o640
    assert output.stat().st_ino != before, "whoever has the old one open reads it to its end"
    assert list(tmp_path.iterdir()) == [output]


WRONG = [
    [],
    ["-ts", "2023-11-14"],
    ["--contexts", "iol-a"],
    ["-ts", "soon", "--contexts", "iol-a"],
    ["-ts", "--contexts", "iol-a"],
    [*ASKED, "-o"],
    [*ASKED, "--no-such-flag"],
    [*ASKED, "--retests", "x.json"],
]


@pytest.mark.parametrize("arguments", WRONG, ids=" ".join)
def test_wrong_usage_ends_with_2(run: Run, arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.code == 2
    assert done.output.startswith("recheck-ingest: ")
    assert done.output.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["-o", "/dev/null/out.json"],
        ["-o", "/"],
        ["-o", "/dev/full"],
        ["--config", "/dev/null/recheck-ingest.toml"],
        ["--state", "/dev/null/state"],
    ],
    ids=" ".join,
)
def test_what_fails_ends_with_1(commands: Commands, state: Path, arguments: list[str]) -> None:
    done = commands.run("reruns", "--state", str(state), *ASKED, *arguments)
    assert done.code == 1
    assert done.output.startswith("recheck-ingest: ")
    assert done.output.count("\n") == 1


def test_a_file_that_cannot_be_written_is_left_as_it_is(
    run: Run, state: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "a-file"
    folder.write_text("of another program")
    assert run(*ASKED, "-o", str(folder / "out.json")).code == 1
    assert folder.read_text() == "of another program"
    assert run(*ASKED, "-o", "-").output == OUTPUT + "\n", "and the same answer is given again"


def with_output(state: Path, output: int, *before: str) -> tuple[int, str]:
    """The command with this standard output; its exit code, and what it says of it."""
    command = [sys.executable, "-m", "ingest", "reruns", *ASKED, "-o", "-", "--state", str(state)]
    done = subprocess.run(
        [*before, *command], cwd=ROOT, stdout=output, stderr=subprocess.PIPE, check=False
    )
    return done.returncode, done.stderr.decode()


def test_a_full_disk_behind_standard_output_is_a_failure(state: Path) -> None:
    with open("/dev/full", "w") as full:
        assert with_output(state, full.fileno()) == (
            1,
            "recheck-ingest: standard output cannot be written: No space left on device\n",
        )


def test_a_reader_that_has_gone_away_is_a_failure(state: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    assert with_output(state, writing) == (
        1,
        "recheck-ingest: standard output cannot be written: Broken pipe\n",
    )
    os.close(writing)


def test_a_standard_output_that_is_closed_is_a_failure(state: Path) -> None:
    shell = ["bash", "-c", '"$@" >&-', "bash"]
    assert with_output(state, subprocess.DEVNULL, *shell) == (
        1,
        "recheck-ingest: standard output is closed\n",
    )


# The script


def stands_in(
    *arguments: str, cwd: Path, environment: dict[str, str] | None = None, python: str = ""
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [python or sys.executable, str(STAND_IN), *arguments],
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        check=False,
        timeout=60,
    )


def program(folder: Path, text: str = "#!/bin/sh\nprintf '[%s]' \"$@\"; exit 3\n") -> Path:
    made = folder / "recheck-ingest"
    made.write_text(text)
    made.chmod(0o755)
    return made


def test_the_script_can_be_executed_as_it_is() -> None:
    assert os.access(STAND_IN, os.X_OK)
    assert STAND_IN.read_text().startswith("#!/usr/bin/env python3\n")


def test_the_script_hands_arguments_and_exit_code_through(tmp_path: Path) -> None:
    named = {"RECHECK_INGEST": str(program(tmp_path))}
    done = stands_in("-ts", "a b", "--contexts", "", "*", cwd=tmp_path, environment=named)
    assert done.stdout == b"[reruns][-ts][a b][--contexts][][*]"
    assert done.returncode == 3


def test_the_script_finds_the_program_on_the_path(tmp_path: Path) -> None:
    """Where there is none beside the interpreter."""
    program(tmp_path)
    python = tmp_path / "elsewhere" / "python3"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = stands_in("-m", cwd=tmp_path, environment=path, python=str(python))
    assert done.stdout == b"[reruns][-m]"


@pytest.mark.parametrize("named", ["/nonexistent/recheck-ingest", "no-such-program"])
def test_a_script_that_is_told_of_a_program_that_is_not_there_says_so(
    tmp_path: Path, named: str
) -> None:
    done = stands_in(*ASKED, cwd=tmp_path, environment={"RECHECK_INGEST": named})
    assert (done.returncode, done.stdout) == (1, b"")
    assert (
        done.stderr
        == f"get_reruns.py: $RECHECK_INGEST names {named}, which is no program\n".encode()
    )


def test_a_script_that_finds_no_program_says_so(tmp_path: Path) -> None:
    python = tmp_path / "python3"
    python.symlink_to(sys.executable)
    done = stands_in(*ASKED, cwd=tmp_path, environment={"PATH": ""}, python=str(python))
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"get_reruns.py: recheck-ingest is neither ")
    assert done.stderr.count(b"\n") == 1


def test_a_program_that_cannot_be_run_is_told_of(tmp_path: Path) -> None:
    broken = program(tmp_path, "#!/nonexistent/python3\n")
    done = stands_in(cwd=tmp_path, environment={"RECHECK_INGEST": str(broken)})
    assert done.returncode == 1
    assert done.stderr.startswith(f"get_reruns.py: {broken} cannot be run".encode())
