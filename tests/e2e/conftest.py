# SPDX-License-Identifier: BSD-3-Clause
"""A mail server, and a lab that it hands mail to."""

import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from ingest.ledger import Record, open_ledger
from ingest.sandbox import Sandbox
from tests.support.installation import become, install
from tests.support.parts import eventually, require, require_root
from tests.support.places import ROOT
from tests.support.postfix import DOMAIN, Postfix

RECORDED = ROOT / "tests" / "data" / "patchwork-recorded"
# Whom Postfix runs an alias pipe as when root owns the aliases.
NOBODY = "nobody"
# Seconds that a program may take which some tests see hang: enough for one that does not.
HASTE = 5


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each test of this folder needs servers of its own, and is slow for that."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.slow)


@dataclass(frozen=True, slots=True)
class Paths:
    """Where things are in a folder that everybody may enter."""

    folder: Path
    installed: Path  # the command in its virtual environment

    @property
    def program(self) -> Path:
        """The command that the mail server is told of."""
        return self.folder / "bin" / "recheck-ingest"

    def module(self, name: str) -> Path:
        """A source file of the installed package."""
        (package,) = self.folder.glob("venv/lib/python3*/site-packages/ingest")
        return package / name

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def settings(self) -> Path:
        return self.folder / "recheck-ingest.toml"

    @property
    def spool(self) -> Path:
        """The Maildir of an alias."""
        return self.folder / "spool" / "recheck"

    @property
    def socket(self) -> Path:
        return self.folder / "run" / "lmtp.sock"


@pytest.fixture(scope="session")
def paths() -> Iterator[Paths]:
    """The program, installed for everybody, and room for what it writes."""
    require_root("start a mail server and become nobody")
    folder = Path(tempfile.mkdtemp(prefix="recheck-ingest-e2e."))
    mask = os.umask(0o022)
    try:
        folder.chmod(0o755)
        made = Paths(folder, install(folder, NOBODY))
        for place in (made.program.parent, made.spool.parent, made.socket.parent):
            place.mkdir()
        shutil.chown(made.spool.parent, NOBODY)
        shutil.chown(made.socket.parent, NOBODY)
        yield made
    finally:
        os.umask(mask)
        shutil.rmtree(folder)


def example(name: str, paths: Paths) -> str:
    """A file that users are given, with the paths and the user of this test in it."""
    text = (ROOT / name).read_text()
    for there, here in (
        ("/usr/local/bin/recheck-ingest", paths.program),
        ("/var/lib/recheck-ingest", paths.state),
        ("/var/spool/recheck", paths.spool),
        ("/run/recheck-ingest/lmtp.sock", paths.socket),
        ("/etc/postfix/transport", paths.folder / "transport"),
        ("user=recheck-ingest", f"user={NOBODY}"),
        ("user = recheck-ingest", f"user = {NOBODY}"),
    ):
        text = text.replace(there, str(here))
    return text


def aliases(paths: Paths) -> str:
    """The pipe, the Maildir and the owner of aliases.example, and two that the tests need."""
    lines = re.findall(r"^(?:# )?((?:owner-)?recheck: .*)", example("aliases.example", paths), re.M)
    pipe, owner, maildir = lines
    assert pipe.startswith('recheck: "|')
    assert maildir == f"recheck: {paths.spool}/"
    hasty = pipe.replace("recheck:", "hasty:", 1).replace("timeout 300", f"timeout {HASTE}")
    assert hasty.count(f"timeout {HASTE} ") == 1
    careless = 'careless: "|exit 1"'
    return "\n".join([pipe, owner, hasty, careless, maildir.replace("recheck:", "maildir:", 1)])


def transport(paths: Paths) -> str:
    """Both lines of transport.example, each with an address of its own."""
    text = example("contrib/postfix/transport.example", paths)
    pipe, lmtp = re.findall(rf"^#?recheck@{DOMAIN}\s+(.*)", text, re.M)
    return f"pipe@{DOMAIN} {pipe}\nhasty-pipe@{DOMAIN} hasty:\nlmtp@{DOMAIN} {lmtp}\n"


def services(paths: Paths) -> str:
    """master.cf.example, and its pipe(8) with a shorter time limit."""
    text = example("contrib/postfix/master.cf.example", paths)
    found = re.search(r"^recheck-ingest unix.*\n(?: .*\n)+", text, re.M)
    assert found
    pipe = found[0]
    hasty = pipe.replace("recheck-ingest unix", "hasty unix", 1).replace(
        "timeout 300", f"timeout {HASTE}"
    )
    assert hasty.count(f"timeout {HASTE} ") == 1
    return text + hasty


