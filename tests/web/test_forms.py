# SPDX-License-Identifier: BSD-3-Clause
"""Forms and JSON: what they hold is what was put into them, byte for byte, or an error."""

from collections.abc import Callable
from contextlib import closing
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.web import forms
from ingest.web.bodies import Body
from ingest.web.forms import Malformed
from tests.support import posted
from tests.support.examples import examples

NAMES = st.text("abc[]-", min_size=1)
FIELDS = st.dictionaries(NAMES, st.binary(max_size=300))
Encode = Callable[[list[tuple[str, bytes]]], tuple[dict[str, str], bytes]]


def read(headers: dict[str, str], body: bytes) -> forms.Form:
    with closing(Body()) as made:
        made.add(body)
        return forms.form(headers["Content-Type"].encode(), made)


@pytest.mark.parametrize("encode", [posted.urlencoded, posted.multipart])
@given(fields=FIELDS)
def test_every_field_comes_back_byte_for_byte(encode: Encode, fields: dict[str, bytes]) -> None:
    form = read(*encode(list(fields.items())))
    assert form.items() == sorted((name.encode(), value) for name, value in fields.items())


@examples(20)
@given(value=st.binary(min_size=1, max_size=20), length=st.integers(60_000, 70_000))
def test_a_long_value_is_unquoted_as_a_short_one(value: bytes, length: int) -> None:
    whole = (value * (2 * length // len(value)))[:length]
    headers, body = posted.urlencoded([("a", whole)])
    assert read(headers, body).one("a") == whole


@given(pairs=st.lists(st.tuples(st.text(max_size=5), st.text(max_size=9)), max_size=9))
def test_what_urllib_writes_is_read(pairs: list[tuple[str, str]]) -> None:
    form = forms.urlencoded(urlencode(pairs).encode())
    for name in {name for name, _ in pairs if name}:
        values = [value for each, value in pairs if each == name]
        if len(values) == 1:
            assert form.text(name) == values[0]
        else:
            with pytest.raises(Malformed):
                form.get(name)


@given(body=st.binary(max_size=500))
def test_any_bytes_are_a_form_or_an_error(body: bytes) -> None:
    for kind in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=a"):
        try:
            read({"Content-Type": kind}, body).items()
        except Malformed:
            continue


MULTIPART = posted.multipart([("a", b"1"), ("b", b"2")])[1]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", MULTIPART),
        ("multipart/form-data; boundary=", MULTIPART),
        (f"multipart/form-data; boundary={'x' * 5000}", MULTIPART),
        ("multipart/form-data; boundary=other", MULTIPART),
        ("multipart/form-data; boundary=xYzZY", MULTIPART[:-8]),
        ("multipart/form-data; boundary=xYzZY", MULTIPART.replace(b'; name="a"', b"")),
        ("multipart/form-data; boundary=xYzZY", posted.multipart([("a", b"")] * 2000)[1]),
        ("application/x-www-form-urlencoded", b"a=1&" * 2000),
    ],
)
def test_a_form_that_is_cut_off_or_out_of_bounds_is_an_error(
    kind: str, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Which is told by whoever asked for the form, and not for every stranger's anew."""
    with pytest.raises(Malformed):
        read({"Content-Type": kind}, body)
    assert not caplog.records


def test_a_part_with_a_file_name_is_a_field_like_others() -> None:
    body = MULTIPART.replace(b'name="a"', b'name="a"; filename="message.eml"')
    assert read({"Content-Type": "multipart/form-data; boundary=xYzZY"}, body).one("a") == b"1"


@pytest.mark.parametrize(
    "text", ["", "{", "[1", '{"a": ' + "[" * 100_000, "9" * 10_000, "\ud800", "nul"]
)
def test_what_is_not_json_is_an_error(text: str) -> None:
    with pytest.raises(Malformed):
        forms.Object(forms.read_json(text))


def test_a_value_that_stands_there_twice_is_an_error_wherever_it_is() -> None:
    document = forms.Object(forms.read_json('{"b": {"a": 1, "a": 2}, "c": "once"}'))
    assert document.text("c") == "once"
    with pytest.raises(Malformed):
        document.object("b").get("a")


@given(text=st.text())
def test_a_mail_that_came_as_text_is_utf_8(text: str) -> None:
    assert forms.raw(text).decode() == text
    assert forms.raw("\ud800") == b"?"
