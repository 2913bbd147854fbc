# SPDX-License-Identifier: BSD-3-Clause
"""The settings that a command's flags stand for."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ingest.commands import logs
from ingest.config import load as config
from ingest.config.reading import Sources
from ingest.config.tables import Settings

if TYPE_CHECKING:
    import argparse


def settings_of(arguments: "argparse.Namespace") -> Settings:
    """The settings with the command line's flags over them. Raises ``ConfigError``."""
    return trace(vars(arguments))[0]


def trace(arguments: Mapping[str, Any]) -> tuple[Settings, Sources]:
    """Those, and what gave each that is not its default. Raises as ``settings_of``."""
    flags: dict[tuple[str, str], Any] = {
        ("patchwork", "url"): arguments.get("patchwork"),
        ("requests", "contexts"): tuple(arguments.get("contexts") or ()) or None,
        ("retests", "file"): arguments.get("retests"),
        ("state", "dir"): arguments.get("state"),
        ("smtp", "listen"): tuple(arguments.get("smtp") or ()) or None,
        ("lmtp", "listen"): tuple(arguments.get("lmtp") or ()) or None,
        ("http", "listen"): tuple(arguments.get("http") or ()) or None,
        ("maildir", "path"): arguments.get("maildir"),
    }
    given = {key: value for key, value in flags.items() if value is not None}
    settings, sources = config.trace(given, file=arguments.get("config"))
    logs.follow(settings.log.format, settings.log.level)
    return settings, sources
