# SPDX-License-Identifier: BSD-3-Clause
"""The sandbox as a server: what it remembers of requests, how it starts, stops and is shared."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from ingest.errors import BadInput
from ingest.sandbox import Request, Sandbox
from tests.sandbox.conftest import get, patch


def test_every_request_is_remembered_in_order(recorded: Sandbox) -> None:
    checks = "/api/patches/131182/checks/"
    requests.get(f"{recorded.url}/api/patches/?msgid=a%2Bb@example.org", timeout=10)
    requests.head(f"{recorded.url}/nothing", timeout=10)
    headers = {"Authorization": "Token secret"}
    body = {"state": "pending"}
    requests.post(recorded.url + checks, json=body, headers=headers, timeout=10)
    assert recorded.requests == [
        Request("GET", "/api/patches/?msgid=a%2Bb@example.org", False, b""),
        Request("HEAD", "/nothing", False, b""),
        Request("POST", checks, True, json.dumps(body).encode()),
    ]


def test_a_mail_can_arrive_while_it_serves(empty: Sandbox) -> None:
    assert get(empty, "/api/patches/") == []
    empty.file(patch("[PATCH] x", id="x@example.org"))
    assert len(get(empty, "/api/patches/")) == 1


def test_one_connection_carries_many_requests(recorded: Sandbox) -> None:
    with socket.create_connection(("127.0.0.1", int(recorded.url.rpartition(":")[2]))) as client:
        client.settimeout(10)
        for path in (b"/api/", b"/api/patches/1/", b"/nothing"):
            client.sendall(b"HEAD " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = b""
            while not answer.endswith(b"\r\n\r\n"):
                answer += client.recv(65536)
            assert answer.startswith(b"HTTP/1.1 ")


def test_requests_and_mails_at_once_are_all_answered(empty: Sandbox) -> None:
    def ask(number: int) -> int:
        empty.file(patch("[PATCH] x", id=f"{number}@example.org"))
        return len(get(empty, f"/api/patches/?msgid={number}@example.org"))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(40))) == [1] * 40
    assert len(empty.requests) == 40


def test_a_stopped_sandbox_is_down_for_kept_connections_too(recorded: Sandbox) -> None:
    session = requests.Session()
    session.get(f"{recorded.url}/api/", timeout=10)
    recorded.stop()
    with pytest.raises(requests.ConnectionError):
        session.get(f"{recorded.url}/api/", timeout=10)


def test_started_again_it_is_at_the_same_address(recorded: Sandbox) -> None:
    before = recorded.url
    recorded.stop()
    recorded.start()
    assert recorded.url == before
    assert len(get(recorded, "/api/patches/")) == 3


def test_a_port_that_is_taken_is_an_error(recorded: Sandbox) -> None:
    port = int(recorded.url.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"), Sandbox(port=port):
        pass


def test_an_archive_that_is_not_there_is_an_error() -> None:
    with pytest.raises(BadInput):
        Sandbox("no-such.mbox")


@pytest.mark.parametrize("length", ["-1", "many", "99999999"])
def test_a_body_of_an_impossible_length_is_refused(recorded: Sandbox, length: str) -> None:
    with socket.create_connection(("127.0.0.1", int(recorded.url.rpartition(":")[2]))) as client:
        client.settimeout(10)
        client.sendall(f"POST /api/ HTTP/1.1\r\nContent-Length: {length}\r\n\r\n".encode())
        assert client.recv(100).split()[1] in (b"400", b"413")
