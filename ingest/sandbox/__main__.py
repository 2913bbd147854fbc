# SPDX-License-Identifier: BSD-3-Clause
"""``python -m ingest.sandbox MBOX… --port N``: the sandbox Patchwork alone, to try things by hand.

Owns its command line and exit codes; everything else is ``Sandbox``'s.
"""

import argparse
import dataclasses
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from ingest import errors
from ingest.sandbox import PUBLIC_URL, Account, Sandbox
from ingest.sandbox.models import FirstIds, Project


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM. Returns an exit code of sysexits.h: 0, 64 for a command
    line that makes no sense, 65 for a file that holds no mail, 69 for a port that is taken."""
    try:
        options = _parser().parse_args(argv)
        signals = {signal.SIGINT, signal.SIGTERM}
        # Blocked, they wait for sigwait below, however early they come.
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        first = FirstIds(**{noun: getattr(options, f"first_{noun}") for noun in _NOUNS})
        sandbox = Sandbox(
            *options.mbox,
            port=options.port,
            first=first,
            public_url=options.public_url,
            tokens=dict(options.token),
            time_zone=options.time_zone,
            api=options.api,
            kind=options.kind,
            projects=[
                Project(number, name, name, address.replace("@", "."), address)
                for number, (name, address) in enumerate(options.projects, start=1)
            ]
            or None,
            verbose=options.verbose,
        )
        with sandbox:
            sys.stdout.write(f"sandbox Patchwork at {sandbox.url} ({sandbox.counts()})\n")
            sys.stdout.flush()
            signal.sigwait(signals)
    except errors.Error as error:
        return _complain(str(error), error.exit_code)
    except OSError as error:
        reason = error.strerror or str(error)
        return _complain(f"cannot listen on port {options.port}: {reason}", errors.EX_UNAVAILABLE)
    return errors.EX_OK


_NOUNS = tuple(field.name for field in dataclasses.fields(FirstIds))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise errors.UsageError(f"{message}; see --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m ingest.sandbox",
        description="A small Patchwork on loopback, loaded from mbox files.",
    )
    parser.add_argument("mbox", nargs="+", metavar="MBOX", help="mails to file, in order")
    parser.add_argument("--port", type=_port, default=0, help="default: a free one")
    for field in dataclasses.fields(FirstIds):
        noun = field.name.replace("_", " ")
        parser.add_argument(
            f"--first-{field.name.replace('_', '-')}",
            type=_identifier,
            default=field.default,
            metavar="ID",
            help=f"id of the first {noun} (default: {field.default})",
        )
    parser.add_argument(
        "--public-url", default=PUBLIC_URL, help="what links begin with (default: %(default)s)"
    )
    parser.add_argument(
        "--token",
        action="append",
        default=[],
        type=_account,
        metavar="TOKEN:USER:PROJECT[,PROJECT]",
        help="an account that may write checks; repeatable",
    )
    parser.add_argument(
        "--time-zone",
        default="UTC",
        metavar="ZONE",
        help="in which events and checks are dated (default: %(default)s)",
    )
    parser.add_argument(
        "--api",
        default="1.4",
        metavar="VERSION",
        help="the newest version of the API that there is (default: %(default)s)",
    )
    parser.add_argument(
        "--kind",
        default="patchwork",
        help='"patchwork", or "freedesktop" for its fork (default: %(default)s)',
    )
    parser.add_argument(
        "--projects",
        nargs="+",
        default=[],
        type=_project,
        metavar="NAME=LIST@DOMAIN",
        help="the only projects that there are, each with the address of its list; default: "
        "DPDK's, and one for each list",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="log requests")
    return parser


def _port(value: str) -> int:
    if value.isdecimal() and int(value) <= 65535:
        return int(value)
    raise argparse.ArgumentTypeError(f"{value} is not a port")


def _identifier(value: str) -> int:
    if value.isdecimal() and int(value) > 0:
        return int(value)
    raise argparse.ArgumentTypeError(f"{value} is not an id")


def _project(value: str) -> tuple[str, str]:
    name, _, address = value.partition("=")
    if not name or address.count("@") != 1:
        raise argparse.ArgumentTypeError("a project is NAME=LIST@DOMAIN")
    return name, address


def _account(value: str) -> tuple[str, Account]:
    token, _, account = value.partition(":")
    user, _, projects = account.partition(":")
    if not (token and user and projects):
        raise argparse.ArgumentTypeError("an account is TOKEN:USER:PROJECT[,PROJECT]")
    return token, (user, projects.split(","))


def _complain(message: str, code: int) -> int:
    sys.stderr.write(f"sandbox: {message}\n")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
