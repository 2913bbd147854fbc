# SPDX-License-Identifier: BSD-3-Clause
"""Commands that look, and change nothing."""

import argparse
import os
from typing import Any

from ingest.commands import flag_values, options
from ingest.commands.options import Commands
from ingest.commands.settings import settings_of, trace
from ingest.errors import EX_CONFIG, EX_OK, EX_UNAVAILABLE, NothingFound
from ingest.ledger.values import Outcome

_AS_USER = "try the paths as this user; default: the user that Postfix runs a pipe as"
_SEND_TEST = "send a mail through the local mail server and wait for it; default: to our alias"


def add(to: Commands) -> None:
    """Add them to the command line."""
    to.command(
        _look,
        "status",
        "show the queue, the outcomes, and how far sinks and consumers have come",
        to.common,
        to.as_json,
    )
    _filters(
        to.command(_look,
            "list", "list requests or mails, the newest first; each filter may be repeated",
            options.common(has_state=False),
        )
    )  # fmt: skip
    show = to.command(_look, "show", "print the story of a mail", to.common, to.as_json)
    show.add_argument(
        "names",
        metavar="MAIL",
        nargs="+",
        help="its Message-ID, mail-N, or the number or id of its request",
    )
    show.add_argument("--raw", action="store_true", help="write one mail out as it came")
    log = to.command(_log, "log", "tell what happened last, mail by mail", to.common, to.as_json)
    log.add_argument("-f", "--follow", action="store_true", help="go on telling what happens")
    log.add_argument(
        "-n",
        "--lines",
        metavar="N",
        type=flag_values.whole,
        default=20,
        help="how many to begin with; default: 20",
    )
    check = to.command(
        _check,
        "check",
        "see whether everything is as it must be, and say what to do",
        to.common,
        to.as_json,
    )
    _check_flags(check)
    stats = to.command(
        _stats, "stats", "show requests and results in figures", to.common, to.as_json
    )
    _stats_flags(stats)
    config = to.command(
        _config,
        "config",
        "print the settings in force, with where each comes from",
        to.common,
        to.as_json,
    )
    config.add_argument(
        "--changed", action="store_true", help="only those that are not their defaults"
    )
    policy = to.command(
        _policy, "policy", "tell what the policy would have done", to.common, to.as_json
    )
    policy.add_argument(
        "--replay",
        metavar="PERIOD",
        type=flag_values.period,
        required=True,
        help="how far back to look for requests, such as 30d or 12h",
    )


def _stats_flags(stats: argparse.ArgumentParser) -> None:
    """The flags of ``stats``."""
    stats.add_argument(
        "--since",
        type=flag_values.moment_or_period,
        metavar="TIME",
        help="only what was recorded at this time or later (UTC, unless it names an offset), or "
        "within a time such as 30d; default: all",
    )


def _check_flags(check: argparse.ArgumentParser) -> None:
    """The flags of ``check``."""
    check.add_argument(
        "--as", dest="users", metavar="USER", action="append", default=[], help=_AS_USER
    )
    check.add_argument(
        "--send-test", dest="test_address", metavar="ADDRESS", nargs="?", const="", help=_SEND_TEST
    )


def _look(arguments: argparse.Namespace) -> int:
    from ingest.commands import looking

    return looking.COMMANDS[arguments.command](arguments)


def _log(arguments: argparse.Namespace) -> int:
    from ingest.commands import following

    settings = settings_of(arguments)
    if not arguments.follow:
        lines = following.last(settings.state, arguments.lines)
        following.show(lines, in_json=arguments.json)
        if not lines:
            raise NothingFound("nothing has happened yet; check says whether mail can come")
        return EX_OK
    for news in following.follow(settings.state, arguments.lines, pause=settings.log.poll):
        following.show(news, in_json=arguments.json)
    return EX_OK


def _check(arguments: argparse.Namespace) -> int:
    from ingest.commands import check, report

    findings = report.checked(
        check.check(settings_of(arguments), arguments.users, arguments.test_address),
        in_json=arguments.json,
    )
    problems = [each for each in findings if each.level == "problem"]
    if problems and all(each.is_down for each in problems):
        return EX_UNAVAILABLE
    return EX_CONFIG if problems else EX_OK


def _stats(arguments: argparse.Namespace) -> int:
    from ingest.commands import figures

    return figures.run(arguments)


def _config(arguments: argparse.Namespace) -> int:
    from ingest.commands import configuration
    from ingest.config import load
    from ingest.config.effective import effective

    settings, sources = trace(vars(arguments))
    configuration.show(
        effective(settings, sources),
        file=settings.origin,
        unknown=load.unknown(),
        changed=arguments.changed,
        in_json=arguments.json,
    )
    return EX_OK


def _policy(arguments: argparse.Namespace) -> int:
    from ingest.commands import policy_trial

    return policy_trial.run(arguments)


class _StateOrFolder(argparse.Action):
    """``--state`` of ``list``: the state of a mail, or the ledger's folder, as everywhere."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        if values in list(Outcome):
            namespace.states = [*namespace.states, Outcome(values)]
        elif "/" in values or os.path.isdir(values):
            namespace.state = values
        else:
            parser.error(
                f"--state {values}: that is not a state of a mail ({', '.join(Outcome)}), and "
                "there is no such folder"
            )


def _filters(command: argparse.ArgumentParser) -> None:
    """The flags of ``list``."""
    command.set_defaults(states=[])
    command.add_argument(
        "--state",
        metavar="STATE|DIR",
        action=_StateOrFolder,
        help=f"mails of this state ({', '.join(Outcome)}), as --mail lists them; anything else is "
        "the ledger's folder",
    )
    for flag, metavar, help in (
        ("series", "NUMBER", "Patchwork's number of the series"),
        ("label", "LABEL", "a label that is asked for"),
        ("requester", "TEXT", "part of the name or address of who asks"),
        ("list", "LIST-ID", "the list, such as dev.dpdk.org"),
        ("project", "NAME", "the project's link name in Patchwork"),
        ("search", "TEXT", "part of the subject, Message-ID, requester or reason"),
    ):
        command.add_argument(
            f"--{flag}",
            dest=f"{flag}_filter",
            metavar=metavar,
            action="append",
            default=[],
            type=flag_values.whole if flag == "series" else str,
            help=help,
        )
    for flag, help in (("since", "at this time or later"), ("before", "before this time")):
        command.add_argument(
            f"--{flag}",
            metavar="TIME",
            type=flag_values.showable_moment,
            help=f"recorded, or with --mail received, {help} (UTC, unless it names an offset)",
        )
    command.add_argument("--mail", action="store_true", help="mails instead of requests")
    command.add_argument(
        "--attention",
        action="store_true",
        help="what a person must act on: unresolved and failed mails, and those whose requests a "
        "sink has set aside, skipped or fails to take, or whose labels are overdue",
    )
    command.add_argument(
        "--limit",
        metavar="N",
        type=flag_values.whole,
        default=50,
        help="how many at most; default: 50",
    )
    command.add_argument("--json", action="store_true", help="print one JSON array for programs")
    command.add_argument("--json-lines", action="store_true", help="print one JSON object a line")
