# SPDX-License-Identifier: BSD-3-Clause
"""Two Patchwork servers of different kinds behind one service, one of them down for a while."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.sandbox import DPDK, Project, Sandbox
from tests.support.mails import patch, reply
from tests.support.service import Service, eventually

LIST = Project(1, "Other", "other", "other.example.org", "other@example.org")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path)
    yield service
    service.end()


def pipes(service: Service, url: str, raw: bytes, **environment: str) -> None:
    environment["RECHECK_INGEST_PIPE_BUDGET"] = "0"
    process = service.start("pipe", url=url, **environment)
    assert process.communicate(raw, timeout=60)[0] == b""
    assert process.returncode == 0


def held(file: Path) -> dict[str, list[str]]:
    """The contexts by the keys of the entries."""
    if not file.exists():
        return {}
    retests = json.loads(file.read_text())["retests"]
    return {key: entry["contexts"] for key, entry in retests.items()}


@pytest.mark.slow
def test_while_one_of_two_servers_is_down_the_other_ones_mail_goes_on(
    service: Service, tmp_path: Path
) -> None:
    other_file = tmp_path / "other.json"
    with Sandbox(projects=[DPDK]) as plain, Sandbox(kind="freedesktop", projects=[LIST]) as fork:
        plain.file(patch("p@dpdk", list_id=DPDK.list_id))
        fork.file(patch("p@other", list_id=LIST.list_id))
        environment = {
            "RECHECK_INGEST_PATCHWORK_FDO_URL": fork.url,
            "RECHECK_INGEST_PATCHWORK_FDO_LISTS": "other.*",
            "RECHECK_INGEST_JSON_FILE_OTHER_FILE": str(other_file),
            "RECHECK_INGEST_JSON_FILE_OTHER_PATCHWORK": "fdo",
            "RECHECK_INGEST_JSON_FILE_OTHER_REVISIONS": "true",
            "RECHECK_INGEST_WORKER_RETRY": "0.5",
        }
        fork.stop()
        serving = service.start("serve", url=plain.url, **environment)
        for name, project in (("other", LIST), ("dpdk", DPDK)):
            raw = reply(f"p@{name}", f"r@{name}", list_id=project.list_id)
            pipes(service, plain.url, raw, **environment)
        eventually(lambda: held(service.retests) == {"29430": ["iol-unit-amd64-testing"]})
        status = service.start("status", "--json", url=plain.url, **environment)
        told = json.loads(status.communicate(timeout=60)[0])
        down = {each["name"]: bool(each["down"]) for each in told["servers"]}
        assert down == {"": False, "fdo": True}
        assert told["waiting"]["down"] == 1
        fork.start()
        eventually(lambda: held(other_file) == {"1/1": ["iol-unit-amd64-testing"]})
        assert held(service.retests) == {"29430": ["iol-unit-amd64-testing"]}
        serving.send_signal(signal.SIGTERM)
        serving.communicate(timeout=60)
        assert serving.returncode == 0
