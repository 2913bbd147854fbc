# SPDX-License-Identifier: BSD-3-Clause
"""Settings: one frozen dataclass a table, from defaults < TOML < environment < flags.

Read and validated once, by ``cli`` and by ``sources.pipe``; everyone else is handed values.
Each field's metadata carries its help, from which the README's table is made.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields, replace
from math import isfinite
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ingest.errors import ConfigError

ENVIRONMENT = "RECHECK_INGEST_"
DEFAULT_FILE = Path("/etc/recheck-ingest.toml")

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def _number(value: Any) -> float:
    number = float(value)
    if isinstance(value, bool) or not isfinite(number):
        raise ValueError
    return number


def _whole(value: Any) -> int:
    if isinstance(value, bool | float):
        raise ValueError
    return int(value)


def _octal(value: Any) -> int:
    return int(value, 8) if isinstance(value, str) else _whole(value)


def _list(value: Any) -> list[Any]:
    items = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        raise ValueError
    return list(items)


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(_text(item) for item in _list(value))


def _numbers(value: Any) -> tuple[float, ...]:
    return tuple(_number(item) for item in _list(value))


# How a value from TOML or from the environment, where all is text, becomes the setting's.
_KINDS = {
    "a text": _text,
    "a number": _number,
    "a whole number": _whole,
    "an octal number": _octal,
    "a list of texts": _texts,
    "a list of numbers": _numbers,
}


def _setting(kind: str, default: Any, help: str) -> Any:
    return field(default=default, metadata={"kind": kind, "help": help})


@dataclass(frozen=True, slots=True)
class Patchwork:
    """The Patchwork server that knows the patches."""

    url: str = _setting(
        "a text",
        "https://patches.dpdk.org",
        "the server; /api is added unless an API path is given",
    )
    timeout: float = _setting(
        "a number", 10.0, "seconds a request may take, from first to last byte"
    )
    max_answer: int = _setting("a whole number", 8 << 20, "bytes of an answer read at most")
    remember_found: float = _setting(
        "a number", DAY, "seconds that a found patch or project list is cached"
    )
    remember_missing: float = _setting("a number", 30.0, "seconds that “not found” is cached")


@dataclass(frozen=True, slots=True)
class Requests:
    """Which requests count."""

    contexts: tuple[str, ...] = _setting(
        "a list of texts", (), "fnmatch patterns of wanted contexts; empty: all"
    )
    arguments: tuple[str, ...] = _setting(
        "a list of texts", ("rebase",), "known arguments; they count by themselves"
    )


@dataclass(frozen=True, slots=True)
class State:
    """Where mails, outcomes and requests are kept."""

    dir: str = _setting("a text", "", "the folder; its default is told above")
    ledger: str = _setting("a text", "", "URL of the ledger; default ledger.sqlite in the folder")
    keep_days: float = _setting("a number", 30.0, "days that raw mail is kept after its outcome")
    busy_timeout: float = _setting("a number", 20.0, "seconds to wait for another process's write")
    mode: int = _setting("an octal number", 0o660, "permissions of a new ledger, octal")


@dataclass(frozen=True, slots=True)
class Intake:
    """What is taken in."""

    max_size: int = _setting(
        "a whole number", 40 << 20, "bytes of a mail; of a larger one the beginning is kept"
    )


@dataclass(frozen=True, slots=True)
class Pipe:
    """The alias pipe."""

    budget: float = _setting(
        "a number", 5.0, "seconds to work off due mails after storing; 0: never"
    )


@dataclass(frozen=True, slots=True)
class Worker:
    """When a mail is tried again."""

    retry: tuple[float, ...] = _setting(
        "a list of numbers",
        (MINUTE, 2 * MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR),
        "seconds before each further attempt; the last one repeats",
    )
    jitter: float = _setting("a number", 0.1, "share by which a wait is varied at random")
    give_up_missing: float = _setting(
        "a number", DAY, "seconds until an unknown patch makes a mail unresolved"
    )
    give_up_down: float = _setting(
        "a number", 7 * DAY, "seconds until a Patchwork that is down makes it failed"
    )


@dataclass(frozen=True, slots=True)
class Serve:
    """The long-running process."""

    stop_timeout: float = _setting(
        "a number", 4.0, "seconds that work in progress is given to end at SIGTERM"
    )


@dataclass(frozen=True, slots=True)
class Retests:
    """The retest JSON."""

    file: str = _setting("a text", "", "the file; default retests.json in the state folder")
    mode: int = _setting("an octal number", 0o644, "permissions of a new file, octal")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set. ``origin`` names the file read, "" if none was."""

    patchwork: Patchwork = field(default_factory=Patchwork)
    requests: Requests = field(default_factory=Requests)
    state: State = field(default_factory=State)
    intake: Intake = field(default_factory=Intake)
    pipe: Pipe = field(default_factory=Pipe)
    worker: Worker = field(default_factory=Worker)
    retests: Retests = field(default_factory=Retests)
    serve: Serve = field(default_factory=Serve)
    origin: str = ""


