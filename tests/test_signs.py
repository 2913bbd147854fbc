# SPDX-License-Identifier: BSD-3-Clause
"""Signs of life: what is counted, in how much room, and what keeps counting from harm."""

import fcntl
import os
import subprocess
import sys
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

import pytest

from ingest import signs
from ingest.config import load as config
from ingest.ledger import open_ledger
from tests.support.mails import RECHECK, letter
from tests.support.users import as_user, open_folder

NOON = 1_700_000_000.0
THANKS = letter("a@example.org", "Re: it", "Thanks.\n", list_id="dev.example.org")
ASKS = letter("b@example.org", "Re: it", RECHECK, in_reply_to="p", list_id="dev.example.org")


def told(folder: Path) -> list[tuple[str, str | None, int]]:
    return [(each.source, each.name, each.count) for each in signs.read(str(folder))]


def test_times_and_the_longest_silence_are_kept_of_each_list(tmp_path: Path) -> None:
    for name, at in (("a", 0), ("b", 5), ("a", 10), ("a", 70), ("a", 80)):
        signs.saw(str(tmp_path), "pipe", {name: 1}, NOON + at)
    first, second = signs.read(str(tmp_path))
    assert (first.name, first.count, first.first, first.last, first.longest) == (
        *("a", 4, NOON, NOON + 80),
        60.0,
    )
    assert (second.name, second.count, second.longest) == ("b", 1, 0.0)


def test_a_clock_that_was_set_back_makes_no_silence(tmp_path: Path) -> None:
    for at in (100, 0, 7):
        signs.saw(str(tmp_path), "pipe", {"a": 1}, NOON + at)
    (sign,) = signs.read(str(tmp_path))
    assert (sign.last, sign.longest) == (NOON + 7, 7.0)


def test_lists_without_number_take_no_more_room_than_two_hundred(tmp_path: Path) -> None:
    for number in range(1000):
        signs.saw(str(tmp_path), "pipe", {f"list-{number}": 2}, NOON)
    signs.saw(str(tmp_path), "pipe", {"list-7": 1}, NOON)
    found = told(tmp_path)
    assert len(found) == 201
    assert ("pipe", "list-7", 3) in found
    assert found[-1] == ("pipe", None, 1600)
    assert (tmp_path / "pipe.seen").stat().st_size == 202 * 256


@pytest.mark.parametrize("name", ["", "L", "x" * 5000, "ä" * 300, "a\udcff", "T", "\n"])
def test_any_name_is_counted_by_itself(name: str, tmp_path: Path) -> None:
    for _ in range(2):
        signs.saw(str(tmp_path), "pipe", {name: 1, "dev.example.org": 1}, NOON)
    assert [each[2] for each in told(tmp_path)] == [2, 2]


def _many(folder: str) -> None:
    for _ in range(50):
        signs.saw(folder, "pipe", {"dev.example.org": 1}, NOON)


@pytest.mark.slow
def test_processes_side_by_side_count_every_mail(tmp_path: Path) -> None:
    processes = [get_context("spawn").Process(target=_many, args=(str(tmp_path),)) for _ in "1234"]
    for each in processes:
        each.start()
    for each in processes:
        each.join()
    assert told(tmp_path) == [("pipe", "dev.example.org", 200)]


def test_a_test_mail_is_no_sign_of_life_of_a_list(tmp_path: Path) -> None:
    raw = b"X-Recheck-Ingest-Test: abc\n" + THANKS
    signs.note(str(tmp_path), [(raw, "pipe")], NOON)
    assert told(tmp_path) == []
    assert signs.test_came_by(str(tmp_path), "abc") == "pipe"
    assert signs.test_came_by(str(tmp_path), "ab") == ""


@pytest.mark.parametrize(
    ("said", "source"),
    [
        ("pipe", "pipe"),
        ("maildir 17.x:2,S", "maildir"),
        ("http, token robin", "http"),
        ("hook lab (mailgun, text from JSON)", "hook.lab"),
        ("inbox.dev", "inbox.dev"),
    ],
)
def test_a_source_counts_under_its_name(said: str, source: str, tmp_path: Path) -> None:
    signs.note(str(tmp_path), [(THANKS, said)], NOON)
    assert told(tmp_path) == [(source, "dev.example.org", 1)]


