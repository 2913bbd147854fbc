# SPDX-License-Identifier: BSD-3-Clause
"""Two services with folders of their own on one ledger: one is killed while it works, then the
database's primary is lost. Each mail that was acknowledged is one request, and each file has had
each request once."""

import json
import smtplib
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ingest.ledger import open_ledger
from ingest.sandbox import Sandbox
from tests.support.places import RECORDED
from tests.support.replicas import Pair
from tests.support.service import MAIL, Service, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class Machine(Service):
    """A service, its port and its files."""

    def __init__(self, folder: Path, ledger: str, url: str) -> None:
        super().__init__(folder)
        folder.mkdir()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = url
        self.shared = {
            "RECHECK_INGEST_STATE_LEDGER": ledger,
            "RECHECK_INGEST_STATE_TIMEOUT": "3",
            "RECHECK_INGEST_RETESTS_FILE": str(self.retests),
            "RECHECK_INGEST_SMTP_LISTEN": f"127.0.0.1:{self.port}",
        }
        self.taken: list[str] = []
        self.acknowledged: list[str] = []

    def serve(self) -> None:
        """Start, and wait until mail is taken."""
        self.serving = self.start("serve", url=self.url, **self.shared)
        eventually(self._answers)

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except OSError:
            return False
        return True

    def pipe_in(self, name: str) -> None:
        """A mail by a pipe."""
        process = self.start("pipe", url=self.url, **self.shared)
        process.communicate(MAIL % (name.encode(), name.encode()), timeout=60)
        assert process.returncode == 0
        self.acknowledged.append(f"iol-{name}")

    def post(self, name: str) -> None:
        """A mail by SMTP, which may be refused for now."""
        try:
            with smtplib.SMTP("127.0.0.1", self.port, timeout=30) as client:
                text = MAIL % (name.encode(), name.encode())
                client.sendmail("a@example.org", ["b@example.org"], text)
        except (OSError, smtplib.SMTPException):
            return
        self.acknowledged.append(f"iol-{name}")

    def take(self) -> None:
        """Take what is in the file, as a lab does."""
        taking = self.start("take", url=self.url, **self.shared)
        said, told = taking.communicate(timeout=60)
        if taking.returncode == 75:  # the ledger is away
            return
        assert taking.returncode == 0, told
        self.taken += json.loads(said)["retests"].get("29430", {}).get("contexts", [])


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[tuple[Pair, list[Machine]]]:
    pair = Pair()
    ledger = pair.ledger(tmp_path)
    with Sandbox(str(RECORDED / "patch.mbox"), str(RECORDED / "series.mbox")) as patchwork:
        both = [Machine(tmp_path / each, ledger, patchwork.url) for each in ("a", "b")]
        yield pair, both
        for each in both:
            each.end()
    pair.remove()


def test_nothing_acknowledged_is_lost_or_done_twice(
    machines: tuple[Pair, list[Machine]],
) -> None:
    pair, (a, b) = machines
    for each in (a, b):
        each.serve()
    # The first one works; it is killed between two mails that it and the other one take in.
    for number in range(6):
        a.post(f"a{number}")
        b.pipe_in(f"b{number}")
        if number == 3:
            a.serving.kill()
            a.serving.wait()
            a.pipe_in("a-while-it-is-dead")
    b.take()
    a.serve()
    a.post("a-again")
    # Then the primary is lost, while mail comes.
    pair.take_over()
    for number in range(6):
        a.pipe_in(f"c{number}")
        b.post(f"d{number}")
    acknowledged = sorted({*a.acknowledged, *b.acknowledged})
    assert len(acknowledged) >= 15

    def is_done() -> bool:
        for each in (a, b):
            each.take()
        return all(set(acknowledged) <= set(each.taken) for each in (a, b))

    eventually(is_done)
    for each in (a, b):
        assert sorted(each.taken) == sorted(set(each.taken))  # nothing twice
    url = pair.primary.url(a.shared["RECHECK_INGEST_STATE_LEDGER"].split("/")[3].split("?")[0])
    with closing(open_ledger(url)) as ledger:
        requests = ledger.requests()
    assert [each.number for each in requests] == list(range(1, len(requests) + 1))
    asked = [label for each in requests for label in each.contexts]
    assert sorted(asked) == sorted(set(asked))
    assert set(acknowledged) <= set(asked)
