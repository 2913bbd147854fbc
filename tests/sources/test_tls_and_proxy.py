# SPDX-License-Identifier: BSD-3-Clause
"""STARTTLS, and the PROXY protocol: what is offered, demanded, believed and forgotten."""

import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from tests.support.smtp_sink import LOCAL, Client, Sink, request, serving

# STARTTLS.


def encrypted(client: Client) -> Client:
    """The session after the handshake."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return Client(context.wrap_socket(client.socket))


def test_starttls_is_offered_with_a_certificate(quick_path: Path, certificate: str) -> None:
    with serving(quick_path, tls_certificate=certificate) as sink, sink.client() as client:
        assert client.deliver(request("plain")).startswith("250 ")
        assert client.say("STARTTLS").startswith("220 ")
        with encrypted(client) as safe:
            assert safe.say("MAIL FROM:<a@example.org>").startswith("503 ")  # all is forgotten
            offered = safe.say("EHLO client.example.org")
            assert "STARTTLS" not in offered and "AUTH" not in offered
            assert safe.deliver(request("safe")).startswith("250 2.0.0 ")
            assert safe.say("QUIT").startswith("221 ")
        assert len(sink.kept()) == 2


def test_a_large_mail_is_kept_whole_through_tls(quick_path: Path, certificate: str) -> None:
    mail = request("large", b"".join(b"line %d\r\n" % number for number in range(100_000)))
    with serving(quick_path, tls_certificate=certificate) as sink, sink.client() as client:
        client.say("STARTTLS")
        with encrypted(client) as safe:
            safe.say("EHLO client.example.org")
            assert safe.deliver(mail).startswith("250 2.0.0 ")
        assert [each.raw for each in sink.kept()] == [mail]


def test_what_was_sent_ahead_of_tls_is_forgotten(quick_path: Path, certificate: str) -> None:
    with serving(quick_path, tls_certificate=certificate) as sink, sink.client() as client:
        client.send(b"STARTTLS\r\nNOOP injected\r\nNOOP injected\r\n")
        assert client.reply().startswith("220 ")
        with encrypted(client) as safe:
            assert safe.say("EHLO client.example.org").count("\n") > 2


@pytest.mark.parametrize("name", ["smtp", "lmtp"])
def test_required_tls_must_be_begun(quick_path: Path, certificate: str, name: str) -> None:
    table = {"listen": [LOCAL], "tls_certificate": certificate, "starttls": "required"}
    tables: dict[str, Any] = {name: table}
    with Sink(quick_path, **tables) as sink, sink.client(name) as client:
        assert client.say("MAIL FROM:<a@example.org>").startswith("530 5.7.0 ")
        client.say("STARTTLS")
        with encrypted(client) as safe:
            safe.say(f"{'LHLO' if name == 'lmtp' else 'EHLO'} client.example.org")
            assert safe.deliver(request("safe")).startswith("250 2.0.0 ")


def test_a_handshake_that_fails_harms_nobody(quick_path: Path, certificate: str) -> None:
    with serving(quick_path, tls_certificate=certificate, sessions=1) as sink:
        with sink.client() as client:
            client.say("STARTTLS")
            client.send(b"this is no TLS\r\n")
            assert b"250" not in client.socket.recv(1000)
        with sink.client() as other:
            assert other.deliver(request("a")).startswith("250 ")


# The PROXY protocol.

V1 = b"PROXY TCP4 192.0.2.7 127.0.0.1 40000 25\r\n"
V2 = (
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"
    + socket.inet_aton("192.0.2.7") + socket.inet_aton("127.0.0.1") + b"\x9c\x40\0\x19"
)  # fmt: skip


@pytest.mark.parametrize("header", [V1, V2])
def test_a_trusted_proxy_tells_who_the_client_is(quick_path: Path, header: bytes) -> None:
    trusted = {"proxies": ["127.0.0.1"], "peers": ["192.0.2.0/24"]}
    with serving(quick_path, **trusted) as sink, sink.client(greeting=False) as client:
        client.send(header)
        assert client.reply().startswith("220 ")
        client.say("EHLO x")
        client.deliver(request("a"))
        assert [mail.envelope.peer for mail in sink.kept()] == ["192.0.2.7"]


def test_what_a_proxy_brings_must_be_a_peer(quick_path: Path) -> None:
    trusted = {"proxies": ["127.0.0.1"], "peers": ["198.51.100.0/24"]}
    with serving(quick_path, **trusted) as sink, sink.client(greeting=False) as client:
        client.send(V1)
        assert client.reply().startswith("421 4.7.1 ")


def test_a_trusted_proxy_must_speak_its_protocol(quick_path: Path) -> None:
    with (
        serving(quick_path, proxies=["127.0.0.1"]) as sink,
        sink.client(greeting=False) as client,
    ):
        client.send(b"EHLO x\r\n")
        assert client.rest() == []


def test_nobody_else_is_believed(quick_path: Path) -> None:
    with serving(quick_path, proxies=["192.0.2.1"]) as sink, sink.client() as client:
        client.send(V1)
        assert client.reply().startswith("500 ")
        client.deliver(request("a"))
        assert [mail.envelope.peer for mail in sink.kept()] == ["127.0.0.1"]
