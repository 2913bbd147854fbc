# SPDX-License-Identifier: BSD-3-Clause
"""Keys, signatures and a name server on loopback, for the tests of trust."""

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from unittest.mock import patch

import dkim
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

SIGNED = ("from", "date", "subject", "message-id", "in-reply-to", "references", "list-id")


@cache
def key(bits: int = 1024) -> tuple[bytes, bytes]:
    """A private key in PEM, and the text of the TXT record of its public one."""
    import base64

    made = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    private = made.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    public = made.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private, b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)


def signed(
    raw: bytes,
    domain: str = "example.org",
    *,
    fields: Sequence[str] = SIGNED,
    length: bool = False,
    expired: bool = False,
    bits: int = 1024,
    algorithm: bytes = b"rsa-sha256",
) -> bytes:
    """A mail with a signature of this domain on top. ``length``: with ``l=``;
    ``expired``: it was good until 1970."""
    there = {line.split(b":")[0].lower().decode() for line in raw.split(b"\n\n")[0].split(b"\n")}
    include = [each.encode() for each in fields if each in there]
    by = domain.encode()
    # The library writes no x=; there is room for it behind the identity.
    identity = b"@%b; x=2; r=%b" % (by, by) if expired else None
    with patch("dkim.time.time", return_value=1.0) if expired else nullcontext():
        signature: bytes = dkim.sign(
            raw,
            b"lab",
            by,
            key(bits)[0],
            identity=identity,
            include_headers=include,
            length=length,
            signature_algorithm=algorithm,
        )
    return signature.replace(b"\r\n", b"\n") + raw


def sealed(
    raw: bytes,
    results: str = "dkim=pass header.d=example.org",
    domain: str = "lists.example",
    *,
    fields: Sequence[str] = SIGNED,
) -> bytes:
    """A mail with one more set of ARC fields on top, by a server that has found these results."""
    heads = [line.split(b":")[0].lower().decode() for line in raw.split(b"\n\n")[0].split(b"\n")]
    found = f"Authentication-Results: {domain}; {results}\n".encode()
    private, by = key(1024)[0], domain.encode()
    include = [each.encode() for each in fields if each in heads]
    made = dkim.ARC(found + raw).sign(b"lab", by, private, by, include)
    assert made, "no chain, or one that was broken before"
    return b"".join(made).replace(b"\r\n", b"\n") + raw


Zone = Callable[[str], bytes | None]


def keys(*domains: str, bits: int = 1024) -> Zone:
    """The keys of these domains."""
    names = {f"lab._domainkey.{domain}." for domain in domains}
    return lambda name: key(bits)[1] if name.lower() in names else None


@contextmanager
def name_server(zone: Zone | None) -> Iterator[str]:
    """A name server, as host:port. ``zone``: the TXT record of a name, None for NXDOMAIN; without a
    zone it never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]

        def serve() -> None:
            while True:
                try:
                    data, client = listening.recvfrom(4096)
                except OSError:
                    return
                if not data:
                    return
                if zone is not None:
                    listening.sendto(_answer(data, zone), client)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waking:
                waking.sendto(b"", ("127.0.0.1", port))
            thread.join()


def _answer(data: bytes, zone: Zone) -> bytes:
    question = dns.message.from_wire(data)
    answer = dns.message.make_response(question)
    name = question.question[0].name
    text = zone(name.to_text())
    if text is None:
        answer.set_rcode(dns.rcode.NXDOMAIN)
    else:
        pieces = " ".join(
            f'"{text[at : at + 250].decode()}"'.replace(";", "\\;")
            for at in range(0, len(text), 250)
        )
        pieces = pieces or '""'
        answer.answer.append(dns.rrset.from_text(name, 60, "IN", "TXT", pieces))
    return answer.to_wire(max_size=65535)
