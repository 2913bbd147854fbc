# SPDX-License-Identifier: BSD-3-Clause
"""Commands for the first hour."""

import argparse
import signal
import sys

from ingest.commands.options import Commands
from ingest.errors import EX_OK


def add(to: Commands) -> None:
    """Add them to the command line."""
    quickstart = to.command(
        _quickstart, "quickstart", "print the commands that set up this machine, or run them"
    )
    quickstart.add_argument(
        "--apply", action="store_true", help="take the steps, asking before each"
    )
    quickstart.add_argument("--yes", action="store_true", help="with --apply: do not ask")
    quickstart.add_argument(
        "--way", choices=("alias", "events"), help="how mail comes in; default: what fits"
    )
    quickstart.add_argument(
        "--address",
        default="recheck",
        metavar="NAME",
        help="the local part that is subscribed to the lists; default: recheck",
    )
    quickstart.add_argument(
        "--root", default="/", metavar="DIR", help="set up what is below this folder; for trials"
    )
    demo = to.command(
        _demo, "demo", "show the whole program at work on this machine, without a network"
    )
    demo.add_argument("-v", "--verbose", action="store_true", help="tell every mail's story")
    demo.add_argument(
        "--keep", action="store_true", help="leave Patchwork and state to play with until Ctrl-C"
    )
    demo.add_argument(
        "--web", action="store_true", help="show the pages for a browser, too, until Ctrl-C"
    )
    help_ = to.command(_help, "help", "print a guide, or where the ready files are")
    help_.add_argument(
        "topic", metavar="TOPIC", nargs="?", help="default: list the topics; files: the ready files"
    )


def _quickstart(arguments: argparse.Namespace) -> int:
    from ingest.commands import quickstart

    return quickstart.main(
        root=arguments.root,
        way=arguments.way,
        address=arguments.address,
        really=arguments.apply,
        yes=arguments.yes,
    )


def _demo(arguments: argparse.Namespace) -> int:
    from ingest.commands import demo

    # Its folder goes, however it ends.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    return demo.main(verbose=bool(arguments.verbose), keep=arguments.keep, web=arguments.web)


def _help(arguments: argparse.Namespace) -> int:
    from ingest.commands import guides

    sys.stdout.write(guides.text(arguments.topic))
    return EX_OK
