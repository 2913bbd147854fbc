# SPDX-License-Identifier: BSD-3-Clause
"""Addresses of machines as people write them: parsing them, and asking what they are."""

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from ingest.errors import ConfigError
from ingest.value import Value

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Address(Value):
    """A place to listen on: a host and a port, or the path of a Unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""


def parse(text: str) -> Address:
    """An address from ``host:port``, ``[host]:port``, ``*:port`` or ``unix:PATH``. Raises
    ``ConfigError``."""
    kind, _, path = text.partition(":")
    if kind == "unix":
        if not path.startswith("/"):
            raise ConfigError(f"{text!r} is not an address: unix: is followed by an absolute path")
        return Address(path=path)
    host, separator, port = text.rpartition(":")
    if not separator or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ConfigError(
            f"{text!r} is not an address to listen on: write host:port, [host]:port, *:port or "
            "unix:PATH"
        )
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if ":" in bare and bare is host:
        raise ConfigError(f"{text!r} is not an address: write an IPv6 host as [{host}]:{port}")
    return Address(host="" if bare == "*" else bare, port=int(port))


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks out of CIDR notation or single addresses. Raises ``ValueError`` for other text."""
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def within(host: str, among: Iterable[Network]) -> bool:
    """Whether a host's address is in one of the networks."""
    address = _ip(host)
    return address is not None and any(address in network for network in among)


def is_host(text: str) -> bool:
    """Whether this is the address of a host."""
    return _ip(text) is not None


def is_loopback(host: str) -> bool:
    """Whether only this machine can come from, or reach, this host."""
    address = _ip(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


def is_public(address: Address) -> bool:
    """Whether others can reach an address, as far as the address itself says."""
    return (
        not address.path
        and (address.host == "" or _ip(address.host) is not None)
        and (not is_loopback(address.host))
    )


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def server(text: str, default_port: int) -> tuple[str, int]:
    """A server's host and port out of ``host``, ``host:port`` or ``[host]:port``. Raises
    ``ConfigError``."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or port == 0 or parts.netloc != text or "@" in text:
        raise ConfigError(f"{text!r} is not a mail server: write host:port")
    return host, default_port if port is None else port


def name_server(text: str, default_port: int = 53) -> tuple[str, int]:
    """A name server's address and port out of ``address``, ``address:port`` or ``[address]:port``:
    nobody could look up its name. Raises ``ConfigError``."""
    if is_host(text):
        return text, default_port
    host, port = server(text, default_port)
    if not is_host(host):
        raise ConfigError(f"{text!r} is not a name server: write its address, or address:port")
    return host, port
