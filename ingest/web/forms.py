# SPDX-License-Identifier: BSD-3-Clause
"""Fields out of forms and JSON, as bytes. A field that stands there twice is an error: whoever
signed or checked the form may have looked at the other one.
"""

import json
import logging
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

from ingest.errors import Permanent
from ingest.web.bodies import Body

# It would log a warning for each form of a stranger's that makes no sense.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL + 1)

URLENCODED = b"application/x-www-form-urlencoded"
MULTIPART = b"multipart/form-data"
JSON = b"application/json"

# Fields of a form, however small.
_MOST_FIELDS = 1000
# Bytes of a name.
_LONGEST_NAME = 1000
# Bytes that are unquoted in one go: unquote_to_bytes takes a list of all escapes in them.
_PIECE = 1 << 16


class Malformed(Permanent):
    """The body is not what the service sends."""


class Form:
    """The fields of a form."""

    def __init__(self, fields: Iterable[tuple[bytes, bytes]]) -> None:
        self._fields: dict[str, list[bytes]] = {}
        for name, value in fields:
            self._fields.setdefault(name.decode("utf-8", "replace"), []).append(value)

    def get(self, name: str) -> bytes | None:
        """A field's value, None if there is none. Raises ``Malformed`` if there are two."""
        found = self._fields.get(name, [])
        if len(found) > 1:
            raise Malformed(f"there are {len(found)} fields {name}")
        return found[0] if found else None

    def one(self, name: str) -> bytes:
        """As ``get``, of a field that must be there."""
        value = self.get(name)
        if value is None:
            raise Malformed(f"there is no field {name}")
        return value

    def text(self, name: str) -> str | None:
        """As ``get``, decoded, for what is short and no mail."""
        value = self.get(name)
        return None if value is None else value.decode("utf-8", "replace")

    def items(self) -> list[tuple[bytes, bytes]]:
        """Every field, by name. Raises ``Malformed`` if there are two of one name."""
        return [(name.encode(), self.one(name)) for name in sorted(self._fields)]

    def beginning_with(self, name: str) -> list[str]:
        """The values of all fields whose name begins so, decoded."""
        names = sorted(each for each in self._fields if each.startswith(name))
        return [self.one(each).decode("utf-8", "replace") for each in names]


def form(kind: bytes, body: Body) -> Form:
    """The form in a body of this Content-Type, which is either of the two that forms have.
    Raises ``Malformed``."""
    if kind.partition(b";")[0].strip().lower() == URLENCODED:
        return urlencoded(body.content())
    return Form(_multipart(kind, body))


def urlencoded(body: bytes) -> Form:
    """The form in application/x-www-form-urlencoded. Raises ``Malformed``."""
    return Form(_fields(body))


def _fields(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    begin = 0
    for _ in range(_MOST_FIELDS):
        end = body.find(b"&", begin)
        name, _, value = body[begin : len(body) if end < 0 else end].partition(b"=")
        if name:
            yield _unquoted(name[:_LONGEST_NAME]), _unquoted(value)
        if end < 0:
            return
        begin = end + 1
    raise Malformed("there are too many fields")


def _unquoted(value: bytes) -> bytes:
    value = value.replace(b"+", b" ")
    if len(value) <= _PIECE:
        return unquote_to_bytes(value)
    pieces, begin = [], 0
    while begin < len(value):
        end = begin + _PIECE
        escape = value.rfind(b"%", end - 2, end)
        end = escape if escape >= 0 else end
        pieces.append(unquote_to_bytes(value[begin:end]))
        begin = end
    return b"".join(pieces)


def _multipart(kind: bytes, body: Body) -> list[tuple[bytes, bytes]]:
    """The fields of multipart/form-data (RFC 7578), files among them."""
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser, parse_options_header

    found: list[tuple[bytes, bytes]] = []
    header, value, data = bytearray(), bytearray(), bytearray()
    name: list[bytes] = []
    ended: list[bool] = []

    def part_begins() -> None:
        if len(found) >= _MOST_FIELDS:
            raise FormParserError("there are too many fields")
        data.clear()
        name.clear()

    def header_ends() -> None:
        if bytes(header).lower() == b"content-disposition":
            options = parse_options_header(value.decode("latin-1"))[1]
            name.extend(each[:_LONGEST_NAME] for each in [options.get(b"name")] if each)
        header.clear()
        value.clear()

    def part_ends() -> None:
        if len(name) != 1:
            raise FormParserError("a part has no name, or two")
        found.append((name[0], bytes(data)))

    try:
        boundary = parse_options_header(kind.decode("latin-1"))[1].get(b"boundary", b"")
        if not boundary:
            raise FormParserError("there is no boundary")
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": part_begins,
                "on_header_field": lambda piece, begin, end: header.extend(piece[begin:end]),
                "on_header_value": lambda piece, begin, end: value.extend(piece[begin:end]),
                "on_header_end": header_ends,
                "on_part_data": lambda piece, begin, end: data.extend(piece[begin:end]),
                "on_part_end": part_ends,
                "on_end": lambda: ended.append(True),
            },
        )
        for piece in body.pieces():
            parser.write(piece)
    except FormParserError as error:
        raise Malformed(str(error)) from error
    if not ended:
        raise Malformed("the form is cut off")
    return found


class _Twice:
    """In the place of a value whose name stands there twice."""


class Object:
    """An object of JSON whose values are looked at with their type in mind."""

    def __init__(self, values: Any) -> None:
        """``values``: what ``read_json`` gave. Raises ``Malformed`` if it is no object."""
        if not isinstance(values, dict):
            raise Malformed("there is no object where one should be")
        self._values = values

    def get(self, name: str) -> Any:
        """A value, None if there is none. Raises ``Malformed`` if there are two."""
        value = self._values.get(name)
        if isinstance(value, _Twice):
            raise Malformed(f"there are two values of {name}")
        return value

    def text(self, name: str) -> str | None:
        """As ``get``; a value that is no text counts as missing."""
        value = self.get(name)
        return value if isinstance(value, str) else None

    def object(self, name: str) -> "Object":
        """An object within this one, an empty one if there is none."""
        value = self.get(name)
        return Object(value if isinstance(value, dict) else {})

    def texts(self, name: str) -> list[str]:
        """The texts of a list, or the one that stands in its place."""
        value = self.get(name)
        return [each for each in (value if isinstance(value, list) else [value]) if _is_text(each)]

    def objects(self, name: str) -> list["Object"]:
        """The objects of a list."""
        value = self.get(name)
        values = value if isinstance(value, list) else []
        return [Object(each) for each in values if isinstance(each, dict)]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def read_json(content: bytes | str) -> Any:
    """A document of JSON. Raises ``Malformed``."""
    try:
        return json.loads(content, object_pairs_hook=_pairs)
    except (ValueError, RecursionError) as error:
        raise Malformed("it is not valid JSON") from error


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) == len(pairs):
        return values
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            values[name] = _Twice()
        seen.add(name)
    return values


def raw(text: str) -> bytes:
    """A mail that came as text, in UTF-8. What was no Unicode in it is replaced."""
    return text.encode("utf-8", "replace")
