# SPDX-License-Identifier: BSD-3-Clause
"""The whole command line."""

import argparse

from ingest import __version__
from ingest.commands.entries import by_hand, handing_over, looking, mail_in, setting_up, steering
from ingest.commands.options import PROGRAM, Commands, Parser

_EPILOG = """\
examples:
  recheck-ingest demo                        the program at work, without a network
  recheck-ingest quickstart                  how to set up this machine
  recheck-ingest replay --dry-run list.mbox  what an archive asks for
  recheck-ingest show MESSAGE-ID             why a request did or did not run
  recheck-ingest take -o batch.json          what a lab has not had yet

exit codes: 0; 1 nothing found; 64 usage; 65 bad data in a file that you named;
69 Patchwork unavailable; 75 try again (always, for pipe); 78 configuration.
reruns ends as get_reruns.py does.
"""


def parser() -> argparse.ArgumentParser:
    """What reads it; the command's function is in the result's ``run``."""
    top = Parser(
        prog=PROGRAM,
        description="List mail in, the retest JSON out: Recheck-request lines for CI labs.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = Commands(top)
    for group in (mail_in, looking, steering, by_hand, handing_over, setting_up):
        group.add(commands)
    return top
