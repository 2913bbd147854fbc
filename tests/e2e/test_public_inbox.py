# SPDX-License-Identifier: BSD-3-Clause
"""The real public-inbox: an archive that it wrote is followed, and lei searches it."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from ingest.config.source_tables import InboxSettings
from ingest.ledger import Ledger
from ingest.sources.inbox import Haul, Inbox
from tests.support.mails import letter, reply
from tests.support.parts import eventually, require
from tests.support.places import ROOT
from tests.support.postfix import free_port

LIST = "dev@example.org"


class Archive:
    """An archive of a list, of either version, as its owner runs it."""

    def __init__(self, folder: Path, version: int) -> None:
        self.folder = folder / "dev"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/dev"
        (folder / "home").mkdir()
        (folder / "run").mkdir(mode=0o700)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder / "home"),
            "XDG_RUNTIME_DIR": str(folder / "run"),
            "PI_CONFIG": str(folder / "config"),
            "ORIGINAL_RECIPIENT": LIST,
        }
        self.run("public-inbox-init", f"-V{version}", "dev", str(self.folder), self.url, LIST)
        self.run("git", "config", "-f", str(folder / "config"), "publicinboxmda.spamcheck", "none")

    def run(self, program: str, *arguments: str, given: bytes = b"") -> str:
        done = subprocess.run(
            [require(program), *arguments],
            input=given, capture_output=True, check=False, env=self.environment,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def deliver(self, raw: bytes) -> None:
        self.run("public-inbox-mda", "--no-precheck", given=raw)

    def answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


def recheck(name: str) -> bytes:
    return reply("patch@example.org", f"{name}@example.org", date=formatdate())


@pytest.mark.parametrize("version", [1, 2])
def test_an_archive_of_public_inbox_is_followed(
    tmp_path: Path, ledger: Ledger, version: int
) -> None:
    archive = Archive(tmp_path, version)
    archive.deliver(recheck("old"))
    followed = Inbox(
        "dev", InboxSettings(url=str(archive.folder)), tmp_path / "copies", max_size=1 << 20
    )
    assert followed.look(ledger) == Haul()
    archive.deliver(recheck("one"))
    archive.deliver(letter("talk@example.org", "Re: x", "Nice.\n", date=formatdate()))
    archive.deliver(recheck("two"))
    assert followed.look(ledger) == Haul(mails=3, queued=2)
    archive.run("public-inbox-index", str(archive.folder))
    archive.run("public-inbox-learn", "rm", "--all", given=recheck("two"))  # which deletes it
    archive.deliver(recheck("three"))
    assert followed.look(ledger) == Haul(mails=1, queued=1)
    assert [len(ledger.find(f"{each}@example.org")) for each in ("old", "one", "two", "three")] == [
        *(0, 1, 1, 1)
    ]


def test_an_archive_from_which_a_mail_was_purged_goes_on(tmp_path: Path, ledger: Ledger) -> None:
    """Purging rewrites the history behind the mail."""
    archive = Archive(tmp_path, 2)
    archive.deliver(recheck("old"))
    followed = Inbox(
        "dev", InboxSettings(url=str(archive.folder)), tmp_path / "copies", max_size=1 << 20
    )
    followed.look(ledger)
    spam = recheck("spam")
    for raw in (recheck("one"), spam, recheck("two")):
        archive.deliver(raw)
    assert followed.look(ledger) == Haul(mails=3, queued=3)
    archive.run("public-inbox-index", str(archive.folder))
    archive.run("public-inbox-purge", str(archive.folder), given=spam)
    archive.deliver(recheck("three"))
    haul = followed.look(ledger)
    assert haul.queued == 1
    assert ledger.find("three@example.org")
    assert followed.look(ledger) == Haul()


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """An archive that answers searches."""
    archive = Archive(tmp_path, 2)
    archive.deliver(letter("talk@example.org", "Re: x", "Nice.\n", date=formatdate()))
    archive.run("public-inbox-index", str(archive.folder))
    command = [require("public-inbox-httpd"), "-l", f"127.0.0.1:{archive.port}"]
    with subprocess.Popen(command, env=archive.environment) as serving:
        try:
            eventually(archive.answers, "public-inbox-httpd answers")
            yield archive
        finally:
            subprocess.run(["lei", "daemon-kill"], env=archive.environment, check=False)
            serving.terminate()


def test_lei_puts_each_request_into_the_maildir_once(archive: Archive, tmp_path: Path) -> None:
    require("lei")
    script = tmp_path / "recheck-ingest-lei.sh"
    shutil.copy(ROOT / "contrib" / "lei" / script.name, script)
    watched = tmp_path / "recheck"
    archive.environment |= {"ARCHIVES": f"--only {archive.url}/", "WATCHED": str(watched)}

    def found() -> list[str]:
        """The mails that a run brings. They are taken away, as serve does."""
        archive.run("sh", str(script))
        mails = [path.read_text() for path in (watched / "new").iterdir()]
        shutil.rmtree(watched / "new")
        return [name for name in ("one", "two", "talk") if f"<{name}@" in "".join(mails)]

    archive.deliver(recheck("one"))
    archive.run("public-inbox-index", str(archive.folder))
    assert eventually(found, "the search finds the mail") == ["one"]
    assert found() == []
    archive.deliver(recheck("two"))
    archive.run("public-inbox-index", str(archive.folder))
    assert eventually(found, "the search finds the next mail") == ["two"]
    assert found() == []
