# SPDX-License-Identifier: BSD-3-Clause
"""Runs one command line: its log, its errors and its exit code."""

import logging
from collections.abc import Sequence

from ingest import files, words
from ingest.commands import ledgers, logs, output
from ingest.commands.command_line import parser
from ingest.commands.options import PROGRAM, complain
from ingest.errors import EX_INTERRUPTED, EX_OK, EX_TEMPFAIL, Error, NoLedger, UsageError

# What is told of a ledger that is not there, if there is no other one.
_FIRST = "; the first mail that may hold a request makes it"


def main(arguments: Sequence[str]) -> int:
    """Run one command line; the exit code (sysexits.h)."""
    output.prepare()
    try:
        code = _run(arguments)
        output.finish()
        return code
    except Error as error:
        code = _exit_code(error, arguments)
        _tell(error, code, arguments)
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
        logging.basicConfig(handlers=[logs.Handler(PROGRAM, getattr(parsed, "verbose", 0))])
        code: int = parsed.run(parsed)
    except SystemExit as ended:  # by --help, or a signal that a command has its own way with
        return ended.code if isinstance(ended.code, int) else EX_OK
    return code


def _tell(error: Error, code: int, arguments: Sequence[str]) -> None:
    """Say what went wrong: in a line, or for programs as a JSON object."""
    others = (ledgers.elsewhere() or _FIRST) if isinstance(error, NoLedger) else ""
    text = f"{error}{others}"
    if {"--json", "--json-lines"}.isdisjoint(arguments):
        complain(text)
    else:
        said = {"error": text, "exit_code": code, "what_to_do": error.advice}
        complain(words.as_line(said), bare=True)


def _exit_code(error: Error, arguments: Sequence[str]) -> int:
    if "reruns" not in arguments[:1]:
        return error.exit_code
    return 2 if isinstance(error, UsageError) else 1  # get_reruns.py's
