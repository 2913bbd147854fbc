# SPDX-License-Identifier: BSD-3-Clause
"""The grammar of a Recheck-request line: labs must read one mail alike."""

import re
from collections.abc import Mapping, Sequence
from itertools import product

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ingest.mail.recheck import KEYWORD, Grammar, Hint, Near, Recheck, near_miss, parse
from tests.support.examples import examples

R = "Recheck-request: "
LONG = "x" * 500
SLASH = 'labels have no slash: write "iol-unit" where Patchwork\'s page shows "ci/iol-unit"'

# Every example in the comments of get_reruns.py (000_51de32ff8a4b1afd.txt), as far as it is read.
DOCUMENTED: dict[str, tuple[str, tuple[str, ...], dict[str, str], tuple[str, ...]]] = {
    "valid: a trailing comma": (
        f"{R}iol-unit-testing, iol-something-else, iol-one-more,",
        ("iol-unit-testing", "iol-something-else", "iol-one-more"), {}, (),
    ),
    "valid: with and without blanks": (
        f"{R}iol-unit-testing,iol-something-else, iol-one-more",
        ("iol-unit-testing", "iol-something-else", "iol-one-more"), {}, (),
    ),
    "valid: the list goes on in the next line": (
        f"{R}iol-unit-testing, iol-example, iol-another-example,\nmore-intel-testing",
        ("iol-unit-testing", "iol-example", "iol-another-example", "more-intel-testing"), {}, (),
    ),
    "invalid: two blanks": (
        f"{R}iol-unit-testing,  intel-example-testing",
        ("iol-unit-testing",), {}, ("intel-example-testing",),
    ),
    "invalid: a blank for a comma": (
        f"{R}iol-unit-testing iol-something-else,iol-one-more,",
        ("iol-unit-testing",), {}, ("iol-something-else,iol-one-more",),
    ),
    "invalid: a blank line": (
        f"{R}iol-unit-testing,iol-something-else,iol-one-more,\n\nmore-intel-testing",
        ("iol-unit-testing", "iol-something-else", "iol-one-more"), {}, ("more-intel-testing",),
    ),
}  # fmt: skip

