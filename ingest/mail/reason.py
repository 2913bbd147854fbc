# SPDX-License-Identifier: BSD-3-Clause
"""Why somebody asks: what a line ``Recheck-reason: …`` says, or the sentence behind the
Recheck-request line. Pure."""

import re

from ingest.mail import recheck
from ingest.mail.recheck import Grammar
from ingest.words import on_one_line

# Characters of a reason that are kept.
LONGEST = 200

_SAID = re.compile(r"^Recheck-reason:[ \t]*([^\n]*\S)", re.MULTILINE | re.IGNORECASE)
_SENTENCE_ENDS = re.compile(r"(?<=[.!?])\s")
# What is quoted, a tag such as Tested-by:, and what stands above a quoted text.
_NOT_SAID = re.compile(
    r"[>|]|[A-Za-z]+(?:-[A-Za-z]+)+:|-+ ?Original Message|(?:From|Sent): "
    r"|On\b.{0,200}\bwrote:?\s*$",
    re.IGNORECASE,
)
# What letters end with.
_CLOSING = re.compile(
    r"(?:many )?(?:thanks|thank you|thx|cheers|(?:best|kind|warm) (?:regards|wishes)|regards|best"
    r"|br)\b[^a-z]*(?:[A-Za-z-]+\W*){0,3}$",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]{2,}")


def of(text: str, grammar: Grammar = Grammar.GET_RERUNS) -> str:
    """The reason that a comment's text gives for its request, on one line and 200 characters at
    most; "" if it gives none."""
    if said := _SAID.search(text):
        return on_one_line(said[1], LONGEST)
    for rest in recheck.behind(text, grammar):
        if reason := _sentence(rest):
            return reason
    return ""


def _sentence(rest: str) -> str:
    """The first sentence of the paragraph that follows a line, "" if there is none."""
    _, _, below = rest.partition("\n")
    paragraph: list[str] = []
    for line in below.split("\n"):
        said = line.strip()
        if not said and paragraph:
            break
        if said and (_NOT_SAID.match(said) or recheck.is_list(said)):
            break
        paragraph += [said] if said else []
    sentence = on_one_line(_SENTENCE_ENDS.split(" ".join(paragraph), maxsplit=1)[0], LONGEST)
    is_one = len(_WORD.findall(sentence)) > 1 and not _CLOSING.match(sentence)
    return sentence if is_one else ""
