# SPDX-License-Identifier: BSD-3-Clause
"""Commands that change what is there."""

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

from ingest import files
from ingest.commands import flag_values
from ingest.commands.options import PROGRAM, Commands, Parser, complain
from ingest.commands.settings import settings_of
from ingest.config.tables import Settings, StateSettings
from ingest.errors import EX_OK, NothingFound, UsageError
from ingest.ledger import (
    Filter,
    Ledger,
    Opening,
    Outcome,
    Pause,
    Record,
    Request,
    open_configured,
)
from ingest.ledger.masking import masked
from ingest.words import as_line, counted, harmless, meant, named

# Mails that retry --all names.
_MOST_NAMED = 20
# Seconds that a sink that is paused is given to end what it has in hand.
_PATIENCE = 5.0


def add(to: Commands) -> None:
    """Add them to the command line."""
    retry = to.command(
        _retry,
        "retry",
        "queue unresolved and failed mails again, and try waiting ones now",
        to.common,
        to.as_json,
    )
    _retry_flags(retry)
    cancel = to.command(
        _cancel,
        "cancel",
        "end mails that wait or came to nothing, and requests that nobody was handed yet",
        to.common,
        to.as_json,
    )
    cancel.add_argument(
        "names",
        metavar="MAIL",
        nargs="+",
        help="a mail's Message-ID or mail-N, or the number or id of a request",
    )
    cancel.add_argument(
        "--reason", metavar="TEXT", default="an operator cancelled it", help="why, for the story"
    )
    cancel.add_argument(
        "--by", metavar="NAME", default="operator", help="who says so; default: operator"
    )
    pause = to.command(
        _pause, "pause", "have a sink hand nothing over; it loses nothing", to.common, to.as_json
    )
    pause.add_argument("sink", metavar="KIND:NAME", help="such as webhook:lab; see status")
    pause.add_argument("--reason", metavar="TEXT", default="", help="why, for status")
    resume = to.command(
        _resume, "resume", "have a paused sink hand over again", to.common, to.as_json
    )
    resume.add_argument("sink", metavar="KIND:NAME", help="such as webhook:lab; see status")
    consumers = to.command(
        _consumers, "consumers", "list who takes requests, or forget one", to.common, to.as_json
    )
    consumers.add_argument(
        "--remove", metavar="NAME", help="forget this one, so that no request is kept for it"
    )
    ledger = to.command(_ledger, "ledger", "save the state, or move it")
    _ledger_commands(ledger, to.base)


def _ledger_commands(ledger: argparse.ArgumentParser, base: Parser) -> None:
    """The commands of ``ledger``. ``base``: their common flags."""
    what = ledger.add_subparsers(dest="what", metavar="WHAT", required=True)
    backup = what.add_parser(
        "backup", help="copy the ledger into a file, whoever writes meanwhile", parents=[base]
    )
    backup.add_argument("file", metavar="FILE", help="the file to write; an old one is replaced")
    copy = what.add_parser(
        "copy",
        help="move all to another ledger, SQLite to PostgreSQL or back; the old one is closed",
        parents=[base],
    )
    copy.add_argument("source", metavar="FROM", help="URL of the ledger, as in [state] ledger")
    copy.add_argument("target", metavar="TO", help="URL of an empty one, or of one to be made")


def _retry_flags(retry: argparse.ArgumentParser) -> None:
    """The flags of ``retry``."""
    which = retry.add_mutually_exclusive_group(required=True)
    which.add_argument("--all", action="store_true", help="every such mail")
    which.add_argument(
        "--ignored",
        action="store_true",
        help="judge ignored and rejected mails again, after a change of labels or policy",
    )
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
    retry.add_argument(
        "--since",
        metavar="TIME",
        type=flag_values.showable_moment,
        help="with --ignored: those received at this time or later (UTC, unless it names an "
        "offset); default: all whose bytes are kept",
    )


def _retry(arguments: argparse.Namespace) -> int:
    if arguments.since is not None and not arguments.ignored:
        raise UsageError("--since goes with --ignored")
    if arguments.sink:
        return _retry_sink(arguments)
    if arguments.ignored:
        return _judge_again(arguments)
    ids = [each.strip().strip("<>") for each in arguments.message_ids]
    settings, now = settings_of(arguments), time.time()
    with closing(open_configured(settings.state)) as ledger:
        _ask_anew(ledger, settings, now)
        count = ledger.retry(None if arguments.all else ids, now)
        wanted = Filter(states=(Outcome.QUEUED,), limit=_MOST_NAMED)
        found = [each for id in dict.fromkeys(ids) for each in ledger.find(id)]
        mails = ledger.search_mails(wanted) if arguments.all else found
    if not count and not arguments.all:
        raise NothingFound("none of these mails waits, is unresolved or has failed; see show")
    _tell_queued(count, mails, in_json=arguments.json)
    return EX_OK


def _judge_again(arguments: argparse.Namespace) -> int:
    settings, now = settings_of(arguments), time.time()
    with closing(open_configured(settings.state)) as ledger:
        _ask_anew(ledger, settings, now)
        count = ledger.steering.judge_again(arguments.since or 0.0, now)
        queued = ledger.search_mails(Filter(states=(Outcome.QUEUED,), limit=_MOST_NAMED))
    if not count:
        raise NothingFound(
            "no ignored or rejected mail came then whose bytes are kept (see [state] keep_days)"
        )
    again = [each for each in queued if each.story[-1].what == "queued again"]
    _tell_queued(count, again, in_json=arguments.json)
    return EX_OK


