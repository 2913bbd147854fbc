# SPDX-License-Identifier: BSD-3-Clause
"""What root's commands make in a folder is its owner's, who goes on with it."""

import codecs
import importlib
import os
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import ingest
from ingest.commands import cli, pipe
from ingest.sandbox import Sandbox
from tests.support.parts import require_root
from tests.support.places import RECORDED
from tests.support.service import MAIL
from tests.support.sqlite_files import opened
from tests.support.users import as_user, open_folder

NOBODY = 65534

pytestmark = pytest.mark.slow


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state folder that is nobody's."""
    require_root("give a folder away")
    # All is imported before a child becomes a user who may not read where it is.
    codecs.lookup("utf-8-sig")
    opened(tmp_path / "ledger.sqlite").close()
    for module in pkgutil.walk_packages(ingest.__path__, "ingest."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    with open_folder() as folder:
        state = folder / "state"
        state.mkdir(mode=0o750)
        os.chown(state, NOBODY, NOBODY)
        yield state


@pytest.fixture
def patchwork() -> Iterator[Sandbox]:
    with Sandbox(str(RECORDED / "patch.mbox"), str(RECORDED / "series.mbox")) as sandbox:
        yield sandbox


def run(state: Path, url: str, *arguments: str, mail: bytes = b"", user: int = 0) -> None:
    """A command that must go well, in a child process."""

    def command() -> None:
        os.umask(0o077)
        os.environ["RECHECK_INGEST_PATCHWORK_URL"] = url
        os.environ["RECHECK_INGEST_POLICY_MAX_AGE"] = "0"
        reading, writing = os.pipe()
        os.write(writing, mail)
        os.close(writing)
        os.dup2(reading, 0)
        given = [*arguments[1:], "--state", str(state)]
        code = pipe.main(given) if arguments[0] == "pipe" else cli.main([arguments[0], *given])
        assert code == 0

    assert as_user(user, user, [], command) == ""


def owners(state: Path) -> dict[str, int]:
    return {each.name: each.stat().st_uid for each in state.rglob("*")}


def test_all_that_root_makes_is_the_owner_s_who_takes_in_the_next_mail(
    state: Path, patchwork: Sandbox
) -> None:
    run(state, patchwork.url, "pipe", mail=MAIL % (b"one", b"one"))
    run(state, patchwork.url, "work", "--once")
    run(state, patchwork.url, "pause", "retests")
    run(state, patchwork.url, "ledger", "backup", str(state / "copy.sqlite"))
    run(state, patchwork.url, "take", "--consumer", "lab", "-o", str(state / "taken.json"))
    made = owners(state)
    wanted = {"ledger.sqlite", "retests.json", "retests.json.lock", "copy.sqlite", "taken.json",
              "ledger.sqlite-worker-1.lock"}  # fmt: skip
    assert wanted <= made.keys()
    assert set(made.values()) == {NOBODY}
    run(state, patchwork.url, "pipe", mail=MAIL % (b"two", b"two"), user=NOBODY)
    run(state, patchwork.url, "resume", "retests", user=NOBODY)
    run(state, patchwork.url, "work", "--once", user=NOBODY)
    assert b"iol-two" in (state / "retests.json").read_bytes()


def test_what_root_writes_while_others_are_at_it_is_the_owner_s(
    state: Path, patchwork: Sandbox
) -> None:
    run(state, patchwork.url, "pipe", mail=MAIL % (b"one", b"one"), user=NOBODY)
    for path in state.glob("ledger.sqlite-*"):  # as after a backup was put back
        path.unlink()
    run(state, patchwork.url, "retry", "--all")
    assert set(owners(state).values()) == {NOBODY}
