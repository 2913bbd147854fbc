# SPDX-License-Identifier: BSD-3-Clause
"""What the head of a request says, and what it does not."""

import base64

import pytest

from ingest.web.head import Head

LOCAL = ("127.0.0.1", 4711)


def head(
    *fields: tuple[bytes, bytes], query: bytes = b"", client: tuple[str, int] | None = LOCAL
) -> Head:
    scope = {"method": "POST", "query_string": query, "headers": fields, "client": client}
    return Head(scope)


def test_a_field_that_is_there_twice_is_none_for_it_is_not_known_which_counts() -> None:
    twice = head((b"api-key", b"one"), (b"api-key", b"two"))
    assert twice.one(b"api-key") is None
    assert twice.all(b"api-key") == [b"one", b"two"]
    assert head().one(b"api-key") is None


def test_parameters_are_read_with_the_empty_ones() -> None:
    assert head(query=b"a=1&b=&a=2&c=%FF").query() == {"a": ["1", "2"], "b": [""], "c": ["\ufffd"]}
    assert head().query() == {}


def test_too_many_parameters_are_refused() -> None:
    assert len(head(query=b"&".join(b"a%d=" % n for n in range(1000))).query()) == 1000
    with pytest.raises(ValueError, match="fields"):
        head(query=b"&".join(b"a%d=" % n for n in range(1001))).query()


@pytest.mark.parametrize(
    ("value", "length"),
    [(b"0", 0), (b"123", 123), (b"", None), (b"-1", None), (b"1_0", None), (b"+1", None)],
)
def test_a_length_is_digits_only(value: bytes, length: int | None) -> None:
    assert head((b"content-length", value)).length == length


def test_the_media_type_stands_without_parameters_in_small_letters() -> None:
    assert head((b"content-type", b" Message/RFC822 ; charset=x")).kind == b"message/rfc822"
    assert head().kind == b""


def basic(text: bytes) -> bytes:
    return b"Basic " + base64.b64encode(text)


@pytest.mark.parametrize(
    ("value", "scheme", "given"),
    [
        (b"Bearer  abc ", "bearer", b"abc"),
        (b"BASIC " + base64.b64encode(b"user:pass:word"), "basic", b"user:pass:word"),
        (basic(b"\xff:\xfe"), "basic", b"\xff:\xfe"),
        (b"Basic not base64", "basic", b""),
        (b"Basic", "basic", b""),
        (b"", "", b""),
    ],
)
def test_credentials_have_a_scheme_and_what_follows(
    value: bytes, scheme: str, given: bytes
) -> None:
    assert head((b"authorization", value)).credentials() == (scheme, given)


def test_credentials_that_come_twice_are_none() -> None:
    both = head((b"authorization", basic(b"a:b")), (b"authorization", basic(b"c:d")))
    assert both.credentials() == ("", b"")


DIRECT = {
    "by loopback": head((b"host", b"127.0.0.1:8025")),
    "by a name of it": head((b"host", b"localhost")),
    "by IPv6": head((b"host", b"[::1]:8025"), client=("::1", 1)),
    "by a Unix socket": head((b"host", b"localhost"), client=None),
}
NOT_DIRECT = {
    "from elsewhere": head((b"host", b"127.0.0.1"), client=("192.0.2.1", 1)),
    "meant for another host": head((b"host", b"lab.example.org")),
    "with two hosts": head((b"host", b"127.0.0.1"), (b"host", b"lab.example.org")),
    "with a host that is none": head((b"host", b"[::1")),
    "by a web server": head((b"host", b"127.0.0.1"), (b"x-forwarded-for", b"192.0.2.1")),
    "by a proxy": head((b"host", b"127.0.0.1"), (b"via", b"1.1 a")),
    "by a page": head((b"host", b"127.0.0.1"), (b"origin", b"https://evil.example.org")),
    "by a page that hides": head((b"host", b"localhost"), (b"sec-fetch-site", b"cross-site")),
}


@pytest.mark.parametrize("direct", DIRECT.values(), ids=DIRECT)
def test_a_program_on_this_machine_is_known(direct: Head) -> None:
    assert direct.is_direct


@pytest.mark.parametrize("passed_on", NOT_DIRECT.values(), ids=NOT_DIRECT)
def test_what_others_could_send_is_not_taken_for_one(passed_on: Head) -> None:
    assert not passed_on.is_direct
