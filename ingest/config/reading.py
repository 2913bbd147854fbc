# SPDX-License-Identifier: BSD-3-Clause
"""One table of settings, whatever it holds, out of a file's content, the environment and flags.

Pure: values in, values out. Each error names the setting, where it came from, and what would be
right.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import Field, fields
from typing import Any, TypeVar

from ingest.config import values
from ingest.config.layout import Layout, Path, free_tables, layout, settings_of, subtable
from ingest.config.values import Reader
from ingest.errors import ConfigError
from ingest.words import meant

ENVIRONMENT = "RECHECK_INGEST_"

# A label that somebody can ask for.
_LABEL = re.compile(r"(?!-)[\w-]{1,255}")
# What follows the dot in [webhook.NAME].
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
# Of a URL, scheme and host. What comes after may be a secret, and so may all if it holds an @.
_URL_ORIGIN = r"(?i)(?:[a-z][a-z0-9+.-]*://)?[^/?#@]*"

T = TypeVar("T")
# The settings that are given, by the place of their table, names included.
Given = dict[Path, dict[str, Any]]
# What gave each of them: the file's name, "$VARIABLE", or "" for a flag.
Sources = dict[tuple[Path, str], str]


def read(
    root: type[T],
    document: Mapping[str, Any],
    *,
    origin: str = "",
    environment: Mapping[str, str],
    flags: Mapping[tuple[str, str], Any],
) -> tuple[T, Sources]:
    """The table ``root``: its defaults, over them the file's content, over that the environment,
    over that the flags by (table, key); and what gave each setting that is not its default.
    ``origin``: the file's name. Raises ``ConfigError``."""
    places, loose = layout(root), free_tables(root)
    given: Given = {}
    for name, content in document.items():
        if name in loose:
            given[(name,)] = _read_free(loose[name], content, origin)
            continue
        if (name,) not in places.plain and (name,) not in places.named:
            known = ", ".join(f"[{each}]" for each in places.tables())
            near = meant(name, [*loose, *(path[0] for path in (*places.plain, *places.named))])
            raise ConfigError(f"{origin}: there is no table [{name}]{near}; the tables are {known}")
        _read_content(places, (name,), content, origin, given)
    sources = {(path, key): origin for path, entries in given.items() for key in entries}
    for variable, path, key in variables(places, environment):
        setting = settings_of(_table(places, path))[key]
        value = _value(setting, environment[variable], f"${variable}")
        given.setdefault(path, {})[key] = value
        sources[path, key] = f"${variable}"
    for variable, name, key in free_variables(root, environment):
        read_one = loose[name].metadata["free"]
        value = _checked(read_one, environment[variable], f"${variable}")
        given.setdefault((name,), {})[key] = value
        sources[(name,), key] = f"${variable}"
    for (name, key), value in flags.items():
        setting = settings_of(places.plain[(name,)])[key]
        where = f"[{name}] {key}, given by a flag,"
        given.setdefault((name,), {})[key] = _value(setting, value, where)
        sources[(name,), key] = ""
    filled = {name: given.pop((name,), {}) for name in loose}
    _require(places, given)
    return _make(root, (), places, {**given, (): filled}), sources


