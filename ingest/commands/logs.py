# SPDX-License-Identifier: BSD-3-Clause
"""How log records are written: as text or JSON, one line each, with priorities for systemd's
journal, and nothing in them that could harm a terminal or a log.
"""

import json
import logging
import os
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from ingest.words import harmless, instant, utc

# syslog(3)'s numbers, which sd-daemon(3) reads at the beginning of a line.
_PRIORITIES = (
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (logging.INFO, 6),
    (logging.DEBUG, 7),
)
LEVELS = {
    "error": logging.ERROR,
    "warning": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
}


class Handler(logging.StreamHandler[TextIO]):
    """Writes what the program logs to standard error. ``verbosity``: how often -v was given, which
    makes the level of the configuration lower, and never higher."""

    def __init__(self, program: str, verbosity: int = 0) -> None:
        super().__init__(sys.stderr)
        self._program = program
        self._verbosity = verbosity
        self.follow()

    def follow(self, form: str = "text", level: str = "warning") -> None:
        """Write as the configuration has it: ``form`` "text" or "json", ``level`` one of
        ``LEVELS``."""
        asked = (logging.CRITICAL, logging.INFO, logging.DEBUG)[min(self._verbosity, 2)]
        logging.getLogger("ingest").setLevel(min(LEVELS[level], asked))
        for_journal = is_journal(2, os.environ)
        if form == "json":
            self.setFormatter(JsonFormatter(for_journal=for_journal))
        else:
            # The journal has the program's name already.
            name = "" if for_journal else f"{self._program}: "
            self.setFormatter(TextFormatter(f"{name}%(message)s", for_journal=for_journal))


def is_journal(descriptor: int, environment: Mapping[str, str]) -> bool:
    """Whether an open file goes to systemd's journal, which $JOURNAL_STREAM says, see
    systemd.exec(5)."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return False
    return environment.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def prioritised(text: str, level: int) -> str:
    """A text whose lines tell the journal how bad what they say is."""
    number = next((number for least, number in _PRIORITIES if level >= least), 7)
    return "\n".join(f"<{number}>{line}" for line in text.split("\n"))


class TextFormatter(logging.Formatter):
    """A record on one line. Only a traceback has lines of its own."""

    def __init__(self, form: str, *, for_journal: bool = False) -> None:
        super().__init__(form)
        self._for_journal = for_journal

    def formatMessage(self, record: logging.LogRecord) -> str:
        return harmless(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        return harmless(super().formatException(ei), keep="\n")

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return prioritised(text, record.levelno) if self._for_journal else text


class JsonFormatter(logging.Formatter):
    """A record as one JSON object: ``time``, ``level``, ``logger``, ``message``, ``mail``, the
    Message-ID or number of the mail that it is about, and ``traceback``; null for what there is
    not."""

    def __init__(self, *, for_journal: bool = False) -> None:
        super().__init__()
        self._for_journal = for_journal

    def format(self, record: logging.LogRecord) -> str:
        said = {
            "time": instant(utc(record.created)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "mail": getattr(record, "mail", None),
            "traceback": self.formatException(record.exc_info) if record.exc_info else None,
        }
        text = json.dumps(said)
        return prioritised(text, record.levelno) if self._for_journal else text


def follow(form: str, level: str) -> None:
    """Have our handler write as the configuration has it, if we have one: a pipe has none."""
    for each in logging.getLogger().handlers:
        if isinstance(each, Handler):
            each.follow(form, level)
