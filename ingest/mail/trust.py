# SPDX-License-Identifier: BSD-3-Clause
"""How far the sender of a mail is to be believed (DESIGN.md, Who may ask)."""

from collections.abc import Iterable

from ingest.value import Value


class Trust(Value):
    """Two parts, neither of which implies the other. ``passage``: "list" if the mail came from a
    host of its list, "patchwork" if Patchwork has it as a comment, else ""; ``author``: how its
    From was proved, "authserv" or "dkim", else ""."""

    passage: str = ""
    author: str = ""

    def lacks(self, needed: Iterable[str]) -> list[str]:
        """What is needed of a mail and was not proved."""
        return [each for each in needed if each not in (self.passage, self.author)]

    def __str__(self) -> str:
        return f"passage {self.passage or 'none'}, author {self.author or 'none'}"
