# SPDX-License-Identifier: BSD-3-Clause
"""Subcommands and exit codes, no logic: each command's work is done by the module it names."""

import argparse
import io
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

from ingest.commands import ledgers
from ingest.commands.options import PROGRAM, parser, settings_of
from ingest.config.values import DAY
from ingest.errors import (
    EX_CONFIG,
    EX_OK,
    EX_UNAVAILABLE,
    EX_USAGE,
    Error,
    NoLedger,
    NothingFound,
    StateUnavailable,
    UsageError,
)
from ingest.ledger import WORKER_LEASE, Filter, Opening, Outcome, open_configured
from ingest.words import counted, harmless, named

# Mails that retry --all names.
_MOST_NAMED = 20


def main(arguments: Sequence[str]) -> int:
    """Run one command line; the exit code (sysexits.h)."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a locale may lack characters that we print
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        if not arguments:
            parser().print_help()
            return EX_OK
        parsed = parser().parse_args(arguments)
        _log(getattr(parsed, "verbose", 0))
        code = _COMMANDS[parsed.command](parsed)
        sys.stdout.flush()
        return code
    except Error as error:
        others = ledgers.elsewhere() if isinstance(error, NoLedger) else ""
        _complain(f"{error}{others}")
        return _exit_code(error, arguments)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has seen enough; nothing is left to be flushed at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return EX_OK


def _complain(text: str) -> None:
    print(f"{PROGRAM}: {harmless(text)}", file=sys.stderr)


def _exit_code(error: Error, arguments: Sequence[str]) -> int:
    if "reruns" not in arguments[:1]:
        return error.exit_code
    return 2 if isinstance(error, UsageError) else 1  # get_reruns.py's


def _log(verbosity: int) -> None:
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(HarmlessFormatter(f"{PROGRAM}: %(message)s"))
    logging.basicConfig(handlers=[handler])
    logging.getLogger("ingest").setLevel(level)


class HarmlessFormatter(logging.Formatter):
    """Writes each record on one line, and nothing in it that could harm a terminal or a log. Only
    a traceback has lines of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return harmless(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        return harmless(super().formatException(ei), keep="\n")


def _replay(arguments: argparse.Namespace) -> int:
    from ingest.commands import replay, report

    if arguments.offline and not arguments.dry_run:
        raise UsageError("--offline goes with --dry-run: without Patchwork nothing is recorded")
    settings = settings_of(arguments)
    if arguments.dry_run:
        found: list[replay.Rehearsal] = []
        show = found.append if arguments.json else report.rehearsed
        summary = replay.rehearse(arguments.paths, settings, offline=arguments.offline, show=show)
        report.replayed(summary, found, in_json=arguments.json)
        return EX_UNAVAILABLE if summary.down else EX_OK
    with closing(open_configured(settings.state)) as ledger:
        summary = replay.replay(arguments.paths, settings, ledger)
    report.replayed(summary, in_json=arguments.json)
    return EX_OK


def _work(arguments: argparse.Namespace) -> int:
    from ingest import worker

    # It may end at any moment: the next worker takes up what was begun, as after a crash.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(EX_OK))
    settings = settings_of(arguments)
    with closing(open_configured(settings.state)) as ledger, ledger.lease(WORKER_LEASE) as held:
        if not held:
            raise StateUnavailable("another worker is at work on this ledger; see status")
        patchwork = worker.connect(settings, ledger)
        if arguments.once:
            worker.Worker(ledger, patchwork, settings).work_off()
            return EX_OK
        from ingest.sinks.delivery import Delivery

        sinks = Delivery(settings)
        at_work = worker.Worker(ledger, patchwork, settings, publish=sinks.wake)
        sinks.start()
        try:
            while True:
                at_work.work_off()
                time.sleep(worker.POLL)
        finally:  # a program that has a request in hand is not left alone with it
            sinks.stop(settings.serve.stop_timeout)


def _serve(arguments: argparse.Namespace) -> int:
    from ingest.commands import serve

    serve.run(lambda: settings_of(arguments))
    return EX_OK


def _look(arguments: argparse.Namespace) -> int:
    from ingest.commands import looking

    return looking.COMMANDS[arguments.command](arguments)


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


def _check(arguments: argparse.Namespace) -> int:
    from ingest.commands import check, report

    findings = report.checked(
        check.check(settings_of(arguments), arguments.users, arguments.test_address),
        in_json=arguments.json,
    )
    problems = {each.what for each in findings if each.level == "problem"}
    if problems == {check.PATCHWORK}:
        return EX_UNAVAILABLE
    return EX_CONFIG if problems else EX_OK


def _catch_up(arguments: argparse.Namespace) -> int:
    from ingest.commands import catch_up, report

    settings = settings_of(arguments)
    with closing(open_configured(settings.state)) as ledger:
        summary = catch_up.run(settings, ledger, arguments.since)
    report.caught_up(summary, in_json=arguments.json)
    if summary.problem:
        _complain(f"catching up is not complete: {summary.problem}")
        return EX_UNAVAILABLE
    return EX_OK


def _reruns(arguments: argparse.Namespace) -> int:
    from ingest import files
    from ingest.handover import reruns
    from ingest.retests import document as retests

    settings, now = settings_of(arguments), time.time()
    # A ledger that it makes itself would answer for ever that there is nothing.
    with closing(open_configured(settings.state, Opening.USE)) as ledger:
        since = now - DAY if arguments.time_since is None else arguments.time_since
        document = reruns.document(ledger, since, arguments.names, settings, now=now)
    files.write_out(arguments.out_file, retests.dump(document))
    return EX_OK


def _take(arguments: argparse.Namespace) -> int:
    from ingest.handover import take

    # It may end at any moment: what was not handed over is given the next time.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    settings = settings_of(arguments)
    order = take.Order(
        arguments.consumer,
        tuple(arguments.contexts or ()),
        single=arguments.requests,
        hold=arguments.hold,
    )
    output = take.output_to(arguments.out_file, settings)
    with closing(open_configured(settings.state)) as ledger:
        take.take(ledger, settings, order, output, wait=arguments.wait)
    return EX_OK


def _ack(arguments: argparse.Namespace) -> int:
    from ingest.handover import take

    settings = settings_of(arguments)
    with closing(open_configured(settings.state)) as ledger:
        first = take.acknowledge(ledger, settings, arguments.batch)
    if not first:
        _complain(f"{arguments.batch} was confirmed before")
    return EX_OK


def _result(arguments: argparse.Namespace) -> int:
    from ingest.ledger import State
    from ingest.results import word

    settings = settings_of(arguments)
    with closing(open_configured(settings.state)) as ledger:
        request = ledger.results.request(arguments.request)
        if request is None:
            raise NothingFound(f"there is no request {arguments.request} in the ledger")
        result = word.result(
            request,
            arguments.label,
            State(arguments.result),
            author=arguments.by,
            now=time.time(),
            url=arguments.url,
            summary=arguments.summary,
        )
        if not ledger.results.tell(result):
            _complain("the same was said before")
    return EX_OK


def _consumers(arguments: argparse.Namespace) -> int:
    from ingest.handover import take

    if arguments.remove is None:
        return _look(arguments)
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


def _quickstart(arguments: argparse.Namespace) -> int:
    from ingest.commands import quickstart

    return quickstart.main(
        root=arguments.root,
        way=arguments.way,
        address=arguments.address,
        really=arguments.apply,
        yes=arguments.yes,
    )


def _help(arguments: argparse.Namespace) -> int:
    from ingest.commands import guides

    sys.stdout.write(guides.text(arguments.topic))
    return EX_OK


def _demo(arguments: argparse.Namespace) -> int:
    from ingest.commands import demo

    return demo.main(verbose=bool(arguments.verbose), keep=arguments.keep)


def _pipe(arguments: argparse.Namespace) -> int:
    # Reached for --help only, which ends before; __main__ runs the pipe itself.
    return EX_USAGE


def _policy(arguments: argparse.Namespace) -> int:
    from ingest.commands import policy_trial

    return policy_trial.run(arguments)


_COMMANDS = {
    "pipe": _pipe,
    "replay": _replay,
    "work": _work,
    "serve": _serve,
    "status": _look,
    "show": _look,
    "list": _look,
    "retry": _retry,
    "check": _check,
    "catch-up": _catch_up,
    "reruns": _reruns,
    "take": _take,
    "ack": _ack,
    "consumers": _consumers,
    "result": _result,
    "policy": _policy,
    "ledger": _ledger,
    "demo": _demo,
    "help": _help,
    "quickstart": _quickstart,
}