def tables() -> dict[str, type]:
    """The tables by name, in the order of documentation."""
    return {f.name: f.default_factory for f in fields(Settings) if f.name != "origin"}  # type: ignore[misc]


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
    values: dict[tuple[str, str], Any] = {}
    if path:
        values.update(_from_file(path))
    for name, table in tables().items():
        for key, setting in settings_of(table).items():
            variable = f"{ENVIRONMENT}{name}_{key}".upper()
            if variable in environment:
                values[name, key] = _typed(setting, environment[variable], f"${variable}")
    for (name, key), value in (flags or {}).items():
        values[name, key] = value
    loaded = Settings(
        **{
            name: table(**{k: v for (n, k), v in values.items() if n == name})
            for name, table in tables().items()
        },
        origin=str(path or ""),
    )
    return _checked(_with_paths(loaded, environment))


def _file(named: str | None, environment: Mapping[str, str]) -> Path | None:
    chosen = named or environment.get(f"{ENVIRONMENT}CONFIG")
    if chosen:
        return Path(chosen)
    return DEFAULT_FILE if DEFAULT_FILE.exists() else None


def _from_file(path: Path) -> dict[tuple[str, str], Any]:
    try:
        with path.open("rb") as stream:
            document = tomllib.load(stream)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    values: dict[tuple[str, str], Any] = {}
    for name, content in document.items():
        if name not in tables() or not isinstance(content, dict):
            known = ", ".join(f"[{each}]" for each in tables())
            raise ConfigError(f"{path}: there is no table [{name}]; the tables are {known}")
        known_settings = settings_of(tables()[name])
        for key, value in content.items():
            if key not in known_settings:
                raise ConfigError(
                    f"{path}: [{name}] has no setting {key!r}; it has {', '.join(known_settings)}"
                )
            values[name, key] = _typed(known_settings[key], value, f"{path}: [{name}] {key}")
    return values


def _typed(setting: Field[Any], value: Any, where: str) -> Any:
    kind = setting.metadata["kind"]
    try:
        return _KINDS[kind](value)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{where} is {value!r}, but must be {kind}") from error


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
    return replace(settings, state=state, retests=retests)


def _checked(settings: Settings) -> Settings:
    url = urlsplit(settings.patchwork.url)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ConfigError(
            f"[patchwork] url is {settings.patchwork.url!r}, "
            "but must be like https://patches.dpdk.org"
        )
    for name, key in (
        ("patchwork", "timeout"),
        ("patchwork", "max_answer"),
        ("intake", "max_size"),
        ("state", "busy_timeout"),
    ):
        if getattr(getattr(settings, name), key) <= 0:
            raise ConfigError(f"[{name}] {key} must be more than 0")
    if not settings.worker.retry or min(settings.worker.retry) <= 0:
        raise ConfigError("[worker] retry must hold at least one number of seconds above 0")
    return settings
