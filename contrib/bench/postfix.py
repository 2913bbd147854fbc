# SPDX-License-Identifier: BSD-3-Clause
"""The row "postfix": list mail by SMTP through the alias pipe of a private Postfix, against a pipe
to an interpreter that only writes the mail to a file, durably.

The Postfix and the installed program are those of the end-to-end tests.
"""

import os
import re
import shutil
import smtplib
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import archive
from measure import Plan, Row, Skipped, Target, compared
from servers import patchwork

if TYPE_CHECKING:
    from tests.e2e.conftest import Paths
    from tests.support.postfix import Postfix

_CONNECTIONS = 8
_PATIENCE = 900.0  # seconds for a run
_OURS, _BARE = "recheck", "bare"

_SINK = """\
import os
name = "{folder}/%d" % os.getpid()
file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
while piece := os.read(0, 65536):
    os.write(file, piece)
os.fsync(file)
"""


def measure(plan: Plan) -> Iterator[Row]:
    """Mails per second, from the first one's SMTP to the end of the last one's pipe."""
    each_request = plan.size(100, 5)
    mails = list(archive.letters(plan.size(2000, 10), each_request))
    pairs = []
    with _lab(plan) as lab:
        for number in range(plan.several(3)):
            rates = {}
            for user in (_OURS, _BARE)[:: -1 if number % 2 else 1]:
                rates[user] = lab.rate(user, mails)
            if (kept := lab.requests()) != len(mails) // each_request:
                raise RuntimeError(f"{kept} requests were recorded")
            if lab.written() != len(mails):
                raise RuntimeError(f"{lab.written()} mails were written to files")
            pairs.append((rates[_OURS], rates[_BARE]))
    yield compared(
        "postfix",
        f"{len(mails)} list mails through a Postfix alias pipe, {100 / each_request:g} % requests",
        "a pipe to python3 -IS that writes and fsyncs a file",
        "/s",
        pairs,
        Target(0.8, least=True),
    )


class _Lab:
    """A Postfix, and what its two pipes write to."""

    def __init__(self, server: "Postfix", paths: "Paths", sink: Path, owner: str) -> None:
        self._server, self._paths, self._sink, self._owner = server, paths, sink, owner
        self._log = paths.folder / "mail.log"

    def rate(self, user: str, mails: Sequence[bytes]) -> float:
        """Send the mails to one of the two, whose folder is emptied before."""
        from tests.support.postfix import DOMAIN, LIST

        folder = self._paths.state if user == _OURS else self._sink
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        shutil.chown(folder, self._owner)

        def send(share: Sequence[bytes]) -> None:
            with smtplib.SMTP("127.0.0.1", self._server.port, local_hostname="bench") as client:
                for mail in share:
                    client.sendmail(LIST, f"{user}@{DOMAIN}", mail)

        with self._log.open() as log, ThreadPoolExecutor(_CONNECTIONS) as pool:
            log.seek(0, os.SEEK_END)
            began = time.monotonic()
            sending = pool.map(send, (mails[at::_CONNECTIONS] for at in range(_CONNECTIONS)))
            fates: list[str] = []
            begun = ""
            while len(fates) < len(mails):
                if time.monotonic() > began + _PATIENCE:
                    raise RuntimeError(f"{len(fates)} of {len(mails)} mails were delivered")
                time.sleep(0.02)
                text, _, begun = (begun + log.read()).rpartition("\n")
                fates += re.findall(r"relay=local,.*\bstatus=(\w+)", text)
            seconds = time.monotonic() - began
            list(sending)
        if set(fates) != {"sent"}:
            raise RuntimeError(f"mails were {', '.join(sorted(set(fates)))}")
        return len(mails) / seconds

    def requests(self) -> int:
        """How many our pipe recorded."""
        from ingest.ledger import open_ledger

        with closing(open_ledger(f"sqlite:{self._paths.state}/ledger.sqlite")) as ledger:
            return ledger.totals().requests

    def written(self) -> int:
        """How many mails the other pipe wrote."""
        return sum(each.read_bytes().count(b"\nList-Id:") for each in self._sink.iterdir())


@contextmanager
def _lab(plan: Plan) -> Iterator[_Lab]:
    """A Postfix with both pipes and the program installed for it, until the end of the block."""
    if os.geteuid() != 0:
        raise Skipped("only root can start a Postfix")
    if shutil.which("postfix", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None:
        raise Skipped("Postfix is not installed")
    try:
        from tests.e2e.conftest import NOBODY, Paths, example
        from tests.support.installation import install
        from tests.support.postfix import Postfix
    except ImportError as error:
        raise Skipped(f"the end-to-end tests cannot be imported: {error}") from error
    if closed := [each for each in (plan.work, *plan.work.parents) if not each.stat().st_mode & 1]:
        raise Skipped(f"{NOBODY} cannot enter {closed[-1]}: name another --work")
    mask = os.umask(0o022)
    folder = Path(tempfile.mkdtemp(prefix="postfix.", dir=plan.work))
    try:
        folder.chmod(0o755)
        paths = Paths(folder, install(folder, NOBODY))
        paths.program.parent.mkdir()
        shutil.copy2(paths.installed, paths.program)
        (pipe,) = re.findall(r"^recheck: .*", example("aliases.example", paths), re.M)
        interpreter = (folder / "venv" / "bin" / "python").resolve()
        script, sink = folder / "sink.py", folder / "sink"
        script.write_text(_SINK.format(folder=sink))
        bare = f'{_BARE}: "|{interpreter} -IS {script}"'
        with patchwork(folder, archive.SERIES) as server:
            paths.settings.write_text(f'[patchwork]\nurl = "{server.url}"\n')
            mta = Postfix(folder, main="", master="", aliases=f"{pipe}\n{bare}", transport="")
            mta.start()
            try:
                yield _Lab(mta, paths, sink, NOBODY)
            finally:
                mta.stop()
    finally:
        os.umask(mask)
        shutil.rmtree(folder)
