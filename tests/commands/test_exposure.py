# SPDX-License-Identifier: BSD-3-Clause
"""What ``check`` tells of files and folders that others could change or hold up."""

import os
from pathlib import Path

import pytest

from ingest.commands import exposure
from ingest.commands.check import check
from ingest.config import load as config
from ingest.config.tables import Settings
from tests.support.users import as_user, open_folder

LAB = 12001


class Machine:
    """A folder with all that belongs to an installation, in order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state, self.out = folder / "state", folder / "out"
        self.file, self.script = folder / "recheck.toml", folder / "run.sh"
        self.ledger = self.state / "ledger.sqlite"
        self.lock = self.out / "retests.json.lock"
        self.state.mkdir(mode=0o770)
        self.out.mkdir(mode=0o755)
        for each, mode in ((self.ledger, 0o660), (self.lock, 0o600), (self.script, 0o755)):
            each.touch()
            each.chmod(mode)
        self.file.write_text(
            f"[state]\ndir = '{self.state}'\n[retests]\nfile = '{self.out}/retests.json'\n"
            f"[command.lab]\nprogram = ['{self.script}']\n"
        )
        self.file.chmod(0o644)

    def settings(self) -> Settings:
        return config.load(file=str(self.file), environment={})

    def found(self) -> list[str]:
        return exposure.found(self.settings())


@pytest.fixture
def machine(quick_path: Path) -> Machine:
    return Machine(quick_path)


def test_of_what_is_in_order_nothing_is_told(machine: Machine) -> None:
    assert machine.found() == []


@pytest.mark.parametrize("name", ["folder", "state", "out", "file", "script", "ledger"])
def test_what_everybody_can_write_is_told(machine: Machine, name: str) -> None:
    path: Path = getattr(machine, name)
    path.chmod(path.stat().st_mode | 0o002)
    assert machine.found() == [f"{path} can be written by everyone: chmod o-w {path}"]


def test_a_folder_like_tmp_is_no_danger(machine: Machine) -> None:
    machine.folder.chmod(0o1777)
    assert machine.found() == []


def test_a_lock_that_everybody_can_hold_is_told(machine: Machine) -> None:
    machine.lock.chmod(0o644)
    [told] = machine.found()
    assert told == (
        f"{machine.lock} can be held for ever by everyone who can read it: chmod o-r {machine.lock}"
    )


@pytest.mark.parametrize("name", ["file", "script"])
def test_what_another_user_could_have_us_run_is_told(machine: Machine, name: str) -> None:
    path: Path = getattr(machine, name)
    assert as_user(0, 0, [], lambda: os.chown(path, LAB, LAB)) == ""
    assert machine.found() == [
        f"{path} belongs to {LAB}, who can change what we do: chown root {path}"
    ]


URLS = {
    "patchwork": '[patchwork]\nurl = "https://lab:secret@patches.example.org"\n',
    "patchwork.fdo": '[patchwork.fdo]\nlists = ["a.b"]\nurl = "https://lab:secret@fdo.example.org"\n',
    "webhook.lab": '[webhook.lab]\nurl = "https://lab:secret@ci.example.org/hook"\n',
}


@pytest.mark.parametrize("table", URLS)
def test_a_password_in_a_url_is_told_if_everybody_can_read_it(machine: Machine, table: str) -> None:
    machine.file.write_text(machine.file.read_text() + URLS[table])
    file = machine.file
    assert machine.found() == [
        f"[{table}] url holds a password, and everyone can read {file}: chmod o= {file}"
    ]
    file.chmod(0o640)
    assert machine.found() == []


def test_the_database_s_password_belongs_into_a_file(machine: Machine) -> None:
    machine.file.chmod(0o640)
    given = {"RECHECK_INGEST_STATE_LEDGER": "postgresql://recheck:secret@db/recheck"}
    settings = config.load(file=str(machine.file), environment=given)
    [told] = exposure.found(settings)
    assert told == (
        "[state] ledger holds a password: put that into a file, and passfile=FILE into the URL"
    )
    assert "secret" not in told


def test_check_warns_of_it(machine: Machine) -> None:
    machine.state.chmod(0o777)
    findings = [each for each in check(machine.settings(), []) if each.what == "exposure"]
    assert [each.level for each in findings] == ["warning"]


def problems_as(user: str, settings: Settings) -> list[str]:
    findings = [each for each in check(settings, [user]) if each.what == f"paths as {user}"]
    return [each.text for each in findings if each.level == "problem"]


def test_a_user_as_whom_nobody_could_look_is_a_problem() -> None:
    with open_folder() as folder:
        machine = Machine(folder)
        for each in (folder, machine.state, machine.out):
            each.chmod(0o755)
        settings = machine.settings()

        def look() -> None:
            told = problems_as("root", settings)
            assert told == ["not checked: only root can try as another user"], told

        nobody = 65534
        assert as_user(nobody, nobody, [], look) == ""


def test_a_user_who_is_not_there_is_a_problem(machine: Machine) -> None:
    assert problems_as("no-such-user", machine.settings()) == ["not checked: there is no such user"]


def test_a_script_that_cannot_be_read_is_a_problem() -> None:
    with open_folder() as folder:
        machine = Machine(folder)
        machine.script.chmod(0o711)
        settings = machine.settings()
        findings = [each for each in check(settings, ["nobody"]) if "command:lab" in each.what]
        assert [(each.level, each.what) for each in findings] == [
            ("ok", "command:lab"),
            ("problem", "command:lab as nobody"),
        ]
        assert "a script that cannot be read cannot be run" in findings[1].text
