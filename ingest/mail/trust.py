# SPDX-License-Identifier: BSD-3-Clause
"""How far the sender of a mail is to be believed (DESIGN.md, Who may ask)."""

from collections.abc import Iterable

from ingest.value import Value

# The passages.
LIST, PATCHWORK = "list", "patchwork"


class Trust(Value):
    """Two parts, neither of which implies the other. ``passage``: "list" if the mail came from a
    host of its list, "patchwork" if Patchwork has it as a comment; ``author``: how its author was
    proved, "dkim" or "authserv". Of either part both with a blank between, or "" for none."""

    passage: str = ""
    author: str = ""

    def by(self, passage: str) -> "Trust":
        """The same with this passage in addition."""
        known = self.passage.split()
        return self if passage in known else Trust(" ".join([*known, passage]), self.author)

    def lacks(self, needed: Iterable[str]) -> list[str]:
        """What is needed of a mail and was not proved."""
        return [
            each for each in needed if each not in (*self.passage.split(), *self.author.split())
        ]

    def __str__(self) -> str:
        return f"passage {self.passage or 'none'}, author {self.author or 'none'}"
