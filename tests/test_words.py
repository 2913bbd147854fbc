# SPDX-License-Identifier: BSD-3-Clause
"""How numbers, times, names and other people's text are written."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import words

# What must never reach a terminal or a log, and how it is written instead.
HARMFUL = {
    "the escape of a terminal's commands": ("\x1b[31m", r"\x1b[31m"),
    "a C1 control, a terminal's command in one byte": ("\x9b31m", r"\x9b31m"),
    "a bell and a delete": ("\x07\x7f", r"\x07\x7f"),
    "line ends, which begin a forged line": ("a\r\nb\tc", r"a\r\nb\tc"),
    "Unicode's line ends": ("a\u2028b\x85", r"a\u2028b\x85"),
    "an override of the direction": ("a\u202eb", r"a\u202eb"),
    "an isolate of the direction": ("a\u2066b", r"a\u2066b"),
    "a blank of no width": ("iol\u200b-a", r"iol\u200b-a"),
    "a byte order mark": ("\ufeffa", r"\ufeffa"),
    "a soft hyphen": ("a\u00adb", r"a\xadb"),
    "a letter that shows nothing": ("a\u3164b\u115f", r"a\u3164b\u115f"),
    "a variation selector": ("a\ufe0f", r"a\ufe0f"),
    "a tag": ("a\U000e0041", r"a\U000e0041"),
    "half a surrogate pair": ("a\udcffb", r"a\udcffb"),
    "a blank that does not break": ("a\u00a0b", r"a\xa0b"),
}


@pytest.mark.parametrize(("text", "written"), HARMFUL.values(), ids=HARMFUL)
def test_what_could_harm_a_terminal_or_a_log_is_written_as_an_escape(
    text: str, written: str
) -> None:
    assert words.harmless(text) == written


@pytest.mark.parametrize("text", ["", "Robin <robin@example.org>", "Grüße, 日本語 → é", "a\\x1b"])
def test_what_shows_stays_as_it_is(text: str) -> None:
    assert words.harmless(text) == text


def test_a_line_end_stays_where_the_output_has_lines() -> None:
    assert words.harmless("a\nb\x1b", keep="\n") == "a\nb\\x1b"


@given(st.text(st.characters(codec=None, categories=None)))
def test_no_text_at_all_leaves_anything_that_does_not_show(text: str) -> None:
    written = words.harmless(text)
    assert written.isprintable()
    assert all(unicodedata.category(each) not in ("Cc", "Cf", "Cs") for each in written)
    written.encode()


@pytest.mark.parametrize(("text", "_"), HARMFUL.values(), ids=HARMFUL)
def test_json_escapes_the_same_characters_and_means_the_same(text: str, _: str) -> None:
    written = words.as_json({"said": [text]})
    assert written.replace("\n", "").isprintable()
    assert json.loads(written) == {"said": [text]}


@given(st.text(st.characters(codec=None, categories=None)))
def test_json_of_any_text_is_harmless_and_means_the_same(text: str) -> None:
    written = words.as_json([text])
    assert written.replace("\n", "").isprintable()
    # Two halves side by side are read as the character that they make.
    pair = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    assert json.loads(written) in ([text], [pair])


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0.0, "1970-01-01T00:00:00Z"),
        (1_700_000_000.0, "2023-11-14T22:13:20Z"),
        (1_700_000_000.25, "2023-11-14T22:13:20.250000Z"),
        (-1e15, "0001-01-01T00:00:00Z"),
        (1e15, "9999-12-31T23:59:59Z"),
    ],
)
def test_a_time_for_a_program_is_iso_8601_with_a_z(at: float, text: str) -> None:
    assert words.instant(words.utc(at)) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (7200, "2 h"),
     (172799, "48 h"), (172800, "2 d")],
)  # fmt: skip
def test_a_length_of_time_is_told_in_one_unit(seconds: float, text: str) -> None:
    assert words.ago(seconds) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0 mails"), (1, "1 mail"), (2, "2 mails")])
def test_so_many_of_something(number: int, text: str) -> None:
    assert words.counted(number, "mail") == text


@pytest.mark.parametrize(("number", "text"), [(1, "once"), (2, "twice"), (3, "3 times")])
def test_how_often(number: int, text: str) -> None:
    assert words.times(number) == text


def test_a_list_of_names_does_not_go_on_for_ever() -> None:
    assert words.listed(["a", "b"]) == "a, b"
    assert words.listed(["a" * 500]) == "a" * 500
    assert words.listed(["a" * 501]) == "a" * 500 + "…"


def test_a_mail_is_called_by_its_message_id_or_its_number() -> None:
    assert words.named("a@example.org", 7) == "<a@example.org>"
    assert words.named("", 7) == "mail-7"


def test_what_a_server_says_is_one_short_line() -> None:
    assert words.printable("503\r\n \x1b[31mdown\u202e") == "503 [31mdown"
    assert words.printable("x" * 500) == "x" * 200


SHORTENED = [
    ("Robin <robin@example.org>", "Robin <r…@example.org>"),
    ("robin@example.org,alice@example.org", "r…@example.org,a…@example.org"),
    ('"robin r"@example.org', "…@example.org"),
    ("a@b@example.org", "a…@b…@example.org"),
    ("not for robin@example.org: see https://x.org/r/1.r@x/", None),
    ("nobody @ home, <>@x", "nobody @ home, <>@x"),
    (f"{'x' * 100_000}@example.org", "x…@example.org"),
    ("no address", "no address"),
]


@pytest.mark.parametrize(("text", "shown"), SHORTENED, ids=lambda text: str(text)[:20])
def test_of_an_address_anybody_sees_the_first_character_and_the_domain(
    text: str, shown: str | None
) -> None:
    expected = shown or "not for r…@example.org: see https://x.org/r/1.r@x/"
    assert words.shortened(text) == expected


@given(st.text('ab@<>" .:/hts\n', max_size=200))
def test_what_is_shortened_stays_so(text: str) -> None:
    once = words.shortened(text)
    assert words.shortened(once) == once