# What the documents leave open: text, contexts, arguments, leftovers.
READ: dict[str, tuple[str, tuple[str, ...], dict[str, str], tuple[str, ...]]] = {
    "one label": (f"{R}a", ("a",), {}, ()),
    "one label and an end of line": (f"{R}a\n", ("a",), {}, ()),
    "one label and more text": (f"{R}a\nThanks!\n", ("a",), {}, ()),
    "one label and one letter": (f"{R}a\nb", ("a",), {}, ()),
    "digits": (f"{R}1, 2-3", ("1", "2-3"), {}, ()),
    "a hyphen before a label": (f"{R}-a, b, --c", ("b",), {}, ("-a", "--c")),
    "a hyphen before an argument": (f"{R}-x=y, b, -", ("b",), {}, ("-x=y", "-")),
    "a hyphen before a value": (f"{R}x=-y, b", ("b",), {}, ("x=-y",)),
    "an underscore alone": (f"{R}_", ("_",), {}, ()),
    "capitals": (f"{R}IOL-Performance", ("IOL-Performance",), {}, ()),
    "letters outside ASCII": (f"{R}prüfung, 試験", ("prüfung", "試験"), {}, ()),
    "digits outside ASCII": (f"{R}a٣", ("a٣",), {}, ()),
    "a combining accent is no word character": (f"{R}e\u0301, b", ("e",), {}, ("\u0301, b",)),
    "a non-breaking hyphen": (f"{R}iol\u2011unit", ("iol",), {}, ("\u2011unit",)),
    "a dash": (f"{R}iol–unit", ("iol",), {}, ("–unit",)),
    "a label given twice": (f"{R}a, b, a", ("a", "b"), {}, ()),
    "labels that differ by case": (f"{R}a, A", ("a", "A"), {}, ()),
    "a label of 255 characters": (f"{R}{LONG[:255]}", (LONG[:255],), {}, ()),
    "a label of 256": (f"{R}a, {LONG[:256]}", ("a",), {}, (LONG[:200],)),
    "a name of 256": (f"{R}a, {LONG[:256]}=b", ("a",), {}, (LONG[:200],)),
    "a value of 256": (f"{R}a, x={LONG[:256]}", ("a",), {}, (f"x={LONG}"[:200],)),
    "comma": (f"{R}a,b", ("a", "b"), {}, ()),
    "comma, blank": (f"{R}a, b", ("a", "b"), {}, ()),
    "comma, newline": (f"{R}a,\nb", ("a", "b"), {}, ()),
    "comma, blank, newline": (f"{R}a, \nb", ("a", "b"), {}, ()),
    "comma, newline, blank": (f"{R}a,\n b", ("a",), {}, ("b",)),
    "comma, newline, tab": (f"{R}a,\n\tb", ("a",), {}, ("b",)),
    "comma, newline, quote mark": (f"{R}a,\n> b", ("a",), {}, ("b",)),
    "comma, two blanks, newline": (f"{R}a,  \nb", ("a",), {}, ("b",)),
    "comma, two newlines": (f"{R}a,\n\nb", ("a",), {}, ("b",)),
    "comma, blank, two newlines": (f"{R}a, \n\nb", ("a",), {}, ("b",)),
    "comma, two newlines, a name": (f"{R}a,\n\nThanks,\nRobin", ("a",), {}, ()),
    "comma, two newlines, prose": (f"{R}a,\n\nThank you", ("a",), {}, ()),
    "further lines that are not reached": (
        f"{R}a,\n b,\n c=d, e\n f", ("a",), {}, ("b", "c=d, e"),
    ),
    "a line behind a rest that ends in a comma": (f"{R}a !,\nb", ("a",), {}, ("!", "b")),
    "comma, CRLF": (f"{R}a,\r\nb", ("a",), {}, ("b",)),
    "comma, tab": (f"{R}a,\tb", ("a",), {}, ("b",)),
    "comma, no-break space": (f"{R}a,\xa0b", ("a",), {}, ("\xa0b",)),
    "comma, line separator": (f"{R}a,\u2028b", ("a",), {}, ("\u2028b",)),
    "blank before a comma": (f"{R}a , b", ("a",), {}, ("b",)),
    "newline before a comma": (f"{R}a\n, b", ("a",), {}, ("b",)),
    "two commas": (f"{R}a,,b", ("a",), {}, ("b",)),
    "comma, blank, comma": (f"{R}a, , b", ("a",), {}, ("b",)),
    "a trailing comma": (f"{R}a,", ("a",), {}, ()),
    "a trailing comma and a blank": (f"{R}a, ", ("a",), {}, ()),
    "a trailing comma and an end of line": (f"{R}a,\n", ("a",), {}, ()),
    "a trailing comma and prose": (f"{R}a,\nThanks, all", ("a", "Thanks", "all"), {}, ()),
    "a trailing comma and prose in words": (
        f"{R}a,\nThank you", ("a", "Thank"), {}, ("you",),
    ),
    "a trailing comma and a signature": (f"{R}a,\n-- \nRobin", ("a",), {}, ("--",)),
    "a list over three lines": (f"{R}a,\nb,\nc", ("a", "b", "c"), {}, ()),
    "trailing blanks": (f"{R}a   ", ("a",), {}, ()),
    "a trailing tab": (f"{R}a\t\nb", ("a",), {}, ()),
    "a trailing CR": (f"{R}a\r\nb", ("a",), {}, ()),
    "a full stop": (f"{R}a.", ("a",), {}, (".",)),
    "a semicolon": (f"{R}a; b", ("a",), {}, ("; b",)),
    "a remark": (f"{R}a (it failed again)", ("a",), {}, ("(it failed again)",)),
    "a slash": (
        f"{R}ci/iol-unit, b", ("ci",), {},
        (f"/iol-unit, b ({SLASH})",),
    ),
    "a slash before no label": (f"{R}a/, b", ("a",), {}, ("/, b",)),
    "a path": (f"{R}a/b/c", ("a",), {}, ("/b/c",)),
    "a colon": (f"{R}iol:unit, b", ("iol",), {}, (":unit, b",)),
    "a plus": (f"{R}a+b", ("a",), {}, ("+b",)),
    "an asterisk": (f"{R}iol-*", ("iol-",), {}, ("*",)),
    "a NUL": (f"{R}a\0b", ("a",), {}, ("\0b",)),
    "one argument": (f"{R}rebase=main", (), {"rebase": "main"}, ()),
    "an argument and labels": (f"{R}rebase=main, a,b", ("a", "b"), {"rebase": "main"}, ()),
    "labels and an argument": (f"{R}a, rebase=main", ("a",), {"rebase": "main"}, ()),
    "an argument in the next line": (f"{R}a,\nrebase=main", ("a",), {"rebase": "main"}, ()),
    "two arguments": (f"{R}x=1, y=2", (), {"x": "1", "y": "2"}, ()),
    "an argument given twice": (f"{R}x=1, x=2", (), {"x": "2"}, ()),
    "a label named as an argument": (f"{R}x, x=y", ("x",), {"x": "y"}, ()),
    "an unknown argument": (f"{R}colour=red", (), {"colour": "red"}, ()),
    "an argument with a hyphen": (f"{R}x-y=z-", (), {"x-y": "z-"}, ()),
    "an argument outside ASCII": (f"{R}zweig=für", (), {"zweig": "für"}, ()),
    "no value": (f"{R}a=", ("a",), {}, ("=",)),
    "no value and a label": (f"{R}a=, b", ("a",), {}, ("=, b",)),
    "a value of two": (f"{R}a=b=c", (), {"a": "b"}, ("=c",)),
    "two equals signs": (f"{R}a==b", ("a",), {}, ("==b",)),
    "a dot in a value": (f"{R}rebase=v24.11", (), {"rebase": "v24"}, (".11",)),
    "a dot in a value and a label": (f"{R}rebase=v24.11, a", (), {"rebase": "v24"}, (".11, a",)),
    "a slash in a value": (f"{R}rebase=next/main", (), {"rebase": "next"}, ("/main",)),
    "blanks around the equals sign": (f"{R}a, rebase = main", ("a", "rebase"), {}, ("= main",)),
    "a quoted value": (f'{R}a, rebase="main"', ("a", "rebase"), {}, ('="main"',)),
    "a value in the next line": (f"{R}rebase=\nmain", ("rebase",), {}, ("=",)),
    "text before": (f"Hello,\n\n{R}a", ("a",), {}, ()),
    "two lines": (f"{R}a\n{R}b", ("a", "b"), {}, ()),
    "two lines apart": (f"{R}a\n\ntext\n\n{R}b, x=1", ("a", "b"), {"x": "1"}, ()),
    "two lines with the same label": (f"{R}a\n{R}a, b", ("a", "b"), {}, ()),
    "two lines with an argument each": (f"{R}x=1\n{R}x=2", (), {"x": "2"}, ()),
    "a line right behind a trailing comma": (f"{R}a,\n{R}b", ("a", "b"), {}, ()),
    "a line right behind a comma and a blank": (f"{R}a, \n{R}b", ("a", "b"), {}, ()),
    "a line behind a list over two lines": (f"{R}a,\nb,\n{R}c", ("a", "b", "c"), {}, ()),
    "nearly a line behind a trailing comma": (
        f"{R}a,\nRecheck-request:b", ("a", "Recheck-request"), {}, (":b", "Recheck-request:b"),
    ),
    "leftovers of two lines": (f"{R}a b\n{R}c d", ("a", "c"), {}, ("b", "d")),
    "the same leftover twice": (f"{R}a !\n{R}b !", ("a", "b"), {}, ("!",)),
    "leftovers of a list's second line": (f"{R}a,\nb c d", ("a", "b"), {}, ("c d",)),
    "a second line without an item": (f"{R}a\n{R}@b", ("a",), {}, ("@b",)),
    "a first line without an item": (f"{R}, a\n{R}b", ("b",), {}, ("a",)),
    "an empty line of ours and a good one": (f"{R}\n{R}b", ("b",), {}, ()),
    "a quoted line and a good one": (f"> {R}a\n{R}b", ("b",), {}, ()),
    "an indented line and a good one": (f" {R}a\n{R}b", ("b",), {}, (f"{R}a",)),
    "a line behind a bullet and a good one": (f"{R}b\n* {R}a", ("b",), {}, (f"* {R}a",)),
    "a line in other case and a good one": (f"{R}b\n{R.lower()}a", ("b",), {}, (f"{R.lower()}a",)),
    "the keyword as a label": (f"{R}Recheck-request", ("Recheck-request",), {}, ()),
    "the keyword twice in a line": (f"{R}{R}a", ("Recheck-request",), {}, (": a",)),
    "a long leftover is cut": (f"{R}a !{LONG}", ("a",), {}, (f"!{LONG}"[:200],)),
}  # fmt: skip

