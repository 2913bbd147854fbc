# SPDX-License-Identifier: BSD-3-Clause
"""Senders that send too much, too slowly, or without an end, and what each is answered."""

import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support import posted
from tests.support.amazon import Amazon
from tests.support.http_site import Site, request

SMALL = """
[intake]
max_size = 50_000
[http]
listen = ["127.0.0.1:0"]
max_body = 100_000
"""
HASTY = """
[http]
listen = ["127.0.0.1:0"]
head_timeout = 0.1
stall_timeout = 0.1
body_timeout = 0.3
"""
CHUNK = b"2710\r\n" + b"x" * 10_000 + b"\r\n"
GIVE_UP = {
    "mailgun": 406,
    "sendgrid": 413,
    "postmark": 403,
    "cloudmailin": 413,
    "mandrill": 413,
    "forwardemail": 413,
    "postal": 429,
    "ses": 413,
}


def head(path: str, headers: dict[str, str], *more: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, *more, "", ""]).encode()


def status(heard: bytes) -> int:
    return int(heard.split()[1]) if heard else 0


def endless(connection: socket.socket) -> bytes:
    """What is answered to a body that goes on as long as anybody listens."""
    connection.settimeout(0.01)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            connection.sendall(CHUNK)
        except TimeoutError:
            pass
        except OSError:
            break
        try:
            if heard := connection.recv(1 << 16):
                return heard
            break
        except TimeoutError:
            continue
        except OSError:
            break
    return b""


@pytest.mark.parametrize("name", GIVE_UP)
def test_a_body_without_an_end_makes_the_service_give_up(
    quick_path: Path, amazon: Amazon, name: str
) -> None:
    given = posted.SERVICES[name](request(name))
    with Site(quick_path, SMALL + posted.hooks(quick_path)) as site, site.open() as connection:
        connection.sendall(head(f"/mail/{name}", given.headers, "Transfer-Encoding: chunked"))
        assert status(endless(connection)) == GIVE_UP[name]


@pytest.mark.parametrize("name", GIVE_UP)
def test_a_body_that_announces_too_much_is_not_read(
    quick_path: Path, amazon: Amazon, name: str
) -> None:
    given = posted.SERVICES[name](request(name))
    with Site(quick_path, SMALL + posted.hooks(quick_path)) as site:
        heard = site.say(head(f"/mail/{name}", given.headers, "Content-Length: 100001"))
        assert status(heard) == GIVE_UP[name]


def test_a_raw_mail_without_an_end_is_refused(quick_path: Path) -> None:
    with Site(quick_path, SMALL) as site, site.open() as connection:
        connection.sendall(head("/mail", {}, "Transfer-Encoding: chunked"))
        assert status(endless(connection)) == 413


@pytest.mark.parametrize("path", ["/mail", *(f"/mail/{name}" for name in GIVE_UP)])
def test_a_stall_in_the_middle_ends_the_connection(
    quick_path: Path, amazon: Amazon, path: str
) -> None:
    name = path.removeprefix("/mail").removeprefix("/")
    headers = posted.SERVICES[name](request("stall")).headers if name else {}
    with Site(quick_path, HASTY + posted.hooks(quick_path)) as site:
        assert site.say(head(path, headers, "Content-Length: 1000"), b"half") == b""
        assert site.queued() == []


def test_a_byte_now_and_then_does_not_hold_a_connection_for_ever(quick_path: Path) -> None:
    with Site(quick_path, HASTY) as site, site.open() as connection:
        connection.sendall(head("/mail", {}, "Content-Length: 100000"))
        with pytest.raises(ConnectionError):
            for _ in range(6000):
                connection.sendall(b"x")
                time.sleep(0.01)


@pytest.mark.parametrize("said", [b"", b"P", b"POST /mail HTTP/1.1\r\nHost: loc"])
def test_a_head_that_does_not_come_to_its_end_ends_the_connection(
    quick_path: Path, said: bytes
) -> None:
    with Site(quick_path, HASTY) as site:
        assert site.say(said) == b""


