# SPDX-License-Identifier: BSD-3-Clause
"""Commands that change what is there."""

import argparse
import time
from contextlib import closing
from dataclasses import replace

from ingest.commands.options import PROGRAM, Commands, settings_of
from ingest.errors import EX_OK, NothingFound, UsageError
from ingest.ledger import Filter, Opening, Outcome, open_configured
from ingest.words import counted, harmless, named

# Mails that retry --all names.
_MOST_NAMED = 20


def add(to: Commands) -> None:
    """Add them to the command line."""
    retry = to.command(
        _retry,
        "retry",
        "queue unresolved and failed mails again, and try waiting ones now",
        to.common,
    )
    which = retry.add_mutually_exclusive_group(required=True)
    which.add_argument("--all", action="store_true", help="every such mail")
    which.add_argument(
        "--sink",
        metavar="KIND:NAME",
        help="hand over what this sink has set aside or skipped, such as webhook:lab",
    )
    which.add_argument(
        "message_ids",
        metavar="MESSAGE-ID",
        nargs="*",
        default=[],
        help="or mail-N, where there is none",
    )
    consumers = to.command(
        _consumers, "consumers", "list who takes requests, or forget one", to.common, to.as_json
    )
    consumers.add_argument(
        "--remove", metavar="NAME", help="forget this one, so that no request is kept for it"
    )
    ledger = to.command(_ledger, "ledger", "save the state")
    what = ledger.add_subparsers(dest="what", metavar="WHAT", required=True)
    backup = what.add_parser(
        "backup", help="copy the ledger into a file, whoever writes meanwhile", parents=[to.base]
    )
    backup.add_argument("file", metavar="FILE", help="the file to write; an old one is replaced")


def _retry(arguments: argparse.Namespace) -> int:
    from ingest.patchwork import answers, outage

    if arguments.sink:
        return _retry_sink(arguments)
    ids = [each.strip().strip("<>") for each in arguments.message_ids]
    with closing(open_configured(settings_of(arguments).state)) as ledger:
        outage.close(ledger)
        answers.ask_anew(ledger, time.time())
        count = ledger.retry(None if arguments.all else ids, time.time())
        wanted = Filter(states=(Outcome.QUEUED,), limit=_MOST_NAMED)
        found = [each for id in dict.fromkeys(ids) for each in ledger.find(id)]
        mails = ledger.search_mails(wanted) if arguments.all else found
    if not count and not arguments.all:
        raise NothingFound("none of these mails waits, is unresolved or has failed; see show")
    print(f"{count} queued; a running worker takes them up, else run: {PROGRAM} work --once")
    for mail in mails:
        left = "" if mail.outcome is Outcome.QUEUED else f" not queued: it is {mail.outcome}"
        print(harmless(f"  {named(mail.message_id, mail.id)}{left}"))
    if arguments.all and count > len(mails):
        print(f"  … and {count - len(mails)} more, see {PROGRAM} list --state queued")
    return EX_OK


def _retry_sink(arguments: argparse.Namespace) -> int:
    from ingest.sinks import delivery

    settings = settings_of(arguments)
    names = [each for each in delivery.wanted(settings) if not each.startswith("json_file:")]
    if arguments.sink not in names:
        known = f"there are {', '.join(names)}" if names else "none but files is configured"
        raise UsageError(f"there is no sink {arguments.sink}: {known}")
    with closing(open_configured(settings.state)) as ledger:
        count = ledger.asides.retry(arguments.sink, time.time())
        cursor = ledger.cursor(arguments.sink)
        if count and cursor.tries:  # a receiver that was down is asked now, too
            ledger.set_cursor(replace(cursor, due=0.0))
    if not count:
        raise NothingFound(f"{arguments.sink} has set aside or skipped nothing; see status")
    print(
        f"{counted(count, 'request')} to be handed over to {arguments.sink}; serve does that, or "
        f"run: {PROGRAM} work --once"
    )
    return EX_OK


def _consumers(arguments: argparse.Namespace) -> int:
    from ingest.handover import take

    if arguments.remove is None:
        from ingest.commands import looking

        return looking.COMMANDS["consumers"](arguments)
    with closing(open_configured(settings_of(arguments).state)) as ledger:
        if not take.remove(ledger, arguments.remove):
            raise NothingFound(f"there is no consumer {arguments.remove}; see consumers")
    print(f"{arguments.remove} is forgotten; if it takes again, it begins with the first request")
    return EX_OK


def _ledger(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    with closing(open_configured(settings.state, Opening.LOOK)) as ledger:
        ledger.backup(arguments.file)
    print(f"{arguments.file} holds all that {settings.state.ledger} does")
    return EX_OK
