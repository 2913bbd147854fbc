# SPDX-License-Identifier: BSD-3-Clause
"""Exim and OpenSMTPD with the files of contrib."""

import pwd
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import Lab, example, request
from tests.support.breakages import BREAKAGES
from tests.support.parts import eventually, require, require_root
from tests.support.places import ROOT
from tests.support.postfix import DOMAIN, LIST

DONE = {"29430": ["iol-a"]}
_EXIM_USER = "Debian-exim"
_MAIN = """\
exim_path = {program}
primary_hostname = mail.{domain}
spool_directory = {folder}/spool
log_file_path = {folder}/log/%s
disable_ipv6
keep_environment =
add_environment = PATH=/usr/bin:/bin
"""
_RETRY = """
begin retry
* * F,1d,1s
"""


class Exim:
    """A private Exim that delivers when it is told to; no daemon."""

    def __init__(self, folder: Path, lab: Lab, transport: str) -> None:
        self._log = folder / "log" / "main"
        for part in (folder, folder / "spool", folder / "log"):
            part.mkdir()
            shutil.chown(part, _EXIM_USER)
        text = example("contrib/exim/recheck-ingest.conf.example", lab.paths)
        chosen = re.sub(r"(\n  transport = ).*", rf"\1recheck_ingest_{transport}", text)
        settings = f"  environment = RECHECK_INGEST_CONFIG={lab.paths.settings}\n"
        chosen = chosen.replace("  use_shell\n", f"  use_shell\n{settings}")
        program = require("exim4")
        head = _MAIN.format(program=program, domain=DOMAIN, folder=folder)
        (folder / "exim.conf").write_text(head + chosen + _RETRY)
        self._command = [program, "-C", str(folder / "exim.conf")]

    def run(self, *arguments: str, mail: bytes = b"") -> str:
        done = subprocess.run(
            [*self._command, *arguments], input=mail, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    def send(self, mail: bytes) -> None:
        """Put a mail into the queue, and try to deliver it."""
        self.run("-odq", "-i", "-f", LIST, f"recheck@{DOMAIN}", mail=mail)
        self.deliver()

    def deliver(self) -> None:
        self.run("-qff")

    def queue(self) -> int:
        """How many mails wait, bounces among them."""
        return int(self.run("-bpc"))

    def log(self) -> str:
        return self._log.read_text()


@pytest.fixture
def folder(lab: Lab) -> Path:
    try:
        pwd.getpwnam(_EXIM_USER)
    except KeyError:
        pytest.skip(f"Exim's user {_EXIM_USER} is not there")
    return lab.paths.state.with_name("exim")


@pytest.fixture
def exim(folder: Path, lab: Lab) -> Exim:
    shutil.rmtree(folder, ignore_errors=True)
    return Exim(folder, lab, "pipe")


@pytest.fixture
def exim_by_lmtp(folder: Path, lab: Lab) -> Exim:
    shutil.rmtree(folder, ignore_errors=True)
    return Exim(folder, lab, "lmtp")


def test_exim_pipes_a_mail_to_the_retest_json(lab: Lab, exim: Exim) -> None:
    exim.send(request("iol-a"))
    assert lab.retests() == DONE, exim.log()
    (kept,) = lab.mails("iol-a")
    assert (kept.envelope.sender, kept.envelope.recipients) == (LIST, (f"recheck@{DOMAIN}",))


@pytest.mark.parametrize(
    "breakage",
    [
        "the state folder cannot be written",
        "the process dies by a signal",
        "the program is missing",
        "the interpreter is missing",
    ],
)
def test_exim_keeps_the_mail_while(lab: Lab, exim: Exim, breakage: str) -> None:
    with BREAKAGES[breakage](lab):
        exim.send(request("iol-a"))
        assert exim.queue() == 1
        assert lab.retests() == {}
    exim.deliver()
    assert lab.retests() == DONE, exim.log()
    assert exim.queue() == 0
    # What Exim writes of a failure, and of a bounce.
    assert " ** " not in exim.log()
    assert "<= <>" not in exim.log()


def test_exim_hands_a_mail_to_serve(lab: Lab, exim_by_lmtp: Exim) -> None:
    exim_by_lmtp.send(request("iol-a"))
    assert exim_by_lmtp.queue() == 1  # nobody listens yet
    with lab.serving():
        exim_by_lmtp.deliver()
        assert exim_by_lmtp.queue() == 0
        eventually(lambda: lab.retests() == DONE, "the request is in the retest JSON")


def test_opensmtpd_accepts_the_configuration() -> None:
    require_root("have OpenSMTPD read a configuration")
    done = subprocess.run(
        [require("smtpd"), "-n", "-f", ROOT / "contrib/opensmtpd/smtpd.conf.example"],
        capture_output=True, check=False, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "configuration OK" in done.stdout + done.stderr
