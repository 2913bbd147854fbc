# SPDX-License-Identifier: BSD-3-Clause
"""A lab that begins with nothing: ``serve`` with [http], one line of curl, and the request is in
the retest JSON."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.sandbox import Sandbox
from tests.support.parts import require
from tests.support.places import RECORDED
from tests.support.service import MAIL, Service, eventually


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path)
    yield service
    service.end()


@pytest.mark.slow
def test_one_line_of_curl_brings_a_request_into_the_json(service: Service, tmp_path: Path) -> None:
    curl = require("curl")
    (tmp_path / "mail.eml").write_bytes(MAIL % (b"one", b"one"))
    config = tmp_path / "settings.toml"
    config.write_text(f'[http]\nlisten = ["unix:{tmp_path}/http.sock"]\n')
    with Sandbox(str(RECORDED / "patch.mbox")) as patchwork:
        service.start("serve", "--config", str(config), url=patchwork.url)
        eventually((tmp_path / "http.sock").exists)
        posted = subprocess.run(
            [
                *(curl, "--silent", "--show-error", "--unix-socket", tmp_path / "http.sock"),
                *("--data-binary", f"@{tmp_path}/mail.eml", "http://localhost/mail"),
            ],
            capture_output=True,
            check=True,
        )
        assert posted.stdout == b"queued\n"
        eventually(lambda: service.contexts() == ["iol-one"])
