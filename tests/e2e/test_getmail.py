# SPDX-License-Identifier: BSD-3-Clause
"""getmail with the file of contrib, from a real Dovecot by IMAP and by POP3."""

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.conftest import NOBODY, Lab, Paths, example, request
from tests.support.breakages import BREAKAGES
from tests.support.installation import become
from tests.support.parts import eventually, require
from tests.support.places import ROOT
from tests.support.postfix import free_port

DONE = {"29430": ["iol-a"]}
_PASSWORD = "secret"
_STOP_TIMEOUT = 5.0  # seconds
_CONFIGURATION = """\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
listen = 127.0.0.1
protocols = imap pop3
ssl = no
disable_plaintext_auth = no
mail_location = maildir:{folder}/mail
first_valid_uid = 1
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={user} gid=nogroup home={folder}/home
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
"""


class Dovecot:
    """A private Dovecot with one mailbox."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {"IMAP": free_port(), "POP3": free_port()}
        for part in ("mail", "home"):
            (folder / part).mkdir(parents=True)
            shutil.chown(folder / part, NOBODY)
        (folder / "dovecot.conf").write_text(
            _CONFIGURATION.format(
                folder=folder,
                password=_PASSWORD,
                user=NOBODY,
                imap=self.ports["IMAP"],
                pop3=self.ports["POP3"],
            )
        )

    def answers(self) -> bool:
        try:
            for port in self.ports.values():
                socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True

    def deliver(self, mail: bytes) -> None:
        """An inbox of this mail alone."""
        shutil.rmtree(self.folder / "mail")
        for part in ("mail", "mail/new", "mail/cur", "mail/tmp"):
            (self.folder / part).mkdir()
            shutil.chown(self.folder / part, NOBODY)
        file = self.folder / "mail" / "new" / "1700000000.1.localhost"
        file.write_bytes(mail)
        shutil.chown(file, NOBODY)

    def add(self, mail: bytes) -> None:
        """One more mail, as a delivery agent adds it."""
        name = f"{time.time_ns()}.1.localhost"
        file = self.folder / "mail" / "tmp" / name
        file.write_bytes(mail)
        shutil.chown(file, NOBODY)
        file.rename(self.folder / "mail" / "new" / name)

    def inbox(self) -> int:
        """How many mails there are."""
        mail = self.folder / "mail"
        return len([*(mail / "new").iterdir(), *(mail / "cur").iterdir()])


@pytest.fixture(scope="module")
def dovecot(paths: Paths) -> Iterator[Dovecot]:
    program = require("dovecot")
    server = Dovecot(paths.folder / "dovecot")
    command = [program, "-F", "-c", str(server.folder / "dovecot.conf")]
    with subprocess.Popen(command) as process:
        try:
            eventually(lambda: process.poll() is not None or server.answers(), "Dovecot answers")
            yield server
        finally:
            process.terminate()


class Getmail:
    """getmail for one protocol; ``fetch`` is a run, ``waiting`` a service."""

    def __init__(self, lab: Lab, dovecot: Dovecot, protocol: str) -> None:
        self._lab = lab
        self._folder = lab.paths.spool / "getmail"
        self._folder.mkdir()
        shutil.chown(self._folder, NOBODY)
        settings = example("contrib/getmail/getmailrc.example", lab.paths)
        for there, here in (
            ("type = SimpleIMAPSSLRetriever", f"type = Simple{protocol}Retriever"),
            ("server = imap.example.org", f"server = 127.0.0.1\nport = {dovecot.ports[protocol]}"),
            ('("/usr/bin/cat", "/etc/recheck-ingest/imap-password")', f'("echo", "{_PASSWORD}")'),
            ('mailboxes = ("INBOX",)\n', 'mailboxes = ("INBOX",)\n' if protocol == "IMAP" else ""),
        ):
            assert settings.count(there) == 1
            settings = settings.replace(there, here)
        (self._folder / "getmailrc").write_text(settings)
        self._program = require("getmail")

    @contextmanager
    def waiting(self, options: list[str]) -> Iterator[None]:
        """A run that does not end, with the options of a unit."""
        there = "--getmaildir=/var/lib/recheck-ingest/getmail"
        command = [option.replace(there, f"--getmaildir={self._folder}") for option in options]
        assert command != options
        environment = {
            "PATH": "/usr/bin:/bin",
            "RECHECK_INGEST_CONFIG": str(self._lab.paths.settings),
            "HOME": str(self._folder),
        }
        with subprocess.Popen(
            [self._program, *command], env=environment, cwd="/", **become(NOBODY)
        ) as process:
            try:
                yield
                assert process.poll() is None
            finally:
                # As systemd stops it: getmail overlooks a signal that comes while it fetches, and
                # waits for two minutes more.
                process.terminate()
                try:
                    process.wait(_STOP_TIMEOUT)
                except subprocess.TimeoutExpired:
                    process.kill()

    def fetch(self) -> str:
        """One run; what it says."""
        done = self._lab.run(
            self._program, "--getmaildir", self._folder, environment={"HOME": str(self._folder)}
        )
        return (done.stdout + done.stderr).decode()


def test_a_mail_that_comes_while_getmail_waits_is_there_at_once(lab: Lab, dovecot: Dovecot) -> None:
    """With the command line of recheck-ingest-getmail.service."""
    unit = (ROOT / "contrib/getmail/recheck-ingest-getmail.service").read_text()
    (command,) = re.findall(r"^ExecStart=/usr/bin/getmail (.*)", unit, re.M)
    dovecot.deliver(request("iol-a"))
    getmail = Getmail(lab, dovecot, "IMAP")
    added = iter(range(100))

    def comes() -> bool:
        """Whether something came since it waits, of which it says nothing."""
        dovecot.add(request(f"iol-{next(added)}"))
        time.sleep(1)
        return lab.retests() != DONE

    with getmail.waiting(command.split()):
        eventually(lambda: lab.retests() == DONE, "what was there when it began is fetched")
        eventually(comes, "what came while it waited is fetched")


@pytest.fixture(params=["IMAP", "POP3"])
def getmail(lab: Lab, dovecot: Dovecot, request: pytest.FixtureRequest) -> Getmail:
    return Getmail(lab, dovecot, request.param)


def test_a_fetched_mail_reaches_the_retest_json(
    lab: Lab, dovecot: Dovecot, getmail: Getmail
) -> None:
    dovecot.deliver(request("iol-a"))
    said = getmail.fetch()
    assert lab.retests() == DONE, said
    assert dovecot.inbox() == 1


def test_a_mail_is_fetched_once(lab: Lab, dovecot: Dovecot, getmail: Getmail) -> None:
    dovecot.deliver(request("iol-a"))
    getmail.fetch()
    assert "0 messages (0 bytes) retrieved, 1 skipped" in getmail.fetch()


@pytest.mark.parametrize(
    "breakage", ["the state folder cannot be written", "the program is missing"]
)
def test_a_mail_that_cannot_be_stored_is_fetched_again(
    lab: Lab, dovecot: Dovecot, getmail: Getmail, breakage: str
) -> None:
    dovecot.deliver(request("iol-a"))
    with BREAKAGES[breakage](lab):
        getmail.fetch()
    assert lab.retests() == {}
    said = getmail.fetch()
    assert lab.retests() == DONE, said
