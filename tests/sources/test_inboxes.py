# SPDX-License-Identifier: BSD-3-Clause
"""A lab from nothing: `serve` with one [inbox.NAME] and no mail server."""

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.sandbox import Sandbox
from tests.support.git_server import GitServer
from tests.support.inboxes import Inbox
from tests.support.places import RECORDED
from tests.support.service import MAIL, Service, eventually

pytestmark = pytest.mark.slow


@pytest.fixture
def patchwork() -> Iterator[Sandbox]:
    with Sandbox(str(RECORDED / "patch.mbox")) as sandbox:
        yield sandbox


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path / "state")
    yield service
    service.end()


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    inbox = Inbox(tmp_path / "served" / "dev")
    inbox.add(MAIL % (b"old", b"old"))
    return inbox


def status(service: Service, url: str) -> dict[str, object]:
    out, _ = service.start("status", "--json", url=url).communicate(timeout=60)
    read: dict[str, object] = json.loads(out)
    return read


def begun(service: Service) -> bool:
    """Whether the first look was made."""
    process = service.start("status", url="http://127.0.0.1:1")
    return b"epoch 0" in process.communicate(timeout=60)[0]


@pytest.mark.parametrize("place", ["folder", "https"])
def test_a_request_in_an_inbox_reaches_the_retest_json(
    service: Service, patchwork: Sandbox, inbox: Inbox, certificate: str, place: str
) -> None:
    with GitServer(inbox.folder.parent, certificate) as server:
        url = str(inbox.folder) if place == "folder" else f"{server.url}/dev"
        environment = {
            "RECHECK_INGEST_INBOX_DEV_URL": url,
            "RECHECK_INGEST_INBOX_DEV_INTERVAL": "0.1",
            "GIT_SSL_CAINFO": certificate,
        }
        serving = service.start("serve", url=patchwork.url, **environment)
        eventually(lambda: begun(service))
        inbox.add(MAIL % (b"one", b"one"), b"Subject: talk\n\nNice.\n", MAIL % (b"two", b"two"))
        eventually(lambda: service.contexts() == ["iol-one", "iol-two"])
        serving.send_signal(signal.SIGTERM)
        printed, said = serving.communicate(timeout=60)
        assert b"mail comes by the public-inbox dev, and by pipe" in said
        assert (printed, said.count(b"\n")) == (b"", 3)
        assert serving.returncode == 0
        inbox.add(MAIL % (b"three", b"three"))
        service.start("serve", url=patchwork.url, **environment)
        eventually(lambda: service.contexts() == ["iol-one", "iol-three", "iol-two"])


def test_an_inbox_that_is_gone_is_told_and_holds_up_nobody(
    service: Service, patchwork: Sandbox, inbox: Inbox
) -> None:
    environment = {
        "RECHECK_INGEST_INBOX_DEV_URL": str(inbox.folder),
        "RECHECK_INGEST_INBOX_DEV_INTERVAL": "0.1",
    }
    serving = service.start("serve", url=patchwork.url, **environment)
    eventually(lambda: begun(service))
    shutil.move(inbox.folder, inbox.folder.with_name("away"))
    trouble = "is gone: is "

    def told() -> bool:
        shown = service.start("status", url=patchwork.url).communicate(timeout=60)[0].decode()
        return trouble in shown.replace("\n", " ") and "failed" in shown

    eventually(told)
    service.pipe(b"one", patchwork.url)
    eventually(lambda: service.contexts() == ["iol-one"])
    shutil.move(inbox.folder.with_name("away"), inbox.folder)
    inbox.add(MAIL % (b"two", b"two"))
    eventually(lambda: service.contexts() == ["iol-one", "iol-two"])
    serving.send_signal(signal.SIGTERM)
    _, lines = serving.communicate(timeout=60)
    first, last = (each for each in lines.decode().splitlines() if "inbox.dev: " in each)
    assert trouble in first and last.endswith("inbox.dev: works again")


def test_check_looks_at_each_inbox(service: Service, patchwork: Sandbox, inbox: Inbox) -> None:
    def checked(path: Path) -> dict[str, str]:
        checking = service.start("check", "--json", url=patchwork.url,
                                 RECHECK_INGEST_INBOX_DEV_URL=str(path))  # fmt: skip
        found = json.loads(checking.communicate(timeout=60)[0])
        (one,) = (each for each in found if each["what"] == "inbox.dev")
        assert isinstance(one, dict)
        return one

    assert checked(inbox.folder)["level"] == "ok"
    assert "version 2, epoch 0, at " in checked(inbox.folder)["text"]
    assert checked(inbox.folder / "none")["level"] == "problem"