def free_variables(root: type, environment: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """The variables that stand for what is in tables whose keys are not known, each with the table
    and the key."""
    for name in free_tables(root):
        prefix = _variable((name,)).upper()
        for variable in environment:
            key = variable.removeprefix(prefix).lower().replace("_", "-")
            if variable.startswith(prefix) and _NAME.fullmatch(key):
                yield variable, name, key


def variables(places: Layout, environment: Mapping[str, str]) -> Iterator[tuple[str, Path, str]]:
    """The variables that stand for settings, each with the place of its table and its key."""
    plain = {
        f"{_variable(path)}{key}".upper(): (path, key)
        for path, table in places.plain.items()
        for key in settings_of(table)
    }
    for variable in environment:
        if not variable.startswith(ENVIRONMENT):
            continue
        if variable in plain:
            yield variable, *plain[variable]
            continue
        for path, table in places.named.items():
            if found := _named(variable, _variable(path).upper(), settings_of(table)):
                yield variable, (*path, found[0]), found[1]


def _variable(path: Path) -> str:
    return ENVIRONMENT + "".join(f"{each}_" for each in path)


def _named(variable: str, prefix: str, keys: Mapping[str, object]) -> tuple[str, str] | None:
    """Name and key in a variable of a named table: it ends with the key, the longest that fits;
    what is before that is the name."""
    rest = variable.removeprefix(prefix)
    if rest == variable:
        return None
    for key in sorted(keys, key=len, reverse=True):
        name = rest.removesuffix(f"_{key.upper()}")
        if name != rest:
            name = name.lower().replace("_", "-")
            return (name, key) if _NAME.fullmatch(name) else None
    return None


def _table(places: Layout, path: Path) -> type:
    return places.plain.get(path) or places.named[path[:-1]]


def _read_content(places: Layout, path: Path, content: Any, origin: str, given: Given) -> None:
    """Take in what stands in the file at a place, tables in it included."""
    written = ".".join(path)
    plain, holds_named = places.plain.get(path), path in places.named
    if not isinstance(content, dict):
        if plain is None:
            raise _needs_name(origin, written)
        raise ConfigError(
            f"{origin}: {written} is {_shown(content)}, but must be a table, [{written}]"
        )
    known = settings_of(plain) if plain else {}
    entries = given.setdefault(path, {}) if plain else {}
    for key, value in content.items():
        below = (*path, key)
        if key in known:
            entries[key] = _value(known[key], value, f"{origin}: [{written}] {key}")
        elif below in places.plain or below in places.named:
            _read_content(places, below, value, origin, given)
        elif holds_named and isinstance(value, dict):
            _read_named(places, below, value, origin, given)
        elif plain is None:
            raise _needs_name(origin, written)
        else:
            raise _no_setting(origin, written, key, known)


def _read_free(table: Field[Any], content: Any, origin: str) -> dict[str, Any]:
    """A table whose keys are not known: each is a label that somebody can ask for."""
    written = table.name
    if not isinstance(content, dict):
        raise ConfigError(f"{origin}: {written} is {_shown(content)}, but must be a table")
    if wrong := [key for key in content if not _LABEL.fullmatch(key)]:
        raise ConfigError(
            f"{origin}: [{written}] {wrong[0]!r}: a name is made of letters, digits, _ and -, and "
            "does not begin with -"
        )
    read_one = table.metadata["free"]
    return {
        key: _checked(read_one, value, f"{origin}: [{written}] {key}")
        for key, value in content.items()
    }


def _read_named(
    places: Layout, path: Path, content: Mapping[str, Any], origin: str, given: Given
) -> None:
    written = ".".join(path)
    if not _NAME.fullmatch(path[-1]):
        raise ConfigError(
            f"{origin}: [{written}]: a name is made of the letters a to z, digits, and single "
            "hyphens"
        )
    known = settings_of(places.named[path[:-1]])
    entries = given.setdefault(path, {})
    for key, value in content.items():
        if key not in known:
            raise _no_setting(origin, written, key, known)
        entries[key] = _value(known[key], value, f"{origin}: [{written}] {key}")


def _needs_name(origin: str, written: str) -> ConfigError:
    return ConfigError(f"{origin}: a {written} has a name: write [{written}.NAME]")


def _no_setting(origin: str, written: str, key: str, known: Mapping[str, object]) -> ConfigError:
    has = f"{meant(key, known)}; it has {', '.join(known)}"
    return ConfigError(f"{origin}: [{written}] has no setting {key!r}{has}")


def _value(setting: Field[Any], value: Any, where: str) -> Any:
    return _checked(setting.metadata["read"], value, where)


def _checked(read: Reader, value: Any, where: str) -> Any:
    try:
        return read(value)
    except ValueError as right:
        shown = _shown(value, is_url=read is values.url)
        raise ConfigError(f"{where} is {shown}, but must be {right}") from None


def _shown(value: Any, *, is_url: bool = False) -> str:
    """A value for an error message. Of what may be a URL, nothing that may be a secret is shown:
    no user, no password, no path and no query."""
    if not isinstance(value, str) or not (is_url or "://" in value or "@" in value):
        return repr(value)
    kept = re.match(_URL_ORIGIN, value)
    shown = kept[0] if kept else ""
    if "@" in value:
        shown = shown[: shown.find("://") + 3] if "://" in shown else ""
    return repr(value) if shown == value else repr(f"{shown}…")


def _require(places: Layout, given: Given) -> None:
    for path, entries in given.items():
        for key, setting in settings_of(_table(places, path)).items():
            if setting.metadata["needed"] and not entries.get(key, setting.default):
                raise ConfigError(f"[{'.'.join(path)}] needs {key}")


def _make(table: type[T], path: Path, places: Layout, given: Given) -> T:
    filled: dict[str, Any] = dict(given.get(path, {}))
    for each in fields(table):  # type: ignore[arg-type]
        if "named" in each.metadata:
            at = (*path, each.metadata["at"] or each.name)
            filled[each.name] = {
                place[-1]: each.metadata["named"](**entries)
                for place, entries in sorted(given.items())
                if place[:-1] == at and place not in places.plain
            }
        elif below := subtable(each):
            filled[each.name] = _make(below, (*path, each.name), places, given)
    return table(**filled)
