# SPDX-License-Identifier: BSD-3-Clause
"""Whether the pipe really runs: a program is started, and must store and find a mail."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ingest.commands import as_user, pipe_trial
from ingest.commands.alias import Alias
from ingest.config import load as config
from ingest.config.tables import Settings
from tests.support.users import as_user as become
from tests.support.users import open_folder

ALIAS = Alias("recheck", "/etc/aliases", "nobody", "/bin/x", "", "", guarded=True)
LMTP = {("lmtp", "listen"): ("unix:/run/x",)}


def settings(folder: Path, **flags: object) -> Settings:
    return config.load({("state", "dir"): str(folder)}, environment={})


def script(folder: Path, text: str) -> str:
    """A program that runs as it stands here."""
    path = folder / "recheck-ingest"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def tried(folder: Path, program: str, user: str) -> list[tuple[str, str, str]]:
    pipes = [replace(ALIAS, user=user, program=program)]
    return list(pipe_trial.runs(settings(folder), pipes, [user]))


def test_a_program_that_works_stores_and_finds_a_mail_and_leaves_nothing(tmp_path: Path) -> None:
    text = pipe_trial._tried(settings(tmp_path), as_user.my_name(), ours(tmp_path))
    assert text == ""
    assert [each.name for each in tmp_path.iterdir()] == ["recheck-ingest"]


def ours(folder: Path) -> str:
    return script(folder, f'exec {sys.executable} -m ingest "$@"')


# What is installed, and what is told of it.
BROKEN = {
    "exit 127": "ends with 127: it says nothing",
    "echo no module named ingest >&2; exit 1": "ends with 1: no module named ingest",
    # It takes the mail and keeps nothing.
    "[ $1 = pipe ]": "ends with 1: it says nothing",
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_program_that_does_not_work_is_a_problem(text: str) -> None:
    with open_folder() as folder:
        os.chown(folder, 65534, 65534)
        ((level, what, told),) = tried(folder, script(folder, text), "nobody")
        assert (level, what) == ("problem", "program as nobody")
        assert told.endswith(BROKEN[text])
        assert [each.name for each in folder.iterdir()] == ["recheck-ingest"]


@pytest.mark.parametrize(
    ("program", "user", "told"),
    [
        ("/nowhere/recheck-ingest", "nobody", "does not run: [Errno 2]"),
        ("{}/private/recheck-ingest", "nobody", "cannot be run: Permission denied"),
        ("/bin/true", "nosuch", "not tried: there is no such user"),
    ],
)
def test_what_cannot_be_tried_is_a_problem(program: str, user: str, told: str) -> None:
    with open_folder() as folder:
        os.chown(folder, 65534, 65534)
        (folder / "private").mkdir(mode=0o700)
        script(folder / "private", "true")
        ((level, _, text),) = tried(folder, program.format(folder), user)
        assert level == "problem"
        assert told in text


def test_only_root_can_try_as_another_user() -> None:
    with open_folder() as folder:

        def try_as_daemon() -> None:
            ((level, _, text),) = tried(folder, "/bin/true", "daemon")
            assert (level, "only root" in text) == ("problem", True)

        assert become(65534, 65534, [], try_as_daemon) == ""


def test_a_folder_that_the_user_cannot_write_is_told() -> None:
    with open_folder() as folder:
        ((level, _, text),) = tried(folder, script(folder, "true"), "nobody")
        assert (level, text) == ("problem", f"{folder} cannot be written: Permission denied")


def test_an_alias_without_guard_or_with_another_state_is_a_problem(tmp_path: Path) -> None:
    pipes = [replace(ALIAS, guarded=False, state="/elsewhere")]
    levels = [level for level, _, _ in pipe_trial.aliases(settings(tmp_path), pipes)]
    assert levels == ["problem", "problem", "ok"]
    agreed = [replace(ALIAS, state=f"{tmp_path}/.")]
    assert [level for level, _, _ in pipe_trial.aliases(settings(tmp_path), agreed)] == ["ok"]


def test_where_mail_comes_by_lmtp_nobody_runs_a_pipe(tmp_path: Path) -> None:
    loaded = config.load({("state", "dir"): str(tmp_path), **LMTP}, environment={})
    assert pipe_trial.users([], loaded) == []
    assert pipe_trial.users([ALIAS], loaded) == ["nobody"]
