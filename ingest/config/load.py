# SPDX-License-Identifier: BSD-3-Clause
"""The settings: defaults < TOML file < environment < flags, checked against each other, with the
default paths filled in. Read once; everything else is handed values.
"""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ingest.config import reading
from ingest.config.layout import Layout, layout
from ingest.config.reading import ENVIRONMENT, Sources
from ingest.config.tables import BY_PATCHWORK, Settings, SmtpSettings, sink_kinds
from ingest.errors import ConfigError
from ingest.words import meant

DEFAULT_FILE = Path("/etc/recheck-ingest.toml")


def places() -> Layout:
    """Every table, in the order of documentation."""
    return layout(Settings)


def load(
    flags: Mapping[tuple[str, str], Any] | None = None,
    *,
    file: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Settings:
    """All settings. ``flags`` maps (table, key) to a value that overrides the rest.

    Raises ``ConfigError`` naming the setting, where it came from and what would be right.
    """
    return trace(flags, file=file, environment=environment)[0]


def trace(
    flags: Mapping[tuple[str, str], Any] | None = None,
    *,
    file: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> tuple[Settings, Sources]:
    """All settings, and what gave those that are not their defaults. Raises as ``load``."""
    path = _file(file, environment)
    origin = str(path or "")
    document = _read(path) if path else {}
    read, sources = reading.read(
        Settings, document, origin=origin, environment=environment, flags=flags or {}
    )
    loaded = replace(read, origin=origin)
    if BY_PATCHWORK in loaded.requests.contexts and len(loaded.requests.contexts) > 1:
        raise ConfigError('[requests] contexts: "patchwork" stands alone, without patterns')
    for name, listener in (("smtp", loaded.smtp), ("lmtp", loaded.lmtp)):
        _check_listener(name, listener, loaded.intake.max_size)
    _check_http(loaded)
    if loaded.digest.mail and loaded.digest.mail not in loaded.mail:
        raise ConfigError(f"[digest] mail: there is no table [mail.{loaded.digest.mail}]")
    _check_servers(loaded)
    for variable in ("STATE_DIRECTORY", "XDG_STATE_HOME"):
        if environment.get(variable) and not loaded.state.dir:
            sources.setdefault((("state",), "dir"), f"${variable}")
    return _with_paths(loaded, environment), sources


def unknown(environment: Mapping[str, str] = os.environ) -> list[str]:
    """The variables that look like settings, but that no setting is named by."""
    known = {variable for variable, _, _ in reading.variables(places(), environment)}
    known |= {variable for variable, _, _ in reading.free_variables(Settings, environment)}
    return [
        variable
        for variable in sorted(environment)
        if variable.startswith(ENVIRONMENT) and variable not in {*known, f"{ENVIRONMENT}CONFIG"}
    ]


def _file(named: str | None, environment: Mapping[str, str]) -> Path | None:
    chosen = named or environment.get(f"{ENVIRONMENT}CONFIG")
    if chosen:
        return Path(chosen)
    return DEFAULT_FILE if DEFAULT_FILE.exists() else None


def _read(path: Path) -> dict[str, Any]:
    """The file's tables."""
    import tomllib  # whoever has no file does not pay for it

    try:
        with path.open("rb") as stream:
            return tomllib.load(stream)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # also numbers of thousands of digits
        raise ConfigError(f"{path} is not valid TOML: {error}") from error


def _check_listener(name: str, table: SmtpSettings, max_size: int) -> None:
    """What one setting of a listener cannot tell by itself. Raises ``ConfigError``."""
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


def _check_http(settings: Settings) -> None:
    """As ``_check_listener``, for HTTP."""
    if not settings.http.listen:
        return
    from ingest import addresses

    for text in settings.http.listen:
        if addresses.is_public(addresses.parse(text)) and not settings.token:
            raise ConfigError(token_needed(text))
    if settings.http.max_body < settings.intake.max_size:
        raise ConfigError(
            "[http] max_body must hold a mail of [intake] max_size, "
            f"{settings.intake.max_size} bytes"
        )


def _check_servers(settings: Settings) -> None:
    """Whether further servers are ever asked, and are there for what names them. Raises
    ``ConfigError``."""
    for name, server in settings.servers.items():
        if not server.lists and not server.projects:
            raise ConfigError(
                f"[patchwork.{name}] needs lists or projects: without them no mail is looked up "
                "there"
            )
    named = {"retests": settings.retests.patchwork}
    for kind in sink_kinds():
        for name, table in getattr(settings, kind).items():
            named[f"{kind}.{name}"] = getattr(table, "patchwork", "")
    for where, wanted in named.items():
        if settings.server(wanted) is None:
            near = meant(wanted, settings.servers)
            raise ConfigError(f"[{where}] patchwork: there is no [patchwork.{wanted}]{near}")


def token_needed(text: str) -> str:
    """What to tell who wants to listen for HTTP on a public address without any token."""
    return (
        f"[http] cannot listen on {text} without a token, which keeps others from posting mail: "
        "set file of [token.NAME], or listen on loopback, behind a web server"
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
        spool=settings.state.spool or str(Path(folder, "spool.sqlite")),
    )
    # Of a ledger that several machines share, each would write one that nobody asked for.
    own = "" if state.is_shared else str(Path(folder, "retests.json"))
    retests = replace(settings.retests, file=settings.retests.file or own)
    for name, each in settings.json_file.items():
        others = [o.file for n, o in settings.json_file.items() if n != name]
        if os.path.abspath(each.file) in map(os.path.abspath, [retests.file, *others]):
            raise ConfigError(f"[json_file.{name}] file is that of another table: {each.file}")
    return replace(settings, state=state, retests=retests)
