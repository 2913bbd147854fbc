# SPDX-License-Identifier: BSD-3-Clause
"""Settings: one frozen dataclass a table, from defaults < TOML < environment < flags.

Read and validated once, by ``cli`` and by ``sources.pipe``; everyone else is handed values.
Each field's metadata carries its help, from which the README's table is made.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ingest import kinds
from ingest.errors import ConfigError

ENVIRONMENT = "RECHECK_INGEST_"
DEFAULT_FILE = Path("/etc/recheck-ingest.toml")

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def _setting(kind: str, default: Any, help: str) -> Any:
    return field(default=default, metadata={"kind": kind, "help": help})


@dataclass(frozen=True, slots=True)
class Patchwork:
    """The Patchwork server that knows the patches."""

    url: str = _setting(
        "a URL",
        "https://patches.dpdk.org",
        "the server; /api is added unless an API path is given",
    )
    timeout: float = _setting(
        "a number above 0", 10.0, "seconds a request may take, from first to last byte"
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
    busy_timeout: float = _setting(
        "a number above 0", 20.0, "seconds to wait for another process's write"
    )
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
class Smtp:
    """The SMTP listener."""

    listen: tuple[str, ...] = _setting(
        "a list of texts", (), "addresses: host:port, [host]:port, *:port or unix:PATH"
    )
    recipients: tuple[str, ...] = _setting(
        "a list of texts",
        (),
        "fnmatch patterns of addresses that mail is taken for; empty: any, and then only loopback "
        "and Unix sockets can be listened on",
    )
    peers: tuple[str, ...] = _setting(
        "a list of networks", (), "networks that may connect by TCP; empty: all"
    )
    hostname: str = _setting("a text", "", "our name in the dialogue; default the machine's")
    sessions: int = _setting("a whole number", 2000, "sessions at once; more get 421")
    sessions_per_peer: int = _setting("a whole number", 1000, "sessions at once of one client")
    max_recipients: int = _setting("a whole number", 100, "recipients of a mail; more get 452")
    memory: int = _setting(
        "a whole number", 256 << 20, "bytes of all mails that are being received; beyond, 452"
    )
    command_timeout: float = _setting("a number above 0", 300.0, "seconds to wait for a command")
    data_timeout: float = _setting(
        "a number above 0", 600.0, "seconds that sending a mail may take"
    )
    idle_timeout: float = _setting(
        "a number above 0",
        900.0,
        "seconds without a mail that end a session, whatever else it says",
    )
    socket_mode: int = _setting("an octal number", 0o660, "permissions of a Unix socket, octal")
    tls_certificate: str = _setting(
        "a text", "", "PEM file of a certificate and its chain, to offer STARTTLS"
    )
    tls_key: str = _setting("a text", "", "PEM file of its key; default the same file")
    starttls: str = _setting(
        "a text", "offered", '"required": no mail by TCP without it; "offered" with a certificate'
    )
    proxies: tuple[str, ...] = _setting(
        "a list of networks", (), "networks whose connections begin with the PROXY protocol"
    )


@dataclass(frozen=True, slots=True)
class Lmtp(Smtp):
    """The LMTP listener."""


@dataclass(frozen=True, slots=True)
class Maildir:
    """The Maildir that serve watches."""

    path: str = _setting("a text", "", "the Maildir that the mail server delivers into; none")
    scan_interval: float = _setting(
        "a number above 0", 30.0, "seconds between looks for mail that inotify did not tell of"
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
    smtp: Smtp = field(default_factory=Smtp)
    lmtp: Lmtp = field(default_factory=Lmtp)
    maildir: Maildir = field(default_factory=Maildir)
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
        setting = settings_of(tables()[name])[key]
        values[name, key] = _typed(setting, value, f"[{name}] {key}, given by a flag,")
    loaded = Settings(
        **{
            name: table(**{k: v for (n, k), v in values.items() if n == name})
            for name, table in tables().items()
        },
        origin=str(path or ""),
    )
    for name, listener in (("smtp", loaded.smtp), ("lmtp", loaded.lmtp)):
        _check_listener(name, listener, loaded.intake.max_size)
    return _with_paths(loaded, environment)


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
    except (ValueError, RecursionError) as error:  # also numbers of thousands of digits
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    values: dict[tuple[str, str], Any] = {}
    for name, content in document.items():
        if name not in tables():
            known = ", ".join(f"[{each}]" for each in tables())
            raise ConfigError(f"{path}: there is no table [{name}]; the tables are {known}")
        if not isinstance(content, dict):
            raise ConfigError(f"{path}: {name} is {content!r}, but must be a table, [{name}]")
        known_settings = settings_of(tables()[name])
        for key, value in content.items():
            if key not in known_settings:
                raise ConfigError(
                    f"{path}: [{name}] has no setting {key!r}; it has {', '.join(known_settings)}"
                )
            values[name, key] = _typed(known_settings[key], value, f"{path}: [{name}] {key}")
    return values


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
    from ingest.sources import sockets

    for text in table.listen:
        if sockets.is_public(sockets.parse(text)) and not table.recipients:
            raise ConfigError(sockets.recipients_needed(name, text))
    if table.memory < max_size:
        raise ConfigError(
            f"[{name}] memory must hold a mail of [intake] max_size, {max_size} bytes"
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
    return replace(settings, state=state, retests=retests)
