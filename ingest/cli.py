# SPDX-License-Identifier: BSD-3-Clause
"""Subcommands and exit codes; no logic. Each command's work is done by the module it names."""

import argparse
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any, NoReturn

from ingest import __version__, config
from ingest.errors import (
    EX_CONFIG,
    EX_OK,
    EX_UNAVAILABLE,
    EX_USAGE,
    Error,
    StateUnavailable,
    UsageError,
)
from ingest.ledger import open_configured

PROGRAM = "recheck-ingest"


class _Parser(argparse.ArgumentParser):
    """Usage errors as sysexits.h has them, and as errors of ours."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    common = _Parser(add_help=False)
    group = common.add_argument_group("common options")
    group.add_argument("--config", metavar="FILE", help="read settings from this TOML file")
    group.add_argument("--patchwork", metavar="URL", help="the Patchwork server")
    group.add_argument(
        "--contexts", metavar="PATTERN", nargs="+", help="wanted contexts; default: every context"
    )
    group.add_argument("--retests", metavar="FILE", help="the retest JSON")
    group.add_argument("--state", metavar="DIR", help="the ledger's folder")
    group.add_argument(
        "-v", dest="verbose", action="count", default=0, help="tell what is done; -vv: in detail"
    )
    as_json = _Parser(add_help=False)
    as_json.add_argument("--json", action="store_true", help="print JSON for programs")

    top = _Parser(
        prog=PROGRAM,
        description="List mail in, the retest JSON out: Recheck-request lines for CI labs.",
    )
    top.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = top.add_subparsers(
        dest="command", metavar="COMMAND", required=True, parser_class=_Parser
    )

    def command(name: str, help: str, *parents: _Parser) -> argparse.ArgumentParser:
        return commands.add_parser(
            name, help=help, description=f"{help[0].upper()}{help[1:]}.", parents=list(parents)
        )

    command("pipe", "take one mail on standard input (alias, procmail, getmail)", common)
    replay = command("replay", "take the mails of archives", common, as_json)
    replay.add_argument(
        "paths",
        metavar="PATH",
        nargs="+",
        help="mbox, .gz or .xz of one, Maildir, .eml, a folder of these, or - for standard input",
    )
    replay.add_argument(
        "--dry-run", action="store_true", help="print what would be recorded; write nothing"
    )
    replay.add_argument(
        "--offline", action="store_true", help="with --dry-run: ask Patchwork nothing either"
    )
    work = command("work", "work off queued mail and write the retest JSON", common)
    work.add_argument("--once", action="store_true", help="what is due now, then end")
    serve = command("serve", "work until SIGTERM, as a service", common)
    for protocol in ("smtp", "lmtp"):
        serve.add_argument(
            f"--{protocol}",
            metavar="ADDRESS",
            action="append",
            help=f"listen for {protocol.upper()}: host:port or unix:PATH; may be repeated",
        )
    serve.add_argument("--maildir", metavar="PATH", help="watch this Maildir for mail")
    command("status", "show the queue, the outcomes and the cursors", common, as_json)
    show = command("show", "tell the story of a mail", common, as_json)
    show.add_argument("message_ids", metavar="MESSAGE-ID", nargs="+")
    retry = command(
        "retry", "queue unresolved and failed mails again, and have waiting ones due", common
    )
    which = retry.add_mutually_exclusive_group(required=True)
    which.add_argument("--all", action="store_true", help="every such mail")
    which.add_argument("message_ids", metavar="MESSAGE-ID", nargs="*", default=[])
    check = command("check", "tell whether all is as it must be, and what to do", common, as_json)
    check.add_argument(
        "--as",
        dest="users",
        metavar="USER",
        action="append",
        default=[],
        help="try the paths as this user, too; default: as the one Postfix runs a pipe as",
    )
    command("demo", "show the whole program at work on this machine, without a network")
    return top


def settings_of(arguments: argparse.Namespace) -> config.Settings:
    """The settings with the command line's flags over them. Raises ``ConfigError``."""
    flags: dict[tuple[str, str], Any] = {
        ("patchwork", "url"): arguments.patchwork,
        ("requests", "contexts"): tuple(arguments.contexts) if arguments.contexts else None,
        ("retests", "file"): arguments.retests,
        ("state", "dir"): arguments.state,
        ("smtp", "listen"): tuple(getattr(arguments, "smtp", None) or ()) or None,
        ("lmtp", "listen"): tuple(getattr(arguments, "lmtp", None) or ()) or None,
        ("maildir", "path"): getattr(arguments, "maildir", None),
    }
    given = {key: value for key, value in flags.items() if value is not None}
    return config.load(given, file=arguments.config)