def test_a_head_without_an_end_is_refused(quick_path: Path) -> None:
    with Site(quick_path) as site:
        heard = site.say(b"POST /mail HTTP/1.1\r\n", *[b"X-Filler: x\r\n" * 1000] * 10)
        assert status(heard) in (400, 0)


def test_no_more_connections_than_allowed_are_held(quick_path: Path) -> None:
    toml = '[http]\nlisten = ["127.0.0.1:0"]\nconnections = 2\n'
    with Site(quick_path, toml) as site, ExitStack() as held:
        for _ in range(2):
            connection = held.enter_context(site.open())
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert status(connection.recv(1 << 16)) == 200
        assert site.say(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n") == b""


def test_large_bodies_of_strangers_keep_out_neither_small_ones_nor_the_known(
    quick_path: Path, amazon: Amazon
) -> None:
    toml = '[http]\nlisten = ["127.0.0.1:0"]\nbodies = 1\n' + posted.hooks(quick_path)
    with Site(quick_path, toml) as site, ExitStack() as held:
        for _ in range(3):
            stranger = held.enter_context(site.open())
            headers = posted.mailgun(request("stranger")).headers
            stranger.sendall(head("/mail/mailgun", headers, "Content-Length: 1000000"))
            stranger.sendall(b"x" * 100_000)
        small, large = posted.mailgun(request("small")), request("large", b"x" * 200_000)
        assert site.post("/mail/mailgun", small.body, small.headers)[0] == 200
        known = posted.cloudmailin(large)
        assert site.post("/mail/cloudmailin", known.body, known.headers)[0] == 200


def test_a_large_body_waits_for_another_and_is_taken_then(quick_path: Path, amazon: Amazon) -> None:
    toml = '[http]\nlisten = ["127.0.0.1:0"]\nbodies = 1\n' + posted.hooks(quick_path)
    given = posted.mailgun(request("large", b"x" * 200_000))
    with Site(quick_path, toml) as site, site.open() as stranger:
        length = f"Content-Length: {len(given.body)}"
        stranger.sendall(head("/mail/mailgun", given.headers, length) + given.body[:100_000])
        with site.open() as waiting:
            waiting.sendall(head("/mail/mailgun", given.headers, length) + given.body)
            waiting.settimeout(0.2)
            with pytest.raises(TimeoutError):
                waiting.recv(1)
            stranger.close()
            waiting.settimeout(60)
            assert status(waiting.recv(1 << 16)) == 200


def test_who_asks_before_sending_is_refused_before_sending(quick_path: Path) -> None:
    with Site(quick_path) as site, site.open() as connection:
        fields = {"Via": "1.1 proxy", "Expect": "100-continue"}
        connection.sendall(head("/mail", fields, "Content-Length: 1000000"))
        assert status(connection.recv(1 << 16)) == 401


def test_who_is_refused_hears_it_after_sending_all(quick_path: Path) -> None:
    with Site(quick_path) as site:
        assert site.post("/mail", b"x" * 10_000_000, {"Via": "1.1 proxy"}) == (401, "refused\n")


@pytest.mark.slow
@pytest.mark.parametrize("name", posted.SERVICES)
def test_a_mail_of_40_mb_is_taken(site: Site, name: str) -> None:
    raw = request(name, b"a line of a large attachment, more or less so long\n" * 784_000)
    assert 39_900_000 < len(raw) < 40 << 20
    given = posted.SERVICES[name](raw)
    answered = site.post(f"/mail/{name}", given.body, given.headers)
    if name == "ses":  # by SNS nothing above 256 KB comes
        assert answered == (413, "refused\n")
    else:
        assert answered == (200, "queued\n")
        assert site.queued()[0].raw == raw


@pytest.mark.slow
def test_a_raw_mail_of_40_mb_is_taken(site: Site) -> None:
    raw = request("raw", b"a line of a large attachment, more or less so long\n" * 784_000)
    assert site.post("/mail", raw) == (200, "queued\n")
    assert site.queued()[0].raw == raw