def test_nothing_that_hinders_counting_is_an_error(tmp_path: Path) -> None:
    signs.saw(str(tmp_path / "none"), "pipe", {"a": 1}, NOON)
    (tmp_path / "other").write_text("of somebody else")
    (tmp_path / "pipe.seen").symlink_to(tmp_path / "other")
    signs.saw(str(tmp_path), "pipe", {"a": 1}, NOON)
    os.mkfifo(tmp_path / "smtp.seen")
    signs.saw(str(tmp_path), "smtp", {"a": 1}, NOON)
    (tmp_path / "lmtp.seen").touch()
    with (tmp_path / "lmtp.seen").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        signs.saw(str(tmp_path), "lmtp", {"a": 1}, NOON)
    assert (tmp_path / "other").read_text() == "of somebody else"
    assert (tmp_path / "lmtp.seen").read_bytes() == b""
    assert not (tmp_path / "none").exists()


def test_what_root_counts_first_the_owner_of_the_folder_can_count_on() -> None:
    with open_folder() as folder:
        os.chown(folder, 65534, 65534)
        signs.saw(str(folder), "pipe", {"a": 1}, NOON)
        more = as_user(65534, 65534, [], lambda: signs.saw(str(folder), "pipe", {"a": 1}, NOON))
        assert (more, told(folder)) == ("", [("pipe", "a", 2)])


def pipe(raw: bytes, *flags: str, **environment: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "ingest", "pipe", *flags],
        input=raw,
        env={"PATH": os.defpath, "RECHECK_INGEST_PIPE_BUDGET": "0", **environment},
        check=True,
    )


@pytest.mark.parametrize("raw", [THANKS, ASKS], ids=["dropped", "kept"])
def test_a_pipe_counts_a_mail_with_a_request_or_without(raw: bytes, tmp_path: Path) -> None:
    pipe(raw, "--state", str(tmp_path))
    assert told(tmp_path) == [("pipe", "dev.example.org", 1)]
    assert (tmp_path / "ledger.sqlite").exists() is (raw is ASKS)


def test_a_pipe_keeps_the_confirmation_of_a_list(tmp_path: Path) -> None:
    raw = b"X-List-Administrivia: yes\n" + letter("", "confirm 48c1f0e2", "Please reply.\n")
    pipe(raw, "--state", str(tmp_path))
    with closing(open_ledger(f"sqlite:{tmp_path}/ledger.sqlite")) as ledger:
        assert ["confirm 48c1f0e2" in each.reason for each in ledger.totals().notices] == [True]


# How a pipe is told of its state: flags and environment.
STATES = [
    (["--state", "{}"], {}),
    (["--state={}"], {"RECHECK_INGEST_STATE_DIR": "/nowhere"}),
    ([], {"RECHECK_INGEST_STATE_DIR": "{}", "STATE_DIRECTORY": "/nowhere"}),
    (["--config", "{}/file.toml"], {"STATE_DIRECTORY": "/nowhere"}),
    ([], {"RECHECK_INGEST_CONFIG": "{}/file.toml"}),
    ([], {"STATE_DIRECTORY": "{}:/nowhere", "HOME": "/nowhere"}),
    ([], {"XDG_STATE_HOME": "{}/..", "HOME": "/nowhere"}),
]


@pytest.mark.parametrize(("flags", "environment"), STATES)
def test_a_pipe_counts_in_the_folder_that_the_settings_name(
    flags: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "recheck-ingest"
    folder.mkdir()
    (folder / "file.toml").write_text(f'[state]\ndir = "{folder}"\n')
    flags = [each.format(folder) for each in flags]
    environment = {name: value.format(folder) for name, value in environment.items()}
    pipe(THANKS, *flags, **environment)
    assert told(folder) == [("pipe", "dev.example.org", 1)]
    file = flags[1] if flags[:1] == ["--config"] else None
    state = next((each for each in (*flags[1:2], *(f.partition("=")[2] for f in flags))), None)
    given = {("state", "dir"): state} if state and not file else {}
    loaded = config.load(given, file=file, environment=environment)
    assert Path(loaded.state.dir).resolve() == folder


def test_a_mail_is_taken_whatever_is_wrong_with_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "file.toml").write_text("state = 1 [")
    pipe(THANKS, "--config", str(tmp_path / "file.toml"))