@pytest.fixture(scope="session")
def postfix(paths: Paths) -> Iterator[Postfix]:
    """A running Postfix, configured by the files of aliases.example and contrib/postfix."""
    require("postfix")
    server = Postfix(
        paths.folder,
        main=example("contrib/postfix/main.cf.example", paths),
        master=services(paths),
        aliases=aliases(paths),
        transport=transport(paths),
    )
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _bound(manager: socket.socket) -> str:
    """Listen as a service manager does, in the abstract namespace that is everybody's to write;
    what it is called in the environment."""
    manager.bind("")
    name: bytes = manager.getsockname()
    return f"@{name[1:].decode()}"


def _said(manager: socket.socket) -> bytes:
    """What a service has told its manager."""
    try:
        return manager.recv(4096)
    except BlockingIOError:
        return b""


class Lab:
    """What the mail is for: an empty state folder, a Patchwork, a retest JSON to come."""

    def __init__(self, paths: Paths, patchwork: Sandbox) -> None:
        self.paths = paths
        self.patchwork = patchwork

    def set_up(self) -> None:
        """Everything as it should be: a program, settings, and a state folder of nobody's."""
        shutil.copy2(self.paths.installed, self.paths.program)
        self.paths.settings.write_text(
            f'[patchwork]\nurl = "{self.patchwork.url}"\n'
            # Postfix's client is the user postfix.
            '[lmtp]\nsocket_mode = "0666"\n'
        )
        self.paths.state.mkdir()
        for part in ("new", "cur", "tmp"):
            (self.paths.spool / part).mkdir(parents=True)
        for made in (self.paths.state, self.paths.spool, *self.paths.spool.iterdir()):
            shutil.chown(made, NOBODY)

    def tear_down(self) -> None:
        shutil.rmtree(self.paths.state)
        shutil.rmtree(self.paths.spool)
        self.paths.program.unlink(missing_ok=True)

    @contextmanager
    def serving(self) -> Iterator[None]:
        """``serve`` runs as nobody, for LMTP and for the Maildir."""
        flags = ("--lmtp", f"unix:{self.paths.socket}", "--maildir", self.paths.spool)
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
            subprocess.Popen(
                [self.paths.installed, "serve", "--state", self.paths.state, *flags],
                cwd="/",
                env={
                    "PATH": "/usr/bin:/bin",
                    "RECHECK_INGEST_CONFIG": str(self.paths.settings),
                    "NOTIFY_SOCKET": _bound(manager),
                },
                **become(NOBODY),
            ) as process,
        ):
            try:
                manager.setblocking(False)
                eventually(lambda: process.poll() is not None or _said(manager), "serve is ready")
                yield
            finally:
                process.terminate()
                ended = process.wait()
            assert ended == 0

    def run(
        self, *command: str | Path, mail: bytes = b"", environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """Another program as nobody, in an environment that has our settings."""
        return subprocess.run(
            command,
            input=mail,
            capture_output=True,
            check=False,
            cwd="/",
            env={
                "PATH": "/usr/bin:/bin",
                "RECHECK_INGEST_CONFIG": str(self.paths.settings),
                **(environment or {}),
            },
            **become(NOBODY),
        )

    def own_state(self, user: int) -> None:
        """Make this user alone able to write the state."""
        for path in (self.paths.state, *self.paths.state.iterdir()):
            os.chown(path, user, -1)

    def mails(self, label: str) -> list[Record]:
        """What the ledger holds of the mail that asks for this label."""
        with closing(open_ledger(f"sqlite:{self.paths.state}/ledger.sqlite")) as ledger:
            return list(ledger.find(message_id(label)))

    def retests(self) -> dict[str, list[str]]:
        """The wanted contexts of each series in the retest JSON; empty if there is none."""
        file = self.paths.state / "retests.json"
        if not file.exists():
            return {}
        return {
            series: request["contexts"]
            for series, request in json.loads(file.read_text())["retests"].items()
        }


@pytest.fixture
def lab(paths: Paths) -> Iterator[Lab]:
    with Sandbox(str(RECORDED / "patch.mbox")) as patchwork:
        made = Lab(paths, patchwork)
        made.set_up()
        try:
            yield made
        finally:
            made.tear_down()


def message_id(label: str) -> str:
    """The Message-ID of the request for a label."""
    return f"{label}@example.org"


def request(label: str) -> bytes:
    """A reply to the recorded patch (series 29430) that asks for one label."""
    return (
        "From: reviewer@example.org\n"
        "To: ci@dpdk.org\n"
        "Subject: Re: [PATCH 1/1] tools: add get_reruns script\n"
        "Date: Wed, 6 Sep 2023 10:00:00 +0000\n"
        f"Message-ID: <{message_id(label)}>\n"
        "In-Reply-To: <20230905222317.25821-4-jspewock@iol.unh.edu>\n"
        "List-Id: DPDK CI discussions <ci.dpdk.org>\n"
        "\n"
        f"Recheck-request: {label}\n"
    ).encode()