OLD = "-----Original Message-----"
# A mail above another one that it answers and does not quote.
UNQUOTED: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "above it alone": (f"{R}a\n{OLD}\nSent: today", ("a",), ()),
    "above it and below": (f"{R}a\n\n{OLD}\nFrom: b\n\n{R}b, c", ("a",), (f"{R}b, c",)),
    "above it twice and below": (f"{R}a\n{R}b\n{OLD}\n{R}c", ("a", "b"), (f"{R}c",)),
    "below it alone": (f"Hi\n{OLD}\n{R}a\n", ("a",), ()),
    "below it twice": (f"Hi\n{OLD}\n{R}a\n{R}b", ("a",), (f"{R}b",)),
    "between two of them": (f"{OLD}\n{R}a\n{OLD}\n{R}b", ("a",), (f"{R}b",)),
    "nearly one above it": (f"> {R}a\n{OLD}\n{R}b", ("b",), ()),
    "one that asks for nothing above it": (f"{R}.\n{OLD}\n{R}b", ("b",), (".",)),
    "with blanks in it": (f"{R}a\n----- Original Message -----\n{R}b", ("a",), (f"{R}b",)),
    "with a blank behind it": (f"{R}a\n{OLD} \n{R}b", ("a",), (f"{R}b",)),
    "within a line": (f"{R}a\nx {OLD}\n{R}b", ("a", "b"), ()),
    "quoted": (f"{R}a\n> {OLD}\n{R}b", ("a", "b"), ()),
}

