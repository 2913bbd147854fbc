# SPDX-License-Identifier: BSD-3-Clause
"""Amazon's SNS, as far as a subscriber meets it: a host that has its certificate and takes
confirmations, reached by a proxy, and messages that it signed."""

import base64
import json
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

HOST = "sns.us-east-1.amazonaws.com"
TOPIC = "arn:aws:sns:us-east-1:123456789012:inbound"
CERTIFICATE = f"https://{HOST}/SimpleNotificationService-{'0' * 31}a.pem"
MISSING = f"https://{HOST}/SimpleNotificationService-{'0' * 31}b.pem"
EXPIRED = f"https://{HOST}/SimpleNotificationService-{'0' * 31}c.pem"


@cache
def key() -> rsa.RSAPrivateKey:
    """Amazon's key, and that of everything else here."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def certificate(name: str, *, days: int = 1) -> bytes:
    """A certificate of the key for a host, signed by itself, in PEM. ``days``: until it ends."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key().public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=9))
        .not_valid_after(datetime.now(UTC) + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key(), hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


class Amazon:
    """The host, and the proxy by which everything that is asked leads to it. ``asked``: the
    paths that were asked for; ``tunnels``: the hosts that the proxy was to reach; ``answers``: set
    while it answers."""

    def __init__(self, folder: Path) -> None:
        both = folder / "amazon.pem"
        pem = certificate(HOST)
        self.roots = folder / "roots.pem"
        self.roots.write_bytes(pem)
        both.write_bytes(
            pem
            + key().private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        self.asked: list[str] = []
        self.tunnels: list[str] = []
        self.confirmation = 200
        self.answers = threading.Event()
        self.answers.set()
        amazon = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                amazon.asked.append(self.path)
                amazon.answers.wait()
                status, body = amazon._answer(f"https://{HOST}{self.path}")
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", f"https://{HOST}/elsewhere")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(both)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._proxy = socket.create_server(("127.0.0.1", 0))

    @property
    def proxy(self) -> str:
        """The proxy's URL, for HTTPS_PROXY."""
        return f"http://127.0.0.1:{self._proxy.getsockname()[1]}"

    def __enter__(self) -> "Amazon":
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        threading.Thread(target=self._tunnel, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._proxy.close()

    def _answer(self, url: str) -> tuple[int, bytes]:
        if url == CERTIFICATE:
            return 200, certificate("sns.amazonaws.com")
        if url == EXPIRED:
            return 200, certificate("sns.amazonaws.com", days=-1)
        if "Action=ConfirmSubscription" in url:
            return self.confirmation, b"<never read/>"
        return 404, b""

    def _tunnel(self) -> None:
        while True:
            try:
                client, _ = self._proxy.accept()
            except OSError:
                return
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(1 << 16)
            self.tunnels.append(head.split()[1].decode())
            server = socket.create_connection(("127.0.0.1", self._server.server_port))
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=_pass_on, args=(source, target), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with source:
        try:
            while piece := source.recv(1 << 16):
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def message(kind: str, text: str, **fields: Any) -> dict[str, Any]:
    """A message, not signed yet."""
    also = {}
    if kind != "Notification":
        also = {
            "Token": "0123456789abcdef",
            "SubscribeURL": f"https://{HOST}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=1",
        }
    return {
        "Type": kind,
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Message": text,
        "Timestamp": "2026-11-02T00:54:06.655Z",
        "SignatureVersion": "2",
        "SigningCertURL": CERTIFICATE,
        **also,
        **fields,
    }


def signed(values: dict[str, Any]) -> dict[str, Any]:
    """A message with the signature over it (Amazon's guide, "Verifying the signatures")."""
    keys = ["Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn"]
    lines = "".join(f"{name}\n{values[name]}\n" for name in [*keys, "Type"] if name in values)
    hash = {"1": hashes.SHA1(), "2": hashes.SHA256()}[values["SignatureVersion"]]
    signature = key().sign(lines.encode(), padding.PKCS1v15(), hash)
    return {**values, "Signature": base64.b64encode(signature).decode()}


def notification(raw: bytes, *, encoding: str = "BASE64", action: str = "SNS") -> str:
    """What SES says of a mail."""
    content = base64.b64encode(raw).decode() if encoding == "BASE64" else raw.decode()
    told: dict[str, Any] = {
        "notificationType": "Received",
        "mail": {"source": "robin@example.org", "destination": ["recheck@lab.example"]},
        "receipt": {
            "recipients": ["recheck@lab.example"],
            "spfVerdict": {"status": "PASS"},
            "action": {"type": action, "topicArn": TOPIC, "encoding": encoding},
        },
    }
    return json.dumps(told | ({"content": content} if action == "SNS" else {}))


def posted(values: dict[str, Any]) -> tuple[dict[str, str], bytes]:
    """The header and the body that SNS sends."""
    headers = {
        "Content-Type": "text/plain; charset=UTF-8",
        "x-amz-sns-message-type": values["Type"],
        "x-amz-sns-message-id": values["MessageId"],
        "x-amz-sns-topic-arn": values["TopicArn"],
    }
    return headers, json.dumps(values, indent=2).encode()
