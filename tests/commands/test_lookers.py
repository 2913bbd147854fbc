# SPDX-License-Identifier: BSD-3-Clause
"""Commands that only look create and change nothing, whoever runs them."""

import hashlib
import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from ingest.commands import cli
from ingest.ledger import Ledger
from tests.support.ledger_values import arrival, record
from tests.support.sqlite_files import opened
from tests.support.users import as_user, open_folder

LOOKERS = {
    "status": ("status",),
    "status in JSON": ("status", "--json"),
    "show": ("show", "a@example.org"),
    "list": ("list",),
    "list of mails": ("list", "--mail", "--json"),
    "log": ("log",),
    "policy": ("policy", "--replay", "9999d"),
    "stats": ("stats",),
    "take, only shown": ("take", "--peek"),
    "take of a consumer, only shown": ("take", "--peek", "--consumer", "lab", "--hold"),
    "check": ("check",),
}
NEEDS_A_LEDGER = {name: each for name, each in LOOKERS.items() if name != "check"}
# What each says of the ledger that ``filled`` makes.
SAID = {
    "status": "1 queued, 1 done",
    "status in JSON": '"done": 1',
    "show": "<a@example.org> done",
    "list": "Robin Reviewer",
    "list of mails": '"b@example.org"',
    "log": "<b@example.org> accepted",
    "policy": "1 accepted",
    "stats": "requests     1,",
    "take, only shown": "29430",
    "take of a consumer, only shown": "29430",
    "check": "2 mails, 1 request",
}
NOBODY = 65534

pytestmark = pytest.mark.slow  # each starts the program
# One that answers nothing, at once.
NOWHERE = {"RECHECK_INGEST_PATCHWORK_URL": "http://127.0.0.1:9"}


def look(state: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    clean = {k: v for k, v in os.environ.items() if not k.startswith("RECHECK_INGEST_")}
    return subprocess.run(
        [sys.executable, "-m", "ingest", *arguments, "--state", str(state)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**clean, **NOWHERE, "PYTHONDONTWRITEBYTECODE": "1"},
    )


def tree(folder: Path) -> dict[str, tuple[object, ...]]:
    """All that is there: names, owners, modes, times and contents. Of SQLite's index of its log,
    which is memory that its readers share, the content does not count."""
    found = {}
    for path in sorted([folder, *folder.rglob("*")]):
        seen = path.lstat()
        content = ""
        if path.is_file() and not path.name.endswith("-shm"):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        times = () if path.name.endswith("-shm") else (seen.st_mtime_ns,)
        found[str(path)] = (seen.st_ino, seen.st_uid, seen.st_mode, *times, content)
    return found


def filled(state: Path) -> Ledger:
    ledger = opened(state / "ledger.sqlite", mode=0o664)
    record(ledger, "a@example.org")
    ledger.accept(arrival("b@example.org"))
    return ledger


@pytest.mark.parametrize("name", LOOKERS)
@pytest.mark.parametrize("busy", [False, True], ids=["closed", "open elsewhere"])
def test_looking_changes_nothing(name: str, busy: bool, quick_path: Path) -> None:
    state = quick_path / "state"
    ledger = filled(state)
    if not busy:
        ledger.close()
    before = tree(quick_path)
    done = look(state, *LOOKERS[name])
    assert tree(quick_path) == before
    assert SAID[name] in done.stdout
    if busy:
        ledger.close()


@pytest.mark.parametrize("name", LOOKERS)
@pytest.mark.parametrize("busy", [False, True], ids=["closed", "open elsewhere"])
def test_looking_as_another_user_changes_nothing(
    name: str, busy: bool, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for variable, value in NOWHERE.items():
        monkeypatch.setenv(variable, value)
    with open_folder() as folder:
        state = folder / "state"
        ledger = filled(state)
        os.chmod(state, 0o755)
        if not busy:
            ledger.close()
        before = tree(folder)

        def run() -> None:
            code = cli.main([*LOOKERS[name], "--state", str(state)])
            assert name == "check" or code == 0

        run()  # that user may not be permitted to read the modules of this installation
        assert as_user(NOBODY, NOBODY, [], run) == ""
        assert tree(folder) == before
        if busy:
            ledger.close()


@pytest.mark.parametrize("name", LOOKERS)
def test_where_there_is_no_ledger_none_is_made(name: str, quick_path: Path) -> None:
    state = quick_path / "state"
    look(state, *LOOKERS[name])
    assert list(quick_path.iterdir()) == []


@pytest.mark.parametrize("name", NEEDS_A_LEDGER)
def test_that_there_is_no_ledger_is_told_with_exit_1(name: str, quick_path: Path) -> None:
    done = look(quick_path / "state", *LOOKERS[name])
    assert (done.returncode, done.stdout) == (1, "")
    path = quick_path / "state" / "ledger.sqlite"
    said = f"there is no ledger {path} yet; the first mail that may hold a request makes it"
    if "--json" in LOOKERS[name]:
        assert json.loads(done.stderr)["error"] == said
    else:
        assert done.stderr == f"recheck-ingest: {said}\n"


def test_reruns_makes_no_ledger_and_does_not_say_that_there_is_nothing(quick_path: Path) -> None:
    out = quick_path / "out.json"
    arguments = ["reruns", "-ts", "2023-09-06", "--contexts", "iol-a", "-o", str(out)]
    done = look(quick_path / "state", *arguments)
    assert done.returncode == 1
    assert "there is no ledger" in done.stderr
    assert list(quick_path.iterdir()) == []


def test_a_ledger_is_backed_up_while_it_is_open(quick_path: Path) -> None:
    state, copy = quick_path / "state", quick_path / "copy.sqlite"
    with closing(filled(state)):
        done = look(state, "ledger", "backup", str(copy))
        assert done.returncode == 0, done.stderr
    assert done.stdout == f"{copy} holds all that sqlite:{state}/ledger.sqlite does\n"
    with closing(opened(copy)) as ledger:
        assert [each.message_id for each in ledger.requests()] == ["a@example.org"]


def test_check_tells_of_damage(quick_path: Path) -> None:
    state = quick_path / "state"
    filled(state).close()
    path = state / "ledger.sqlite"
    with path.open("r+b") as file:
        file.seek(-4096 * 3, os.SEEK_END)
        file.write(os.urandom(4096 * 3))
    done = look(state, "check")
    assert "problem  ledger:" in done.stdout
    assert "damaged" in done.stdout