# No request, and what a person is told of it: text, why, the line.
NOT_READ: dict[str, tuple[str, Near | None, str]] = {
    "nothing": ("", None, ""),
    "prose": ("Looks good to me.", None, ""),
    "prose about it": ("Please send a Recheck-request: a", None, ""),
    "prose that begins like it": ("Recheck request sent, thanks", None, ""),
    "prose that begins with the keyword": ("Recheck-request lines were lost.", None, ""),
    "the keyword alone": ("Recheck-request:", Near.EMPTY, "Recheck-request:"),
    "the keyword and a blank": (R, Near.EMPTY, "Recheck-request:"),
    "the keyword, a blank and a newline": (f"{R}\na", Near.EMPTY, "Recheck-request:"),
    "no colon": ("Recheck-request a, b", Near.COLON, "Recheck-request a, b"),
    "no colon and no label": ("Recheck-request", Near.COLON, "Recheck-request"),
    "an equals sign": ("Recheck-request=a", Near.COLON, "Recheck-request=a"),
    "a wide colon": ("Recheck-request\uff1a a", Near.COLON, "Recheck-request\uff1a a"),
    "a blank before the colon": ("Recheck-request : a", Near.COLON, "Recheck-request : a"),
    "no blank": ("Recheck-request:a", Near.BLANK, "Recheck-request:a"),
    "two blanks": ("Recheck-request:  a", Near.BLANK, "Recheck-request:  a"),
    "a tab": ("Recheck-request:\ta", Near.BLANK, "Recheck-request:\ta"),
    "a non-breaking blank": ("Recheck-request:\xa0a", Near.BLANK, "Recheck-request:\xa0a"),
    "a non-breaking blank behind a blank": (f"{R}\xa0a", Near.BLANK, f"{R}\xa0a"),
    "a newline for the blank": ("Recheck-request:\na", Near.EMPTY, "Recheck-request:"),
    "quoted": (f"> {R}a", Near.QUOTED, f"> {R}a"),
    "quoted without a blank": (f">{R}a", Near.QUOTED, f">{R}a"),
    "quoted twice": (f"> > {R}a", Near.QUOTED, f"> > {R}a"),
    "quoted with a bar": (f"| {R}a", Near.QUOTED, f"| {R}a"),
    "indented by a blank": (f" {R}a", Near.INDENTED, f"{R}a"),
    "indented by a tab": (f"x\n\t{R}a", Near.INDENTED, f"{R}a"),
    "indented by a non-breaking blank": (f"\xa0{R}a", Near.INDENTED, f"\xa0{R}a"),
    "behind a star": (f"* {R}a", Near.BULLETED, f"* {R}a"),
    "behind a hyphen": (f"  - {R}a", Near.BULLETED, f"- {R}a"),
    "behind a dot": (f"\u2022 {R}a", Near.BULLETED, f"\u2022 {R}a"),
    "behind a number": (f"12. {R}a", Near.BULLETED, f"12. {R}a"),
    "behind a letter": (f"a) {R}a", Near.BULLETED, f"a) {R}a"),
    "bold": (f"*{R}a*", Near.MARKED, f"*{R}a*"),
    "bold, the keyword alone": ("**Recheck-request:** a", Near.MARKED, "**Recheck-request:** a"),
    "bold before the colon": ("**Recheck-request**: a", Near.MARKED, "**Recheck-request**: a"),
    "bold by underscores": (f"__{R}a__", Near.MARKED, f"__{R}a__"),
    "in backticks": (f"`{R}a`", Near.MARKED, f"`{R}a`"),
    "in quotation marks": (f'"{R}a"', Near.MARKED, f'"{R}a"'),
    "small letters": ("recheck-request: a", Near.CAPITALS, "recheck-request: a"),
    "capitals": ("RECHECK-REQUEST: a", Near.CAPITALS, "RECHECK-REQUEST: a"),
    "other capitals": ("Recheck-Request: a", Near.CAPITALS, "Recheck-Request: a"),
    "a blank for the hyphen": ("Recheck request: a", Near.SPELLED, "Recheck request: a"),
    "an underscore for the hyphen": ("Recheck_request: a", Near.SPELLED, "Recheck_request: a"),
    "a dash for the hyphen": ("Recheck\u2013request: a", Near.SPELLED, "Recheck\u2013request: a"),
    "no hyphen": ("Recheckrequest: a", Near.SPELLED, "Recheckrequest: a"),
    "a plural": ("Recheck-requests: a", Near.SPELLED, "Recheck-requests: a"),
    "Re-check": ("Re-check-request: a", Near.SPELLED, "Re-check-request: a"),
    "within a line": (f"x {R}a", None, ""),
    "behind a carriage return": (f"x\r{R}a", None, ""),
    "behind a line separator": (f"x\u2028{R}a", None, ""),
    "behind a byte order mark": (f"\ufeff{R}a", Near.INVISIBLE, f"{R}a"),
    "behind a zero-width blank": (f"x\n\u200b{R}a", Near.INVISIBLE, f"{R}a"),
    "a zero-width joiner within": ("Recheck\u200d-request: a", Near.INVISIBLE, f"{R}a"),
    "a soft hyphen within": ("Recheck-re\xadquest: a", Near.INVISIBLE, f"{R}a"),
    "a zero-width blank behind the colon": ("Recheck-request:\u200b a", Near.INVISIBLE, f"{R}a"),
    "a NUL in the keyword": ("Recheck\0-request: a", Near.INVISIBLE, f"{R}a"),
    "invisible, and quoted": (f"> \u200b{R}a", Near.QUOTED, f"> {R}a"),
    "a comma first": (f"{R},a", Near.EMPTY, f"{R},a"),
    "an equals sign first": (f"{R}=a", Near.EMPTY, f"{R}=a"),
    "a bracket first": (f"{R}<a>", Near.EMPTY, f"{R}<a>"),
    "an asterisk first": (f"{R}*", Near.EMPTY, f"{R}*"),
    "a hyphen alone": (f"{R}-", Near.UNUSABLE, f"{R}-"),
    "hyphens before all labels": (f"{R}-a, --b", Near.UNUSABLE, f"{R}-a, --b"),
    "a hyphen before the value": (f"{R}x=-y", Near.UNUSABLE, f"{R}x=-y"),
    "a label that is too long": (f"{R}{LONG}", Near.UNUSABLE, f"{R}{LONG}"[:200]),
    "of several near misses the first": (f"> {R}a\n {R}b", Near.QUOTED, f"> {R}a"),
    "a near miss is cut": (f"> {R}{LONG}", Near.QUOTED, f"> {R}{LONG}"[:200]),
}


