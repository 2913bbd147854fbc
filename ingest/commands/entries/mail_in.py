# SPDX-License-Identifier: BSD-3-Clause
"""Commands by which mail comes in and is worked off."""

import argparse
import signal
import sys
import time
from contextlib import closing

from ingest.commands import flag_values
from ingest.commands.options import Commands, add_list_id, complain
from ingest.commands.settings import settings_of
from ingest.config.tables import StateSettings
from ingest.errors import EX_OK, EX_UNAVAILABLE, EX_USAGE, StateUnavailable, UsageError
from ingest.ledger import WORKER_LEASE, Ledger, Outcome, open_configured


def add(to: Commands) -> None:
    """Add them to the command line."""
    pipe = to.command(
        _pipe, "pipe", "take one mail on standard input (alias, procmail, getmail)", to.common
    )
    add_list_id(pipe)
    replay = to.command(_replay, "replay", "take in the mails of archives", to.common, to.as_json)
    replay.add_argument(
        "paths",
        metavar="PATH",
        nargs="+",
        help="mbox, .gz or .xz of one, Maildir, .eml, a folder of these, or - for standard input",
    )
    add_list_id(replay)
    replay.add_argument(
        "--since",
        type=flag_values.showable_moment,
        metavar="TIME",
        default=0.0,
        help="leave out mails whose date is earlier (UTC, unless it names an offset)",
    )
    replay.add_argument(
        "--no-sinks", dest="sinks", action="store_false", help="hand the requests to no sink, ever"
    )
    replay.add_argument(
        "--dry-run", action="store_true", help="print what would be recorded, and write nothing"
    )
    replay.add_argument(
        "--offline", action="store_true", help="with --dry-run: do not ask Patchwork either"
    )
    serve = to.command(
        _serve, "serve", "receive mail and work it off until SIGTERM, as a service", to.common
    )
    for protocol in ("smtp", "lmtp", "http"):
        serve.add_argument(
            f"--{protocol}",
            metavar="ADDRESS",
            action="append",
            help=f"listen for {protocol.upper()}: host:port or unix:PATH; may be repeated",
        )
    serve.add_argument("--maildir", metavar="PATH", help="watch this Maildir for mail")
    work = to.command(
        _work, "work", "work off queued mail and hand requests to the sinks", to.common
    )
    work.add_argument("--once", action="store_true", help="work off what is due now, then end")
    catch_up = to.command(
        _catch_up,
        "catch-up",
        "fetch from Patchwork's events what the mail feed missed",
        to.common,
        to.as_json,
    )
    catch_up.add_argument(
        "--server", metavar="NAME", default="", help="with [patchwork.NAME]; default: [patchwork]"
    )
    catch_up.add_argument(
        "--since",
        type=flag_values.showable_moment,
        metavar="TIME",
        help="fetch what was filed at this time or later (UTC, unless it names an offset); "
        "default: since the last run, or the last mail, less [catch_up] overlap",
    )


def _pipe(arguments: argparse.Namespace) -> int:
    # Reached for --help only, which ends before; __main__ runs the pipe itself.
    return EX_USAGE


def _replay(arguments: argparse.Namespace) -> int:
    from ingest.commands import replay, report
    from ingest.patchwork import outage

    if arguments.offline and not arguments.dry_run:
        raise UsageError("--offline goes with --dry-run: without Patchwork nothing is recorded")
    settings = settings_of(arguments)
    choice = replay.Choice(arguments.list_id, arguments.since, arguments.sinks)
    if arguments.dry_run:
        found: list[replay.Rehearsal] = []
        show = found.append if arguments.json else report.rehearsed
        summary = replay.rehearse(
            arguments.paths, settings, offline=arguments.offline, choice=choice, show=show
        )
        report.replayed(summary, found, in_json=arguments.json)
        return EX_UNAVAILABLE if summary.down else EX_OK
    with closing(open_configured(settings.state)) as ledger:
        summary = replay.replay(arguments.paths, settings, ledger, choice)
        summary.down = bool(summary.reasons.get(Outcome.QUEUED)) and any(
            outage.down(ledger, time.time(), server) for server in settings.server_names
        )
    report.replayed(summary, in_json=arguments.json)
    return EX_UNAVAILABLE if summary.down else EX_OK


def _serve(arguments: argparse.Namespace) -> int:
    from ingest.commands import serve

    serve.run(lambda: settings_of(arguments))
    return EX_OK


def _work(arguments: argparse.Namespace) -> int:
    from ingest import worker
    from ingest.commands import daily

    # It may end at any moment: the next worker takes up what was begun, as after a crash.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(EX_OK))
    settings = settings_of(arguments)
    with closing(open_configured(settings.state)) as ledger, ledger.lease(WORKER_LEASE) as held:
        if not held:
            raise StateUnavailable("another worker is at work on this ledger; see status")
        _forward(settings.state, ledger)
        patchwork = worker.connect(settings, ledger)
        if arguments.once:
            worker.Worker(ledger, patchwork, settings).work_off()
            daily.deliver(ledger, settings)
            return EX_OK
        from ingest.sinks.delivery import Delivery

        sinks = Delivery(settings)
        at_work = worker.Worker(ledger, patchwork, settings, publish=sinks.wake)
        sinks.start()
        try:
            while True:
                at_work.work_off()
                time.sleep(worker.POLL)
                _forward(settings.state, ledger)
                daily.deliver(ledger, settings)
        finally:  # a program that has a request in hand is not left alone with it
            sinks.stop(settings.serve.stop_timeout)


def _forward(state: StateSettings, ledger: Ledger) -> None:
    """Take in what pipes have left on this machine, unless a service here does."""
    from ingest.sources import forwarding

    if not state.is_shared:
        return
    with closing(forwarding.spool_of(state)) as spool, spool.lease() as held:
        if held:
            forwarding.forward(spool, ledger)


def _catch_up(arguments: argparse.Namespace) -> int:
    from ingest.commands import catch_up, report

    settings = settings_of(arguments)
    with closing(open_configured(settings.state)) as ledger:
        summary = catch_up.run(settings, ledger, arguments.since, arguments.server)
    report.caught_up(summary, in_json=arguments.json)
    if summary.problem:
        complain(f"catching up is not complete: {summary.problem}")
        return EX_UNAVAILABLE
    return EX_OK
