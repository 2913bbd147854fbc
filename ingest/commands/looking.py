# SPDX-License-Identifier: BSD-3-Clause
"""The commands that only look: ``status``, ``list`` and ``show``."""

import argparse
import time
from collections.abc import Callable
from contextlib import closing

from ingest import look
from ingest.commands import listing, report
from ingest.commands.options import settings_of
from ingest.errors import EX_OK, NothingFound
from ingest.ledger import Filter, Opening, open_configured


def _status(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    with closing(open_configured(settings.state, Opening.LOOK)) as ledger:
        status = look.status(ledger, settings, time.time())
    report.status(status, in_json=arguments.json)
    return EX_OK


def _list(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    form = listing.Form.LINES if arguments.json_lines else listing.Form(arguments.json)
    with closing(open_configured(settings.state, Opening.LOOK)) as ledger:
        wanted = Filter(
            states=tuple(arguments.states),
            series=tuple(arguments.series_filter),
            labels=tuple(arguments.label_filter),
            requesters=tuple(arguments.requester_filter),
            lists=tuple(arguments.list_filter),
            projects=tuple(arguments.project_filter),
            texts=tuple(arguments.search_filter),
            since=arguments.since,
            before=arguments.before,
            attention=look.attention(ledger, settings) if arguments.attention else None,
            limit=arguments.limit,
        )
        # A request's mail is done: other states, and what a person must act on, are of mails.
        if arguments.mail or arguments.states or arguments.attention:
            mails = ledger.search_mails(wanted)
            found = len(mails)
            listing.mails(look.stories(ledger, mails, settings, time.time()), form)
        else:
            requests = ledger.search_requests(wanted)
            found = len(requests)
            results = ledger.results.of(each.number for each in requests)
            listing.requests(requests, results, form)
    if not found:
        raise NothingFound("nothing fits; list --mail also has the mails that asked for nothing")
    return EX_OK


def _show(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    ids = [each.strip().strip("<>") for each in arguments.message_ids]
    with closing(open_configured(settings.state, Opening.LOOK)) as ledger:
        found = [record for each in ids for record in ledger.find(each)]
        stories = look.stories(ledger, found, settings, time.time())
    if not found:
        raise NothingFound(
            "there is no such mail in the ledger: it never came, or it could not hold a request"
        )
    report.show(stories, in_json=arguments.json)
    return EX_OK


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "status": _status,
    "list": _list,
    "show": _show,
}