@pytest.mark.parametrize(
    ("text", "contexts", "arguments", "leftovers"),
    [*DOCUMENTED.values(), *READ.values()],
    ids=[*DOCUMENTED, *READ],
)
def test_a_request_is_read(
    text: str, contexts: tuple[str, ...], arguments: dict[str, str], leftovers: tuple[str, ...]
) -> None:
    assert parse(text) == Recheck(contexts, arguments, leftovers)


@pytest.mark.parametrize(("text", "contexts", "leftovers"), UNQUOTED.values(), ids=UNQUOTED)
def test_an_older_mail_below_that_is_not_quoted_asks_for_nothing_new(
    text: str, contexts: tuple[str, ...], leftovers: tuple[str, ...]
) -> None:
    assert parse(text) == Recheck(contexts, {}, leftovers)


@pytest.mark.parametrize(("text", "kind", "line"), NOT_READ.values(), ids=NOT_READ)
def test_no_request_is_seen_and_a_near_miss_gets_a_hint(
    text: str, kind: Near | None, line: str
) -> None:
    assert parse(text) is None
    assert near_miss(text) == (Hint(kind, line) if kind else None)


def test_a_hint_is_a_sentence_in_the_end() -> None:
    assert str(Hint(Near.BLANK, "Recheck-request:\xa0a")) == (
        r"this line is close, but not a request: 'Recheck-request:\xa0a'"
        " (not exactly one blank stands behind the colon)"
    )