def main(arguments: Sequence[str]) -> int:
    """Run one command line; the exit code (sysexits.h)."""
    try:
        parsed = parser().parse_args(arguments)
        _log(getattr(parsed, "verbose", 0))
        code = _COMMANDS[parsed.command](parsed)
        sys.stdout.flush()
        return code
    except Error as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has seen enough; nothing is left to be flushed at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return EX_OK


def _log(verbosity: int) -> None:
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)]
    logging.basicConfig(format=f"{PROGRAM}: %(message)s", stream=sys.stderr)
    logging.getLogger("ingest").setLevel(level)


def _replay(arguments: argparse.Namespace) -> int:
    from ingest import replay, report

    if arguments.offline and not arguments.dry_run:
        raise UsageError("--offline goes with --dry-run: without Patchwork nothing is recorded")
    settings = settings_of(arguments)
    if arguments.dry_run:
        told: list[replay.Rehearsal] = []
        each = told.append if arguments.json else report.rehearsed
        summary = replay.rehearse(arguments.paths, settings, offline=arguments.offline, each=each)
        report.replayed(summary, told, as_json=arguments.json)
        return EX_UNAVAILABLE if summary.down else EX_OK
    summary = replay.replay(arguments.paths, settings, open_configured(settings.state))
    report.replayed(summary, as_json=arguments.json)
    return EX_OK


def _work(arguments: argparse.Namespace) -> int:
    from ingest import worker

    # At any moment: what is begun is taken up again by the next worker, as after a crash.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(EX_OK))
    settings = settings_of(arguments)
    ledger = open_configured(settings.state)
    with ledger.lease() as held:
        if not held:
            raise StateUnavailable("another worker is at work on this ledger; see status")
        at_work = worker.Worker(ledger, worker.connect(settings, ledger), settings)
        at_work.work_off()
        while not arguments.once:
            time.sleep(worker.POLL)
            at_work.work_off()
    return EX_OK


def _serve(arguments: argparse.Namespace) -> int:
    from ingest import serve

    serve.run(lambda: settings_of(arguments))
    return EX_OK


def _status(arguments: argparse.Namespace) -> int:
    from ingest import report
    from ingest.worker import ANSWERED

    settings = settings_of(arguments)
    ledger = open_configured(settings.state)
    now = time.time()
    answered = float(ledger.recall(ANSWERED, now) or 0)
    report.status(ledger.totals(), settings, answered, now=now, as_json=arguments.json)
    return EX_OK


def _show(arguments: argparse.Namespace) -> int:
    from ingest import report

    ledger = open_configured(settings_of(arguments).state)
    found = [
        record for each in arguments.message_ids for record in ledger.find(each.strip().strip("<>"))
    ]
    if not found:
        raise UsageError(
            "no such mail in the ledger: it never came, or it could not hold a request"
        )
    report.show(found, ledger.totals().cursors, as_json=arguments.json)
    return EX_OK


def _retry(arguments: argparse.Namespace) -> int:
    from ingest import worker

    ledger = open_configured(settings_of(arguments).state)
    worker.close_circuit(ledger)
    ids = [each.strip().strip("<>") for each in arguments.message_ids]
    count = ledger.retry(None if arguments.all else ids, time.time())
    if not count and not arguments.all:
        raise UsageError("none of these mails waits, is unresolved or has failed; see show")
    print(f"{count} queued; a worker takes them up, or run: {PROGRAM} work --once")
    return EX_OK


def _check(arguments: argparse.Namespace) -> int:
    from ingest import check, report

    findings = report.checked(
        check.check(settings_of(arguments), arguments.users), as_json=arguments.json
    )
    problems = {each.what for each in findings if each.level == "problem"}
    if problems == {check.PATCHWORK}:
        return EX_UNAVAILABLE
    return EX_CONFIG if problems else EX_OK


def _demo(arguments: argparse.Namespace) -> int:
    from ingest import demo

    return demo.main()


def _pipe(arguments: argparse.Namespace) -> int:
    # Reached for --help only, which ends before; __main__ runs the pipe itself.
    return EX_USAGE


_COMMANDS = {
    "pipe": _pipe,
    "replay": _replay,
    "work": _work,
    "serve": _serve,
    "status": _status,
    "show": _show,
    "retry": _retry,
    "check": _check,
    "demo": _demo,
}
