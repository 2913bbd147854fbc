# SPDX-License-Identifier: BSD-3-Clause
"""Settings, from defaults < TOML < environment < flags, into the frozen dataclasses of ``tables``.

Read and validated once, by ``cli`` and by ``sources.pipe``; everyone else is handed values.
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import Field, fields, replace
from pathlib import Path
from typing import Any

from ingest.config import values as kinds
from ingest.config.tables import BY_PATCHWORK, SINKS, Settings, Smtp
from ingest.errors import ConfigError

ENVIRONMENT = "RECHECK_INGEST_"
DEFAULT_FILE = Path("/etc/recheck-ingest.toml")


# Of a sink, as in [webhook.NAME].
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def tables() -> dict[str, type]:
    """The tables by name, in the order of documentation; not those of sinks, which have names."""
    return {
        f.name: f.default_factory  # type: ignore[misc]
        for f in fields(Settings)
        if f.name != "origin" and f.name not in SINKS
    }


def settings_of(table: type) -> dict[str, Field[Any]]:
    """A table's settings by name."""
    return {f.name: f for f in fields(table)}


def load(
    flags: Mapping[tuple[str, str], Any] | None = None,
    *,
    file: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Settings:
    """All settings. ``flags`` maps (table, key) to a value that overrides the rest.

    Raises ``ConfigError`` naming the setting, where it came from and what would be right.
    """
    path = _file(file, environment)
    document = _read(path) if path else {}
    values: dict[tuple[str, str], Any] = {}
    for name, content in document.items():
        if name not in SINKS:
            table = tables()[name]
            values.update(
                ((name, key), value) for key, value in _entries(path, name, table, content)
            )
    for name, table in tables().items():
        for key, setting in settings_of(table).items():
            variable = f"{ENVIRONMENT}{name}_{key}".upper()
            if variable in environment:
                values[name, key] = _typed(setting, environment[variable], f"${variable}")
    for (name, key), value in (flags or {}).items():
        setting = settings_of(tables()[name])[key]
        values[name, key] = _typed(setting, value, f"[{name}] {key}, given by a flag,")
    filled: dict[str, Any] = {
        name: table(**{k: v for (n, k), v in values.items() if n == name})
        for name, table in tables().items()
    }
    for kind in SINKS:
        filled[kind] = _sinks(path, kind, document.get(kind, {}), environment)
    loaded = Settings(**filled, origin=str(path or ""))
    for name, check in loaded.check.items():
        if check.cover not in ("all", "last"):
            raise ConfigError(f'[check.{name}] cover must be "all" or "last"')
    if BY_PATCHWORK in loaded.requests.contexts and len(loaded.requests.contexts) > 1:
        raise ConfigError('[requests] contexts: "patchwork" stands alone, without patterns')
    for name, listener in (("smtp", loaded.smtp), ("lmtp", loaded.lmtp)):
        _check_listener(name, listener, loaded.intake.max_size)
    return _with_paths(loaded, environment)


def unknown(environment: Mapping[str, str] = os.environ) -> list[str]:
    """The variables that look like settings, and are none."""
    known = {
        f"{ENVIRONMENT}{name}_{key}".upper()
        for name, table in tables().items()
        for key in settings_of(table)
    }
    return [
        variable
        for variable in sorted(environment)
        if variable.startswith(ENVIRONMENT)
        and variable not in {*known, f"{ENVIRONMENT}CONFIG"}
        and not any(name for kind in SINKS for name, _ in _named(kind, variable))
    ]


def _file(named: str | None, environment: Mapping[str, str]) -> Path | None:
    chosen = named or environment.get(f"{ENVIRONMENT}CONFIG")
    if chosen:
        return Path(chosen)
    return DEFAULT_FILE if DEFAULT_FILE.exists() else None


def _read(path: Path) -> dict[str, Any]:
    """The file's tables."""
    try:
        with path.open("rb") as stream:
            document = tomllib.load(stream)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # also numbers of thousands of digits
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    for name in document:
        if name not in tables() and name not in SINKS:
            known = ", ".join([f"[{each}]" for each in tables()] + [f"[{k}.NAME]" for k in SINKS])
            raise ConfigError(f"{path}: there is no table [{name}]; the tables are {known}")
    return document


def _entries(path: Path | None, name: str, table: type, content: Any) -> Iterator[tuple[str, Any]]:
    """The settings of one table of the file."""
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: {name} is {content!r}, but must be a table, [{name}]")
    known = settings_of(table)
    for key, value in content.items():
        if key not in known:
            raise ConfigError(f"{path}: [{name}] has no setting {key!r}; it has {', '.join(known)}")
        yield key, _typed(known[key], value, f"{path}: [{name}] {key}")


def _sinks(
    path: Path | None, kind: str, content: Any, environment: Mapping[str, str]
) -> dict[str, Any]:
    """The sinks of one kind by name, those of the environment included: each variable says with
    its end which setting it is, with what is before that the name."""
    table, needed = SINKS[kind]
    if not isinstance(content, dict) or not all(
        isinstance(each, dict) for each in content.values()
    ):
        raise ConfigError(f"{path}: a {kind} has a name: write [{kind}.NAME]")
    found: dict[str, dict[str, Any]] = {
        name: dict(_entries(path, f"{kind}.{name}", table, each)) for name, each in content.items()
    }
    for variable in environment:
        for name, key in _named(kind, variable):
            value = _typed(settings_of(table)[key], environment[variable], f"${variable}")
            found.setdefault(name, {})[key] = value
    for name, settings in found.items():
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"[{kind}.{name}]: a name is made of the letters a to z, digits, and single hyphens"
            )
        if not settings.get(needed):
            raise ConfigError(f"[{kind}.{name}] needs {needed}")
    return {name: table(**settings) for name, settings in sorted(found.items())}