# How pw-ci reads a line: any number of blanks, and blanks for commas.
PW_CI: dict[str, tuple[str, tuple[str, ...], dict[str, str], tuple[str, ...]]] = {
    "one blank": (f"{R}a", ("a",), {}, ()),
    "no blank": ("Recheck-request:a", ("a",), {}, ()),
    "blanks": ("Recheck-request: \t  a", ("a",), {}, ()),
    "labels between blanks": (f"{R}a b  c\td", ("a", "b", "c", "d"), {}, ()),
    "labels between commas": (f"{R}a,b , c ,d", ("a", "b", "c", "d"), {}, ()),
    "an argument": (f"{R}a rebase=main b", ("a", "b"), {"rebase": "main"}, ()),
    "the list goes on in the next line": (f"{R}a, b,\nc", ("a", "b", "c"), {}, ()),
    "the next line is a request": (f"{R}a,\nRecheck-request:b", ("a", "b"), {}, ()),
    "the next line is not its own": (f"{R}a b\nThanks", ("a", "b"), {}, ()),
    "a rest": (f"{R}a; b", ("a",), {}, ("; b",)),
    "an indented next line": (f"{R}a,\n b", ("a",), {}, ("b",)),
}


@pytest.mark.parametrize(("text", "contexts", "arguments", "leftovers"), PW_CI.values(), ids=PW_CI)
def test_a_request_is_read_as_pw_ci_reads_it(
    text: str, contexts: tuple[str, ...], arguments: dict[str, str], leftovers: tuple[str, ...]
) -> None:
    assert parse(text, Grammar.PW_CI) == Recheck(contexts, arguments, leftovers)
    assert near_miss(text, Grammar.PW_CI) is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Recheck-request:\na", Near.EMPTY),
        ("Recheck-request:\xa0a", Near.BLANK),
        (f"> {R}a", Near.QUOTED),
        ("recheck-request: a", Near.CAPITALS),
    ],
)
def test_a_near_miss_for_pw_ci_gets_a_hint(text: str, kind: Near) -> None:
    assert parse(text, Grammar.PW_CI) is None
    assert near_miss(text, Grammar.PW_CI) == Hint(kind, text.partition("\n")[0])


def numbered(name: str, count: int) -> list[str]:
    return [f"{name}{number}" for number in range(count)]


def test_a_mail_asks_for_two_hundred_labels_and_fifty_arguments_at_most() -> None:
    labels = numbered("a", 210)
    arguments = [f"{name}=1" for name in numbered("x", 60)]
    found = parse(R + ", ".join([*labels, *arguments, "a0", "x0=2"]))
    assert found
    assert found.contexts == tuple(labels[:200])
    assert found.arguments == dict.fromkeys(numbered("x", 50), "1") | {"x0": "2"}
    assert found.leftovers == (*labels[200:], *arguments[50:])


def test_of_leftovers_a_hundred_are_kept_and_the_rest_is_counted() -> None:
    found = parse("".join(f"{R}a !{number}\n" for number in range(250)))
    assert found
    assert found.leftovers == (*numbered("!", 100), "and 150 more")


# get_reruns.py's regular expressions: the current one as DESIGN.md describes its items, and the
# older one that the documents hold.
CURRENT = r"^Recheck-request: ((?:[\w-]+(?:=[\w-]+)?(?:, ?\n?)?)+)"
OLDER = "^Recheck-request: ((?:[a-zA-Z0-9-_]+(?:, ?\n?)?)+)"


