# SPDX-License-Identifier: BSD-3-Clause
"""Commands by which a person asks for a retest without a mail, or leaves a remark."""

import argparse
import time
from contextlib import closing

from ingest.commands.options import PROGRAM, Commands
from ingest.commands.settings import settings_of
from ingest.errors import EX_OK, NothingFound, UsageError
from ingest.ledger import Opening, open_configured
from ingest.words import harmless


def add(to: Commands) -> None:
    """Add them to the command line."""
    ask = to.command(_ask, "ask", "ask for labels of a series, without a mail", to.common)
    ask.add_argument("series", metavar="SERIES", type=_series, help="Patchwork's number of it")
    ask.add_argument("labels", metavar="LABEL", nargs="*", default=[], help="the labels to run")
    ask.add_argument(
        "--argument",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        type=_argument,
        help="an argument, such as rebase=main; may be repeated",
    )
    ask.add_argument("--by", metavar="NAME", required=True, help="who asks")
    ask.add_argument("--reason", metavar="TEXT", default="", help="why")
    ask.add_argument(
        "--server", metavar="NAME", default="", help="its [patchwork.NAME]; default: [patchwork]"
    )
    note = to.command(_note, "note", "leave a remark in the story of a mail", to.common)
    note.add_argument(
        "name",
        metavar="REQUEST|MAIL",
        help="the number or id of a request, a Message-ID, or mail-N",
    )
    note.add_argument("text", metavar="TEXT", help="the remark")
    note.add_argument("--by", metavar="NAME", required=True, help="who says so")


def _series(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 1 << 63):
        raise argparse.ArgumentTypeError(f"{text!r} is not the number of a series")
    return int(text)


def _argument(text: str) -> tuple[str, str]:
    name, is_there, value = text.partition("=")
    if not (name and is_there and value):
        raise argparse.ArgumentTypeError(f"{text!r} is not an argument like rebase=main")
    return name, value


def _ask(arguments: argparse.Namespace) -> int:
    from ingest.handover import by_hand

    settings = settings_of(arguments)
    wish = by_hand.Wish(
        arguments.series,
        tuple(arguments.labels),
        dict(arguments.argument),
        arguments.by,
        "command",
        arguments.reason,
        arguments.server,
    )
    by_hand.check(wish, settings)
    with closing(open_configured(settings.state)) as ledger:
        target = by_hand.target(ledger, settings, wish)
        made, _ = by_hand.ask(ledger, settings, wish, time.time(), target=target)
        [mail] = ledger.find(f"mail-{made.mail_id}")
    print(harmless(f"request {made.number} for {mail.reason}"))
    print(f"a running serve hands it over, else run: {PROGRAM} work --once")
    return EX_OK


def _note(arguments: argparse.Namespace) -> int:
    from ingest.handover import by_hand

    name = arguments.name.strip().strip("<>")
    with closing(open_configured(settings_of(arguments).state, Opening.USE)) as ledger:
        mails = [each.id for each in ledger.find(name)]
        if not mails and (asked := ledger.results.request(name)):
            mails = [asked.mail_id]
        if not mails:
            raise NothingFound(f"there is no request or mail {name} in the ledger")
        if len(mails) > 1:
            several = ", ".join(f"mail-{each}" for each in mails)
            raise UsageError(f"there are several mails of that Message-ID, name one: {several}")
        by_hand.note(ledger, mails[0], arguments.text, arguments.by, time.time())
    return EX_OK
