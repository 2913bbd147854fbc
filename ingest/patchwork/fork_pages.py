# SPDX-License-Identifier: BSD-3-Clause
"""What is read of the web pages of freedesktop's fork, whose JSON has no Message-IDs: of a patch's
page the links to its series and project, and the mail's header. Pure.

Python's own parser is enough: it copes with any text, is kept with Python, and needs no tree.
"""

import re
from contextlib import suppress
from html.parser import HTMLParser

from ingest.mail import headers
from ingest.mail.headers import Head
from ingest.value import Value

# What is read stands before the patch's text, which may be of any length.
_MOST = 256 << 10
_SERIES = re.compile(r"/series/([1-9]\d{0,17})/")
_PROJECT = re.compile(r"/project/([^/?#]+)/(?:list/|$)")
_ID = re.compile(r"/patch/([1-9]\d{0,17})/")


class PatchPage(Value):
    """What the page of a patch says. ``series``: 0 if it is in none."""

    message_id: str
    series: int
    project: str
    state: str
    head: Head

    @property
    def parent(self) -> str:
        """The Message-ID of the mail that the patch replies to, "" if it replies to none."""
        return next(iter(headers.candidates(self.head)), "")


class _Reader(HTMLParser):
    """Keeps the texts of the table's cells by what stands before each, the title, and links."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self.cells: dict[str, str] = {}
        self.links: list[tuple[str, str]] = []  # each with the heading of its cell, "" outside
        self._heading = ""
        self._open = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("title", "th", "td", "pre"):
            self._open = tag
            if tag == "th":
                self._heading = ""
            elif tag == "pre":
                self.cells.pop(self._heading, None)
        elif tag == "a" and (target := dict(attrs).get("href")):
            self.links.append((self._heading, target))

    def handle_endtag(self, tag: str) -> None:
        if tag == self._open:
            self._open = ""
        if tag in ("td", "table"):
            self._heading = ""

    def handle_data(self, data: str) -> None:
        if self._open == "title":
            self.title += data
        elif self._open == "th":
            self._heading += data.strip()
        elif self._open in ("td", "pre") and self._heading:
            self.cells[self._heading] = self.cells.get(self._heading, "") + data


def _read(body: bytes) -> _Reader:
    reader = _Reader()
    # The parser raises this for a malformed marked section, such as "<![x[".
    with suppress(AssertionError):
        reader.feed(body[:_MOST].decode("utf-8", "replace"))
    return reader


def patch(body: bytes) -> PatchPage | None:
    """The page of a patch; None if it is another page."""
    page = _read(body)
    message_id, header = page.cells.get("Message ID", "").strip(), page.cells.get("Headers", "")
    if not message_id or not header:
        return None
    series = [_SERIES.fullmatch(link) for where, link in page.links if where == "Series"]
    number = next((int(each[1]) for each in series if each), 0)
    projects = (_PROJECT.match(link) for _, link in page.links)
    project = next((each[1] for each in projects if each), "")
    return PatchPage(
        message_id=message_id.removeprefix("<").removesuffix(">"),
        series=number,
        project=project,
        state="-".join(page.cells.get("State", "").lower().split()),
        head=headers.read(header.strip().encode("utf-8", "replace") + b"\n\n"),
    )


def is_not_found(body: bytes) -> bool:
    """Whether this is the fork's own page for what is not there, and not one of a server in
    front."""
    title = _read(body).title.strip()
    return title.startswith("404") and title.endswith("Patchwork")


def patch_of(location: str) -> int:
    """The patch that a redirect leads to, 0 if it leads elsewhere."""
    found = re.search(f"{_ID.pattern}$", location)
    return int(found[1]) if found else 0
