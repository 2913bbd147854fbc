# SPDX-License-Identifier: BSD-3-Clause
"""Runs one command line: its log, its errors and its exit code."""

import logging
import sys
from collections.abc import Sequence
from typing import Any

from ingest import files
from ingest.commands import ledgers, output
from ingest.commands.command_line import parser
from ingest.commands.options import PROGRAM, complain
from ingest.errors import EX_INTERRUPTED, EX_OK, EX_TEMPFAIL, Error, NoLedger, UsageError
from ingest.words import harmless


def main(arguments: Sequence[str]) -> int:
    """Run one command line; the exit code (sysexits.h)."""
    output.prepare()
    try:
        code = _run(arguments)
        output.finish()
        return code
    except Error as error:
        others = ledgers.elsewhere() if isinstance(error, NoLedger) else ""
        complain(f"{error}{others}")
        code = _exit_code(error, arguments)
    except KeyboardInterrupt:
        code = EX_INTERRUPTED
    except output.Gone:
        code = EX_OK
    except FileNotFoundError:
        if files.has_working_folder():
            raise
        complain("the folder that this was started in is gone: change to another one")
        code = EX_TEMPFAIL
    try:
        output.finish()
    except (Error, output.Gone):
        output.silence(1)
    return code


def _run(arguments: Sequence[str]) -> int:
    if not arguments:
        parser().print_help()
        return EX_OK
    try:
        parsed = parser().parse_args(arguments)
        _log(getattr(parsed, "verbose", 0))
        code: int = parsed.run(parsed)
    except SystemExit as ended:  # by --help, or a signal that a command has its own way with
        return ended.code if isinstance(ended.code, int) else EX_OK
    return code


def _exit_code(error: Error, arguments: Sequence[str]) -> int:
    if "reruns" not in arguments[:1]:
        return error.exit_code
    return 2 if isinstance(error, UsageError) else 1  # get_reruns.py's


def _log(verbosity: int) -> None:
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(HarmlessFormatter(f"{PROGRAM}: %(message)s"))
    logging.basicConfig(handlers=[handler])
    logging.getLogger("ingest").setLevel(level)


class HarmlessFormatter(logging.Formatter):
    """Writes each record on one line, and nothing in it that could harm a terminal or a log. Only
    a traceback has lines of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return harmless(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        return harmless(super().formatException(ei), keep="\n")