def get_reruns(expression: str, text: str) -> tuple[set[str], Mapping[str, str]] | None:
    """What get_reruns.py takes from a comment: it reads the first match only."""
    found: list[str] = re.findall(expression, text, re.MULTILINE)
    if not found:
        return None
    # Items that programs would take for options are the one difference.
    items = [item.strip() for item in found[0].split(",")]
    items = [item for item in items if not item.startswith("-") and "=-" not in item]
    arguments = dict(item.split("=") for item in items if "=" in item)
    contexts = {item for item in items if item and "=" not in item}
    return (contexts, arguments) if contexts or arguments else None


def ours(text: str) -> tuple[set[str], Mapping[str, str]] | None:
    found = parse(text)
    return (set(found.contexts), found.arguments) if found else None


LINE = ("a", "iol-b", "ü", ",", ", ", ",  ", "=", "x=y", " ", "\t", ".", "Recheck")
LINES = (*LINE, "\n", ",\n", ", \n", "\n\n", "> ")
ASCII = tuple(piece for piece in LINES if piece.isascii() and "=" not in piece)


@pytest.mark.slow
@pytest.mark.parametrize("pieces", range(5))
def test_every_line_of_up_to_four_pieces_is_read_as_get_reruns_reads_it(pieces: int) -> None:
    for line in map("".join, product(LINES, repeat=pieces)):
        text = KEYWORD + line
        assert ours(text) == get_reruns(CURRENT, text), text


def joined(pieces: Sequence[str]) -> st.SearchStrategy[str]:
    """Texts of these pieces in any order."""
    return st.lists(st.sampled_from(pieces), max_size=12).map("".join)


on_one_line = joined(LINE) | st.text(st.characters(exclude_characters="\n"))
on_lines = joined(LINES) | st.text()
plain_ascii = joined(ASCII) | st.text(st.characters(codec="ascii", exclude_characters="="))


@settings(max_examples=2000)
@given(on_one_line)
@pytest.mark.slow
def test_one_line_is_read_as_get_reruns_reads_it(line: str) -> None:
    text = KEYWORD + line
    assume(KEYWORD not in line)
    assert ours(text) == get_reruns(CURRENT, text)


@settings(max_examples=500)
@given(on_lines, on_lines)
@pytest.mark.slow
def test_one_request_in_any_text_is_read_as_get_reruns_reads_it(before: str, after: str) -> None:
    text = f"{before}\n{KEYWORD}{after}"
    assume(text.count(KEYWORD) == 1)
    assert ours(text) == get_reruns(CURRENT, text)


@settings(max_examples=500)
@given(plain_ascii, plain_ascii)
@pytest.mark.slow
def test_a_request_without_arguments_is_read_as_the_older_get_reruns_reads_it(
    before: str, after: str
) -> None:
    text = f"{before}\n{KEYWORD}{after}"
    assume(text.count(KEYWORD) == 1)
    assert ours(text) == get_reruns(OLDER, text)


@examples(300)
@given(on_lines)
def test_any_text_without_the_keyword_is_no_request(text: str) -> None:
    assume(KEYWORD not in text)
    assert parse(text) is None


@examples(300)
@given(st.lists(on_lines, min_size=1, max_size=4))
def test_several_requests_are_read_each_as_if_it_were_alone(bodies: list[str]) -> None:
    alone = [found for body in bodies if (found := parse(KEYWORD + body))]
    together = parse("\n".join(KEYWORD + body for body in bodies))
    assert (together is None) == (not alone)
    if together:
        assert set(together.contexts) == {each for found in alone for each in found.contexts}
        assert together.arguments == {k: v for found in alone for k, v in found.arguments.items()}


@examples(300)
@given(on_one_line)
@pytest.mark.slow
def test_what_is_not_read_is_left_over_to_the_letter(line: str) -> None:
    found = parse(KEYWORD + line)
    assume(found)
    assert found
    assume("/" not in line)
    read = re.findall(CURRENT, KEYWORD + line, re.MULTILINE)[0]
    options = [
        each for item in read.split(",") if (each := item.strip())[:1] == "-" or "=-" in each
    ]
    rest = line[len(read) :].strip(", \t\r")
    assert found.leftovers == tuple(dict.fromkeys([*options, *([rest[:200]] if rest else [])]))
