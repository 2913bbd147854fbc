# SPDX-License-Identifier: BSD-3-Clause
"""SMTP and HTTP at once, in one service: whoever floods one door does not close the other."""

import smtplib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.http_service import HttpService, exchange, told
from tests.support.http_site import request
from tests.support.loop_thread import PATIENCE

FLOODING, MAILS = 8, 50
Send = Callable[[str, str, bytes], None]


@pytest.fixture
def service(quick_path: Path) -> Iterator[HttpService]:
    service = HttpService(quick_path)
    yield service
    service.end()


def by_smtp(smtp: str, http: str, mail: bytes) -> None:
    host, _, port = smtp.rpartition(":")
    with smtplib.SMTP(host, int(port), timeout=PATIENCE) as client:
        client.sendmail("robin@example.org", ["recheck@lab.example"], mail)


def by_http(smtp: str, http: str, mail: bytes) -> None:
    assert exchange(http, mail).endswith(b"queued\n")


@pytest.mark.slow
@pytest.mark.parametrize(("flood", "other"), [(by_smtp, by_http), (by_http, by_smtp)])
def test_each_goes_on_while_the_other_is_flooded(
    service: HttpService, flood: Send, other: Send
) -> None:
    serving = service.start("--smtp", "127.0.0.1:0", "--http", "127.0.0.1:0")
    smtp = told(serving, r"listening for SMTP on (\S+)")
    http = told(serving, r"listening for HTTP on (\S+)")
    threading.Thread(target=serving.stderr.read, daemon=True).start()  # type: ignore[union-attr]
    begun, enough = threading.Barrier(FLOODING + 1), threading.Event()

    def flooding(number: int) -> int:
        sent = 0
        begun.wait(PATIENCE)
        while not enough.is_set():
            flood(smtp, http, request(f"flood-{number}-{sent}"))
            sent += 1
        return sent

    with ThreadPoolExecutor(FLOODING) as threads:
        floods = [threads.submit(flooding, number) for number in range(FLOODING)]
        try:
            begun.wait(PATIENCE)
            for number in range(MAILS):
                other(smtp, http, request(f"other-{number}"))
        finally:
            enough.set()
        assert sum(each.result(PATIENCE) for each in floods) > 0
    assert service.times_kept(f"other-{MAILS - 1}@example.org") == 1
