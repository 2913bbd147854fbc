# SPDX-License-Identifier: BSD-3-Clause
"""What ``check`` says of certificates: of ours, and of those that webhooks have."""

import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from ingest.commands import certificates, reach
from ingest.config import load as config
from ingest.config.tables import Settings

NOW = datetime.now(UTC).replace(microsecond=0)


def make(folder: Path, end: datetime, *, begin: datetime | None = None) -> Path:
    """A key and its certificate in one file, for 127.0.0.1, until a time."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin or end - timedelta(days=400))
        .not_valid_after(end)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    file = folder / "both.pem"
    file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + made.public_bytes(Encoding.PEM)
    )
    file.chmod(0o600)
    return file


def settings(folder: Path, text: str) -> Settings:
    file = folder / "file.toml"
    file.write_text(text)
    return config.load(file=str(file), environment={"STATE_DIRECTORY": str(folder)})


def found(folder: Path, file: Path, *users: str) -> list[tuple[str, str, str]]:
    table = f'[smtp]\nlisten = ["127.0.0.1:0"]\ntls_certificate = "{file}"\n'
    made = settings(folder, table)
    return list(certificates.findings(made, list(users)))


ENDS = {
    "long to go": (timedelta(days=200), "ok", "is valid until"),
    "soon": (timedelta(days=3), "warning", "ends in 3 d, on"),
    "over": (timedelta(days=-1), "problem", "ended on"),
    "in the second half of the century": (timedelta(days=365 * 40), "ok", "is valid until"),
}


@pytest.mark.parametrize("case", ENDS)
def test_the_end_of_a_certificate_is_told_in_time(case: str, tmp_path: Path) -> None:
    after, level, said = ENDS[case]
    end = NOW + after + timedelta(minutes=5)
    file = make(tmp_path, end)
    [(told, what, text)] = found(tmp_path, file)
    assert (told, what) == (level, "smtp")
    assert f"certificate {file} {said}" in text
    assert end.date().isoformat() in text
    assert certificates.ends(file.read_text()) == end.timestamp()


def test_what_is_not_a_certificate_is_a_problem(tmp_path: Path) -> None:
    file = tmp_path / "both.pem"
    file.write_text("hello")
    file.chmod(0o600)
    [(level, _, text)] = found(tmp_path, file)
    assert (level, text.startswith(f"{file} cannot be used: ")) == ("problem", True)


@pytest.mark.parametrize("content", ["?", "MAA=", "MIID", "MAIwAA=="])
def test_what_cannot_be_read_as_a_certificate_is_an_error(content: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        certificates.ends(f"-----BEGIN CERTIFICATE-----\n{content}\n-----END CERTIFICATE-----")


def test_a_key_that_others_can_read_is_a_problem(tmp_path: Path) -> None:
    file = make(tmp_path, NOW + timedelta(days=200))
    file.chmod(0o644)
    assert found(tmp_path, file)[-1] == (
        "problem",
        "smtp",
        f"the key {file} can be read by everyone: chmod o= {file}",
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try as another user")
def test_a_key_that_the_service_cannot_read_is_a_problem(quick_path: Path) -> None:
    quick_path.chmod(0o755)
    file = make(quick_path, NOW + timedelta(days=200))
    told = found(quick_path, file, "nobody")
    assert ("problem", "smtp", f"{file} cannot be read by nobody: Permission denied") in told
    os.chown(quick_path, 65534, 65534)
    assert certificates.service_users(settings(quick_path, ""), []) == ["nobody"]
    assert certificates.service_users(settings(quick_path, ""), ["root"]) == ["root"]


# Servers that are posted to.


@contextmanager
def server(context: ssl.SSLContext | None = None) -> Iterator[tuple[int, list[bytes]]]:
    """A server that takes connections, its port, and all that it was sent."""
    sent: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            try:
                connection, _ = listening.accept()
                connection.settimeout(10)
                if context:
                    connection = context.wrap_socket(connection, server_side=True)
                with connection:
                    sent.append(connection.recv(1000))
            except OSError as error:
                sent.append(str(error).encode())

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1], sent
        with socket.socket() as last:  # so that nobody waits for ever
            last.settimeout(1)
            last.connect_ex(("127.0.0.1", listening.getsockname()[1]))
        thread.join(10)


def reached(folder: Path, url: str) -> tuple[str, str]:
    made = settings(folder, f'[webhook.lab]\nurl = "{url}"\ntimeout = 5\n')
    [(level, what, text)] = reach.webhooks(made)
    assert what == "webhook:lab"
    return level, text


def encrypted(file: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    # It has nothing more to send once the client has seen the certificate: what comes after the
    # client has gone would have the connection reset.
    context.num_tickets = 0
    return context


def test_a_webhook_s_server_is_connected_to_and_sent_nothing(tmp_path: Path) -> None:
    with server() as (port, sent):
        told = reached(tmp_path, f"http://127.0.0.1:{port}/hook")
    assert told == ("ok", f"127.0.0.1:{port} takes connections")
    assert sent == [b""]


def test_a_valid_certificate_is_told_with_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = make(tmp_path, NOW + timedelta(days=3, minutes=5))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(file))
    with server(encrypted(file)) as (port, sent):
        level, text = reached(tmp_path, f"https://127.0.0.1:{port}/hook")
    assert level == "warning"
    assert text.startswith(f"127.0.0.1:{port} takes connections; its certificate ends in 3 d")
    assert sent == [b""]


def test_a_certificate_that_nobody_vouches_for_is_a_problem(tmp_path: Path) -> None:
    file = make(tmp_path, NOW + timedelta(days=200))
    with server(encrypted(file)) as (port, _):
        level, text = reached(tmp_path, f"https://127.0.0.1:{port}/hook")
    assert level == "problem"
    assert text.startswith(f"the certificate of 127.0.0.1:{port} is not valid: ")


def test_a_server_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    assert reached(tmp_path, "http://127.0.0.1:9/") == (
        "problem",
        "127.0.0.1:9 cannot be reached: Connection refused",
    )


def test_by_a_proxy_the_proxy_is_connected_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server() as (port, _):
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("no_proxy", "")
        told = reached(tmp_path, "http://lab.example.org/hook")
    assert told == ("ok", f"the proxy 127.0.0.1:{port} takes connections")


def test_a_proxy_that_is_not_a_url_is_a_problem_and_its_password_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://user:secret")
    monkeypatch.setenv("no_proxy", "")
    told = reached(tmp_path, "http://lab.example.org/hook")
    assert told == ("problem", "the proxy in http_proxy is not a valid URL")
