# SPDX-License-Identifier: BSD-3-Clause
"""Runs one command line: its log, its errors and its exit code."""

import io
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

from ingest.commands import ledgers
from ingest.commands.command_line import parser
from ingest.commands.options import PROGRAM, complain
from ingest.errors import EX_OK, Error, NoLedger, UsageError
from ingest.words import harmless


def main(arguments: Sequence[str]) -> int:
    """Run one command line; the exit code (sysexits.h)."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a locale may lack characters that we print
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        if not arguments:
            parser().print_help()
            return EX_OK
        parsed = parser().parse_args(arguments)
        _log(getattr(parsed, "verbose", 0))
        code: int = parsed.run(parsed)
        sys.stdout.flush()
        return code
    except Error as error:
        others = ledgers.elsewhere() if isinstance(error, NoLedger) else ""
        complain(f"{error}{others}")
        return _exit_code(error, arguments)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has seen enough; nothing is left to be flushed at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return EX_OK


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