def _named(kind: str, variable: str) -> Iterator[tuple[str, str]]:
    """The name and the setting of a sink of this kind, if that is what a variable stands for."""
    prefix = f"{ENVIRONMENT}{kind}_".upper()
    if not variable.startswith(prefix):
        return
    name_and_key = variable.removeprefix(prefix)
    for key in settings_of(SINKS[kind][0]):
        end = f"_{key}".upper()
        if name_and_key.endswith(end):
            yield name_and_key.removesuffix(end).lower().replace("_", "-"), key


def _typed(setting: Field[Any], value: Any, where: str) -> Any:
    try:
        return kinds.read(setting.metadata["kind"], value)
    except ValueError as right:
        raise ConfigError(f"{where} is {value!r}, but must be {right}") from right


def _check_listener(name: str, table: Smtp, max_size: int) -> None:
    """What one setting of a listener cannot tell by itself. Raises ``ConfigError``."""
    if table.starttls not in ("offered", "required"):
        raise ConfigError(f'[{name}] starttls must be "offered" or "required"')
    if table.starttls == "required" and not table.tls_certificate:
        raise ConfigError(f"[{name}] starttls is required, but there is no tls_certificate")
    if not table.listen:
        return
    from ingest import addresses

    for text in table.listen:
        if addresses.is_public(addresses.parse(text)) and not table.recipients:
            raise ConfigError(recipients_needed(name, text))
    if table.memory < max_size:
        raise ConfigError(
            f"[{name}] memory must hold a mail of [intake] max_size, {max_size} bytes"
        )


def recipients_needed(table: str, text: str) -> str:
    """What to tell who wants to listen on a public address for any recipient."""
    return (
        f"[{table}] recipients must be set to listen on {text}: without it any recipient is "
        "accepted, and that is for loopback and Unix sockets only"
    )


def _with_paths(settings: Settings, environment: Mapping[str, str]) -> Settings:
    """The settings with the default paths filled in."""
    folder = settings.state.dir or environment.get("STATE_DIRECTORY", "").partition(":")[0]
    if not folder:
        base = environment.get("XDG_STATE_HOME") or ""
        if not base and not environment.get("HOME"):
            raise ConfigError(
                "there is nowhere to keep state: set [state] dir, --state or $STATE_DIRECTORY "
                "(a program started by a mail server has no $HOME)"
            )
        folder = str(Path(base or Path(environment["HOME"], ".local/state"), "recheck-ingest"))
    folder = str(Path(folder).absolute())
    state = replace(
        settings.state,
        dir=folder,
        ledger=settings.state.ledger or f"sqlite:{Path(folder, 'ledger.sqlite')}",
    )
    retests = replace(
        settings.retests, file=settings.retests.file or str(Path(folder, "retests.json"))
    )
    for name, each in settings.json_file.items():
        others = [o.file for n, o in settings.json_file.items() if n != name]
        if os.path.abspath(each.file) in map(os.path.abspath, [retests.file, *others]):
            raise ConfigError(f"[json_file.{name}] file is that of another table: {each.file}")
    return replace(settings, state=state, retests=retests)