def _ask_anew(ledger: Ledger, settings: Settings, now: float) -> None:
    """Have every server be asked again, whatever is remembered of its answers."""
    from ingest.patchwork import answers, outage

    for server in settings.server_names:
        outage.close(ledger, server)
    answers.ask_anew(ledger, now)


def _tell_queued(count: int, mails: Sequence[Record], *, in_json: bool) -> None:
    """So many mails were queued, these among them, or not if they are in another state."""
    if in_json:
        named_ones = [
            {"mail": named(each.message_id, each.id), "outcome": each.outcome.value}
            for each in mails
        ]
        print(as_line({"queued": count, "mails": named_ones}))
        return
    print(f"{count} queued; a running worker takes them up, else run: {PROGRAM} work --once")
    for mail in mails:
        left = "" if mail.outcome is Outcome.QUEUED else f" not queued: it is {mail.outcome}"
        print(harmless(f"  {named(mail.message_id, mail.id)}{left}"))
    if count > len(mails):
        print(f"  … and {count - len(mails)} more, see {PROGRAM} list --state queued")


def _cancel(arguments: argparse.Namespace) -> int:
    from ingest.handover import withdrawal

    settings = settings_of(arguments)
    with closing(open_configured(settings.state, Opening.USE)) as ledger:
        mails: list[Record] = []
        requests: list[Request] = []
        for name in dict.fromkeys(each.strip().strip("<>") for each in arguments.names):
            found = ledger.find(name)
            asked = None if found else ledger.results.request(name)
            if not found and asked is None:
                raise NothingFound(f"there is no mail or request {name} in the ledger; see list")
            mails += found
            requests += [asked] if asked else []
        told = withdrawal.withdraw(
            ledger,
            settings,
            mails,
            requests,
            reason=arguments.reason,
            by=arguments.by,
            now=time.time(),
        )
    if arguments.json:
        print(as_line({"cancelled": told, "reason": arguments.reason}))
        return EX_OK
    for each in told:
        print(harmless(f"cancelled {each}"))
    return EX_OK


def _pause(arguments: argparse.Namespace) -> int:
    from ingest.sinks import delivery, lease_name

    settings = settings_of(arguments)
    name = _sink(arguments.sink, list(delivery.wanted(settings)))
    with closing(open_configured(settings.state)) as ledger:
        new = ledger.steering.pause(Pause(name, time.time(), arguments.reason))
        # What it has in hand comes to its end; then it is certain that nothing more goes out.
        with ledger.lease(lease_name(name), _PATIENCE) as at_rest:
            begun = ledger.cursor(name).begun
    if not new:
        complain(f"{name} was paused before; see status")
    if arguments.json:
        print(as_line({"paused": name, "new": new, "at_work_on": None if at_rest else begun}))
        return EX_OK
    at_work = f"; it is still at work on request {begun}" if not at_rest else ""
    print(f"{name} hands nothing over until: {PROGRAM} resume {name}{at_work}")
    return EX_OK


def _resume(arguments: argparse.Namespace) -> int:
    from ingest.sinks import delivery

    settings = settings_of(arguments)
    with closing(open_configured(settings.state)) as ledger:
        paused = [each.sink for each in ledger.steering.pauses()]
        name = _sink(arguments.sink, [*delivery.wanted(settings), *paused])
        cursor = ledger.cursor(name)
        behind = ledger.last_request() - cursor.position
        if not ledger.steering.resume(name, time.time()):
            raise NothingFound(f"{name} is not paused; see status")
        if cursor.tries:  # what was down when it was paused is asked now
            ledger.set_cursor(replace(cursor, due=0.0))
    if arguments.json:
        print(as_line({"resumed": name, "behind": max(behind, 0)}))
        return EX_OK
    print(f"{name} hands over again")
    if behind > 0:
        print(f"{counted(behind, 'request')} behind: serve goes on, or run: {PROGRAM} work --once")
    return EX_OK


def _sink(name: str, known: list[str]) -> str:
    """The sink of this name; "retests" is the retest JSON, the first one."""
    if name in known:
        return name
    if name == "retests":
        return known[0]
    raise UsageError(f"there is no sink {name}{meant(name, known)}: there are {', '.join(known)}")


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
    if arguments.json:
        print(as_line({"sink": arguments.sink, "to_hand_over": count}))
        return EX_OK
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
    if arguments.json:
        print(as_line({"removed": arguments.remove}))
        return EX_OK
    print(f"{arguments.remove} is forgotten; if it takes again, it begins with the first request")
    return EX_OK


def _ledger(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    if arguments.what == "copy":
        return _move(arguments.source, arguments.target, settings.state)
    files.check_target(arguments.file)
    with closing(open_configured(settings.state, Opening.LOOK)) as ledger:
        ledger.backup(arguments.file)
    print(f"{arguments.file} holds all that {masked(settings.state.ledger)} does")
    return EX_OK


def _move(source: str, target: str, state: StateSettings) -> int:
    from ingest.ledger import moving

    def told(rows: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{rows} rows", end="", file=sys.stderr, flush=True)

    for table in moving.move(source, target, state, told):
        if table.rows:
            print(f"{table.name}: {counted(table.rows, 'row')}, sha256 {table.digest[:16]}")
    print(
        f"{masked(target)} has all of {masked(source)}, which takes no writes any more; "
        "have [state] ledger name the new one and start everything again"
    )
    return EX_OK
