# SPDX-License-Identifier: BSD-3-Clause
"""The settings as they are in force, one by one, with where each comes from, fit to be shown to
anybody: what may be a secret is masked. Pure.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlsplit

from ingest.config import values
from ingest.config.layout import Path, free_tables, settings_of, subtable
from ingest.config.reading import Sources
from ingest.config.tables import Settings

MASK = "***"

# Tables whose URLs are secrets behind the host: who knows them can post there.
_SECRET_PATHS = ("webhook", "hook")
# An argument of a program that says of itself that it is a secret.
_SECRET = re.compile(r"((?:authorization|bearer|token|password|passwd|secret|key)\b\s*[=: ]\s*).+",
                     re.IGNORECASE)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Effective:
    """A setting. ``table`` as it is written in the file, such as "webhook.lab"; ``value`` as it
    is written there, masked; ``origin``: "default", "file", "environment" or "flag"; ``source``:
    the file's or the variable's name, None for the others."""

    table: str
    key: str
    value: Any
    origin: str
    source: str | None


def effective(settings: Settings, sources: Sources) -> list[Effective]:
    """Every setting of every table that is there, in the order of documentation."""
    return [
        Effective(
            ".".join(path),
            key,
            _shown(each, getattr(table, key), path),
            *_where(sources, path, key),
        )
        for path, table in _tables(settings, ())
        for key, each in settings_of(type(table)).items()
    ] + _groups(settings, sources)


def _groups(settings: Settings, sources: Sources) -> list[Effective]:
    """What stands in tables whose keys are not known."""
    return [
        Effective(name, key, list(value), *_where(sources, (name,), key))
        for name in free_tables(type(settings))
        for key, value in getattr(settings, name).items()
    ]


def _tables(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    for each in fields(value):
        content = getattr(value, each.name)
        if "named" in each.metadata:
            at = (*path, each.metadata["at"] or each.name)
            yield from (((*at, name), table) for name, table in content.items())
        elif subtable(each):
            yield (*path, each.name), content
            yield from _tables(content, (*path, each.name))


def _where(sources: Sources, path: Path, key: str) -> tuple[str, str | None]:
    source = sources.get((path, key))
    if source is None:
        return "default", None
    if not source:
        return "flag", None
    return ("environment" if source.startswith("$") else "file"), source


def _shown(setting: Any, value: Any, path: Path) -> Any:
    """A value as TOML and JSON have it."""
    if setting.metadata["read"] is values.octal:
        return f"{value:o}"
    if isinstance(value, tuple):
        return [_masked(each, path) for each in value]
    return _masked(value, path)


def _masked(value: Any, path: Path) -> Any:
    if not isinstance(value, str):
        return int(value) if isinstance(value, float) and value.is_integer() else value
    if "://" not in value:
        return _SECRET.sub(rf"\1{MASK}", value) if path[0] == "command" else value
    parts = urlsplit(value)
    credentials, _, host = parts.netloc.rpartition("@")
    user = credentials.partition(":")[0]
    where = f"{user}:{MASK}@{host}" if ":" in credentials else f"{MASK}@{host}" if user else host
    hidden = path[0] in _SECRET_PATHS and parts.path.strip("/")
    kept = f"/{MASK}" if hidden else parts.path
    query = f"?{MASK}" if parts.query else ""
    return f"{parts.scheme}://{where}{kept}{query}{f'#{MASK}' if parts.fragment else ''}"
