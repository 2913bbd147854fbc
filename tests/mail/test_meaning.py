# SPDX-License-Identifier: BSD-3-Clause
"""What is meant by what nearly is a request; and a reply that asks for it and can be read."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.mail import meaning, message, recheck, reply
from ingest.mail.meaning import Meaning
from ingest.mail.recheck import Grammar
from tests.support.mails import letter

NAMES = st.from_regex(r"[A-Za-z0-9]([\w-]{0,20}[A-Za-z0-9])?", fullmatch=True)
MEANT = st.builds(
    Meaning,
    st.lists(NAMES, min_size=1, max_size=30, unique=True).map(tuple),
    st.dictionaries(NAMES, NAMES, max_size=5),
)

# How a request is written so that it is not one; {} stands for its labels and arguments.
DISGUISES = {
    "quoted": "> Recheck-request: {}",
    "quoted twice": "> > Recheck-request: {}",
    "bulleted": "- Recheck-request: {}",
    "numbered": "1. Recheck-request: {}",
    "bold": "**Recheck-request:** {}",
    "bold as a whole": "**Recheck-request: {}**",
    "underlined": "_Recheck-request: {}_",
    "code": "`Recheck-request: {}`",
    "indented": "    Recheck-request: {}",
    "an invisible character": "\u200bRecheck-request: {}",
    "with a blank": "Recheck request: {}",
    "plural": "Recheck-requests: {}",
    "another hyphen": "Recheck\u2011request: {}",
    "small": "recheck-request: {}",
    "capitals": "RECHECK-REQUEST: {}",
    "a blank before the colon": "Recheck-request : {}",
    "no colon": "Recheck-request {}",
    "no blank": "Recheck-request:{}",
    "a blank that does not break": "Recheck-request:\xa0{}",
    "two blanks": "Recheck-request:  {}",
    "an equals sign": "Recheck-request = {}",
}


def listed(meant: Meaning, separator: str = ", ") -> str:
    return separator.join([*meant.contexts, *(f"{k}={v}" for k, v in meant.arguments.items())])


def is_same(found: recheck.Recheck | Meaning | None, meant: Meaning) -> bool:
    return (
        found is not None
        and found.contexts == meant.contexts
        and dict(found.arguments) == dict(meant.arguments)
    )


@pytest.mark.parametrize("disguise", DISGUISES.values(), ids=DISGUISES)
@settings(max_examples=15)
@given(MEANT)
def test_a_line_that_nearly_is_a_request_means_that_request(disguise: str, meant: Meaning) -> None:
    text = f"Hello,\n\n{disguise.format(listed(meant))}\n\nThanks, Robin\n"
    assert recheck.parse(text) is None
    assert is_same(meaning.of_text(text), meant)


@pytest.mark.slow
@given(MEANT, st.sampled_from(Grammar))
def test_a_ready_reply_is_read_as_what_is_meant(meant: Meaning, grammar: Grammar) -> None:
    text = reply.text(meant.contexts, meant.arguments)
    assert is_same(recheck.parse(text, grammar), meant)
    mail = message.parse(letter("a@b.org", "Re: x", text, in_reply_to="p@b.org"))
    assert is_same(recheck.parse(mail.text, grammar), meant)
    assert max(map(len, text.split("\n"))) <= max(72, 72 + 23)


@pytest.mark.slow
@given(st.lists(st.from_regex(r"(?!-)[\w-]{1,255}", fullmatch=True), min_size=1, unique=True))
def test_a_ready_reply_names_any_label_that_there_can_be(labels: list[str]) -> None:
    found = recheck.parse(reply.text(labels[:200], {}))
    assert found
    assert found.contexts == tuple(labels[:200])


LINES: dict[str, tuple[str, tuple[str, ...]]] = {
    "it goes on below": ("> Recheck-request: a,\n> b,\n> c\n> d", ("a", "b", "c")),
    "blanks between labels": ("Recheck-request:  iol-a iol_b c3", ("iol-a", "iol_b", "c3")),
    "semicolons": ("Recheck-request:  a; b", ("a", "b")),
    "prose": ("Recheck request: please run it again", ()),
    "prose behind a label": ("Recheck-request:  iol-a, iol-b please", ("iol-a", "iol-b")),
    "options": ("Recheck-request:  -rf, b", ()),
    "nothing": ("Recheck-request:", ()),
    "two lines": ("- Recheck-request: a\n- Recheck-request: b", ("a", "b")),
}


@pytest.mark.parametrize(("text", "labels"), LINES.values(), ids=LINES)
def test_what_a_line_means(text: str, labels: tuple[str, ...]) -> None:
    assert meaning.of_text(text).contexts == labels


LEFTOVERS: dict[str, tuple[list[str], Meaning]] = {
    "not reached": (["b, c=d", "e"], Meaning(("b", "e"), {"c": "d"})),
    "suggested": (["iol-x (did you mean iol-y?)"], Meaning(("iol-y",), {})),
    "with a slash": (
        ['/b (labels have no slash: write "b" where Patchwork\'s page shows "a/b")'],
        Meaning(("b",), {}),
    ),
    "a line that nearly is one": (["recheck-request: b"], Meaning(("b",), {})),
    "prose": (["please run it", "and 3 more", ".11"], Meaning((), {})),
}


@pytest.mark.parametrize(("leftovers", "meant"), LEFTOVERS.values(), ids=LEFTOVERS)
def test_what_leftovers_mean(leftovers: list[str], meant: Meaning) -> None:
    assert is_same(meaning.of_leftovers(leftovers), meant)


@given(st.text(max_size=3000))
def test_no_text_is_too_strange(text: str) -> None:
    for found in (
        meaning.of_text(f"recheck-request: {text}"),
        meaning.of_leftovers([text, f"recheck-request: {text}"]),
    ):
        made = reply.text(found.contexts, found.arguments)
        assert (not found.contexts and not found.arguments) or is_same(recheck.parse(made), found)


def test_what_is_hostile_takes_no_time() -> None:
    for line in (
        "recheck-request:",
        "> Recheck-request: a, b,\n",
        "recheck-request: " + "a," * 900,
    ):
        found = meaning.of_text(line * 20_000)
        assert len(found.contexts) <= 200
