# SPDX-License-Identifier: BSD-3-Clause
"""``quickstart``: the plan for a machine, the commands it prints, and what it does and undoes."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ingest.commands import machine, quickstart
from ingest.commands.machine import Machine
from ingest.commands.quickstart import Step
from ingest.config import load as config
from ingest.errors import EX_OK, EX_TEMPFAIL, BadInput, UsageError
from tests.support.parts import require
from tests.support.users import open_folder

PROGRAM = "/opt/recheck-ingest/bin/recheck-ingest"
MAIN_CF = "compatibility_level = 3.6\nalias_maps = hash:/etc/aliases\n"


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that postalias may enter, which takes on the rights of the file's owner."""
    with open_folder() as made:
        yield made


@pytest.fixture
def found(folder: Path) -> Machine:
    """A machine with Postfix and without systemd, below a folder."""
    if os.geteuid():
        pytest.skip("only root can make users and give files to them")
    require("useradd")
    require("postconf")
    root = folder / "machine"
    (root / "etc" / "postfix").mkdir(parents=True)
    (root / "etc" / "postfix" / "main.cf").write_text(MAIN_CF)
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc" / "group").write_text("root:x:0:\n")
    for name in ("shadow", "gshadow"):
        (root / "etc" / name).touch(mode=0o600)
    shutil.copy("/etc/login.defs", root / "etc" / "login.defs")
    return replace(machine.look(root), program=PROGRAM)


