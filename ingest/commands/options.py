# SPDX-License-Identifier: BSD-3-Clause
"""What all commands share: their common flags."""

import argparse
import logging
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from ingest.commands import logs
from ingest.errors import UsageError
from ingest.words import harmless, meant

PROGRAM = "recheck-ingest"


class Parser(argparse.ArgumentParser):
    """Usage errors as sysexits.h has them, and as errors of ours."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.dest == "command" and value not in (action.choices or ()):
            near = meant(value, action.choices or ())
            self.error(f"there is no command {value!r}{near}")
        super()._check_value(action, value)


def base(*, has_state: bool = True) -> Parser:
    """The flags of every command that has settings; ``list`` has a ``--state`` of its own."""
    base = Parser(add_help=False)
    group = base.add_argument_group("common options")
    group.add_argument("--config", metavar="FILE", help="read settings from this TOML file")
    if has_state:
        group.add_argument("--state", metavar="DIR", help="the ledger's folder")
    group.add_argument(
        "-v", dest="verbose", action="count", default=0, help="log what is done; -vv: in detail"
    )
    return base


def common(*, has_state: bool = True) -> Parser:
    """Those, and the flags of every command that works on requests."""
    common = Parser(add_help=False, parents=[base(has_state=has_state)])
    group = common.add_argument_group("what it works on")
    group.add_argument("--patchwork", metavar="URL", help="the Patchwork server")
    group.add_argument(
        "--contexts",
        metavar="PATTERN[,PATTERN…]",
        action="extend",
        type=_patterns,
        help="the wanted labels; may be repeated; default: every label",
    )
    group.add_argument("--retests", metavar="FILE", help="the retest JSON")
    return common


def _patterns(text: str) -> list[str]:
    """Patterns of labels, with commas or blanks between them."""
    if not (found := text.replace(",", " ").split()):
        raise argparse.ArgumentTypeError("a pattern of labels is missing")
    return found


def pipe_parser() -> argparse.ArgumentParser:
    """What follows the word ``pipe``: a pipe has not the time to set up the whole command line."""
    parser = Parser(prog=f"{PROGRAM} pipe", parents=[common()])
    add_list_id(parser)
    return parser


def add_list_id(command: argparse.ArgumentParser) -> None:
    """The flag for mails that do not say which list they came by."""
    command.add_argument(
        "--list-id",
        metavar="ID",
        default="",
        help="the list of a mail that has no List-Id, such as dev.dpdk.org",
    )


class Commands:
    """The commands as they are added to the command line. ``base`` and ``common``: the flags that
    most of them share, see the functions of these names; ``as_json``: --json."""

    def __init__(self, top: argparse.ArgumentParser) -> None:
        self._parsers = top.add_subparsers(
            dest="command", metavar="COMMAND", required=True, parser_class=Parser
        )
        self.base, self.common = base(), common()
        self.as_json = Parser(add_help=False)
        self.as_json.add_argument("--json", action="store_true", help="print JSON for programs")

    def command(
        self,
        run: Callable[[argparse.Namespace], int],
        name: str,
        help: str,
        *parents: Parser,
    ) -> argparse.ArgumentParser:
        """Add a command, which ``run`` carries out; ``run`` gives the exit code."""
        added = self._parsers.add_parser(
            name, help=help, description=f"{help[0].upper()}{help[1:]}.", parents=list(parents)
        )
        added.set_defaults(run=run)
        return added


def complain(text: str, *, bare: bool = False) -> None:
    """Tell what went wrong on standard error; ``bare``: without the program's name."""
    line = harmless(text) if bare else f"{PROGRAM}: {harmless(text)}"
    if logs.is_journal(2, os.environ):
        line = logs.prioritised(line, logging.ERROR)
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:  # there is nobody to tell
        from ingest.commands import output

        output.silence(2)
