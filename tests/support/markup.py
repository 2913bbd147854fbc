# SPDX-License-Identifier: BSD-3-Clause
"""What a browser makes of HTML: its elements with their attributes, and its text."""

from html.parser import HTMLParser

# Elements without an end.
_VOID = frozenset(("meta", "link", "input", "br", "img", "hr"))
_ALLOWED_SCHEMES = ("/", "#", "http://", "https://")


class Markup(HTMLParser):
    """``elements``: each with its attributes, in order; ``text``: all of the text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> ends another element"

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        """The attributes of each element of this kind."""
        return [attributes for name, attributes in self.elements if name == tag]

    def links(self) -> list[str]:
        """Where links lead."""
        return [each["href"] for each in self.all("a")]


def safe(source: str) -> Markup:
    """HTML in which nothing runs and every element ends; no link leads but to the web or here."""
    made = Markup(source)
    assert not made.open, made.open
    for tag, attributes in made.elements:
        assert tag not in ("script", "style", "iframe", "object", "embed", "base", "img"), tag
        for name, value in attributes.items():
            assert name != "style" and not name.startswith("on"), (tag, name)
            if name in ("href", "src", "action", "formaction"):
                assert value.startswith(_ALLOWED_SCHEMES), (tag, value)
    return made
