# SPDX-License-Identifier: BSD-3-Clause
"""Addresses as people write them, and what they are."""

import pytest

from ingest.addresses import (
    Address,
    is_loopback,
    is_public,
    name_server,
    networks,
    parse,
    server,
    within,
)
from ingest.errors import ConfigError

WRITTEN = {
    "127.0.0.1:25": Address("127.0.0.1", 25),
    "mail.example.org:65535": Address("mail.example.org", 65535),
    "[::1]:2525": Address("::1", 2525),
    "*:0": Address("", 0),
    "unix:/run/lmtp.sock": Address(path="/run/lmtp.sock"),
}
NO_ADDRESSES = [
    "", "25", "host", "host:", ":25", "host:65536", "host:-1", "host:٢٥", "host:2 5",
    "::1:25", "unix:", "unix:run/lmtp.sock",
]  # fmt: skip


@pytest.mark.parametrize(("text", "address"), WRITTEN.items())
def test_an_address_to_listen_on_is_read(text: str, address: Address) -> None:
    assert parse(text) == address


@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_what_is_not_an_address_is_refused_and_quoted(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(text)
    assert repr(text) in str(refused.value)


def test_an_ipv6_host_without_brackets_is_shown_with_them() -> None:
    with pytest.raises(ConfigError, match=r"\[fe80::1\]:25"):
        parse("fe80::1:25")


SERVERS = {
    "mail.example.org": ("mail.example.org", 587),
    "mail.example.org:25": ("mail.example.org", 25),
    "[::1]": ("::1", 587),
    "[::1]:25": ("::1", 25),
}


@pytest.mark.parametrize(("text", "found"), SERVERS.items())
def test_a_server_has_the_default_port_unless_it_names_one(
    text: str, found: tuple[str, int]
) -> None:
    assert server(text, 587) == found


@pytest.mark.parametrize("text", ["", ":25", "a:0", "a:65536", "a:b", "a/b", "me@a:25", "[::1"])
def test_what_is_not_a_server_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        server(text, 587)


HERE = {
    "127.0.0.1": True,
    "127.9.9.9": True,
    "::1": True,
    "::ffff:127.0.0.1": True,
    "localhost": True,
    "LOCALHOST": True,
    "0.0.0.0": False,
    "::": False,
    "192.0.2.1": False,
    "::ffff:192.0.2.1": False,
    "localhost.example.org": False,
    "": False,
}


@pytest.mark.parametrize(("host", "is_here"), HERE.items())
def test_only_loopback_is_loopback(host: str, is_here: bool) -> None:
    assert is_loopback(host) is is_here


PUBLIC = {
    "*:25": True,
    "0.0.0.0:25": True,
    "192.0.2.1:25": True,
    "[2001:db8::1]:25": True,
    "127.0.0.1:25": False,
    "[::1]:25": False,
    "localhost:25": False,
    "unix:/run/s": False,
    "mail.example.org:25": False,  # only asking for its name would tell
}


@pytest.mark.parametrize(("text", "is_open"), PUBLIC.items())
def test_an_address_is_public_if_others_surely_reach_it(text: str, is_open: bool) -> None:
    assert is_public(parse(text)) is is_open


OFFICE = ("192.0.2.0/24", "2001:db8::/32", "198.51.100.7", "203.0.113.9/24")


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        ("192.0.2.200", True),
        ("::ffff:192.0.2.200", True),
        ("2001:db8:1::1", True),
        ("198.51.100.7", True),
        ("198.51.100.8", False),
        ("203.0.113.200", True),  # the bits behind the network do not count
        ("192.0.3.1", False),
        ("mail.example.org", False),
        ("", False),
    ],
)
def test_a_host_is_within_a_network(host: str, inside: bool) -> None:
    assert within(host, networks(OFFICE)) is inside


@pytest.mark.parametrize("text", ["", "192.0.2.0/33", "192.0.2", "office"])
def test_what_is_not_a_network_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        networks([text])


NAME_SERVERS = {
    "192.0.2.53": ("192.0.2.53", 53),
    "192.0.2.53:5353": ("192.0.2.53", 5353),
    "2001:db8::53": ("2001:db8::53", 53),
    "[2001:db8::53]:5353": ("2001:db8::53", 5353),
}


@pytest.mark.parametrize(("text", "place"), NAME_SERVERS.items())
def test_a_name_server_is_named_by_its_address(text: str, place: tuple[str, int]) -> None:
    assert name_server(text) == place


@pytest.mark.parametrize("text", ["ns.example.org", "localhost:53", "", "192.0.2.53:0"])
def test_a_name_server_cannot_be_looked_up_itself(text: str) -> None:
    with pytest.raises(ConfigError):
        name_server(text)