def tree(root: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below a folder but the locks and copies that useradd leaves."""
    for path in sorted(root.rglob("*")):
        if not path.name.endswith(("-", ".lock")):
            yield str(path), path.read_bytes() if path.is_file() else b"a folder"


def applied(found: Machine, steps: list[Step]) -> tuple[int, list[str]]:
    said: list[str] = []
    return quickstart.apply(steps, found, say=said.append, may=lambda step: True), said


@pytest.mark.slow
def test_applied_the_machine_has_user_folder_configuration_and_alias(found: Machine) -> None:
    code, said = applied(found, quickstart.plan(found, "alias", "recheck"))
    assert code == EX_OK, said
    user, group = machine.look(found.root).users["recheck-ingest"]
    state = found.at(quickstart.STATE).stat()
    assert (state.st_uid, state.st_gid, state.st_mode & 0o7777) == (user, group, 0o2770)
    assert config.load(file=str(found.at(quickstart.CONFIG))).state.dir == quickstart.STATE
    for name in (quickstart.ALIASES, f"{quickstart.ALIASES}.db"):
        assert found.at(name).stat().st_uid == user
    assert machine.look(found.root).alias_maps == f"hash:/etc/aliases, hash:{quickstart.ALIASES}"
    query = ["postalias", "-q", "recheck", f"hash:{found.at(quickstart.ALIASES)}"]
    looked_up = subprocess.run(query, capture_output=True, text=True, check=True).stdout
    assert f"timeout 300 {PROGRAM} pipe --state {quickstart.STATE}" in looked_up
    assert f"* * * * * recheck-ingest {PROGRAM} work --once\n" in (
        found.at(quickstart.CRON).read_text()
    )


@pytest.mark.slow
def test_applied_twice_nothing_changes(found: Machine) -> None:
    applied(found, quickstart.plan(found, "alias", "recheck"))
    before = dict(tree(found.root))
    again = replace(machine.look(found.root), program=PROGRAM)
    code, said = applied(again, quickstart.plan(again, "alias", "recheck"))
    assert code == EX_OK
    assert dict(tree(found.root)) == before
    assert len([line for line in said if line.startswith("–")]) == len(said)


@pytest.mark.slow
@pytest.mark.parametrize("place", (0, 3, 6))
def test_a_step_that_fails_has_all_before_it_undone(found: Machine, place: int) -> None:
    before = dict(tree(found.root))
    steps = quickstart.plan(found, "alias", "recheck")
    broken = Step("what cannot be done", command=("false",))
    code, said = applied(found, [*steps[:place], broken, *steps[place:]])
    assert code == EX_TEMPFAIL
    assert any(line.startswith("✗ what cannot be done") for line in said)
    after = dict(tree(found.root))
    for name in ("lib", "etc/cron.d"):  # folders that others use, too, stay
        after = {path: held for path, held in after.items() if not path.endswith(name)}
    assert {path: held for path, held in after.items() if not path.endswith("/var")} == before


@pytest.mark.slow
def test_a_no_stops_it_and_undoes_what_was_done(found: Machine) -> None:
    steps = quickstart.plan(found, "alias", "recheck")
    said: list[str] = []
    code = quickstart.apply(steps, found, say=said.append, may=lambda step: not step.foreign)
    assert code == EX_TEMPFAIL
    assert not found.at(quickstart.CONFIG).exists()
    assert "recheck-ingest" not in machine.look(found.root).users


@pytest.mark.slow
def test_a_configuration_that_is_there_stays_as_it_is(found: Machine) -> None:
    found.at(quickstart.CONFIG).write_text("[requests]\ncontexts = ['x']\n")
    applied(found, quickstart.plan(found, "events", "recheck"))
    assert found.at(quickstart.CONFIG).read_text() == "[requests]\ncontexts = ['x']\n"
    printed = quickstart.text(quickstart.plan(found, "events", "recheck"), found, "recheck")
    assert "# interval = 300" in printed


@pytest.mark.slow
def test_the_printed_commands_do_the_same_as_apply(found: Machine, folder: Path) -> None:
    other = replace(found, root=folder / "other")
    shutil.copytree(found.root, other.root)
    applied(found, quickstart.plan(found, "alias", "recheck"))
    printed = quickstart.text(quickstart.plan(other, "alias", "recheck"), other, "recheck")
    commands = printed.partition("# Then:")[0]
    # install(1) knows the users of this machine only: here the numbers are what it can take.
    user = machine.look(found.root).users["recheck-ingest"][0]
    commands = commands.replace("-o recheck-ingest -g recheck-ingest", f"-o {user} -g {user}")
    for each in ("var/lib", "etc/cron.d"):
        (other.root / each).mkdir(parents=True)
    subprocess.run(["sh", "-e"], input=commands, text=True, check=True, capture_output=True)

    def seen(root: Path) -> dict[str, tuple[int, int]]:
        skip = ("shadow", "gshadow", "passwd", "group")
        return {
            str(path.relative_to(root)): (path.stat().st_mode, path.stat().st_uid)
            for path in root.rglob("*")
            if not path.name.startswith(skip) and path.name not in ("var", "lib", "cron.d")
        }

    assert seen(other.root) == seen(found.root)


def test_without_a_mail_server_the_way_is_patchworks_events(tmp_path: Path) -> None:
    found = replace(machine.look(tmp_path), program=PROGRAM)
    assert quickstart.best_way(found) == "events"
    printed = quickstart.text(quickstart.plan(found, "events", "recheck"), found, "recheck")
    assert printed.startswith("# This machine: no mail server, no systemd.")
    assert f"*/5 * * * * recheck-ingest {PROGRAM} catch-up" in printed
    with pytest.raises(UsageError, match="needs Postfix, and this machine has none"):
        quickstart.plan(found, "alias", "recheck")


def test_with_systemd_the_service_is_ours_with_the_path_of_the_program(tmp_path: Path) -> None:
    (tmp_path / "run" / "systemd" / "system").mkdir(parents=True)
    found = replace(machine.look(tmp_path), program=PROGRAM)
    steps = quickstart.plan(found, "events", "recheck")
    [unit] = [step for step in steps if step.file == quickstart.UNIT]
    assert f"\nExecStart={PROGRAM} serve -v\n" in unit.content


@pytest.mark.parametrize(
    "program", ["/root/venv/bin/recheck-ingest", "/home/robin/.local/bin/recheck-ingest"]
)
def test_a_program_that_its_user_cannot_reach_is_refused(tmp_path: Path, program: str) -> None:
    found = replace(machine.look(tmp_path), program=program)
    with pytest.raises(UsageError, match="install it for everybody"):
        quickstart.plan(found, "events", "recheck")


@pytest.mark.parametrize("address", ["", "a b", "a:b", "|x", "a@b.example"])
def test_an_address_that_an_alias_cannot_have_is_refused(tmp_path: Path, address: str) -> None:
    found = replace(machine.look(tmp_path), program=PROGRAM)
    with pytest.raises(UsageError, match="is not a local part"):
        quickstart.plan(found, "events", address)


def test_a_folder_that_is_no_machines_root_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not the root folder of a machine"):
        quickstart.main(root=str(tmp_path), way=None, address="recheck", really=False, yes=False)
