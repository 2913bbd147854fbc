# SPDX-License-Identifier: BSD-3-Clause
"""Under which names the service is asked, and which requests a person on this machine makes."""

import socket

import pytest

from ingest.config.tables import Settings
from ingest.config.web_tables import HttpSettings
from ingest.web.head import Head
from ingest.web.hosts import Hosts

HOSTS = Hosts(Settings(http=HttpSettings(public_url="https://lab.example.org/")))


def head(method: str = "GET", client: str | None = "127.0.0.1", **fields: str) -> Head:
    given = [(k.replace("_", "-").encode(), v.encode("latin-1")) for k, v in fields.items()]
    came = (client, 5000) if client else None
    return Head({"method": method, "query_string": b"", "client": came, "headers": given})


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("127.0.0.1:8025", True),
        ("[::1]:8025", True),
        ("localhost", True),
        ("192.0.2.10:8025", True),
        ("lab.example.org", True),
        ("LAB.example.org:443", True),
        (socket.gethostname(), True),
        ("rebound.example.net", False),
        ("lab.example.org.example.net", False),
        ("localhost.example.net", False),
        ("127.0.0.1.example.net", False),
        ("", False),
        ("[", False),
    ],
)
def test_only_the_services_own_names_count(host: str, known: bool) -> None:
    assert HOSTS.knows(head(host=host)) is known


def test_a_program_that_names_no_host_is_not_a_browser() -> None:
    assert HOSTS.knows(head())


LOCAL = {"host": "127.0.0.1:8025"}


@pytest.mark.parametrize(
    ("made", "looks"),
    [
        (head(**LOCAL), True),
        (head(client=None, **LOCAL), True),
        (head(**LOCAL, sec_fetch_site="none", sec_fetch_mode="navigate"), True),
        (head(**LOCAL, sec_fetch_site="same-origin", sec_fetch_mode="no-cors"), True),
        (head("POST", **LOCAL, sec_fetch_site="same-origin", origin="null"), True),
        (head(**LOCAL, sec_fetch_site="cross-site", sec_fetch_mode="navigate"), True),
        (head(**LOCAL, sec_fetch_site="cross-site", sec_fetch_mode="no-cors"), False),
        (head(**LOCAL, sec_fetch_site="same-site", sec_fetch_mode="cors"), False),
        (head("POST", **LOCAL, sec_fetch_site="cross-site", sec_fetch_mode="navigate"), False),
        (head(**LOCAL, origin="https://example.net"), False),
        (head(**LOCAL, x_forwarded_for="192.0.2.1"), False),
        (head(**LOCAL, sec_fetch_site="none", via="1.1 proxy"), False),
        (head(client="192.0.2.1", **LOCAL, sec_fetch_site="none"), False),
        (head(host="rebound.example.net", sec_fetch_site="none"), False),
    ],
)
def test_a_person_on_this_machine_looks_and_no_other_sites_page(made: Head, looks: bool) -> None:
    assert made.is_looking is looks
