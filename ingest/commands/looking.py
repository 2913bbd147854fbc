# SPDX-License-Identifier: BSD-3-Clause
"""The commands that only look: ``status``, ``list`` and ``show``."""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace

from ingest import files, look
from ingest.commands import ledgers, listing, report, showing
from ingest.commands.settings import settings_of
from ingest.config.tables import Settings
from ingest.errors import EX_OK, NothingFound, UsageError
from ingest.ledger import Filter, Ledger, Opening, Record, open_configured
from ingest.story import attention
from ingest.words import harmless


def _status(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    with closing(open_configured(settings.state, Opening.LOOK)) as ledger:
        status = look.status(ledger, settings, time.time())
    others = tuple(ledgers.others(settings.state.dir))
    report.status(replace(status, other_ledgers=others), in_json=arguments.json)
    return EX_OK


def _consumers(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    with closing(open_configured(settings.state, Opening.LOOK)) as ledger:
        status = look.status(ledger, settings, time.time())
    report.consumers(status, in_json=arguments.json)
    if not status.consumers:
        raise NothingFound("nobody has taken anything yet; see take --consumer")
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
        if arguments.attention:
            found = _attention(ledger, settings, wanted, form)
        # A request's mail is done: other states are of mails.
        elif arguments.mail or arguments.states:
            mails = ledger.search_mails(wanted)
            found = len(mails)
            listing.mails(look.stories(ledger, mails, settings, time.time()), form)
        else:
            requests = ledger.search_requests(wanted)
            found = len(requests)
            results = ledger.results.of(each.number for each in requests)
            listing.requests(requests, results, settings, form)
    if not found and arguments.attention:
        raise NothingFound("nothing needs a person now")
    if not found:
        raise NothingFound("nothing fits; list --mail also has the mails that asked for nothing")
    return EX_OK


def _attention(ledger: Ledger, settings: Settings, wanted: Filter, form: listing.Form) -> int:
    """List what a person must act on: parts of the whole, unless only some mails are looked for,
    and mails; how many that are."""
    now = time.time()
    is_all = wanted == Filter(attention=wanted.attention, limit=wanted.limit)
    parts = attention.parts(look.status(ledger, settings, now)) if is_all else ()
    mails = ledger.search_mails(wanted)
    listing.attention(parts, look.stories(ledger, mails, settings, now), form)
    return len(parts) + len(mails)


def _show(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    names = dict.fromkeys(each.strip() for each in arguments.names)
    with closing(open_configured(settings.state, Opening.LOOK)) as ledger:
        found = {name: _named(ledger, name) for name in names}
        mails = list({each.id: each for records in found.values() for each in records}.values())
        if arguments.raw:
            _raw(ledger, mails)
        elif mails or arguments.json:
            stories = [
                replace(story, reply=look.ready_reply(ledger, mail, settings))
                for mail, story in zip(
                    mails, look.stories(ledger, mails, settings, time.time()), strict=True
                )
            ]
            showing.show(stories, in_json=arguments.json)
    if unknown := [name for name, records in found.items() if not records]:
        raise NothingFound(
            f"not in the ledger: {', '.join(unknown)}: it never came, or could not hold a request; "
            "list --mail finds mails by parts of what they say"
        )
    return EX_OK


def _named(ledger: Ledger, name: str) -> list[Record]:
    """The mails of a name: a Message-ID, ``mail-N``, or the number or id of a request."""
    if found := ledger.find(name.strip("<>")):
        return found
    asked = ledger.results.request(name)
    return ledger.find(f"mail-{asked.mail_id}") if asked else []


def _raw(ledger: Ledger, mails: Sequence[Record]) -> None:
    """Write a mail out as it came; on a terminal, harmless to that."""
    if len(mails) > 1:
        names = ", ".join(f"mail-{each.id}" for each in mails)
        raise UsageError(f"--raw writes one mail, and these are {len(mails)}: {names}")
    for mail in mails:
        try:
            raw = ledger.raw(mail.id)
        except ValueError as error:
            raise NothingFound(f"mail-{mail.id} cannot be shown: {error}") from error
        if raw is None:
            raise NothingFound(
                f"the bytes of mail-{mail.id} were dropped, see [state] keep_days and keep_raw"
            )
        if sys.stdout.isatty():
            text = raw.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
            sys.stdout.write(harmless(text, keep="\n\t"))
        else:
            files.print_bytes(raw)


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "status": _status,
    "list": _list,
    "consumers": _consumers,
    "show": _show,
}
